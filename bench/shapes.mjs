// The logdirs that are measured with, made once and kept; the same bytes each time.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { double, doubles, EventFileWriter, float, integer, message, text } from "./event-file-writer.mjs";

const START = 1.7e9;

/** Each writes a logdir and returns how many values of each kind are in it. `scale` makes it smaller, or larger. */
const SHAPES = {
  scalars: (folder, scale) => scalarRuns(folder, { runs: 1, points: 2_000_000 * scale }),
  v2: (folder, scale) => scalarRuns(folder, { runs: 1, points: 500_000 * scale, isV2: true }),
  runs: (folder, scale) => scalarRuns(folder, { runs: 200 * scale, points: 10_000 }),
  "runs-x5": (folder, scale) => scalarRuns(folder, { runs: 200 * scale, points: 50_000 }),
  tiny: (folder, scale) => scalarRuns(folder, { runs: 5000 * scale, points: 20 }),
  "1m": (folder, scale) => scalarRuns(folder, { runs: 1, points: 1_000_000 * scale }),
  "10m": (folder, scale) => scalarRuns(folder, { runs: 1, points: 10_000_000 * scale }),
  "1gb": (folder, scale) => scalarRuns(folder, { runs: 1, points: 18_400_000 * scale }),
  mixed: (folder, scale) => mixedRuns(folder, 20 * scale),
  upload: (folder, scale) => scalarRuns(folder, { runs: 20, points: 10_000 * scale }),
  "one-run": (folder) => scalarRuns(folder, { runs: 1, points: 200 }),
};

export const SHAPE_NAMES = Object.keys(SHAPES);

/**
 * A logdir of a shape, made if it is not there.
 *
 * @returns folder, bytes, runs, values (of each kind) and `points`: all of them
 */
export function shape(name, cache, scale = 1) {
  const place = path.join(cache, scale === 1 ? name : `${name}-${scale}`);
  const manifest = path.join(place, "shape.json");
  const source = sourceHash();
  const folder = path.join(place, "logdir");
  if (existsSync(manifest)) {
    const known = JSON.parse(readFileSync(manifest, "utf8"));
    if (known.source === source) return { ...known, folder };
  }
  rmSync(place, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const made = SHAPES[name](folder, scale);
  const points = Object.values(made.values).reduce((sum, count) => sum + count, 0);
  const described = { name, source, ...made, points };
  // Last, so that what is cut short is made again.
  writeFileSync(manifest, JSON.stringify(described));
  return { ...described, folder };
}

function sourceHash() {
  const hash = createHash("sha256");
  for (const file of ["shapes.mjs", "event-file-writer.mjs"])
    hash.update(readFileSync(path.join(import.meta.dirname, file)));
  return hash.digest("hex");
}

const runName = (run) => `run-${String(run).padStart(5, "0")}`;

/** Runs of scalars: the tags in turn, a step for each round, a millisecond for each point. */
export function scalarRuns(folder, { runs, points, tags = 20, isV2 = false }) {
  const count = { runs: Math.max(1, Math.round(runs)), points: Math.round(points) };
  const names = Array.from({ length: tags }, (_, i) => `train/metric_${i}`);
  let bytes = 0;
  for (let run = 0; run < count.runs; run++) {
    const start = START + run * 1000;
    const file = new EventFileWriter(path.join(folder, runName(run)), start, isV2 ? ".v2" : "");
    for (let point = 0; point < count.points; point++) {
      const [step, at] = [Math.floor(point / tags), start + point / 1000];
      if (isV2) file.scalarV2(names[point % tags], step, Math.sin(point / 1000), at);
      else file.scalar(names[point % tags], step, Math.sin(point / 1000), at);
    }
    file.close();
    bytes += file.bytes;
  }
  return { runs: count.runs, tags, bytes, values: { scalars: count.runs * count.points } };
}

/** What one run of `mixed` holds of each kind: some 25 MB. */
const MIXED = { scalars: 20_000, histograms: 500, small: 200, large: 24, text: 200, audio: 100 };

function mixedRuns(folder, runs) {
  const count = Math.max(1, Math.round(runs));
  let bytes = 0;
  for (let run = 0; run < count; run++) {
    const noise = noiseOf(run + 1);
    const start = START + run * 1000;
    const file = new EventFileWriter(path.join(folder, runName(run)), start);
    for (let step = 0; step < MIXED.scalars / 4; step++) {
      const at = start + step / 10;
      for (let tag = 0; tag < 4; tag++) file.scalar(`loss/part_${tag}`, step, Math.exp(-step / 1000) + tag, at);
      for (const [kind, write] of MEDIA) {
        const every = MIXED.scalars / 4 / MIXED[kind];
        // As many as there should be, also where they do not divide the steps evenly.
        if (Math.floor((step + 1) / every) > Math.floor(step / every)) write(file, step, at, noise);
      }
    }
    file.close();
    bytes += file.bytes;
  }
  const { scalars, histograms, small, large, audio } = MIXED;
  const values = { scalars, histograms, images: small + large, text: MIXED.text, audio };
  for (const kind of Object.keys(values)) values[kind] *= count;
  return { runs: count, bytes, values };
}

const MEDIA = [
  ["histograms", (file, step, at) => file.value("weights", step, at, histogram(step))],
  ["small", (file, step, at, noise) => file.value("small", step, at, image(64, noise))],
  ["large", (file, step, at, noise) => file.value("large", step, at, image(512, noise))],
  ["text", (file, step, at) => file.value("notes", step, at, ...note(`**step** ${step}: all is well`))],
  ["audio", (file, step, at, noise) => file.value("voice", step, at, sound(noise))],
];

/** As torch writes it: a bucket for each limit, in geometric order. */
function histogram(step) {
  const limits = Array.from({ length: 60 }, (_, i) => (i - 29.5) * (1 + step / 5000));
  const counts = limits.map((_, i) => Math.round(1000 * Math.exp(-(((i - 30) / 8) ** 2))));
  const num = counts.reduce((sum, n) => sum + n, 0);
  const head = [double(1, limits[0]), double(2, limits.at(-1)), double(3, num), double(4, 0), double(5, num * 60)];
  return message(5, ...head, doubles(6, limits), doubles(7, counts));
}

/** A PNG of noise, RGB. Its pixels are stored as they are, so that the bytes are those of any zlib. */
function image(size, noise) {
  const rows = Buffer.alloc(size * (1 + 3 * size));
  noise(rows);
  for (let row = 0; row < size; row++) rows[row * (1 + 3 * size)] = 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const pixels = deflateSync(rows, { level: 0 });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const png = Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
  return message(4, integer(1, size), integer(2, size), integer(3, 3), message(4, png));
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  crc.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, crc]);
}

/** A WAV of one second, 16 bit, mono. */
function sound(noise) {
  const rate = 16_000;
  const samples = Buffer.alloc(2 * rate);
  noise(samples);
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(2 * rate, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(samples.length, 40);
  const clip = message(4, header, samples);
  return message(6, float(1, rate), integer(2, 1), integer(3, rate), clip, text(5, "audio/wav"));
}

/** A text as torch writes it: a tensor of one string. */
function note(words) {
  const shape = message(2, message(2, integer(1, 1)));
  return [message(8, integer(1, 7), shape, text(8, words)), message(9, message(1, text(1, "text")))];
}

/** Fills buffers by xorshift32. */
function noiseOf(seed) {
  let state = seed;
  return (buffer) => {
    for (let at = 0; at + 4 <= buffer.length; at += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      buffer.writeInt32LE(state, at);
    }
  };
}
