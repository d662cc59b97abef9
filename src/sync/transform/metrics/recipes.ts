/** Which derived metrics are made of which metric. */
import type { RestartPolicy } from "../../../reader/restarts.ts";
import { hashText } from "../../source/fingerprint.ts";
import type { MetricType } from "../../source/metric-types.ts";
import { globFilter } from "../globs.ts";
import { Join } from "./joins.ts";
import { madeTag } from "./made-tag.ts";
import { identityOf, type MetricRules } from "./rules.ts";
import { typesBy } from "./types-by-rules.ts";
import { best, type Compute, ema, windowed } from "./windows.ts";

/** What is made of one metric. */
export interface Recipe {
  /** Of its own points; by the made metrics' tags, one for each value of `out`. */
  readonly computes: readonly { readonly compute: Compute; readonly tags: readonly string[] }[];
  /** Together with others: the metric's place in the expression. */
  readonly joins: readonly { readonly join: Join; readonly index: number; readonly tag: string }[];
  /** How many columns its computes keep in a series. */
  readonly columns: number;
}

/** A metric that an expression needs. */
export interface MissingMetric {
  /** What the expression's own metric is called. */
  readonly name: string;
  readonly metric: string;
  /** A metric of the run that may have been meant. */
  readonly meant: string | undefined;
}

export class Recipes {
  readonly restarts: RestartPolicy;
  readonly joins: readonly Join[];
  /** Metrics whose best value was asked for, where nobody knows what is better. */
  readonly undecided: Set<string> = new Set();
  readonly #exprs: readonly {
    readonly name: string;
    readonly join: Join;
    readonly tags: readonly string[];
    readonly tag: string;
  }[];
  readonly #series: readonly {
    readonly rule: MetricRules["derive"][number];
    readonly matches: (tag: string) => boolean;
  }[];
  readonly #isBest: (name: string) => boolean;
  readonly #typeOf: (name: string) => MetricType | undefined;
  readonly #known = new Map<string, Recipe>();
  readonly #onMetric: MetricRules["onMetric"];

  constructor(rules: MetricRules, restarts: RestartPolicy) {
    this.restarts = restarts;
    this.#onMetric = rules.onMetric;
    this.#exprs = rules.derive.flatMap((rule) => {
      if (rule.operation.kind !== "expr") return [];
      const { expression } = rule.operation;
      const { name } = rule;
      return [{ name, join: new Join(expression), tags: expression.tags, tag: madeTag(identityOf(rule, ""), name) }];
    });
    this.joins = this.#exprs.map(({ join }) => join);
    this.#series = rules.derive
      .filter(({ operation }) => operation.kind !== "expr")
      .map((rule) => ({ rule, matches: globFilter(rule.match, []) }));
    this.#isBest = rules.best.length === 0 ? () => false : globFilter(rules.best, []);
    this.#typeOf = typesBy(rules.types);
  }

  /**
   * Metrics of expressions that the run does not have, where it has another of the expression's, or one whose name they may
   * be a part of: `val` where `{val/loss}` was meant. Nothing comes of these expressions.
   */
  missing(): MissingMetric[] {
    const names = [...this.#known.keys()];
    return this.#exprs.flatMap(({ name, tags }) => {
      const found = tags
        .filter((tag) => !this.#known.has(tag))
        .map((metric) => ({ name, metric, meant: names.find((each) => isPartOf(metric, each)) }));
      return found.length < tags.length || found.some(({ meant }) => meant !== undefined) ? found : [];
    });
  }

  /** @param name of a metric in its run */
  of(name: string): Recipe {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    this.#onMetric?.(name);
    const recipe = this.#recipe(name);
    this.#known.set(name, recipe);
    return recipe;
  }

  #recipe(name: string): Recipe {
    const computes: { compute: Compute; tags: string[] }[] = [];
    let columns = 0;
    const add = (compute: Compute, ...tags: string[]) => {
      computes.push({ compute, tags });
      columns += compute.columns;
    };
    for (const { rule, matches } of this.#series) {
      if (!matches(name)) continue;
      const tag = madeTag(
        identityOf(rule, name),
        rule.name.replaceAll("{tag}", () => name),
      );
      const { operation } = rule;
      if (operation.kind === "ema") add(ema(operation.weight, columns), tag);
      else if (operation.kind !== "expr") add(windowed(operation.kind, operation.points), tag);
    }
    if (this.#isBest(name)) {
      const goal = this.#typeOf(name)?.goal;
      const id = hashText(`best\0${goal}\0${name}`).slice(0, 8);
      if (goal === undefined) this.undecided.add(name);
      else add(best(goal, columns), madeTag(id, `best/${name}`), madeTag(id, `best/${name}/step`));
    }
    const joins = this.#exprs.flatMap(({ join, tags, tag }) => {
      const index = tags.indexOf(name);
      return index < 0 ? [] : [{ join, index, tag }];
    });
    return { computes, joins, columns };
  }
}

/** Whether it is called like that but for what an expression without braces takes for a sign, or for other capitals. */
function isPartOf(name: string, whole: string): boolean {
  return whole.toLowerCase() === name.toLowerCase() || whole.split(/[^\p{L}\p{N}_.]+/u).includes(name);
}
