/**
 * `tracelet watch`, beside a program that logs. It is a process of its own so that nothing it does, such as comparing a
 * million points or waiting for a database, ever takes time of the program's event loop, and so that it can send the rest
 * when the program dies.
 *
 * A pipe to its standard input is the life line: when it is closed, by `finish` or with the program, the watch sends what
 * is there and ends. A Ctrl-C in the terminal does not reach it. What it says comes as lines of JSON.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { WatchEvent } from "../sync/engine/watch-status.ts";

/** What has become of it when it was waited for. */
export interface WatchOutcome {
  /** Whether all that was written is at each destination. */
  readonly isSent: boolean;
  /** What is not sent yet, and why; undefined if all is. */
  readonly problem: string | undefined;
  /** How much of the event files that is, bytes; undefined if it is not known. */
  readonly bytesLeft: number | undefined;
}

interface Said {
  readonly type?: unknown;
  readonly backend?: string;
  readonly bytesBehind?: number;
  readonly obstacle?: string | null;
  readonly error?: { readonly message: string; readonly hint: string | null } | null;
}

/** Exit codes after which all is at the destination: everything sent; sent, but damaged records were skipped. */
const SENT: ReadonlySet<number | null> = new Set([0, 3]);
/** Lines of what is no JSON that are kept: why it could not start. */
const KEPT_LINES = 20;

export class WatchProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #onEvent: (event: WatchEvent) => void;
  readonly #onEnd: (outcome: WatchOutcome) => void;
  readonly #ended: Promise<WatchOutcome>;
  readonly #status = new Map<string, Said>();
  readonly #text: string[] = [];
  #end: Said | undefined;
  #isFinishing = false;

  /**
   * @param args of the command
   * @param onEvent told what a user should know
   * @param onEnd told if it ends before `finish`
   */
  constructor(
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    onEvent: (event: WatchEvent) => void,
    onEnd: (outcome: WatchOutcome) => void,
  ) {
    this.#onEvent = onEvent;
    this.#onEnd = onEnd;
    const command = fileURLToPath(new URL("../cli/main.js", import.meta.url));
    this.#child = spawn(process.execPath, [command, ...args], {
      env,
      // In a session of its own, out of reach of the terminal's signals.
      detached: true,
      windowsHide: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#ended = this.#outcome();
    // A program that has nothing else to do ends; the life line ends with it.
    this.#keepProgram(false);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How the program ends. A watch whose life line ends without that takes it that the program has failed. */
  tell(hasFailed: boolean): void {
    this.#child.stdin.write(hasFailed ? "failed\n" : "finished\n");
  }

  /** Let it send the rest and end; after the timeout it goes on by itself. @param timeoutMs how long to wait, ms */
  async finish(timeoutMs: number): Promise<WatchOutcome> {
    this.#isFinishing = true;
    this.#keepProgram(true);
    this.tell(false);
    this.#child.stdin.end();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<WatchOutcome>((resolve) => {
      timer = setTimeout(() => resolve(this.#late(timeoutMs)), timeoutMs);
    });
    try {
      return await Promise.race([this.#ended, late]);
    } finally {
      clearTimeout(timer);
      this.#keepProgram(false);
    }
  }

  #late(timeoutMs: number): WatchOutcome {
    const held = [...this.#status.values()].flatMap(({ obstacle }) => obstacle ?? []);
    const why = held.length === 0 ? "" : `, held up: ${held.join("; ")}`;
    const problem = `not everything is sent after ${timeoutMs / 1000} s (${this.#left()}${why}); process ${this.pid} goes on`;
    return { isSent: false, problem, bytesLeft: this.#bytesLeft() };
  }

  #left(): string {
    const bytes = this.#bytesLeft();
    return bytes === undefined ? "it is not known how much is left" : `${bytes} bytes of event files are left`;
  }

  #bytesLeft(): number | undefined {
    if (this.#status.size === 0) return undefined;
    return [...this.#status.values()].reduce((sum, { bytesBehind = 0 }) => sum + bytesBehind, 0);
  }

  #outcome(): Promise<WatchOutcome> {
    const child = this.#child;
    // Who reads its input may be gone before we are.
    child.stdin.on("error", () => {});
    createInterface({ input: child.stdout }).on("line", (line) => this.#hear(line));
    createInterface({ input: child.stderr }).on("line", (line) => this.#keep(line));
    return new Promise((resolve) => {
      const end = (how: string, isSent: boolean) => {
        const { message, hint } = this.#end?.error ?? {
          message: this.#text.join("; ") || "it said nothing",
          hint: null,
        };
        const said = hint === null ? message : `${message}; ${hint}`;
        const problem = isSent ? undefined : `not everything is sent: tracelet watch ended with ${how}: ${said}`;
        const outcome = { isSent, problem, bytesLeft: isSent ? 0 : this.#bytesLeft() };
        resolve(outcome);
        if (!this.#isFinishing) this.#onEnd(outcome);
      };
      child.once("error", (error) => end(error.message, false));
      child.once("close", (code, signal) => {
        end(signal ?? `exit code ${code}`, SENT.has(code) && this.#end !== undefined);
      });
    });
  }

  #hear(line: string): void {
    let said: Said & Partial<WatchEvent>;
    try {
      said = JSON.parse(line) as typeof said;
    } catch {
      this.#keep(line);
      return;
    }
    if (said.type === "status") this.#status.set(said.backend ?? "", said);
    else if (said.type === "end") this.#end = said;
    else if (said.type === "event") {
      const { level = "info", run, message = "", hint } = said;
      this.#onEvent({ level, run: run ?? undefined, message, hint: hint ?? undefined });
    }
  }

  #keep(line: string): void {
    this.#text.push(line);
    if (this.#text.length > KEPT_LINES) this.#text.shift();
  }

  /** Whether the program goes on for as long as the watch does. */
  #keepProgram(keeps: boolean): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const each of [this.#child, ...([stdin, stdout, stderr] as unknown as Socket[])]) {
      if (keeps) each.ref();
      else each.unref();
    }
  }
}
