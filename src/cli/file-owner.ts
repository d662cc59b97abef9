/** Whose an event file is, by the process that its name tells: several trainings may write to one logdir at the same time. */
import { readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import { writingProcess } from "../reader/event-file-name.ts";
import { processStat } from "./process-stat.ts";

/** Of times in `/proc`; what `sysconf(_SC_CLK_TCK)` is on every Linux. */
const TICKS_PER_SECOND = 100;
/** What a process' start may seem to be off by, ms. */
const START_INACCURACY = 2000;

/** How often new processes are looked at: one that has ended can be told only if it was seen before. ms. */
const LOOK_MS = 500;

/**
 * Whether a file was begun by another process of this machine: not the one with this id, nor a descendant of it. `running`: that
 * one still is; `ended`: it has ended, and was not seen among the descendants. Where the system does not tell (only Linux does), or the file's
 * name, no file is another's. The caller remembers the answer.
 *
 * @param members a file in which processes note their ids that belong to it, a line each: one may have ended before it is seen
 * @returns of a file's base name, and when it was begun in ms since the Unix epoch
 */
export function otherWriter(
  pid: number,
  members?: string,
): (name: string, begun: number) => "running" | "ended" | undefined {
  const descendants = new Descendants(pid);
  return (name, begun) => {
    const writer = writingProcess(name);
    if (writer === undefined || writer.host !== os.hostname() || writer.pid === pid) return undefined;
    if (processStat("self") === undefined) return undefined;
    descendants.look();
    if (!isRunning(writer.pid, begun)) {
      // What was logged by hand: another session would have claimed it, and a forked child may live for some ms only.
      const isOwn = descendants.has(writer.pid) || isNoted(writer.pid, members);
      return name.endsWith(".tracelet") || isOwn ? undefined : "ended";
    }
    return descendants.has(writer.pid) || isIn(writer.pid, pid) ? undefined : "running";
  };
}

/** Whether a process or a descendant of it writes a file now, by the file's base name. Where nothing tells, it does not. */
export function ownWriter(pid: number): (name: string) => boolean {
  return (name) => {
    const writer = writingProcess(name);
    return writer !== undefined && writer.host === os.hostname() && isIn(writer.pid, pid);
  };
}

/** The descendants of a process, those that have ended included. */
class Descendants {
  readonly #pid: number;
  readonly #seen = new Set<number>();
  /** Every process there was at the last look. */
  #known: ReadonlySet<number> = new Set();

  constructor(pid: number) {
    this.#pid = pid;
    this.look();
    const timer = setInterval(() => {
      this.look();
      if (processStat(pid) === undefined) clearInterval(timer);
    }, LOOK_MS);
    timer.unref();
  }

  has(pid: number): boolean {
    return this.#seen.has(pid);
  }

  look(): void {
    const now = new Set(processes());
    for (const pid of now) {
      if (this.#known.has(pid)) continue;
      // It may have the id of one that has ended.
      this.#seen.delete(pid);
      const parent = processStat(pid)?.parent;
      if (parent !== undefined && (this.#seen.has(parent) || isIn(parent, this.#pid))) this.#seen.add(pid);
    }
    this.#known = now;
  }
}

function isNoted(pid: number, members: string | undefined): boolean {
  try {
    return members !== undefined && readFileSync(members, "latin1").split("\n").includes(String(pid));
  } catch {
    return false;
  }
}

/** Ids of all processes; none where the system does not tell. */
function processes(): number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    return [];
  }
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
