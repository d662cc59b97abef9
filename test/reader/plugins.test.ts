import path from "node:path";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { audioOfMessage, wavSampleRate } from "../../src/reader/plugins/audio.ts";
import { customScalarsOfTensor } from "../../src/reader/plugins/custom-scalars.ts";
import { histogramOfTensor } from "../../src/reader/plugins/histograms.ts";
import { hparamsOfMetadata } from "../../src/reader/plugins/hparams.ts";
import { imageFormat, imagesOfTensor } from "../../src/reader/plugins/images.ts";
import { meshOfTensor } from "../../src/reader/plugins/mesh.ts";
import { type PluginValue, UnreadableError } from "../../src/reader/plugins/plugin.ts";
import { prCurveOfTensor } from "../../src/reader/plugins/pr-curves.ts";
import { parseProjectorConfig } from "../../src/reader/plugins/projector.ts";
import { textOfTensor } from "../../src/reader/plugins/text.ts";
import { tensorboard } from "../../src/reader/proto/tensorboard.js";
import { TensorError } from "../../src/reader/tensor.ts";

const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith("google/") ? target : path.resolve("proto", target));
root.loadSync([
  "tensorboard/compat/proto/tensor.proto",
  "tensorboard/plugins/hparams/plugin_data.proto",
  "tensorboard/plugins/custom_scalar/layout.proto",
  "tensorboard/plugins/mesh/plugin_data.proto",
]);

type Fields = Record<string, unknown>;

function encoded(type: string, fields: Fields): Uint8Array {
  const message = root.lookupType(`tensorboard.${type}`);
  return new Uint8Array(message.encode(message.fromObject(fields)).finish());
}

/** A value on its way to its plugin. */
function value(
  plugin: string,
  fields: Fields | null,
  content: Uint8Array = new Uint8Array(),
  tag = "tag",
): PluginValue {
  const metadata = { plugin, displayName: "", description: "", dataClass: 0, content };
  const tensor = fields && tensorboard.TensorProto.decode(encoded("TensorProto", fields));
  return { tag, tensor, metadata };
}

function shape(...sizes: number[]): Fields {
  return { dim: sizes.map((size) => ({ size })) };
}

function strings(sizes: number[], ...stringVal: (string | Uint8Array)[]): Fields {
  return { dtype: "DT_STRING", tensorShape: shape(...sizes), stringVal: stringVal.map((one) => Buffer.from(one)) };
}

function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

describe("images", () => {
  test.each([
    ["png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"],
    ["jpeg", "\xff\xd8\xff\xe0\0\x10JFIF"],
    ["jpeg", "\xff\xd8\xff\xdb"],
    ["gif", "GIF87a"],
    ["gif", "GIF89a\x01\0"],
    ["webp", "RIFF\x1a\0\0\0WEBPVP8L"],
    ["bmp", `BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0${"\0".repeat(36)}`],
    ["svg", '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ["svg", "\xef\xbb\xbf \n<svg>"],
    ["svg", '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">\n<svg width="1"/>'],
    ["svg", "<!-- drawn by hand --><svg/>"],
    ["unknown", ""],
    ["unknown", "\x89PNG"],
    ["unknown", "RIFF\x24\0\0\0WAVEfmt "],
    ["unknown", "BMW is a make of cars and not an image"],
    ["unknown", '<?xml version="1.0"?><html/>'],
    ["unknown", "a text that mentions <svg>"],
    ["unknown", "<svgx>"],
  ])("%s: %j", (format, start) => {
    expect(imageFormat(latin1(start))).toBe(format);
  });

  test("sizes that are no numbers", () => {
    const { width, height } = imagesOfTensor(value("images", strings([3], "wide", "", "x")));
    expect([width, height]).toEqual([Number.NaN, Number.NaN]);
  });

  test.each([
    [strings([1], "7"), "the images have the shape [1]; possible is [k] with width and height first"],
    [strings([0]), "the images have the shape [0]; possible is [k] with width and height first"],
    [strings([1, 3], "7", "5", "x"), "the images have the shape [1,3]; possible is [k] with width and height first"],
    [{ dtype: "DT_FLOAT", floatVal: [1] }, "the tensor is float32; images needs strings"],
    [null, "the value has no tensor; images needs one"],
  ])("refused: %j", (fields, message) => {
    expect(() => imagesOfTensor(value("images", fields))).toThrow(new UnreadableError(message));
  });
});

describe("audio", () => {
  const FMT = "fmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0"; // PCM, stereo, 0xac44 = 44100 Hz

  test.each([
    ["the usual header", `RIFF\x24\0\0\0WAVE${FMT}data\0\0\0\0`, 44100],
    ["another chunk first, of odd length and padded", `RIFF\x40\0\0\0WAVELIST\x03\0\0\0abc\0${FMT}`, 44100],
    ["longer than 4 GiB", `RF64\xff\xff\xff\xffWAVEds64\x02\0\0\0ab${FMT}`, 44100],
    ["cut within the header", `RIFF\x24\0\0\0WAVE${FMT.slice(0, 14)}`, 0],
    ["a chunk that leads beyond the end", "RIFF\x24\0\0\0WAVELIST\xff\xff\xff\xff", 0],
    ["no WAV", "OggS", undefined],
    ["another RIFF", "RIFF\x1a\0\0\0WEBPVP8L", undefined],
    ["nothing", "", undefined],
  ])("sample rate of a WAV file: %s", (_, file, rate) => {
    expect(wavSampleRate(latin1(file))).toBe(rate);
  });

  test("what the message says goes before the header", () => {
    const encodedAudioString = latin1(`RIFF\x24\0\0\0WAVE${FMT}`);
    const clip = (fields: Fields) => audioOfMessage({ encodedAudioString, ...fields }).clips[0];
    expect(clip({ sampleRate: 8000, contentType: "audio/x-wav" })).toMatchObject({
      sampleRate: 8000,
      contentType: "audio/x-wav",
    });
    expect(clip({})).toMatchObject({ sampleRate: 44100, contentType: "audio/wav" });
    expect(clip({ sampleRate: -1 })).toMatchObject({ sampleRate: 44100 });
  });
});

test("text that is not UTF-8 keeps what can be read", () => {
  const { strings: texts } = textOfTensor(value("text", strings([2], latin1("a\xffb"), "\ufeffbom")));
  expect(texts).toEqual(["a\ufffdb", "\ufeffbom"]);
});

test("a histogram has rows of three", () => {
  const floats = (...sizes: number[]) => ({ dtype: "DT_FLOAT", tensorShape: shape(...sizes) });
  expect(histogramOfTensor(value("histograms", floats(0, 3))).buckets).toEqual(new Float64Array());
  for (const sizes of [[3], [2, 2], [1, 2, 3]]) {
    expect(() => histogramOfTensor(value("histograms", floats(...sizes)))).toThrow(
      new UnreadableError(`the histogram has the shape [${sizes}]; possible is [k,3]`),
    );
  }
});

test("a histogram of integers becomes one of doubles; beyond the cap it is refused", () => {
  const int64 = { dtype: "DT_INT64", tensorShape: shape(1, 3), int64Val: [-1, 1, "9007199254740993"] };
  expect(histogramOfTensor(value("histograms", int64)).buckets).toEqual(Float64Array.of(-1, 1, 2 ** 53));
  const bytes = { dtype: "DT_INT8", tensorShape: shape(2 ** 24, 3) };
  expect(() => histogramOfTensor(value("histograms", bytes))).toThrow(/^the tensor has 50331648 numbers; possible/);
});

test("a precision-recall curve has six rows", () => {
  const floatVal = Array.from({ length: 18 }, (_, i) => i);
  const curve = prCurveOfTensor(value("pr_curves", { dtype: "DT_FLOAT", tensorShape: shape(6, 3), floatVal }));
  // The order of tensorboard/plugins/pr_curve/metadata.py.
  expect(curve).toEqual({
    kind: "pr_curves",
    numThresholds: 3,
    truePositives: Float64Array.of(0, 1, 2),
    falsePositives: Float64Array.of(3, 4, 5),
    trueNegatives: Float64Array.of(6, 7, 8),
    falseNegatives: Float64Array.of(9, 10, 11),
    precision: Float64Array.of(12, 13, 14),
    recall: Float64Array.of(15, 16, 17),
  });
  expect(() => prCurveOfTensor(value("pr_curves", { dtype: "DT_FLOAT", tensorShape: shape(18), floatVal }))).toThrow(
    new UnreadableError("the curve has the shape [18]; possible is [6,n]"),
  );
});

describe("mesh", () => {
  const tensor = { dtype: "DT_FLOAT", tensorShape: shape(1, 1, 3), floatVal: [1, 2, 3] };
  const mesh = (fields: Fields, tag: string) =>
    meshOfTensor(value("mesh", tensor, encoded("mesh.MeshPluginData", fields), tag));

  test.each([
    [{ name: "tetra", contentType: 1, jsonConfig: "{}" }, "tetra_VERTEX", ["tetra", "vertex", "{}"]],
    [{ contentType: 2 }, "a_FACE_FACE", ["a_FACE", "face", ""]],
    [{ contentType: 3 }, "cube", ["cube", "color", ""]],
    [{}, "cube_COLOR", ["cube", "undefined", ""]],
    [{ contentType: 9 }, "cube_COLOR", ["cube", "undefined", ""]],
  ])("%j under %s", (fields, tag, expected) => {
    const { mesh: name, content, config } = mesh(fields, tag);
    expect([name, content, config]).toEqual(expected);
  });

  test("metadata that is none", () => {
    expect(() => meshOfTensor(value("mesh", tensor, latin1("\x12\xff")))).toThrow(/^2 bytes are no MeshPluginData: /);
  });
});

describe("hparams", () => {
  const record = (fields: Fields) => {
    return hparamsOfMetadata(value("hparams", null, encoded("hparams.HParamsPluginData", fields))).record;
  };

  test("a session's start, with every kind of value", () => {
    const hparams = {
      lr: { numberValue: 0.1 },
      big: { numberValue: 2 ** 53 + 2 },
      nan: { numberValue: Number.NaN },
      optimizer: { stringValue: "adam" },
      "": { stringValue: "" },
      bias: { boolValue: false },
      nothing: { nullValue: 0 },
      unset: {},
      list: { listValue: { values: [{ numberValue: 1 }, { listValue: {} }] } },
      object: { structValue: { fields: { a: { boolValue: true } } } },
    };
    const info = { hparams, groupName: "g", modelUri: "m", monitorUrl: "u", startTimeSecs: 1.5 };
    expect(record({ sessionStartInfo: info })).toEqual({
      type: "session_start",
      hparams: new Map<string, unknown>([
        ["lr", 0.1],
        ["big", 2 ** 53 + 2],
        ["nan", Number.NaN],
        ["optimizer", "adam"],
        ["", ""],
        ["bias", false],
        ["nothing", null],
        ["unset", null],
        ["list", [1, []]],
        ["object", { a: true }],
      ]),
      groupName: "g",
      modelUri: "m",
      monitorUrl: "u",
      startTime: 1.5,
    });
  });

  test("names are no properties", () => {
    // {hparams: {"__proto__": {number_value: 1}}}, by hand: protobufjs' reflection drops that name.
    const entry = "\x0a\x09__proto__\x12\x09\x11\0\0\0\0\0\0\xf0\x3f";
    const info = `\x0a${String.fromCharCode(entry.length)}${entry}`;
    const content = latin1(`\x1a${String.fromCharCode(info.length)}${info}`);
    expect(hparamsOfMetadata(value("hparams", null, content)).record).toMatchObject({
      hparams: new Map([["__proto__", 1]]),
    });
  });

  test("an experiment", () => {
    const experiment = {
      description: "d",
      user: "u",
      timeCreatedSecs: 2.5,
      hparamInfos: [
        { name: "lr", displayName: "LR", description: "rate", type: 3, domainInterval: { minValue: 0.1, maxValue: 1 } },
        { name: "opt", type: 1, domainDiscrete: { values: [{ stringValue: "a" }, { stringValue: "b" }] } },
        { name: "any" },
      ],
      metricInfos: [{ name: { group: "val", tag: "loss" }, displayName: "L", description: "m" }, {}],
    };
    expect(record({ experiment })).toEqual({
      type: "experiment",
      timeCreated: 2.5,
      description: "d",
      user: "u",
      hparams: [
        { name: "lr", displayName: "LR", description: "rate", type: 3, domain: { min: 0.1, max: 1 } },
        { name: "opt", displayName: "", description: "", type: 1, domain: ["a", "b"] },
        { name: "any", displayName: "", description: "", type: 0, domain: null },
      ],
      metrics: [
        { group: "val", tag: "loss", displayName: "L", description: "m" },
        { group: "", tag: "", displayName: "", description: "" },
      ],
    });
  });

  test.each([
    [{}, "unknown"],
    [{ status: 1 }, "success"],
    [{ status: 2 }, "failure"],
    [{ status: 3 }, "running"],
    [{ status: 9 }, "unknown"],
  ])("a session's end: %j", (sessionEndInfo, status) => {
    expect(record({ sessionEndInfo })).toEqual({ type: "session_end", status, endTime: 0 });
  });

  test("what is refused", () => {
    expect(() => record({ version: 1, sessionEndInfo: {} })).toThrow(/^the hparams are of version 1; possible is 0$/);
    expect(() => record({})).toThrow(/^the hparams hold no record/);
    expect(() => hparamsOfMetadata(value("hparams", null, latin1("\x12\xff")))).toThrow(/^2 bytes are no HParams/);
    const deep = `\x0a\x01a${"\x12\x7f\x32\x7f\x0a\x7f".repeat(200)}`;
    expect(() => hparamsOfMetadata(value("hparams", null, latin1(`\x1a\x7f\x0a\x7f${deep}`)))).toThrow(UnreadableError);
  });
});

test("a layout of custom scalars", () => {
  const layout = {
    category: [
      {
        title: "Training",
        closed: true,
        chart: [
          { title: "losses", multiline: { tag: ["loss/.*", "val"] } },
          { title: "band", margin: { series: [{ value: "v", lower: "l", upper: "u" }, {}] } },
          { title: "empty" },
        ],
      },
      {},
    ],
  };
  const serialized = encoded("Layout", layout);
  const expected = {
    kind: "custom_scalars",
    categories: [
      {
        title: "Training",
        closed: true,
        charts: [
          { title: "losses", tags: ["loss/.*", "val"], margins: [] },
          {
            title: "band",
            tags: [],
            margins: [
              { value: "v", lower: "l", upper: "u" },
              { value: "", lower: "", upper: "" },
            ],
          },
          { title: "empty", tags: [], margins: [] },
        ],
      },
      { title: "", closed: false, charts: [] },
    ],
  };
  for (const sizes of [[], [1]]) {
    expect(customScalarsOfTensor(value("custom_scalars", strings(sizes, serialized)))).toEqual(expected);
  }
  expect(() => customScalarsOfTensor(value("custom_scalars", strings([2], serialized, "")))).toThrow(
    "there are 2 strings; possible is one, the layout",
  );
  expect(() => customScalarsOfTensor(value("custom_scalars", strings([], "\x12\x7f")))).toThrow(
    /^2 bytes are no Layout/,
  );
});

describe("projector_config.pbtxt", () => {
  const NOTHING = {
    tensorName: "",
    tensorPath: "",
    metadataPath: "",
    spriteImagePath: "",
    singleImageDim: [],
    tensorShape: [],
    bookmarksPath: "",
  };

  test("as torch's add_embedding writes it", () => {
    const text = `embeddings {
  tensor_name: "letters:00001"
  metadata_path: "00001/letters/metadata.tsv"
  sprite {
    image_path: "00001/letters/sprite.png"
    single_image_dim: 4
    single_image_dim: 5
  }
  tensor_path: "00001/letters/tensors.tsv"
}
embeddings {
  tensor_name: "default:00002"
  tensor_path: "00002/default/tensors.tsv"
}
`;
    expect(parseProjectorConfig(text)).toEqual({
      embeddings: [
        {
          ...NOTHING,
          tensorName: "letters:00001",
          tensorPath: "00001/letters/tensors.tsv",
          metadataPath: "00001/letters/metadata.tsv",
          spriteImagePath: "00001/letters/sprite.png",
          singleImageDim: [4, 5],
        },
        { ...NOTHING, tensorName: "default:00002", tensorPath: "00002/default/tensors.tsv" },
      ],
      modelCheckpointPath: "",
      modelCheckpointDir: "",
    });
  });

  // Written by google.protobuf.text_format.MessageToString: plain, and with every option that changes the form.
  test.each([
    String.raw`model_checkpoint_path: "m\t\303\266\007\"\'\\\n"
embeddings {
  tensor_name: "日本:00001"
  bookmarks_path: "x"
  tensor_shape: 3
  tensor_shape: 4
  sprite {
    image_path: "s.png"
    single_image_dim: 28
    single_image_dim: 30
  }
  tensor_path: "a b#c"
}
embeddings {
}
model_checkpoint_dir: "d"
`,
    String.raw`model_checkpoint_path: "m\tö\007\"\'\\\n" embeddings < tensor_name: "日本:00001" bookmarks_path: "x" tensor_shape: [3, 4] sprite < image_path: "s.png" single_image_dim: [28, 30] > tensor_path: "a b#c" > embeddings < > model_checkpoint_dir: "d"`,
  ])("as Python writes it: %s", (text) => {
    expect(parseProjectorConfig(text)).toEqual({
      embeddings: [
        {
          ...NOTHING,
          tensorName: "日本:00001",
          tensorPath: "a b#c",
          spriteImagePath: "s.png",
          singleImageDim: [28, 30],
          tensorShape: [3, 4],
          bookmarksPath: "x",
        },
        NOTHING,
      ],
      modelCheckpointPath: "m\tö\x07\"'\\\n",
      modelCheckpointDir: "d",
    });
  });

  // What google.protobuf.text_format.Parse makes of these was looked up in Python.
  test.each([
    [
      `embeddings < tensor_name: "a" 'b' ; tensor_shape: [0x10, 010, 3] >`,
      { tensorName: "ab", tensorShape: [16, 8, 3] },
    ],
    [String.raw`embeddings: [{tensor_name: "\u00e4\U0001F525\x41\101"}] # a comment`, { tensorName: "ä🔥AA" }],
    ["embeddings { tensor_shape: [] }", {}],
    ["\r\n# only\nembeddings\t{\r\n}\r\n", {}],
  ])("%s", (text, embedding) => {
    expect(parseProjectorConfig(text).embeddings).toEqual([{ ...NOTHING, ...embedding }]);
  });

  test("unknown fields are passed over, whatever they hold", () => {
    const unknown = `future { a: -1.5e+3 b: inf c: -inf d: VALUE e: [1, {f: "}"}], h < > } 99: 1 [ext.name] { g: '"' }`;
    const text = `${unknown} embeddings { ${unknown} tensor_name: "a" } model_checkpoint_dir: "d" ${unknown}`;
    const { embeddings, modelCheckpointDir } = parseProjectorConfig(text);
    expect([embeddings[0]?.tensorName, embeddings.length, modelCheckpointDir]).toEqual(["a", 1, "d"]);
  });

  test("empty", () => {
    expect(parseProjectorConfig("\ufeff")).toEqual({ embeddings: [], modelCheckpointPath: "", modelCheckpointDir: "" });
  });

  test.each([
    ["embeddings {", "line 1: found the end; possible is a field or }"],
    ['embeddings {\n  tensor_name: "a', 'line 2: found "\\"a"; possible is a value'],
    ['model_checkpoint_dir "a"', 'line 1: found "\\"a\\""; possible is : or {'],
    ["}", 'line 1: found "}"; possible is a field'],
    ["a: [1 2]", 'line 1: found "2]"; possible is ] or ,'],
    ["a {".repeat(200), 'line 1: found "a {a {a {a {a {a {a "; possible is at most 100 messages inside each other'],
  ])("refused: %s", (text, message) => {
    expect(() => parseProjectorConfig(text)).toThrow(new UnreadableError(message));
  });

  test("any text is a configuration or unreadable, and a whole one cut anywhere is so, too", () => {
    const whole = `embeddings { tensor_name: "a\\303\\244" tensor_shape: [1, 2] sprite < image_path: 's' > }`;
    for (let end = 0; end < whole.length; end++) {
      if (end > 0) expect(() => parseProjectorConfig(whole.slice(0, end))).toThrow(UnreadableError);
    }
    const piece = fc.oneof(
      fc.constantFrom(..."{}<>[]:;,#\"'\\\n- ", "a", "1.5", "\\u12", "0x", "embeddings"),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          parseProjectorConfig(pieces.join(""));
        } catch (error) {
          if (!(error instanceof UnreadableError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test("a tensor that cannot be decoded is TensorError's business", () => {
  expect(() => textOfTensor(value("text", { dtype: "DT_STRING", tensorShape: shape(-1) }))).toThrow(TensorError);
});
