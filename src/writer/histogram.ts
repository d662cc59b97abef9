/**
 * Numbers → a histogram, binned as torch and tensorboardX bin by default.
 *
 * Source: `make_histogram` and the default bins of torch/utils/tensorboard/summary.py and writer.py.
 */
import { TraceletError } from "../errors.ts";

/** As protobuf's `HistogramProto` has it: bucket `i` ends at `bucketLimits[i]`, where the next one begins. */
export interface Histogram {
  readonly min: number;
  readonly max: number;
  /** How many numbers. */
  readonly num: number;
  readonly sum: number;
  readonly sumSquares: number;
  readonly bucketLimits: ArrayLike<number> & Iterable<number>;
  readonly bucketCounts: ArrayLike<number> & Iterable<number>;
}

/** Edges that grow by a tenth from 1e-12 to 1e20, on both sides of 0. */
const EDGES: Float64Array = edges();

function edges(): Float64Array {
  const positive: number[] = [];
  for (let edge = 1e-12; edge < 1e20; edge *= 1.1) positive.push(edge);
  return Float64Array.from([...positive.map((edge) => -edge).reverse(), 0, ...positive]);
}

/**
 * The histogram of numbers. NaN, and what lies beyond ±1e20, is in no bucket, but in the sums.
 *
 * @throws TraceletError `usage` if there are none, or none of them is in a bucket
 */
export function histogramOf(values: ArrayLike<number>): Histogram {
  const counts = new Float64Array(EDGES.length - 1);
  let [min, max, sum, sumSquares] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    // Not Math.min alone: one NaN makes both NaN, as numpy has it.
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    sumSquares += value * value;
    const bin = binOf(value);
    if (bin >= 0) counts[bin] = (counts[bin] as number) + 1;
  }
  const first = counts.findIndex((count) => count > 0);
  if (first < 0) throw new TraceletError("usage", "a histogram needs at least one number between -1e20 and 1e20");
  const last = counts.findLastIndex((count) => count > 0);
  // One empty bucket to the left: a bucket knows its right edge alone.
  const bucketCounts =
    first > 0 ? counts.slice(first - 1, last + 1) : Float64Array.of(0, ...counts.subarray(0, last + 1));
  const bucketLimits = EDGES.slice(first, last + 2);
  return { min, max, num: values.length, sum, sumSquares, bucketLimits, bucketCounts };
}

/** The bin that a number falls into: its left edge belongs to it, and the last edge of all, too. -1: none. */
function binOf(value: number): number {
  const last = EDGES.length - 1;
  if (!(value >= (EDGES[0] as number) && value <= (EDGES[last] as number))) return -1;
  let [low, high] = [0, last];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((EDGES[middle] as number) <= value) low = middle;
    else high = middle;
  }
  return low;
}
