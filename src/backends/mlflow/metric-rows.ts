/**
 * The rows of a batch's points: one each in `metrics`, and the latest of each key in `latest_metrics`.
 *
 * Source: `SqlAlchemyStore._log_metrics`, `_update_latest_metrics_if_necessary`.
 */

import type { Database, SqlValue } from "../../sqlite.ts";
import { orderByKey } from "./metric-columns.ts";
import type { MetricColumns } from "./store.ts";

/** MLflow keeps infinities as the greatest double, since not every database can hold them. */
const INFINITE = Number.MAX_VALUE;

/** Rows of one statement: from some ten on its own cost is no longer seen. */
const ROWS = 64;
const COLUMNS = 5;

const INSERT_ONE = insertOf(1);
const INSERT_MANY = insertOf(ROWS);

/**
 * FAIL: what is refused fails all of the transaction anyway, and SQLite need not keep what each statement has changed so
 * far, in order to undo it alone.
 */
function insertOf(rows: number): string {
  return `INSERT OR FAIL INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
    VALUES ${Array<string>(rows).fill("(?, ?, ?, ?, ?, $run)").join(", ")} ON CONFLICT DO NOTHING`;
}

const UPSERT_LATEST = `INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, $run)
  ON CONFLICT (key, run_uuid) DO UPDATE
    SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
    WHERE (excluded.step, excluded.timestamp, excluded.value) >
      (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)`;

/**
 * Insert points, those of one key together: a table's index is kept in the order of its key. One that is there already is
 * passed over. Must be called within a transaction that knows the run to be there, and that is undone if this throws.
 */
export function putMetrics(database: Database, runId: string, metrics: MetricColumns): void {
  const { keys, key, step, timestamp, value, length } = metrics;
  const run = { run: runId };
  const insertMany = database.prepare(INSERT_MANY);
  const insertOne = database.prepare(INSERT_ONE);
  const upsertLatest = database.prepare(UPSERT_LATEST);
  const words = stepWords(step);
  const order = orderByKey(metrics);
  const row = (values: SqlValue[], at: number, i: number) => {
    const v = value[i] as number;
    const high = words[2 * i + 1] as number;
    values[at] = keys[key[i] as number] as string;
    values[at + 1] = storedValue(v);
    values[at + 2] = timestamp[i] as number;
    // A number where it is exact: a BigInt for each point would have to be made first.
    values[at + 3] =
      high >= -SAFE_HIGH && high < SAFE_HIGH ? high * 2 ** 32 + ((words[2 * i] as number) >>> 0) : (step[i] as bigint);
    values[at + 4] = Number.isNaN(v) ? 1 : 0;
  };
  const many = Array.from({ length: ROWS * COLUMNS }, (): SqlValue => null);
  const one = Array.from({ length: COLUMNS }, (): SqlValue => null);
  let from = 0;
  for (; from + ROWS <= length; from += ROWS) {
    for (let j = 0; j < ROWS; j++) row(many, j * COLUMNS, order[from + j] as number);
    insertMany.run(run, ...many);
  }
  for (; from < length; from++) {
    row(one, 0, order[from] as number);
    insertOne.run(run, ...one);
  }
  for (let at = 0; at < length; ) {
    let latest = order[at] as number;
    const id = key[latest];
    while (++at < length && key[order[at] as number] === id) {
      const i = order[at] as number;
      if (isLater(metrics, words, i, latest)) latest = i;
    }
    row(one, 0, latest);
    upsertLatest.run(run, ...one);
  }
}

/** High words of the int64 below this are those of integers that a double holds exactly: 2^53 / 2^32. */
const SAFE_HIGH = 2 ** 21;

/** The steps' low and high words in turn, of which the high one has the sign. */
function stepWords({ buffer, byteOffset, length }: BigInt64Array): Int32Array {
  return new Int32Array(buffer, byteOffset, 2 * length);
}

function storedValue(value: number): number {
  if (Number.isNaN(value)) return 0;
  return Math.min(INFINITE, Math.max(-INFINITE, value));
}

/** A NaN counts as the 0 it is stored as. */
function isLater({ timestamp, value }: MetricColumns, words: Int32Array, a: number, b: number): boolean {
  const [highA, highB] = [words[2 * a + 1] as number, words[2 * b + 1] as number];
  if (highA !== highB) return highA > highB;
  const [lowA, lowB] = [(words[2 * a] as number) >>> 0, (words[2 * b] as number) >>> 0];
  if (lowA !== lowB) return lowA > lowB;
  const [timeA, timeB] = [timestamp[a] as number, timestamp[b] as number];
  if (timeA !== timeB) return timeA > timeB;
  return storedValue(value[a] as number) > storedValue(value[b] as number);
}
