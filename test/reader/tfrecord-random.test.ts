/** Real files, edited at random: whatever happens to a file, what is read is what was written. */
import { readFileSync } from "node:fs";
import path from "node:path";
import crc32c from "crc-32/crc32c.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { header, ScriptedSource, withBitFlipped } from "../support/event-writer.ts";
import { expectCovered, type Range, type RecordsRead, readRecords } from "./read-records.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const FILES: Readonly<Record<string, Buffer>> = Object.fromEntries(
  [
    "torch/runs/scalars/events.out.tfevents.1700000000.fixture.4242.0",
    "tf2/runs/media/events.out.tfevents.1700000100.fixture.4242.1.v2",
    "tensorboardx/runs/all/events.out.tfevents.1700000000.fixture",
    "torch-restart/runs/purge/events.out.tfevents.1700000060.fixture.4242.0",
  ].map((name) => [name, readFileSync(path.join(FIXTURES, name))]),
);

/** What happens to a file. Places are fractions of it, since edits change its length. */
type Edit = { readonly at: number } & (
  | { readonly cut: number }
  | { readonly truncate: true }
  | { readonly flip: true }
  | { readonly zeros: number }
  | { readonly garbage: Uint8Array }
  | { readonly headerOf: bigint }
);

function apply(file: Buffer, edit: Edit): Buffer {
  const at = Math.round(edit.at * file.length);
  const splice = (bytes: Uint8Array, removed = 0) =>
    Buffer.concat([file.subarray(0, at), bytes, file.subarray(at + removed)]);
  if ("cut" in edit) return splice(Buffer.alloc(0), edit.cut);
  if ("truncate" in edit) return file.subarray(0, at);
  if ("flip" in edit)
    return file.length === 0 ? file : withBitFlipped(file, Math.floor(edit.at * (8 * file.length - 1)));
  if ("zeros" in edit) return splice(Buffer.alloc(edit.zeros));
  if ("garbage" in edit) return splice(edit.garbage);
  return splice(header(edit.headerOf));
}

/** Not 8: before a record it makes a whole one, since a length and its checksum are what a payload and its checksum are. */
const anyLength = fc.oneof(fc.bigInt(0n, 5000n), fc.bigInt(0n, 2n ** 64n - 1n)).filter((length) => length !== 8n);
const at = fc.double({ min: 0, max: 1, noNaN: true });
const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.oneof(
    fc.record({ at, cut: fc.integer({ min: 1, max: 300 }) }),
    fc.record({ at, truncate: fc.constant(true as const) }),
    fc.record({ at, flip: fc.constant(true as const) }),
    fc.record({ at, zeros: fc.integer({ min: 1, max: 100 }) }),
    fc.record({ at, garbage: fc.uint8Array({ minLength: 1, maxLength: 60 }) }),
    fc.record({ at, headerOf: anyLength }),
  ),
  { minLength: 1, maxLength: 4 },
);
const anyFile = fc.constantFrom(...Object.keys(FILES));

function edited(name: string, all: readonly Edit[]): Buffer {
  return all.reduce(apply, FILES[name] as Buffer);
}

/** Whether `some` are among `all`, in the same order, each no more often than there. */
function isSubsequence(some: readonly string[], all: readonly string[]): boolean {
  let at = 0;
  return some.every((item) => {
    at = all.indexOf(item, at) + 1;
    return at > 0;
  });
}

/** Where whole records begin in `[start, end)`, found the slow way. */
function recordsWithin(file: Buffer, start: number, end: number): number[] {
  const found: number[] = [];
  for (let at = start; at < end && at + 16 <= file.length; at++) {
    const length = Number(file.readBigUInt64LE(at));
    if (at + 16 + length > file.length) continue;
    const head = file.subarray(at, at + 12);
    const payload = file.subarray(at + 12, at + 12 + length);
    if (!header(length).equals(head)) continue;
    if (unmasked(file.readUInt32LE(at + 12 + length)) === crc32c.buf(payload) >>> 0) found.push(at);
  }
  return found;
}

function unmasked(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated << 15) | (rotated >>> 17)) >>> 0;
}

/** A loss that ends where the damaged record's own length says: what stands within is taken for its payload. */
function trustsLength(file: Buffer, { start, end }: Range): boolean {
  return BigInt(end - start) === file.readBigUInt64LE(start) + 16n;
}

test("every payload is one of the originals, in order; nothing that stands whole is missing", async () => {
  const whole = new Map<string, RecordsRead>();
  for (const [name, file] of Object.entries(FILES)) whole.set(name, await readRecords(file));
  let damaged = 0;
  await fc.assert(
    fc.asyncProperty(anyFile, edits, async (name, all) => {
      const file = edited(name, all);
      const read = await readRecords(file);
      expect(isSubsequence(read.payloads, whole.get(name)?.payloads ?? [])).toBe(true);
      expectCovered(read, 0, file.length);
      for (const loss of read.losses) {
        if (loss.reason === "payload-crc" && trustsLength(file, loss)) continue;
        expect(recordsWithin(file, loss.start, loss.end)).toEqual([]);
        damaged++;
      }
      expect(recordsWithin(file, read.tail.start, read.tail.end)).toEqual([]);
    }),
    { numRuns: 3000 },
  );
  expect(damaged).toBeGreaterThan(500);
});

test("followed while it grows, an edited file gives what it gives at once", async () => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(
      anyFile,
      edits,
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1 }),
      async (name, all, steps) => {
        const file = edited(name, all);
        const source = new ScriptedSource();
        const payloads: string[] = [];
        let position = 0;
        for (let i = 0; source.size < file.length; i++) {
          const step = steps[i % steps.length] as number;
          const read = await readRecords(source.append(file.subarray(source.size, source.size + step)), {
            start: position,
          });
          payloads.push(...read.payloads);
          expect(read.position).toBeGreaterThanOrEqual(position);
          position = read.position;
        }
        const atOnce = await readRecords(file);
        // A damaged record's length can lead over others to a place where another happens to begin.
        if (atOnce.losses.some((loss) => loss.reason === "payload-crc" && trustsLength(file, loss))) return;
        expect(payloads).toEqual(atOnce.payloads);
        expect(position).toBe(atOnce.position);
        compared++;
      },
    ),
    { numRuns: 300 },
  );
  expect(compared).toBeGreaterThan(150);
});
