/** What a sync of one destination did. */
import type { TraceletError } from "../../errors.ts";
import type { DiscoveryProblem } from "../../reader/discover.ts";
import type { RunResult } from "../run/run-result.ts";
import type { LinkedRun } from "../source/linked-runs.ts";

export interface SyncResult {
  /** In the order of their logdirs and names. */
  readonly runs: readonly RunResult[];
  /** Runs that were excluded by name. */
  readonly excludedRuns: number;
  /** Event files that were begun before those that were asked for. */
  readonly earlierFiles: number;
  /** What there is to say of patterns that match nothing of what was read. */
  readonly unmatched: readonly string[];
  /** Links that make no run because their target is one already. */
  readonly links: readonly LinkedRun[];
  readonly problems: readonly DiscoveryProblem[];
  /** Why it ended before every run was looked at. */
  readonly error: TraceletError | undefined;
  readonly interrupted: boolean;
  /** What has not been sent because of an interruption or an error; undefined if there was none. */
  readonly left: Left | undefined;
}

export interface Left {
  /** Including those that were partly sent. */
  readonly runs: number;
  /** Bytes of event files that have not been acknowledged. */
  readonly bytes: number;
}

/** Whether everything that could be read has been sent, or was skipped on purpose. */
export function allSent({ runs, problems, error }: SyncResult): boolean {
  const isMissing = (run: RunResult) =>
    run.outcome === "failed" || run.problems.length > 0 || run.notes.some(({ code }) => code === "quarantined");
  return error === undefined && problems.length === 0 && !runs.some(isMissing);
}
