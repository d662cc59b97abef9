/** Runs that were sent under another grouping: sent again under this one, every point would be stored twice. */
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import type { DiscoveredRun } from "../../reader/discover.ts";
import { useFile } from "../../reader/file-store.ts";
import { hashHead, headHash } from "../source/fingerprint.ts";
import { type Grouping, type GroupMode, type Groups, groupRuns, holds, pathBelow } from "../source/groups.ts";
import { directoryOf, type GroupFile, type RunGroup, SESSION } from "../source/run-group.ts";
import { placesOf, sinceOf } from "../source/session.ts";
import type { StoredRun } from "../state/stored-run.ts";

/** A file that was sent to one run and would now be sent to another. */
export interface Regrouped {
  /** Name of the run that has it. */
  readonly from: string;
  /** Name of the run that it belongs to now. */
  readonly to: string;
}

/**
 * Group the runs; see `groupRuns`.
 *
 * @returns the groups, and what they take from runs that were sent under another grouping
 * @throws TraceletError `usage` if they take anything, unless that was asked for
 */
export async function groupAsBefore(
  runs: readonly DiscoveredRun[],
  grouping: Grouping,
  stored: ReadonlyMap<string, readonly StoredRun[]>,
): Promise<Groups & { readonly regrouped: readonly Regrouped[] }> {
  const { group: mode, regroups } = grouping;
  const { groups, excluded } = await groupRuns(runs, grouping, stored);
  const regrouped = await findRegrouped(groups, mode, stored);
  const [first, ...others] = regrouped;
  if (first === undefined || regroups === true) return { groups, excluded, regrouped };
  const more = others.length === 0 ? "" : ` (and ${others.length} more like it)`;
  const since = sinceOf(first.from);
  const there = since === undefined ? `the run ${first.from}` : `one run (--group logdir --since ${since})`;
  const here = first.to === first.from ? "it, under other names" : `the run ${first.to}`;
  const before =
    since === undefined
      ? "give --group as it was before"
      : `to go on with it, give --group logdir --since ${since} and the logdirs as they were (start_logging in Python: runs lightning_logs)`;
  throw new TraceletError(
    "usage",
    `with --group ${mode} what was sent to ${there} would be sent again to ${here}${more}`,
    { hint: `${before}; --regroup sends it anew in the new grouping, and leaves what is there` },
  );
}

/** The note for one that was asked for. */
export function regroupedMessage({ from }: Regrouped): string {
  return `regrouped: its values were sent to the run ${from} before, which is still there`;
}

/** What is said of a run that is a part of another one and was sent by itself; undefined of all others. */
export function apartMessage({ members }: RunGroup): string | undefined {
  const above = members[0]?.partOf;
  if (above === undefined) return undefined;
  return `belongs to the run ${above} and was sent as a run of its own before, which goes on; --regroup sends it to ${above} instead, and leaves what is there`;
}

async function findRegrouped(
  groups: readonly RunGroup[],
  mode: GroupMode,
  stored: ReadonlyMap<string, readonly StoredRun[]>,
): Promise<Regrouped[]> {
  const moved = groups.flatMap(({ name, files, isDirectory }) => {
    const own = sentRuns(stored.get(name));
    const isMoved = (file: GroupFile) => !own.some((run) => holds(run.files, file.name));
    return isDirectory ? [] : files.filter(isMoved).map((file) => ({ to: name, file }));
  });
  const found = new Map<string, Regrouped>();
  if (moved.length === 0) return [];
  const sent = new Map<string, { readonly from: string; readonly mark: StoredRun["files"][number] }[]>();
  for (const [from, runs] of stored) {
    for (const mark of sentRuns(runs).flatMap(({ files }) => files)) {
      const place = path.posix.join(directoryOf(from), mark.name);
      // Relative to what holds all logdirs of a session, whichever these were.
      for (const each of from.startsWith(SESSION) ? placesOf(place) : [place]) {
        const known = sent.get(each) ?? [];
        known.push({ from, mark });
        sent.set(each, known);
      }
    }
  }
  for (const { to, file } of moved) {
    const place = path.posix.join(directoryOf(to), file.name);
    const places = to.startsWith(SESSION) ? placesOf(place) : [place];
    for (const { from, mark } of places.flatMap((each) => sent.get(each) ?? [])) {
      // A directory that appeared inside a run of --group parent split it off, within the same grouping.
      if (mode === "parent" && pathBelow(to, from) !== undefined) continue;
      const key = `${from}\0${to}`;
      if (!found.has(key) && (await isSame(file, mark))) found.set(key, { from, to });
    }
  }
  return [...found.values()];
}

/** Without those that only hold others: they have marks of files, but none of the values. */
function sentRuns(runs: readonly StoredRun[] = []): readonly StoredRun[] {
  return runs.filter(({ lastWallTime }) => lastWallTime !== -Infinity);
}

/** Whether the file begins like the one that was sent: another logdir may have one of the same name. */
async function isSame(file: GroupFile, mark: StoredRun["files"][number]): Promise<boolean> {
  try {
    return (await useFile(file, (source) => hashHead(source, mark.head))) === headHash(mark.key);
  } catch {
    // It is reported when it is about to be sent.
    return false;
  }
}
