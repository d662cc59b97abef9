/** Histograms ↔ a Parquet file of them: the buckets are a list of structs. */
import { parquetReadObjects, type SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { HistogramDatum } from "../../../reader/datum.ts";
import { CREATED_BY } from "./flat-file.ts";
import { asyncBuffer, RUN, SECONDS, STEP, TAG, WALL_TIME } from "./scalar-part.ts";
import { nanosecondsOf } from "./wall-time.ts";

interface Bucket {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

/** A histogram as a row has it. */
export interface HistogramRow {
  readonly tag: string;
  readonly step: bigint;
  readonly wall_time_seconds: number;
  readonly buckets: readonly Bucket[];
  /** What the writer said beside the buckets, where it did. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly num: number | undefined;
  readonly sum: number | undefined;
  readonly sum_squares: number | undefined;
  readonly display_name: string | undefined;
  readonly description: string | undefined;
}

const STATS = ["min", "max", "num", "sum", "sum_squares"] as const;
const TEXTS = ["display_name", "description"] as const;
const DOUBLE = { type: "DOUBLE", repetition_type: "REQUIRED" } as const;
const SCHEMA: SchemaElement[] = [
  { name: "schema", num_children: 13 },
  RUN,
  TAG,
  STEP,
  WALL_TIME,
  {
    name: "buckets",
    repetition_type: "REQUIRED",
    num_children: 1,
    converted_type: "LIST",
    logical_type: { type: "LIST" },
  },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", repetition_type: "REQUIRED", num_children: 3 },
  { name: "left", ...DOUBLE },
  { name: "right", ...DOUBLE },
  { name: "count", ...DOUBLE },
  ...STATS.map((name): SchemaElement => ({ name, type: "DOUBLE", repetition_type: "OPTIONAL" })),
  ...TEXTS.map((name): SchemaElement => ({ ...TAG, name, repetition_type: "OPTIONAL" })),
  SECONDS,
];

export function rowOf({ tag, step, wallTime, buckets, stats, metadata }: HistogramDatum): HistogramRow {
  return {
    tag,
    step,
    wall_time_seconds: wallTime,
    buckets: Array.from({ length: buckets.length / 3 }, (_, i) => ({
      left: buckets[3 * i] as number,
      right: buckets[3 * i + 1] as number,
      count: buckets[3 * i + 2] as number,
    })),
    min: stats?.min,
    max: stats?.max,
    num: stats?.num,
    sum: stats?.sum,
    sum_squares: stats?.sumSquares,
    display_name: metadata.displayName || undefined,
    description: metadata.description || undefined,
  };
}

/** @returns the file */
export function histogramPart(run: string, rows: readonly HistogramRow[]): Uint8Array {
  const writer = new ByteWriter();
  const file = new ParquetWriter({ writer, schema: SCHEMA, createdBy: CREATED_BY, statistics: false });
  const column = (name: keyof HistogramRow) => ({ name, data: rows.map((row) => row[name]) });
  void file.write({
    columnData: [
      { name: "run", data: rows.map(() => run), statistics: true },
      column("tag"),
      { ...column("step"), statistics: true },
      { name: "wall_time", data: rows.map((row) => nanosecondsOf(row.wall_time_seconds)) },
      column("buckets"),
      ...[...STATS, ...TEXTS].map(column),
      column("wall_time_seconds"),
    ],
    rowGroupSize: Math.max(1, rows.length),
  });
  void file.finish();
  return writer.getBytes();
}

/** All histograms of a file. */
export async function histogramsOf(file: Uint8Array): Promise<HistogramRow[]> {
  const columns = ["tag", "step", "wall_time_seconds", "buckets", ...STATS, ...TEXTS];
  const rows = await parquetReadObjects({ file: asyncBuffer(file), columns });
  return rows.map((row) => ({
    ...(row as unknown as HistogramRow),
    ...Object.fromEntries([...STATS, ...TEXTS].map((name) => [name, row[name] ?? undefined])),
  }));
}
