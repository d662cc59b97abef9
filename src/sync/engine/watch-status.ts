/** How a watch is doing at one destination: kept up to date by its follower, read by whoever shows it. */

import type { Progress } from "../report/progress.ts";
import type { SkipReason } from "../report/skip-reason.ts";
import type { SyncResult } from "./sync-result.ts";

/** A change that a person should know about; reported once for each change, however often it is met. */
export interface WatchEvent {
  readonly level: "info" | "warning" | "error";
  /** What it is, for programs; only of what they may have to act on. */
  readonly code?: "left-alone";
  /** The run it is about, if any. */
  readonly run: string | undefined;
  readonly message: string;
  /** What to do about it. */
  readonly hint: string | undefined;
  /** Whether it is shown where other events of level `info` are not: on a terminal. */
  readonly isForEveryone?: true;
}

export interface WatchStatus {
  /** Runs of the destination that the logdirs make. */
  readonly runs: number;
  /** Those of them that are open: they grew lately. */
  readonly liveRuns: number;
  /** Values that the destination has acknowledged since the watch began. */
  readonly sent: number;
  /** Bytes of event files that the destination has acknowledged since the watch began. */
  readonly bytesSent: number;
  /** Bytes that are in the files and have not been acknowledged. */
  readonly bytesBehind: number;
  /** How long the oldest unacknowledged bytes have waited, ms; 0 if there are none. */
  readonly oldestUnsentMs: number;
  /** From noticing that files had grown to the acknowledgement, ms, for the last rounds; newest last. */
  readonly latencies: readonly number[];
  /** How many times something was retried. */
  readonly retries: number;
  /** Values that the destination refused, and that were set aside. */
  readonly quarantined: number;
  /** How many values were not sent since the watch began, by reason; those refused are among them. */
  readonly skipped: ReadonlyMap<SkipReason, number>;
  /** Why nothing can be sent at the moment; undefined while it can. */
  readonly obstacle: string | undefined;
  /** The last event of level `error`. */
  readonly lastError: string | undefined;
  /** Whether all that was in the files when they were last looked at has been sent. */
  readonly isCaughtUp: boolean;
  /** When the watch last looked for what has grown, in ms of `performance.now()`. */
  readonly lookedAt: number;
  /** Since when no file has grown, in ms of `performance.now()`; when the watch began, before any has. */
  readonly quietSince: number;
}

/** The same, for whoever sends what a watch has left at its end. */
export interface FollowStatus extends WatchStatus {
  /** Show how far the sync is that sends what the watch has left. @param progress is kept up to date */
  followRest(progress: Readonly<Progress>): void;
  /** Count what a sync has sent after the watch. */
  addRest(result: SyncResult): void;
}
