import path from "node:path";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import type { Datum, TagMetadata } from "../../src/reader/datum.ts";
import { tensorboard } from "../../src/reader/proto/tensorboard.js";
import { SummaryDecoder } from "../../src/reader/summary.ts";

const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith("google/") ? target : path.resolve("proto", target));
root.loadSync([
  "tensorboard/compat/proto/event.proto",
  "tensorboard/plugins/hparams/plugin_data.proto",
  "tensorboard/plugins/custom_scalar/layout.proto",
  "tensorboard/plugins/mesh/plugin_data.proto",
]);

type Fields = Record<string, unknown>;

/** The bytes of a message, made by protobufjs' reflection; what is tested decodes with generated code. */
function encoded(type: string, fields: Fields): Uint8Array {
  const message = root.lookupType(`tensorboard.${type}`);
  return new Uint8Array(message.encode(message.fromObject(fields)).finish());
}

/** A run being read: events go in, what arrives at the sink is recorded. */
class Run {
  readonly metadata: Map<string, TagMetadata>;
  readonly scalars: { tag: string; step: bigint; wallTime: number; value: number; offset: number }[] = [];
  readonly data: Datum[] = [];
  /** Everything that arrived, in order: kind and tag. */
  readonly order: string[] = [];
  readonly #decoder: SummaryDecoder;
  #offset = 0;

  constructor(metadata = new Map<string, TagMetadata>()) {
    this.metadata = metadata;
    this.#decoder = new SummaryDecoder(metadata);
  }

  event(fields: Fields): this {
    const event = tensorboard.Event.decode(encoded("Event", fields));
    this.#decoder.decode(event, this.#offset, {
      scalar: (tag, low, high, wallTime, value, offset) => {
        const step = (BigInt(high) << 32n) | BigInt(low >>> 0);
        this.scalars.push({ tag, step, wallTime, value, offset });
        this.order.push(`scalars ${tag}`);
      },
      datum: (datum) => {
        this.data.push(datum);
        this.order.push(`${datum.kind} ${datum.tag}`);
      },
    });
    this.#offset += 100;
    return this;
  }

  /** One event of step 1 with these values. */
  values(...value: Fields[]): this {
    return this.event({ wallTime: 1700000000.25, step: 1, summary: { value } });
  }

  get only(): Datum {
    expect(this.data).toHaveLength(1);
    return this.data[0] as Datum;
  }
}

function metadata(pluginName: string, rest: Fields = {}, content: Uint8Array = new Uint8Array()): Fields {
  return { pluginData: { pluginName, content }, ...rest };
}

function floats(shape: number[], ...floatVal: number[]): Fields {
  return { dtype: "DT_FLOAT", tensorShape: { dim: shape.map((size) => ({ size })) }, floatVal };
}

function strings(shape: number[], ...values: (string | Uint8Array)[]): Fields {
  const stringVal = values.map((value) => Buffer.from(value));
  return { dtype: "DT_STRING", tensorShape: { dim: shape.map((size) => ({ size })) }, stringVal };
}

const PNG = Buffer.from("\x89PNG\r\n\x1a\n rest", "latin1");

describe("scalars", () => {
  test("V1: a simple_value, as the double that equals the float32", () => {
    const run = new Run().event({ wallTime: 1.5, step: 7, summary: { value: [{ tag: "loss", simpleValue: 0.1 }] } });
    expect(run.scalars).toEqual([{ tag: "loss", step: 7n, wallTime: 1.5, value: Math.fround(0.1), offset: 0 }]);
  });

  test("V2: a tensor with the plugin's name, which only the tag's first value carries", () => {
    const run = new Run()
      .values({ tag: "loss", metadata: metadata("scalars"), tensor: floats([], 1) })
      .values({ tag: "loss", tensor: floats([], 2) })
      .values({ tag: "loss", tensor: { dtype: "DT_DOUBLE", tensorShape: { dim: [{ size: 1 }] }, doubleVal: [0.1] } });
    expect(run.scalars.map(({ value }) => value)).toEqual([1, 2, 0.1]);
    expect(run.data).toEqual([]);
  });

  test("metadata from before a restart of ours holds on", () => {
    const before = new Run().values({ tag: "loss", metadata: metadata("scalars"), tensor: floats([], 1) });
    const after = new Run(before.metadata).values({ tag: "loss", tensor: floats([], 2) });
    expect(after.scalars).toMatchObject([{ tag: "loss", value: 2 }]);
  });

  test("a simple_value is a scalar whatever its metadata or its tag says", () => {
    const run = new Run()
      .values({ tag: "a", metadata: metadata("images"), tensor: strings([2], "1", "1") })
      .values({ tag: "a", simpleValue: 1 })
      .values({ tag: "b", metadata: metadata("text", {}, Buffer.from("x")), simpleValue: 2 });
    expect(run.order).toEqual(["images a", "scalars a", "scalars b"]);
    expect(run.metadata.get("b")).toMatchObject({ plugin: "scalars", content: new Uint8Array() });
  });

  test("a tensor that is no single number is kept", () => {
    const scalars = metadata("scalars");
    const run = new Run()
      .values({ tag: "two", metadata: scalars, tensor: floats([2], 1, 2) })
      .values({ tag: "none", metadata: scalars, tensor: floats([0]) })
      .values({ tag: "string", metadata: scalars, tensor: strings([], "0.5") });
    expect(run.data).toMatchObject([
      { kind: "tensors", tag: "two", tensor: { shape: [2] } },
      { kind: "tensors", tag: "none", tensor: { shape: [0] } },
      { kind: "tensors", tag: "string", tensor: { dtype: "string" } },
    ]);
  });

  test("steps are exact over all of int64", () => {
    const steps = ["-9223372036854775808", "-9007199254740993", "-1", "0", "4294967296", "9223372036854775807"];
    const run = new Run();
    for (const step of steps) run.event({ step, summary: { value: [{ tag: "s", simpleValue: 0 }, { tag: "empty" }] } });
    expect(run.scalars.map(({ step }) => String(step))).toEqual(steps);
    expect(run.data.map(({ step }) => String(step))).toEqual(steps);
  });

  test("many values in an event, the same tag among them more than once, keep their order", () => {
    const value = Array.from({ length: 5000 }, (_, i) => ({ tag: `t${i % 7}`, simpleValue: i }));
    const run = new Run().values(...value);
    expect(run.scalars.map(({ tag, value }) => ({ tag, simpleValue: value }))).toEqual(value);
    expect(run.scalars.every(({ offset }) => offset === 0)).toBe(true);
  });

  test("plain V1 tags are not remembered, others are", () => {
    const run = new Run()
      .values({ tag: "plain", simpleValue: 1 })
      .values({ tag: "empty metadata", metadata: { pluginData: {} }, simpleValue: 1 })
      .values({ tag: "named", metadata: { displayName: "Loss", summaryDescription: "how bad" }, simpleValue: 1 });
    expect([...run.metadata]).toEqual([
      [
        "named",
        { plugin: "scalars", displayName: "Loss", description: "how bad", dataClass: 1, content: new Uint8Array() },
      ],
    ]);
  });
});

describe("metadata", () => {
  test("the first word of a tag is remembered, a later value that says itself what it is is believed", () => {
    const run = new Run()
      .values({ tag: "t", metadata: metadata("text", { displayName: "T" }), tensor: strings([], "a") })
      .values({ tag: "t", metadata: metadata("mine", { displayName: "M" }), tensor: strings([], "b") })
      .values({ tag: "t", tensor: strings([], "c") });
    expect(run.data).toMatchObject([
      { kind: "text", metadata: { plugin: "text", displayName: "T" } },
      { kind: "tensors", metadata: { plugin: "mine", displayName: "M" } },
      { kind: "text", strings: ["c"], metadata: { plugin: "text", displayName: "T" } },
    ]);
    expect(run.metadata.get("t")).toMatchObject({ plugin: "text" });
  });

  test("metadata that names no plugin is not remembered", () => {
    const run = new Run()
      .values({ tag: "t", metadata: { displayName: "T" }, tensor: strings([], "a") })
      .values({ tag: "t", metadata: metadata("text"), tensor: strings([], "b") })
      .values({ tag: "t", metadata: { displayName: "later" }, tensor: strings([], "c") });
    expect(run.data).toMatchObject([
      { kind: "tensors", metadata: { plugin: "", displayName: "T" } },
      { kind: "text", metadata: { plugin: "text", displayName: "" } },
      { kind: "text", metadata: { plugin: "text", displayName: "" } },
    ]);
  });

  // display_name=value.metadata.display_name or value.tag, in each _migrate_*_value of data_compat.py
  test("V1: plugin and data class are the form's, the display name falls back to the tag", () => {
    const own = { displayName: "Name", summaryDescription: "Text" };
    const run = new Run().values(
      { tag: "image", image: {} },
      { tag: "audio", audio: {}, metadata: own },
      { tag: "histo", histo: {}, metadata: metadata("ignored", {}, Buffer.from("ignored")) },
    );
    const content = new Uint8Array();
    expect(run.data.map((datum) => datum.metadata)).toEqual([
      { plugin: "images", displayName: "image", description: "", dataClass: 3, content },
      { plugin: "audio", displayName: "Name", description: "Text", dataClass: 3, content },
      { plugin: "histograms", displayName: "histo", description: "", dataClass: 2, content },
    ]);
    expect([...run.metadata.keys()]).toEqual(["audio", "histo"]);
  });

  test("V1: what the first value said of itself holds for the later ones of its form", () => {
    const run = new Run()
      .values({ tag: "a", image: {}, metadata: { displayName: "Name" } })
      .values({ tag: "a", image: {} })
      .values({ tag: "a", audio: {} });
    expect(run.data.map(({ metadata }) => [metadata.plugin, metadata.displayName])).toEqual([
      ["images", "Name"],
      ["images", "Name"],
      ["audio", "a"],
    ]);
  });

  // dataclass_compat.py fills the class in where the writer gave none
  test.each([
    ["scalars", 1],
    ["text", 2],
    ["hparams", 2],
    ["graph_keras_model", 3],
    ["a-plugin-of-mine", 0],
  ])("the data class of %s is %i where none is given", (plugin, dataClass) => {
    const run = new Run().values({ tag: "t", metadata: metadata(plugin), tensor: floats([], 1) });
    expect(run.metadata.get("t")?.dataClass).toBe(dataClass);
  });

  test("a data class that is given is kept", () => {
    const run = new Run().values({ tag: "t", metadata: metadata("mine", { dataClass: 1 }), tensor: floats([], 1) });
    expect(run.only.metadata.dataClass).toBe(1);
  });

  test("its content is a copy, so that it does not keep a record of megabytes", () => {
    const run = new Run().values({
      tag: "t",
      metadata: metadata("mine", {}, Buffer.from("abc")),
      tensor: floats([1], 1),
    });
    expect(run.metadata.get("t")?.content.buffer.byteLength).toBe(3);
  });
});

describe("histograms", () => {
  // Worked by hand after _migrate_histogram_value: outer buckets of count 0 go, min and max become the outer edges.
  test("V1: empty outer buckets are cut off, min and max are the outer edges", () => {
    const limits = [-1, 0.5, 1, 2, 3, Number.MAX_VALUE];
    const histo = {
      min: 0.6,
      max: 2.9,
      num: 9,
      sum: 17,
      sumSquares: 39,
      bucketLimit: limits,
      bucket: [0, 0, 3, 0, 6, 0],
    };
    const { only } = new Run().values({ tag: "h", histo });
    expect(only).toMatchObject({
      kind: "histograms",
      buckets: Float64Array.of(0.6, 1, 3, 1, 2, 0, 2, 2.9, 6),
      stats: { min: 0.6, max: 2.9, num: 9, sum: 17, sumSquares: 39 },
    });
  });

  test("V1: a single bucket lies between min and max", () => {
    const histo = { min: 1, max: 1, num: 1024, bucketLimit: [1, 1.1, Number.MAX_VALUE], bucket: [0, 1024, 0] };
    expect(new Run().values({ tag: "h", histo }).only).toMatchObject({ buckets: Float64Array.of(1, 1, 1024) });
  });

  test.each([
    ["no buckets", { min: 1, max: 2 }],
    ["empty ones only", { bucketLimit: [1, 2], bucket: [0, 0] }],
    ["counts that are no numbers", { bucketLimit: [1], bucket: [Number.NaN] }],
  ])("V1: %s", (_, histo) => {
    expect(new Run().values({ tag: "h", histo }).only).toMatchObject({ kind: "histograms", buckets: { length: 0 } });
  });

  test("V1: numbers are the message's doubles", () => {
    const histo = { min: -1e300, max: 0.1, bucketLimit: [0], bucket: [2 ** 24 + 1] };
    const buckets = Float64Array.of(-1e300, 0.1, 2 ** 24 + 1);
    expect(new Run().values({ tag: "h", histo }).only).toMatchObject({ buckets });
  });

  test("V1: limits may be missing where no edge lies", () => {
    const run = new Run().values(
      { tag: "one bucket", histo: { min: 1, max: 2, bucket: [5] } },
      { tag: "two", histo: { min: 1, max: 2, bucket: [5, 5] } },
    );
    expect(run.data).toMatchObject([
      { kind: "histograms", buckets: Float64Array.of(1, 2, 5) },
      { kind: "unreadable", reason: "the histogram has 0 limits; 2 buckets need as many" },
    ]);
  });

  test("V2: rows of left edge, right edge and count, as they are", () => {
    const rows = [0, 1.1, 3, 1.1, 2, 0];
    const tensor = { dtype: "DT_DOUBLE", tensorShape: { dim: [{ size: 2 }, { size: 3 }] }, doubleVal: rows };
    const { only } = new Run().values({ tag: "h", metadata: metadata("histograms"), tensor });
    expect(only).toMatchObject({ kind: "histograms", buckets: Float64Array.from(rows) });
    expect(only).not.toHaveProperty("stats");
  });
});

test("images: V1 and V2", () => {
  const run = new Run().values(
    { tag: "old", image: { width: 3, height: 2, encodedImageString: PNG } },
    { tag: "new", metadata: metadata("images"), tensor: strings([4], "30", "20", PNG, "") },
    { tag: "new", tensor: strings([2], "30", "20") },
  );
  const png = { bytes: new Uint8Array(PNG), format: "png" };
  expect(run.data).toMatchObject([
    { kind: "images", tag: "old", width: 3, height: 2, images: [png] },
    { kind: "images", tag: "new", width: 30, height: 20, images: [png, { bytes: { length: 0 }, format: "unknown" }] },
    { kind: "images", tag: "new", width: 30, height: 20, images: [] },
  ]);
});

test("audio: V1, and V2 as clips or as pairs of clip and label", () => {
  const run = new Run().values(
    { tag: "old", audio: { sampleRate: 44100, contentType: "audio/ogg", encodedAudioString: Buffer.from("OggS") } },
    { tag: "clips", metadata: metadata("audio"), tensor: strings([2], "a", "b") },
    { tag: "pairs", metadata: metadata("audio"), tensor: strings([2, 2], "a", "first", "b", "second") },
    { tag: "none", metadata: metadata("audio"), tensor: strings([0, 2]) },
  );
  const clip = (text: string, label = "") => ({
    bytes: new Uint8Array(Buffer.from(text)),
    contentType: "",
    sampleRate: Number.NaN,
    label,
  });
  expect(run.data).toMatchObject([
    { kind: "audio", clips: [{ ...clip("OggS"), contentType: "audio/ogg", sampleRate: 44100 }] },
    { kind: "audio", clips: [clip("a"), clip("b")] },
    { kind: "audio", clips: [clip("a", "first"), clip("b", "second")] },
    { kind: "audio", clips: [] },
  ]);
});

test("text, of any rank", () => {
  const run = new Run().values(
    { tag: "t/text_summary", metadata: metadata("text"), tensor: strings([1], "# üñí ✓") },
    { tag: "t/text_summary", tensor: strings([2, 2], "k", "v", "\ufeff", "") },
  );
  expect(run.data).toMatchObject([
    { kind: "text", shape: [1], strings: ["# üñí ✓"] },
    { kind: "text", shape: [2, 2], strings: ["k", "v", "\ufeff", ""] },
  ]);
});

test("hparams: the record is in the metadata, with a tensor beside it or without any value", () => {
  const content = encoded("hparams.HParamsPluginData", { sessionEndInfo: { status: 1, endTimeSecs: 2.5 } });
  const run = new Run().values(
    { tag: "_hparams_/session_end_info", metadata: metadata("hparams", {}, content) },
    { tag: "_hparams_/session_end_info", metadata: metadata("hparams", {}, content), tensor: floats([0]) },
  );
  const record = { type: "session_end", status: "success", endTime: 2.5 };
  expect(run.data).toMatchObject([
    { kind: "hparams", record },
    { kind: "hparams", record },
  ]);
});

test("precision-recall curves, meshes, layouts", () => {
  const vertex = encoded("mesh.MeshPluginData", { name: "tetra", contentType: 1, jsonConfig: "{}" });
  const layout = encoded("Layout", { category: [{ title: "Training" }] });
  const run = new Run().values(
    { tag: "pr", metadata: metadata("pr_curves"), tensor: floats([6, 2], 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) },
    { tag: "tetra_VERTEX", metadata: metadata("mesh", {}, vertex), tensor: floats([1, 1, 3], 0, 1, 2) },
    { tag: "custom_scalars__config__", metadata: metadata("custom_scalars"), tensor: strings([], layout) },
  );
  expect(run.data).toMatchObject([
    { kind: "pr_curves", numThresholds: 2, truePositives: Float64Array.of(1, 2), recall: Float64Array.of(11, 12) },
    { kind: "mesh", mesh: "tetra", content: "vertex", config: "{}", tensor: { shape: [1, 1, 3] } },
    { kind: "custom_scalars", categories: [{ title: "Training", closed: false, charts: [] }] },
  ]);
});

describe("graphs", () => {
  const blob = new Uint8Array([1, 2, 3]);

  // RUN_GRAPH_NAME of tensorboard/plugins/graph/metadata.py
  test("in events of their own", () => {
    const run = new Run()
      .event({ step: 3, graphDef: blob })
      .event({ step: 4, metaGraphDef: blob })
      .event({ step: 5, taggedRunMetadata: { tag: "step_5", runMetadata: blob } })
      .event({ step: 6, metaGraphDef: new Uint8Array() });
    expect(run.data).toMatchObject([
      {
        tag: "__run_graph__",
        step: 3n,
        offset: 0,
        content: "graph_def",
        blobs: [blob],
        metadata: { plugin: "graphs" },
      },
      { tag: "__meta_graph__", step: 4n, offset: 100, content: "meta_graph_def", blobs: [blob] },
      { tag: "step_5", content: "run_metadata", blobs: [blob], metadata: { plugin: "graph_tagged_run_metadata" } },
      { tag: "__meta_graph__", content: "meta_graph_def", blobs: [new Uint8Array()] },
    ]);
    expect(run.data.every(({ kind, metadata }) => kind === "graphs" && metadata.dataClass === 3)).toBe(true);
    expect(run.metadata.size).toBe(0);
  });

  test.each([
    ["graphs", "graph_def"],
    ["graph_run_metadata", "run_metadata"],
    ["graph_run_metadata_graph", "run_metadata_graph"],
    ["graph_tagged_run_metadata", "run_metadata"],
    ["graph_keras_model", "keras_model"],
  ])("plugin %s", (plugin, content) => {
    const run = new Run().values(
      { tag: "g", metadata: metadata(plugin), tensor: strings([], blob) },
      { tag: "g", tensor: strings([2], blob, "") },
    );
    expect(run.data).toMatchObject([
      { kind: "graphs", content, blobs: [blob] },
      { kind: "graphs", content, blobs: [blob, new Uint8Array()] },
    ]);
  });
});

describe("plugins we have no file for", () => {
  test("a tensor is kept, with the plugin's metadata", () => {
    const run = new Run()
      .values({ tag: "t", metadata: metadata("mine", {}, Buffer.from("v1")), tensor: floats([2], 1, 2) })
      .values({ tag: "t", tensor: floats([1], 3) })
      .values({ tag: "none at all", tensor: floats([], 4) });
    const mine = { plugin: "mine", content: new Uint8Array(Buffer.from("v1")) };
    expect(run.data).toMatchObject([
      { kind: "tensors", metadata: mine, tensor: { data: Float32Array.of(1, 2) } },
      { kind: "tensors", metadata: mine, tensor: { data: Float32Array.of(3) } },
      { kind: "tensors", metadata: { plugin: "" }, tensor: { data: Float32Array.of(4) } },
    ]);
  });

  test("one may carry its data in the metadata only", () => {
    const value = { tag: "t", metadata: metadata("mine", {}, Buffer.from("data")) };
    expect(new Run().values(value).only).toMatchObject({ kind: "tensors", tensor: null, metadata: { plugin: "mine" } });
  });
});

describe("unreadable values are said aloud", () => {
  test.each<[string, Fields, string]>([
    ["nothing but a tag", { tag: "t" }, "the value has a tag and nothing else; possible are"],
    ["a plugin's name only", { tag: "t", metadata: metadata("mine") }, "the value has a tag and nothing else"],
    [
      "a scalar without value",
      { tag: "t", metadata: metadata("scalars", {}, Buffer.from("x")) },
      "the value has a tag",
    ],
    ["a text without tensor", { tag: "t", metadata: metadata("text") }, "the value has no tensor; text needs one"],
    ["a form of old", { tag: "t", obsoleteOldStyleHistogram: PNG }, "the value is an obsolete_old_style_histogram"],
    ["a tensor of no dtype", { tag: "t", tensor: { dtype: 0, floatVal: [1] } }, "dtype is DT_INVALID"],
    [
      "a scalar's bytes cut",
      { tag: "t", metadata: metadata("scalars"), tensor: { dtype: "DT_FLOAT", tensorContent: Buffer.alloc(3) } },
      "tensor_content has 3 bytes; 1 values need 4",
    ],
    ["hparams without a record", { tag: "t", metadata: metadata("hparams") }, "the hparams hold no record"],
  ])("%s", (_, value, reason) => {
    const { only } = new Run().values(value);
    expect(only).toMatchObject({ kind: "unreadable", tag: value["tag"] ?? "", step: 1n, wallTime: 1700000000.25 });
    expect(only).toHaveProperty("reason", expect.stringContaining(reason));
  });

  test.each([
    ["text", floats([], 1)],
    ["images", floats([1], 1)],
    ["audio", floats([1], 1)],
    ["histograms", floats([2], 1, 2)],
    ["pr_curves", floats([2], 1, 2)],
    ["mesh", { dtype: "DT_STRING", stringVal: [Buffer.from("x")] }],
    ["custom_scalars", { dtype: "DT_STRING", tensorShape: { dim: [{ size: 2 }] }, stringVal: [Buffer.from("x"), PNG] }],
    ["graphs", floats([], 1)],
    ["hparams", floats([], 1)],
  ])("but a tensor in a form that is not %s' is kept as it is", (plugin, tensor) => {
    const { only } = new Run().values({ tag: "t", metadata: metadata(plugin), tensor });
    expect(only).toMatchObject({ kind: "tensors", tag: "t", tensor: { dtype: expect.any(String) } });
  });

  test("and so is metadata of an unknown version that stands alone", () => {
    // HParamsPluginData { version: 1 }
    const { only } = new Run().values({ tag: "t", metadata: metadata("hparams", {}, Buffer.from([0x08, 1])) });
    expect(only).toMatchObject({ kind: "tensors", tensor: null });
  });

  test("and do not touch their neighbours", () => {
    const run = new Run().values({ tag: "a", simpleValue: 1 }, { tag: "b" }, { tag: "c", simpleValue: 3 });
    expect(run.order).toEqual(["scalars a", "unreadable b", "scalars c"]);
  });
});

// plugin_event_accumulator.py: "created using the old method that used plugin assets"
test("a tensor of the oldest writers goes by its node's name", () => {
  const run = new Run().values({ nodeName: "node/name", metadata: metadata("scalars"), tensor: floats([], 2) });
  expect(run.scalars).toMatchObject([{ tag: "node/name", value: 2 }]);
});

test("a value without a tag has the empty tag, as in TensorBoard", () => {
  expect(new Run().values({ simpleValue: 1 }).scalars).toMatchObject([{ tag: "", value: 1 }]);
});

test("events that are no data have no values", () => {
  const run = new Run()
    .event({ fileVersion: "brain.Event:2" })
    .event({ sessionLog: { status: 1 } })
    .event({ logMessage: { message: "hello" } })
    .event({ summary: {} })
    .event({ step: 1 });
  expect(run.order).toEqual([]);
});

test("what the sink throws is not swallowed", () => {
  const event = tensorboard.Event.decode(encoded("Event", { summary: { value: [{ tag: "t", image: {} }] } }));
  const full = () => {
    throw new Error("disk full");
  };
  expect(() => new SummaryDecoder(new Map()).decode(event, 0, { scalar: full, datum: full })).toThrow("disk full");
});

test("whatever a value holds, exactly one thing arrives for it", () => {
  const plugins = ["scalars", "histograms", "images", "audio", "text", "hparams", "pr_curves", "mesh"];
  const plugin = fc.constantFrom(...plugins, "custom_scalars", "graphs", "graph_keras_model", "mine", "");
  const dim = fc.oneof(fc.nat(6), fc.constantFrom(-1, 2 ** 31, 2 ** 50));
  const tensor = fc.record(
    {
      dtype: fc.oneof(fc.constantFrom(1, 2, 7, 9), fc.nat(34)),
      tensorShape: fc.record({ dim: fc.array(fc.record({ size: dim }), { maxLength: 3 }) }),
      tensorContent: fc.uint8Array({ maxLength: 16 }),
      floatVal: fc.array(fc.float(), { maxLength: 7 }),
      stringVal: fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 4 }),
    },
    { requiredKeys: [] },
  );
  const pluginData = fc.record({ pluginName: plugin, content: fc.uint8Array({ maxLength: 9 }) }, { requiredKeys: [] });
  const numbers = fc.array(fc.double(), { maxLength: 4 });
  const form = fc.oneof(
    fc.record({ tensor }),
    fc.record({ histo: fc.record({ min: fc.double(), bucketLimit: numbers, bucket: numbers }) }),
    fc.record({ image: fc.record({ encodedImageString: fc.uint8Array() }) }),
    fc.record({ audio: fc.record({ encodedAudioString: fc.uint8Array(), sampleRate: fc.float() }) }),
    fc.record({ simpleValue: fc.float() }),
    fc.constant({}),
  );
  const value = fc
    .tuple(
      fc.record({ tag: fc.constantFrom("a", "b", ""), metadata: fc.record({ pluginData }) }, { requiredKeys: [] }),
      form,
    )
    .map(([head, body]) => ({ ...head, ...body }));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 5 }), (values) => {
      expect(new Run().values(...values).order).toHaveLength(values.length);
    }),
    { numRuns: 1000 },
  );
});
