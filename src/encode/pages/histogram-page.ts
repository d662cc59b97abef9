/** One page a histogram tag: the views of TensorBoard's histograms and distributions dashboards. */
import { drawable, percentiles, rangeOf, rebinned, total } from "./histogram-bins.ts";
import { HISTOGRAM_SCRIPT, HISTOGRAM_STYLE } from "./histogram-client.ts";
import { uplot } from "./library.ts";
import { renderPage } from "./page.ts";
import { inOrder, rounded, type StepColumns, stepColumns, thinned, thinnedNote } from "./thin.ts";

export interface HistogramStep {
  readonly step: bigint;
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
  /** Rows of `[left edge, right edge, count]`, as in `HistogramDatum`. */
  readonly buckets: Float64Array;
}

/** What the page draws. */
export interface HistogramPageData extends StepColumns {
  /** Outer edges of the bins; null where no step has a value. */
  readonly range: readonly [left: number, right: number] | null;
  /** Counts a step; empty where it has none. */
  readonly bins: readonly (readonly (number | null)[])[];
  /** Values at `PERCENTILES` a step; empty where it has none. */
  readonly percentiles: readonly (readonly (number | null)[])[];
  readonly notes: readonly string[];
}

const BIN_COUNT = 30;
const MAX_STEPS = 200;

/** @param all how many steps there are, where `series` has not all of them */
export function histogramPage(tag: string, series: readonly HistogramStep[], all: number = series.length): string {
  return renderPage({
    title: tag,
    script: HISTOGRAM_SCRIPT,
    style: HISTOGRAM_STYLE,
    libraries: [uplot()],
    data: histogramPageData(series, all),
  });
}

export function histogramPageData(series: readonly HistogramStep[], all: number = series.length): HistogramPageData {
  const shown = thinned(inOrder(series), MAX_STEPS);
  const usable = shown.map(({ buckets }) => drawable(buckets));
  const lost = shown.filter(({ buckets }, i) => buckets.length > (usable[i] as Float64Array).length).length;
  const endless = shown.filter(({ buckets }) => buckets.includes(Infinity) || buckets.includes(-Infinity)).length;
  const full = usable.map((buckets) => (total(buckets) > 0 ? buckets : new Float64Array()));
  const empty = full.filter((buckets) => buckets.length === 0).length;
  const range = rangeOf(full, BIN_COUNT);
  const numbers = (values: Float64Array) => Array.from(values, (value) => rounded(value));
  return {
    ...stepColumns(shown),
    range: range === null ? null : [range.left, range.right],
    bins: full.map((buckets) => (range && buckets.length > 0 ? numbers(rebinned(buckets, range, BIN_COUNT)) : [])),
    percentiles: full.map((buckets) => (buckets.length > 0 ? numbers(percentiles(buckets)) : [])),
    notes: [
      thinnedNote(shown.length, all),
      empty > 0 ? `${stepsOf(empty)} without values.` : "",
      endless > 0
        ? `${stepsOf(endless)} with buckets that reach to infinity; they are drawn at their finite edge.`
        : "",
      lost > 0 ? `${stepsOf(lost)} with buckets that hold no numbers; those buckets are not drawn.` : "",
    ].filter((text) => text !== ""),
  };
}

function stepsOf(count: number): string {
  return count === 1 ? "1 step" : `${count} steps`;
}
