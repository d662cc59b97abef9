/**
 * MLflow's own SQLite database, written directly: no server and no Python. What MLflow's SqlAlchemyStore would have
 * stored is stored, so that `mlflow ui` and its clients find everything; a server may run on the same file meanwhile.
 *
 * Source: mlflow/store/tracking/sqlalchemy_store.py, mlflow/store/tracking/dbmodels/models.py.
 */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TraceletError } from "../../../errors.ts";
import { type Database, openDatabase, type SqlRow } from "../../sqlite.ts";
import { openArtifactStore } from "./artifact-stores/open.ts";
import type { ArtifactStore } from "./artifacts.ts";
import { checkSchema, columnsOf, ensureSchema } from "./schema.ts";
import {
  ContentRefused,
  type ExperimentRecord,
  type LogBatch,
  type MetricColumns,
  type MlflowStore,
  type NewRun,
  type RunRecord,
  type RunStatus,
} from "./store.ts";

/** A server on the same file may hold the lock for one of its transactions, of 1000 metrics at most. ms. */
const BUSY_TIMEOUT = 60_000;
/** Points of a metric that are read at once. */
const POINTS_PER_PAGE = 10_000;
/** MLflow keeps infinities as the greatest double, since not every database can hold them. */
const INFINITE = Number.MAX_VALUE;

export class SqliteStore implements MlflowStore {
  /** A transaction of some 100 ms: long enough to cost little more than its rows, short enough for others to wait. */
  readonly batchSize = 20_000;
  readonly batchesAtOnce = 1;
  readonly #database: Database;
  readonly #path: string;
  readonly #artifactRoot: string;
  readonly #readOnly: boolean;
  /** MLflow 3.10 gave experiments a workspace. */
  #workspaces = false;
  /** SQLite counts up when anybody changes the tables. */
  #schemaVersion = 0;
  /** How long the last batch kept others from writing, ms. */
  #lastBatchMs = 0;

  private constructor(database: Database, file: string, artifactRoot: string, readOnly: boolean) {
    this.#database = database;
    this.#path = file;
    this.#artifactRoot = artifactRoot;
    this.#readOnly = readOnly;
    this.#learnSchema();
  }

  /**
   * Open the database, or create it.
   *
   * @param options `readOnly`: nothing is created, and every method that would write throws
   * @throws TraceletError `unsupported` if it is no MLflow database or this Node has no SQLite; `rejected` if it cannot
   * be opened
   */
  static open(file: string, { readOnly = false }: { readonly readOnly?: boolean } = {}): SqliteStore {
    return guard(file, () => {
      if (!readOnly) mkdirSync(path.dirname(file), { recursive: true });
      else if (!existsSync(file)) throw noDatabase(file);
      const database = openDatabase(file, { busyTimeout: BUSY_TIMEOUT, readOnly });
      try {
        database.exec("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
        // MLflow takes it for a URI, of which it decodes the path.
        const artifactRoot = path.join(path.dirname(file), "mlruns").replaceAll("%", "%25");
        return new SqliteStore(database, file, artifactRoot, readOnly);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  async experimentByName(name: string): Promise<ExperimentRecord | undefined> {
    return this.#guarded(() => this.#experiment(name));
  }

  async createExperiment(name: string, tags: ReadonlyMap<string, string>): Promise<string> {
    return this.#transaction(() => {
      const existing = this.#experiment(name);
      if (existing?.active === false) throw deletedExperiment(existing.id);
      if (existing !== undefined) return existing.id;
      const now = Date.now();
      const id = this.#database
        .prepare(
          "INSERT INTO experiments (name, lifecycle_stage, creation_time, last_update_time) VALUES (?, 'active', ?, ?)",
        )
        .run(name, now, now).lastInsertRowid;
      this.#database
        .prepare("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?")
        .run(`${this.#artifactRoot}/${id}`, id);
      for (const [key, value] of tags) this.#putExperimentTag(id, key, value);
      return String(id);
    });
  }

  async setExperimentTag(experimentId: string, key: string, value: string): Promise<void> {
    this.#transaction(() => this.#putExperimentTag(Number(experimentId), key, value));
  }

  async runsByTag(experimentId: string, key: string, value: string): Promise<RunRecord[]> {
    return this.#guarded(() =>
      this.#database
        .prepare(
          `SELECT runs.* FROM tags JOIN runs USING (run_uuid)
           WHERE tags.key = ? AND tags.value = ? AND runs.experiment_id = ? ORDER BY runs.start_time DESC`,
        )
        .all(key, value, Number(experimentId))
        .map((row) => this.#record(row)),
    );
  }

  async hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    return this.#guarded(() => {
      const sql = "SELECT 1 FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND runs.experiment_id = ? LIMIT 1";
      return this.#database.prepare(sql).get(key, Number(experimentId)) !== undefined;
    });
  }

  async run(runId: string): Promise<RunRecord | undefined> {
    return this.#guarded(() => {
      const row = this.#database.prepare("SELECT * FROM runs WHERE run_uuid = ?").get(runId);
      return row && this.#record(row);
    });
  }

  async createRun({ experimentId, name, startTime, user, tags }: NewRun): Promise<string> {
    return this.#transaction(() => {
      const experiment = this.#database
        .prepare("SELECT artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = ?")
        .get(Number(experimentId));
      if (experiment?.["lifecycle_stage"] !== "active") {
        throw deletedExperiment(experimentId);
      }
      const id = randomUUID().replaceAll("-", "");
      this.#database
        .prepare(
          `INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
             deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
           VALUES (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, NULL, NULL, '', 'active', ?, ?)`,
        )
        .run(
          id,
          name,
          user,
          startTime,
          `${String(experiment["artifact_location"])}/${id}/artifacts`,
          Number(experimentId),
        );
      this.#putTag(id, "mlflow.runName", name);
      for (const [key, value] of tags) this.#putTag(id, key, value);
      return id;
    });
  }

  async artifacts({ id, artifactUri }: { id: string; artifactUri?: string | undefined }): Promise<ArtifactStore> {
    const known = artifactUri ?? (await this.run(id))?.artifactUri ?? "";
    const tracking = { kind: "database", folder: path.dirname(this.#path) } as const;
    return openArtifactStore({ artifactUri: known, tracking });
  }

  async logBatch(runId: string, { metrics, params, tags }: LogBatch): Promise<void> {
    await this.#letOthersIn();
    const start = performance.now();
    this.#transaction(() => {
      this.#requireActive(runId);
      const insertParam = this.#database.prepare(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      );
      for (const [key, value] of params) insertParam.run(key, value, runId);
      this.#putMetrics(runId, metrics);
      for (const [key, value] of tags) this.#putTag(runId, key, value);
    });
    this.#lastBatchMs = performance.now() - start;
  }

  async *metricHistory(runId: string, key: string): AsyncGenerator<MetricColumns> {
    // In the order of the table's key, so that each page begins where the last one ended, whoever writes meanwhile.
    const select = (after: string) => `SELECT ${exact("timestamp")}, ${exact("step")}, value, is_nan FROM metrics
      WHERE run_uuid = ? AND key = ? ${after} ORDER BY timestamp, step, value, is_nan LIMIT ${POINTS_PER_PAGE}`;
    let rows = this.#guarded(() => this.#database.prepare(select("")).all(runId, key));
    while (rows.length > 0) {
      yield columnsOfRows(key, rows);
      if (rows.length < POINTS_PER_PAGE) return;
      const { timestamp, step, value, is_nan: isNaN } = rows[rows.length - 1] as SqlRow;
      const last = [BigInt(timestamp as number), BigInt(step as number), value as number, isNaN as number];
      const after = select("AND (timestamp, step, value, is_nan) > (?, ?, ?, ?)");
      rows = this.#guarded(() => this.#database.prepare(after).all(runId, key, ...last));
    }
  }

  async updateRun(runId: string, status: RunStatus, endTime: number): Promise<void> {
    this.#transaction(() => {
      this.#requireActive(runId);
      const end = status === "RUNNING" ? null : endTime;
      this.#database.prepare("UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?").run(status, end, runId);
    });
  }

  experimentUrl(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  /**
   * A gap between two batches: SQLite hands its lock to whoever asks at the right moment, and an MLflow that brings the
   * tables up to date asks for 5 s only and then fails to start. While it does so, it gets all the time it needs.
   */
  async #letOthersIn(): Promise<void> {
    await sleep(Math.max(5, this.#lastBatchMs / 10));
    while (this.#guarded(() => schemaVersion(this.#database)) !== this.#schemaVersion) {
      this.#learnSchema();
      await sleep(1000);
    }
  }

  /** @throws TraceletError `unsupported` if the tables are not those of an MLflow */
  #learnSchema(): void {
    this.#guarded(() => {
      if (this.#readOnly) checkSchema(this.#database, this.#path);
      else ensureSchema(this.#database, this.#path, this.#artifactRoot);
      this.#workspaces = columnsOf(this.#database, "experiments").has("workspace");
      this.#schemaVersion = schemaVersion(this.#database);
    });
  }

  /** Insert points, those of one key together: the table is kept in the order of its key. */
  #putMetrics(runId: string, metrics: MetricColumns): void {
    const { keys, key, step, timestamp, value } = metrics;
    const insert = this.#database.prepare(
      "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    const latest = new Map<number, number>();
    for (const i of orderByKey(metrics)) {
      const id = key[i] as number;
      const v = value[i] as number;
      insert.run(
        keys[id] as string,
        storedValue(v),
        timestamp[i] as number,
        runId,
        step[i] as bigint,
        Number.isNaN(v) ? 1 : 0,
      );
      const best = latest.get(id);
      if (best === undefined || isLater(metrics, i, best)) latest.set(id, i);
    }
    const upsert = this.#database.prepare(
      `INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (key, run_uuid) DO UPDATE
         SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
         WHERE (excluded.step, excluded.timestamp, excluded.value) >
           (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)`,
    );
    for (const [id, i] of latest) {
      const v = value[i] as number;
      upsert.run(
        keys[id] as string,
        storedValue(v),
        timestamp[i] as number,
        step[i] as bigint,
        Number.isNaN(v) ? 1 : 0,
        runId,
      );
    }
  }

  #experiment(name: string): ExperimentRecord | undefined {
    const where = this.#workspaces ? "name = ? AND workspace = 'default'" : "name = ?";
    const row = this.#database
      .prepare(`SELECT experiment_id, lifecycle_stage FROM experiments WHERE ${where}`)
      .get(name);
    if (row === undefined) return undefined;
    const tags = this.#pairs(
      "SELECT key, value FROM experiment_tags WHERE experiment_id = ?",
      row["experiment_id"] as number,
    );
    return { id: String(row["experiment_id"]), active: row["lifecycle_stage"] === "active", tags };
  }

  #putTag(runId: string, key: string, value: string): void {
    this.#database
      .prepare(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?) ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value",
      )
      .run(key, value, runId);
  }

  #putExperimentTag(experimentId: number, key: string, value: string): void {
    this.#database
      .prepare(
        `INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)
         ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value`,
      )
      .run(key, value, experimentId);
  }

  #requireActive(runId: string): void {
    const row = this.#database.prepare("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?").get(runId);
    if (row?.["lifecycle_stage"] === "active") return;
    throw new TraceletError("deleted", `the MLflow run ${runId} was deleted`, {
      hint:
        row === undefined
          ? "sync again: it is then sent as a new run"
          : `restore it: mlflow runs restore --run-id ${runId}`,
    });
  }

  #record(row: SqlRow): RunRecord {
    const id = String(row["run_uuid"]);
    const keys = this.#database.prepare("SELECT key FROM latest_metrics WHERE run_uuid = ?").all(id);
    return {
      id,
      experimentId: String(row["experiment_id"]),
      artifactUri: row["artifact_uri"] === null ? undefined : String(row["artifact_uri"]),
      active: row["lifecycle_stage"] === "active",
      status: row["status"] as RunStatus,
      tags: this.#pairs("SELECT key, value FROM tags WHERE run_uuid = ?", id),
      params: this.#pairs("SELECT key, value FROM params WHERE run_uuid = ?", id),
      metricKeys: new Set(keys.map(({ key }) => String(key))),
    };
  }

  #pairs(sql: string, owner: string | number): Map<string, string> {
    return new Map(
      this.#database
        .prepare(sql)
        .all(owner)
        .map(({ key, value }) => [String(key), String(value)]),
    );
  }

  #transaction<T>(work: () => T): T {
    return this.#guarded(() => this.#database.transaction(work));
  }

  #guarded<T>(work: () => T): T {
    return guard(this.#path, work);
  }
}

function schemaVersion(database: Database): number {
  return Number(database.prepare("PRAGMA schema_version").get()?.["schema_version"]);
}

function deletedExperiment(id: string): TraceletError {
  return new TraceletError("deleted", `the MLflow experiment ${id} was deleted`, {
    hint: `restore it (mlflow experiments restore --experiment-id ${id}), or give another --experiment`,
  });
}

function noDatabase(file: string): TraceletError {
  return new TraceletError("rejected", `there is no database ${file}`, {
    hint: "give the tracking URI that was synced to: --tracking-uri, or MLFLOW_TRACKING_URI",
  });
}

/** An integer column, as text where a JavaScript number would round. */
function exact(column: string): string {
  const safe = Number.MAX_SAFE_INTEGER;
  return `CASE WHEN ${column} BETWEEN -${safe} AND ${safe} THEN ${column} ELSE CAST(${column} AS TEXT) END AS ${column}`;
}

function columnsOfRows(key: string, rows: readonly SqlRow[]): MetricColumns {
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

function storedValue(value: number): number {
  if (Number.isNaN(value)) return 0;
  return Math.min(INFINITE, Math.max(-INFINITE, value));
}

/** Source: `SqlAlchemyStore._update_latest_metrics_if_necessary`; a NaN counts as the 0 it is stored as. */
function isLater({ step, timestamp, value }: MetricColumns, a: number, b: number): boolean {
  const [stepA, stepB] = [step[a] as bigint, step[b] as bigint];
  if (stepA !== stepB) return stepA > stepB;
  const [timeA, timeB] = [timestamp[a] as number, timestamp[b] as number];
  if (timeA !== timeB) return timeA > timeB;
  return storedValue(value[a] as number) > storedValue(value[b] as number);
}

/** Indices of the points grouped by key, in their order within each. */
function orderByKey({ key, length }: MetricColumns): Int32Array {
  const starts = new Map<number, number>();
  for (let i = 0; i < length; i++) starts.set(key[i] as number, (starts.get(key[i] as number) ?? 0) + 1);
  let at = 0;
  for (const [id, n] of starts) {
    starts.set(id, at);
    at += n;
  }
  const order = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const place = starts.get(key[i] as number) as number;
    order[place] = i;
    starts.set(key[i] as number, place + 1);
  }
  return order;
}

function guard<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TraceletError) throw cause;
    const { code, errcode, message } = cause as { code?: unknown; errcode?: unknown; message: string };
    if (code === "SQLITE_BUSY" || errcode === 5) {
      throw new TraceletError("unreachable", `the database ${file} was locked by another process for too long`, {
        hint: "sync again when it is free: nothing is lost",
        cause,
      });
    }
    if (String(code).startsWith("SQLITE_CONSTRAINT") || (typeof errcode === "number" && (errcode & 0xff) === 19)) {
      throw new ContentRefused(`the database ${file} refuses it: ${message}`, message, { cause });
    }
    throw new TraceletError("rejected", `cannot use the database ${file}: ${message}`, {
      hint: "check that it is an SQLite file, that it is writable, and that its disk is not full",
      cause,
    });
  }
}
