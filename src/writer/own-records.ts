/** tracelet's own records; `src/reader/plugins/tracelet.ts` says what they look like. */
import { TraceletError } from "../errors.ts";
import type { HparamValue } from "../reader/datum.ts";
import {
  MAX_JSON_BYTES,
  MAX_NAME,
  MAX_NAMES,
  MAX_TYPE,
  pathProblem,
  RECORD_VERSION,
  signedText,
  TRACELET_PLUGIN,
} from "../reader/plugins/tracelet.ts";
import type { SummaryValue } from "./event-record.ts";
import { stringTensor } from "./values.ts";

/** What a param may be; a number that is not finite is written as Python prints it. */
export type ParamValue = string | number | bigint | boolean | null;

/** The largest artifact that is written into an event file. Bytes. */
export const MAX_ARTIFACT_BYTES: number = 100 * 1000 * 1000;

/** @throws TraceletError `usage` if they are too many or too large for one record */
export function paramsValue(params: Readonly<Record<string, ParamValue>>): SummaryValue {
  requireNames("params", Object.keys(params));
  const entries = Object.entries(params).map(([name, value]) => `${JSON.stringify(name)}:${paramText(value)}`);
  return jsonValue("params", `${TRACELET_PLUGIN}/params`, `{${entries.join(",")}}`);
}

/** Labels of the run. @throws TraceletError `usage` if they are too many for one record */
export function tagsValue(tags: Readonly<Record<string, string>>): SummaryValue {
  requireNames("tags", Object.keys(tags));
  return jsonValue("tags", `${TRACELET_PLUGIN}/tags`, JSON.stringify(tags));
}

/** A metric's type and metadata. @throws TraceletError `usage` if they are too large for one record */
export function metricValue(
  tag: string,
  type: string | undefined,
  metadata: { readonly [name: string]: HparamValue },
  step?: number | bigint,
): SummaryValue {
  requireNames("metric", [tag]);
  requireNames("metadata", Object.keys(metadata));
  if (type !== undefined && type.length > MAX_TYPE) {
    throw new TraceletError("usage", `a metric's type has ${type.length} characters; ${MAX_TYPE} are possible`);
  }
  const json = JSON.stringify({ tag, type, metadata, step }, (_, value: unknown) =>
    typeof value === "bigint" ? Number(value) : value,
  );
  return jsonValue("metric", `${TRACELET_PLUGIN}/metric/${tag}`, json);
}

/** A file's bytes. @param path what it is called, its parts separated by `/` @throws TraceletError `usage` */
export function artifactValue(path: string, bytes: Uint8Array): SummaryValue {
  requirePath(path);
  if (bytes.length > MAX_ARTIFACT_BYTES) {
    throw new TraceletError(
      "usage",
      `${path} has ${bytes.length} bytes; ${MAX_ARTIFACT_BYTES} fit into an event file`,
      {
        hint: "name the file instead",
      },
    );
  }
  return recordValue("artifact", `${TRACELET_PLUGIN}/artifact/${path}`, bytes, { path });
}

/** A file that is too large for a record, where it lies. */
export interface LargeFile {
  /** Absolute. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** Whole milliseconds since the Unix epoch. */
  readonly mtime: number;
}

/** @param sign signs with the session's key, in hex; without it only a file in the logdir is read @throws TraceletError `usage` */
export function artifactFileValue(path: string, large: LargeFile, sign?: (text: string) => string): SummaryValue {
  requirePath(path);
  const { file, size, mtime } = large;
  const mac = sign?.(signedText(path, large));
  return recordValue("artifact", `${TRACELET_PLUGIN}/artifact/${path}`, "", { path, file, size, mtime, mac });
}

function requirePath(path: string): void {
  const problem = pathProblem(path);
  if (problem === undefined) return;
  throw new TraceletError("usage", `the artifact's path ${JSON.stringify(path)} ${problem}`, {
    hint: "give a relative path with / between its parts, such as plots/roc.png",
  });
}

/** @param what they are names of, for the error */
function requireNames(what: string, names: readonly string[]): void {
  const hint = "log them in parts, or under shorter names";
  if (names.length > MAX_NAMES) {
    throw new TraceletError("usage", `the ${what} have ${names.length} names; ${MAX_NAMES} fit into a record`, {
      hint,
    });
  }
  const long = names.find((name) => name.length > MAX_NAME);
  if (long === undefined) return;
  const text = `a name of the ${what} has ${long.length} characters; ${MAX_NAME} are possible`;
  throw new TraceletError("usage", `${text}: ${long.slice(0, 60)}…`, { hint });
}

function jsonValue(kind: string, tag: string, json: string): SummaryValue {
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_JSON_BYTES) {
    throw new TraceletError("usage", `the ${kind} take ${bytes} bytes; ${MAX_JSON_BYTES} fit into a record`, {
      hint: "log them in parts, or as an artifact",
    });
  }
  return recordValue(kind, tag, json);
}

function recordValue(
  kind: string,
  tag: string,
  payload: string | Uint8Array,
  fields: Readonly<Record<string, string | number | undefined>> = {},
): SummaryValue {
  const content = Buffer.from(JSON.stringify({ v: RECORD_VERSION, kind, ...fields }));
  return { tag, metadata: { pluginData: { pluginName: TRACELET_PLUGIN, content } }, tensor: stringTensor(payload) };
}

function paramText(value: ParamValue): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && Number.isNaN(value)) return '"nan"';
  if (value === Infinity || value === -Infinity) return value > 0 ? '"inf"' : '"-inf"';
  return Object.is(value, -0) ? "-0.0" : JSON.stringify(value);
}
