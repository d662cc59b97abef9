/** `watch` in one call. */
import { chosen, continued } from "../config/choice.ts";
import { paceOf, polling } from "../config/pace.ts";
import { recorderOf } from "../config/recorder.ts";
import type { TraceletError } from "../errors.ts";
import { watchAll } from "../sync/engine/watch.ts";
import type { WatchEvent, WatchStatus } from "../sync/engine/watch-status.ts";
import { endOf, hold } from "./destinations.ts";
import { type CallOptions, logdirsOf, optionsOf, requireOwnOptions } from "./options.ts";

/** Runs sent at the same time, unless told otherwise. */
const CONCURRENCY = 4;

export type WatchCall = CallOptions<"watch"> & {
  /** Aborted: finish what is under way, remember it, and return. What is left then is for `sync`. */
  readonly signal: AbortSignal;
  /** Told once for each destination, with an object that is kept up to date. */
  readonly onStart?: ((status: WatchStatus, destination: string) => void) | undefined;
  /** @param destination undefined for what concerns the logdirs */
  readonly onEvent?: ((event: WatchEvent, destination: string | undefined) => void) | undefined;
};

/** How a watch ended at one destination. */
export interface WatchEnd {
  /** What `--backend` calls it. */
  readonly destination: string;
  readonly location: string | undefined;
  /** Whether all that was in the files when they were last looked at has been sent. */
  readonly isCaughtUp: boolean;
  /** Whether values were set aside that the destination refuses. */
  readonly anySetAside: boolean;
  /** Why nothing more was sent there. */
  readonly error: TraceletError | undefined;
}

type Ended = Omit<WatchEnd, "destination" | "location">;

/**
 * Follow the logdirs, which need not be there yet, until the signal is aborted: what is written to them is sent as it is
 * written.
 *
 * @throws TraceletError `usage`, `unsupported` if the options ask for what cannot be
 */
export async function watch(call: WatchCall): Promise<readonly WatchEnd[]> {
  const { logdirs: given, backend, destination, backendOptions, signal, onNote, onStart, onEvent, ...rest } = call;
  const options = await optionsOf("watch", rest, backendOptions);
  await requireOwnOptions({ backend, destination }, rest);
  const logdirs = logdirsOf(given);
  const choice = chosen(options);
  const pace = paceOf(options);
  const holdings = await hold({ backend, destination, onNote, logdirs, signal, live: true, dryRun: false }, options);
  const statuses = new Map<string, WatchStatus>();
  const recorder = await recorderOf(options, {
    training: undefined,
    say: (level, message) => onEvent?.({ level, run: undefined, message, hint: undefined }, undefined),
  });
  const followed = watchAll({
    ...choice,
    logdirs,
    signal,
    ...continued(options),
    ...pace,
    ...polling(pace),
    recorder,
    onEvent: (event) => onEvent?.(event, undefined),
    destinations: holdings.map(async ({ name, held }) => {
      const { destination, checkpoints } = await held;
      return {
        backend: destination.backend,
        quarantine: destination.quarantine,
        checkpoints,
        concurrency: options.concurrency ?? CONCURRENCY,
        onStart(status: WatchStatus) {
          statuses.set(name, status);
          onStart?.(status, name);
        },
        onEvent: (event: WatchEvent) => onEvent?.(event, name),
      };
    }),
  });
  const ends = holdings.map((holding, i) => {
    const isCaughtUp = () => statuses.get(holding.name)?.isCaughtUp ?? false;
    const work = (followed[i] as Promise<boolean>).then((anySetAside): Ended => {
      return { isCaughtUp: isCaughtUp(), anySetAside, error: undefined };
    });
    return endOf(holding, work, (error) => ({ isCaughtUp: isCaughtUp(), anySetAside: false, error }));
  });
  try {
    return await Promise.all(ends);
  } finally {
    await recorder?.close();
  }
}
