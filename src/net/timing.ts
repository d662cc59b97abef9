import { pause } from "../pause.ts";

/** Time and chance, passed in so that tests need neither. */
export interface Timing {
  /** ms that never jump; for durations. */
  monotonic(): number;
  /** ms since the Unix epoch; for the dates servers name. */
  wall(): number;
  /** @throws the reason of `signal` when it is aborted */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
  /** In [0, 1). */
  random(): number;
}

export const systemTiming: Timing = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  sleep: async (ms, signal) => {
    await pause(ms, signal);
    signal?.throwIfAborted();
  },
  random: Math.random,
};
