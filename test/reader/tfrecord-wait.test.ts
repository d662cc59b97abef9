/** `damage: "wait"`: what is no record yet is waited for, wherever and in whatever order the missing bytes arrive. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { record, ScriptedSource, withBitFlipped } from "../support/event-writer.ts";
import { expectCovered, type RecordsRead, readRecords } from "./read-records.ts";

const NAMES = "abcdefgh";
const RECORDS = [...NAMES].map((name, i) => record(Buffer.from(name.repeat(20 + 7 * i))));
const FILE = Buffer.concat(RECORDS);
/** Where each record begins, and where the last one ends. */
const EDGES = RECORDS.reduce((edges, { length }) => [...edges, (edges.at(-1) as number) + length], [0]);

function names({ payloads }: RecordsRead): string {
  return payloads.map((payload) => payload[0]).join("");
}

async function wait(source: ScriptedSource, start = 0): Promise<RecordsRead> {
  return readRecords(source, { start, damage: "wait" });
}

/** How many records stand whole before the first byte in which `bytes` differs from the file. */
function wholeRecords(bytes: Uint8Array): number {
  const different = FILE.findIndex((byte, i) => bytes[i] !== byte);
  return different === -1 ? RECORDS.length : EDGES.findIndex((edge) => edge > different) - 1;
}

/** What was read is what stands whole, and nothing behind it was given up. */
function expectStops(read: RecordsRead, bytes: Uint8Array): void {
  const whole = wholeRecords(bytes);
  expect(names(read)).toBe(NAMES.slice(0, whole));
  expect(read.losses).toEqual([]);
  expect(read.position).toBe(EDGES[whole]);
  expect(read.tail.state === "clean").toBe(bytes.length === EDGES[whole]);
  expectCovered(read, 0, bytes.length);
}

describe("a write that is torn at any byte", () => {
  const cuts = Array.from({ length: FILE.length }, (_, cut) => cut);

  test("ends the file there, and then arrives", async () => {
    for (const cut of cuts) {
      const source = new ScriptedSource(FILE).truncate(cut);
      const before = await wait(source);
      expectStops(before, source.content);
      if (cut !== before.position) expect(before.tail.state).toBe("incomplete");
      const after = await wait(source.append(FILE.subarray(cut)), before.position);
      expect(names(before) + names(after)).toBe(NAMES);
      expect(after.tail.state).toBe("clean");
    }
  });

  test.each([1, 16, 64, 4096])(
    "is zeros for %i bytes from there, with whole records behind, and is filled",
    async (length) => {
      for (const cut of cuts) {
        const source = new ScriptedSource(FILE);
        source.content.fill(0, cut, Math.min(FILE.length, cut + length));
        const before = await wait(source);
        expectStops(before, source.content);
        const after = await wait(source.write(0, FILE), before.position);
        expect(names(before) + names(after)).toBe(NAMES);
        expect(after.losses).toEqual([]);
      }
    },
  );
});

test("any single bit turned over is waited for, until it is right", async () => {
  for (let bit = 0; bit < 8 * FILE.length; bit++) {
    const source = new ScriptedSource(withBitFlipped(FILE, bit));
    const before = await wait(source);
    expectStops(before, source.content);
    const after = await wait(source.flip(bit), before.position);
    expect(names(before) + names(after)).toBe(NAMES);
  }
});

test("what is waited for is passed over by a reader that does not wait", async () => {
  const source = new ScriptedSource(withBitFlipped(FILE, 8 * ((EDGES[2] as number) + 20)));
  const before = await wait(source);
  expect(before.tail).toEqual({ state: "damaged", start: EDGES[2], end: FILE.length });
  const after = await readRecords(source, { start: before.position });
  expect(names(before) + names(after)).toBe("abdefgh");
  expect(after.losses).toEqual([{ start: EDGES[2], end: EDGES[3], reason: "payload-crc" }]);
});

test("blocks that arrive in any order, as pages of a network file system do", async () => {
  let waited = 0;
  const blocks = fc.integer({ min: 8, max: 200 }).chain((size) => {
    const starts = Array.from({ length: Math.ceil(FILE.length / size) }, (_, i) => i * size);
    return fc.record({
      size: fc.constant(size),
      order: fc.shuffledSubarray(starts, { minLength: starts.length }),
    });
  });
  await fc.assert(
    fc.asyncProperty(blocks, fc.boolean(), async ({ size, order }, grows) => {
      const source = new ScriptedSource(grows ? Buffer.alloc(0) : Buffer.alloc(FILE.length));
      let position = 0;
      let read = "";
      for (const start of order) {
        const end = Math.min(FILE.length, start + size);
        if (source.size < end) source.append(Buffer.alloc(end - source.size));
        source.write(start, FILE.subarray(start, end));
        const part = await wait(source, position);
        read += names(part);
        position = part.position;
        expect(part.losses).toEqual([]);
        expect(read).toBe(NAMES.slice(0, wholeRecords(source.content)));
        waited += Number(part.tail.state === "damaged");
      }
      expect(read).toBe(NAMES);
      expect(position).toBe(FILE.length);
    }),
    { numRuns: 300 },
  );
  expect(waited).toBeGreaterThan(1000);
});
