/** Whose an event file is, by the process that its name tells: several trainings may write to one logdir at the same time. */
import { readFileSync } from "node:fs";
import os from "node:os";
import { writingProcess } from "../reader/event-file-name.ts";
import { processStat } from "./process-stat.ts";

/** Of times in `/proc`; what `sysconf(_SC_CLK_TCK)` is on every Linux. */
const TICKS_PER_SECOND = 100;
/** What a process' start may seem to be off by, ms. */
const START_INACCURACY = 2000;

/**
 * Whether a file is being written by a process of this machine that is neither the one with this id nor a descendant of it.
 * What was decided once stays: that process will end some time. Where the system does not tell (only Linux does), or the
 * file's name, no file is another's.
 *
 * @returns of a file's base name, and when it was begun in ms since the Unix epoch
 */
export function isOfOthers(pid: number): (name: string, begun: number) => boolean {
  const decided = new Map<string, boolean>();
  return (name, begun) => {
    const known = decided.get(name);
    if (known !== undefined) return known;
    const writer = writingProcess(name);
    const isAnothers =
      writer !== undefined && writer.host === os.hostname() && isRunning(writer.pid, begun) && !isIn(writer.pid, pid);
    decided.set(name, isAnothers);
    return isAnothers;
  };
}

/** Whether the process that has the id is the one that had it then. */
function isRunning(pid: number, then: number): boolean {
  const stat = processStat(pid);
  if (stat === undefined || stat.state === "Z" || stat.state === "X") return false;
  const bootedAt = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "latin1"))?.[1]) * 1000;
  return bootedAt + (stat.startedAt / TICKS_PER_SECOND) * 1000 < then + START_INACCURACY;
}

/** Whether a process is another one or a descendant of it. */
function isIn(pid: number, above: number): boolean {
  for (let each: number | undefined = pid; each !== undefined && each > 0; each = processStat(each)?.parent)
    if (each === above) return true;
  return false;
}
