/** A program that is asked something: bounded in time and output, never asked twice, never able to ask back. */
import { type ChildProcess, spawn } from "node:child_process";

export interface Asking {
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** ms. */
  readonly timeoutMs: number;
  /** Bytes of standard output that are kept; what is more is not read. */
  readonly maxBytes: number;
}

export interface Answer {
  readonly stdout: Buffer;
  /** Its end only. */
  readonly stderr: string;
  /** Undefined if it was ended by a signal, or for its output. */
  readonly code: number | undefined;
  /** Whether there was more than `maxBytes`. */
  readonly isCut: boolean;
}

const MAX_STDERR = 4096;

/** @returns why it could not be asked: there is no such program, it cannot be run, or it took too long */
export function ask(command: string, args: readonly string[], how: Asking): Promise<Answer | Error> {
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = spawn(command, args, {
        cwd: how.cwd,
        env: how.env ?? process.env,
        stdio: ["ignore", "pipe", "pipe"],
        windowsHide: true,
      });
    } catch (error) {
      return resolve(error as Error);
    }
    const chunks: Buffer[] = [];
    let [bytes, stderr, isCut, isLate] = [0, "", false, false];
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
      // What it started may hold its output open.
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, how.timeoutMs);
    child.stdout?.on("data", (chunk: Buffer) => {
      if (isCut) return;
      chunks.push(chunk.subarray(0, how.maxBytes - bytes));
      bytes += chunk.length;
      if (bytes <= how.maxBytes) return;
      isCut = true;
      child.kill("SIGKILL");
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-MAX_STDERR);
    });
    child.once("error", (error) => {
      clearTimeout(timer);
      resolve(error);
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      if (isLate) return resolve(new Error(`${command} did not answer within ${how.timeoutMs / 1000} s`));
      resolve({ stdout: Buffer.concat(chunks), stderr, code: code ?? undefined, isCut });
    });
  });
}
