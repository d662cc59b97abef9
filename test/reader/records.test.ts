/** tracelet's own records: what they hold, and what becomes of those that are not as they should be. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Datum } from "../../src/reader/datum.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import { eventFile, ownRecord, ScriptedSource, scalarEvent, versionEvent } from "../support/event-writer.ts";

/** What is in a file of these records, behind which there is always a scalar that has to arrive. */
async function read(...payloads: readonly Uint8Array[]): Promise<Datum[]> {
  const source = new ScriptedSource(eventFile(versionEvent(), ...payloads, scalarEvent("behind", 1, 2)));
  const records = new RecordReader(source, { end: source.size, maxRecordBytes: 1 << 28 });
  const batch = new RecordBatch(1000, new TagTable());
  await new EventFileReader(records, new Map()).read(batch);
  expect(records.losses).toEqual([]);
  expect(batch.length).toBe(1);
  return batch.data;
}

async function one(...record: Parameters<typeof ownRecord>): Promise<Datum> {
  const data = await read(ownRecord(...record));
  expect(data).toHaveLength(1);
  return data[0] as Datum;
}

test("params keep what JSON says of a number, and the order they were logged in", async () => {
  const json =
    '{"lr":0.001,"epochs":10,"scale":1.0,"big":12345678901234567890,"e":1e3,"minus":-7,"zero":-0,"on":true,"none":null,' +
    '"a \\"b\\\\":"x: {1}, \\u00e4","__proto__":"p","empty":""}';
  expect(await one("params", json)).toMatchObject({ kind: "hparams", tag: "tracelet/params" });
  const datum = await one("params", json);
  const record = datum.kind === "hparams" ? datum.record : undefined;
  expect(record?.type === "params" && [...record.hparams]).toEqual([
    ["lr", 0.001],
    ["epochs", 10n],
    ["scale", 1],
    ["big", 12345678901234567890n],
    ["e", 1000],
    ["minus", -7n],
    ["zero", -0],
    ["on", true],
    ["none", null],
    ['a "b\\', "x: {1}, ä"],
    ["__proto__", "p"],
    ["empty", ""],
  ]);
});

test("any flat object of params arrives as JSON.parse has it", async () => {
  const values = fc.oneof(
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), values), async (params) => {
      const json = JSON.stringify(params, null, 1);
      const datum = await one("params", json);
      const found = datum.kind === "hparams" && datum.record.type === "params" ? datum.record.hparams : new Map();
      const plain = Array.from(found, ([name, value]) => [name, typeof value === "bigint" ? Number(value) : value]);
      expect(plain).toEqual(Object.entries(JSON.parse(json) as object));
    }),
  );
});

test("labels, files and what is known of a metric", async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
  expect(await one("tags", '{"team":"vision","note":"a\\nb"}')).toMatchObject({
    kind: "run_tags",
    tags: new Map([
      ["team", "vision"],
      ["note", "a\nb"],
    ]),
  });
  const artifact = await one("artifact", bytes, { tag: "tracelet/artifact/a/ü.bin", path: "a/ü.bin" });
  expect(artifact).toMatchObject({ kind: "artifacts", tag: "tracelet/artifact/a/ü.bin", path: "a/ü.bin" });
  const content = artifact.kind === "artifacts" ? artifact.content : undefined;
  expect(content instanceof Uint8Array && sha256(content)).toBe(sha256(bytes));
  expect(await one("artifact", "", { path: "m.pt", file: "/x/m.pt", size: 7, mtime: 1, mac: "ab" })).toMatchObject({
    content: { file: "/x/m.pt", size: 7, mtime: 1, text: "m.pt\n/x/m.pt\n7\n1", mac: "ab" },
  });
  const metric = '{"tag":"loss","type":"loss","metadata":{"unit":"nats","of":{"a":[1]}},"step":3}';
  expect(await one("metric", metric)).toMatchObject({
    kind: "metric_info",
    metric: "loss",
    type: "loss",
    info: { unit: "nats", of: { a: [1] } },
  });
});

describe("what is malformed is kept as a tensor, and what stands behind it is read", () => {
  const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  const names = JSON.stringify(Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`n${i}`, 1])));
  test.each<[why: string, ...Parameters<typeof ownRecord>]>([
    ["another version", "params", "{}", { v: 2 }],
    ["another kind", "video", "{}"],
    ["not JSON", "params", '{"a":'],
    ["NaN", "params", '{"a":NaN}'],
    ["a list", "params", "[1]"],
    ["nested", "params", '{"a":{"b":1}}'],
    ["deep", "params", deep],
    ["too many names", "params", names],
    ["a long name", "params", JSON.stringify({ ["x".repeat(1001)]: 1 })],
    ["not UTF-8", "params", Buffer.from('{"a":"\xff"}', "latin1")],
    ["large", "params", JSON.stringify({ a: "x".repeat(1 << 20) })],
    ["a label that is no text", "tags", '{"a":1}'],
    ["a metric without its tag", "metric", '{"type":"loss"}'],
    ["a metric with deep metadata", "metric", `{"tag":"a","metadata":${deep}}`],
    ["no path", "artifact", "x"],
    ["an empty path", "artifact", "x", { path: "" }],
    ["an absolute path", "artifact", "x", { path: "/etc/passwd" }],
    ["a path that leads out", "artifact", "x", { path: "a/../../b" }],
    ["a Windows path", "artifact", "x", { path: "a\\..\\b" }],
    ["a path with a NUL", "artifact", "x", { path: "a\0b" }],
    ["a path with half a character", "artifact", "x", { path: "a\ud800b" }],
    ["a long part", "artifact", "x", { path: "a".repeat(201) }],
    ["a long path", "artifact", "x", { path: "a/".repeat(600) + "a" }],
    ["a file without its size", "artifact", "", { path: "a", file: "/a" }],
    ["a file and bytes", "artifact", "x", { path: "a", file: "/a", size: 1, mtime: 1 }],
    ["a negative size", "artifact", "", { path: "a", file: "/a", size: -1, mtime: 1 }],
  ])("%s", async (_why, ...record) => {
    expect(await one(...record)).toMatchObject({ kind: "tensors", metadata: { plugin: "tracelet" } });
  });

  test("content that is no JSON at all, random bytes as payload, no payload", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom("params", "tags", "metric"),
        async (bytes, kind) => {
          const [datum] = await read(ownRecord(kind, bytes));
          expect(["tensors", "hparams", "run_tags", "metric_info"]).toContain(datum?.kind);
        },
      ),
    );
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
