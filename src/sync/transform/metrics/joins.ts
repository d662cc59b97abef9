/** Expressions over several metrics: their values at one step, wherever in the run they are written. */
import type { Expression } from "./expression.ts";
import { MAX_HISTORY } from "./series.ts";

/** The value of an expression, once all of its metrics have been written at a step. */
export interface Joined {
  readonly value: number;
  /** The latest of its metrics', seconds since the Unix epoch. It does not depend on which of them was read last. */
  readonly wallTime: number;
}

interface Waiting {
  readonly values: Float64Array;
  /** By which member each value was written; undefined while there is none. */
  readonly from: (string | undefined)[];
  wallTime: number;
}

/** One expression. It waits at 10,000 steps at most; of more, the oldest are given up. */
export class Join {
  readonly #expression: Expression;
  readonly #waiting = new Map<bigint, Waiting>();

  constructor(expression: Expression) {
    this.#expression = expression;
  }

  /** @param index of the metric in the expression's `tags` @param member path of the member that has written it */
  add(index: number, member: string, step: bigint, wallTime: number, value: number): Joined | undefined {
    const { tags, evaluate } = this.#expression;
    const waiting = this.#waiting.get(step) ?? this.#begin(step, tags.length);
    waiting.values[index] = value;
    waiting.from[index] = member;
    if (!(wallTime <= waiting.wallTime)) waiting.wallTime = wallTime;
    if (waiting.from.includes(undefined)) return undefined;
    this.#waiting.delete(step);
    return { value: evaluate(waiting.values), wallTime: waiting.wallTime };
  }

  /** Forget what a member has written at `step` and above: its writer was restarted there. */
  rewind(member: string, step: bigint): void {
    for (const [at, { from }] of this.#waiting) {
      if (at < step) continue;
      for (const [index, by] of from.entries()) if (by === member) from[index] = undefined;
      if (from.every((by) => by === undefined)) this.#waiting.delete(at);
    }
  }

  #begin(step: bigint, metrics: number): Waiting {
    const waiting = {
      values: new Float64Array(metrics),
      from: Array.from({ length: metrics }, () => undefined),
      wallTime: -Infinity,
    };
    this.#waiting.set(step, waiting);
    if (this.#waiting.size > MAX_HISTORY) this.#waiting.delete(this.#waiting.keys().next().value as bigint);
    return waiting;
  }
}
