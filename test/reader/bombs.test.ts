/** Small records that are made to become large: refused before they take the memory, and told. */
import { describe, expect, test } from "vitest";
import type { Datum } from "../../src/reader/datum.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { type Loss, RecordReader } from "../../src/reader/tfrecord.ts";
import { event, eventFile, type Fields, ScriptedSource, scalarEvent } from "../support/event-writer.ts";

/** What a file gives, if an intact scalar stands behind it. */
async function read(...payloads: readonly Uint8Array[]): Promise<{ data: readonly Datum[]; losses: readonly Loss[] }> {
  const source = new ScriptedSource(eventFile(...payloads, scalarEvent("after", 1, 1)));
  const reader = new EventFileReader(new RecordReader(source, { end: source.size }), new Map());
  const batch = new RecordBatch(1000, new TagTable());
  const data: Datum[] = [];
  let scalars = 0;
  for (let more = true; more; batch.clear()) {
    more = await reader.read(batch);
    data.push(...batch.data);
    scalars += batch.length;
  }
  expect(scalars).toBe(1);
  return { data, losses: reader.records.losses };
}

const wallTime = Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 0]);

/** A field of bytes that may be a message. */
function field(number: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(number * 8 + 2), varint(body.length), body]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

const tensorOf = (...fields: readonly Uint8Array[]) =>
  Buffer.concat([wallTime, field(5, field(1, field(8, ...fields)))]);

describe("a message that would take far more memory than its bytes", () => {
  const MB = 1_000_000;
  test.each([
    ["values of two bytes each", Buffer.concat([wallTime, field(5, Buffer.alloc(30 * MB).fill("\n\0"))])],
    ["dimensions of two bytes each", tensorOf(field(2, Buffer.alloc(30 * MB).fill("\x12\0")))],
    ["integers of one byte each", tensorOf(field(10, Buffer.alloc(25 * MB)))],
    ["unsigned integers of one byte each", tensorOf(field(17, Buffer.alloc(25 * MB)))],
    ["strings of none", tensorOf(field(8, Buffer.alloc(0)), Buffer.alloc(30 * MB).fill("\x42\0"))],
  ])("%s", async (_, payload) => {
    const before = process.memoryUsage().heapUsed;
    const { data, losses } = await read(payload);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1.2e9);
    expect(data).toEqual([]);
    expect(losses).toEqual([{ start: 0, end: payload.length + 16, reason: "too-large" }]);
  });

  test("one of honest size is read", async () => {
    const payload = tensorOf(
      Buffer.from([8, 10]),
      field(2, field(2, Buffer.from([8, 64]))),
      field(11, Buffer.alloc(64, 1)),
    );
    const { data, losses } = await read(payload);
    expect(losses).toEqual([]);
    expect(data).toMatchObject([{ kind: "tensors", tensor: { dtype: "bool", shape: [64] } }]);
  });
});

describe("tensors whose values are written once for many", () => {
  const shape = (...sizes: readonly number[]) => ({ dim: sizes.map((size) => ({ size })) });
  const values = (count: number, plugin: string, tensor: Fields) =>
    event({
      summary: {
        value: Array.from({ length: count }, (_, i) => ({
          tag: `t${i}`,
          metadata: { pluginData: { pluginName: plugin } },
          tensor,
        })),
      },
    });
  const kinds = (data: readonly Datum[]) => data.map(({ kind }) => kind);

  test("as many as an event may hold, and no more", async () => {
    const { data } = await read(
      values(6, "mine", { dtype: "DT_FLOAT", tensorShape: shape(1000, 1000), floatVal: [1] }),
    );
    expect(kinds(data)).toEqual(["tensors", "tensors", "tensors", "tensors", "unreadable", "unreadable"]);
    expect(data[4]).toMatchObject({ reason: expect.stringContaining("possible are 67108864 in one event") });
  });

  test("the next event may hold as many again", async () => {
    const one = values(4, "mine", { dtype: "DT_FLOAT", tensorShape: shape(1000, 1000), floatVal: [1] });
    expect(kinds((await read(one, one)).data)).toEqual(Array.from({ length: 8 }, () => "tensors"));
  });

  test.each([
    ["text", "text", { dtype: "DT_STRING", tensorShape: shape(2_000_000), stringVal: [Buffer.alloc(0)] }],
    ["pictures", "images", { dtype: "DT_STRING", tensorShape: shape(100_000) }],
    ["long text", "text", { dtype: "DT_STRING", tensorShape: shape(1000), stringVal: [Buffer.alloc(100_000)] }],
    ["buckets", "histograms", { dtype: "DT_DOUBLE", tensorShape: shape(5_000_000, 3), doubleVal: [1] }],
    ["bytes", "mine", { dtype: "DT_UINT8", tensorShape: shape(200_000_000), intVal: [1] }],
    ["nothing at all", "mine", { dtype: "DT_INT64", tensorShape: shape(30_000_000) }],
  ])("%s", async (_, plugin, tensor) => {
    expect(kinds((await read(values(3, plugin, tensor))).data)).toEqual(["unreadable", "unreadable", "unreadable"]);
  });

  test("those whose values are all written take nothing of it", async () => {
    const content = Buffer.alloc(8_000_000);
    const tensor = { dtype: "DT_FLOAT", tensorShape: shape(2_000_000), tensorContent: content };
    expect(kinds((await read(values(12, "mine", tensor))).data)).toEqual(Array.from({ length: 12 }, () => "tensors"));
  });
});
