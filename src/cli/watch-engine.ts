/** What `tracelet watch` needs of whatever follows the logdirs. */
import { TraceletError } from "../errors.ts";
import type { WatchEvent, WatchStatus } from "../sync/watch-status.ts";
import type { chosen } from "./choice.ts";
import type { WatchCommandOptions } from "./watch-command.ts";

export interface WatchEngineOptions extends ReturnType<typeof chosen> {
  /** They may not be there yet, where a training is going to make them. */
  readonly logdirs: readonly string[];
  /** Runs that are sent at the same time. */
  readonly concurrency: number;
  /** How long what a live run has written is collected before it is sent. */
  readonly flushIntervalMs: number;
  /** After how long without growth a run is no longer live. */
  readonly idleTimeoutMs: number;
  /** How long bytes that are no record are read again before they are damage. */
  readonly patienceMs: number;
  /** How often to look for growth; undefined: as the file system needs it. */
  readonly pollMs: number | undefined;
  /** How often to look for new runs and files that nothing was told of. */
  readonly rescanMs: number;
  /** Aborted: finish what is under way, then return. */
  readonly stop: AbortSignal;
  /** Aborted: follow no longer, send all there is, then return. Its reason is a `FinishReason`. */
  readonly finish: AbortSignal;
  /**
   * To be called once, when the options are known to be sound and before anything that may take long (reading the
   * logdirs, speaking to the destination): a training is started by it.
   */
  readonly onStart: (status: WatchStatus) => void;
  readonly onEvent: (event: WatchEvent) => void;
  /** Told what becomes of every record, where that was asked for. */
  readonly trace: ((line: string) => void) | undefined;
}

/** Why a watch is to end. `signal`: whoever writes the runs may still be at it. */
export type FinishReason = "signal" | "training" | "process" | "idle";

/** @throws TraceletError `usage` or `unsupported`, before `onStart`, if the options ask for what cannot be */
export type WatchEngine = (options: WatchEngineOptions) => Promise<{
  /** 0: all sent. 1: something could not be sent. 3: sent, but damage in the source was passed over. */
  readonly code: 0 | 1 | 3;
  /** Whether it was stopped before all that there was had been sent. */
  readonly interrupted: boolean;
}>;

/** The one for the destination and state that the command line asks for. */
export function watchEngine(_options: WatchCommandOptions): WatchEngine {
  return () => Promise.reject(new TraceletError("unsupported", "nothing follows runs yet"));
}
