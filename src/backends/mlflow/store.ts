/**
 * What the MLflow backend needs of an MLflow: the same few operations over REST and straight into its SQLite schema.
 * `test/sync/mlflow-store.contract.ts` is run by both.
 *
 * Words are MLflow's own: a *tag* is a label of a run, a *metric key* is what TensorBoard calls a tag.
 */

import type { ArtifactStore } from "../artifacts/artifact.ts";

/** An experiment as a store returns it. */
export interface ExperimentRecord {
  readonly id: string;
  /** False after `mlflow experiments delete`. */
  readonly active: boolean;
  readonly tags: ReadonlyMap<string, string>;
}

/** A run as a store returns it. */
export interface RunRecord {
  readonly id: string;
  readonly experimentId: string;
  /** Where its files are; undefined if MLflow does not say. */
  readonly artifactUri: string | undefined;
  /** False after the run was deleted. */
  readonly active: boolean;
  readonly status: RunStatus;
  readonly tags: ReadonlyMap<string, string>;
  readonly params: ReadonlyMap<string, string>;
  /** Keys of the metrics it has. */
  readonly metricKeys: ReadonlySet<string>;
}

/** What tells how far a run is: of its tags, those that tracelet gives at least. */
export type RunTags = Pick<RunRecord, "id" | "active" | "status" | "tags">;

export type RunStatus = "RUNNING" | "FINISHED" | "FAILED";

export interface NewRun {
  readonly experimentId: string;
  readonly name: string;
  /** ms since the Unix epoch. */
  readonly startTime: number;
  readonly user: string;
  /** At most 100. */
  readonly tags: ReadonlyMap<string, string>;
}

/** Runs that may be in the way of a new one. */
export interface TakenBy {
  readonly key: string;
  readonly value: string;
  /** Runs with this tag that are not. */
  readonly seen: ReadonlySet<string>;
}

/** Metrics in columns; entry `i` of each column is one point, `i < length`. */
export interface MetricColumns {
  /** Key of each point: `keys[key[i]]`. Every key used is valid for MLflow. */
  readonly keys: readonly string[];
  readonly key: Int32Array;
  readonly step: BigInt64Array;
  /** ms since the Unix epoch; whole numbers >= 0. */
  readonly timestamp: Float64Array;
  /** Any double, NaN and infinities included. */
  readonly value: Float64Array;
  readonly length: number;
}

/**
 * What one call of `logBatch` writes. A store makes it durable in this order: params and metrics, then tags, so that a
 * tag which says how far the metrics are can lag but never lead.
 */
export interface LogBatch {
  readonly metrics: MetricColumns;
  /** New params only: MLflow refuses to change one. */
  readonly params: ReadonlyMap<string, string>;
  readonly tags: ReadonlyMap<string, string>;
}

/** Many runs at a time, with what tells how far they are. All methods throw `TraceletError`. */
export interface RunLists {
  /** Whether `taggedRuns` of a whole experiment takes milliseconds for thousands of runs. */
  readonly listsCheaply: boolean;
  /** Runs of the experiment that have a tag of this key. @param which deleted ones alone, or all of them */
  taggedRuns(experimentId: string, key: string, which: "all" | "deleted"): AsyncIterable<RunTags>;
  /** Those of the runs that are there, deleted ones too. */
  runTags(experimentId: string, ids: readonly string[]): Promise<RunTags[]>;
  /** Whether so many runs of the experiment, deleted ones too, have a tag of this key. @param count at least 1 */
  countsRuns(experimentId: string, key: string, count: number): Promise<"fewer" | "exactly" | "more">;
}

/**
 * One MLflow. Every method resolves once what it says is durable; `logBatch`, `updateRun` and `setExperimentTag` may be
 * repeated without effect. All throw `TraceletError`: `auth`, `unreachable`, `rejected`, `deleted`, `unsupported`.
 */
export interface MlflowStore {
  /** How many metrics one `logBatch` should hold for the best rate. */
  readonly batchSize: number;
  /** How many calls of `logBatch` for one run it is worth having under way at once. */
  readonly batchesAtOnce: number;
  experimentByName(name: string): Promise<ExperimentRecord | undefined>;
  /** Create it, or return the one that another process created first. */
  createExperiment(name: string, tags: ReadonlyMap<string, string>): Promise<string>;
  setExperimentTag(experimentId: string, key: string, value: string): Promise<void>;
  /**
   * Runs of the experiment, deleted ones too, that carry the tag, newest first.
   *
   * @param value exactly this one; left out: any
   */
  runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]>;
  /** Whether the experiment holds any run, deleted ones too, with a tag of this key. */
  hasRunsWithTag(experimentId: string, key: string): Promise<boolean>;
  /** What a survey asks; undefined where nothing was left that could have changed. */
  readonly runLists: RunLists | undefined;
  run(runId: string): Promise<RunRecord | undefined>;
  /**
   * Create a run. Not idempotent: when the reply may have been lost, it throws `ReplyLost`, and the caller has to look
   * whether the run is there before it asks again.
   *
   * @param unless where the store can tell in the same moment, no run is made if there is one with this tag, `seen` ones
   *   aside
   * @returns its id
   * @throws ContentRefused if another name or other tags may be taken; RunTaken for `unless`
   */
  createRun(run: NewRun, unless?: TakenBy): Promise<string>;
  /**
   * Call a run otherwise; it is shown as running until it is ended anew.
   *
   * @throws TraceletError with code `deleted` if it was deleted; ContentRefused and ReplyLost if another name may be taken
   */
  renameRun(runId: string, name: string): Promise<void>;
  /** Delete a run, as a user would, because another one is of the same source; its note and a tag say so. */
  setAside(run: RunRecord, duplicateOf: string): Promise<void>;
  /**
   * The run's files.
   *
   * @param run its URI may be left out; that of a run which this store has created is known without a question
   * @throws TraceletError with code `unsupported` if they are in a place that tracelet cannot write to
   */
  artifacts(run: { readonly id: string; readonly artifactUri?: string | undefined }): Promise<ArtifactStore>;
  /**
   * @throws TraceletError with code `deleted` if the run was deleted; ContentRefused, which leaves open how much of the
   *   batch is stored beside its tags
   */
  logBatch(runId: string, batch: LogBatch): Promise<void>;
  /**
   * All points of a metric, a page at a time, which holds no other key; none if there is no such metric. The values are as
   * MLflow gives them out.
   */
  metricHistory(runId: string, key: string): AsyncIterable<MetricColumns>;
  /** @param endTime ms since the Unix epoch; a run that is RUNNING has none, whatever is given */
  updateRun(runId: string, status: RunStatus, endTime: number): Promise<void>;
  /** Address of the experiment's page, or undefined where there is no server. */
  experimentUrl(experimentId: string): string | undefined;
  close(): Promise<void>;
}

/** Somebody else has made the run meanwhile. */
export class RunTaken extends Error {
  override readonly name = "RunTaken";
}
