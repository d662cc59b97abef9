/** `sync` in one call. */
import { chosen, continued } from "../config/choice.ts";
import type { TraceletError } from "../errors.ts";
import { syncAll } from "../sync/engine/sync-all.ts";
import { allSent, type SyncResult } from "../sync/engine/sync-result.ts";
import type { Progress } from "../sync/report/progress.ts";
import type { RunResult } from "../sync/run/run-result.ts";
import { requiredLogdirs, requireLogdir } from "../sync/source/logdirs.ts";
import { endOf, hold } from "./destinations.ts";
import { type CallOptions, logdirsOf, optionsOf, requireOwnOptions } from "./options.ts";

/** How often progress is told, ms. */
const PROGRESS_MS = 250;

export type SyncCall = CallOptions<"sync"> & {
  /** Told four times a second while it is sent, and at the end. */
  readonly onProgress?: ((progress: Readonly<Progress>, destination: string) => void) | undefined;
  /** Told of each run as it ends. */
  readonly onRun?: ((run: RunResult, destination: string) => void) | undefined;
};

/** What became of it at one destination. */
export interface SyncEnd extends SyncResult {
  /** What `--backend` calls it. */
  readonly destination: string;
  /** Where a person finds the result; undefined where there is no such place. */
  readonly location: string | undefined;
}

export interface SyncReport {
  /** Whether everything that can be read is at every destination. */
  readonly ok: boolean;
  readonly destinations: readonly SyncEnd[];
}

/**
 * Send what is new in the logdirs, then return. A destination that fails has its `error`, and keeps no other from being sent
 * to.
 *
 * @throws TraceletError `usage`, `unsupported` if the options ask for what cannot be; `logdir` if one cannot be read
 */
export async function sync(call: SyncCall): Promise<SyncReport> {
  const { logdirs: given, backend, destination, backendOptions, signal, onNote, onProgress, onRun, ...rest } = call;
  const options = await optionsOf("sync", rest, backendOptions);
  await requireOwnOptions({ backend, destination }, rest);
  const logdirs = logdirsOf(given);
  const stop = signal ?? new AbortController().signal;
  const choice = chosen(options);
  for (const logdir of requiredLogdirs(logdirs, options.group)) requireLogdir(logdir);
  const asked = { backend, destination, onNote, logdirs, signal: stop, live: false, dryRun: options.dryRun };
  const holdings = await hold(asked, options);
  const progresses = new Map<string, Readonly<Progress>>();
  const tell = (name: string) => {
    const progress = progresses.get(name);
    if (progress !== undefined) onProgress?.({ ...progress }, name);
  };
  const timer = onProgress && setInterval(() => [...progresses.keys()].forEach(tell), PROGRESS_MS);
  try {
    const results = syncAll({
      logdirs,
      ...choice,
      ...continued(options),
      signal: stop,
      destinations: holdings.map(async ({ name, held }) => {
        const { destination, checkpoints } = await held;
        return {
          backend: destination.backend,
          quarantine: destination.quarantine,
          checkpoints,
          concurrency: options.concurrency ?? destination.concurrency,
          onStart: (progress: Readonly<Progress>) => void progresses.set(name, progress),
          onRun: (run: RunResult) => onRun?.(run, name),
        };
      }),
    });
    const ends = await Promise.all(
      holdings.map(async (holding, i) => {
        const end = await endOf(holding, results[i] as Promise<SyncResult>, (error) => notBegun(error, stop.aborted));
        tell(holding.name);
        progresses.delete(holding.name);
        return end;
      }),
    );
    return { ok: ends.every((end) => allSent(end) && !end.interrupted), destinations: ends };
  } catch (error) {
    await Promise.allSettled(holdings.map(async ({ held }) => (await held).release()));
    throw error;
  } finally {
    clearInterval(timer);
  }
}

function notBegun(error: TraceletError, interrupted: boolean): SyncResult {
  return {
    runs: [],
    excludedRuns: 0,
    earlierFiles: 0,
    unmatched: [],
    links: [],
    problems: [],
    error,
    interrupted,
    left: undefined,
  };
}
