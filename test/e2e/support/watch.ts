/** `tracelet watch` as a process beside a test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";

const MAIN = path.resolve(import.meta.dirname, "../../../dist/cli/main.js");

export class Watch {
  /** What it has said so far. */
  said = "";
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(
    args: readonly string[],
    options: { readonly env?: NodeJS.ProcessEnv; readonly under?: readonly string[] } = {},
  ) {
    const { MLFLOW_TRACKING_URI: _uri, MLFLOW_EXPERIMENT_NAME: _experiment, ...inherited } = process.env;
    const [program, ...before] = [...(options.under ?? []), process.execPath];
    this.#process = spawn(program as string, [...before, MAIN, "watch", ...args], {
      env: { ...inherited, ...options.env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process.stderr?.on("data", (text) => (this.said += String(text)));
    this.#closed = once(this.#process, "exit");
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  /** At once, with whatever was under way. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#closed;
  }

  /** As a service manager ends it. @returns its exit code */
  async stop(): Promise<number | null> {
    this.#process.kill("SIGTERM");
    return this.ended();
  }

  async ended(): Promise<number | null> {
    await this.#closed;
    return this.#process.exitCode;
  }
}
