/**
 * What is not the same where sums are not: the source is read once more, and the points of those metrics are held and
 * compared, some hundred thousand at a time; where a run was sent under other choices before, what those let in, too.
 */

import type { ArtifactStore } from "../../backends/artifacts/artifact.ts";
import type { LogBatch } from "../../backends/mlflow/store.ts";
import { TraceletError } from "../../errors.ts";
import type { SyncResult } from "../../sync/engine/sync-result.ts";
import { Findings } from "../findings.ts";
import { ItemSet, partOf, without } from "../items.ts";
import { grouped, type Task as SeriesTask, tasksOf, type Unsettled } from "../tasks.ts";
import { ArtifactCheck } from "./artifact-check.ts";
import { choicesOf } from "./earlier-choices.ts";
import { pointAt, pointOf } from "./points.ts";
import { readSource, runsOf, type VerifyOptions, withChoice } from "./reading.ts";
import type { RunCheck } from "./run-check.ts";
import type { Expectations } from "./store.ts";

type Task = SeriesTask<RunCheck>;

/** Find out what is not the same where sums are not. @param errors gets what could not be read, by the run's id */
export async function settleSeries(
  options: VerifyOptions,
  checks: Iterable<RunCheck>,
  { runs, error }: SyncResult,
  errors: Map<string, TraceletError>,
): Promise<void> {
  const { itemsHeld = 750_000 } = options;
  const names = new Map(runs.map(({ remoteId, name }) => [remoteId, name]));
  const all = Array.from(checks).flatMap((check) => tasksOf(check, check.unsettled, itemsHeld));
  for (const { check } of all) check.toSettle++;
  if (error !== undefined || options.signal.aborted) return;
  const { onStart: _, ...quiet } = options;
  let ending: TraceletError | undefined;
  const read = async (tasks: readonly Task[], under: VerifyOptions): Promise<ItemsOfRuns> => {
    const items = new ItemsOfRuns(tasks);
    const wantsGroup = runsOf(runs, checksOf(tasks));
    const { result } = await readSource({ ...under, wantsGroup }, items);
    ending ??= result.error;
    for (const { id } of checksOf(tasks)) {
      if (items.ended.has(id)) continue;
      const failed = result.runs.find(({ remoteId, error }) => remoteId === id && error !== undefined);
      items.failures.set(id, failed?.error ?? result.error ?? changed(names.get(id)));
    }
    return items;
  };
  for (const tasks of grouped(all, itemsHeld)) {
    const items = await read(tasks, quiet);
    const earlier = new Map<Task, ItemSet>();
    for (const [id, choice] of choicesOf(checksOf(tasks))) {
      const own = tasks.filter(({ check }) => check.earlier.has(id) && !items.failures.has(check.id));
      const letIn = await read(own, withChoice(quiet, choice));
      for (const [id, failure] of letIn.failures) items.failures.set(id, failure);
      for (const task of own) {
        const known = earlier.get(task) ?? new ItemSet(0);
        const once = task.what === "points";
        const more = without(
          without(letIn.held.get(task) as ItemSet, items.held.get(task) as ItemSet, once),
          known,
          once,
        );
        for (let i = 0; i < more.length; i++) known.add(more.at(i));
        earlier.set(task, known);
      }
    }
    for (const task of tasks) {
      if (options.signal.aborted) return;
      const { check, what, name } = task;
      try {
        const failure = items.failures.get(check.id);
        if (failure !== undefined) throw failure;
        const there = await itemsThere(task, options);
        check.findings.addSets(what, name, items.held.get(task) as ItemSet, there, earlier.get(task));
      } catch (error) {
        if (!(error instanceof TraceletError)) throw error;
        errors.set(check.id, error);
      }
      items.held.delete(task);
      earlier.delete(task);
    }
    for (const task of tasks) task.check.toSettle--;
    if (ending !== undefined) return;
  }
}

function checksOf(tasks: readonly Task[]): ReadonlySet<RunCheck> {
  return new Set(tasks.map(({ check }) => check));
}

function changed(name: string | undefined): TraceletError {
  return new TraceletError("logdir", `${name} changed while it was verified`, { hint: "verify again" });
}

/** The items themselves, of some series. */
class ItemsOfRuns implements Expectations {
  readonly held: Map<Task, ItemSet>;
  /** The runs that were read to their end. */
  readonly ended = new Set<string>();
  /** Why others were not, by their ids. */
  readonly failures = new Map<string, TraceletError>();
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

  /** The first reading has noted it, and duplicates. */
  renamed(): void {}

  duplicate(): void {}

  async artifacts(runId: string): Promise<ArtifactStore> {
    const wantsLines = Array.from(this.held.keys()).some(({ what, check }) => what === "lines" && check.id === runId);
    // Then nothing is drawn or encoded.
    if (!wantsLines) throw new TraceletError("unsupported", "the files of this run have been compared");
    const known = this.#artifacts.get(runId);
    if (known !== undefined) return known;
    const artifacts = new ArtifactCheck(undefined, new Findings(pointOf), (folder, words) => {
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
