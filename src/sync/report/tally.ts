/**
 * What became of every value, by kind. The sums have to add up: what was read and what was derived from it is what was
 * sent, left out or has failed.
 */
import type { Kind } from "../../reader/datum.ts";

export interface KindTally {
  read: number;
  /** Computed from values of another kind. */
  derived: number;
  sent: number;
  failed: number;
  /** Why values were left out on purpose, and how many. */
  readonly leftOut: Map<string, number>;
}

export class Tally {
  readonly kinds: Map<Kind, KindTally> = new Map();

  read(kind: Kind, count: number): void {
    if (count > 0) this.#of(kind).read += count;
  }

  derived(kind: Kind, count: number): void {
    if (count > 0) this.#of(kind).derived += count;
  }

  sent(kind: Kind, count: number): void {
    if (count > 0) this.#of(kind).sent += count;
  }

  failed(kind: Kind, count: number): void {
    if (count > 0) this.#of(kind).failed += count;
  }

  leftOut(kind: Kind, reason: string, count: number): void {
    if (count === 0) return;
    const { leftOut } = this.#of(kind);
    leftOut.set(reason, (leftOut.get(reason) ?? 0) + count);
  }

  add(other: Tally): void {
    for (const [kind, tally] of other.kinds) {
      this.read(kind, tally.read);
      this.derived(kind, tally.derived);
      this.sent(kind, tally.sent);
      this.failed(kind, tally.failed);
      for (const [reason, count] of tally.leftOut) this.leftOut(kind, reason, count);
    }
  }

  #of(kind: Kind): KindTally {
    let tally = this.kinds.get(kind);
    if (tally === undefined) {
      tally = { read: 0, derived: 0, sent: 0, failed: 0, leftOut: new Map() };
      this.kinds.set(kind, tally);
    }
    return tally;
  }
}
