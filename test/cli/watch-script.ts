/** `tracelet watch` in a process of its own, over a scripted engine. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { onTestFinished } from "vitest";
import { temporaryDirectory } from "../support/logdirs.ts";
import { type Ended, ended } from "./tracelet.ts";

const SCRIPT = path.join(import.meta.dirname, "watch-script.mjs");

/** What the engine does once it has started; times in ms. */
export interface Script {
  /** The destinations that start; of the same status. */
  readonly names?: readonly string[];
  readonly status?: Readonly<Record<string, unknown>>;
  readonly steps?: readonly {
    readonly after?: number;
    readonly set?: Readonly<Record<string, unknown>>;
    /** `quietSince`, from then. */
    readonly since?: number;
    readonly event?: Readonly<Record<string, unknown>>;
    readonly fail?: string;
    readonly crash?: "rejects" | "throws";
    readonly end?: number;
  }[];
  /** It throws before it starts. */
  readonly refuse?: string;
  readonly drainMs?: number;
  /** It goes on whatever is asked of it. */
  readonly deaf?: "finish";
  readonly code?: number;
  readonly logOptions?: boolean;
}

export class Watch {
  readonly root: string = temporaryDirectory();
  env: Readonly<Record<string, string>> = {};
  stdin: "ignore" | "pipe" = "ignore";

  static create(): Watch {
    const watch = new Watch();
    onTestFinished(() => rmSync(watch.root, { recursive: true, force: true }));
    return watch;
  }

  /** The process that runs, and the command line for those that start it themselves. */
  commandLine(
    script: Script,
    ...args: readonly string[]
  ): { readonly argv: string[]; readonly env: NodeJS.ProcessEnv } {
    const { PATH } = process.env;
    const env = { PATH, HOME: this.root, SCRIPT: JSON.stringify(script), LOG: this.path("log"), ...this.env };
    return { argv: [process.execPath, SCRIPT, "watch", ...args], env };
  }

  start(script: Script, ...args: readonly string[]): ChildProcess {
    const { argv, env } = this.commandLine(script, ...args);
    const [program, ...rest] = argv as [string, ...string[]];
    // A session of its own: without the terminal that the tests may have been started from.
    const child = spawn(program, rest, { cwd: this.root, env, stdio: [this.stdin, "pipe", "pipe"], detached: true });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  }

  run(script: Script, ...args: readonly string[]): Promise<Ended> {
    return ended(this.start(script, ...args));
  }

  path(name: string): string {
    return path.join(this.root, name);
  }

  /** What a file in its directory says by now. */
  read(name: string): string {
    return existsSync(this.path(name)) ? readFileSync(this.path(name), "utf8") : "";
  }

  async until(name: string, text: string): Promise<void> {
    for (let i = 0; !this.read(name).includes(text); i++) {
      if (i > 1500) throw new Error(`${name} never said ${text}, but ${this.read(name)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
