/**
 * tracelet's own records: what a program logs that no plugin of TensorBoard's has a form for. An ordinary summary value,
 * which TensorBoard passes over: `plugin_data.content` is JSON that says which record it is, the payload is a tensor of
 * one string.
 *
 *     kind      tag                     content              payload
 *     params    tracelet/params         {v, kind}            JSON object: name → string, number, boolean, null
 *     tags      tracelet/tags           {v, kind}            JSON object: name → string
 *     artifact  tracelet/artifact/…     {v, kind, path}      the file's bytes
 *               "                       {…, file, size,      nothing: the file is read where it lies
 *                                        mtime, mac}
 *     metric    tracelet/metric/…       {v, kind}            JSON object: tag, type, metadata
 */
import type { ArtifactDatum, HparamsDatum, HparamValue, MetricInfoDatum, NamedFile, RunTagsDatum } from "../datum.ts";
import { type Body, type PluginValue, stringsOf, UnreadableError } from "./plugin.ts";

export const TRACELET_PLUGIN = "tracelet";
/** Of the records this version writes, and the only one it reads. */
export const RECORD_VERSION = 1;
/** The largest payload of a record other than an artifact. Bytes. */
export const MAX_JSON_BYTES: number = 1024 * 1024;
/** Of an artifact's path, and of one of its parts. Bytes. */
export const MAX_PATH_BYTES = 1000;
export const MAX_PART_BYTES = 200;

const MAX_CONTENT_BYTES = 16 * 1024;
/** Of params, tags and a metric's metadata in one record. */
export const MAX_NAMES = 10_000;
/** Of a name and a metric's type. UTF-16 units. */
export const MAX_NAME = 1000;
export const MAX_TYPE = 100;
/** How deeply the metadata of a metric may be nested. */
const MAX_DEPTH = 8;

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
type JsonObject = { readonly [name: string]: Json };

/**
 * The record in a value.
 *
 * @throws UnreadableError if it is none that this version knows, or exceeds one of its bounds; TensorError if the payload
 *   cannot be decoded
 */
export function recordOfValue(
  value: PluginValue,
): Body<HparamsDatum> | Body<RunTagsDatum> | Body<ArtifactDatum> | Body<MetricInfoDatum> {
  const content = objectOf(value.metadata.content, MAX_CONTENT_BYTES, "the record's content");
  if (content["v"] !== RECORD_VERSION) {
    throw new UnreadableError(`the record is of version ${shown(content["v"])}; possible is ${RECORD_VERSION}`);
  }
  const payload = payloadOf(value);
  switch (content["kind"]) {
    case "params":
      return { kind: "hparams", record: { type: "params", hparams: paramsOf(payload) } };
    case "tags":
      return { kind: "run_tags", tags: tagsOf(payload) };
    case "artifact":
      return artifactOf(content, payload);
    case "metric":
      return metricOf(payload);
    default:
      throw new UnreadableError(
        `the record is of kind ${shown(content["kind"])}; possible are params, tags, artifact and metric`,
      );
  }
}

/** Why a text cannot be the path of an artifact; undefined if it can. */
export function pathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (/[\p{Cc}\p{Cs}\\]/u.test(path)) return "holds a control character, half a surrogate pair or a backslash";
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return `has the part ${JSON.stringify(part)}`;
    if (Buffer.byteLength(part) > MAX_PART_BYTES) return `has a part longer than ${MAX_PART_BYTES} bytes`;
  }
  return undefined;
}

/** What a session's key signs of a named file. */
export function signedText(path: string, { file, size, mtime }: Pick<NamedFile, "file" | "size" | "mtime">): string {
  return [path, file, size, mtime].join("\n");
}

function payloadOf(value: PluginValue): Uint8Array {
  const [payload, ...others] = stringsOf(value).data;
  if (payload === undefined || others.length > 0) throw new UnreadableError("a record has one string as its payload");
  return payload;
}

/** Params keep what JSON says of a number: `1` is an integer, `1.0` is not. */
function paramsOf(payload: Uint8Array): Map<string, HparamValue> {
  const text = textOf(payload, MAX_JSON_BYTES, "the params");
  const values = Object.values(parsed(text, "the params"));
  if (values.some((value) => typeof value === "object" && value !== null)) {
    throw new UnreadableError("a param is a list or an object; possible are string, number, boolean and null");
  }
  // It is valid and flat, so that names and values alternate.
  const tokens = text.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[^\s,:{}"]+/g) ?? [];
  const params = new Map<string, HparamValue>();
  for (let i = 0; i < tokens.length; i += 2) {
    const token = tokens[i + 1] as string;
    const isInteger = /^-?\d+$/.test(token) && token !== "-0" && token.length <= MAX_NAME;
    params.set(
      JSON.parse(tokens[i] as string) as string,
      isInteger ? BigInt(token) : (JSON.parse(token) as HparamValue),
    );
  }
  requireNames(params.keys());
  return params;
}

function tagsOf(payload: Uint8Array): Map<string, string> {
  const entries = Object.entries(objectOf(payload, MAX_JSON_BYTES, "the tags"));
  const tags = new Map<string, string>();
  for (const [name, text] of entries) {
    if (typeof text !== "string") throw new UnreadableError(`the tag ${shown(name)} is no string`);
    tags.set(name, text);
  }
  requireNames(tags.keys());
  return tags;
}

function artifactOf({ path, file, size, mtime, mac }: JsonObject, payload: Uint8Array): Body<ArtifactDatum> {
  const problem = typeof path === "string" ? pathProblem(path) : "is no string";
  if (typeof path !== "string" || problem !== undefined) {
    throw new UnreadableError(`the artifact's path ${shown(path)} ${problem}`);
  }
  if (file === undefined) return { kind: "artifacts", path, content: payload };
  const isNamed = typeof file === "string" && file !== "" && !/[\0\p{Cs}]/u.test(file);
  if (!isNamed || !isCount(size) || !isCount(mtime) || payload.length > 0) {
    throw new UnreadableError("an artifact's file has an absolute path, a size and an mtime, and no payload");
  }
  const named = { file, size, mtime, text: signedText(path, { file, size, mtime }) };
  return { kind: "artifacts", path, content: { ...named, mac: typeof mac === "string" ? mac : "" } };
}

function metricOf(payload: Uint8Array): Body<MetricInfoDatum> {
  const { tag, type = "", metadata = {} } = objectOf(payload, MAX_JSON_BYTES, "the metric");
  if (typeof tag !== "string" || tag.length > MAX_NAME) throw new UnreadableError("a metric's record has its tag");
  if (typeof type !== "string" || type.length > MAX_TYPE)
    throw new UnreadableError("a metric's type is a short string");
  if (!isObject(metadata)) throw new UnreadableError("a metric's metadata are an object");
  requireNames(Object.keys(metadata));
  return { kind: "metric_info", metric: tag, type, info: metadata };
}

function requireNames(names: Iterable<string>): void {
  let count = 0;
  for (const name of names) {
    count++;
    if (name.length > MAX_NAME) throw new UnreadableError(`a name is longer than ${MAX_NAME} characters`);
  }
  if (count > MAX_NAMES) throw new UnreadableError(`a record has ${count} names; possible are ${MAX_NAMES}`);
}

/** @param what it is, for the error */
function objectOf(bytes: Uint8Array, atMost: number, what: string): JsonObject {
  return parsed(textOf(bytes, atMost, what), what);
}

function textOf(bytes: Uint8Array, atMost: number, what: string): string {
  if (bytes.length > atMost) {
    throw new UnreadableError(`${what} have ${bytes.length} bytes; possible are ${atMost}`);
  }
  try {
    return utf8.decode(bytes);
  } catch {
    throw new UnreadableError(`${what} are not UTF-8`);
  }
}

function parsed(text: string, what: string): JsonObject {
  // Before it is parsed: whoever walks through a deep one later would run out of stack.
  if (depthOf(text) > MAX_DEPTH) throw new UnreadableError(`${what} are nested more than ${MAX_DEPTH} deep`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UnreadableError(`${what} are not JSON`);
  }
  if (!isObject(value)) throw new UnreadableError(`${what} are no JSON object`);
  return value;
}

/** How deeply the lists and objects of a JSON text are nested. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]/g)) {
    if (token === "{" || token === "[") most = Math.max(most, ++depth);
    else if (token === "}" || token === "]") depth--;
  }
  return most;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A part of a record in an error: short, whatever it is. */
function shown(value: Json | undefined): string {
  return JSON.stringify(value ?? null).slice(0, 100);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
