/**
 * The one who writes to a database that others may write to as well. What several ask for at about the same time becomes
 * one transaction: making it durable takes the disk as long whatever is in it. Between two of them others get their turn.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { TraceletError } from "../../errors.ts";
import { pause } from "../../pause.ts";

export interface GroupCommitOptions {
  /** Runs work in one transaction: all of it, or nothing. @throws TraceletError; `unreachable`: nobody else may try either */
  readonly transaction: <T>(work: () => T) => T | Promise<T>;
  /** How much work a transaction holds at most, unless a single piece is more. */
  readonly size: number;
  /** Whether anything may be written now; if not, it is asked again a second later. @throws TraceletError */
  readonly mayBegin: () => boolean | Promise<boolean>;
}

/** ms. */
const MIN_GAP = 5;
const MAX_GAP_FOR_COMPANY = 25;

interface Job {
  readonly work: () => unknown;
  readonly size: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #waiting: Job[] = [];
  #isBusy = false;
  /** When the last transaction ended, in ms of `performance.now()`, and how long it kept others from writing, ms. */
  #lastEnd = -Infinity;
  #lastMs = 0;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /**
   * @param work may be called twice, if the transaction of its first time is undone
   * @param size of the work; what is not worth counting is 0
   * @returns what it returned, once that is durable
   * @throws what it threw; TraceletError if it could not be committed
   */
  run<T>(work: () => T, size = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, size, resolve: resolve as Job["resolve"], reject });
      if (!this.#isBusy) void this.#serve();
    });
  }

  async #serve(): Promise<void> {
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      try {
        await this.#letOthersIn();
      } catch (error) {
        for (const { reject } of this.#waiting.splice(0)) reject(error);
        break;
      }
      const start = performance.now();
      await this.#commit(this.#nextJobs());
      this.#lastEnd = performance.now();
      this.#lastMs = this.#lastEnd - start;
    }
    this.#isBusy = false;
  }

  /**
   * A gap between two transactions: SQLite hands its lock to whoever asks at the right moment. An MLflow asks every 100 ms,
   * and after 5 s it fails, to start too if it was about to bring the tables up to date. In a sixth of the time somebody
   * who asks 50 times is served, but for one of ten thousand. Reading the next batch mostly takes as long.
   */
  async #letOthersIn(): Promise<void> {
    // All that is ready now.
    await nextTurn();
    for (let left = this.#gap(); left > 0; left = this.#gap()) await pause(left);
    while (!(await this.#options.mayBegin())) await pause(1000);
  }

  /** How much is left of the gap, ms. Little work waits for more as long as it would take the disk. */
  #gap(): number {
    const waiting = this.#waiting.reduce((sum, { size }) => sum + size, 0);
    const company = 2 * waiting < this.#options.size ? Math.min(MAX_GAP_FOR_COMPANY, this.#lastMs) : 0;
    return this.#lastEnd + Math.max(MIN_GAP, this.#lastMs / 5, company) - performance.now();
  }

  #nextJobs(): Job[] {
    let size = 0;
    const over = this.#waiting.findIndex((job) => (size += job.size) > this.#options.size);
    return this.#waiting.splice(0, over < 0 ? Infinity : Math.max(1, over));
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    let results: unknown[];
    try {
      results = await this.#options.transaction(() => jobs.map(({ work }) => work()));
    } catch (error) {
      const isOfAll = jobs.length === 1 || (error instanceof TraceletError && error.code === "unreachable");
      for (const job of jobs) {
        if (isOfAll) job.reject(error);
        // What one of them may not do is no reason for the others to fail.
        else await this.#commit([job]);
      }
      return;
    }
    for (const [index, { resolve }] of jobs.entries()) resolve(results[index]);
  }
}
