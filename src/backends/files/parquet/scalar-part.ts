/** Scalars ↔ a Parquet file of them, tag by tag. */
import { parquetRead, type SchemaElement, type Statistics } from "hyparquet";
import { ByteWriter } from "hyparquet-writer";
import { deltaBinaryPack } from "hyparquet-writer/src/delta.js";
import { writeRleBitPackedHybrid } from "hyparquet-writer/src/encoding.js";
import type { ScalarColumns } from "../../../reader/datum.ts";
import { type FlatColumn, flatFile } from "./flat-file.ts";
import { putNanoseconds } from "./wall-time.ts";

/** What has to be known of a point to write it. */
export type Scalars = Omit<ScalarColumns, "offset">;

const TEXT = { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } } as const;
const REQUIRED = { repetition_type: "REQUIRED" } as const;
export const RUN: SchemaElement = { name: "run", ...TEXT, ...REQUIRED };
export const TAG: SchemaElement = { name: "tag", ...TEXT, ...REQUIRED };
export const STEP: SchemaElement = { name: "step", type: "INT64", ...REQUIRED };
export const WALL_TIME: SchemaElement = {
  name: "wall_time",
  type: "INT64",
  repetition_type: "OPTIONAL",
  logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "NANOS" },
};
export const SECONDS: SchemaElement = { name: "wall_time_seconds", type: "DOUBLE", ...REQUIRED };
const VALUE: SchemaElement = { name: "value", type: "DOUBLE", ...REQUIRED };

/** @returns the file; within a tag, points stay in their order */
export function scalarPart(run: string, scalars: Scalars): Uint8Array {
  const { length } = scalars;
  const { order, tags, bounds } = byTag(scalars);
  return flatFile(length, [
    { element: RUN, ...oneOf([run], [0, length]), statistics: { min_value: run, max_value: run, null_count: 0n } },
    { element: TAG, ...oneOf(tags, bounds) },
    stepColumn(scalars, order),
    timeColumn(scalars, order),
    { element: VALUE, ...splitBytes(scalars.value, order) },
    { element: SECONDS, ...splitBytes(scalars.wallTime, order) },
  ]);
}

/** All points of a file. */
export async function scalarsOf(file: Uint8Array): Promise<Scalars> {
  let length = 0;
  const parts: { name: string; at: number; values: ArrayLike<unknown> }[] = [];
  await parquetRead({
    file: asyncBuffer(file),
    columns: ["tag", "step", "value", "wall_time_seconds"],
    onChunk({ columnName: name, columnData: values, rowStart: at, rowEnd }) {
      parts.push({ name, at, values });
      length = Math.max(length, rowEnd);
    },
  });
  const tags: string[] = [];
  const indices = new Map<string, number>();
  const tag = new Int32Array(length);
  const step = new BigInt64Array(length);
  const columns: Readonly<Record<string, Float64Array>> = {
    value: new Float64Array(length),
    wall_time_seconds: new Float64Array(length),
  };
  for (const { name, at, values } of parts) {
    if (name === "step") step.set(values as ArrayLike<bigint>, at);
    else if (name !== "tag") columns[name]?.set(values as ArrayLike<number>, at);
    else
      for (let i = 0; i < values.length; i++) {
        const text = values[i] as string;
        const index = indices.get(text) ?? tags.push(text) - 1;
        indices.set(text, index);
        tag[at + i] = index;
      }
  }
  const { value, wall_time_seconds: wallTime } = columns;
  return { length, tags, tag, step, value: value as Float64Array, wallTime: wallTime as Float64Array };
}

/** Those of several files as one. */
export function joinedScalars(all: readonly Scalars[]): Scalars {
  const length = all.reduce((sum, each) => sum + each.length, 0);
  const tags: string[] = [];
  const indices = new Map<string, number>();
  const joined = {
    tag: new Int32Array(length),
    step: new BigInt64Array(length),
    wallTime: new Float64Array(length),
    value: new Float64Array(length),
  };
  let at = 0;
  for (const each of all) {
    const index = each.tags.map((tag) => {
      const known = indices.get(tag) ?? tags.push(tag) - 1;
      indices.set(tag, known);
      return known;
    });
    for (let i = 0; i < each.length; i++) joined.tag[at + i] = index[each.tag[i] as number] as number;
    joined.step.set(each.step.subarray(0, each.length), at);
    joined.wallTime.set(each.wallTime.subarray(0, each.length), at);
    joined.value.set(each.value.subarray(0, each.length), at);
    at += each.length;
  }
  return { length, tags, ...joined };
}

/** Only those for which `keeps(index)` holds. */
export function keptScalars(scalars: Scalars, keeps: (index: number) => boolean): Scalars {
  const kept = Array.from({ length: scalars.length }, (_, i) => i).filter(keeps);
  return {
    length: kept.length,
    tags: scalars.tags,
    tag: Int32Array.from(kept, (i) => scalars.tag[i] as number),
    step: BigInt64Array.from(kept, (i) => scalars.step[i] as bigint),
    wallTime: Float64Array.from(kept, (i) => scalars.wallTime[i] as number),
    value: Float64Array.from(kept, (i) => scalars.value[i] as number),
  };
}

/** As hyparquet reads it. */
export function asyncBuffer(file: Uint8Array): { byteLength: number; slice(start: number, end?: number): ArrayBuffer } {
  return {
    byteLength: file.byteLength,
    slice: (start, end) => Uint8Array.from(file.subarray(start, end)).buffer,
  };
}

interface ByTag {
  /** Indices of the points. */
  readonly order: Int32Array;
  /** Those that have points. */
  readonly tags: readonly string[];
  /** Where the points of each of them begin, and where the last ones end. */
  readonly bounds: readonly number[];
}

function byTag({ length, tags, tag }: Scalars): ByTag {
  const counts = new Int32Array(tags.length);
  for (let i = 0; i < length; i++) (counts[tag[i] as number] as number)++;
  const places = new Int32Array(tags.length);
  const used: string[] = [];
  const bounds = [0];
  let at = 0;
  for (let index = 0; index < tags.length; index++) {
    const count = counts[index] as number;
    if (count === 0) continue;
    places[index] = at;
    at += count;
    used.push(tags[index] as string);
    bounds.push(at);
  }
  const order = new Int32Array(length);
  for (let i = 0; i < length; i++) order[(places[tag[i] as number] as number)++] = i;
  return { order, tags: used, bounds };
}

/** A column of texts, each of which fills a stretch of it. */
function oneOf(
  texts: readonly string[],
  bounds: readonly number[],
): Pick<FlatColumn, "encoding" | "page" | "dictionary" | "isCompressed"> {
  const dictionary = new ByteWriter();
  for (const text of texts) {
    const bytes = Buffer.from(text);
    dictionary.appendUint32(bytes.length);
    dictionary.appendBytes(bytes);
  }
  const indices = new Int32Array(bounds.at(-1) ?? 0);
  for (let i = 0; i < texts.length; i++) indices.fill(i, bounds[i], bounds[i + 1]);
  const width = Math.max(1, Math.ceil(Math.log2(texts.length)));
  const page = new ByteWriter();
  page.appendUint8(width);
  writeRleBitPackedHybrid(page, indices, width);
  return {
    encoding: "RLE_DICTIONARY",
    page: page.getBytes(),
    dictionary: { count: texts.length, page: dictionary.getBytes() },
    isCompressed: true,
  };
}

function stepColumn({ step }: Scalars, order: Int32Array): FlatColumn {
  const words = new Int32Array(step.buffer, step.byteOffset, step.length * 2);
  const low = new Int32Array(order.length);
  let fits = true;
  for (let i = 0; i < order.length; i++) {
    const at = 2 * (order[i] as number);
    const word = words[at] as number;
    low[i] = word;
    fits &&= words[at + 1] === word >> 31;
  }
  if (!fits) {
    const all = BigInt64Array.from(order, (index) => step[index] as bigint);
    return { element: STEP, encoding: "PLAIN", page: bytesOf(all), isCompressed: true, ...least(all) };
  }
  const page = new ByteWriter();
  deltaBinaryPack(page, low, "INT64");
  return { element: STEP, encoding: "DELTA_BINARY_PACKED", page: page.getBytes(), isCompressed: true, ...least(low) };
}

function least(steps: Int32Array | BigInt64Array): { readonly statistics: Statistics } {
  let min = steps[0] ?? 0;
  let max = min;
  for (const step of steps) {
    if (step < min) min = step;
    if (step > max) max = step;
  }
  return { statistics: { min_value: BigInt(min), max_value: BigInt(max), null_count: 0n } };
}

function timeColumn({ wallTime }: Scalars, order: Int32Array): FlatColumn {
  const words = new Int32Array(order.length * 2);
  const present = new Uint8Array(order.length);
  let count = 0;
  for (let i = 0; i < order.length; i++) {
    if (!putNanoseconds(wallTime[order[i] as number] as number, words, count)) continue;
    present[i] = 1;
    count++;
  }
  const page = bytesOf(words.subarray(0, count * 2));
  return { element: WALL_TIME, encoding: "PLAIN", page, present, isCompressed: false };
}

/** All first bytes, then all second ones, and so on: those that are alike stand together. */
function splitBytes(values: Float64Array, order: Int32Array): Pick<FlatColumn, "encoding" | "page" | "isCompressed"> {
  const bytes = bytesOf(values);
  const { length } = order;
  const page = new Uint8Array(length * 8);
  for (let i = 0; i < length; i++) {
    const at = 8 * (order[i] as number);
    for (let byte = 0; byte < 8; byte++) page[byte * length + i] = bytes[at + byte] as number;
  }
  return { encoding: "BYTE_STREAM_SPLIT", page, isCompressed: true };
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
