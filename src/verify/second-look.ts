/**
 * What is not the same where sums are not: both sides are read once more, and the values of those series are held and
 * compared, some hundred thousand at a time.
 */
import { TraceletError } from "../errors.ts";
import type { RunResult } from "../sync/run/run-result.ts";
import { Findings } from "./findings.ts";
import { ItemSet, partOf } from "./items.ts";
import { pointOf } from "./point-words.ts";
import type { VerifiedRun } from "./result.ts";
import type { TakeItem } from "./series-sums.ts";
import { grouped, type Task, tasksOf, type Unsettled } from "./tasks.ts";

/** A run that was compared by sums. */
export interface RunLook {
  /** The destination's name of it. */
  readonly id: string;
  readonly isThere: boolean;
  readonly findings: Findings;
  readonly unsettled: readonly Unsettled[];
  /** Whether all has been compared. */
  compared: boolean;
}

/** Items of either side that are held at once, 24 bytes each. */
export const ITEMS_HELD = 750_000;

/** The values of some series. */
export class HeldItems<Look extends RunLook> {
  readonly #held: Map<Task<Look>, ItemSet>;
  readonly #tasks = new Map<string, Task<Look>[]>();

  constructor(tasks: readonly Task<Look>[]) {
    this.#held = new Map(tasks.map((task) => [task, new ItemSet(task.source / task.parts)]));
    for (const task of tasks) {
      const key = keyOf(task.check.id, task.what, task.name);
      this.#tasks.set(key, [...(this.#tasks.get(key) ?? []), task]);
    }
  }

  /** Takes the values of a run. */
  takeOf(id: string): TakeItem {
    return (what, name, words) => {
      for (const task of this.#tasks.get(keyOf(id, what, name)) ?? [])
        if (partOf(words, task.parts) === task.part) this.#held.get(task)?.add(words);
    };
  }

  of(task: Task<Look>): ItemSet {
    return this.#held.get(task) as ItemSet;
  }
}

export interface Sides<Look extends RunLook> {
  /**
   * Read the source once more.
   *
   * @param wantsGroup which runs, by the names of the first reading
   * @returns the ids of the runs that were read to their end, and why it ended before all were
   */
  source(
    wantsGroup: (name: string) => boolean,
    takeOf: (id: string) => TakeItem,
  ): Promise<{ readonly ended: ReadonlySet<string>; readonly error: TraceletError | undefined }>;
  /** Read what is there of a run. */
  there(look: Look, take: TakeItem): Promise<void>;
}

/**
 * Find out what is not the same.
 *
 * @param runs of the first reading
 * @param errors gets what could not be read, by the run's id
 */
export async function settle<Look extends RunLook>(
  looks: readonly Look[],
  runs: readonly RunResult[],
  sides: Sides<Look>,
  { itemsHeld, signal, errors }: { itemsHeld: number; signal: AbortSignal; errors: Map<string, TraceletError> },
): Promise<void> {
  const all = looks.flatMap((look) => tasksOf(look, look.unsettled, itemsHeld));
  for (const { check } of all) check.compared = false;
  for (const tasks of grouped(all, itemsHeld)) {
    const wanted = new Set(tasks.map(({ check }) => check));
    const ids = new Set(Array.from(wanted, ({ id }) => id));
    const names = new Set(runs.flatMap(({ remoteId = "", name }) => (ids.has(remoteId) ? [name] : [])));
    const expected = new HeldItems(tasks);
    const { ended, error } = await sides.source(
      (name) => names.has(name),
      (id) => expected.takeOf(id),
    );
    if (signal.aborted) return;
    const there = new HeldItems(tasks);
    for (const look of wanted) {
      await noting(look.id, errors, signal, async () => {
        const changed = () =>
          new TraceletError("logdir", `${look.id} changed while it was verified`, { hint: "verify again" });
        if (!ended.has(look.id)) throw error ?? changed();
        await sides.there(look, there.takeOf(look.id));
      });
    }
    for (const task of tasks) {
      const { check, what, name } = task;
      if (!errors.has(check.id)) check.findings.addSets(what, name, expected.of(task), there.of(task));
    }
  }
  for (const { check } of all) check.compared = true;
}

/** What of it fails is the run's error. */
export async function noting(
  id: string,
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

/** What became of each run of the first reading. */
export function verifiedRuns(
  runs: readonly RunResult[],
  looks: ReadonlyMap<string, RunLook>,
  errors: ReadonlyMap<string, TraceletError>,
): VerifiedRun[] {
  const seen = new Set<string>();
  return runs.map((run) => {
    const { name, remoteId = "", problems, losses } = run;
    const look = looks.get(remoteId);
    const error = run.error ?? errors.get(remoteId);
    const known = look?.isThere ? look.id : undefined;
    const shared = { name, error, problems, losses, obstacle: undefined, remoteId: known };
    if (run.outcome === "unchanged" || (remoteId !== "" && seen.has(remoteId)))
      return { ...shared, outcome: error ? "failed" : "copy", findings: new Findings(pointOf, true) };
    seen.add(remoteId);
    const outcome = error === undefined ? outcomeOf(run, look) : "failed";
    return { ...shared, outcome, findings: look?.findings ?? new Findings(pointOf, true) };
  });
}

function outcomeOf({ outcome }: RunResult, look: RunLook | undefined): VerifiedRun["outcome"] {
  if (look === undefined) return outcome === "empty" ? "empty" : "interrupted";
  if (!look.compared) return "interrupted";
  if (!look.isThere) return "missing";
  return look.findings.equal ? "equal" : "different";
}

function keyOf(id: string, what: Unsettled["what"], name: string): string {
  return `${id}\n${what} ${name}`;
}
