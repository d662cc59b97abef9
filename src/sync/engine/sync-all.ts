/** All runs of the logdirs to several destinations, once. */
import { requiredLogdirs } from "../source/logdirs.ts";
import { localSource } from "../tree/local-source.ts";
import type { Destination } from "./destination.ts";
import { type SyncOptions, sync } from "./once.ts";
import type { SyncResult } from "./sync-result.ts";

/** One of several. */
export interface SyncDestination extends Destination, Pick<SyncOptions, "onStart" | "onRun" | "trace"> {}

export interface SyncAllOptions extends Omit<SyncOptions, keyof SyncDestination | "discovery"> {
  /** Promises of those that are still being opened. */
  readonly destinations: readonly (SyncDestination | Promise<SyncDestination>)[];
}

/**
 * Bring several destinations up to what the logdirs hold now, at the same time. None waits for another: where one fails, the
 * others are finished, and it catches up alone the next time.
 *
 * @returns for each destination what `sync` returns, as soon as it has ended there; rejected as its opening was, if it was
 */
export function syncAll({ destinations, ...options }: SyncAllOptions): Promise<SyncResult>[] {
  const discovery = (options.source ?? localSource(requiredLogdirs(options.logdirs, options.group))).discover();
  // Each of them throws it; some may still be opening.
  discovery.catch(() => {});
  return destinations.map(async (destination) => sync({ ...options, ...(await destination), discovery }));
}
