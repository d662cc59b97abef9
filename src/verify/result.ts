/** What a verification found. */
import type { TraceletError } from "../errors.ts";
import type { SyncResult } from "../sync/engine/sync-result.ts";
import type { FileProblem } from "../sync/report/file-problem.ts";
import type { RunResult } from "../sync/run/run-result.ts";
import type { Findings } from "./findings.ts";

/** What became of one run. */
export interface VerifiedRun {
  readonly name: string;
  /**
   * `missing`: the run is not there. `failed`: see `error`; nothing is known of it. `empty`: the source has no values.
   * `copy`: the same files as a run before it. `interrupted`: not looked at to the end.
   */
  readonly outcome: "equal" | "different" | "missing" | "failed" | "empty" | "copy" | "interrupted";
  readonly remoteId: string | undefined;
  readonly error: TraceletError | undefined;
  readonly findings: Findings;
  /** Why its files were not compared. */
  readonly obstacle: TraceletError | undefined;
  /** What could not be read of the source. */
  readonly problems: readonly FileProblem[];
  /** What is damaged in the source, and was passed over. */
  readonly losses: RunResult["losses"];
}

export interface VerifyResult extends Omit<SyncResult, "runs" | "left"> {
  /** What was not compared since it was interrupted. */
  readonly left: { readonly runs: number } | undefined;
  readonly runs: readonly VerifiedRun[];
  /** Address of the experiment, where it has one. */
  readonly location: string | undefined;
  /** What sends what waits for it elsewhere; left out: a sync does. */
  readonly upload?: string | undefined;
  /** What the destination could not tell, or not exactly. */
  readonly notes?: readonly string[] | undefined;
}

/** Those that were not begun, or not looked at to the end. */
export function notCompared({ left, runs }: SyncResult, verified: readonly VerifiedRun[]): { readonly runs: number } {
  const isInterrupted = ({ outcome }: { readonly outcome: string }) => outcome === "interrupted";
  const notBegun = (left?.runs ?? 0) - runs.filter(isInterrupted).length;
  return { runs: Math.max(0, notBegun) + verified.filter(isInterrupted).length };
}
