/** Trying again, for as long as that can help: the one policy for every service and object store. */
import { TraceletError } from "../errors.ts";
import { backoff } from "../pause.ts";
import { systemTiming, type Timing } from "./timing.ts";

export interface RetryNotice {
  readonly reason: string;
  readonly delayMs: number;
  /** How many attempts of this request have failed so far. */
  readonly attempt: number;
}

/** How to try again. */
export interface Patience {
  /** How long to go on without a useful answer, ms. Default 10 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  /**
   * Which failures are tried again without asking the caller. `throttled`: only those of a server that is there and asks for
   * less. A server that was away may come back as an older backup of itself, so a caller that has to look what it holds now
   * is told of all others at once. Default `always`.
   */
  readonly retryWhen?: "always" | "throttled" | undefined;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  /** Its abort ends every wait, and every request that is under way some time later; they then throw its reason. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Timing | undefined;
}

/** Why an attempt failed that may work the next time. */
interface Setback {
  readonly reason: string;
  /** What the server asks for, ms; 0 or undefined if it does not. */
  readonly retryAfterMs?: number | undefined;
}

const GIVE_UP_AFTER_MS = 600_000;
const FIRST_MS = 500;
const CAP_MS = 30_000;

export class Retries {
  /** How many times something was tried again so far. */
  count = 0;
  readonly giveUpAfterMs: number;
  readonly signal: AbortSignal | undefined;
  readonly timing: Timing;
  readonly #patience: Patience;

  constructor(patience: Patience) {
    this.#patience = patience;
    this.giveUpAfterMs = patience.giveUpAfterMs ?? GIVE_UP_AFTER_MS;
    this.signal = patience.signal;
    this.timing = patience.timing ?? systemTiming;
  }

  /** Whether the caller hears at once of a failure of this kind. */
  isTold(isThrottled: boolean): boolean {
    return this.#patience.retryWhen === "throttled" && !isThrottled;
  }

  /** For others that try again in the same way; what they try is counted here. */
  get patience(): Patience {
    const onRetry = (notice: RetryNotice) => this.#note(notice);
    return { ...this.#patience, onRetry };
  }

  /** Exponential back-off with full jitter, or what the server asks for. @throws the signal's reason */
  async pause({ reason, retryAfterMs = 0 }: Setback, attempt: number, atMostMs: number): Promise<void> {
    const own = this.timing.random() * backoff(attempt, FIRST_MS, CAP_MS);
    const delayMs = Math.min(atMostMs, Math.max(own, retryAfterMs));
    this.#note({ reason, delayMs, attempt });
    await this.timing.sleep(delayMs, this.signal);
  }

  /**
   * Do something until it works.
   *
   * @param place what does not answer, for messages
   * @param judge what an error of `work` means; throws what ends it
   * @throws TraceletError `unreachable`; what `judge` throws; the signal's reason
   */
  async until<T>(
    place: string,
    work: (signal: AbortSignal | undefined) => Promise<T>,
    judge: (error: unknown) => Setback & { readonly isThrottled: boolean },
  ): Promise<T> {
    const start = this.timing.monotonic();
    for (let attempt = 1; ; attempt++) {
      this.signal?.throwIfAborted();
      try {
        return await work(this.signal);
      } catch (error) {
        this.signal?.throwIfAborted();
        const setback = judge(error);
        if (this.isTold(setback.isThrottled)) throw noUsefulAnswer(place, setback);
        const now = this.timing.monotonic();
        const left = start + this.giveUpAfterMs - now;
        if (left <= 0) throw noUsefulAnswer(place, setback, { ms: now - start, attempts: attempt });
        await this.pause(setback, attempt, left);
      }
    }
  }

  #note(notice: RetryNotice): void {
    this.count++;
    this.#patience.onRetry?.(notice);
  }
}

/** @param tried for how long, and how often */
export function noUsefulAnswer(
  place: string,
  { reason, retryAfterMs }: Setback,
  tried?: { readonly ms: number; readonly attempts: number },
): TraceletError {
  const long =
    tried &&
    ` for ${Math.round(tried.ms / 1000)} s, ${tried.attempts} ${tried.attempts === 1 ? "attempt" : "attempts"}`;
  return new TraceletError("unreachable", `no useful answer from ${place}${long ?? ""}: ${reason}`, {
    retryAfterMs: retryAfterMs || undefined,
  });
}
