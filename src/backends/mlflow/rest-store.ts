/** MLflow behind its REST API, version 2.0: the one that all its releases speak for tracking. */

import { HttpClient } from "../../net/client.ts";
import { asContentRefused, Refusal } from "../../net/refusal.ts";
import type { HttpRequest, JsonObject } from "../../net/request.ts";
import { type RetryNotice } from "../../net/retries.ts";
import { type Timing } from "../../net/timing.ts";
import type { ArtifactStore } from "../artifacts/artifact.ts";
import { isAscii } from "../storable-text.ts";
import { openArtifactStore } from "./artifact-stores/open.ts";
import type { Credentials } from "./credentials.ts";
import { experimentId, runId as idOfRun } from "./ids.ts";
import { logBatchBody } from "./log-batch-body.ts";
import { LogBatchLimits } from "./log-batch-limits.ts";
import { duplicateTags } from "./new-run.ts";
import { NO_METRICS } from "./parts.ts";
import { withoutRepeatedNans } from "./repeated-nans.ts";
import { keyValues, object, runRecord, text } from "./rest-answers.ts";
import { metricHistory } from "./rest-history.ts";
import {
  asDeletedExperiment,
  asDeletedRun,
  deletedExperiment,
  ignoreDeleted,
  notFoundAsUndefined,
  saysRepeated,
  saysTooMuch,
} from "./rest-refusals.ts";
import { ANY_EXPERIMENT, API, entries, json, milliseconds } from "./rest-requests.ts";
import { RestSearch } from "./rest-search.ts";
import { MLFLOW } from "./service.ts";
import {
  type ExperimentRecord,
  type LogBatch,
  type MetricColumns,
  type MlflowStore,
  type NewRun,
  type RunLists,
  type RunRecord,
  type RunStatus,
} from "./store.ts";
import type { HttpTrackingUri } from "./tracking-uri.ts";

export interface RestStoreOptions {
  readonly uri: HttpTrackingUri;
  readonly credentials: Credentials;
  /** How long to go on without a useful answer, ms. Default 10 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  /**
   * Whether the caller looks at its run again after each failure, and must therefore hear of it: see `retryWhen` in
   * `src/net/retries.ts`.
   */
  readonly live?: boolean | undefined;
  /** How long a request that is under way when `signal` is aborted may still take, ms: see `src/net/client.ts`. */
  readonly stopGraceMs?: number | undefined;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  /** Its abort makes every method that is under way throw its reason. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Timing | undefined;
}

/** Points in a request that every MLflow knows again. */
const MAX_REPEATED = 100;

export class RestStore implements MlflowStore {
  /** Enough to keep the server busy, few enough that little is sent again after a crash. */
  readonly batchesAtOnce = 16;
  readonly #http: HttpClient;
  readonly #base: string;
  readonly #search: RestSearch;
  readonly #limits = new LogBatchLimits();
  /** Of the runs it has created, until somebody asks. */
  readonly #artifactUris = new Map<string, string>();

  /** @throws TraceletError `usage` if TLS material or a proxy's address cannot be used */
  constructor({ uri, credentials, live = false, ...options }: RestStoreOptions) {
    this.#base = uri.redacted;
    this.#http = new HttpClient({
      ...options,
      retryWhen: live ? "throttled" : "always",
      service: MLFLOW,
      base: uri.redacted,
      access: credentials,
    });
    this.#search = new RestSearch(this.#http, (id) => this.run(id));
  }

  get batchSize(): number {
    return this.#limits.batchSize;
  }

  /** How many times a request was sent again so far. */
  get retries(): number {
    return this.#http.retries;
  }

  async experimentByName(name: string): Promise<ExperimentRecord | undefined> {
    const request: HttpRequest = {
      method: "GET",
      path: `${API}experiments/get-by-name`,
      query: { experiment_name: name },
      retryLostReply: true,
    };
    const counterpart = isAscii(name) ? {} : ANY_EXPERIMENT;
    const answer = await this.#http.request({ ...request, ...counterpart }).catch(notFoundAsUndefined);
    if (answer === undefined) return undefined;
    const experiment = object(answer["experiment"]);
    return {
      id: experimentId(text(experiment, "experiment_id")),
      active: experiment["lifecycle_stage"] !== "deleted",
      tags: keyValues(experiment["tags"]),
    };
  }

  async createExperiment(name: string, tags: ReadonlyMap<string, string>): Promise<string> {
    try {
      // Safe to repeat: the second of two finds the name taken.
      return experimentId(text(await this.#post("experiments/create", { name, tags: entries(tags) }), "experiment_id"));
    } catch (error) {
      if (!(error instanceof Refusal && error.is("RESOURCE_ALREADY_EXISTS"))) throw error;
      const existing = await this.experimentByName(name);
      if (existing === undefined) throw error;
      if (existing.active) return existing.id;
      throw deletedExperiment(existing.id, error);
    }
  }

  async setExperimentTag(experimentId: string, key: string, value: string): Promise<void> {
    await this.#post("experiments/set-experiment-tag", { experiment_id: experimentId, key, value }).catch(
      (error: unknown) => {
        throw asDeletedExperiment(error, experimentId);
      },
    );
  }

  runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]> {
    return this.#search.runsByTag(experimentId, key, value);
  }

  hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    return this.#search.hasRunsWithTag(experimentId, key);
  }

  get runLists(): RunLists {
    return this.#search;
  }

  async run(runId: string): Promise<RunRecord | undefined> {
    const answer = await this.#get("runs/get", { run_id: runId }).catch(notFoundAsUndefined);
    return answer && runRecord(answer["run"]);
  }

  /** REST has no way to create a run unless there is one. */
  async createRun(run: NewRun): Promise<string> {
    const body = {
      experiment_id: run.experimentId,
      run_name: run.name,
      start_time: milliseconds(run.startTime),
      user_id: run.user,
      tags: entries(run.tags),
    };
    try {
      const info = object(object((await this.#post("runs/create", body, false))["run"])["info"]);
      const id = idOfRun(text(info, "run_id"));
      if (typeof info["artifact_uri"] === "string") this.#artifactUris.set(id, info["artifact_uri"]);
      return id;
    } catch (error) {
      throw asContentRefused(asDeletedExperiment(error, run.experimentId));
    }
  }

  async renameRun(runId: string, name: string): Promise<void> {
    // What MLflow 2.0 is not told it takes for unset.
    const body = { run_id: runId, run_name: name, status: "RUNNING", end_time: 0 };
    await this.#post("runs/update", body, false).catch((error: unknown) => {
      throw asContentRefused(asDeletedRun(error, runId));
    });
  }

  async setAside({ id, tags }: RunRecord, duplicateOf: string): Promise<void> {
    await this.logBatch(id, { metrics: NO_METRICS, params: new Map(), tags: duplicateTags(tags, duplicateOf) }).catch(
      ignoreDeleted,
    );
    await this.#post("runs/delete", { run_id: id }).catch((error: unknown) => ignoreDeleted(asDeletedRun(error, id)));
  }

  async artifacts({ id, artifactUri }: { id: string; artifactUri?: string | undefined }): Promise<ArtifactStore> {
    const known = artifactUri ?? this.#artifactUris.get(id) ?? (await this.run(id))?.artifactUri ?? "";
    this.#artifactUris.delete(id);
    return openArtifactStore({ artifactUri: known, tracking: { kind: "server", http: this.#http, runId: id } });
  }

  async logBatch(runId: string, batch: LogBatch): Promise<void> {
    const params = [...batch.params];
    const tags = [...batch.tags];
    const restoreLimits = this.#limits.remember();
    let { metrics } = batch;
    let atMost = Infinity;
    let from = 0;
    for (;;) {
      const part = this.#limits.next(metrics, { from, atMost }, params, tags);
      if (part.size === 0) return;
      try {
        await this.#http.request({
          method: "POST",
          path: `${API}runs/log-batch`,
          body: logBatchBody(runId, part),
          retryLostReply: true,
          frequent: true,
          inTurn: true,
          counterpart: { about: runId, request: () => probeOf(runId) },
        });
      } catch (error) {
        if (!(error instanceof Refusal && saysTooMuch(error))) {
          if (!(error instanceof Refusal && saysRepeated(error))) throw asContentRefused(asDeletedRun(error, runId));
          if (part.to - part.from > MAX_REPEATED) {
            atMost = MAX_REPEATED;
            continue;
          }
          const history = (key: string) => this.metricHistory(runId, key);
          const fewer = await withoutRepeatedNans(part.metrics, part.from, part.to, history);
          if (fewer === undefined) throw asContentRefused(error);
          metrics = fewer;
          continue;
        }
        if (part.size === 1) {
          // So it was not for their number; others need not suffer.
          restoreLimits();
          throw asContentRefused(error);
        }
        this.#limits.lower(part.size);
        continue;
      }
      from = part.to;
      params.splice(0, part.params.length);
      tags.splice(0, part.tags.length);
    }
  }

  metricHistory(runId: string, key: string): AsyncGenerator<MetricColumns> {
    return metricHistory(this.#http, runId, key);
  }

  async updateRun(runId: string, status: RunStatus, endTime: number): Promise<void> {
    // A run that goes on has no end; 0 is how MLflow is told to forget the one it has.
    const body = { run_id: runId, status, end_time: status === "RUNNING" ? 0 : milliseconds(endTime) };
    const path = `${API}runs/update`;
    const request = { method: "POST", path, body: json(body), retryLostReply: true, frequent: true } as const;
    await this.#http.request(request).catch((error: unknown) => {
      throw asDeletedRun(error, runId);
    });
  }

  experimentUrl(experimentId: string): string {
    // Where nothing is said, MLflow 3 opens an experiment as one of GenAI traces.
    return `${this.#base}/#/experiments/${encodeURIComponent(experimentId)}?workflowType=machine_learning`;
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  #get(method: string, query: Readonly<Record<string, string>>): Promise<JsonObject> {
    return this.#http.request({ method: "GET", path: API + method, query, retryLostReply: true });
  }

  #post(method: string, body: JsonObject, retryLostReply = true): Promise<JsonObject> {
    return this.#http.request({ method: "POST", path: API + method, body: json(body), retryLostReply });
  }
}

/** A write to the run that every database takes: what can be read may stand on a disk that is full. */
function probeOf(runId: string): HttpRequest {
  const part = {
    metrics: NO_METRICS,
    from: 0,
    to: 0,
    params: [],
    tags: [[PROBE_TAG, new Date().toISOString()]] as const,
  };
  return { method: "POST", path: `${API}runs/log-batch`, body: logBatchBody(runId, part), retryLostReply: true };
}

/** Holds when it was last tried out whether the run can be written to; MLflow writes no tag that stays as it is. */
const PROBE_TAG = "tracelet.probe";
