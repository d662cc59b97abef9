/**
 * What became of every value, by kind. The sums add up: read + derived = sent + skipped + failed.
 */
import type { Kind } from "../../reader/datum.ts";
import type { SkipReason } from "./skip-reason.ts";

export interface KindTally {
  read: number;
  /** Computed from values of another kind. */
  derived: number;
  sent: number;
  failed: number;
  /** How many values were not sent on purpose, by reason. */
  readonly skipped: Map<SkipReason, number>;
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

  skipped(kind: Kind, reason: SkipReason, count: number): void {
    if (count === 0) return;
    const { skipped } = this.#of(kind);
    skipped.set(reason, (skipped.get(reason) ?? 0) + count);
  }

  add(other: Tally): void {
    for (const [kind, tally] of other.kinds) {
      this.read(kind, tally.read);
      this.derived(kind, tally.derived);
      this.sent(kind, tally.sent);
      this.failed(kind, tally.failed);
      for (const [reason, count] of tally.skipped) this.skipped(kind, reason, count);
    }
  }

  copy(): Tally {
    const copy = new Tally();
    copy.add(this);
    return copy;
  }

  #of(kind: Kind): KindTally {
    let tally = this.kinds.get(kind);
    if (tally === undefined) {
      tally = { read: 0, derived: 0, sent: 0, failed: 0, skipped: new Map() };
      this.kinds.set(kind, tally);
    }
    return tally;
  }
}
