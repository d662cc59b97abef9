import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Datum, TagMetadata } from "../../src/reader/datum.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import {
  event,
  eventFile,
  imageEvent,
  record,
  ScriptedSource,
  scalarEvent,
  sessionStart,
  textEvent,
  versionEvent,
  WALL_TIME,
} from "../support/event-writer.ts";
import { valueJson } from "../support/expected.ts";
import { type ScalarValue, scalarsOf } from "../support/read-values.ts";
import { readRecords } from "./read-records.ts";

type Value = ScalarValue | Datum;

function readerOf(
  from: ScriptedSource | Uint8Array,
  { start = 0, metadata = new Map<string, TagMetadata>() } = {},
): EventFileReader {
  const source = from instanceof ScriptedSource ? from : new ScriptedSource(from);
  return new EventFileReader(new RecordReader(source, { start, end: source.size }), metadata);
}

function valuesOf(batch: RecordBatch): Value[] {
  // Within one record, values keep no order between scalars and data.
  return [...scalarsOf(batch), ...batch.data].sort((a, b) => a.offset - b.offset);
}

async function readAll(reader: EventFileReader, capacity = 100): Promise<Value[]> {
  const batch = new RecordBatch(capacity, new TagTable());
  const values: Value[] = [];
  for (let more = true; more; batch.clear()) {
    more = await reader.read(batch);
    values.push(...valuesOf(batch));
  }
  return values;
}

/** Values in a form in which they can be compared, a line each. */
function lines(values: readonly Value[]): string[] {
  return values.map((value) =>
    [value.offset, value.kind, value.tag, value.step, value.wallTime, JSON.stringify(valueJson(value))].join(" "),
  );
}

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const files: Readonly<Record<string, Buffer>> = Object.fromEntries(
  readdirSync(FIXTURES, { recursive: true, encoding: "utf8" })
    .filter((name) => path.basename(name).includes("tfevents."))
    .map((name) => [name, readFileSync(path.join(FIXTURES, name))]),
);

describe("batches of any capacity", () => {
  test("hold the same values", async () => {
    expect(Object.keys(files).length).toBeGreaterThan(50);
    for (const [name, file] of Object.entries(files)) {
      const all = lines(await readAll(readerOf(file), 1000));
      for (const capacity of [1, 2, 7]) {
        expect([name, capacity, lines(await readAll(readerOf(file), capacity))]).toEqual([name, capacity, all]);
      }
    }
  });

  test("end between two records, from where another reader reads exactly the rest", async () => {
    let restarts = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(files).filter((name) => (files[name] as Buffer).length > 2000)),
        fc.constantFrom(1, 2, 7),
        fc.nat({ max: 20 }),
        async (name, capacity, batches) => {
          const file = files[name] as Buffer;
          const metadata = new Map<string, TagMetadata>();
          const reader = readerOf(file, { metadata });
          const batch = new RecordBatch(capacity, new TagTable());
          const before: Value[] = [];
          for (let i = 0, more = true; more && i <= batches; i++, batch.clear()) {
            more = await reader.read(batch);
            before.push(...valuesOf(batch));
          }
          const start = reader.records.position;
          const { ranges } = await readRecords(file);
          expect(ranges.some((range) => range.end === start) || start === 0).toBe(true);
          const after = await readAll(readerOf(file, { start, metadata }), capacity);
          expect(lines([...before, ...after])).toEqual(lines(await readAll(readerOf(file))));
          if (after.length > 0) restarts++;
        },
      ),
      { numRuns: 200 },
    );
    expect(restarts).toBeGreaterThan(50);
  });

  test("are never split within an event, however many values it holds", async () => {
    const value = Array.from({ length: 5000 }, (_, i) => ({ tag: `t${i % 10}`, simpleValue: i }));
    const first = scalarEvent("t0", 1, -1);
    const many = event({ wallTime: 2.5, step: 2n ** 40n, summary: { value } });
    const reader = readerOf(eventFile(first, many, scalarEvent("t0", 3, -3)));
    const batch = new RecordBatch(100, new TagTable());
    expect(await reader.read(batch)).toBe(true);
    expect(batch.length).toBe(5001);
    const expected = value.map(({ tag, simpleValue }) => [tag, 2n ** 40n, 2.5, simpleValue, first.length + 16]);
    const scalars = scalarsOf(batch).map(({ tag, step, wallTime, value: number, offset }) => [
      tag,
      step,
      wallTime,
      number,
      offset,
    ]);
    expect(scalars).toEqual([["t0", 1n, WALL_TIME, -1, 0], ...expected]);
    batch.clear();
    expect(await reader.read(batch)).toBe(false);
    expect(scalarsOf(batch)).toMatchObject([{ tag: "t0", step: 3n, value: -3 }]);
  });

  test("are full when they hold 8 MiB of data", async () => {
    const image = imageEvent("x", 1, new Uint8Array(3 * 2 ** 20));
    const reader = readerOf(eventFile(image, image, image, image));
    const batch = new RecordBatch(100, new TagTable());
    expect(await reader.read(batch)).toBe(true);
    expect(batch.data.length).toBe(3);
    batch.clear();
    expect(await reader.read(batch)).toBe(false);
    expect(batch.data.length).toBe(1);
  });
});

describe("what a writer says of a tag only once", () => {
  const metadata = { pluginData: { pluginName: "scalars" } };
  const tensor = { dtype: "DT_FLOAT", tensorShape: {}, floatVal: [0.5] };
  const first = event({ wallTime: 1, step: 1, summary: { value: [{ tag: "t", metadata, tensor }] } });
  const second = event({ wallTime: 2, step: 2, summary: { value: [{ tag: "t", tensor }] } });

  test("holds for what follows", async () => {
    expect(await readAll(readerOf(eventFile(first, second)))).toMatchObject([
      { kind: "scalars", step: 1n, value: 0.5 },
      { kind: "scalars", step: 2n, value: 0.5 },
    ]);
  });

  test("is known to a reader that goes on with the same memory, and to no other", async () => {
    const known = new Map<string, TagMetadata>();
    await readAll(readerOf(eventFile(first), { metadata: known }));
    expect(known.get("t")?.plugin).toBe("scalars");
    const start = first.length + 16;
    const file = eventFile(first, second);
    expect(await readAll(readerOf(file, { start, metadata: known }))).toMatchObject([{ kind: "scalars", step: 2n }]);
    expect(await readAll(readerOf(file, { start }))).toMatchObject([{ kind: "tensors", step: 2n }]);
  });
});

describe("a record that is no event", () => {
  // A field of number 1 that opens a group, 20,000 of them; and a tensor that holds a tensor that holds …
  const groups = Buffer.alloc(20_000, 0x0b);
  let nested = Buffer.alloc(0);
  for (let depth = 0; depth < 2000; depth++) nested = Buffer.concat([varintMessage(0x7a, varintMessage(0x1a, nested))]);

  function varintMessage(key: number, content: Uint8Array): Buffer {
    const length: number[] = [];
    let rest = content.length;
    for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
    return Buffer.concat([Buffer.from([key, ...length, rest]), content]);
  }

  test.each<[string, Uint8Array]>([
    ["text", Buffer.from("this is not a protocol buffer")],
    ["a byte", Buffer.from([0xff])],
    ["half an event", scalarEvent("loss", 1, 1).subarray(0, 20)],
    ["a file version that is not UTF-8", Buffer.from([0x1a, 2, 0xff, 0xfe])],
    ["groups nested 20,000 deep", groups],
    ["tensors nested 2000 deep", varintMessage(0x2a, varintMessage(0x0a, varintMessage(0x42, nested)))],
  ])("%s: is a loss, and what follows is read", async (_, payload) => {
    const reader = readerOf(eventFile(scalarEvent("a", 1, 1), payload, scalarEvent("a", 2, 2)));
    const values = await readAll(reader);
    expect(values.map(({ step }) => step)).toEqual([1n, 2n]);
    const start = record(scalarEvent("a", 1, 1)).length;
    expect(reader.records.losses).toEqual([{ start, end: start + payload.length + 16, reason: "not-an-event" }]);
    expect(reader.counts.events).toBe(2);
    expect(reader.records.tail?.state).toBe("clean");
  });

  test("an empty record is an event of which nothing is said", async () => {
    const reader = readerOf(eventFile(Buffer.alloc(0), scalarEvent("a", 1, 1)));
    expect(await readAll(reader)).toMatchObject([{ tag: "a" }]);
    expect(reader.counts.events).toBe(2);
    expect(reader.records.losses).toEqual([]);
  });
});

test("data keep their bytes while the reader goes on", async () => {
  const bytes = (seed: number) => {
    const noise = new Uint8Array(700_000);
    for (let i = 0; i < noise.length; i++) noise[i] = Math.imul(i, seed) >>> 7;
    return noise;
  };
  const events = Array.from({ length: 12 }, (_, i) => imageEvent("image", i, bytes(2 * i + 1)));
  const reader = readerOf(eventFile(...events, textEvent("text", 99, "the end")));
  const values = await readAll(reader, 1000);
  const images = values.filter((value) => value.kind === "images");
  expect(images.map(({ images: [image] }, i) => Buffer.compare(image?.bytes as Uint8Array, bytes(2 * i + 1)))).toEqual(
    events.map(() => 0),
  );
});

test("a tag has one number, whichever decoder read it", async () => {
  const tags = ["loss", "\uFEFFloss", "日本語/損失", "\u{1F600}", "__proto__", "x".repeat(116), "x".repeat(117)];
  const alone = tags.map((tag, i) => scalarEvent(tag, 1, i));
  const together = event({ wallTime: 1, step: 2, summary: { value: tags.map((tag, i) => ({ tag, simpleValue: i })) } });
  for (const order of [
    [...alone, together],
    [together, ...alone],
  ]) {
    const reader = readerOf(eventFile(...order));
    const batch = new RecordBatch(100, new TagTable());
    await reader.read(batch);
    expect(batch.tags).toEqual(tags);
    expect([...batch.tag.subarray(0, batch.length)]).toEqual([...tags.keys(), ...tags.keys()]);
  }
});

describe("what a file holds beside values", () => {
  test("is counted", async () => {
    const reader = readerOf(
      eventFile(
        versionEvent(),
        sessionStart(0),
        event({ wallTime: WALL_TIME, sessionLog: { status: "STOP" } }),
        event({ wallTime: WALL_TIME, logMessage: { level: "WARN", message: "careful" } }),
        scalarEvent("a", 1, 1),
      ),
    );
    expect(await readAll(reader)).toMatchObject([{ tag: "a" }]);
    expect(reader.counts).toEqual({ events: 5, sessionLogs: 2, logMessages: 1 });
  });

  test("wall times: the first, and the greatest that is finite", async () => {
    const times = [5, 7, Number.NaN, Infinity, -Infinity, 6];
    const reader = readerOf(eventFile(...times.map((time, i) => scalarEvent("a", i, 0, time))));
    expect([reader.firstWallTime, reader.lastWallTime]).toEqual([undefined, -Infinity]);
    await readAll(reader);
    expect([reader.firstWallTime, reader.lastWallTime]).toEqual([5, 7]);
  });

  test("wall times of files that begin with none, and have no finite one", async () => {
    const reader = readerOf(eventFile(...[Number.NaN, Infinity].map((time, i) => scalarEvent("a", i, 0, time))));
    await readAll(reader);
    expect([reader.firstWallTime, reader.lastWallTime]).toEqual([Number.NaN, -Infinity]);
  });

  test.each([
    [[], undefined],
    [[7n], 7n],
    [[7n, 3n, 5n], 3n],
    [[0n, -(2n ** 63n), 2n ** 63n - 1n], -(2n ** 63n)],
    [[2n ** 53n + 1n], 2n ** 53n + 1n],
    [[2n ** 40n + 2n ** 32n - 1n], 2n ** 40n + 2n ** 32n - 1n],
  ])("the least step of a session start: %s", async (steps, least) => {
    const stop = event({ wallTime: WALL_TIME, step: -(2n ** 62n), sessionLog: { status: "STOP" } });
    const reader = readerOf(eventFile(stop, ...steps.map((step) => sessionStart(step))));
    await readAll(reader);
    expect(reader.restartStep).toBe(least);
  });
});
