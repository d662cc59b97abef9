/** Histograms: V1 `HistogramProto`s and V2 tensors. */
import type { HistogramDatum } from "../datum.ts";
import type { tensorboard } from "../proto/tensorboard.js";
import { type Body, doublesOf, type PluginValue, UnreadableError } from "./plugin.ts";

/**
 * A V2 histogram: `[k, 3]` numbers, each row left edge, right edge and count. They are passed on as they are.
 *
 * Source: tensorboard/plugins/histogram/summary_v2.py.
 *
 * @throws UnreadableError if the tensor has another shape or no numbers; TensorError if it cannot be decoded
 */
export function histogramOfTensor(value: PluginValue): Body<HistogramDatum> {
  const { shape, data } = doublesOf(value);
  if (shape.length !== 2 || shape[1] !== 3) {
    throw new UnreadableError(`the histogram has the shape [${shape}]; possible is [k,3]`);
  }
  return { kind: "histograms", buckets: data };
}

/**
 * A V1 histogram, with the buckets TensorBoard shows. The format's outermost limits may be ±DBL_MAX, so empty buckets are
 * cut off at both ends and the statistics' `min` and `max` become the outer edges. The numbers are the message's doubles:
 * TensorBoard's Python loader rounds them to float32, which makes one edge of two near each other and loses every count
 * beyond 2^24; its default data server (data_compat.rs) does not.
 *
 * Source: `_migrate_histogram_value` of tensorboard/data_compat.py.
 *
 * @throws UnreadableError if there are fewer limits than edges between the buckets
 */
export function histogramOfMessage(histo: tensorboard.HistogramProto.$Properties): Body<HistogramDatum> {
  const counts = histo.bucket ?? [];
  const limits = histo.bucketLimit ?? [];
  const [min, max] = [histo.min ?? 0, histo.max ?? 0];
  const stats = { min, max, num: histo.num ?? 0, sum: histo.sum ?? 0, sumSquares: histo.sumSquares ?? 0 };
  const start = counts.findIndex((count) => count > 0);
  if (start === -1) return { kind: "histograms", buckets: new Float64Array(), stats };
  const end = counts.findLastIndex((count) => count > 0);
  if (limits.length < end) {
    throw new UnreadableError(`the histogram has ${limits.length} limits; ${counts.length} buckets need as many`);
  }
  const buckets = new Float64Array(3 * (end - start + 1));
  for (let i = start; i <= end; i++) {
    const row = 3 * (i - start);
    buckets[row] = i === start ? min : (limits[i - 1] as number);
    buckets[row + 1] = i === end ? max : (limits[i] as number);
    buckets[row + 2] = counts[i] as number;
  }
  return { kind: "histograms", buckets, stats };
}
