// Writes logdirs to measure with, the same bytes each time: node bench/generate.mjs DIR RUNS POINTS_PER_RUN [TAGS]
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import crc32c from "crc-32/crc32c.js";

const mask = (crc) => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function frame(payload) {
  const record = Buffer.alloc(16 + payload.length);
  record.writeUInt32LE(payload.length, 0);
  record.writeUInt32LE(mask(crc32c.buf(record.subarray(0, 8))), 8);
  payload.copy(record, 12);
  record.writeUInt32LE(mask(crc32c.buf(payload)), 12 + payload.length);
  return record;
}

function varint(n) {
  const bytes = [];
  for (; n >= 0x80; n = Math.floor(n / 128)) bytes.push((n & 0x7f) | 0x80);
  return Buffer.from([...bytes, n]);
}

function wallTime(seconds) {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0x09;
  bytes.writeDoubleLE(seconds, 1);
  return bytes;
}

function version(seconds) {
  const text = Buffer.from("brain.Event:2");
  return frame(Buffer.concat([wallTime(seconds), Buffer.from([0x1a, text.length]), text]));
}

function scalar(tag, step, value, seconds) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  const body = Buffer.concat([Buffer.from([0x0a, tag.length]), tag, Buffer.from([0x15]), bytes]);
  const summary = Buffer.concat([Buffer.from([0x0a, body.length]), body]);
  const stepField = step === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x10]), varint(step)]);
  return frame(Buffer.concat([wallTime(seconds), stepField, Buffer.from([0x2a, summary.length]), summary]));
}

const [directory, runs, points, tags = "20"] = process.argv.slice(2);
const names = Array.from({ length: Number(tags) }, (_, i) => Buffer.from(`train/metric_${i}`));
for (let run = 0; run < Number(runs); run++) {
  const folder = path.join(directory, `run-${String(run).padStart(5, "0")}`);
  mkdirSync(folder, { recursive: true });
  const start = 1.7e9 + run * 1000;
  const file = openSync(path.join(folder, `events.out.tfevents.${start}.bench.1.0`), "w");
  let buffered = [version(start)];
  for (let point = 0; point < Number(points); point++) {
    const step = Math.floor(point / names.length);
    buffered.push(scalar(names[point % names.length], step, Math.sin(point / 1000), start + point / 1000));
    if (buffered.length < 10_000) continue;
    writeSync(file, Buffer.concat(buffered));
    buffered = [];
  }
  writeSync(file, Buffer.concat(buffered));
  closeSync(file);
}
