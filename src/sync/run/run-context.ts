/** What a run needs from outside while it is being synced. */
import type { RestartPolicy } from "../../reader/restarts.ts";
import type { Backend, Quarantine } from "../backend.ts";
import type { Progress } from "../report/progress.ts";
import type { RunGroup } from "../source/run-group.ts";
import type { Checkpoints } from "../state/checkpoints.ts";
import type { LimitOptions } from "../transform/limits.ts";
import type { TransformOptions } from "../transform/transform.ts";
import type { OtherRuns } from "./other-runs.ts";

export interface RunSyncContext {
  /** Keeps what the destination refuses; left out: a refusal is an error of the run. */
  readonly quarantine?: Quarantine | undefined;
  readonly backend: Backend;
  readonly checkpoints: Checkpoints;
  readonly restarts: RestartPolicy;
  readonly transform: TransformOptions;
  /** Whether the source's own files are sent, too. */
  readonly attachSource: boolean;
  /** Sizes of images and clips; left out: any. */
  readonly limits?: LimitOptions;
  /** Bytes. */
  readonly maxRecordBytes: number;
  /** Aborted: finish the batch under way, keep the checkpoint, stop. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** How long bytes that are no record are read again before they count as damage, ms. 0: they count at once. */
  readonly patienceMs: number;
  /** Whether files that records name are passed on unread, also those that may not be read: what is sent is only compared. */
  readonly passesNamedFiles?: boolean;
  /** Whether the run is shown as running while it is open. */
  readonly isLive: boolean;
  /**
   * Runs that have an event of this time or later have failed: whatever wrote them did; seconds since the Unix epoch. Left
   * out: only their own hyperparameter sessions say so.
   */
  readonly failedSince?: number | undefined;
  /** Whether the destination is told where a run's files lie. */
  readonly tellsOrigin?: boolean;
  /** The destination's name of the run in whose place this one is. */
  readonly replaces?: string | undefined;
  /** Told what becomes of every value. */
  readonly trace?: (line: string) => void;
  /** The destination's name of the run that a group is nested in, if it has one. @throws TraceletError if it failed */
  readonly parentId: (parent: RunGroup) => Promise<string | undefined>;
  /** The other runs of the logdirs. */
  readonly others: OtherRuns;
  /** Told the destination's name of a group's run as soon as it is known. */
  readonly onOpen: (group: RunGroup, remoteId: string) => void;
  /** Told whenever the destination has done something. */
  readonly onReached?: () => void;
}
