/**
 * Compare what an MLflow holds with what the logdirs hold, without writing anywhere.
 *
 * The way is that of a sync which knows nothing of an earlier one: every value passes through the engine and the backend,
 * and what comes out is compared instead of sent. Of points only sums are kept. Where they differ, the source is read
 * once more, and the points of those metrics are held and compared, some hundred thousand at a time.
 */
import os from "node:os";
import PQueue from "p-queue";
import { TraceletError } from "../../../../errors.ts";
import { Checkpoints } from "../../../checkpoints.ts";
import { type SyncOptions, type SyncResult, sync } from "../../../engine.ts";
import type { FileProblem } from "../../../match.ts";
import type { RunResult } from "../../../run-result.ts";
import type { ArtifactStore } from "../artifacts.ts";
import { MlflowBackend } from "../backend.ts";
import type { LogBatch, MlflowStore, RunStatus } from "../store.ts";
import { ArtifactCheck } from "./artifact-check.ts";
import { Findings } from "./findings.ts";
import { ItemSet, partOf, pointAt } from "./items.ts";
import { RunCheck, type Unsettled } from "./run-check.ts";
import { type Expectations, VerifyStore } from "./store.ts";

export interface VerifyOptions extends Omit<SyncOptions, "backend" | "checkpoints" | "onRun" | "trace"> {
  /** Only read; not closed. */
  readonly store: MlflowStore;
  readonly experiment: string;
  /** Version of tracelet, for the pages. */
  readonly version: string;
  /** The largest file that was to be stored, bytes; left out: any. */
  readonly maxArtifactBytes?: number | undefined;
  /** Items of either side that are held at once, 24 bytes each. Default 750,000. */
  readonly itemsHeld?: number | undefined;
}

/** What became of one run. */
export interface VerifiedRun {
  readonly name: string;
  /**
   * `missing`: the run is not there. `failed`: see `error`; nothing is known of it. `empty`: the source has no values.
   * `copy`: the same files as a run before it. `interrupted`: not looked at to the end.
   */
  readonly outcome: "equal" | "different" | "missing" | "failed" | "empty" | "copy" | "interrupted";
  readonly remoteId: string | undefined;
  readonly error: TraceletError | undefined;
  readonly findings: Findings;
  /** Why its files were not compared. */
  readonly obstacle: TraceletError | undefined;
  /** What could not be read of the source. */
  readonly problems: readonly FileProblem[];
  /** What is damaged in the source, and was passed over. */
  readonly losses: RunResult["losses"];
}

export interface VerifyResult extends Omit<SyncResult, "runs" | "left"> {
  /** What was not compared since it was interrupted. */
  readonly left: { readonly runs: number } | undefined;
  readonly runs: readonly VerifiedRun[];
  /** Address of the experiment, where it has one. */
  readonly location: string | undefined;
}

/** @throws TraceletError `logdir` if one cannot be read */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  // Copies of a run in several logdirs are one run there, which is complete only when all are read.
  const sums = new SumsOfRuns(options, options.logdirs.length === 1);
  const { result, location } = await pass(options, sums);
  const errors = await sums.finish();
  await settle(options, sums.checks, result, errors);
  const seen = new Set<string>();
  const runs = result.runs.map((run) => verified(run, sums.checks.get(run.remoteId ?? ""), errors, seen));
  const endsAll = [...errors.values()].find((error) => error.endsAll);
  const left = options.signal.aborted ? notCompared(result, runs) : undefined;
  return { ...result, runs, location, error: result.error ?? endsAll, interrupted: options.signal.aborted, left };
}

/** Those that were not begun, or not looked at to the end. */
function notCompared({ left, runs }: SyncResult, verified: readonly VerifiedRun[]): { readonly runs: number } {
  const isInterrupted = ({ outcome }: { readonly outcome: string }) => outcome === "interrupted";
  const notBegun = (left?.runs ?? 0) - runs.filter(isInterrupted).length;
  return { runs: Math.max(0, notBegun) + verified.filter(isInterrupted).length };
}

/** One reading of the source. */
async function pass(
  { store, experiment, version, maxArtifactBytes, ...options }: VerifyOptions,
  expectations: Expectations,
): Promise<{ result: SyncResult; location: string | undefined }> {
  const backend = new MlflowBackend({
    store: new VerifyStore(store, expectations),
    experiment,
    version,
    keepsMarks: false,
    giveUpAfterMs: 0,
    maxArtifactBytes,
  });
  // No state can be there: it is empty, and kept nowhere.
  const checkpoints = Checkpoints.open(os.devNull, "", { readOnly: true });
  try {
    return { result: await sync({ ...options, backend, checkpoints }), location: backend.location() };
  } finally {
    checkpoints.close();
  }
}

/** The first reading: sums. */
class SumsOfRuns implements Expectations {
  readonly checks = new Map<string, RunCheck>();
  readonly #store: MlflowStore;
  readonly #signal: AbortSignal;
  readonly #atOnce: boolean;
  /** A single large run has many metrics to be read. */
  readonly #readings: PQueue;

  /** @param atOnce compare each run as soon as it is read */
  constructor({ store, signal, concurrency }: VerifyOptions, atOnce: boolean) {
    this.#readings = new PQueue({ concurrency });
    this.#store = store;
    this.#signal = signal;
    this.#atOnce = atOnce;
  }

  newRun(): string {
    const id = `not there ${this.checks.size}`;
    this.checks.set(id, new RunCheck(id, false));
    return id;
  }

  batch(runId: string, batch: LogBatch): void {
    this.#check(runId).expect(batch);
  }

  duplicate(runId: string, other: string): void {
    this.#check(runId).findings.add({
      what: "runs",
      name: `run ${other}, a second one of the same source,`,
      state: "extra",
    });
  }

  artifacts(runId: string, open: () => Promise<ArtifactStore>): Promise<ArtifactStore> {
    return this.#check(runId).artifacts(open);
  }

  async end(runId: string, status: RunStatus): Promise<void> {
    const check = this.#check(runId);
    check.status = status;
    if (this.#atOnce) await check.compare(this.#store, this.#readings, this.#signal);
  }

  /** Compare what was put off. @returns what could not be, by the run's id */
  async finish(): Promise<Map<string, TraceletError>> {
    const errors = new Map<string, TraceletError>();
    if (this.#atOnce) return errors;
    for (const check of this.checks.values()) {
      if (check.status === undefined || this.#signal.aborted) continue;
      await check.compare(this.#store, this.#readings, this.#signal).catch((error: unknown) => {
        if (!(error instanceof TraceletError)) throw error;
        if (!this.#signal.aborted) errors.set(check.id, error);
      });
    }
    return errors;
  }

  #check(id: string): RunCheck {
    let check = this.checks.get(id);
    if (check === undefined) {
      check = new RunCheck(id, true);
      this.checks.set(id, check);
    }
    return check;
  }
}

/** A series that is looked at again, or a part of one that is too long to be held whole. */
interface Task extends Unsettled {
  readonly check: RunCheck;
  readonly part: number;
  readonly parts: number;
  /** How many items of either side there will be, about. */
  readonly size: number;
}

/** Find out what is not the same where sums are not. @param errors gets what could not be read, by the run's id */
async function settle(
  options: VerifyOptions,
  checks: ReadonlyMap<string, RunCheck>,
  { runs, error }: SyncResult,
  errors: Map<string, TraceletError>,
): Promise<void> {
  const { itemsHeld = 750_000 } = options;
  const names = new Map(runs.map(({ remoteId, name }) => [remoteId, name]));
  const all = Array.from(checks.values()).flatMap((check) => tasksOf(check, itemsHeld));
  for (const { check } of all) check.toSettle++;
  if (error !== undefined || options.signal.aborted) return;
  for (const tasks of grouped(all, itemsHeld)) {
    const ids = new Set(tasks.map(({ check }) => check.id));
    // Copies in several logdirs are one run there.
    const wanted = new Set(runs.flatMap(({ remoteId = "", name }) => (ids.has(remoteId) ? [name] : [])));
    const items = new ItemsOfRuns(tasks);
    const { onStart: _, ...quiet } = options;
    const { result } = await pass({ ...quiet, wantsGroup: (name) => wanted.has(name) }, items);
    for (const task of tasks) {
      if (options.signal.aborted) return;
      const { check, what, name } = task;
      const failed = result.runs.find(({ remoteId, error }) => remoteId === check.id && error !== undefined);
      try {
        if (!items.ended.has(check.id)) throw failed?.error ?? result.error ?? changed(names.get(check.id));
        check.findings.addSets(what, name, items.held.get(task) as ItemSet, await itemsThere(task, options));
      } catch (error) {
        if (!(error instanceof TraceletError)) throw error;
        errors.set(check.id, error);
      }
      items.held.delete(task);
    }
    for (const task of tasks) task.check.toSettle--;
    if (result.error !== undefined) return;
  }
}

function changed(name: string | undefined): TraceletError {
  return new TraceletError("logdir", `${name} changed while it was verified`, { hint: "verify again" });
}

function tasksOf(check: RunCheck, held: number): Task[] {
  return check.unsettled.flatMap((series) => {
    const all = Math.max(series.source, series.there);
    const parts = Math.ceil(all / held);
    return Array.from({ length: parts }, (_, part) => ({ ...series, check, part, parts, size: all / parts }));
  });
}

/** As many at a time as can be held. */
function grouped(tasks: readonly Task[], held: number): Task[][] {
  const groups: Task[][] = [];
  let room = 0;
  for (const task of tasks) {
    if (task.size > room) {
      groups.push([]);
      room = held;
    }
    groups[groups.length - 1]?.push(task);
    room -= task.size;
  }
  return groups;
}

/** A later reading: the items themselves, of some series. */
class ItemsOfRuns implements Expectations {
  readonly held: Map<Task, ItemSet>;
  /** The runs that were read to their end. */
  readonly ended = new Set<string>();
  readonly #tasks = new Map<string, Task[]>();
  readonly #artifacts = new Map<string, ArtifactCheck>();

  constructor(tasks: readonly Task[]) {
    this.held = new Map(tasks.map((task) => [task, new ItemSet(task.source / task.parts)]));
    for (const task of tasks) {
      const id = idOf(task.check.id, task.what, task.name);
      this.#tasks.set(id, [...(this.#tasks.get(id) ?? []), task]);
    }
  }

  newRun(): string {
    return "";
  }

  batch(runId: string, { metrics }: LogBatch): void {
    const byKey = metrics.keys.map((key) => this.#tasks.get(idOf(runId, "points", key)));
    for (let i = 0; i < metrics.length; i++) {
      const tasks = byKey[metrics.key[i] as number];
      if (tasks !== undefined) this.#hold(tasks, pointAt(metrics, i));
    }
  }

  /** The first reading has noted it. */
  duplicate(): void {}

  async artifacts(runId: string): Promise<ArtifactStore> {
    const wantsLines = Array.from(this.held.keys()).some(({ what, check }) => what === "lines" && check.id === runId);
    // Then nothing is drawn or encoded.
    if (!wantsLines) throw new TraceletError("unsupported", "the files of this run have been compared");
    const known = this.#artifacts.get(runId);
    if (known !== undefined) return known;
    const artifacts = new ArtifactCheck(undefined, new Findings(), (folder, words) => {
      this.#hold(this.#tasks.get(idOf(runId, "lines", folder)) ?? [], words);
    });
    this.#artifacts.set(runId, artifacts);
    return artifacts;
  }

  async end(runId: string): Promise<void> {
    this.#artifacts.get(runId)?.endLines();
    this.ended.add(runId);
  }

  #hold(tasks: readonly Task[], words: Int32Array): void {
    for (const task of tasks) if (partOf(words, task.parts) === task.part) this.held.get(task)?.add(words);
  }
}

function idOf(runId: string, what: Unsettled["what"], name: string): string {
  return `${runId} ${what} ${name}`;
}

/** What is there of a series, or of a part of it. */
async function itemsThere({ what, name, part, parts, there, check }: Task, options: VerifyOptions): Promise<ItemSet> {
  const { store, signal } = options;
  const items = new ItemSet(there / parts);
  const take = (words: Int32Array) => {
    if (partOf(words, parts) === part) items.add(words);
  };
  if (what === "points") {
    for await (const page of store.metricHistory(check.id, name)) {
      for (let i = 0; i < page.length; i++) take(pointAt(page, i));
      signal.throwIfAborted();
    }
  } else {
    const artifacts = await check.artifacts(() => store.artifacts({ id: check.id }));
    await artifacts.eachStoredLine((folder, words) => {
      if (folder === name) take(words);
    });
  }
  return items;
}

function verified(
  run: RunResult,
  check: RunCheck | undefined,
  errors: ReadonlyMap<string, TraceletError>,
  seen: Set<string>,
): VerifiedRun {
  const { name, remoteId = "", problems, losses } = run;
  const error = run.error ?? errors.get(remoteId);
  const shared = { name, error, problems, losses, obstacle: check?.obstacle };
  const known = check?.isThere === false ? undefined : run.remoteId;
  // One that was not opened has no id; another without one is no copy of it.
  if (run.outcome === "unchanged" || (remoteId !== "" && seen.has(remoteId))) {
    return { ...shared, outcome: error ? "failed" : "copy", remoteId: known, findings: new Findings() };
  }
  seen.add(remoteId);
  return { ...shared, outcome: outcomeOf(), remoteId: known, findings: check?.findings ?? new Findings() };

  function outcomeOf(): VerifiedRun["outcome"] {
    if (error !== undefined) return "failed";
    if (check === undefined) return run.outcome === "empty" ? "empty" : "interrupted";
    if (!check.compared || check.toSettle > 0) return "interrupted";
    if (!check.isThere) return "missing";
    return check.findings.equal ? "equal" : "different";
  }
}
