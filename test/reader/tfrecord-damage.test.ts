/** Records with damage among them: what is lost is as little as can be, and is told. */
import { describe, expect, test } from "vitest";
import { eventFile, header, record, ScriptedSource, scalarEvent, withBitFlipped } from "../support/event-writer.ts";
import { expectCovered, type RecordsRead, readRecords, text } from "./read-records.ts";

/** Records named by letters, each payload 30 to 55 bytes long. */
const RECORDS: Readonly<Record<string, Buffer>> = Object.fromEntries(
  [..."abcdefghijklmnopqrstuvwxyz"].map((letter, i) => [letter, record(Buffer.from(letter.repeat(30 + i)))]),
);

/** The records of these letters, one behind the other. */
function records(letters: string): Buffer {
  return Buffer.concat([...letters].map((letter) => RECORDS[letter] as Buffer));
}

const inPayload = (letter: string) => withBitFlipped(records(letter), 8 * 20);
const inFooter = (letter: string) => withBitFlipped(records(letter), 8 * records(letter).length - 1);
const inLength = (letter: string) => withBitFlipped(records(letter), 0);
const inLengthCrc = (letter: string) => withBitFlipped(records(letter), 8 * 11);
const garbage = (length: number) => Buffer.alloc(length, 0xa5);
const zeros = (length: number) => Buffer.alloc(length);

/** The letters of what was read. */
function letters({ payloads }: RecordsRead): string {
  return payloads.map((payload) => payload[0]).join("");
}

interface Scene {
  readonly parts: readonly Buffer[];
  readonly read: string;
  /** Which parts are lost: the first, the one behind the last, and why. */
  readonly lost: readonly (readonly [first: number, end: number, reason: string])[];
  /** Which part the tail begins at. */
  readonly tail: readonly [state: string, part: number];
}

const SCENES: { readonly [name: string]: Scene } = {
  "a bit of a payload": {
    parts: [records("ab"), inPayload("c"), records("de")],
    read: "abde",
    lost: [[1, 2, "payload-crc"]],
    tail: ["clean", 3],
  },
  "a bit of a payload's checksum": {
    parts: [records("ab"), inFooter("c"), records("de")],
    read: "abde",
    lost: [[1, 2, "payload-crc"]],
    tail: ["clean", 3],
  },
  "a bit of a length": {
    parts: [records("ab"), inLength("c"), records("de")],
    read: "abde",
    lost: [[1, 2, "length-crc"]],
    tail: ["clean", 3],
  },
  "a bit of a length's checksum": {
    parts: [records("ab"), inLengthCrc("c"), records("de")],
    read: "abde",
    lost: [[1, 2, "length-crc"]],
    tail: ["clean", 3],
  },
  "a byte too many": {
    parts: [records("ab"), garbage(1), records("cd")],
    read: "abcd",
    lost: [[1, 2, "length-crc"]],
    tail: ["clean", 3],
  },
  "garbage between records": {
    parts: [records("ab"), garbage(333), records("cd")],
    read: "abcd",
    lost: [[1, 2, "length-crc"]],
    tail: ["clean", 3],
  },
  "garbage at the very start": {
    parts: [garbage(40), records("abc")],
    read: "abc",
    lost: [[0, 1, "length-crc"]],
    tail: ["clean", 2],
  },
  "a first record that is damaged": {
    parts: [inPayload("a"), records("bc")],
    read: "bc",
    lost: [[0, 1, "payload-crc"]],
    tail: ["clean", 2],
  },
  "zeros between records": {
    parts: [records("ab"), zeros(64), records("cd")],
    read: "abcd",
    lost: [[1, 2, "zeros"]],
    tail: ["clean", 3],
  },
  "zeros at the very start": {
    parts: [zeros(4096), records("ab")],
    read: "ab",
    lost: [[0, 1, "zeros"]],
    tail: ["clean", 2],
  },
  "zeros from within one record into the next": {
    parts: [records("a"), records("b").subarray(0, 30), zeros(50), records("c").subarray(20), records("d")],
    read: "ad",
    lost: [[1, 4, "payload-crc"]],
    tail: ["clean", 5],
  },
  "two damages apart from each other": {
    parts: [records("a"), inPayload("b"), records("c"), garbage(9), records("d")],
    read: "acd",
    lost: [
      [1, 2, "payload-crc"],
      [3, 4, "length-crc"],
    ],
    tail: ["clean", 5],
  },
  "two damaged payloads side by side": {
    parts: [records("a"), inPayload("b"), inFooter("c"), records("d")],
    read: "ad",
    lost: [
      [1, 2, "payload-crc"],
      [2, 3, "payload-crc"],
    ],
    tail: ["clean", 4],
  },
  "a damaged payload and a damaged length side by side": {
    parts: [records("a"), inPayload("b"), inLength("c"), records("d")],
    read: "ad",
    lost: [[1, 3, "payload-crc"]],
    tail: ["clean", 4],
  },
  "damage, and the last record is still being written": {
    parts: [records("a"), inLength("b"), records("c"), records("d").subarray(0, 25)],
    read: "ac",
    lost: [[1, 2, "length-crc"]],
    tail: ["incomplete", 3],
  },
  "a damaged payload right before a record that is still being written": {
    parts: [records("ab"), inPayload("c"), records("d").subarray(0, 12)],
    read: "ab",
    lost: [[1, 2, "payload-crc"]],
    tail: ["incomplete", 2],
  },
  "a last record with a damaged payload": {
    parts: [records("ab"), inPayload("c")],
    read: "ab",
    lost: [],
    tail: ["damaged", 1],
  },
  "a last record with a damaged length": {
    parts: [records("ab"), inLength("c")],
    read: "ab",
    lost: [],
    tail: ["damaged", 1],
  },
  "garbage at the end": { parts: [records("ab"), garbage(100)], read: "ab", lost: [], tail: ["damaged", 1] },
  "garbage only": { parts: [garbage(5000)], read: "", lost: [], tail: ["damaged", 0] },
  "a few bytes of garbage at the end, which may be a header's beginning": {
    parts: [records("ab"), garbage(11)],
    read: "ab",
    lost: [],
    tail: ["incomplete", 1],
  },
  "as many bytes of garbage as a header has": {
    parts: [records("ab"), garbage(12)],
    read: "ab",
    lost: [],
    tail: ["damaged", 1],
  },
  "zeros at the end": { parts: [records("ab"), zeros(100)], read: "ab", lost: [], tail: ["zeros", 1] },
  "a few zeros at the end": { parts: [records("ab"), zeros(3)], read: "ab", lost: [], tail: ["zeros", 1] },
  "zeros only": { parts: [zeros(2_500_000)], read: "", lost: [], tail: ["zeros", 0] },
  "damage, then zeros at the end": {
    parts: [records("a"), inLength("b"), records("c"), zeros(30)],
    read: "ac",
    lost: [[1, 2, "length-crc"]],
    tail: ["zeros", 3],
  },
  "a last record with a damaged payload, then zeros": {
    parts: [records("a"), inPayload("b"), zeros(30)],
    read: "a",
    lost: [],
    tail: ["damaged", 1],
  },
  "a writer that died within a record, and another one that appended": {
    parts: [records("ab"), records("z").subarray(0, 33), records("cdefgh")],
    read: "abcdefgh",
    lost: [[1, 2, "payload-crc"]],
    tail: ["clean", 3],
  },
  "a writer that died within a record longer than all that another one appended": {
    parts: [records("ab"), record(Buffer.alloc(5000, 1)).subarray(0, 33), records("cdefgh")],
    read: "abcdefgh",
    lost: [[1, 2, "length-beyond-file"]],
    tail: ["clean", 3],
  },
  "a writer that died within a header, and another one that appended": {
    parts: [records("ab"), records("z").subarray(0, 7), records("cdefgh")],
    read: "abcdefgh",
    lost: [[1, 2, "length-crc"]],
    tail: ["clean", 3],
  },
  "a damaged payload that holds whole records, which are none of the file's": {
    parts: [records("a"), withBitFlipped(record(Buffer.concat([garbage(10), records("xyz")])), 8 * 15), records("b")],
    read: "ab",
    lost: [[1, 2, "payload-crc"]],
    tail: ["clean", 3],
  },
};

test.each(Object.entries(SCENES))("%s", async (_, { parts, read: expected, lost, tail: [state, part] }) => {
  const file = Buffer.concat(parts);
  const offset = (index: number) => Buffer.concat(parts.slice(0, index)).length;
  const read = await readRecords(file);
  expect(letters(read)).toBe(expected);
  expect(read.losses).toEqual(lost.map(([first, end, reason]) => ({ start: offset(first), end: offset(end), reason })));
  expect(read.tail).toEqual({ state, start: offset(part), end: file.length });
  expectCovered(read, 0, file.length);
});

describe("an end that holds no record can still become one", () => {
  const file = records("abcdef");
  const start = records("ab").length;

  test.each([
    ["zeros from a record's beginning", start, start + 150, "zeros"],
    ["zeros from within a record's payload", start + 20, start + 150, "damaged"],
    ["zeros from within a record's length", start + 1, start + 150, "damaged"],
    ["zeros over no more than a payload's end", start + 30, start + 48, "damaged"],
  ])("%s, filled in later", async (_, from, to, state) => {
    const source = new ScriptedSource(file).truncate(to).write(from, zeros(to - from));
    const before = await readRecords(source);
    expect(letters(before)).toBe("ab");
    expect(before.losses).toEqual([]);
    expect(before.tail).toEqual({ state, start, end: to });

    source.write(from, file.subarray(from, to)).append(file.subarray(to));
    const after = await readRecords(source, { start: before.position });
    expect(letters(after)).toBe("cdef");
    expect(after.losses).toEqual([]);
  });

  test.each([
    ["length", inLength, "length-crc"],
    ["payload", inPayload, "payload-crc"],
  ])("a damaged %s at the end is lost as soon as a record follows", async (_, damaged, reason) => {
    const source = new ScriptedSource(Buffer.concat([records("a"), damaged("b")]));
    const before = await readRecords(source);
    expect(before).toMatchObject({ losses: [], tail: { state: "damaged" }, position: records("a").length });
    const after = await readRecords(source.append(records("c")), { start: before.position });
    expect(letters(after)).toBe("c");
    expect(after.losses).toEqual([{ start: records("a").length, end: records("ab").length, reason }]);
  });

  test("a file followed byte by byte gives what it gives at once", async () => {
    const torn = Buffer.concat([
      records("ab"),
      records("z").subarray(0, 40),
      records("cd"),
      inLength("e"),
      records("fg"),
    ]);
    const source = new ScriptedSource();
    let position = 0;
    let followed = "";
    while (source.size < torn.length) {
      const read = await readRecords(source.append(torn.subarray(source.size, source.size + 1)), { start: position });
      followed += letters(read);
      position = read.position;
    }
    expect(followed).toBe("abcdfg");
    expect(letters(await readRecords(torn))).toBe(followed);
  });
});

describe("the next record is found wherever it stands", () => {
  // What is searched is read in windows of 4 KiB, 16 KiB, … 1 MiB that overlap by a header.
  const edges = [4086, 20_459, 85_984, 348_117, 1_396_682];

  test.each(edges)("behind about %i bytes", async (edge) => {
    const missed: number[] = [];
    for (let length = edge - 20; length <= edge + 20; length++) {
      const read = await readRecords(Buffer.concat([garbage(length), records("ab")]));
      if (letters(read) !== "ab" || read.losses[0]?.end !== length) missed.push(length);
    }
    expect(missed).toEqual([]);
  });

  test("a record longer than a window", async () => {
    const long = Buffer.alloc(2_500_000, "q").fill("r", 1_200_000).fill("s", 2_200_000);
    const read = await readRecords(Buffer.concat([garbage(10), record(long), records("a")]));
    expect(letters(read)).toBe("qa");
    expect(read.losses).toEqual([{ start: 0, end: 10, reason: "length-crc" }]);
  });

  test("one over the limit is no place to go on", async () => {
    const parts = [garbage(10), record(Buffer.alloc(500, "q")), records("a")];
    const read = await readRecords(Buffer.concat(parts), { maxRecordBytes: 100 });
    expect(letters(read)).toBe("a");
    expect(read.losses).toEqual([{ start: 0, end: 526, reason: "length-crc" }]);
  });

  test("headers without a whole record behind them are no place to go on", async () => {
    const parts = [garbage(5), header(20), garbage(30), header(2n ** 40n), header(7), records("ab")];
    const read = await readRecords(Buffer.concat(parts));
    expect(letters(read)).toBe("ab");
    expect(read.losses.map(({ start, end }) => [start, end])).toEqual([[0, 5 + 12 + 30 + 12 + 12]]);
  });
});

test("passing over damage costs in proportion to it, not to the file", async () => {
  const parts = Array.from({ length: 5000 }, (_, i) => (i % 2 ? inLength("m") : records("n")));
  const source = new ScriptedSource(Buffer.concat(parts));
  const read = await readRecords(source);
  expect(read.payloads.length).toBe(2500);
  expect(read.losses.length).toBe(2499);
  // A window and a little more for each damage.
  expect(source.bytesRead).toBeLessThan(source.size + 2500 * 5000);
});

describe("a file that is made to be searched for ever", () => {
  /** Headers, each right by its checksum and leading to another of them or behind the last, with nothing right behind it. */
  function headers(bytes: number): Buffer {
    const parts: Buffer[] = [];
    for (let rest = bytes - 28; rest >= 24; rest -= 12) parts.push(header(Math.floor(rest / 24) * 12));
    return Buffer.concat(parts);
  }

  test("is searched at a cost in proportion to it", async () => {
    const source = new ScriptedSource(Buffer.concat([headers(2 ** 19), garbage(2 ** 17), records("ab")]));
    const read = await readRecords(source);
    expect(source.bytesRead).toBeGreaterThan(8 * source.size);
    expect(source.bytesRead).toBeLessThan(25 * source.size);
    expect(letters(read)).toBe("ab");
    expectCovered(read, 0, source.size);
  });

  test("costs no more for records among what is wrong", async () => {
    const parts = Array.from({ length: 64 }, () => Buffer.concat([headers(2 ** 12), garbage(2 ** 10), records("z")]));
    const source = new ScriptedSource(Buffer.concat(parts));
    const read = await readRecords(source);
    expect(source.bytesRead).toBeLessThan(40 * source.size);
    expect(letters(read)).toMatch(/^z+$/);
    expectCovered(read, 0, source.size);
  });

  test("damage and the beginnings of long records, one behind the other, hide nothing", async () => {
    const torn = record(Buffer.alloc(50_000, "t")).subarray(0, 40);
    const parts = Array.from({ length: 6 }, () => Buffer.concat([garbage(30), torn]));
    const read = await readRecords(
      Buffer.concat([...parts, ...Array.from({ length: 60 }, () => records("abcdefghijklmnopqrstuvwxyz"))]),
    );
    expect(letters(read)).toBe("abcdefghijklmnopqrstuvwxyz".repeat(60));
  });
});

test("any single bit of a file turned over: the others' payloads arrive, and never a wrong one", async () => {
  const payloads = Array.from({ length: 10 }, (_, i) =>
    scalarEvent(`train/loss of head number ${i}, whose tag is long for a tag`, i, i / 7),
  );
  const file = eventFile(...payloads);
  const whole = await readRecords(file);
  expect(whole.payloads).toEqual(payloads.map(text));
  expect(file.length).toBeGreaterThan(900);
  for (let bit = 0; bit < 8 * file.length; bit++) {
    const hit = whole.ranges.findIndex(({ end }) => bit < 8 * end);
    const { start, end } = whole.ranges[hit] as { start: number; end: number };
    const reason = bit < 8 * (start + 12) ? "length-crc" : "payload-crc";
    const isLast = hit === payloads.length - 1;
    const read = await readRecords(withBitFlipped(file, bit));
    expect([bit, read.payloads]).toEqual([bit, whole.payloads.filter((_, i) => i !== hit)]);
    expect([bit, read.losses]).toEqual([bit, isLast ? [] : [{ start, end, reason }]]);
    expect([bit, read.tail.state, read.tail.start]).toEqual(
      isLast ? [bit, "damaged", start] : [bit, "clean", file.length],
    );
  }
});
