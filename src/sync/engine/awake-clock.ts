/** A clock that stands still while this process is stopped or gets no processor, since it cannot see growth then. */
export class AwakeClock {
  #lostMs = 0;
  #readAt: number = performance.now();
  readonly #everyMs: number;

  /** @param everyMs the clock is read at least this often while the process runs; any longer gap is lost time */
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
