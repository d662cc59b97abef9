/** Precision-recall curves. */
import type { PrCurveDatum } from "../datum.ts";
import { type Body, doublesOf, type PluginValue, UnreadableError } from "./plugin.ts";

/**
 * A curve: a tensor of `[6, numThresholds]` numbers. The metadata names a number of thresholds, too, but torch caps that
 * one at 127 whatever it wrote, so the shape decides.
 *
 * Source: tensorboard/plugins/pr_curve/metadata.py, for the order of the rows.
 *
 * @throws UnreadableError if the tensor has another shape or no numbers; TensorError if it cannot be decoded
 */
export function prCurveOfTensor(value: PluginValue): Body<PrCurveDatum> {
  const { shape, data } = doublesOf(value);
  const [rows, numThresholds] = shape;
  if (shape.length !== 2 || rows !== 6 || numThresholds === undefined) {
    throw new UnreadableError(`the curve has the shape [${shape}]; possible is [6,n]`);
  }
  const row = (index: number) => data.subarray(index * numThresholds, (index + 1) * numThresholds);
  return {
    kind: "pr_curves",
    numThresholds,
    truePositives: row(0),
    falsePositives: row(1),
    trueNegatives: row(2),
    falseNegatives: row(3),
    precision: row(4),
    recall: row(5),
  };
}
