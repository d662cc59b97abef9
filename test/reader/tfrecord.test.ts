/** Records that are whole, still being written, or large. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import { eventFile, header, record, ScriptedSource } from "../support/event-writer.ts";
import { expectCovered, readOn, readRecords, text } from "./read-records.ts";

const MIB = 1 << 20;
const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

/** A payload of this length in which no two places look alike. */
function payload(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

describe("whole files", () => {
  test("nothing at all", async () => {
    expect(await readRecords(Buffer.alloc(0))).toEqual({
      payloads: [],
      ranges: [],
      losses: [],
      tail: { state: "clean", start: 0, end: 0 },
      position: 0,
    });
  });

  test("records of all sizes, none at all among them", async () => {
    const payloads = [0, 1, 2, 7, 8, 9, 0, 0, 63, 1000, 2047, 2048, 2049, 70_000].map((length, i) =>
      payload(length, i),
    );
    const file = eventFile(...payloads);
    const read = await readRecords(file);
    expect(read.payloads).toEqual(payloads.map(text));
    expect(read.losses).toEqual([]);
    expect(read.tail).toEqual({ state: "clean", start: file.length, end: file.length });
    expectCovered(read, 0, file.length);
  });

  test("the place of each record is told", async () => {
    const read = await readRecords(eventFile(payload(10), payload(0), payload(5)));
    expect(read.ranges).toEqual([
      { start: 0, end: 26 },
      { start: 26, end: 42 },
      { start: 42, end: 63 },
    ]);
  });

  test("reading goes on from any record", async () => {
    const payloads = [5, 0, 300, 40].map((length, i) => payload(length, i));
    const { ranges } = await readRecords(eventFile(...payloads));
    for (const [i, { end }] of ranges.entries()) {
      const rest = await readRecords(eventFile(...payloads), { start: end });
      expect(rest.payloads).toEqual(payloads.slice(i + 1).map(text));
      expect(rest.ranges).toEqual(ranges.slice(i + 1));
    }
  });

  test("what is behind the given end is not looked at", async () => {
    const [first, second] = [payload(30, 1), payload(30, 2)];
    const source = new ScriptedSource(eventFile(first, second));
    const read = await readRecords(source, { end: 60 });
    expect(read.payloads).toEqual([text(first)]);
    expect(read.tail).toEqual({ state: "incomplete", start: 46, end: 60 });
    expect(source.bytesRead).toBeLessThanOrEqual(60 + 12);
  });
});

describe("files that are being written", () => {
  test("cut at every byte, and then whole: each record once", async () => {
    const payloads = [0, 1, 24, 0, 300, 45, 2100, 3].map((length, i) => payload(length, i));
    const file = eventFile(...payloads);
    const ends = [0, ...(await readRecords(file)).ranges.map(({ end }) => end)];
    for (let cut = 0; cut <= file.length; cut++) {
      const source = new ScriptedSource(file).truncate(cut);
      const before = await readRecords(source);
      const start = ends.findLast((end) => end <= cut) as number;
      // Of a record without payload, and of no other, the beginning looks like zeros.
      const zeros = file.subarray(start, cut).every((byte) => byte === 0);
      const state = start === cut ? "clean" : zeros ? "zeros" : "incomplete";
      expect(before.tail).toEqual({ state, start, end: cut });
      expect(before.losses).toEqual([]);

      const after = await readRecords(source.append(file.subarray(cut)), { start: before.position });
      expect([...before.payloads, ...after.payloads]).toEqual(payloads.map(text));
      expect(after.losses).toEqual([]);
      expect(after.tail.state).toBe("clean");
    }
  });

  test.each([
    ["byte by byte", "example/runs/baseline/events.out.tfevents.1700000600.fixture.4242.0", 1],
    ["by a few hundred bytes", "tf1/runs/train/events.out.tfevents.1700000200.fixture", 331],
    ["by pages", "torch/runs/histograms/events.out.tfevents.1700000006.fixture.4242.4", 4096],
  ])("a real file that grows %s", async (_, name, step) => {
    const file = readFileSync(path.join(FIXTURES, name));
    const expected = await readRecords(file);
    const source = new ScriptedSource();
    const followed: string[] = [];
    let position = 0;
    while (source.size < file.length) {
      source.append(file.subarray(source.size, source.size + step));
      const read = await readRecords(source, { start: position });
      if (read.losses.length > 0) throw new Error(`lost at size ${source.size}`);
      followed.push(...read.payloads);
      position = read.position;
    }
    expect(followed).toEqual(expected.payloads);
    expect(followed.length).toBeGreaterThan(5);
  });

  test("a file that shrinks while it is read ends there", async () => {
    const source = new ScriptedSource(eventFile(payload(3 * MIB), payload(10)));
    const reader = new RecordReader(source, { end: source.size });
    expect(reader.next()).toBe(false);
    expect(await reader.load()).toBe(true);
    source.truncate(2 * MIB);
    const read = await readOn(reader);
    expect(read).toMatchObject({ payloads: [], losses: [], position: 0, tail: { state: "incomplete", start: 0 } });
  });

  test("an error of the source loses nothing: reading goes on", async () => {
    const payloads = [10, MIB, 2 * MIB, 10].map((length, i) => payload(length, i));
    const source = new ScriptedSource(eventFile(...payloads)).append(Buffer.from("garbage"), record(payload(20)));
    const reader = new RecordReader(source, { end: source.size });
    const read: string[] = [];
    let failures = 0;
    for (let [more, attempt] = [true, 0]; more; attempt++) {
      while (reader.next()) read.push(text(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd)));
      const { position } = reader;
      // What is read ahead fails where it is asked for.
      source.failure = attempt % 2 === 0 ? new Error("EIO") : undefined;
      try {
        more = await reader.load();
      } catch (error) {
        expect((error as Error).message).toBe("EIO");
        expect(reader.position).toBe(position);
        expect(reader.next()).toBe(false);
        failures++;
      }
    }
    expect(read).toEqual([...payloads, payload(20)].map(text));
    expect(reader.losses.length).toBe(1);
    expect(failures).toBeGreaterThan(3);
  });
});

describe("records that are large", () => {
  test("records of about a chunk, so that the next header is cut at every byte of it", async () => {
    const big = payload(MIB + 32, 3);
    const [before, after] = [payload(20, 1), payload(20, 2)];
    for (let length = MIB - 80; length <= MIB + 32; length++) {
      const source = new ScriptedSource(eventFile(before, big.subarray(0, length), after, after));
      const read = await readRecords(source);
      expect(read.payloads.map((bytes) => bytes.length)).toEqual([20, length, 20, 20]);
      expect(read.payloads[1] === text(big.subarray(0, length))).toBe(true);
      expect(read.payloads[3]).toBe(text(after));
      expect(read.tail.state).toBe("clean");
      expect(source.bytesRead).toBe(source.size);
      expectCovered(read, 0, source.size);
    }
  });

  test("5 MB among small ones: every byte is read once, and the memory is given back", async () => {
    const small = Array.from({ length: 50_000 }, (_, i) => `small record number ${i}`);
    const big = payload(5_000_000);
    const written = [...small.slice(0, 100), text(big), ...small.slice(100)];
    const source = new ScriptedSource(eventFile(...written.map((bytes) => Buffer.from(bytes, "latin1"))));
    const reader = new RecordReader(source, { end: source.size });
    const { payloads, losses } = await readOn(reader);
    expect(losses).toEqual([]);
    expect(payloads.length).toBe(written.length);
    expect(payloads.findIndex((bytes, i) => bytes !== written[i])).toBe(-1);
    expect(source.bytesRead).toBe(source.size);
    expect(reader.bytes.length).toBeLessThanOrEqual(MIB);
  });

  test("a record over the limit is passed over without being read", async () => {
    const source = new ScriptedSource(eventFile(payload(9, 1), payload(8 * MIB), payload(9, 2)));
    const read = await readRecords(source, { maxRecordBytes: 100_000 });
    expect(read.payloads).toEqual([text(payload(9, 1)), text(payload(9, 2))]);
    expect(read.losses).toEqual([{ start: 25, end: 25 + 16 + 8 * MIB, reason: "too-large" }]);
    expect(source.largestRead).toBeLessThanOrEqual(MIB);
    expect(source.bytesRead).toBeLessThan(2 * MIB);
  });

  test("the limit itself is allowed", async () => {
    const read = await readRecords(eventFile(payload(100), payload(101)), { maxRecordBytes: 100 });
    expect(read.payloads).toEqual([text(payload(100))]);
    expect(read.losses).toEqual([{ start: 116, end: 116 + 117, reason: "too-large" }]);
  });

  test("a record over the limit that is still being written is waited for", async () => {
    const file = eventFile(payload(500), payload(9));
    const source = new ScriptedSource(file).truncate(300);
    const before = await readRecords(source, { maxRecordBytes: 100 });
    expect(before).toMatchObject({ losses: [], tail: { state: "incomplete", start: 0, end: 300 } });
    const after = await readRecords(source.append(file.subarray(300)), { maxRecordBytes: 100 });
    expect(after.losses).toEqual([{ start: 0, end: 516, reason: "too-large" }]);
    expect(after.payloads).toEqual([text(payload(9))]);
  });
});

describe.each([
  ["1 MiB", 2n ** 20n],
  ["200 MiB", 200n * 2n ** 20n],
  ["2^31", 2n ** 31n],
  ["2^32 - 1", 2n ** 32n - 1n],
  ["2^32", 2n ** 32n],
  ["2^40", 2n ** 40n],
  ["2^62", 2n ** 62n],
  ["2^64 - 1", 2n ** 64n - 1n],
])("a length of %s, right by its checksum, in a small file", (_, length) => {
  const [before, after] = [payload(30, 1), payload(30, 2)];

  test.each([0, 1, 5, 1000])(
    "with %i bytes behind it: a record to wait for, and nothing is allocated",
    async (rest) => {
      const source = new ScriptedSource(eventFile(before)).append(header(length), payload(rest));
      const reader = new RecordReader(source, { end: source.size });
      const read = await readOn(reader);
      expect(read.payloads).toEqual([text(before)]);
      expect(read.losses).toEqual([]);
      expect(read.tail).toEqual({ state: "incomplete", start: 46, end: 58 + rest });
      expect(reader.bytes.length).toBeLessThanOrEqual(source.size);
      expect(source.largestRead).toBeLessThanOrEqual(source.size);
    },
  );

  test("with records behind it: passed over, and nothing is allocated", async () => {
    const source = new ScriptedSource(eventFile(before)).append(header(length), payload(9), record(after));
    const reader = new RecordReader(source, { end: source.size });
    const read = await readOn(reader);
    expect(read.payloads).toEqual([text(before), text(after)]);
    expect(read.losses).toEqual([{ start: 46, end: 46 + 12 + 9, reason: "length-beyond-file" }]);
    expect(read.tail.state).toBe("clean");
    expect(reader.bytes.length).toBeLessThanOrEqual(source.size);
    expect(source.largestRead).toBeLessThanOrEqual(source.size);
  });
});
