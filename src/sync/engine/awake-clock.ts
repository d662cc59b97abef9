/** A clock that stands still while this process does: stopped, or without a processor, it cannot see what grows. */
export class AwakeClock {
  #lostMs = 0;
  #readAt: number = performance.now();
  readonly #everyMs: number;

  /** @param everyMs it is read at least so often while the process runs; what is more than that was lost */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Monotonic, ms; for differences only. */
  now(): number {
    const now = performance.now();
    this.#lostMs += Math.max(0, now - this.#readAt - this.#everyMs);
    this.#readAt = now;
    return now - this.#lostMs;
  }

  /** When that was, in ms of `performance.now()`, had no time been lost since. @param then a time of this clock */
  since(then: number): number {
    return performance.now() - (this.now() - then);
  }
}
