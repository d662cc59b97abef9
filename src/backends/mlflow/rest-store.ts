/** MLflow behind its REST API, version 2.0: the one that all its releases speak for tracking. */

import { HttpClient } from "../../net/client.ts";
import { asContentRefused, ContentRefused, Refusal } from "../../net/refusal.ts";
import type { HttpRequest, JsonObject } from "../../net/request.ts";
import { type RetryNotice } from "../../net/retries.ts";
import { type Timing } from "../../net/timing.ts";
import { openArtifactStore } from "./artifact-stores/open.ts";
import type { ArtifactStore } from "./artifacts.ts";
import type { Credentials } from "./credentials.ts";
import { experimentId, runId as idOfRun } from "./ids.ts";
import { type LogBatchPart, logBatchBody } from "./log-batch-body.ts";
import { duplicateTags } from "./new-run.ts";
import { NO_METRICS } from "./parts.ts";
import { withoutRepeatedNans } from "./repeated-nans.ts";
import {
  keyValues,
  list,
  nextToken,
  object,
  parseExact,
  pointColumns,
  runRecord,
  text,
  unexpected,
} from "./rest-answers.ts";
import {
  asDeletedExperiment,
  asDeletedRun,
  deletedExperiment,
  ignoreDeleted,
  notFoundAsUndefined,
  saysRepeated,
  saysTooMuch,
} from "./rest-refusals.ts";
import { entries, json, literal, milliseconds, tagName, tokenAt } from "./rest-requests.ts";
import { MLFLOW } from "./service.ts";
import { isAscii } from "./storable-text.ts";
import {
  type ExperimentRecord,
  type LogBatch,
  type MetricColumns,
  type MlflowStore,
  type NewRun,
  type RunLists,
  type RunRecord,
  type RunStatus,
  type RunTags,
} from "./store.ts";
import type { HttpTrackingUri } from "./tracking-uri.ts";

export interface RestStoreOptions {
  readonly uri: HttpTrackingUri;
  readonly credentials: Credentials;
  /** How long to go on without a useful answer, ms. Default 10 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  /**
   * Whether the caller looks at its run again after each failure, and must therefore hear of it: see `retryWhen` in
   * `http.ts`.
   */
  readonly live?: boolean | undefined;
  /** How long a request that is under way when `signal` is aborted may still take, ms: see `http.ts`. */
  readonly stopGraceMs?: number | undefined;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  /** Its abort makes every method that is under way throw its reason. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Timing | undefined;
}

/** MLflow's limits for one `log-batch`; a request beyond them is refused as a whole. */
const MAX_ENTITIES = 1000;
const MAX_PARAMS = 100;
const MAX_TAGS = 100;
/** Kept free of metrics, so that the caller's tags fit into the same request. */
const ROOM_FOR_TAGS = 10;
/** What MLflow's own client asks for at once. */
const POINTS_PER_PAGE = 25_000;
/** How often to ask for a page that arrives damaged. */
const MAX_DAMAGED = 5;
/** Few, since each run comes with the latest value of each of its metrics. */
const RUNS_PER_PAGE = 25;
/** Of ours, of which only their tags are looked at. */
const TAGGED_PER_PAGE = 100;
/** Runs of one source are few; a server could go on for ever. */
const MAX_PAGES_OF_RUNS = 400;
/** The same of all runs of an experiment. */
const MAX_PAGES_OF_ALL = 100_000;
/** Points in a request that every MLflow knows again. */
const MAX_REPEATED = 100;

export class RestStore implements MlflowStore, RunLists {
  /** Enough to keep the server busy, few enough that little is sent again after a crash. */
  readonly batchesAtOnce = 16;
  readonly listsCheaply = false;
  readonly #http: HttpClient;
  readonly #base: string;
  /** Entities per `log-batch`: MLflow's limit, or less where the server, or a proxy before it, showed a smaller one. */
  #limit = MAX_ENTITIES;
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
  }

  get batchSize(): number {
    return this.#limit - Math.min(ROOM_FOR_TAGS, this.#limit >> 1);
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

  async runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]> {
    const runs: RunRecord[] = [];
    const filter = `${tagName(key)} ${value === undefined ? "LIKE '%'" : `= ${literal(value)}`}`;
    for (let token = "", pages = 0; ; pages++) {
      const page = await this.#search(experimentId, filter, RUNS_PER_PAGE, token);
      runs.push(...list(page["runs"]).map(runRecord));
      const next = nextToken(page, token);
      if (next === "") return runs;
      if (pages >= MAX_PAGES_OF_RUNS) throw unexpected();
      token = next;
    }
  }

  async hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    const page = await this.#search(experimentId, `${tagName(key)} LIKE '%'`, 1);
    return list(page["runs"]).length > 0;
  }

  async *taggedRuns(experimentId: string, key: string, which: "all" | "deleted"): AsyncGenerator<RunTags> {
    const view = which === "all" ? "ALL" : "DELETED_ONLY";
    for (let token = "", pages = 0; pages < MAX_PAGES_OF_ALL; pages++) {
      const page = await this.#search(experimentId, `${tagName(key)} LIKE '%'`, TAGGED_PER_PAGE, token, view);
      yield* list(page["runs"]).map(runRecord);
      token = nextToken(page, token);
      if (token === "") return;
    }
    throw unexpected();
  }

  async runTags(experimentId: string, ids: readonly string[]): Promise<RunTags[]> {
    if (ids.length === 0) return [];
    const runs: RunTags[] = [];
    for (let at = 0; at < ids.length; at += TAGGED_PER_PAGE) {
      const some = ids.slice(at, at + TAGGED_PER_PAGE);
      const filter = `attributes.run_id IN (${some.map(literal).join(", ")})`;
      const page = await this.#search(experimentId, filter, TAGGED_PER_PAGE).catch((error: unknown) => {
        // MLflow before 2.3 does not know IN.
        if (error instanceof Refusal && error.status === 400) return undefined;
        throw error;
      });
      if (page !== undefined) runs.push(...list(page["runs"]).map(runRecord));
      else runs.push(...(await Promise.all(some.map((id) => this.run(id)))).filter((run) => run !== undefined));
    }
    return runs;
  }

  async countsRuns(experimentId: string, key: string, count: number): Promise<"fewer" | "exactly" | "more"> {
    const token = count === 1 ? "" : tokenAt(count - 1);
    const page = await this.#search(experimentId, `${tagName(key)} LIKE '%'`, 1, token);
    if (list(page["runs"]).length === 0) return "fewer";
    return nextToken(page, token) === "" ? "exactly" : "more";
  }

  get runLists(): RunLists {
    return this;
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
    const limitBefore = this.#limit;
    let { metrics } = batch;
    let atMost = Infinity;
    let from = 0;
    for (;;) {
      const part = this.#nextPart(metrics, { from, atMost }, params, tags);
      const size = part.params.length + (part.to - part.from) + part.tags.length;
      if (size === 0) return;
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
        if (size === 1) {
          // So it was not for their number; others need not suffer.
          this.#limit = limitBefore;
          throw asContentRefused(error);
        }
        this.#limit = Math.min(this.#limit, size >> 1);
        continue;
      }
      from = part.to;
      params.splice(0, part.params.length);
      tags.splice(0, part.tags.length);
    }
  }

  /** What is sent next of what is left: params, then metrics, and tags only where nothing else remains for later. */
  #nextPart(
    metrics: MetricColumns,
    { from, atMost }: { readonly from: number; readonly atMost: number },
    params: readonly KeyValue[],
    tags: readonly KeyValue[],
  ): Part {
    const someParams = params.slice(0, Math.min(MAX_PARAMS, this.#limit));
    const to = Math.min(metrics.length, from + Math.min(atMost, this.#limit - someParams.length));
    const room = Math.min(MAX_TAGS, this.#limit - someParams.length - (to - from));
    const onlyTags = someParams.length === 0 && to === from;
    const last = someParams.length === params.length && to === metrics.length && tags.length <= room;
    return {
      metrics,
      from,
      to,
      params: someParams,
      tags: onlyTags || last ? tags.slice(0, room) : [],
    };
  }

  async *metricHistory(runId: string, key: string): AsyncGenerator<MetricColumns> {
    let token = "";
    for (;;) {
      const page = await this.#historyPage(runId, key, token).catch((error: unknown): JsonObject => {
        // What the database cannot compare, it does not hold.
        if (error instanceof ContentRefused) return {};
        throw error;
      });
      const metrics = list(page["metrics"]);
      // An MLflow that knows no pages takes no notice of the number, and gives all at once.
      if (metrics.length > 0) yield pointColumns(key, metrics);
      const next = nextToken(page, token);
      if (next === "") return;
      if (metrics.length === 0) throw unexpected();
      token = next;
    }
  }

  async #historyPage(runId: string, key: string, token: string): Promise<JsonObject> {
    const query = {
      run_id: runId,
      metric_key: key,
      max_results: String(POINTS_PER_PAGE),
      ...(token !== "" && { page_token: token }),
    };
    const path = `${API}metrics/get-history`;
    const counterpart = isAscii(key) ? {} : ANY_EXPERIMENT;
    const request = { method: "GET", path, query, retryLostReply: true, frequent: true, ...counterpart } as const;
    for (let attempt = 1; attempt <= MAX_DAMAGED; attempt++) {
      // As a file: of how many points an answer is, is not known, and its numbers have to be looked at as text.
      const { bytes } = await this.#http.download(request);
      const page = parseExact(bytes);
      if (page !== undefined) return page;
    }
    throw unexpected();
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

  #search(
    experimentId: string,
    filter: string,
    maxResults: number,
    pageToken = "",
    view: "ALL" | "DELETED_ONLY" = "ALL",
  ): Promise<JsonObject> {
    return this.#post("runs/search", {
      experiment_ids: [experimentId],
      filter,
      run_view_type: view,
      max_results: maxResults,
      order_by: ["attributes.start_time DESC"],
      ...(pageToken !== "" && { page_token: pageToken }),
    });
  }
}

const API = "/api/2.0/mlflow/";

type KeyValue = readonly [key: string, value: string];

interface Part extends LogBatchPart {
  readonly params: readonly KeyValue[];
  readonly tags: readonly KeyValue[];
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

/** A database that does not store all letters may not even compare them: its error is that of one that is away. */
const ANY_EXPERIMENT: Pick<HttpRequest, "counterpart"> = {
  counterpart: {
    about: "letters",
    request: () => ({
      method: "GET",
      path: `${API}experiments/search`,
      query: { max_results: "1" },
      retryLostReply: true,
    }),
  },
};
