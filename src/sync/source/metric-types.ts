/** What a metric measures, and whether less or more of it is better: told by the user's rules, or guessed from its tag. */

import type { Goal, MetricInfoDatum } from "../../reader/datum.ts";

export interface MetricType {
  readonly type: string;
  /** Undefined where neither is better, or nobody knows. */
  readonly goal: Goal | undefined;
}

/** A rule of the user's: the first whose globs match a tag decides. */
export interface TypeRule {
  readonly match: string;
  readonly type: string;
  readonly goal?: Goal | undefined;
}

/** Tried in this order, against the tag's words: ` val top 5 accuracy `. */
const GUESSES: readonly (readonly [type: string, words: RegExp])[] = [
  ["learning_rate", / (lr|learning ?rate) /],
  ["gradient", / grad(ient)?s? (norm )?/],
  ["loss", /loss(es)? | (nll|elbo|cross ?entropy|perplexity|ppl) /],
  ["accuracy", / (acc|accuracy) /],
  ["error", / (err|error|mse|mae|rmse|mape|wer|cer|fid) /],
  ["score", / (f1|f beta|auc|auroc|roc auc|precision|recall|map|iou|miou|dice|bleu|rouge|psnr|ssim|r2|score|reward) /],
  ["throughput", / (throughput|fps|per s(ec(ond)?)?) /],
  ["duration", / (time|duration|seconds|latency|elapsed) /],
];

const GOALS: ReadonlyMap<string, Goal> = new Map<string, Goal>([
  ["loss", "min"],
  ["error", "min"],
  ["accuracy", "max"],
  ["score", "max"],
]);

/** The type guessed from a tag; undefined where nothing in it tells. */
export function guessType(tag: string): MetricType | undefined {
  const words = tag
    .replace(/([\p{Ll}\d])(\p{Lu})/gu, "$1 $2")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ");
  const type = GUESSES.find(([, pattern]) => pattern.test(` ${words.trim()} `))?.[0];
  return type === undefined ? undefined : ofType(type);
}

/** What a record says of a metric, completed by what goes with it: a record without a type is about one that is guessed. */
export function typeOf({
  metric,
  type,
  goal,
}: Pick<MetricInfoDatum, "metric" | "type" | "goal">): MetricType | undefined {
  return type === "" ? guessType(metric) : ofType(type, goal);
}

/** A type by its name, with the goal that goes with it unless told otherwise. */
export function ofType(type: string, goal?: Goal): MetricType {
  return { type, goal: goal ?? GOALS.get(type) };
}
