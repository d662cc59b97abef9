/**
 * Rows of an MLflow's SQLite database, read and written one by one.
 *
 * Source: mlflow/store/tracking/sqlalchemy_store.py, mlflow/store/tracking/dbmodels/models.py.
 */
import { TraceletError } from "../../errors.ts";
import type { Database, SqlRow } from "../../sqlite.ts";
import { runId as idOfRun } from "./ids.ts";
import type { ExperimentRecord, MetricColumns, RunRecord, RunStatus, RunTags } from "./store.ts";

/** Points of a metric that are read at once. */
export const POINTS_PER_PAGE = 10_000;

/** @param hasWorkspaces whether the experiments have them: those of others are not seen */
export function experimentOf(database: Database, name: string, hasWorkspaces: boolean): ExperimentRecord | undefined {
  const where = hasWorkspaces ? "name = ? AND workspace = 'default'" : "name = ?";
  const row = database.prepare(`SELECT experiment_id, lifecycle_stage FROM experiments WHERE ${where}`).get(name);
  if (row === undefined) return undefined;
  const sql = "SELECT key, value FROM experiment_tags WHERE experiment_id = ?";
  const tags = pairs(database, sql, row["experiment_id"] as number);
  return { id: String(row["experiment_id"]), active: row["lifecycle_stage"] === "active", tags };
}

/** @param row of the table of runs */
export function recordOf(database: Database, row: SqlRow): RunRecord {
  const id = idOfRun(String(row["run_uuid"]));
  const keys = database.prepare("SELECT key FROM latest_metrics WHERE run_uuid = ?").all(id);
  return {
    id,
    experimentId: String(row["experiment_id"]),
    artifactUri: row["artifact_uri"] === null ? undefined : String(row["artifact_uri"]),
    active: row["lifecycle_stage"] === "active",
    status: row["status"] as RunStatus,
    tags: pairs(database, "SELECT key, value FROM tags WHERE run_uuid = ?", id),
    params: pairs(database, "SELECT key, value FROM params WHERE run_uuid = ?", id),
    metricKeys: new Set(keys.map(({ key }) => String(key))),
  };
}

/** Runs with their tags, which may be thousands; without MLflow's own, which most of them are. @param where of the runs */
export function runTagsOf(database: Database, where: string, values: readonly (string | number)[]): RunTags[] {
  const rows = database
    .prepare(
      `SELECT runs.run_uuid, runs.lifecycle_stage, runs.status, tags.key, tags.value FROM runs JOIN tags USING (run_uuid)
       WHERE runs.run_uuid IN (SELECT run_uuid FROM runs WHERE ${where}) AND tags.key GLOB 'tracelet.*'
       ORDER BY runs.run_uuid`,
    )
    .all(...values);
  const runs = new Map<string, RunTags & { readonly tags: Map<string, string> }>();
  for (const { run_uuid: uuid, lifecycle_stage: stage, status: text, key, value } of rows) {
    const id = String(uuid);
    const status = text as RunStatus;
    const run = runs.get(id) ?? { id, active: stage === "active", status, tags: new Map<string, string>() };
    if (run.tags.size === 0) runs.set(id, run);
    run.tags.set(String(key), String(value));
  }
  return [...runs.values()];
}

/**
 * A page of a metric's points, in the order of the table's key, so that each page begins where the last one ended, whoever
 * writes meanwhile.
 *
 * @param last row of the page before
 */
export function historyRows(database: Database, runId: string, key: string, last: SqlRow | undefined): SqlRow[] {
  const select = (after: string) =>
    database.prepare(
      `SELECT ${exact("timestamp")}, ${exact("step")}, value, is_nan FROM metrics
       WHERE run_uuid = ? AND key = ? ${after} ORDER BY timestamp, step, value, is_nan LIMIT ${POINTS_PER_PAGE}`,
    );
  if (last === undefined) return select("").all(runId, key);
  const { timestamp, step, value, is_nan: isNaN } = last;
  const place = [BigInt(timestamp as number), BigInt(step as number), value as number, isNaN as number];
  return select("AND (timestamp, step, value, is_nan) > (?, ?, ?, ?)").all(runId, key, ...place);
}

export function columnsOfRows(key: string, rows: readonly SqlRow[]): MetricColumns {
  const { length } = rows;
  return {
    keys: [key],
    key: new Int32Array(length),
    step: BigInt64Array.from(rows, ({ step }) => BigInt(step as number | string)),
    timestamp: Float64Array.from(rows, ({ timestamp }) => Number(timestamp)),
    value: Float64Array.from(rows, ({ value, is_nan: isNaN }) => (isNaN === 1 ? Number.NaN : (value as number))),
    length,
  };
}

export function putTag(database: Database, runId: string, key: string, value: string): void {
  database
    .prepare(
      "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?) ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value",
    )
    .run(key, value, runId);
}

export function putExperimentTag(database: Database, experimentId: number, key: string, value: string): void {
  database
    .prepare(
      `INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)
       ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value`,
    )
    .run(key, value, experimentId);
}

/** @returns where its artifacts are @throws TraceletError `deleted` */
export function requireActiveExperiment(database: Database, id: string): string {
  const row = database
    .prepare("SELECT artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = ?")
    .get(Number(id));
  if (row?.["lifecycle_stage"] !== "active") throw deletedExperiment(id);
  return String(row["artifact_location"]);
}

/** @throws TraceletError `deleted` */
export function requireActive(database: Database, runId: string): void {
  const row = database.prepare("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?").get(runId);
  if (row?.["lifecycle_stage"] === "active") return;
  throw new TraceletError("deleted", `the MLflow run ${runId} was deleted`, {
    hint:
      row === undefined
        ? "sync again: it is then sent as a new run"
        : `restore it: mlflow runs restore --run-id ${runId}`,
  });
}

export function deletedExperiment(id: string): TraceletError {
  return new TraceletError("deleted", `the MLflow experiment ${id} was deleted`, {
    hint: `restore it (mlflow experiments restore --experiment-id ${id}), or give another --experiment`,
  });
}

function pairs(database: Database, sql: string, owner: string | number): Map<string, string> {
  const rows = database.prepare(sql).all(owner);
  return new Map(rows.map(({ key, value }) => [String(key), String(value)]));
}

/** An integer column, as text where a JavaScript number would round. */
function exact(column: string): string {
  const safe = Number.MAX_SAFE_INTEGER;
  return `CASE WHEN ${column} BETWEEN -${safe} AND ${safe} THEN ${column} ELSE CAST(${column} AS TEXT) END AS ${column}`;
}
