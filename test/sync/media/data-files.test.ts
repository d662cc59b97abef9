/** Audio, text, numbers, meshes and layouts, read back by Python's readers. */
import { describe, expect, test } from "vitest";
import type { MediaContext } from "../../../src/backends/artifacts/context.ts";
import { encodeCustomScalars } from "../../../src/backends/artifacts/custom-scalars.ts";
import { encodeHparams } from "../../../src/backends/artifacts/hparams.ts";
import { encodeMesh, meshesOf } from "../../../src/backends/artifacts/mesh.ts";
import { encodeTensor } from "../../../src/backends/artifacts/tensors.ts";
import { encodeAudio } from "../../../src/backends/mlflow/media/audio.ts";
import { encodeHistograms } from "../../../src/backends/mlflow/media/histograms.ts";
import { encodePrCurves } from "../../../src/backends/mlflow/media/pr-curves.ts";
import { encodeText, markdownOf } from "../../../src/backends/mlflow/media/text.ts";
import type { AudioDatum, HistogramDatum, MeshDatum, TensorDatum, TextDatum } from "../../../src/reader/datum.ts";
import type { Tensor } from "../../../src/reader/tensor.ts";
import { askPython } from "../python.ts";
import { base, contextOf, fixtureData, hex, METADATA, pathsOf, textOf } from "./support.ts";

const encodeMeshes = (data: Iterable<MeshDatum>, context: MediaContext) =>
  meshesOf(data).flatMap((parts) => encodeMesh(parts, context));

describe("audio", () => {
  const ending = (bytes: Uint8Array, contentType = "") => {
    const clip = { bytes, contentType, sampleRate: 8000, label: "" };
    const datum: AudioDatum = { ...base("a"), kind: "audio", clips: [clip] };
    return pathsOf(encodeAudio(datum, contextOf()))[0];
  };

  test("the ending is the content's", () => {
    expect(ending(Buffer.from("RIFF\0\0\0\0WAVEfmt "))).toBe("audio/a/5-0.wav");
    expect(ending(Buffer.from("ID3\x04"), "audio/wav")).toBe("audio/a/5-0.mp3");
    expect(ending(Uint8Array.of(0xff, 0xfb, 0x90, 0x64))).toBe("audio/a/5-0.mp3");
    expect(ending(Uint8Array.of(0xff, 0xf1, 0x50, 0x80))).toBe("audio/a/5-0.aac");
    expect(ending(Buffer.from("OggS"))).toBe("audio/a/5-0.ogg");
    expect(ending(Buffer.from("fLaC"))).toBe("audio/a/5-0.flac");
    expect(ending(Buffer.from("????"), "audio/WAV; rate=8000")).toBe("audio/a/5-0.wav");
    expect(ending(new Uint8Array())).toBe("audio/a/5-0.bin");
  });

  test("the fixtures' clips are WAV files", async () => {
    const artifacts = (await fixtureData("audio")).flatMap((datum) => encodeAudio(datum, contextOf()));
    const wav = artifacts.filter(({ path }) => path.endsWith(".wav"));
    expect(wav.length).toBeGreaterThan(2);
    const rates = askPython(
      `
import base64, io, wave
answer = []
for clip in data:
    try: answer.append(wave.open(io.BytesIO(base64.b64decode(clip))).getframerate())
    except (wave.Error, EOFError): answer.append(0)
`,
      wav.map(({ bytes }) => Buffer.from(bytes).toString("base64")),
    ) as number[];
    expect(rates.filter((rate) => rate > 0).length).toBeGreaterThan(2);
  });
});

describe("text", () => {
  const markdown = (shape: readonly number[], strings: readonly string[]) => markdownOf({ shape, strings });

  test("a string is itself", () => {
    const datum: TextDatum = { ...base("notes", -3n), kind: "text", shape: [], strings: ["# ä\n\n| <b>"] };
    const artifacts = encodeText(datum, contextOf());
    expect(pathsOf(artifacts)).toEqual(["text/notes/-3.md"]);
    expect(textOf(artifacts, "text/notes/-3.md")).toBe("# ä\n\n| <b>");
  });

  test("a vector of one string, as torch writes it, is Markdown and no table", () => {
    const datum: TextDatum = { ...base("notes"), kind: "text", shape: [1], strings: ["# a\n\n* b | c"] };
    const artifacts = encodeText(datum, contextOf());
    expect(pathsOf(artifacts)).toEqual(["text/notes/5.md"]);
    expect(textOf(artifacts, "text/notes/5.md")).toBe("# a\n\n* b | c");
  });

  test("tables are TensorBoard's", () => {
    expect(markdown([2], ["a", "b"])).toBe("|   |\n| --- |\n| a |\n| b |\n");
    expect(markdown([2, 2], ["a", "b", "c", "d"])).toBe("|   |   |\n| --- | --- |\n| a | b |\n| c | d |\n");
    expect(markdown([2, 1, 2], ["a", "b", "c", "d"])).toBe(
      "**Warning:** This text summary contained data of dimensionality 3, but only 2d tables are supported. Showing a 2d slice of the data instead.\n\n|   |   |\n| --- | --- |\n| a | b |\n",
    );
    expect(markdown([0, 3], [])).toBe("*An empty table, of shape [0, 3].*\n");
    expect(markdown([1, 1], ["a|b \\| \\\\| c\r\nd\n\n\ne"])).toBe("|   |\n| --- |\n| a\\|b \\| \\\\\\| c d ¶ e |\n");
  });

  test("the slice of higher ranks is the one that TensorBoard takes", () => {
    const shapes = [[3], [2, 3], [2, 2, 3], [2, 3, 2, 2], [1, 1, 1, 1, 2]];
    const tables = askPython(
      `
import numpy as np
from tensorboard.plugins.text import text_plugin
answer = []
for shape in data:
    array = np.array([f"s{i}" for i in range(int(np.prod(shape)))]).reshape(shape)
    if array.ndim > 2: array = text_plugin.reduce_to_2d(array)
    answer.append(array.reshape(array.shape[0], -1).tolist())
`,
      shapes,
    ) as string[][][];
    for (const [i, shape] of shapes.entries()) {
      const strings = Array.from({ length: shape.reduce((a, b) => a * b) }, (_, n) => `s${n}`);
      const rows = markdown(shape, strings)
        .split("\n")
        .filter((row) => row.startsWith("| s"));
      expect(rows.map((row) => row.slice(2, -2).split(" | "))).toEqual(tables[i]);
    }
  });

  test("what a table cannot hold is kept beside it", () => {
    const datum: TextDatum = { ...base("t"), kind: "text", shape: [1, 1, 2], strings: ["a\nb", "c"] };
    const artifacts = encodeText(datum, contextOf());
    expect(JSON.parse(textOf(artifacts, "text/t/5.json"))).toEqual({ shape: [1, 1, 2], strings: ["a\nb", "c"] });
  });

  test("the fixtures' texts", async () => {
    for (const datum of await fixtureData("text")) {
      const [markdown] = encodeText(datum, contextOf());
      if (datum.shape.length === 0) expect(markdown?.bytes).toEqual(Buffer.from(datum.strings[0] as string));
    }
  });
});

describe("lines of JSON", () => {
  test("histograms come back bit for bit", async () => {
    const odd: HistogramDatum = {
      ...base('odd\u2028"tag', 2n ** 60n + 1n),
      kind: "histograms",
      wallTime: Number.NaN,
      buckets: Float64Array.of(-Infinity, -0, 0.1, 5e-324, 1.7976931348623157e308, 2 ** 60, Number.NaN, 1e21, 1e-7),
      stats: { min: -0, max: Infinity, num: 3, sum: Number.NaN, sumSquares: 0.1 + 0.2 },
    };
    const data = [odd, ...(await fixtureData("histograms"))];
    expect(data.length).toBeGreaterThan(20);
    const { path, bytes } = encodeHistograms(data, "000001");
    expect(path).toBe("histograms/000001.jsonl");
    const seen = askPython(
      `
import json, struct
def bits(value): return struct.pack(">d", float(value)).hex() if float(value) == float(value) else "nan"
answer = []
for line in data.splitlines() if False else data.split("\\n")[:-1]:
    row = json.loads(line)
    stats = row.get("stats")
    answer.append([row["tag"], str(int(row["step"])), bits(row["wall_time"]),
                   [bits(value) for bucket in row["buckets"] for value in bucket],
                   stats and [bits(stats[key]) for key in ("min", "max", "num", "sum", "sum_squares")]])
`,
      Buffer.from(bytes).toString(),
    );
    const bits = (value: number) => {
      const buffer = Buffer.alloc(8);
      buffer.writeDoubleBE(value);
      return Number.isNaN(value) ? "nan" : buffer.toString("hex");
    };
    expect(seen).toEqual(
      data.map(({ tag, step, wallTime, buckets, stats }) => [
        tag,
        String(step),
        bits(wallTime),
        Array.from(buckets, bits),
        stats ? [stats.min, stats.max, stats.num, stats.sum, stats.sumSquares].map(bits) : null,
      ]),
    );
  });

  test("precision-recall curves", async () => {
    const data = await fixtureData("pr_curves");
    const { path, bytes } = encodePrCurves(data, "000001");
    expect(path).toBe("pr_curves/000001.jsonl");
    const lines = Buffer.from(bytes)
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.length).toBe(data.length);
    for (const [i, line] of lines.entries()) {
      expect(line["tag"]).toBe(data[i]?.tag);
      expect(line["precision"]).toEqual(Array.from(data[i]?.precision ?? []));
      expect(line["true_positives"]).toEqual(Array.from(data[i]?.truePositives ?? []));
    }
  });
});

describe("tensors", () => {
  const tensorOf = (tensor: Tensor | null, tag = "t"): TensorDatum => ({ ...base(tag), kind: "tensors", tensor });
  const bytesOf = ({ data }: Exclude<Tensor, { dtype: "string" }>) =>
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

  test("NumPy reads every dtype", async () => {
    const halves = Float32Array.of(
      1,
      -0,
      65504,
      2 ** -24,
      -(2 ** -14),
      1023 * 2 ** -24,
      Infinity,
      -Infinity,
      0.333251953125,
    );
    const odd: Tensor[] = [
      { dtype: "float16", shape: [9], data: halves },
      { dtype: "float32", shape: [], data: Float32Array.of(0.1) },
      { dtype: "float64", shape: [0, 3], data: new Float64Array() },
      { dtype: "uint64", shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
      { dtype: "int16", shape: Array.from({ length: 40 }, (_, i) => (i < 2 ? 2 : 1)), data: Int16Array.of(1, 2, 3, 4) },
    ];
    const real = (await fixtureData("tensors")).flatMap(({ tensor }) => tensor ?? []);
    const tensors = [...odd, ...real].filter((tensor) => tensor.dtype !== "string");
    expect(new Set(tensors.map(({ dtype }) => dtype)).size).toBeGreaterThan(15);
    const seen = askPython(
      `
import base64, io, numpy as np
answer = []
for file in data:
    array = np.load(io.BytesIO(base64.b64decode(file)), allow_pickle=False)
    wide = array.astype(np.float32) if array.dtype == np.float16 else array
    answer.append([str(array.dtype), list(array.shape), wide.tobytes().hex()])
`,
      tensors.map((tensor) => {
        const artifacts = encodeTensor(tensorOf(tensor), contextOf());
        expect(pathsOf(artifacts)).toEqual(["tensors/t/5.npy", "tensors/t/5.json"]);
        return Buffer.from(artifacts[0]?.bytes as Uint8Array).toString("base64");
      }),
    );
    const names: Readonly<Record<string, string>> = { bfloat16: "float32" };
    expect(seen).toEqual(
      tensors.map((tensor) => [
        names[tensor.dtype] ?? tensor.dtype.replace(/^q/, ""),
        tensor.shape.length > 32 ? [4] : tensor.shape,
        hex(bytesOf(tensor)),
      ]),
    );
  });

  test("strings and what the writer said are JSON", () => {
    const data = [Buffer.from("ä"), Uint8Array.of(0xff, 0), new Uint8Array()];
    const metadata = { ...METADATA, plugin: "mine", content: Uint8Array.of(1, 2) };
    const artifacts = encodeTensor({ ...tensorOf({ dtype: "string", shape: [3], data }), metadata }, contextOf());
    expect(pathsOf(artifacts)).toEqual(["tensors/t/5.json"]);
    expect(JSON.parse(textOf(artifacts, "tensors/t/5.json"))).toMatchObject({
      tag: "t",
      step: 5,
      plugin: "mine",
      content: { base64: "AQI=" },
      dtype: "string",
      shape: [3],
      strings: ["ä", { base64: "/wA=" }, ""],
    });
    expect(pathsOf(encodeTensor(tensorOf(null), contextOf()))).toEqual(["tensors/t/5.json"]);
  });
});

describe("meshes", () => {
  const part = (content: MeshDatum["content"], tensor: Tensor, config = ""): MeshDatum => ({
    ...base(`m_${content}`),
    kind: "mesh",
    mesh: "m",
    content,
    config,
    tensor,
  });
  const vertices: Tensor = {
    dtype: "float32",
    shape: [2, 3, 3],
    data: Float32Array.from({ length: 18 }, (_, i) => i / 4),
  };
  const faces: Tensor = { dtype: "int32", shape: [2, 1, 3], data: Int32Array.of(0, 1, 2, 2, 1, 0) };
  const colors: Tensor = { dtype: "uint8", shape: [2, 3, 3], data: Uint8Array.from({ length: 18 }, (_, i) => i * 10) };

  /** A reader by hand, of what a head may declare. */
  function readPly(bytes: Uint8Array) {
    const buffer = Buffer.from(bytes);
    const end = buffer.indexOf("end_header\n") + "end_header\n".length;
    const head = buffer.subarray(0, end).toString("latin1").split("\n");
    expect(head.slice(0, 2)).toEqual(["ply", "format binary_little_endian 1.0"]);
    const elements: { name: string; count: number; properties: string[] }[] = [];
    for (const line of head) {
      const [word, a = "", b = ""] = line.split(" ");
      if (word === "element") elements.push({ name: a, count: Number(b), properties: [] });
      if (word === "property") elements.at(-1)?.properties.push(line.slice("property ".length));
    }
    let at = end;
    const read = (type: string) => {
      const size = { uchar: 1, int: 4, float: 4, double: 8 }[type] as number;
      at += size;
      if (type === "uchar") return buffer.readUInt8(at - 1);
      if (type === "int") return buffer.readInt32LE(at - 4);
      return type === "float" ? buffer.readFloatLE(at - 4) : buffer.readDoubleLE(at - 8);
    };
    const rows = elements.map(({ name, count, properties }) => [
      name,
      Array.from({ length: count }, () =>
        properties.flatMap((property) => {
          const [type = "", counted = "", item = ""] = property.split(" ");
          return type === "list" ? Array.from({ length: read(counted) }, () => read(item)) : [read(type)];
        }),
      ),
    ]);
    expect(at).toBe(buffer.length);
    return { comments: head.filter((line) => line.startsWith("comment")), ...(Object.fromEntries(rows) as object) };
  }

  test("vertices, faces and colors of a record are one file an element", () => {
    const config = '{"camera": "ä\\n"}';
    const artifacts = encodeMeshes(
      [part("color", colors), part("vertex", vertices, config), part("face", faces)],
      contextOf(),
    );
    expect(pathsOf(artifacts)).toEqual(["mesh/m/5-0.ply", "mesh/m/5-1.ply"]);
    expect(readPly(artifacts[1]?.bytes as Uint8Array)).toEqual({
      comments: ['comment config {"camera":"\\u00e4\\n"}'],
      vertex: [
        [2.25, 2.5, 2.75, 90, 100, 110],
        [3, 3.25, 3.5, 120, 130, 140],
        [3.75, 4, 4.25, 150, 160, 170],
      ],
      face: [[2, 1, 0]],
    });
  });

  test("a point cloud, in double where float would lose", () => {
    const tensor: Tensor = { dtype: "float64", shape: [1, 3], data: Float64Array.of(0.1, Number.NaN, -0) };
    const [cloud] = encodeMeshes([part("vertex", tensor)], contextOf());
    expect(readPly(cloud?.bytes as Uint8Array)).toEqual({ comments: [], vertex: [[0.1, Number.NaN, -0]] });
  });

  test("tensors that do not fit are kept as they are", () => {
    const wrong: Tensor = { dtype: "uint8", shape: [2, 1, 3], data: new Uint8Array(6) };
    const artifacts = encodeMeshes([part("vertex", vertices), part("color", wrong)], contextOf());
    expect(pathsOf(artifacts)).toEqual(["mesh/m/5-0-vertex.npy", "mesh/m/5-1-color.npy"]);
    expect(pathsOf(encodeMeshes([part("face", faces)], contextOf()))).toEqual(["mesh/m/5-0-face.npy"]);
  });

  test("the fixtures' meshes", async () => {
    const data = await fixtureData("mesh");
    const files = encodeMeshes(data, contextOf());
    expect(files.length).toBeGreaterThan(0);
    for (const { path, bytes } of files) {
      if (path.endsWith(".ply")) expect(readPly(bytes)).toHaveProperty("vertex");
    }
    expect(pathsOf(files).filter((path) => path.endsWith(".ply")).length).toBeGreaterThan(0);
  });
});

describe("layouts and experiments", () => {
  test("experiments that say different things have files of their own", () => {
    const record = {
      type: "experiment",
      timeCreated: 0,
      description: "a",
      user: "",
      hparams: [],
      metrics: [],
    } as const;
    const pathOf = (description: string) =>
      pathsOf(encodeHparams({ ...base("e"), kind: "hparams", record: { ...record, description } }, contextOf()))[0];
    expect(pathOf("a")).toMatch(/^hparams\/e\/[0-9a-f]{8}\.json$/);
    expect([pathOf("a"), pathOf("b")]).toEqual([pathOf("a"), expect.not.stringMatching(pathOf("a") as string)]);
  });

  test("protobuf reads them back", async () => {
    const layouts = await fixtureData("custom_scalars");
    const experiments = (await fixtureData("hparams")).filter(({ record }) => record.type === "experiment");
    expect([layouts.length > 0, experiments.length > 0]).toEqual([true, true]);
    const files = [
      ...layouts.flatMap((datum) => encodeCustomScalars(datum, contextOf())),
      ...experiments.flatMap((datum) => encodeHparams(datum, contextOf())),
    ];
    const seen = askPython(
      `
from google.protobuf import json_format
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2
answer = []
for path, text in data:
    message = layout_pb2.Layout() if path.startswith("custom") else api_pb2.Experiment()
    json_format.Parse(text, message)
    if path.startswith("custom"):
        answer.append([[c.title, c.closed, [[h.title, list(h.multiline.tag), [[s.value, s.lower, s.upper] for s in h.margin.series]] for h in c.chart]] for c in message.category])
    else:
        answer.append([message.description, message.user, message.time_created_secs,
          [[h.name, h.display_name, h.description, h.type, h.WhichOneof("domain"),
            json_format.MessageToDict(h.domain_discrete) if h.HasField("domain_discrete") else [h.domain_interval.min_value, h.domain_interval.max_value] if h.HasField("domain_interval") else None] for h in message.hparam_infos],
          [[m.name.group, m.name.tag, m.display_name, m.description] for m in message.metric_infos]])
`,
      files.map(({ path, bytes }) => [path, Buffer.from(bytes).toString()]),
    );
    const domainOf = (domain: unknown) => {
      if (domain === null) return [null, null];
      if (Array.isArray(domain)) return ["domain_discrete", domain];
      const { min, max } = domain as { min: number; max: number };
      return ["domain_interval", [min, max]];
    };
    expect(seen).toEqual([
      ...layouts.map(({ categories }) =>
        categories.map(({ title, closed, charts }) => [
          title,
          closed,
          charts.map(({ title, tags, margins }) => [
            title,
            tags,
            margins.map(({ value, lower, upper }) => [value, lower, upper]),
          ]),
        ]),
      ),
      ...experiments.map(({ record }) => {
        if (record.type !== "experiment") throw new Error("no experiment");
        return [
          record.description,
          record.user,
          record.timeCreated,
          record.hparams.map((h) => [h.name, h.displayName, h.description, h.type, ...domainOf(h.domain)]),
          record.metrics.map((m) => [m.group, m.tag, m.displayName, m.description]),
        ];
      }),
    ]);
  });
});
