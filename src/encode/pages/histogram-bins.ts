/** Histograms in the shapes that TensorBoard draws: bins of one width for all steps, and percentiles. */

/** Percent, as TensorBoard's compressor has them: bands of one, two and three halves of a standard deviation. */
export const PERCENTILES: readonly number[] = [0, 6.68, 15.87, 30.85, 50, 69.15, 84.13, 93.32, 100];

/** Rows of `[left, right, count]`, as in `HistogramDatum`. */
export type Buckets = Float64Array;

export interface Range {
  readonly left: number;
  readonly right: number;
}

/** Furthest edge that is drawn: differences of two stay finite, and their products with what `percentiles` weighs them by. */
const MAX_EDGE = 1e300;

/**
 * The buckets that mean something: edges that are numbers, the left one first, counts finite and not negative. A bucket
 * that reaches to infinity stands at its finite edge: nobody knows where in it the values are. Writers can put anything
 * into a histogram.
 */
export function usable(buckets: Buckets): Buckets {
  const rows: number[] = [];
  for (let i = 0; i + 2 < buckets.length; i += 3) {
    const [a, b, count] = [buckets[i] as number, buckets[i + 1] as number, buckets[i + 2] as number];
    if (Number.isNaN(a) || Number.isNaN(b) || !Number.isFinite(count) || count < 0) continue;
    if (!Number.isFinite(a) && !Number.isFinite(b)) continue;
    const [left, right] = [Number.isFinite(a) ? a : b, Number.isFinite(b) ? b : a];
    rows.push(Math.min(left, right), Math.max(left, right), count);
  }
  return Float64Array.from(rows);
}

/** The same with no edge too far to be drawn. */
export function drawable(buckets: Buckets): Buckets {
  return usable(buckets).map((value, i) => (i % 3 === 2 ? value : clamped(value)));
}

export function total(buckets: Buckets): number {
  let sum = 0;
  for (let i = 2; i < buckets.length; i += 3) sum += buckets[i] as number;
  return sum;
}

/**
 * The range that holds all buckets of all histograms, null where none has any. A range that is too narrow to be divided
 * is widened as TensorBoard's front end does, so that a constant stands in the middle.
 */
export function rangeOf(histograms: readonly Buckets[], binCount: number): Range | null {
  let [left, right] = [Infinity, -Infinity];
  for (const buckets of histograms) {
    for (let i = 0; i < buckets.length; i += 3) {
      left = Math.min(left, buckets[i] as number);
      right = Math.max(right, buckets[i + 1] as number);
    }
  }
  if (left > right) return null;
  const width = (right - left) / binCount;
  if (left + width > left && right - width < right) return { left, right };
  return {
    left: clamped(Math.min(left / 1.1, left * 1.1) - 1),
    right: clamped(Math.max(right / 1.1, right * 1.1) + 1),
  };
}

/**
 * The counts of `binCount` bins of one width: each bucket's count goes to the bins it overlaps, by how much it does. A
 * bucket without width goes to the bin it stands in; bins are open on the right, the last one excepted.
 */
export function rebinned(buckets: Buckets, { left, right }: Range, binCount: number): Float64Array {
  const bins = new Float64Array(binCount);
  const width = (right - left) / binCount;
  const binAt = (x: number) => Math.max(0, Math.min(binCount - 1, Math.floor((x - left) / width)));
  for (let i = 0; i < buckets.length; i += 3) {
    const [from, to, count] = [buckets[i] as number, buckets[i + 1] as number, buckets[i + 2] as number];
    const [first, last] = [binAt(from), binAt(to)];
    if (first === last) {
      bins[first] = (bins[first] as number) + count;
      continue;
    }
    for (let bin = first; bin <= last; bin++) {
      const overlap = Math.min(to, left + (bin + 1) * width) - Math.max(from, left + bin * width);
      if (overlap > 0) bins[bin] = (bins[bin] as number) + count * (overlap / (to - from));
    }
  }
  return bins;
}

/**
 * Values at the percentiles, between edges in proportion to the count; zeros for no buckets.
 *
 * Source: `compress_histogram` of tensorboard/plugins/distribution/compressor.py, which it equals.
 *
 * @param percents rising, with at most two decimals
 */
export function percentiles(buckets: Buckets, percents: readonly number[] = PERCENTILES): Float64Array {
  const values = new Float64Array(percents.length);
  const rows = Math.floor(buckets.length / 3);
  if (rows === 0) return values;
  const edge = (row: number, column: number) => buckets[3 * row + column] as number;
  const [least, most] = [edge(0, 0), edge(rows - 1, 1)];
  const all = total(buckets) || 1;
  let row = 0;
  let before = 0;
  let weight = (edge(0, 2) * 10_000) / all;
  percents.forEach((percent, i) => {
    const point = Math.round(percent * 100);
    while (row < rows && weight <= point) {
      row++;
      before = weight;
      if (row < rows) weight += (edge(row, 2) * 10_000) / all;
    }
    if (row === rows) {
      values[i] = most;
      return;
    }
    const low = before === 0 ? least : Math.max(edge(row - 1, 1), least);
    const high = Math.min(edge(row, 1), most);
    values[i] = low + ((point - before) * (high - low)) / (weight - before);
  });
  return values;
}

function clamped(edge: number): number {
  return Math.max(-MAX_EDGE, Math.min(MAX_EDGE, edge));
}
