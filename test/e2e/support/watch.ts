/** `tracelet watch` as a process beside a test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";

const MAIN = path.resolve(import.meta.dirname, "../../../dist/cli/main.js");
const PRELOAD = path.join(import.meta.dirname, "preload");

export interface WatchSettings {
  readonly env?: NodeJS.ProcessEnv;
  /** A program that starts it, with its arguments. */
  readonly under?: readonly string[];
  /** Modules that it loads before itself, by their names in `preload/`. */
  readonly preload?: readonly string[];
  /** Whether its standard input is a pipe, which `closeInput` ends. */
  readonly hasInput?: boolean;
}

export class Watch {
  /** What it has said on standard error so far. */
  said = "";
  /** What it has printed on standard output so far. */
  printed = "";
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(args: readonly string[], options: WatchSettings = {}) {
    const { MLFLOW_TRACKING_URI: _uri, MLFLOW_EXPERIMENT_NAME: _experiment, ...inherited } = process.env;
    const imports = (options.preload ?? []).flatMap((name) => ["--import", path.join(PRELOAD, name)]);
    const [program, ...before] = [...(options.under ?? []), process.execPath, ...imports];
    this.#process = spawn(program as string, [...before, MAIN, "watch", ...args], {
      env: { ...inherited, ...options.env },
      stdio: [options.hasInput === true ? "pipe" : "ignore", "pipe", "pipe"],
    });
    this.#process.stdout?.on("data", (text) => (this.printed += String(text)));
    this.#process.stderr?.on("data", (text) => (this.said += String(text)));
    this.#closed = once(this.#process, "exit");
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  /** As when a machine is suspended: it does nothing, and does not know of it. */
  suspend(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** Whoever reads its output goes away. */
  closeOutput(...streams: readonly ("stdout" | "stderr")[]): void {
    for (const stream of streams) this.#process[stream]?.destroy();
  }

  closeInput(): void {
    this.#process.stdin?.end();
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
