/** How the sync of one run ended. */
import type { TraceletError } from "../../errors.ts";
import { displayPath } from "../../reader/discover.ts";
import type { Loss, Tail } from "../../reader/tfrecord.ts";
import { type FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import { Tally } from "../report/tally.ts";
import { isRecorded, type RunGroup } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";
import { type BarrenOf, lossesIn } from "../state/barren-files.ts";
import type { StoredRun } from "../state/stored-run.ts";

/** What became of one run. */
export interface RunResult {
  readonly name: string;
  /** TensorBoard's names of the runs that are parts of it, beside its own. */
  readonly parts: readonly string[];
  /**
   * `unchanged`: nothing new since the last time. `empty`: no values yet. `sent`: all that is there is sent.
   * `failed`: see `error`. `interrupted`: stopped on request, to be continued.
   */
  readonly outcome: "unchanged" | "empty" | "sent" | "failed" | "interrupted";
  /** The destination's name of the run, if it has one. */
  readonly remoteId: string | undefined;
  readonly error: TraceletError | undefined;
  readonly tally: Tally;
  readonly notes: readonly Note[];
  readonly problems: readonly FileProblem[];
  /** What was passed over, now and before. */
  readonly losses: readonly (Loss & { readonly path: string })[];
  /** Files whose last record is not complete, or that end in zeros. */
  readonly waiting: readonly (Tail & { readonly path: string })[];
}

/** Of a run that was not opened, since nothing about it has changed. */
export function unchangedResult(group: RunGroup, stored: StoredRun, barrenOf: BarrenOf): RunResult {
  const damaged = stored.files.filter(({ losses }) => losses.length > 0);
  const lossesOf = new Map(damaged.map(({ name, stamp, losses }) => [`${stamp} ${name}`, losses]));
  return {
    name: group.title ?? group.name,
    parts: partsOf(group),
    outcome: "unchanged",
    remoteId: stored.remoteId,
    error: undefined,
    tally: new Tally(),
    notes: [],
    problems: [],
    losses: group.files.flatMap((entry) => {
      const barren = barrenOf(entry);
      if (barren !== undefined) return withPath(displayPath(entry.path), lossesIn(barren, entry.size));
      const losses = lossesOf.size === 0 ? undefined : lossesOf.get(`${stampOf(entry)} ${entry.name}`);
      return withPath(displayPath(entry.path), losses ?? []);
    }),
    waiting: [],
  };
}

export function partsOf({ name, members }: RunGroup): string[] {
  return members.flatMap((member) => (member.run.name === name || isRecorded(member) ? [] : [member.run.name]));
}

export function withPath<T extends object>(path: string, items: readonly T[]): (T & { readonly path: string })[] {
  return items.map((item) => ({ ...item, path }));
}
