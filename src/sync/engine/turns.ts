/** Runs of one name may be copies of each other, so work on them is done one after the other, in the order it was asked for. */

export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Do it once nothing else is under way for a run of this name. @throws what `work` throws */
  async take(name: string, work: () => Promise<void>): Promise<void> {
    const previous = this.#last.get(name);
    const turn = (async () => {
      await previous;
      await work();
    })();
    const settled = turn.catch(() => {});
    this.#last.set(name, settled);
    try {
      await turn;
    } finally {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    }
  }

  /** What is asked for under either name from now on waits for all that was asked for before, and then for `work`. */
  join(one: string, other: string, work: () => void): void {
    const over = Promise.all([this.#last.get(one), this.#last.get(other)]).then(work);
    this.#last.set(one, over);
    this.#last.set(other, over);
  }
}
