/** What a user has to know of a run whose files hold something else than is expected. */
import type { Datum } from "../../reader/datum.ts";
import type { Note } from "../report/note.ts";
import type { RunGroup } from "../source/run-group.ts";
import type { MissingMetric } from "../transform/metrics/recipes.ts";

/** @param first the first of the values in which there is nothing */
export function emptyNote({ tag, step }: Datum): Note {
  const message = `values that hold nothing but their tag are skipped, first ${JSON.stringify(tag)} at step ${step} (torch's add_video writes such ones where moviepy is not installed)`;
  return { code: "without-content", message };
}

/** @param metric whose best value was asked for */
export function noGoalNote(metric: string): Note {
  const message = `the best of ${JSON.stringify(metric)} is not told: nobody knows whether less or more of it is better; say so with metricTypes`;
  return { code: "no-goal", message };
}

export function missingMetricNote({ name, metric, meant }: MissingMetric): Note {
  const question = meant === undefined ? "" : `; did you mean {${meant}}?`;
  const message = `nothing comes of the expression for ${JSON.stringify(name)}: the run has no metric ${JSON.stringify(metric)}${question}`;
  return { code: "no-metric", message };
}

/** Of a run of hyperparameters whose metrics are in another one. */
export function apartNotes({ name, members, parent }: RunGroup): Note[] {
  const { trialOf } = members[0] ?? {};
  // Nested in it, it is seen to be its.
  if (trialOf === undefined || parent !== undefined) return [];
  const message = `${name} has hyperparameters and no metrics: it is one of several sessions of one writer in ${trialOf}, and the metrics of them all are there`;
  return [{ code: "params-apart", message }];
}
