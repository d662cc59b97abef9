/** `python/world.py`: TensorBoard and SQLite as readers of both ends, in one process for a whole test. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { NEW_PYTHON, type Point } from "../support/python.ts";

/** What TensorBoard reads in one directory. */
export interface SourceRun {
  readonly scalars: { readonly [tag: string]: readonly Point[] };
  /** Steps. */
  readonly histograms: { readonly [tag: string]: readonly string[] };
}

/** A run in MLflow's database. */
export interface StoredRun {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly metrics: { readonly [key: string]: readonly Point[] };
  readonly tags: { readonly [key: string]: string };
  /** Steps of the lines in its `histograms/` files. */
  readonly histograms: { readonly [tag: string]: readonly string[] };
}

export class Observer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #answers: ((line: string) => void)[] = [];
  #errors = "";

  constructor() {
    this.#process = spawn(NEW_PYTHON, [path.resolve(import.meta.dirname, "../python/world.py")]);
    this.#process.on("error", (error) => (this.#errors += error.message));
    this.#process.stderr.on("data", (text) => (this.#errors += String(text)));
    const lines = createInterface({ input: this.#process.stdout });
    lines.on("line", (line) => this.#answers.shift()?.(line));
    lines.on("close", () => {
      for (const answer of this.#answers.splice(0)) answer(JSON.stringify({ error: this.#errors }));
    });
  }

  tensorboard(directories: readonly string[]): Promise<{ readonly [directory: string]: SourceRun }> {
    return this.#call("tensorboard", { directories });
  }

  /** @param artifacts folder of the files that a server keeps */
  stored(database: string, artifacts: string): Promise<StoredRun[]> {
    return this.#call("stored", { database, artifacts });
  }

  /** Ids of the runs in an experiment, active ones first. */
  inExperiment(database: string, experiment: string): Promise<string[]> {
    return this.#call("in_experiment", { database, experiment });
  }

  deleteExperiment(database: string, experiment: string): Promise<void> {
    return this.#call("delete_experiment", { database, experiment });
  }

  setStage(database: string, run: string, stage: "active" | "deleted"): Promise<void> {
    return this.#call("set_stage", { database, run, stage });
  }

  gc(database: string, run: string): Promise<void> {
    return this.#call("gc", { database, run });
  }

  copyDatabase(source: string, target: string): Promise<void> {
    return this.#call("copy_database", { source, target });
  }

  async stop(): Promise<void> {
    if (this.#process.pid === undefined || this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.stdin.end();
    await ended;
  }

  async #call<T>(call: string, argumentsOf: object): Promise<T> {
    const answer = new Promise<string>((resolve) => this.#answers.push(resolve));
    this.#process.stdin.write(`${JSON.stringify({ call, ...argumentsOf })}\n`);
    const { result, error } = JSON.parse(await answer) as { result: T; error?: string };
    if (error !== undefined) throw new Error(error);
    return result;
  }
}
