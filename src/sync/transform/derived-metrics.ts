/** Scalars that are computed from histograms and precision-recall curves, so that they can be charted and compared. */
import { percentiles, total, usable } from "../../encode/pages/histogram-bins.ts";
import type { Datum, HistogramDatum, PrCurveDatum } from "../../reader/datum.ts";
import type { RecordBatch } from "../../reader/record-batch.ts";

export interface DeriveOptions {
  /** `<tag>/p5`, `p25`, `p50`, `p75`, `p95`, `mean` and `std` of each histogram. */
  readonly histogramMetrics: boolean;
  /** `<tag>/average_precision` of each precision-recall curve. */
  readonly prMetrics: boolean;
}

type Derived = readonly (readonly [name: string, value: number])[];

const PERCENTS: readonly number[] = [5, 25, 50, 75, 95];
const NONE: Derived = [];

/**
 * Add the scalars of the batch's data from `firstDatum` on to the batch, each with its datum's step, wall time and offset.
 *
 * @returns how many were added
 */
export function derive(batch: RecordBatch, firstDatum: number, options: DeriveOptions): number {
  const before = batch.length;
  for (let i = firstDatum; i < batch.data.length; i++) {
    const datum = batch.data[i] as Datum;
    const { tag, step, wallTime, offset } = datum;
    const [low, high] = [Number(BigInt.asIntN(32, step)), Number(BigInt.asIntN(32, step >> 32n))];
    for (const [name, value] of derivedOf(datum, options)) {
      batch.push(batch.tagTable.ofName(`${tag}/${name}`), low, high, wallTime, value, offset);
    }
  }
  return batch.length - before;
}

function derivedOf(datum: Datum, { histogramMetrics, prMetrics }: DeriveOptions): Derived {
  if (datum.kind === "histograms" && histogramMetrics) return histogramMetricsOf(datum);
  return datum.kind === "pr_curves" && prMetrics ? prMetricsOf(datum) : NONE;
}

/** A histogram without values has neither percentiles nor a mean. */
function histogramMetricsOf({ buckets, stats }: HistogramDatum): Derived {
  const rows = usable(buckets);
  const values = total(rows) > 0 ? percentiles(rows, PERCENTS) : [];
  const moments = stats !== undefined && stats.num > 0 ? momentsOfStats(stats) : momentsOfBuckets(rows);
  return [...Array.from(values, (value, i) => [`p${PERCENTS[i]}`, value] as const), ...moments];
}

/** Of the values themselves, as far as the sums that the writer kept are exact. */
function momentsOfStats({ num, sum, sumSquares }: NonNullable<HistogramDatum["stats"]>): Derived {
  const mean = sum / num;
  // Of nearly equal values rounding leaves less than nothing.
  const variance = Math.max(0, sumSquares / num - mean * mean);
  return [
    ["mean", mean],
    ["std", Math.sqrt(variance)],
  ];
}

/**
 * Each value taken for the middle m of its bucket: mean = Σ count·m / Σ count, std = √(Σ count·(m − mean)² / Σ count).
 * The mean is wrong by at most the weighted mean of half the buckets' widths, the standard deviation by at most the root
 * of the weighted mean of their squares.
 */
function momentsOfBuckets(rows: Float64Array): Derived {
  const all = total(rows);
  if (all === 0) return NONE;
  let mean = 0;
  for (let i = 0; i < rows.length; i += 3) mean += middle(rows, i) * ((rows[i + 2] as number) / all);
  let variance = 0;
  for (let i = 0; i < rows.length; i += 3) variance += (middle(rows, i) - mean) ** 2 * ((rows[i + 2] as number) / all);
  return [
    ["mean", mean],
    ["std", Math.sqrt(variance)],
  ];
}

function middle(rows: Float64Array, i: number): number {
  return (rows[i] as number) / 2 + (rows[i + 1] as number) / 2;
}

/**
 * The mean of the precisions, each weighted by how much recall its threshold adds to that of the next higher one:
 * Σ (Rₖ − Rₖ₊₁)·Pₖ over rising thresholds, with a recall of 0 behind the last. The curve has the writer's thresholds only,
 * so the result approaches that of the predictions themselves the more of them there are.
 *
 * Source: `average_precision_score` of sklearn/metrics/_ranking.py.
 */
function prMetricsOf({ numThresholds, precision, recall }: PrCurveDatum): Derived {
  if (numThresholds === 0) return NONE;
  let sum = 0;
  for (let k = 0; k < numThresholds; k++) {
    const added = (recall[k] as number) - (recall[k + 1] ?? 0);
    // Where nothing is added the precision may be none at all: NaN.
    if (added !== 0) sum += added * (precision[k] as number);
  }
  return [["average_precision", sum]];
}
