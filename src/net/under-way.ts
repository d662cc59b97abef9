/**
 * How many requests a server is given at once: as many as it works on, and a few that wait for it.
 *
 * Of `n` under way, `n · (1 − shortest / mean)` are waiting in the server, as TCP Vegas tells it from the times alone. More
 * that wait bring nothing and make every answer late, until the server's own queue ends in errors.
 */

/** How many may wait in the server: at least these, so that it never runs dry, and at most these. */
const [FEWEST_WAITING, MOST_WAITING] = [2, 4];
const AT_FIRST = 2;
export const MOST_UNDER_WAY = 16;
/** Of these many answers and more the mean says something. */
const ROUND = 4;
/** So many small requests in a row are what there is now. */
const MANY_SMALL = 64;

export class UnderWay {
  #limit = AT_FIRST;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  /** Bytes: requests are alike if they are at least half as large as the largest. */
  #largest = 0;
  /** How many in a row were not. */
  #small = 0;
  /** The shortest time that one of them ever took, ms. */
  #shortest = Infinity;
  /** Of this round: how many were answered, how long that took in all, and whether more would have been sent. */
  #answered = 0;
  #tookMs = 0;
  #wasFull = false;
  /** Counts changes for the worse: what was sent before the last of them says nothing of what came after. */
  #era = 0;

  /** How many requests may be under way now. */
  get limit(): number {
    return this.#limit;
  }

  /**
   * Do it when it has its turn, which comes in the order of the calls.
   *
   * @param size of the request, bytes
   * @returns what `work` returns, which has to settle
   */
  async pass<T>(size: number, work: (sent: Sent) => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) {
      this.#wasFull = true;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    const era = this.#era;
    try {
      return await work({
        answered: (ms) => {
          if (era === this.#era) this.#learn(size, ms);
        },
        failed: () => {
          if (era === this.#era) this.#lower(1, this.#limit / 2);
        },
      });
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  #admit(): void {
    while (this.#running < this.#limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running++;
      next();
    }
  }

  #learn(size: number, ms: number): void {
    if (size > 2 * this.#largest || this.#small >= MANY_SMALL) {
      this.#largest = size;
      this.#shortest = Infinity;
      this.#newRound();
    }
    this.#small = 2 * size < this.#largest ? this.#small + 1 : 0;
    if (this.#small > 0) return;
    this.#shortest = Math.min(this.#shortest, ms);
    this.#answered++;
    this.#tookMs += ms;
    if (this.#answered < Math.max(ROUND, 2 * this.#limit)) return;
    const waiting = this.#limit * (1 - (this.#shortest * this.#answered) / this.#tookMs);
    if (waiting > MOST_WAITING) this.#lower(FEWEST_WAITING, this.#limit * 0.75);
    else if (waiting < FEWEST_WAITING && this.#wasFull) this.#limit = Math.min(MOST_UNDER_WAY, this.#limit + 1);
    this.#newRound();
    this.#admit();
  }

  #lower(least: number, to: number): void {
    this.#limit = Math.max(least, Math.floor(to));
    this.#era++;
    this.#newRound();
  }

  #newRound(): void {
    this.#answered = 0;
    this.#tookMs = 0;
    this.#wasFull = false;
  }
}

/** A request that was let pass: what became of it. */
export interface Sent {
  answered(ms: number): void;
  /** The server could not take it, or did not answer. */
  failed(): void;
}
