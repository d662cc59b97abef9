/**
 * How many requests to have in flight at one server: as many as it processes, and a few that wait for it.
 *
 * Of `n` in flight, `n · (1 − shortest / mean)` wait in the server: TCP Vegas's estimate, from the times alone. More
 * that wait bring nothing and make every answer late, until the server's own queue ends in errors.
 */

/** How many may wait in the server: the fewest, so that it never runs dry, and the most. */
const [FEWEST_WAITING, MOST_WAITING] = [2, 4];
const AT_FIRST = 2;
export const MOST_UNDER_WAY = 16;
/** The mean is meaningful from this many answers on. */
const ROUND = 4;
/** After this many small requests in a row, small is what requests are now. */
const MANY_SMALL = 64;

export class UnderWay {
  #limit = AT_FIRST;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  /** Bytes: requests are alike if they are at least half as large as the largest. */
  #largest = 0;
  /** How many in a row were smaller. */
  #small = 0;
  /** The shortest time that a large one took, ms. */
  #shortest = Infinity;
  /** In this round: how many were answered, how long that took in total, and whether more were ready. */
  #answered = 0;
  #tookMs = 0;
  #wasFull = false;
  /** Counts changes for the worse: a request sent before the last one says nothing about the time after it. */
  #era = 0;

  /** How many requests may be in flight now. */
  get limit(): number {
    return this.#limit;
  }

  /**
   * Run `work` when its turn comes, in the order of the calls.
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

/** Reports what became of a request. */
export interface Sent {
  answered(ms: number): void;
  /** The server could not accept it, or did not answer. */
  failed(): void;
}
