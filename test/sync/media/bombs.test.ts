/** Values that are made to take long, or to become far more than they are. A hang here is a failure: vitest's time limit. */
import { expect, test } from "vitest";
import { ArtifactPaths, type ArtifactRoot } from "../../../src/backends/artifacts/artifact-paths.ts";
import { encodeMesh } from "../../../src/backends/artifacts/mesh.ts";
import { encodeHistograms } from "../../../src/backends/mlflow/media/histograms.ts";
import { encodeText } from "../../../src/backends/mlflow/media/text.ts";
import { KeyNames } from "../../../src/backends/mlflow/names.ts";
import { readableJson } from "../../../src/encode/json.ts";
import { textFormat } from "../../../src/encode/pbtxt.ts";
import type { HistogramDatum, MeshDatum, TextDatum } from "../../../src/reader/datum.ts";
import { base, contextOf, pathsOf } from "./support.ts";

const RUNS = [" ", "\t", "\n", "\r", "\\", ".", "/", "-", "@", "@1-", "|", "\\|", " \n", "_", "\u00a0", "\u{1f600}"];
const long = (text: string) => `a${text.repeat(1_000_000 / text.length)}b`;

test.each(RUNS)("a cell of a table that is %j a million times", (run) => {
  const datum: TextDatum = { ...base("t"), kind: "text", shape: [1], strings: [long(run)] };
  expect(encodeText(datum, contextOf())[0]?.bytes.length).toBeGreaterThan(1);
});

test.each(RUNS)("a tag that is %j a million times", (run) => {
  const kinds: ArtifactRoot[] = ["text", "graph"];
  for (const kind of kinds) expect(new ArtifactPaths().directory(kind, long(run)).length).toBeLessThan(400);
  expect(new ArtifactPaths().imageKey(long(run), 0, 1).length).toBeLessThan(120);
  expect(new KeyNames([]).keyOf(long(run)).length).toBeLessThan(250);
});

test("JSON of a text longer than what a regular expression can match, or one string hold", () => {
  const text = `"\\${"x\u0001".repeat(30_000_000)}`;
  const json = readableJson({ text });
  // Six characters for each that is escaped.
  expect(json.length).toBe('{\n  "text": "\\"\\\\"\n}\n'.length + 7 * 30_000_000);
});

test("a text is cut nowhere between the halves of a character", () => {
  for (const before of [2 ** 20 - 2, 2 ** 20 - 1, 2 ** 20]) {
    const text = "x".repeat(before) + "\u{1f600}".repeat(3) + "y".repeat(2 ** 20);
    expect(JSON.parse(Buffer.from(readableJson([text])).toString())).toEqual([text]);
  }
});

test("a histogram of a million buckets", () => {
  const buckets = new Float64Array(3_000_000).fill(0.1);
  const datum: HistogramDatum = { ...base("h"), kind: "histograms", buckets };
  expect(encodeHistograms([datum], "0").bytes.length).toBeGreaterThan(12_000_000);
});

const point = (batch: number, count: number, config = ""): MeshDatum => ({
  ...base("m_VERTEX"),
  kind: "mesh",
  mesh: "m",
  content: "vertex",
  config,
  tensor: { dtype: "float32", shape: [batch, count, 3], data: new Float64Array(0) as unknown as Float32Array },
});

test("a batch of any number of empty meshes is one file", () => {
  for (const batch of [1001, 2 ** 31, 2 ** 52]) {
    expect(pathsOf(encodeMesh([point(batch, 0)], contextOf()))).toEqual(["mesh/m/5-0-vertex.npy"]);
  }
  expect(encodeMesh([point(1000, 0)], contextOf()).length).toBe(1000);
});

test("a long configuration is not repeated any number of times", () => {
  expect(encodeMesh([point(100, 0, JSON.stringify("x".repeat(100_000)))], contextOf()).length).toBe(100);
  expect(pathsOf(encodeMesh([point(1000, 0, JSON.stringify("x".repeat(100_000)))], contextOf()))).toEqual([
    "mesh/m/5-0-vertex.npy",
  ]);
});

test("a graph whose text would be far longer than its message has none", () => {
  // node { attr { key: "k" value { list { b: true … } } } }
  const field = (number: number, ...parts: readonly Uint8Array[]) => {
    const body = Buffer.concat(parts);
    const length: number[] = [];
    let rest = body.length;
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128);
    return Buffer.concat([Buffer.from([number * 8 + 2, ...length, rest]), body]);
  };
  const graph = (values: number) =>
    field(1, field(5, field(1, Buffer.from("k")), field(2, field(1, field(5, Buffer.alloc(values, 1))))));
  expect(textFormat(graph(3), "GraphDef")?.match(/b: true/g)?.length).toBe(3);
  expect(textFormat(graph(5_000_000), "GraphDef")).toBeUndefined();
});
