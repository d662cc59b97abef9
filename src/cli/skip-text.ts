/** What people read for each reason that a value was skipped. */
import type { SkipReason } from "../sync/report/skip-reason.ts";
import { count } from "./terminal.ts";

/** All reasons in one line, each with its number where there are several: `150 obsolete, 50 nan`. */
export function skipTexts(skipped: ReadonlyMap<SkipReason, number>): string {
  const texts = Array.from(skipped, ([reason, n]) =>
    skipped.size > 1 ? `${count(n)} ${TEXTS[reason]}` : TEXTS[reason],
  );
  return texts.join(", ");
}

/** How many were skipped, for whatever reason. */
export function sumOf(skipped: ReadonlyMap<SkipReason, number>): number {
  let sum = 0;
  for (const n of skipped.values()) sum += n;
  return sum;
}

/** Each as it stands behind a number. */
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
  "outside-logdir": "outside the logdir",
  changed: "changed since it was logged",
  "outside-run": "outside the run's directory",
  "not-found": "not found",
  refused: "refused by the destination",
  "unsupported-kind": "not a kind that the destination stores",
  "no-file-storage": "no place for files",
  "same-step": "replaced by a later value of the same step",
  "same-tag": "replaced by a later value of the same tag",
  interrupted: "interrupted",
};
