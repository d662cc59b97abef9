/** Waiting, and how long to wait before something is tried again. */

/** Resolves after `ms`, or as soon as `signal` is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/**
 * Exponential back-off, in the unit of `first` and `cap`.
 *
 * @param attempt how many have failed, at least 1
 * @param cap the longest pause
 */
export function backoff(attempt: number, first: number, cap: number): number {
  return Math.min(cap, first * 2 ** (attempt - 1));
}
