/**
 * Values → lines of a run's history.
 *
 * A row holds values of one event file and one step, one of each tag, that follow each other there and were written within a
 * second, since they share a time. It ends where the step changes, where a tag comes again, and where the batch ends: a row that is sent is never changed. Official W&B does not
 * say what it does with a line that is sent twice, and a row kept back until its step is over would not be seen before the
 * next epoch. So a step that is read in two batches has two rows, with the same points.
 *
 * `_step` is the number of the line, which is all that W&B's own axis can be. TensorBoard's step is a value of the row, once
 * for each step axis (`StepAxes`).
 */
import type { ScalarColumns } from "../../reader/datum.ts";
import type { BatchPart } from "../../sync/backend.ts";
import { numberText } from "./json.ts";
import { keyOf } from "./names.ts";

/** A value of a row. */
export interface RowValue {
  readonly key: string;
  /** JSON, as W&B has it. */
  readonly text: string;
  readonly step: bigint;
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
}

export interface Row {
  readonly step: bigint;
  /** That of its last value. */
  readonly wallTime: number;
  /** JSON texts, by key, in the file's order. */
  readonly values: ReadonlyMap<string, string>;
}

/** Seconds between the first and the last value of a row. */
export const MAX_SPAN = 1;

/** The rows of values of one event file, in its order. */
export function rowsOf(values: Iterable<RowValue>): Row[] {
  const rows: Row[] = [];
  let row: { step: bigint; wallTime: number; values: Map<string, string> } | undefined;
  let start = 0;
  for (const { key, text, step, wallTime } of values) {
    // A time that is no number is like no other.
    const isNear = Math.abs(wallTime - start) <= MAX_SPAN || Object.is(wallTime, start);
    if (row === undefined || row.step !== step || row.values.has(key) || !isNear) {
      row = { step, wallTime, values: new Map() };
      start = wallTime;
      rows.push(row);
    }
    row.values.set(key, text);
    row.wallTime = wallTime;
  }
  return rows;
}

/**
 * Scalars of a batch, event file by event file, each in the order of its records: computed metrics stand behind all others of
 * the batch, and belong beside the values they are computed of.
 */
export function* scalarsOf(
  { tags, tag, step, wallTime, value, offset, length }: ScalarColumns,
  parts: readonly BatchPart[],
): Generator<RowValue[]> {
  for (const [number, { firstScalar }] of parts.entries()) {
    const end = parts[number + 1]?.firstScalar ?? length;
    const order = Array.from({ length: end - firstScalar }, (_, i) => firstScalar + i);
    // Sorting keeps the order of the batch where offsets are equal.
    order.sort((a, b) => (offset[a] as number) - (offset[b] as number));
    yield order.map((i) => ({
      key: keyOf(tags[tag[i] as number] as string),
      text: numberText(value[i] as number),
      step: step[i] as bigint,
      wallTime: wallTime[i] as number,
    }));
  }
}

/**
 * A line of the history.
 *
 * @param number of the line @param axes names of the step axes that its values have @param startTime of the run, seconds
 */
export function lineOf(
  { step, wallTime, values }: Row,
  number: number,
  axes: Iterable<string>,
  startTime: number,
): string {
  const fields = Array.from(values, ([key, text]) => `${JSON.stringify(key)}:${text}`);
  for (const axis of axes) fields.push(`${JSON.stringify(axis)}:${step}`);
  fields.push(`"_step":${number}`);
  // A time that is no number would make the row unreadable for W&B.
  if (Number.isFinite(wallTime)) {
    fields.push(`"_timestamp":${wallTime}`);
    if (Number.isFinite(startTime)) fields.push(`"_runtime":${wallTime - startTime}`);
  }
  return `{${fields.join(",")}}`;
}
