/**
 * Values → lines of a run's history.
 *
 * A row holds values of one event file and one step, one of each tag, that follow each other there and were written within a
 * second, since they share a time. It ends where the step changes, where a tag comes again, where the line would be too long, and
 * where the batch ends: no value is added to a row that was sent. Official W&B does not
 * say what it does with a line that is sent twice, and a row kept back until its step is over would not be seen before the
 * next epoch. So a step that is read in two batches has two rows, with the same points.
 *
 * `_step` is the number of the line, which is all that W&B's own axis can be. TensorBoard's step is a value of the row, once
 * for each step axis (`StepAxes`).
 */
import type { Datum } from "../../reader/datum.ts";
import type { Batch } from "../../sync/backend.ts";
import { numberText } from "./json.ts";
import { keyOf, keyOfDatum } from "./names.ts";
import type { Cut } from "./run-state.ts";

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

/** Bytes of a line: W&B's client skips longer ones. Source: core/internal/filestream/filestream.go. */
const MAX_LINE = (10 << 20) - (100 << 10);
/** Of them for the values: step, time and number stand beside them. */
const MAX_VALUES = MAX_LINE - 1024;

/** Whether a value is too long for a row of its own. */
export function isTooLong(key: string, text: string): boolean {
  if (mostBytes(key, text) <= MAX_VALUES) return false;
  return Buffer.byteLength(JSON.stringify(key)) + Buffer.byteLength(text) + 2 > MAX_VALUES;
}

/** At most so many bytes, without looking at each character: one of a key may be escaped. */
function mostBytes(key: string, text: string): number {
  return 6 * key.length + 3 * text.length + 4;
}

/** The rows of values of one event file, in its order. */
export function rowsOf(values: Iterable<RowValue>): Row[] {
  const rows: Row[] = [];
  let size = 0;
  let row: { step: bigint; wallTime: number; values: Map<string, string> } | undefined;
  let start = 0;
  for (const { key, text, step, wallTime } of values) {
    // A time that is no number is like no other.
    const isNear = Math.abs(wallTime - start) <= MAX_SPAN || Object.is(wallTime, start);
    size += mostBytes(key, text);
    if (row === undefined || row.step !== step || row.values.has(key) || !isNear || size > MAX_VALUES) {
      row = { step, wallTime, values: new Map() };
      start = wallTime;
      size = mostBytes(key, text);
      rows.push(row);
    }
    row.values.set(key, text);
    row.wallTime = wallTime;
  }
  return rows;
}

/**
 * Values of a batch, event file by event file, each in the order of its records: computed metrics stand behind all others of
 * the batch, and belong beside the values they are computed of.
 *
 * A batch that holds what was planned before, and perhaps more, is cut where the plan ended. What was planned comes first and
 * falls into the same rows, so that a request of the process that planned it changes nothing, however late it arrives.
 *
 * @param texts of the data, in JSON; data without one are in no row
 * @param leftOut indexes of scalars that are in no row
 * @param cuts where earlier plans of these lines ended, the oldest first
 * @returns the values of each part up to the first cut, then of each part up to the next, and so on
 */
export function* valuesOf(
  { scalars, data, parts }: Pick<Batch, "scalars" | "data" | "parts">,
  texts: ReadonlyMap<Datum, readonly string[]>,
  leftOut: ReadonlyMap<number, unknown>,
  cuts: readonly Cut[] = [],
): Generator<RowValue[]> {
  const { tags, tag, step, wallTime, value, offset, length } = scalars;
  const keys = tags.map(keyOf);
  const offsetOf = (each: number | Datum) => (typeof each === "number" ? (offset[each] as number) : each.offset);
  const ordered = parts.map(({ firstScalar, firstDatum }, number) => {
    const next = parts[number + 1];
    const end = next?.firstScalar ?? length;
    const order: (number | Datum)[] = [];
    for (let i = firstScalar; i < end; i++) if (!leftOut.has(i)) order.push(i);
    for (const datum of data.slice(firstDatum, next?.firstDatum)) if (texts.has(datum)) order.push(datum);
    // Sorting keeps the order of the batch where offsets are equal.
    return order.sort((a, b) => offsetOf(a) - offsetOf(b));
  });
  const firsts = parts.map(() => 0);
  for (const cut of [...cuts, undefined]) {
    for (const [number, order] of ordered.entries()) {
      const end = cut === undefined ? Infinity : (cut.get(parts[number]?.key ?? "") ?? 0);
      const values: RowValue[] = [];
      let at = firsts[number] as number;
      for (; at < order.length && offsetOf(order[at] as number | Datum) < end; at++) {
        const each = order[at] as number | Datum;
        if (typeof each === "number") {
          const key = keys[tag[each] as number] as string;
          const text = numberText(value[each] as number);
          values.push({ key, text, step: step[each] as bigint, wallTime: wallTime[each] as number });
          continue;
        }
        const common = { key: keyOfDatum(each), step: each.step, wallTime: each.wallTime };
        for (const text of texts.get(each) ?? []) values.push({ ...common, text });
      }
      firsts[number] = at;
      yield values;
    }
  }
}

/** A line without values, for a number whose values are no longer wanted: a line cannot be taken back. */
export function blankLine(number: number): string {
  return `{"_step":${number}}`;
}

/** Scalars whose tags are too long for a row, with the reason, by their index. */
export function scalarsTooLong({ tags, tag, length }: Batch["scalars"]): Map<number, string> {
  const found = new Map<number, string>();
  const long = new Set(tags.flatMap((name, id) => (isTooLong(keyOf(name), "") ? id : [])));
  if (long.size === 0) return found;
  for (let i = 0; i < length; i++) {
    if (long.has(tag[i] as number)) found.set(i, "its tag is longer than a line of W&B's history can be");
  }
  return found;
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
  let line = "{";
  for (const [key, text] of values) line += `${quoted(key)}:${text},`;
  for (const axis of axes) line += `${quoted(axis)}:${step},`;
  line += `"_step":${number}`;
  // A time that is no number would make the row unreadable for W&B.
  if (Number.isFinite(wallTime)) {
    line += `,"_timestamp":${wallTime}`;
    if (Number.isFinite(startTime)) line += `,"_runtime":${wallTime - startTime}`;
  }
  return `${line}}`;
}

/** Keys as JSON has them: the same few stand in all rows. */
const known = new Map<string, string>();
const MAX_KNOWN = 10_000;

function quoted(key: string): string {
  let text = known.get(key);
  if (text === undefined) {
    text = JSON.stringify(key);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, text);
  }
  return text;
}
