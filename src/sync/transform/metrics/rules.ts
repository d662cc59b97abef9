/** What the user wants to have made of a run's metrics, as data: it is kept as text with what was sent under it. */
import { TraceletError } from "../../../errors.ts";
import type { Goal } from "../../../reader/datum.ts";
import type { DiscoveredRun } from "../../../reader/discover.ts";
import { hashText } from "../../source/fingerprint.ts";
import type { GroupedTags } from "../../source/group-names.ts";
import type { TypeRule } from "../../source/metric-types.ts";
import { type Expression, parseExpression } from "./expression.ts";
import { MAX_HISTORY } from "./series.ts";

/** How a derived metric is computed. */
export type Operation =
  /** Of the last `points` points of a metric, from the first with so many on. */
  | { readonly kind: "mean" | "min" | "max"; readonly points: number }
  /** An exponential moving average as TensorBoard's smoothing computes it. */
  | { readonly kind: "ema"; readonly weight: number }
  | { readonly kind: "expr"; readonly text: string; readonly expression: Expression };

/** One derived metric, or one for each metric that matches. */
export interface DeriveRule {
  /** Its name, with `{tag}` for that of the metric it is computed from. */
  readonly name: string;
  readonly operation: Operation;
  /** Globs over metrics; empty: all. */
  readonly match: readonly string[];
}

/** `*` in `to` stands for what the star in the same place of `from` has matched. */
export interface RenameRule {
  readonly from: string;
  readonly to: string;
}

/** One of a run's members, as its metrics' names depend on it. */
export interface RunMember extends GroupedTags {
  readonly run: Pick<DiscoveredRun, "name">;
}

/** One scalar, for code that changes it. */
export interface MetricRecord {
  readonly tag: string;
  readonly step: number | bigint;
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
  readonly value: number;
}

/**
 * Code of the user's, called with each scalar. It returns the scalar as it is to be sent, several, or nothing to skip it.
 * It must give the same for the same: a record may come again after a crash.
 */
export type TransformFunction = (
  record: MetricRecord,
  context: { readonly run: string },
) => Partial<MetricRecord> | readonly Partial<MetricRecord>[] | undefined | null;

export interface MetricRules {
  readonly derive: readonly DeriveRule[];
  readonly rename: readonly RenameRule[];
  /** Globs over metrics whose best value is to be told. */
  readonly best: readonly string[];
  /** They also decide what is best. */
  readonly types: readonly TypeRule[];
  /** Whether each metric's type is told, guessed where no rule knows it. */
  readonly tellsTypes: boolean;
  readonly transform?: TransformFunction | undefined;
  /** Told each metric that the rules are tried on. */
  readonly onMetric?: ((name: string) => void) | undefined;
}

export const NO_RULES: MetricRules = { derive: [], rename: [], best: [], types: [], tellsTypes: false };

/** As a user gives a derived metric: by its name. */
export interface DerivedMetric {
  readonly mean?: number | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly ema?: number | undefined;
  readonly expr?: string | undefined;
  readonly match?: string | readonly string[] | undefined;
}

/** As a user gives the type of metrics. */
export type MetricTypeOption = string | { readonly type: string; readonly goal?: Goal | undefined };

/** As a user gives all of it: the options' values. */
export interface MetricOptions {
  readonly derive?: Readonly<Record<string, DerivedMetric>> | undefined;
  /** Each `old=new`; an `=` of the old name is written `\\=`. */
  readonly rename?: readonly string[] | undefined;
  readonly best?: readonly string[] | undefined;
  /** By glob. */
  readonly metricTypes?: Readonly<Record<string, MetricTypeOption>> | undefined;
  readonly transform?: TransformFunction | undefined;
}

const WINDOWS = ["mean", "min", "max"] as const;
const OPERATIONS = [...WINDOWS, "ema", "expr"] as const;

/** @returns undefined where nothing is asked for @throws TraceletError `usage` */
export function metricRulesOf(options: MetricOptions): MetricRules | undefined {
  const { derive = {}, rename = [], best = [], metricTypes, transform } = options;
  const rules: MetricRules = {
    derive: Object.entries(derive).map(([name, metric]) => deriveRule(name, metric)),
    rename: rename.map(renameRuleOf),
    best,
    types: Object.entries(metricTypes ?? {}).map(([match, type]) => ({
      match,
      ...(typeof type === "string" ? { type } : type),
    })),
    tellsTypes: metricTypes !== undefined,
    transform,
  };
  const { derive: derived, rename: renamed, tellsTypes } = rules;
  const isAny = derived.length + renamed.length + best.length > 0 || tellsTypes || transform !== undefined;
  return isAny ? rules : undefined;
}

function deriveRule(name: string, metric: DerivedMetric): DeriveRule {
  const refuse = (what: string) => new TraceletError("usage", `derived metric ${JSON.stringify(name)}: ${what}`);
  const given = OPERATIONS.filter((each) => metric[each] !== undefined);
  const [kind] = given;
  if (kind === undefined || given.length > 1)
    throw refuse(
      `it needs exactly one of ${OPERATIONS.join(", ")}${given.length > 1 ? `, not ${given.join(" and ")}` : ""}`,
    );
  const match = typeof metric.match === "string" ? [metric.match] : (metric.match ?? []);
  if (kind === "expr") {
    if (match.length > 0) throw refuse("an expr names its metrics, and takes no match");
    if (name.includes("{tag}")) throw refuse("{tag} means nothing in the name of an expr");
    const text = metric.expr as string;
    return { name, match, operation: { kind, text, expression: parseExpression(text) } };
  }
  if (!name.includes("{tag}") && (match.length !== 1 || /[*?[{(!]/.test(match[0] as string)))
    throw refuse("its name needs {tag}, since it may be computed of several metrics");
  const number = metric[kind] as number;
  if (kind === "ema") {
    if (!(number >= 0 && number < 1))
      throw refuse("ema must be a weight from 0 to below 1, as of TensorBoard's smoothing");
    return { name, match, operation: { kind, weight: number } };
  }
  if (!Number.isSafeInteger(number) || number < 1 || number > MAX_HISTORY)
    throw refuse(`${kind} must be a number of points, 1 to ${MAX_HISTORY}`);
  return { name, match, operation: { kind, points: number } };
}

function renameRuleOf(text: string): RenameRule {
  const [, from, to] = /^((?:[^\\=]|\\.)*)=(.*)$/s.exec(text) ?? [];
  return renameRule(from?.replaceAll(/\\([\\=])/g, "$1") ?? text, to ?? "");
}

function renameRule(from: string, to: string): RenameRule {
  const stars = (text: string) => text.split("*").length - 1;
  if (from === "" || to === "" || stars(to) > stars(from))
    throw new TraceletError("usage", `rename ${JSON.stringify(from)}: ${JSON.stringify(to)} is no name for it`, {
      hint: "give old=new; each * of the new name stands for what a * of the old one has matched",
    });
  return { from, to };
}

/** As text → the same again. */
export interface MetricFields {
  readonly derive?: readonly (readonly [name: string, DerivedMetric])[];
  readonly rename?: readonly (readonly [from: string, to: string])[];
  readonly best?: readonly string[];
  /** Undefined where types are not told. */
  readonly types?: readonly TypeRule[];
}

/** What of the rules decides what is sent, as JSON; without code, which cannot be kept. */
export function fieldsOf(rules: MetricRules | undefined): MetricFields | undefined {
  if (rules === undefined) return undefined;
  const { derive, rename, best, types, tellsTypes } = rules;
  const fields = {
    ...(derive.length > 0 && { derive: derive.map((rule) => [rule.name, givenOf(rule)] as const) }),
    ...(rename.length > 0 && { rename: rename.map(({ from, to }) => [from, to] as const) }),
    ...(best.length > 0 && { best: [...new Set(best)].sort() }),
    ...(tellsTypes && { types }),
  };
  return Object.keys(fields).length === 0 ? undefined : fields;
}

function givenOf({ operation, match }: DeriveRule): DerivedMetric {
  const of = match.length === 0 ? {} : { match };
  switch (operation.kind) {
    case "expr":
      return { expr: operation.text };
    case "ema":
      return { ema: operation.weight, ...of };
    case "mean":
    case "min":
    case "max":
      return { [operation.kind]: operation.points, ...of };
  }
}

/** The rules of a text; somebody else may have written it. @throws if it holds none */
export function rulesOf({ derive = [], rename = [], best = [], types }: MetricFields): MetricRules {
  return {
    derive: derive.map(([name, metric]) => deriveRule(name, metric)),
    rename: rename.map(([from, to]) => renameRule(from, to)),
    best,
    types: types ?? [],
    tellsTypes: types !== undefined,
  };
}

/** Tells a derived metric from another of the same name that is computed in another way. */
export function identityOf({ name, operation }: DeriveRule, source: string): string {
  return hashText(`${name}\0${operationText(operation)}\0${source}`).slice(0, 8);
}

/** As the user has written it. */
export function operationText(operation: Operation): string {
  switch (operation.kind) {
    case "expr":
      return `expr: ${operation.text}`;
    case "ema":
      return `ema: ${operation.weight}`;
    case "mean":
    case "min":
    case "max":
      return `${operation.kind}: ${operation.points}`;
  }
}

/** Whether a value from outside holds rules. */
export function areMetricFields(value: unknown): value is MetricFields {
  if (typeof value !== "object" || value === null) return false;
  const { derive = [], rename = [], best = [], types = [], ...others } = value as Record<string, unknown>;
  const lists = [derive, rename, best, types];
  if (Object.keys(others).length > 0 || !lists.every(Array.isArray)) return false;
  const isText = (each: unknown) => typeof each === "string";
  const isType = (each: unknown) => {
    const { match, type, goal, ...rest } = Object(each) as Record<string, unknown>;
    const isGoal = goal === undefined || goal === "min" || goal === "max";
    return isText(match) && isText(type) && isGoal && Object.keys(rest).length === 0;
  };
  if (!(best as unknown[]).every(isText) || !(types as unknown[]).every(isType)) return false;
  try {
    rulesOf(value);
    return true;
  } catch {
    // Whatever it is that they hold, it is no rule of this version.
    return false;
  }
}

/** Whether what comes of a scalar depends on those before it. */
export function looksBack({ derive, best, tellsTypes }: MetricRules): boolean {
  return derive.length > 0 || best.length > 0 || tellsTypes;
}

/** How many points rules look at for one, at most. */
export function workOf({ derive }: MetricRules): number {
  return derive.reduce((sum, { operation }) => sum + ("points" in operation ? operation.points : 1), 0);
}

/** All globs that rules hold. */
export function globsOf({ derive, rename, best, types }: MetricRules): string[] {
  const matched = [...derive.flatMap(({ match }) => match), ...types.map(({ match }) => match)];
  return [...matched, ...best, ...rename.map(({ from }) => from)];
}
