/** What Linux tells of a process in `/proc/<pid>/stat`. */
import { readFileSync } from "node:fs";

export interface ProcessStat {
  /** One letter; `Z` and `X` have ended. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  /** The id of the process that leads its session. */
  readonly session: number;
  /** Device of its controlling terminal; 0 if it has none. */
  readonly terminal: number;
  /** The process group that the terminal's keys go to; −1 without one. */
  readonly foregroundGroup: number;
  /** In clock ticks since the system began: with the id, what tells a process from a later one of the same id. */
  readonly startedAt: number;
}

/** @returns undefined where nothing is told: other systems, other users' processes under `hidepid` */
export function processStat(pid: number | "self"): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name before it is in parentheses, and may hold any.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      state: fields[0] as string,
      parent: Number(fields[1]),
      group: Number(fields[2]),
      session: Number(fields[3]),
      terminal: Number(fields[4]),
      foregroundGroup: Number(fields[5]),
      startedAt: Number(fields[19]),
    };
  } catch {
    return undefined;
  }
}
