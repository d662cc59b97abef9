/** Holds all work back while a destination cannot be reached, and lets one attempt through from time to time. */
import { TraceletError } from "../../errors.ts";
import { pause } from "../../pause.ts";
import type { WatchEvent } from "./watch-status.ts";

const FIRST_PAUSE_MS = 1000;
const LAST_PAUSE_MS = 30_000;
/** A refused login needs a person to fix it, and each attempt may count against the account. */
const AUTH_PAUSE_MS = 30_000;
const LAST_AUTH_PAUSE_MS = 300_000;
/** The longest pause that a destination may ask for, ms. */
const LONGEST_ASKED_MS = 300_000;

export class Gate {
  /** Changes whenever the destination may no longer be the same, such as one that was restored from a backup. */
  epoch = 0;
  /** How many times it has been closed. */
  failures = 0;
  readonly #onEvent: (event: WatchEvent) => void;
  readonly #signal: AbortSignal;
  #obstacle: TraceletError | undefined;
  #closedSince = 0;
  /** The last epoch in which the destination did anything. */
  #reachedIn = -1;
  #pauseMs = 0;
  /** Resolves when the next attempt may start. */
  #pause: Promise<void> = Promise.resolve();
  /** Resolves when the attempt under way has ended. */
  #trial: Promise<void> | undefined;

  /** @param signal aborting it opens the gate for good */
  constructor(onEvent: (event: WatchEvent) => void, signal: AbortSignal) {
    this.#onEvent = onEvent;
    this.#signal = signal;
  }

  /** Why nothing can be sent; undefined while it can. */
  get obstacle(): string | undefined {
    return this.#obstacle?.message;
  }

  /** The destination has done something. @param epoch in which that began: perhaps before the gate was closed */
  reached(epoch: number): void {
    this.#reachedIn = Math.max(this.#reachedIn, epoch);
  }

  /** The destination turned out not to be the one it was. */
  suspect(): void {
    this.epoch++;
  }

  /**
   * Do some work with the destination, as soon as that makes sense. The gate opens if the work reached the destination. Work
   * that asked nothing of it, or began before the gate was closed, does not tell whether it is back.
   *
   * @throws what `work` throws
   */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    while (this.#obstacle !== undefined && !this.#signal.aborted) {
      if (this.#trial === undefined) return this.#try(work);
      await this.#trial;
    }
    return this.#watch(work, false);
  }

  async #try<T>(work: () => Promise<T>): Promise<T> {
    const trial = (async () => {
      await this.#pause;
      return this.#watch(work, true);
    })();
    this.#trial = trial.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await trial;
    } finally {
      this.#trial = undefined;
    }
  }

  async #watch<T>(work: () => Promise<T>, isTrial: boolean): Promise<T> {
    const began = this.epoch;
    try {
      return await work();
    } catch (error) {
      if (error instanceof TraceletError && error.endsAll) this.#close(error, isTrial);
      throw error;
    } finally {
      // Even if the work failed, for another reason.
      if (began === this.epoch && began === this.#reachedIn) this.#open();
    }
  }

  #close(error: TraceletError, isTrial: boolean): void {
    this.epoch++;
    this.failures++;
    const isNew = this.#obstacle?.code !== error.code;
    // Work that was already under way meets the same obstacle.
    if (!isNew && !isTrial) return;
    if (this.#obstacle === undefined) this.#closedSince = performance.now();
    this.#obstacle = error;
    const [first, last] = error.code === "auth" ? [AUTH_PAUSE_MS, LAST_AUTH_PAUSE_MS] : [FIRST_PAUSE_MS, LAST_PAUSE_MS];
    this.#pauseMs = isNew ? first : Math.min(last, this.#pauseMs * 2);
    // So that many machines do not all try at the same moment.
    const own = this.#pauseMs * (0.75 + Math.random() / 4);
    this.#pause = pause(Math.max(own, Math.min(error.retryAfterMs ?? 0, LONGEST_ASKED_MS)), this.#signal);
    if (isNew)
      this.#onEvent({ level: "error", run: undefined, message: `${error.message}; trying again`, hint: error.hint });
  }

  #open(): void {
    if (this.#obstacle === undefined) return;
    this.#obstacle = undefined;
    const seconds = Math.round((performance.now() - this.#closedSince) / 1000);
    const message = `sending goes on, after ${seconds} s`;
    this.#onEvent({ level: "info", run: undefined, message, hint: undefined });
  }
}
