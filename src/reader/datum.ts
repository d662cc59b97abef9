import type { FileRef } from "./file-store.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Scalars are the flood: they travel in columns, never as one object a point. Entry `i` of every column
 * belongs to point `i`; only the first `length` entries are valid.
 */
export interface ScalarColumns {
  /** Distinct tags, in the order they were first seen; `tag` indexes into it. */
  readonly tags: readonly string[];
  readonly tag: Int32Array;
  /** Global step, exact over the whole int64 range. */
  readonly step: BigInt64Array;
  /** Seconds since the Unix epoch, as written. */
  readonly wallTime: Float64Array;
  /** The value; a float32 arrives as the double that equals it. */
  readonly value: Float64Array;
  /** Byte offset, in its event file, of the record that holds the point. */
  readonly offset: Float64Array;
  readonly length: number;
}

/**
 * What a writer says of a tag, mostly with its first value only (TensorBoard's `SummaryMetadata`). A reader has to
 * remember it, also across its own restarts.
 */
export interface TagMetadata {
  /** `plugin_data.plugin_name`; empty where the writer gave none. */
  readonly plugin: string;
  readonly displayName: string;
  readonly description: string;
  /** `DataClass` of summary.proto: 0 unknown, 1 scalar, 2 tensor, 3 blob sequence. */
  readonly dataClass: number;
  /** `plugin_data.content`: the plugin's own message, serialized. */
  readonly content: Uint8Array;
}

/** Fields every datum has. */
export interface DatumBase {
  readonly tag: string;
  readonly step: bigint;
  /** Seconds since the Unix epoch, as written. */
  readonly wallTime: number;
  /** Byte offset of its record in the event file. */
  readonly offset: number;
  readonly metadata: TagMetadata;
}

/** Encoding of an image, told by its first bytes, never by what the writer says. */
export type ImageFormat = "png" | "jpeg" | "gif" | "webp" | "bmp" | "svg" | "unknown";

export interface EncodedImage {
  readonly bytes: Uint8Array;
  readonly format: ImageFormat;
}

/** One or more images of one step, bytes as written. */
export interface ImagesDatum extends DatumBase {
  readonly kind: "images";
  /** Width and height in pixels as the writer declared them; they may lie. NaN where the text was no number. */
  readonly width: number;
  readonly height: number;
  /** Undefined: not read but on its way to a destination, one that was left out, which leaves the others their places. */
  readonly images: readonly (EncodedImage | undefined)[];
}

/** One or more audio clips of one step, bytes as written. */
export interface AudioDatum extends DatumBase {
  readonly kind: "audio";
  /** Undefined as among images. */
  readonly clips: readonly (AudioClip | undefined)[];
}

export interface AudioClip {
  readonly bytes: Uint8Array;
  /** RFC 2045 type, `audio/wav` where the writer gave none and the bytes are a WAV file; else "". */
  readonly contentType: string;
  /** Hz; from the message (V1) or the WAV header; NaN where neither tells. */
  readonly sampleRate: number;
  /** The label beside a V2 clip; empty for V1. */
  readonly label: string;
}

/** Text: a scalar or an n-dimensional table of strings, row-major. Bytes that are not UTF-8 are replaced by U+FFFD. */
export interface TextDatum extends DatumBase {
  readonly kind: "text";
  readonly shape: readonly number[];
  readonly strings: readonly string[];
}

/** Histogram as TensorBoard shows it: row i is `[left edge, right edge, count]` at `buckets[3 * i]`. */
export interface HistogramDatum extends DatumBase {
  readonly kind: "histograms";
  readonly buckets: Float64Array;
  /** V1 only: the statistics the writer gave beside the buckets. */
  readonly stats?: {
    readonly min: number;
    readonly max: number;
    readonly num: number;
    readonly sum: number;
    readonly sumSquares: number;
  };
}

/** A value of a hyperparameter. The hparams plugin knows doubles only; an integer of a YAML file is a bigint. */
export type HparamValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | readonly HparamValue[]
  | { readonly [key: string]: HparamValue };

/** A record of the hparams plugin. */
export interface HparamsDatum extends DatumBase {
  readonly kind: "hparams";
  readonly record:
    | {
        readonly type: "experiment";
        /** Seconds since the Unix epoch; 0 where not given. */
        readonly timeCreated: number;
        readonly description: string;
        readonly user: string;
        readonly hparams: readonly {
          readonly name: string;
          readonly displayName: string;
          readonly description: string;
          /** `DataType` of api.proto: 0 unset, 1 string, 2 bool, 3 float64. */
          readonly type: number;
          readonly domain: readonly HparamValue[] | { readonly min: number; readonly max: number } | null;
        }[];
        readonly metrics: readonly {
          readonly group: string;
          readonly tag: string;
          readonly displayName: string;
          readonly description: string;
        }[];
      }
    | {
        readonly type: "session_start";
        readonly hparams: ReadonlyMap<string, HparamValue>;
        readonly groupName: string;
        readonly modelUri: string;
        readonly monitorUrl: string;
        /** Seconds since the Unix epoch; 0 where not given. */
        readonly startTime: number;
      }
    | {
        /** Params that a program logged one by one, as a record of tracelet's own. */
        readonly type: "params";
        readonly hparams: ReadonlyMap<string, HparamValue>;
      }
    | {
        readonly type: "session_end";
        readonly status: "unknown" | "success" | "failure" | "running";
        /** Seconds since the Unix epoch; 0 where not given. */
        readonly endTime: number;
      };
}

/** Whether a record brings hyperparameters of its run. */
export function holdsHparams(
  record: HparamsDatum["record"],
): record is Extract<HparamsDatum["record"], { readonly type: "session_start" | "params" }> {
  return record.type === "session_start" || record.type === "params";
}

/** A graph, or what a run of it cost, serialized as the writer serialized it. */
export interface GraphDatum extends DatumBase {
  readonly kind: "graphs";
  /**
   * `graph_def` is a `GraphDef`, `meta_graph_def` a `MetaGraphDef`, `run_metadata` and `run_metadata_graph` are
   * `RunMetadata`s (the graphs of the latter are inside), `keras_model` is JSON.
   */
  readonly content: "graph_def" | "meta_graph_def" | "run_metadata" | "run_metadata_graph" | "keras_model";
  readonly blobs: readonly Uint8Array[];
}

/** Precision-recall curve: six rows of `numThresholds` values each. */
export interface PrCurveDatum extends DatumBase {
  readonly kind: "pr_curves";
  readonly numThresholds: number;
  readonly truePositives: Float64Array;
  readonly falsePositives: Float64Array;
  readonly trueNegatives: Float64Array;
  readonly falseNegatives: Float64Array;
  readonly precision: Float64Array;
  readonly recall: Float64Array;
}

/** One of the tensors a mesh is made of; the mesh's own name is in `mesh`. */
export interface MeshDatum extends DatumBase {
  readonly kind: "mesh";
  /** Name the user gave: the tag without its `_VERTEX`, `_FACE` or `_COLOR` ending. */
  readonly mesh: string;
  readonly content: "vertex" | "face" | "color" | "undefined";
  /** The three.js configuration, JSON; empty where none was given. */
  readonly config: string;
  readonly tensor: Tensor;
}

/** One chart of a custom scalars layout. */
export interface CustomScalarsChart {
  readonly title: string;
  /** Multiline charts: regular expressions of tags. */
  readonly tags: readonly string[];
  /** Margin charts: tags of the line and its lower and upper bound. */
  readonly margins: readonly { readonly value: string; readonly lower: string; readonly upper: string }[];
}

/** The layout of the custom scalars page. */
export interface CustomScalarsDatum extends DatumBase {
  readonly kind: "custom_scalars";
  readonly categories: readonly {
    readonly title: string;
    readonly closed: boolean;
    readonly charts: readonly CustomScalarsChart[];
  }[];
}

/** Labels of the run, as a program set them: MLflow's run tags. */
export interface RunTagsDatum extends DatumBase {
  readonly kind: "run_tags";
  readonly tags: ReadonlyMap<string, string>;
}

/** A file that a program logged. */
export interface ArtifactDatum extends DatumBase {
  readonly kind: "artifacts";
  /** Relative, its parts separated by `/`; none of them is empty, `.` or `..`. */
  readonly path: string;
  /** Its bytes, or where it lies if it is too large for a record. */
  readonly content: Uint8Array | NamedFile;
}

/** A file that a record names. Whoever can write to a logdir can name any file: `named-files.ts` decides which are read. */
export interface NamedFile {
  /** Absolute, on the writer's machine. */
  readonly file: string;
  /** Bytes, when it was logged. */
  readonly size: number;
  /** Modification time when it was logged, whole milliseconds since the Unix epoch. */
  readonly mtime: number;
  /** What says, and the session's key may sign, all of this. */
  readonly text: string;
  /** HMAC-SHA256 of `text` by the session's key, in hex; empty where the record has none. */
  readonly mac: string;
  /** What is to be read, once it was found to be safe and unchanged. */
  readonly found?: FileRef;
}

/** Whether the least or the greatest value of a metric is the best. */
export type Goal = "min" | "max";

/** A metric's type and metadata, as a program gave them, or as they were told by its tag. */
export interface MetricInfoDatum extends DatumBase {
  readonly kind: "metric_info";
  /** Tag of the metric. */
  readonly metric: string;
  /** `loss`, `accuracy`, …; empty where none was given. */
  readonly type: string;
  /** Left out where it goes by the type. */
  readonly goal?: Goal | undefined;
  readonly info: { readonly [name: string]: HparamValue };
}

/** A value of a plugin we have no file for, or of none: kept, never dropped. */
export interface TensorDatum extends DatumBase {
  readonly kind: "tensors";
  /** Null for a plugin that carries its data in `metadata.content` only. */
  readonly tensor: Tensor | null;
}

/** A value whose record is intact but which nobody can decode. */
export interface UnreadableDatum extends DatumBase {
  readonly kind: "unreadable";
  readonly reason: string;
  /** Whether it is so since there is nothing in it: torch's `add_video` writes one where moviepy is not installed. */
  readonly isEmpty: boolean;
}

/** Everything but scalars travels one by one. */
export type Datum =
  | ImagesDatum
  | AudioDatum
  | TextDatum
  | HistogramDatum
  | HparamsDatum
  | GraphDatum
  | PrCurveDatum
  | MeshDatum
  | CustomScalarsDatum
  | RunTagsDatum
  | ArtifactDatum
  | MetricInfoDatum
  | TensorDatum
  | UnreadableDatum;

/**
 * What a run can hold: summary values, the projector's embeddings, which lie in files beside the event files, and those
 * files as such.
 */
export type Kind = "scalars" | Datum["kind"] | "embeddings" | "source_files";

/** Where decoded values go. */
export interface ValueSink {
  /**
   * @param step the global step's int64 as its low and high 32 bits
   * @param wallTime seconds since the Unix epoch
   * @param offset byte offset of the record in its event file
   */
  scalar(tag: string, stepLow: number, stepHigh: number, wallTime: number, value: number, offset: number): void;
  datum(datum: Datum): void;
}
