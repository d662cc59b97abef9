/** Event → data: the old (V1) and the new (V2, tensor and plugin metadata) form of summaries made one. */
import type { Datum, TagMetadata, TensorDatum, ValueSink } from "./datum.ts";
import { audioOfMessage, audioOfTensor } from "./plugins/audio.ts";
import { customScalarsOfTensor } from "./plugins/custom-scalars.ts";
import {
  GRAPH_PLUGINS,
  graphDecoder,
  graphOfEvent,
  META_GRAPH_TAG,
  RUN_GRAPH_METADATA,
  RUN_GRAPH_TAG,
  TAGGED_RUN_METADATA,
} from "./plugins/graphs.ts";
import { histogramOfMessage, histogramOfTensor } from "./plugins/histograms.ts";
import { hparamsOfMetadata } from "./plugins/hparams.ts";
import { imageOfMessage, imagesOfTensor } from "./plugins/images.ts";
import { meshOfTensor } from "./plugins/mesh.ts";
import { type Body, type PluginDecoder, UnreadableError } from "./plugins/plugin.ts";
import { prCurveOfTensor } from "./plugins/pr-curves.ts";
import { textOfTensor } from "./plugins/text.ts";
import { recordOfValue, TRACELET_PLUGIN } from "./plugins/tracelet.ts";
import type { tensorboard } from "./proto/tensorboard.js";
import { decodeTensor, impliedBytes, scalarOf, TensorError } from "./tensor.ts";

type Value = tensorboard.Summary.Value.$Properties;

/** Who decodes the values of which plugin; `scalars` goes another way, and a plugin that is not here is kept as tensors. */
const PLUGINS: ReadonlyMap<string, PluginDecoder> = new Map<string, PluginDecoder>([
  ["audio", audioOfTensor],
  ["custom_scalars", customScalarsOfTensor],
  ["histograms", histogramOfTensor],
  ["hparams", hparamsOfMetadata],
  ["images", imagesOfTensor],
  ["mesh", meshOfTensor],
  ["pr_curves", prCurveOfTensor],
  ["text", textOfTensor],
  [TRACELET_PLUGIN, recordOfValue],
  ...Array.from(GRAPH_PLUGINS, ([plugin, content]) => [plugin, graphDecoder(content)] as const),
]);

/** `DataClass` of the plugins TensorBoard knows. Source: tensorboard/dataclass_compat.py. */
const DATA_CLASSES: ReadonlyMap<string, number> = new Map([
  ["scalars", 1],
  ...["histograms", "text", "hparams", "pr_curves", "mesh", "custom_scalars"].map((plugin) => [plugin, 2] as const),
  ...["images", "audio", ...GRAPH_PLUGINS.keys()].map((plugin) => [plugin, 3] as const),
]);

/**
 * What the values of one event may take beyond those that are written: all of an event are held at once, and a few bytes
 * can stand for any number of values. Bytes.
 */
const MAX_IMPLIED_BYTES = 64 * 1024 * 1024;

const NO_BYTES = new Uint8Array();
const NO_METADATA: TagMetadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: NO_BYTES };

/**
 * Turns the events of one run into data.
 *
 * Sources: tensorboard/data_compat.py for the old form, tensorboard/dataclass_compat.py for what a plugin's values are.
 * Unlike there, no value is judged by its tag's first one alone: a value that says itself what it is, is taken at its
 * word.
 */
export class SummaryDecoder {
  readonly #metadata: Map<string, TagMetadata>;

  /**
   * @param metadata what earlier values of the run said of their tags. What is learnt is added to it: the first word of
   *   a tag stays, and a plain scalar of the old form, which says nothing, adds nothing
   */
  constructor(metadata: Map<string, TagMetadata>) {
    this.#metadata = metadata;
  }

  /**
   * Hand every value of `event` to `sink`, in order. Nothing is dropped in silence and nothing throws for what it holds:
   * a value that cannot be decoded arrives as `unreadable`. Events that are no data (file versions, session logs, log
   * messages) have no values.
   *
   * Byte arrays in what arrives are views of the event's own; those of metadata are copies.
   *
   * @param offset byte offset of the event's record in its file
   * @throws only what `sink` throws
   */
  decode(event: tensorboard.Event, offset: number, sink: ValueSink): void {
    if (event.summary) {
      const room = { bytes: MAX_IMPLIED_BYTES };
      for (const value of event.summary.value ?? []) this.#decodeValue(value, event, offset, sink, room);
      return;
    }
    const put = (tag: string, metadata: TagMetadata, body: Body) =>
      sink.datum(datumOf(event, offset, tag, metadata, body));
    const { graphDef, metaGraphDef, taggedRunMetadata } = event;
    if (graphDef) put(RUN_GRAPH_TAG, RUN_GRAPH_METADATA, graphOfEvent("graph_def", graphDef));
    else if (metaGraphDef) put(META_GRAPH_TAG, RUN_GRAPH_METADATA, graphOfEvent("meta_graph_def", metaGraphDef));
    else if (taggedRunMetadata) {
      const body = graphOfEvent("run_metadata", taggedRunMetadata.runMetadata ?? NO_BYTES);
      put(taggedRunMetadata.tag ?? "", TAGGED_RUN_METADATA, body);
    }
  }

  #decodeValue(value: Value, event: tensorboard.Event, offset: number, sink: ValueSink, room: Room): void {
    // The oldest tensor summaries have the name of their graph node only; TensorBoard takes that one, too. Without
    // either the tag is the empty text, as it is for TensorBoard.
    const tag = value.tag || (value.tensor && value.nodeName) || "";
    const scalar = this.#scalar(tag, value);
    if (scalar !== undefined) {
      const [low, high] = wordsOf(event.step);
      sink.scalar(tag, low, high, event.wallTime, scalar, offset);
      return;
    }
    const metadata = this.#metadataOf(tag, value);
    sink.datum(datumOf(event, offset, tag, metadata, bodyOf(tag, value, metadata, room)));
  }

  /** The value as a scalar; undefined if it is none. */
  #scalar(tag: string, value: Value): number | undefined {
    const { simpleValue, tensor } = value;
    if (simpleValue !== null && simpleValue !== undefined) {
      if (value.metadata) this.#metadataOf(tag, value);
      return simpleValue;
    }
    if (!tensor) return undefined;
    const plugin = saysWhatItIs(value) ? value.metadata?.pluginData?.pluginName : this.#metadata.get(tag)?.plugin;
    const scalar = plugin === "scalars" ? scalarOf(tensor) : undefined;
    if (scalar !== undefined && !this.#metadata.has(tag)) this.#metadataOf(tag, value);
    return scalar;
  }

  /** The metadata that holds for `value`; if it is news, it is remembered. */
  #metadataOf(tag: string, value: Value): TagMetadata {
    const known = this.#metadata.get(tag);
    const old = pluginOfOldForm(value);
    const own = ownMetadata(value);
    const news = saysWhatItIs(value) || (old !== undefined && (own.displayName !== "" || own.description !== ""));
    // A value of the old form is of its form's plugin, whatever its metadata or its tag's first value said.
    const metadata = old === undefined ? own : oldMetadata(old, own, tag);
    if (news && known === undefined) this.#metadata.set(tag, metadata);
    if (news || known === undefined) return metadata;
    return old === undefined || old === known.plugin ? known : metadata;
  }
}

/** Whether the value's own metadata tells its plugin or carries data of one. */
function saysWhatItIs(value: Value): boolean {
  const plugin = value.metadata?.pluginData;
  return Boolean(plugin && (plugin.pluginName || plugin.content?.length));
}

/** The plugin whose values replaced this form. Source: `migrate_value` of tensorboard/data_compat.py. */
function pluginOfOldForm(value: Value): string | undefined {
  if (value.simpleValue !== null && value.simpleValue !== undefined) return "scalars";
  if (value.histo) return "histograms";
  if (value.image) return "images";
  return value.audio ? "audio" : undefined;
}

/** Whatever plugin it names is ignored, and a content would be that plugin's. */
function oldMetadata(plugin: string, own: TagMetadata, tag: string): TagMetadata {
  const { description } = own;
  const dataClass = DATA_CLASSES.get(plugin) ?? 0;
  return { plugin, displayName: own.displayName || tag, description, dataClass, content: NO_BYTES };
}

function ownMetadata(value: Value): TagMetadata {
  const { metadata } = value;
  if (!metadata) return NO_METADATA;
  const plugin = metadata.pluginData?.pluginName ?? "";
  return {
    plugin,
    displayName: metadata.displayName ?? "",
    description: metadata.summaryDescription ?? "",
    dataClass: metadata.dataClass || (DATA_CLASSES.get(plugin) ?? 0),
    // A copy: metadata is remembered for as long as the run is read, a view would keep all of the record.
    content: new Uint8Array(metadata.pluginData?.content ?? NO_BYTES),
  };
}

function bodyOf(tag: string, value: Value, metadata: TagMetadata, room: Room): Body {
  try {
    if (value.histo) return histogramOfMessage(value.histo);
    if (value.image) return imageOfMessage(value.image);
    if (value.audio) return audioOfMessage(value.audio);
    if (value.obsoleteOldStyleHistogram) {
      throw new UnreadableError("the value is an obsolete_old_style_histogram, which TensorBoard cannot read either");
    }
    const tensor = value.tensor ?? null;
    if (tensor) takeRoom(tensor, room);
    const decode = PLUGINS.get(metadata.plugin);
    if (decode) {
      try {
        return decode({ tag, tensor, metadata });
      } catch (error) {
        // A form of the plugin's that is unknown here, a later one perhaps: its data are kept as they are.
        const raw = error instanceof UnreadableError ? rawOf(value, metadata) : undefined;
        if (raw === undefined) throw error;
        return raw;
      }
    }
    const raw = rawOf(value, metadata);
    if (raw !== undefined) return raw;
    throw new UnreadableError("the value has a tag and nothing else; possible are a value or a plugin's content");
  } catch (error) {
    if (error instanceof UnreadableError || error instanceof TensorError) {
      return { kind: "unreadable", reason: error.message, isEmpty: isEmpty(value) };
    }
    throw error;
  }
}

/** Whether a value holds nothing but its tag, and perhaps a word on what it was to be. */
function isEmpty(value: Value): boolean {
  const { simpleValue, tensor, obsoleteOldStyleHistogram, metadata } = value;
  const isOld = pluginOfOldForm(value) !== undefined || (obsoleteOldStyleHistogram?.length ?? 0) > 0;
  return !isOld && (simpleValue ?? undefined) === undefined && !tensor && !metadata?.pluginData?.content?.length;
}

/** The value as a tensor of no particular meaning; undefined if it holds nothing. @throws TensorError */
function rawOf({ tensor, metadata: own }: Value, { plugin }: TagMetadata): Body<TensorDatum> | undefined {
  if (tensor) return { kind: "tensors", tensor: decodeTensor(tensor) };
  // Some plugins put all they have into the metadata of each value.
  return plugin !== "scalars" && own?.pluginData?.content?.length ? { kind: "tensors", tensor: null } : undefined;
}

/** What an event's values may still take beyond those that are written. */
interface Room {
  bytes: number;
}

/** @throws UnreadableError if there is not as much */
function takeRoom(tensor: tensorboard.TensorProto.$Properties, room: Room): void {
  const implied = impliedBytes(tensor);
  if (implied > room.bytes) {
    throw new UnreadableError(
      `the tensor's values are written once for many, ${implied} bytes of them; possible are ${MAX_IMPLIED_BYTES} in one event`,
    );
  }
  room.bytes -= implied;
}

function datumOf(event: tensorboard.Event, offset: number, tag: string, metadata: TagMetadata, body: Body): Datum {
  const [low, high] = wordsOf(event.step);
  const step = (BigInt(high) << 32n) | BigInt(low >>> 0);
  return { ...body, tag, step, wallTime: event.wallTime, offset, metadata };
}

/** The low and the high 32 bits of a step, both signed. */
function wordsOf(step: tensorboard.Event["step"]): readonly [low: number, high: number] {
  if (typeof step === "object") return [step.low, step.high];
  return [step | 0, Math.floor(step / 2 ** 32) | 0];
}
