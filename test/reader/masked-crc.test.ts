import crc32c from "crc-32/crc32c.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { viewOf } from "../../src/reader/little-endian.ts";
import { maskedCrc, RunningCrc } from "../../src/reader/masked-crc.ts";

/** The masking as it is defined, in integers that do not overflow. */
function masked(crc: number): number {
  const bits = BigInt(crc >>> 0);
  return Number((((bits >> 15n) | (bits << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

function sequence(length: number, at: (i: number) => number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => at(i));
}

// RFC 3720, section B.4, and the check value of the CRC catalogue.
const VECTORS: readonly (readonly [name: string, bytes: Uint8Array, crc: number])[] = [
  ["nothing", new Uint8Array(), 0],
  ["123456789", Buffer.from("123456789"), 0xe3069283],
  ["32 zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 rising", sequence(32, (i) => i), 0x46dd794e],
  ["32 falling", sequence(32, (i) => 31 - i), 0x113fdb5c],
];

test("the mask is a rotation by 15 bits and a constant", () => {
  expect(masked(0)).toBe(0xa282ead8);
  expect(maskedCrc(viewOf(Buffer.from("123456789")), 0, 9)).toBe(masked(0xe3069283));
  // How every file begins that TensorFlow writes: a file version of 24 bytes, and the checksum of that length.
  expect(maskedCrc(viewOf(Buffer.from("1800000000000000", "hex")), 0, 8)).toBe(
    Buffer.from("a37f4b22", "hex").readUInt32LE(),
  );
});

describe.each(VECTORS)("%s", (_, bytes, crc) => {
  test("whole", () => expect(maskedCrc(viewOf(bytes), 0, bytes.length)).toBe(masked(crc)));

  test("in the midst of other bytes", () => {
    const around = Buffer.concat([Buffer.from([1, 2, 3]), bytes, Buffer.from([4, 5])]);
    expect(maskedCrc(viewOf(around), 3, 3 + bytes.length)).toBe(masked(crc));
  });

  test("byte by byte", () => {
    const running = new RunningCrc();
    for (const byte of bytes) running.update(Uint8Array.of(byte));
    expect(running.masked()).toBe(masked(crc));
  });
});

// From 16,384 bytes on another loop does the work.
const LENGTHS = [...Array(2100).keys(), ...Array.from({ length: 200 }, (_, i) => 16_284 + i)];
const noise = sequence(20_000, (i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);

test("every length up to 2100, and where the loops change, from every alignment", () => {
  const wrong: string[] = [];
  for (const length of LENGTHS) {
    const start = length % 13;
    const expected = masked(crc32c.buf(noise.subarray(start, start + length)));
    if (maskedCrc(viewOf(noise), start, start + length) !== expected) wrong.push(`${start}+${length}`);
  }
  expect(wrong).toEqual([]);
});

test("random slices", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(), fc.nat(), (bytes, a, b) => {
      const [start, end] = [a % (bytes.length + 1), b % (bytes.length + 1)].sort((x, y) => x - y) as [number, number];
      expect(maskedCrc(viewOf(bytes), start, end)).toBe(masked(crc32c.buf(bytes.subarray(start, end))));
    }),
    { numRuns: 2000 },
  );
});

test("a running checksum is that of the whole, however it is cut", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 5000 }),
      fc.array(fc.nat({ max: 5000 }), { maxLength: 6 }),
      (bytes, cuts) => {
        const running = new RunningCrc();
        const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        for (const [i, edge] of edges.entries()) running.update(bytes.subarray(edges[i - 1] ?? 0, edge));
        expect(running.masked()).toBe(maskedCrc(viewOf(bytes), 0, bytes.length));
      },
    ),
    { numRuns: 500 },
  );
});
