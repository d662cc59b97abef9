/**
 * Precision-recall curves → `pr_curves/<segment>.jsonl`: the exact numbers as data, readable as text in the artifact
 * viewer. One line a curve, one file a segment, written again whole as it grows.
 */

import { type Json, jsonLines } from "../../../encode/json.ts";
import type { PrCurveDatum } from "../../../reader/datum.ts";
import type { Artifact } from "../../artifacts/artifact.ts";

/** All curves of a segment. */
export function encodePrCurves(data: Iterable<PrCurveDatum>, segment: string): Artifact {
  return { path: `pr_curves/${segment}.jsonl`, bytes: jsonLines(lines(data)) };
}

function* lines(data: Iterable<PrCurveDatum>): Iterable<Json> {
  for (const datum of data) {
    yield {
      tag: datum.tag,
      step: datum.step,
      wall_time: datum.wallTime,
      num_thresholds: datum.numThresholds,
      true_positives: datum.truePositives,
      false_positives: datum.falsePositives,
      true_negatives: datum.trueNegatives,
      false_negatives: datum.falseNegatives,
      precision: datum.precision,
      recall: datum.recall,
    };
  }
}
