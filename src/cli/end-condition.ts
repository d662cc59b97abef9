/** When a watch ends by itself: with a process, with its standard input, or when nothing has been written for long enough. */
import type { Readable } from "node:stream";
import { TraceletError } from "../errors.ts";
import type { WatchStatus } from "../sync/engine/watch-status.ts";
import { processStat } from "./process-stat.ts";

const LOOK_MS = 1000;
/** Of what is said on the input, the end is kept, characters. */
const FAREWELL_LENGTH = 100;

export interface EndConditions {
  /** Of `followProcess`. */
  readonly isRunning: (() => boolean) | undefined;
  /** For how long no file may have grown, ms. */
  readonly untilIdleMs: number | undefined;
  /** Whose end is waited for. */
  readonly input: Readable | undefined;
}

/**
 * Whether whoever holds the other end of the input has failed. Its last line tells: `finished`, or `failed`. One whose life
 * line this is says either before it ends; one that says neither did not come to that.
 *
 * @param isLifeLine whether it always says so @returns asked when the input has ended
 */
export function failureTold(input: Readable, isLifeLine: boolean): () => boolean {
  let said = "";
  input.on("data", (chunk: Buffer | string) => {
    said = (said + String(chunk)).slice(-FAREWELL_LENGTH);
  });
  return () => {
    const last = said.trimEnd().split("\n").at(-1);
    return last === "failed" || (isLifeLine && last !== "finished");
  };
}

/** @returns which of them came first; undefined if there is none, or it was aborted before */
export function endCondition(
  { isRunning, untilIdleMs, input }: EndConditions,
  status: Pick<WatchStatus, "isCaughtUp" | "quietSince">,
  signal: AbortSignal,
): Promise<"process" | "idle" | "eof" | undefined> {
  return new Promise((resolve) => {
    const asksNothing = isRunning === undefined && untilIdleMs === undefined && input === undefined;
    if (signal.aborted || asksNothing) {
      resolve(undefined);
      return;
    }
    const every = Math.min(LOOK_MS, untilIdleMs ?? LOOK_MS);
    let lookedAt = performance.now();
    const look = () => {
      const now = performance.now();
      // This process was stopped for a while: what has been written meanwhile is not known yet.
      const wasAsleep = now - lookedAt > every + LOOK_MS;
      lookedAt = now;
      if (isRunning?.() === false) end("process");
      else if (untilIdleMs === undefined || wasAsleep) return;
      else if (status.isCaughtUp && now - status.quietSince >= untilIdleMs) end("idle");
    };
    const timer = setInterval(look, every);
    const end = (reason: "process" | "idle" | "eof" | undefined) => {
      clearInterval(timer);
      // An open pipe would keep this process.
      input?.destroy();
      resolve(reason);
    };
    // Whoever held the other end is gone, whatever the system calls it.
    for (const event of ["end", "error", "close"]) input?.once(event, () => end("eof"));
    input?.resume();
    signal.addEventListener("abort", () => end(undefined), { once: true });
  });
}

/**
 * @returns whether the process that has the id now still runs; one that has ended and was not waited for does not
 * @throws TraceletError `usage` if there is none
 */
export function followProcess(pid: number, { mayBeOver }: { readonly mayBeOver: boolean }): () => boolean {
  const startedAt = processStat(pid)?.startedAt;
  const isRunning = () => {
    if (!exists(pid)) return false;
    const now = processStat(pid);
    if (now === undefined || startedAt === undefined) return true;
    return now.startedAt === startedAt && now.state !== "Z" && now.state !== "X";
  };
  // A program that starts a watch beside itself may end before that has begun.
  if (mayBeOver || isRunning()) return isRunning;
  throw new TraceletError("usage", `there is no process ${pid}`, {
    hint: "it may have ended already: tracelet sync sends what it wrote",
  });
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
