/**
 * Compare what files hold with what the logdirs hold, without writing anywhere.
 *
 * The way is that of a sync that starts anew: every value passes through the engine, and is compared with all that is in the
 * run's files, whatever tracelet remembers of them. Of both sides only sums are kept. Where they differ, both are read once
 * more, and the values of those tags are held and compared, some hundred thousand at a time.
 */
import type { FilesBackend } from "../../backends/files/backend.ts";
import type { OutputDirectory } from "../../backends/files/output-directory.ts";
import type { OpenRun } from "../../backends/files/runs-on-disk.ts";
import type { RunState } from "../../backends/run-state.ts";
import { TraceletError } from "../../errors.ts";
import type { Batch, FinalStatus } from "../../sync/backend.ts";
import type { SyncOptions } from "../../sync/engine/once.ts";
import type { SyncResult } from "../../sync/engine/sync-result.ts";
import type { RunResult } from "../../sync/run/run-result.ts";
import type { Recordings } from "../../sync/source/recordings.ts";
import { Findings } from "../findings.ts";
import { ItemSet, partOf } from "../items.ts";
import { passOverRecorded } from "../recorded.ts";
import { notCompared, type VerifiedRun, type VerifyResult } from "../result.ts";
import { grouped, type Task, tasksOf, type Unsettled } from "../tasks.ts";
import type { Contents } from "./contents.ts";
import { pointOf } from "./points.ts";
import { type Expectations, readSource } from "./reading.ts";
import { RunCheck } from "./run-check.ts";

export interface VerifyOptions extends Omit<SyncOptions, "backend" | "checkpoints" | "onRun" | "trace"> {
  readonly directory: OutputDirectory;
  /** Only asked where a run's files are. */
  readonly files: FilesBackend<OpenRun>;
  readonly contents: Contents;
  /** Items of either side that are held at once, 24 bytes each. Default 750,000. */
  readonly itemsHeld?: number | undefined;
}

/** @throws TraceletError `logdir` if one cannot be read */
export async function verifyFiles(options: VerifyOptions): Promise<VerifyResult> {
  const { directory, files, contents, ...source } = options;
  const sums = new SumsOfRuns(contents, source.recordings);
  const result = await readSource(source, files, sums);
  const errors = new Map<string, TraceletError>();
  for (const check of sums.checks.values())
    if (check.status !== undefined)
      await noting(check, errors, options.signal, () => check.compare(contents, directory, options.signal));
  if (!options.signal.aborted && result.error === undefined)
    await settle(options, [...sums.checks.values()], result, errors);
  const seen = new Set<string>();
  const runs = result.runs.map((run) => verified(run, sums.checks.get(run.remoteId ?? ""), errors, seen));
  const interrupted = options.signal.aborted;
  const left = interrupted ? notCompared(result, runs) : undefined;
  return { ...result, runs, location: directory.root, interrupted, left };
}

/** The first reading: sums. */
class SumsOfRuns implements Expectations {
  readonly checks = new Map<string, RunCheck>();
  readonly #contents: Contents;
  readonly #recordings: Recordings | undefined;

  constructor(contents: Contents, recordings: Recordings | undefined) {
    this.#contents = contents;
    this.#recordings = recordings;
  }

  open(id: string, state: RunState | undefined): void {
    if (this.checks.has(id)) return;
    const check = new RunCheck(id, state);
    passOverRecorded(check.findings, this.#recordings, state?.marks.values() ?? []);
    this.checks.set(id, check);
  }

  batch(id: string, run: string, batch: Batch): void {
    const check = this.checks.get(id);
    if (check !== undefined) this.#contents.expected(run, batch, check.expect, check.expectMedium);
  }

  end(id: string, status: FinalStatus): void {
    const check = this.checks.get(id);
    if (check !== undefined) check.status = status;
  }
}

/** The second reading: the values themselves, of some series. */
class ItemsOfRuns implements Expectations {
  readonly held: Map<Task<RunCheck>, ItemSet>;
  /** The runs that were read to their end. */
  readonly ended = new Set<string>();
  readonly #tasks = new Map<string, Task<RunCheck>[]>();
  readonly #contents: Contents;

  constructor(contents: Contents, tasks: readonly Task<RunCheck>[]) {
    this.#contents = contents;
    this.held = new Map(tasks.map((task) => [task, new ItemSet(task.source / task.parts)]));
    for (const task of tasks) {
      const key = keyOf(task.check.id, task.what, task.name);
      this.#tasks.set(key, [...(this.#tasks.get(key) ?? []), task]);
    }
  }

  open(): void {}

  batch(id: string, run: string, batch: Batch): void {
    this.#contents.expected(
      run,
      batch,
      (what, name, words) => this.hold(id, what, name, words),
      () => {},
    );
  }

  end(id: string): void {
    this.ended.add(id);
  }

  hold(id: string, what: Unsettled["what"], name: string, words: Int32Array): void {
    for (const task of this.#tasks.get(keyOf(id, what, name)) ?? [])
      if (partOf(words, task.parts) === task.part) this.held.get(task)?.add(words);
  }
}

/** Find out what is not the same where sums are not. */
async function settle(
  { directory, files, contents, itemsHeld = 750_000, ...source }: VerifyOptions,
  checks: readonly RunCheck[],
  { runs }: SyncResult,
  errors: Map<string, TraceletError>,
): Promise<void> {
  const all = checks.flatMap((check) => tasksOf(check, check.unsettled, itemsHeld));
  for (const { check } of all) check.compared = false;
  for (const tasks of grouped(all, itemsHeld)) {
    const expected = new ItemsOfRuns(contents, tasks);
    const wanted = new Set(tasks.map(({ check }) => check));
    const names = new Set(
      runs.flatMap(({ remoteId, name }) => ([...wanted].some(({ id }) => id === remoteId) ? [name] : [])),
    );
    const result = await readSource(
      { ...source, onStart: () => {}, wantsGroup: (name) => names.has(name) },
      files,
      expected,
    );
    if (source.signal.aborted) return;
    const there = new ItemsOfRuns(contents, tasks);
    for (const check of wanted) {
      await noting(check, errors, source.signal, async () => {
        if (!expected.ended.has(check.id))
          throw (
            result.error ??
            new TraceletError("logdir", `${check.id} changed while it was verified`, { hint: "verify again" })
          );
        const take = there.hold.bind(there, check.id);
        await directory.guarded(check.id, () => contents.stored(check.id, take));
      });
    }
    for (const task of tasks) {
      if (errors.has(task.check.id)) continue;
      const [a, b] = [expected.held.get(task), there.held.get(task)];
      if (a !== undefined && b !== undefined) task.check.findings.addSets(task.what, task.name, a, b);
    }
  }
  for (const { check } of all) check.compared = true;
}

/** What of it fails is the run's error. */
async function noting(
  { id }: RunCheck,
  errors: Map<string, TraceletError>,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof TraceletError)) throw error;
    errors.set(id, error);
  }
}

function keyOf(id: string, what: Unsettled["what"], name: string): string {
  return `${id}\n${what} ${name}`;
}

function verified(
  run: RunResult,
  check: RunCheck | undefined,
  errors: ReadonlyMap<string, TraceletError>,
  seen: Set<string>,
): VerifiedRun {
  const { name, remoteId = "", problems, losses } = run;
  const error = run.error ?? errors.get(remoteId);
  const shared = {
    name,
    error,
    problems,
    losses,
    obstacle: undefined,
    remoteId: check?.isThere ? check.id : undefined,
  };
  if (run.outcome === "unchanged" || (remoteId !== "" && seen.has(remoteId)))
    return { ...shared, outcome: error ? "failed" : "copy", findings: new Findings(pointOf, true) };
  seen.add(remoteId);
  return { ...shared, outcome: outcomeOf(), findings: check?.findings ?? new Findings(pointOf, true) };

  function outcomeOf(): VerifiedRun["outcome"] {
    if (error !== undefined) return "failed";
    if (check === undefined) return run.outcome === "empty" ? "empty" : "interrupted";
    if (!check.compared) return "interrupted";
    if (!check.isThere) return "missing";
    return check.findings.equal ? "equal" : "different";
  }
}
