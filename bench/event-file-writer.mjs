// Writes event files as TensorFlow and torch write them, a few million records a second. It shares nothing with
// src/reader, which it is there to measure.
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import crc32c from "crc-32/crc32c.js";

const BUFFER_BYTES = 4 << 20;
/** A scalar fits into this; its tag has to be short, so that each length in it is a single byte. */
const SCALAR_BYTES = 512;

export class EventFileWriter {
  #file;
  #buffer = Buffer.alloc(BUFFER_BYTES);
  #used = 0;
  /** Masked CRCs of the lengths seen. */
  #lengthCrcs = new Map();
  /** What stands before and behind the value, by tag. */
  #v1 = new Map();
  #v2 = new Map();
  /** Of all that was written. */
  bytes = 0;

  /** @param start of the file, s since 1970; a part of its name */
  constructor(folder, start, suffix = "") {
    mkdirSync(folder, { recursive: true });
    this.#file = openSync(path.join(folder, `events.out.tfevents.${start}.bench.1.0${suffix}`), "w");
    this.event(Buffer.concat([wallTimeField(start), text(3, "brain.Event:2")]));
  }

  /** As torch and TensorFlow 1 write it. */
  scalar(tag, step, value, seconds) {
    const around = known(this.#v1, tag, () => {
      return { before: Buffer.concat([text(1, tag), varint((2 << 3) | 5)]), after: Buffer.alloc(0) };
    });
    this.#scalar(around, step, value, seconds);
  }

  /** As TensorFlow 2 writes it: a tensor, and its plugin's name with each value. */
  scalarV2(tag, step, value, seconds) {
    const around = known(this.#v2, tag, () => {
      // TensorProto: DT_FLOAT, no dimensions, and a tensor_content of four bytes, which are the value.
      const tensor = Buffer.from([(8 << 3) | 2, 10, 0x08, 1, 0x12, 0, 0x22, 4]);
      return { before: Buffer.concat([text(1, tag), tensor]), after: message(9, message(1, text(1, "scalars"))) };
    });
    this.#scalar(around, step, value, seconds);
  }

  /** One summary value of any kind. @param fields of Summary.Value, without its tag */
  value(tag, step, seconds, ...fields) {
    const summary = message(5, message(1, text(1, tag), ...fields));
    this.event(Buffer.concat([wallTimeField(seconds), varint(2 << 3), varint(step), summary]));
  }

  /** @param payload an encoded Event */
  event(payload) {
    this.#need(payload.length + 16);
    payload.copy(this.#buffer, this.#used + 12);
    this.#seal(payload.length);
  }

  close() {
    this.#flush();
    closeSync(this.#file);
  }

  #scalar({ before, after }, step, value, seconds) {
    this.#need(SCALAR_BYTES);
    const buffer = this.#buffer;
    const start = this.#used + 12;
    let at = start;
    buffer[at++] = 0x09;
    at = buffer.writeDoubleLE(seconds, at);
    if (step > 0) {
      buffer[at++] = 0x10;
      let rest = step;
      for (; rest >= 0x80; rest = Math.floor(rest / 128)) buffer[at++] = (rest & 0x7f) | 0x80;
      buffer[at++] = rest;
    }
    const size = before.length + 4 + after.length;
    buffer[at++] = 0x2a;
    buffer[at++] = size + 2;
    buffer[at++] = 0x0a;
    buffer[at++] = size;
    at += before.copy(buffer, at);
    at = buffer.writeFloatLE(value, at);
    at += after.copy(buffer, at);
    this.#seal(at - start);
  }

  /** The payload stands where it belongs; what is around it follows. */
  #seal(length) {
    const start = this.#used;
    const buffer = this.#buffer;
    buffer.writeUInt32LE(length, start);
    buffer.writeUInt32LE(0, start + 4);
    const lengthCrc = known(this.#lengthCrcs, length, () => mask(crc32c.buf(buffer.subarray(start, start + 8))));
    buffer.writeUInt32LE(lengthCrc, start + 8);
    const end = start + 12 + length;
    buffer.writeUInt32LE(mask(crc32c.buf(buffer.subarray(start + 12, end))), end);
    this.#used = end + 4;
  }

  #need(bytes) {
    if (this.#used + bytes > this.#buffer.length) this.#flush();
    if (bytes > this.#buffer.length) this.#buffer = Buffer.alloc(bytes);
  }

  #flush() {
    writeSync(this.#file, this.#buffer, 0, this.#used);
    this.bytes += this.#used;
    this.#used = 0;
  }
}

const mask = (crc) => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function known(map, key, make) {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

function wallTimeField(seconds) {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0x09;
  bytes.writeDoubleLE(seconds, 1);
  return bytes;
}

/** Parts of a protobuf message, encoded. */
export function varint(n) {
  const bytes = [];
  for (; n >= 0x80; n = Math.floor(n / 128)) bytes.push((n & 0x7f) | 0x80);
  return Buffer.from([...bytes, n]);
}

export function message(field, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([varint((field << 3) | 2), varint(length), ...parts]);
}

export const text = (field, value) => message(field, Buffer.from(value));

export const integer = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);

export function float(field, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
}

export function double(field, value) {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint((field << 3) | 1), bytes]);
}

export const doubles = (field, values) => message(field, Buffer.from(Float64Array.from(values).buffer));
