/**
 * Histograms → `histograms/<segment>.jsonl`: the exact buckets as data, readable as text in the artifact viewer. One line
 * a histogram, one file a segment, written again whole as it grows.
 */

import { type Json, jsonLines, Rows } from "../../../encode/json.ts";
import type { HistogramDatum } from "../../../reader/datum.ts";
import type { Artifact } from "../../artifacts/artifact.ts";

/** All histograms of a segment. */
export function encodeHistograms(data: Iterable<HistogramDatum>, segment: string): Artifact {
  return { path: `histograms/${segment}.jsonl`, bytes: jsonLines(lines(data)) };
}

function* lines(data: Iterable<HistogramDatum>): Iterable<Json> {
  for (const { tag, step, wallTime, buckets, stats } of data) {
    const { sumSquares, ...others } = stats ?? {};
    yield {
      tag,
      step,
      wall_time: wallTime,
      buckets: new Rows(buckets, 3),
      stats: stats && { ...others, sum_squares: sumSquares },
    };
  }
}
