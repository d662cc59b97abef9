/** Event files of scalars, for tests of backends: written by hand, so that nothing else is needed. */
import { maskedCrc } from "../reader/masked-crc.ts";

/** A value of a tag at a step. */
export interface Point {
  readonly tag: string;
  readonly step: number | bigint;
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
  /** A float32: that is what an event file holds. */
  readonly value: number;
}

/** A file's first record. @param wallTime files of other times begin with other bytes */
export function fileVersion(wallTime: number): Buffer {
  return record(Buffer.concat([double(1, wallTime), bytes(3, Buffer.from("brain.Event:2"))]));
}

/** Points as records, to be appended to a file. */
export function records(points: readonly Point[]): Buffer {
  return Buffer.concat(
    points.map(({ tag, step, wallTime, value }) => {
      const summary = bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)]));
      // Proto3 writes no zero.
      const stepField = BigInt(step) === 0n ? Buffer.alloc(0) : varintField(2, BigInt(step));
      return record(Buffer.concat([double(1, wallTime), stepField, bytes(5, summary)]));
    }),
  );
}

/** @see https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details */
function record(payload: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(payload.length));
  return Buffer.concat([length, checksum(length), payload, checksum(payload)]);
}

function checksum(of: Buffer): Buffer {
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(maskedCrc(new DataView(of.buffer, of.byteOffset, of.length), 0, of.length));
  return crc;
}

function bytes(field: number, content: Buffer): Buffer {
  return Buffer.concat([varint(BigInt(field * 8 + 2)), varint(BigInt(content.length)), content]);
}

function double(field: number, value: number): Buffer {
  const content = Buffer.alloc(8);
  content.writeDoubleLE(value);
  return Buffer.concat([varint(BigInt(field * 8 + 1)), content]);
}

function float(field: number, value: number): Buffer {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return Buffer.concat([varint(BigInt(field * 8 + 5)), content]);
}

function varintField(field: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt(field * 8)), varint(BigInt.asUintN(64, value))]);
}

function varint(value: bigint): Buffer {
  const all: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest >>= 7n) all.push(Number(rest & 127n) | 128);
  return Buffer.from([...all, Number(rest)]);
}
