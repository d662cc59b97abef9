/** Whether the runs of a project still are as this state left them. */
import type { KnownRun, RunChange } from "../../sync/backend.ts";
import { storedIn } from "./run-config.ts";
import { reachedBy } from "./run-state.ts";
import type { ListedRun, WandbStore } from "./store.ts";

/** States of a run that is not over: W&B calls one that is silent for some minutes crashed. */
const GOES_ON: ReadonlySet<string> = new Set(["running", "crashed", "pending", "preempting"]);

/**
 * The runs that are not as they were left. Whether one that is missing was deleted, or was never there, is told when it is
 * made again.
 *
 * @throws TraceletError as the store does
 */
export async function surveyRuns(
  store: WandbStore,
  entity: string,
  project: string,
  known: readonly KnownRun[],
): Promise<Map<string, RunChange>> {
  const left = new Map(known.map((run) => [run.id, run]));
  // A run's config is not kept longer than it takes to compare it.
  const changes = new Map<string, RunChange | undefined>();
  for await (const there of store.runsNamed(entity, project, [...left.keys()])) {
    const run = left.get(there.name);
    if (run !== undefined) changes.set(there.name, changeOf(run, there));
  }
  return new Map(
    [...left.keys()].flatMap((id): [string, RunChange][] => {
      const change = changes.has(id) ? changes.get(id) : "gone";
      return change === undefined ? [] : [[id, change]];
    }),
  );
}

function changeOf({ marks, isDone, source }: KnownRun, there: ListedRun): RunChange | undefined {
  const stored = storedIn(there.config);
  if (stored === undefined) return "behind";
  const reached = reachedBy(stored, there);
  // What is wrong with the lines is said when the run is opened.
  if (typeof reached === "string") return "behind";
  // What came of a plan that was given up: it is written over.
  if (there.lines > reached.lines && (stored.late ?? 0) > reached.lines) return "behind";
  const { state } = reached;
  let isAsLeft = true;
  for (const left of marks) {
    const mark = state.marks.get(left.key);
    const offset = mark?.offset ?? 0;
    if (offset < left.offset) return "behind";
    if (offset > left.offset) isAsLeft = false;
    // As far as that, but perhaps less of it: what a wider choice let in came later.
    else if (left.offset > 0 && (mark?.tail !== left.tail || mark.choice !== left.choice)) return "behind";
  }
  // In what was brought back another machine may have taken it for the run of a copy.
  if (state.source !== source) return "behind";
  // A backup may be from before its end.
  return isDone && isAsLeft && GOES_ON.has(there.state) ? "behind" : undefined;
}
