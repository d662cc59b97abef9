/** Send all runs of one or more logdirs to one destination, once. */
import PQueue from "p-queue";
import { TraceletError } from "../../errors.ts";
import type { Kind } from "../../reader/datum.ts";
import type { DiscoveredRun, Discovery } from "../../reader/discover.ts";
import type { Note } from "../report/note.ts";
import type { Progress } from "../report/progress.ts";
import { untilOver } from "../run/interruption.ts";
import { OtherRuns } from "../run/other-runs.ts";
import type { RunSyncContext } from "../run/run-context.ts";
import type { RunResult } from "../run/run-result.ts";
import { syncRun, unchangedAtAGlance } from "../run/run-sync.ts";
import { BegunSince } from "../source/begun.ts";
import type { Grouping } from "../source/groups.ts";
import { linkedRuns, withoutLinksInside } from "../source/linked-runs.ts";
import { requiredLogdirs } from "../source/logdirs.ts";
import type { Recordings } from "../source/recordings.ts";
import type { RunGroup } from "../source/run-group.ts";
import type { StoredRun } from "../state/stored-run.ts";
import { localSource } from "../tree/local-source.ts";
import type { Source } from "../tree/source.ts";
import { followMoved } from "./moved-runs.ts";
import { Parents } from "./parents.ts";
import { apartMessage, groupAsBefore, regroupedMessage } from "./regrouping.ts";
import { confirm, settle, survey } from "./survey.ts";
import type { SyncResult } from "./sync-result.ts";

export interface SyncOptions
  extends Omit<RunSyncContext, "progress" | "parentId" | "onOpen" | "isLive" | "patienceMs" | "others">,
    Grouping {
  /** Where the runs come from; by default the logdirs are directories and files on this machine. */
  readonly source?: Source;
  /** What they hold, if that has been asked already. */
  readonly discovery?: Promise<Discovery>;
  readonly wantsRun: NonNullable<Grouping["wantsRun"]>;
  /** Whether to send one of those, by its name in the result; by default all. It does not decide how runs are grouped. */
  readonly wantsGroup?: (name: string) => boolean;
  /** What was recorded beside the runs; left out: nothing. */
  readonly recordings?: Recordings | undefined;
  /** Whether the local state is trusted, and the destination not asked. */
  readonly trustsState?: boolean;
  /** Whether runs are left running once everything is sent, because they may still be written to. */
  readonly leavesRunning?: boolean;
  /** How many runs are sent at the same time. */
  readonly concurrency: number;
  /** Aborted: return at once with what is known, whatever is still under way. By default that is waited for. */
  readonly over?: AbortSignal;
  /** Called once, before the first run, with an object that is kept up to date. */
  readonly onStart?: (progress: Readonly<Progress>) => void;
  /** Called with each run as it ends. */
  readonly onRun?: (result: RunResult) => void;
}

/**
 * Bring a destination up to what the logdirs hold now.
 *
 * @throws TraceletError `logdir` if one cannot be read, `state` if the checkpoints cannot, `usage` if runs were sent in
 *   another grouping
 */
export async function sync(options: SyncOptions): Promise<SyncResult> {
  const { checkpoints, signal } = options;
  const { runs: found, problems } = await (options.discovery ??
    (options.source ?? localSource(requiredLogdirs(options.logdirs, options.group))).discover());
  const all = options.group === "none" ? found : withoutLinksInside(found);
  const begun = options.since === undefined ? undefined : new BegunSince(options);
  const whole = withoutKinds(all, options.transform);
  const wanted = (await begun?.of(whole, options.wantsRun)) ?? whole;
  const links = options.group === "none" ? [] : linkedRuns(found, options.wantsRun);
  const stored = checkpoints.runs();
  const surveying = { backend: options.backend, checkpoints, stored };
  const asks = options.trustsState !== true;
  let error: TraceletError | undefined;
  if (asks) {
    const asked = survey(surveying).catch((cause: unknown) => {
      if (!(cause instanceof TraceletError)) throw cause;
      // Being told to stop is no failure.
      if (!signal.aborted) error = cause;
    });
    await untilOver(asked, options.over);
  }
  const moved = (await untilOver(followMoved({ wanted, all, stored }), options.over)) ?? [];
  const grouped = await untilOver(groupAsBefore(wanted, options, stored), options.over);
  const { groups: bare, excluded, regrouped } = grouped ?? { groups: [], excluded: [], regrouped: [] };
  const groups = (await options.recordings?.join(bare)) ?? bare;
  checkpoints.rename(moved.map(({ run }) => run));
  const runs = options.wantsGroup === undefined ? groups : wantedGroups(groups, options.wantsGroup);
  // A run that only held others already knows its files as they are now.
  checkpoints.reopen(regrouped.flatMap(({ to }) => stored.get(to) ?? []));
  const others = new OtherRuns(() => [...all, ...runs, ...excluded], stored);
  const parents = new Parents();
  const progress: Progress = {
    runs: 0,
    totalRuns: runs.length,
    bytes: 0,
    totalBytes: newBytes(runs, stored),
    values: 0,
  };
  options.onStart?.(progress);
  const results = new Map<RunGroup, RunResult>();
  let failure: unknown;
  const queue = new PQueue({ concurrency: options.concurrency });
  const context: RunSyncContext = {
    ...options,
    progress,
    others,
    isLive: options.leavesRunning ?? false,
    patienceMs: 0,
    parentId: (parent) => parents.idOf(parent),
    onOpen: (group, id) => parents.opened(group, id),
  };
  const take = (run: RunGroup, synced: RunResult) => {
    const moved = regrouped.filter(({ to }) => to === run.name);
    const notes: Note[] = moved.map((each) => ({ code: "regrouped", message: regroupedMessage(each) }));
    const apart = apartMessage(run);
    if (apart !== undefined) notes.push({ code: "apart", message: apart });
    const result = notes.length === 0 ? synced : { ...synced, notes: [...synced.notes, ...notes] };
    if (!results.has(run)) progress.runs++;
    results.set(run, result);
    if (result.error?.endsAll) error = result.error;
    options.onRun?.(result);
    parents.ended(run, result.outcome === "empty");
  };
  const one = async (run: RunGroup, candidates: StoredRun[]) => {
    if (error === undefined && !signal.aborted) take(run, await syncRun(run, candidates, context));
  };
  // Runs with the same name may be copies; the second one has to see what became of the first.
  for (const [name, sameName] of groupByName(runs)) {
    const candidates = stored.get(name) ?? [];
    stored.set(name, candidates);
    const left = [...sameName];
    // Most of a large tree is unchanged, and need not wait in the queue to be told so.
    for (let run = left[0]; run !== undefined && error === undefined && !signal.aborted; run = left[0]) {
      const unchanged = unchangedAtAGlance(run, candidates, context);
      if (unchanged === undefined) break;
      take(run, unchanged);
      left.shift();
    }
    if (left.length === 0) continue;
    void queue
      .add(async () => {
        for (const run of left) await one(run, candidates).finally(() => parents.ended(run, false));
      })
      .catch((cause: unknown) => {
        failure ??= cause;
        queue.clear();
      });
  }
  await untilOver(queue.onIdle(), options.over);
  if (failure !== undefined) throw failure;
  if (error === undefined && !signal.aborted) {
    try {
      const lost = new Set((await settle(surveying)).map(({ remoteId }) => remoteId));
      for (const run of runs) if (lost.has(results.get(run)?.remoteId)) await one(run, stored.get(run.name) ?? []);
    } catch (cause) {
      if (!(cause instanceof TraceletError)) throw cause;
      error = cause;
    }
  }
  checkpoints.place(
    runs.flatMap((run) => {
      const { outcome, remoteId } = results.get(run) ?? {};
      const known =
        outcome === "unchanged" ? stored.get(run.name)?.find((each) => each.remoteId === remoteId) : undefined;
      return known === undefined || known.directory !== undefined ? [] : [placed(known, run)];
    }),
  );
  if (asks && error === undefined && !signal.aborted) await untilOver(confirm(surveying), options.over);
  const isLeft = (run: RunGroup) => LEFT.has(results.get(run)?.outcome ?? "interrupted");
  const isCut = signal.aborted || error !== undefined;
  return {
    runs: runs.flatMap((run) => results.get(run) ?? []),
    excludedRuns: excluded.length,
    earlierFiles: begun?.earlier.size ?? 0,
    unmatched: options.transform.use?.unmatched() ?? [],
    links,
    problems,
    error,
    interrupted: signal.aborted,
    left: isCut ? { runs: runs.filter(isLeft).length, bytes: newBytes(runs, stored) } : undefined,
  };
}

/** Versions before 0.2 did not record where a run lies, which tells a copy from a run that has moved. */
export function placed(stored: StoredRun, { store, directory }: RunGroup): StoredRun {
  stored.directory = store.placeOf(directory);
  return stored;
}

const LEFT: ReadonlySet<RunResult["outcome"]> = new Set(["interrupted", "failed"]);

/** The runs without the files of excluded kinds. */
export function withoutKinds(
  runs: readonly DiscoveredRun[],
  { excludeKinds }: SyncOptions["transform"],
): readonly DiscoveredRun[] {
  const excluded = (kind: Kind) => excludeKinds?.has(kind) ?? false;
  if (!excluded("hparams") && !excluded("embeddings")) return runs;
  // As if they were not there, so that they are sent once they are no longer excluded.
  return runs.map((run) => ({
    ...run,
    hparamsFile: excluded("hparams") ? undefined : run.hparamsFile,
    projectorFile: excluded("embeddings") ? undefined : run.projectorFile,
  }));
}

/** The wanted groups, and those that they are nested in. */
function wantedGroups(groups: readonly RunGroup[], wants: (name: string) => boolean): RunGroup[] {
  const wanted = new Set<RunGroup>();
  for (const group of groups) {
    if (!wants(group.title ?? group.name)) continue;
    for (let each: RunGroup | undefined = group; each !== undefined; each = each.parent) wanted.add(each);
  }
  return groups.filter((group) => wanted.has(group));
}

function newBytes(runs: readonly RunGroup[], stored: ReadonlyMap<string, readonly StoredRun[]>): number {
  let bytes = 0;
  for (const [name, sameName] of groupByName(runs)) {
    const offsets = new Map<string, number>();
    for (const { files } of stored.get(name) ?? []) {
      for (const file of files) if (!offsets.has(file.name)) offsets.set(file.name, file.offset);
    }
    for (const { files } of sameName) {
      for (const entry of files) bytes += Math.max(0, entry.size - (offsets.get(entry.name) ?? 0));
    }
  }
  return bytes;
}

function groupByName(runs: readonly RunGroup[]): Map<string, RunGroup[]> {
  const groups = new Map<string, RunGroup[]>();
  for (const run of runs) {
    const group = groups.get(run.name);
    if (group === undefined) groups.set(run.name, [run]);
    else group.push(run);
  }
  return groups;
}
