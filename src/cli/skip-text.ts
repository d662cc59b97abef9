/** What people read for each reason that a value was skipped. */
import type { SkipReason } from "../sync/report/skip-reason.ts";

/** As it stands behind a number: `3 larger than --max-image-size`. */
export function skipText(reason: SkipReason): string {
  return TEXTS[reason];
}

const TEXTS: Record<SkipReason, string> = {
  excluded: "excluded",
  nan: "nan",
  every: "between --every",
  "max-steps": "beyond --max-steps",
  "max-image-size": "larger than --max-image-size",
  "max-audio-size": "larger than --max-audio-size",
  "max-artifact-size": "larger than --max-artifact-size",
  obsolete: "obsolete",
  empty: "without content",
  undecodable: "cannot be decoded",
  "experiment-level": "of an experiment, not of a run",
  "no-records": "no record in it",
  "in-checkpoint": "in a checkpoint",
  "outside-run": "outside the run's directory",
  "not-found": "not found",
  refused: "refused by the destination",
  "unsupported-kind": "not a kind that the destination stores",
  "no-file-storage": "no place for files",
  "same-step": "replaced by a later value of the same step",
  "same-tag": "replaced by a later value of the same tag",
  interrupted: "interrupted",
};
