/** Values → lines of JSON; docs/files.md describes them. */
import { type Json, jsonLines, Rows } from "../../encode/json.ts";
import type {
  AudioClip,
  AudioDatum,
  Datum,
  DatumBase,
  EncodedImage,
  Goal,
  HparamsDatum,
  MetricInfoDatum,
  NamedFile,
  ScalarColumns,
} from "../../reader/datum.ts";
import { PythonObject, type PythonValue } from "../../reader/python-text.ts";
import type { Tensor } from "../../reader/tensor.ts";
import type { Batch } from "../../sync/backend.ts";
import { Tally } from "../../sync/report/tally.ts";

/** What a line says of bytes that lie in a file beside it, or are in it: where they are, and how many. */
export type Kept = { readonly bytes: number } & (
  | { readonly path: string }
  | { readonly base64: string }
  /** Only named: there is no place for files. */
  | { readonly file: string }
);

/** Keeps bytes, or those of a file, and tells where they are going to be. @param extension of a file that holds them, without its dot */
export type Keep = (content: Uint8Array | NamedFile, extension: string) => Kept;

/** All scalars, one a line. @param lead what stands first in each object, such as `"run":"a",` */
export function scalarLines({ length, tags, tag, step, wallTime, value }: ScalarColumns, lead = ""): string {
  const heads = new Map<number, string>();
  let text = "";
  let last: bigint | undefined;
  let lastText = "";
  for (let i = 0; i < length; i++) {
    const at = tag[i] as number;
    let head = heads.get(at);
    if (head === undefined) {
      head = `{${lead}"kind":"scalar","tag":${JSON.stringify(tags[at])},"step":`;
      heads.set(at, head);
    }
    // Most writers log all metrics of a step one after the other.
    if (step[i] !== last) {
      last = step[i] as bigint;
      lastText = stepText(last);
    }
    text += `${head}${lastText},"wall_time":${numberText(wallTime[i] as number)},"value":${numberText(value[i] as number)}}\n`;
  }
  return text;
}

/** A datum's line; undefined for one that nobody can decode. */
export function datumLine(
  datum: Datum,
  keep: Keep,
  lead: { readonly [key: string]: Json } = {},
): Uint8Array | undefined {
  const fields = fieldsOf(datum, keep);
  if (fields === undefined) return undefined;
  const { tag, step, wallTime } = datum;
  return jsonLines([{ ...lead, kind: datum.kind, tag, step, wall_time: wallTime, ...fields, ...describe(datum) }]);
}

/** Hyperparameters that only a file beside the event files has. */
export function hparamsLine(
  hparams: ReadonlyMap<string, PythonValue>,
  lead: { readonly [key: string]: Json } = {},
): Uint8Array {
  const values = Object.fromEntries(Array.from(hparams, ([name, value]) => [name, jsonOfPython(value)]));
  return jsonLines([{ ...lead, kind: "hparams", type: "hparams_file", hparams: values }]);
}

/** Every kind has a line. */
export function tallyOf({ scalars, data }: Pick<Batch, "scalars" | "data">): Tally {
  const tally = new Tally();
  tally.sent("scalars", scalars.length);
  for (const { kind } of data) {
    if (kind === "unreadable") tally.skipped(kind, "undecodable", 1);
    else tally.sent(kind, 1);
  }
  return tally;
}

/** A step that not every reader of JSON keeps exactly is a string. */
export function stepText(step: bigint): string {
  const number = Number(step);
  return Number.isSafeInteger(number) ? String(number) : `"${step}"`;
}

/** The shortest that reads back as the same double; what JSON has no word for is a string. */
function numberText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? "-0.0" : String(value);
  return `"${value}"`;
}

type Fields = { readonly [key: string]: Json | undefined };

/** What the writer said of the tag, as far as it said anything. */
function describe({ metadata }: DatumBase): Fields {
  const { displayName, description } = metadata;
  return {
    ...(displayName !== "" && { display_name: displayName }),
    ...(description !== "" && { description }),
  };
}

function fieldsOf(datum: Datum, keep: Keep): Fields | undefined {
  switch (datum.kind) {
    case "images":
      return {
        width: datum.width,
        height: datum.height,
        images: datum.images.map((image) => imageOf(image, keep)),
      };
    case "audio":
      return { clips: clipsOf(datum, keep) };
    case "text":
      return { shape: datum.shape, strings: datum.strings };
    case "histograms": {
      const { sumSquares, ...stats } = datum.stats ?? {};
      return {
        buckets: new Rows(datum.buckets, 3),
        ...(datum.stats !== undefined && { stats: { ...stats, sum_squares: sumSquares } }),
      };
    }
    case "hparams":
      return hparamsOf(datum.record);
    case "graphs": {
      const extension = datum.content === "keras_model" ? "json" : "pb";
      return { content: datum.content, blobs: datum.blobs.map((blob) => ({ ...keep(blob, extension) })) };
    }
    case "pr_curves":
      return {
        num_thresholds: datum.numThresholds,
        true_positives: datum.truePositives,
        false_positives: datum.falsePositives,
        true_negatives: datum.trueNegatives,
        false_negatives: datum.falseNegatives,
        precision: datum.precision,
        recall: datum.recall,
      };
    case "mesh": {
      const { mesh, content, config, tensor } = datum;
      return { mesh, content, config, tensor: tensorOf(tensor) };
    }
    case "custom_scalars":
      return {
        categories: datum.categories.map(({ title, closed, charts }) => ({
          title,
          closed,
          charts: charts.map(({ title: name, tags, margins }) => ({
            title: name,
            tags,
            margins: margins.map((margin) => ({ ...margin })),
          })),
        })),
      };
    case "run_tags":
      return { tags: Object.fromEntries(datum.tags) };
    case "artifacts":
      return { artifact: datum.path, ...keep(datum.content, extensionOf(datum.path)) };
    case "metric_info":
      return { metric: datum.metric, type: datum.type, ...goalOf(datum), metadata: datum.info };
    case "tensors": {
      const { plugin, content } = datum.metadata;
      return { plugin, content: base64(content), tensor: datum.tensor === null ? null : tensorOf(datum.tensor) };
    }
    case "unreadable":
      return undefined;
  }
}

function goalOf({ goal }: MetricInfoDatum): { readonly goal?: Goal } {
  return goal === undefined ? {} : { goal };
}

function imageOf(image: EncodedImage | undefined, keep: Keep): Json {
  if (image === undefined) return null;
  const { format, bytes } = image;
  return { ...keep(bytes, format === "unknown" ? "bin" : format === "jpeg" ? "jpg" : format), format };
}

function clipsOf({ clips }: AudioDatum, keep: Keep): Json[] {
  return clips.map((clip) => {
    if (clip === undefined) return null;
    const { bytes, contentType, sampleRate, label } = clip;
    return { ...keep(bytes, audioExtension(clip)), content_type: contentType, sample_rate: sampleRate, label };
  });
}

const AUDIO: ReadonlyMap<string, string> = new Map([
  ["audio/wav", "wav"],
  ["audio/x-wav", "wav"],
  ["audio/mpeg", "mp3"],
  ["audio/ogg", "ogg"],
  ["audio/flac", "flac"],
  ["audio/mp4", "m4a"],
]);

function audioExtension({ contentType }: AudioClip): string {
  return AUDIO.get(contentType) ?? "bin";
}

function extensionOf(path: string): string {
  return /\.([a-z0-9]{1,10})$/i.exec(path)?.[1] ?? "bin";
}

function hparamsOf(record: HparamsDatum["record"]): Fields {
  switch (record.type) {
    case "session_start":
      return {
        type: record.type,
        hparams: Object.fromEntries(Array.from(record.hparams, ([name, value]) => [name, jsonOfPython(value)])),
        group_name: record.groupName,
        model_uri: record.modelUri,
        monitor_url: record.monitorUrl,
        start_time: record.startTime,
      };
    case "params":
      return {
        type: record.type,
        hparams: Object.fromEntries(Array.from(record.hparams, ([name, value]) => [name, jsonOfPython(value)])),
      };
    case "session_end":
      return { type: record.type, status: record.status, end_time: record.endTime };
    case "experiment":
      return {
        type: record.type,
        description: record.description,
        user: record.user,
        time_created: record.timeCreated,
        hparams: record.hparams.map(({ name, displayName, description, type, domain }) => ({
          name,
          display_name: displayName,
          description,
          type: TYPES[type] ?? null,
          domain: domain as Json,
        })),
        metrics: record.metrics.map(({ group, tag, displayName, description }) => ({
          group,
          tag,
          display_name: displayName,
          description,
        })),
      };
  }
}

/** `DataType` of api.proto. */
const TYPES: readonly (string | null)[] = [null, "string", "bool", "float64"];

/** As JSON has it; what only Python has is its text. */
function jsonOfPython(value: PythonValue): Json {
  return value instanceof PythonObject ? value.text : value;
}

function tensorOf({ dtype, shape, data }: Tensor): Json {
  if (dtype === "string") return { dtype, shape, data: data.map(stringOrBytes) };
  if (data instanceof Float64Array) return { dtype, shape, data };
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return { dtype, shape, data: [...data] };
  return { dtype, shape, data: Float64Array.from(data as ArrayLike<number>) };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function stringOrBytes(bytes: Uint8Array): Json {
  try {
    return utf8.decode(bytes);
  } catch {
    return { base64: base64(bytes) };
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
