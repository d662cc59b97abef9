/** What MLflow's REST API answers, checked and as records. */
import { TraceletError } from "../../errors.ts";
import type { JsonObject } from "../../net/request.ts";
import { experimentId, runId as idOfRun } from "./ids.ts";
import type { MetricColumns, RunRecord, RunStatus } from "./store.ts";

/** It becomes a part of an address. Characters. */
const MAX_TOKEN = 4096;

export function runRecord(value: unknown): RunRecord {
  const run = object(value);
  const info = object(run["info"]);
  const data = run["data"] === undefined ? {} : object(run["data"]);
  return {
    id: idOfRun(text(info, "run_id")),
    experimentId: experimentId(text(info, "experiment_id")),
    artifactUri: typeof info["artifact_uri"] === "string" ? info["artifact_uri"] : undefined,
    active: info["lifecycle_stage"] !== "deleted",
    status: STATUSES[String(info["status"])] ?? "RUNNING",
    tags: keyValues(data["tags"]),
    params: keyValues(data["params"]),
    metricKeys: new Set(list(data["metrics"]).map((metric) => text(object(metric), "key"))),
  };
}

/** JSON whose whole numbers beyond 2^53 come as text; undefined if it is no JSON object. */
export function parseExact(bytes: Buffer): JsonObject | undefined {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new TraceletError("rejected", "the server gives all points of a metric at once, more than fit into a text", {
      hint: "update MLflow: newer versions give them page by page",
    });
  }
  // No key of a metric holds a quote, so that these are no part of a text.
  const text = bytes.toString().replace(/("(?:step|timestamp)"\s*:\s*)(-?\d{16,})/g, '$1"$2"');
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** What one string can hold in each Node. */
const MAX_TEXT_BYTES = 2 ** 29 - 1024;

/** Points as MLflow gives them out. protobuf's JSON may leave out what is 0, and has words for what is not finite. */
export function pointColumns(key: string, metrics: readonly unknown[]): MetricColumns {
  const { length } = metrics;
  const step = new BigInt64Array(length);
  const timestamp = new Float64Array(length);
  const value = new Float64Array(length);
  for (const [i, metric] of metrics.entries()) {
    const point = object(metric);
    step[i] = integer(point["step"]);
    timestamp[i] = number(point["timestamp"]);
    value[i] = point["value"] === "NaN" ? Number.NaN : number(point["value"]);
  }
  return { keys: [key], key: new Int32Array(length), step, timestamp, value, length };
}

function integer(given: unknown): bigint {
  const value = given ?? 0;
  if (typeof value === "number" ? Number.isInteger(value) : typeof value === "string" && /^-?\d+$/.test(value)) {
    return BigInt(value as number | string);
  }
  throw unexpected();
}

function number(given: unknown): number {
  const value = typeof given === "string" && given !== "" ? Number(given) : (given ?? 0);
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw unexpected();
}

/** MLflow's other two, SCHEDULED and KILLED, come from other clients. */
const STATUSES: Readonly<Record<string, RunStatus>> = { FINISHED: "FINISHED", FAILED: "FAILED", KILLED: "FAILED" };

export function keyValues(value: unknown): ReadonlyMap<string, string> {
  // protobuf's JSON leaves out what is empty: no list, or no value.
  return new Map(
    list(value)
      .map(object)
      .map((entry) => [text(entry, "key"), typeof entry["value"] === "string" ? entry["value"] : ""]),
  );
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function object(value: unknown): JsonObject {
  if (typeof value === "object" && value !== null) return value as JsonObject;
  throw unexpected();
}

export function text(from: JsonObject, name: string): string {
  const value = from[name];
  if (typeof value === "string" && value !== "") return value;
  throw unexpected();
}

/** Where the page behind that of `token` begins; `""` if there is none. @throws TraceletError `rejected` if it is no token */
export function nextToken(page: JsonObject, token: string): string {
  const next = page["next_page_token"];
  if (typeof next !== "string" || next === "") return "";
  if (next === token || next.length > MAX_TOKEN) throw unexpected();
  return next;
}

export function unexpected(): TraceletError {
  return new TraceletError("rejected", "the server answers in JSON, but not as MLflow does", {
    hint: "check the address: this may be another service",
  });
}
