/** One page a precision-recall tag: the curve, and a slider over the steps. */
import type { PrCurveDatum } from "../../reader/datum.ts";
import { renderPage } from "./page.ts";
import { PR_CURVE_SCRIPT, PR_CURVE_STYLE } from "./pr-curve-client.ts";
import { inOrder, rounded, type StepColumns, stepColumns, thinned, thinnedNote } from "./thin.ts";

export type PrCurveStep = Pick<
  PrCurveDatum,
  | "step"
  | "wallTime"
  | "numThresholds"
  | "truePositives"
  | "falsePositives"
  | "trueNegatives"
  | "falseNegatives"
  | "precision"
  | "recall"
>;

/** What the page draws: a curve a step, columns of equal length, thresholds rising. */
export interface PrCurvePageData extends StepColumns {
  readonly curves: readonly {
    readonly threshold: readonly (number | null)[];
    readonly precision: readonly (number | null)[];
    readonly recall: readonly (number | null)[];
    readonly counts: readonly (readonly (number | null)[])[];
  }[];
  readonly notes: readonly string[];
}

const MAX_STEPS = 200;
const MAX_POINTS = 1001;
/** Points of all curves together: about 5 MB of page. */
const MAX_TOTAL = 100_000;

/** @param all how many steps there are, where `series` has not all of them */
export function prCurvePage(tag: string, series: readonly PrCurveStep[], all: number = series.length): string {
  return renderPage({ title: tag, script: PR_CURVE_SCRIPT, style: PR_CURVE_STYLE, data: prCurvePageData(series, all) });
}

export function prCurvePageData(series: readonly PrCurveStep[], all: number = series.length): PrCurvePageData {
  const points = Math.max(1, ...series.map(({ numThresholds }) => Math.min(numThresholds, MAX_POINTS)));
  const shown = thinned(inOrder(series), Math.max(2, Math.min(MAX_STEPS, Math.floor(MAX_TOTAL / points))));
  const curves = shown.map((step) => {
    const rows = thinned(drawableRows(step), MAX_POINTS);
    const column = (values: Float64Array) => rows.map((i) => rounded(values[i] ?? Number.NaN));
    return {
      threshold: rows.map((i) => (step.numThresholds > 1 ? rounded(i / (step.numThresholds - 1), 5) : 0)),
      precision: column(step.precision),
      recall: column(step.recall),
      counts: [step.truePositives, step.falsePositives, step.trueNegatives, step.falseNegatives].map(column),
    };
  });
  const cut = series.some(({ numThresholds }) => numThresholds > MAX_POINTS);
  return {
    ...stepColumns(shown),
    curves,
    notes: [
      thinnedNote(shown.length, all),
      cut ? `At most ${MAX_POINTS} thresholds a step shown, evenly spread.` : "",
    ].filter((text) => text !== ""),
  };
}

/**
 * Thresholds up to the last one that anything reaches: beyond it no precision is defined, and what writers put there
 * would draw a line back to the origin.
 *
 * Source: `_process_tensor_event` of tensorboard/plugins/pr_curve/pr_curves_plugin.py, which cuts the same.
 */
function drawableRows({ numThresholds, truePositives, falsePositives }: PrCurveStep): readonly number[] {
  let end = numThresholds - 1;
  while (end > 0 && Math.trunc(truePositives[end] ?? 0) + Math.trunc(falsePositives[end] ?? 0) === 0) end--;
  return Array.from({ length: Math.max(0, end + 1) }, (_, i) => i);
}
