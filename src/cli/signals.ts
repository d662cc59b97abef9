/** What signals do to a command that can be stopped. */
import os from "node:os";

export interface Signals {
  /** The first that came. */
  readonly received: NodeJS.Signals | undefined;
  /** From here on signals do what they do by default. */
  ignore(): void;
}

/** `timeout` signals its process and then the whole group; pnpm passes on what the terminal has sent already. In ms. */
const ECHO_MS = 100;

/** First SIGINT or SIGTERM: `onFirst`. Second: end now. */
export function onSignals(onFirst: (signal: NodeJS.Signals) => void): Signals {
  let received: NodeJS.Signals | undefined;
  const listener = withoutEchoes((signal) => {
    if (received !== undefined) process.exit(exitCodeOf(signal));
    received = signal;
    onFirst(signal);
  });
  process.on("SIGINT", listener).on("SIGTERM", listener);
  return {
    get received() {
      return received;
    },
    ignore: () => void process.off("SIGINT", listener).off("SIGTERM", listener),
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
