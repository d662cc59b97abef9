/** What signals do to a command that can be stopped. */
import os from "node:os";
import { duration } from "./terminal.ts";

export interface Signals {
  /** The first that came. */
  readonly received: NodeJS.Signals | undefined;
  /** Aborted when the time is over that ending may take; the command has to end then, whatever is still under way. */
  readonly over: AbortSignal;
  /**
   * For the end of a command: from here on signals do what they do by default. If the time was over, the process ends as
   * soon as it has said so, since what was left under way would keep it.
   */
  leave(): void;
}

export interface SignalOptions {
  /** How long ending may take, ms. */
  readonly timeoutMs: number;
  /** Told of the first SIGINT or SIGTERM, with what is to be said of it. */
  readonly onFirst: (signal: NodeJS.Signals, limits: string) => void;
}

/** `timeout` signals its process and then the whole group; pnpm passes on what the terminal has sent already. In ms. */
const ECHO_MS = 100;
/** Some of the time is left for the summary. */
const SUMMARY_SHARE = 0.1;
const MAX_SUMMARY_MS = 500;

/** First SIGINT or SIGTERM: `onFirst`, and some time to end in. Second: end now. */
export function onSignals({ timeoutMs, onFirst }: SignalOptions): Signals {
  let received: NodeJS.Signals | undefined;
  const over = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const listener = withoutEchoes((signal) => {
    if (received !== undefined) process.exit(exitCodeOf(signal));
    received = signal;
    const summaryMs = Math.min(MAX_SUMMARY_MS, timeoutMs * SUMMARY_SHARE);
    timers.push(
      setTimeout(() => over.abort(), timeoutMs - summaryMs),
      setTimeout(() => process.exit(exitCodeOf(signal)), timeoutMs),
    );
    onFirst(signal, `${duration(timeoutMs)} at most; again: ends at once`);
  });
  process.on("SIGINT", listener).on("SIGTERM", listener);
  return {
    get received() {
      return received;
    },
    over: over.signal,
    leave() {
      process.off("SIGINT", listener).off("SIGTERM", listener);
      for (const timer of timers) timer.unref();
      const code = received === undefined ? 0 : exitCodeOf(received);
      if (over.signal.aborted) setImmediate(() => process.exit(code));
    },
  };
}

/** A listener that takes a signal which comes twice at once for one. */
export function withoutEchoes(listener: (signal: NodeJS.Signals) => void): (signal: NodeJS.Signals) => void {
  const last = new Map<NodeJS.Signals, number>();
  return (signal) => {
    const now = performance.now();
    if (now - (last.get(signal) ?? -Infinity) < ECHO_MS) return;
    last.set(signal, now);
    listener(signal);
  };
}

/** What a shell says of a process that a signal has ended. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + os.constants.signals[signal];
}
