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
  readonly value: number;
  readonly wallTime: number;
  /** Path of the member that has written it. */
  readonly member: string;
}

/**
 * One expression. Where a step is written several times, the first values of its metrics are joined, then the second ones, and
 * so on: this depends only on what each member has written, not on how the members' files are read by turns.
 *
 * It holds 10,000 values at most; when there are more, it gives up the step that has waited longest.
 */
export class Join {
  readonly #expression: Expression;
  /** By step, and by place in the expression's `tags`, oldest first. */
  readonly #waiting = new Map<bigint, Waiting[][]>();
  #held = 0;
  /** The last step of each metric, by its place and the member; only kept where going back is a restart. */
  readonly #last = new Map<string, bigint>();

  constructor(expression: Expression) {
    this.#expression = expression;
  }

  /** @param index of the metric in the expression's `tags` @param member path of the member that has written it */
  add(index: number, member: string, step: bigint, wallTime: number, value: number): Joined | undefined {
    const queues = this.#queuesAt(step);
    queues[index]?.push({ value, wallTime, member });
    this.#held++;
    if (queues.some((queue) => queue.length === 0)) {
      if (this.#held > MAX_HISTORY) this.#drop(this.#waiting.keys().next().value as bigint);
      return undefined;
    }
    const parts = queues.map((queue) => queue.shift() as Waiting);
    this.#held -= parts.length;
    if (queues.every((queue) => queue.length === 0)) this.#waiting.delete(step);
    return {
      value: this.#expression.evaluate(Float64Array.from(parts, (part) => part.value)),
      wallTime: Math.max(...parts.map((part) => part.wallTime)),
    };
  }

  /** Forget what a member has written at `step` and above: its writer was restarted there. */
  rewind(member: string, step: bigint): void {
    this.#forget(step, (waiting) => waiting.member === member);
  }

  /** A step that is not above the metric's last one takes back what the member has written of it from there on. */
  goTo(index: number, member: string, step: bigint): void {
    const key = `${index}\0${member}`;
    const last = this.#last.get(key);
    this.#last.set(key, step);
    if (last !== undefined && step <= last)
      this.#forget(step, (waiting, at) => at === index && waiting.member === member);
  }

  #forget(step: bigint, isGone: (waiting: Waiting, index: number) => boolean): void {
    for (const [at, queues] of this.#waiting) {
      if (at < step) continue;
      const left = queues.map((queue, index) => queue.filter((waiting) => !isGone(waiting, index)));
      if (lengthOf(left) === lengthOf(queues)) continue;
      this.#drop(at);
      const held = lengthOf(left);
      if (held === 0) continue;
      this.#waiting.set(at, left);
      this.#held += held;
    }
  }

  #queuesAt(step: bigint): Waiting[][] {
    const known = this.#waiting.get(step);
    if (known !== undefined) return known;
    const queues = this.#expression.tags.map((): Waiting[] => []);
    this.#waiting.set(step, queues);
    return queues;
  }

  #drop(step: bigint): void {
    this.#held -= lengthOf(this.#waiting.get(step) ?? []);
    this.#waiting.delete(step);
  }
}

function lengthOf(queues: readonly (readonly Waiting[])[]): number {
  return queues.reduce((sum, { length }) => sum + length, 0);
}
