/** The rows and lines of a batch, and which of them a run has already. */
import type { HistogramDatum } from "../../../reader/datum.ts";
import type { Batch } from "../../../sync/backend.ts";
import type { RowDigests, RowParts } from "../../row-digests.ts";
import { datumLine, hparamsLine } from "../json-lines.ts";
import type { Media } from "../media.ts";
import { type HistogramRow, rowOf } from "./histogram-part.ts";
import { keptScalars, type Scalars } from "./scalar-part.ts";

export interface Rows {
  readonly scalars: Scalars;
  readonly histograms: readonly HistogramRow[];
  readonly lines: readonly Uint8Array[];
}

const NO_SCALARS: Scalars = {
  length: 0,
  tags: [],
  tag: new Int32Array(0),
  step: new BigInt64Array(0),
  wallTime: new Float64Array(0),
  value: new Float64Array(0),
};

export const NO_ROWS: Rows = { scalars: NO_SCALARS, histograms: [], lines: [] };

/** @param run its name, which each line begins with */
export function rowsOf(run: string, { scalars, data, hparams }: Batch, media: Media): Rows {
  const keep = media.keep.bind(media);
  const lines = data.flatMap((datum) => (datum.kind === "histograms" ? [] : (datumLine(datum, keep, { run }) ?? [])));
  if (hparams.size > 0) lines.push(hparamsLine(hparams, { run }));
  const histograms = data.filter((datum): datum is HistogramDatum => datum.kind === "histograms").map(rowOf);
  return { scalars, histograms, lines };
}

export function sizeOfRows({ scalars, histograms, lines }: Rows): number {
  return scalars.length + histograms.length + lines.length;
}

/** Remember that they are there. */
export function addRows(known: RowDigests, { scalars, histograms, lines }: Rows): void {
  for (let i = 0; i < scalars.length; i++) known.add(...digestedScalar(scalars, i));
  for (const row of histograms) known.add(...digestedHistogram(row));
  for (const line of lines) addLine(known, line);
}

/** Those that are not there. */
export function rowsWithout(known: RowDigests, { scalars, histograms, lines }: Rows): Rows {
  return {
    scalars: keptScalars(scalars, (i) => !known.has(...digestedScalar(scalars, i))),
    histograms: histograms.filter((row) => !known.has(...digestedHistogram(row))),
    lines: lines.filter((line) => !known.has(withoutRun(line))),
  };
}

export function addLine(known: RowDigests, line: Uint8Array): void {
  known.add(withoutRun(line));
}

/** A run may have had another name when it was written. */
function withoutRun(line: Uint8Array): string {
  return Buffer.from(line)
    .toString()
    .replace(/^\{"run":"(?:[^"\\]|\\.)*",/, "{");
}

function digestedScalar({ tags, tag, step, wallTime, value }: Scalars, i: number): RowParts {
  const text = `scalar ${step[i]} ${wallTime[i]} ${numberText(value[i] as number)} `;
  return [text, tags[tag[i] as number] as string];
}

function digestedHistogram(row: HistogramRow): RowParts {
  return ["histogram ", textOfHistogram(row)];
}

/** The same for equal histograms alone. */
export function textOfHistogram({ tag, step, wall_time_seconds: seconds, buckets, ...rest }: HistogramRow): string {
  const { min, max, num, sum, sum_squares: squares, display_name: name = "", description = "" } = rest;
  const numbers = [
    seconds,
    min,
    max,
    num,
    sum,
    squares,
    ...buckets.flatMap(({ left, right, count }) => [left, right, count]),
  ];
  return `${step} ${numbers.map(numberText).join(" ")} ${JSON.stringify([tag, name, description])}`;
}

function numberText(value: number | undefined): string {
  return Object.is(value, -0) ? "-0" : String(value);
}
