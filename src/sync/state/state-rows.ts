/** Stored runs and files ↔ rows of the state's tables. */
import type { TagMetadata } from "../../reader/datum.ts";
import type { Loss } from "../../reader/tfrecord.ts";
import type { SqlRow, SqlValue } from "../../sqlite.ts";
import type { FinalStatus } from "../backend.ts";
import type { StoredFile, StoredRun } from "./stored-run.ts";

export function runOf(
  row: SqlRow,
  files: readonly StoredFile[],
  choicesOf: (column: unknown) => ReadonlyMap<string, string>,
): StoredRun {
  return {
    id: Number(row["id"]),
    name: String(row["name"]),
    directory: row["directory"] === null ? undefined : Buffer.from(row["directory"] as Uint8Array),
    remoteId: row["remote_id"] === null ? undefined : String(row["remote_id"]),
    cursor: row["cursor"] === null ? undefined : String(row["cursor"]),
    done: row["done"] === 1,
    isConfirmed: row["confirmed"] === 1,
    pagesDue: row["pages_due"] === 1,
    status: row["status"] as FinalStatus,
    firstWallTime: row["first_wall_time"] === null ? undefined : Number(row["first_wall_time"]),
    lastWallTime: row["last_wall_time"] === null ? -Infinity : Number(row["last_wall_time"]),
    hparamsFiles: mapOf(row["hparams_files"]),
    folds: mapOf(row["folds"]),
    projectorFiles: mapOf(row["projector_files"]),
    attached: mapOf(row["attached"]),
    choice: row["choice"] === null ? undefined : String(row["choice"]),
    choices: choicesOf(row["choices"]),
    runName: row["run_name"] === null ? undefined : String(row["run_name"]),
    files,
  };
}

/** The source's half of what is stored of a run. */
export function sourceColumnsOf({ name, directory, folds }: StoredRun): SqlValue[] {
  return [name, directory ?? null, jsonOf(folds)];
}

/** The destination's half, beside the run's id and destination. */
export function columnsOf(run: StoredRun): SqlValue[] {
  const { remoteId, done, pagesDue, status, firstWallTime, lastWallTime } = run;
  return [
    remoteId ?? null,
    done ? 1 : 0,
    pagesDue ? 1 : 0,
    status,
    firstWallTime ?? null,
    lastWallTime === -Infinity ? null : lastWallTime,
    jsonOf(run.hparamsFiles),
    jsonOf(run.projectorFiles),
    jsonOf(run.attached),
    run.choice ?? null,
    jsonOf(run.choices),
    run.cursor ?? null,
    run.runName ?? null,
  ];
}

/** What is stored of a file beside its key. */
export function rowOf({ name, head, offset, from, tail, stamp, restartStep, ...rest }: StoredFile): SqlValue[] {
  const { losses, counts, base, choice, until, waypoints } = rest;
  const progress = [name, head, offset, from, tail, stamp, restartStep === undefined ? null : String(restartStep)];
  const texts = [losses.length === 0 ? NONE : JSON.stringify(losses), counts];
  const choices = [base ?? null, choice ?? null, until === undefined ? null : JSON.stringify(until)];
  return [...progress, ...texts, ...choices, waypoints?.join(" ") ?? null];
}

export function fileOf(row: SqlRow): StoredFile {
  return {
    key: String(row["key"]),
    name: String(row["name"]),
    head: Number(row["head"]),
    offset: Number(row["offset"]),
    from: Number(row["from"]),
    tail: String(row["tail"]),
    stamp: String(row["stamp"]),
    restartStep: row["restart_step"] === null ? undefined : BigInt(row["restart_step"] as string),
    losses: row["losses"] === NONE ? NO_LOSSES : (JSON.parse(String(row["losses"])) as Loss[]),
    counts: String(row["counts"]),
    ...(row["base"] !== null && { base: Number(row["base"]) }),
    ...(row["choice"] !== null && { choice: String(row["choice"]) }),
    ...(row["waypoints"] !== null && { waypoints: String(row["waypoints"]).split(" ") }),
    ...(row["until"] !== null && { until: JSON.parse(String(row["until"])) as Record<string, number> }),
  };
}

export function metadataOf(row: SqlRow): TagMetadata {
  return {
    plugin: String(row["plugin"]),
    displayName: String(row["display_name"]),
    description: String(row["description"]),
    dataClass: Number(row["data_class"]),
    content: row["content"] as Uint8Array,
  };
}

/** As `json_each` takes them. */
export function idsOf(runs: readonly StoredRun[]): string {
  return JSON.stringify(runs.flatMap(({ id }) => id ?? []));
}

function jsonOf(map: ReadonlyMap<string, unknown>): string {
  return JSON.stringify([...map]);
}

function mapOf<V>(column: unknown): ReadonlyMap<string, V> {
  return column === NONE ? NO_ENTRIES : new Map(JSON.parse(String(column)) as [string, V][]);
}

/** The same, for columns that mostly repeat the row before. */
export function lastParsed<V>(): (column: unknown) => ReadonlyMap<string, V> {
  let [last, map]: [unknown, ReadonlyMap<string, V>] = [NONE, NO_ENTRIES];
  return (column) => {
    if (column !== last) [last, map] = [column, mapOf(column)];
    return map;
  };
}

/** Most of ten thousand runs have no entries, and share this. */
const NONE = "[]";
const NO_ENTRIES: ReadonlyMap<string, never> = new Map<string, never>();
const NO_LOSSES: readonly Loss[] = [];
