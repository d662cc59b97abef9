/**
 * MLflow's own SQLite database, written directly: no server and no Python. What MLflow's SqlAlchemyStore would have
 * stored is stored, so that `mlflow ui` and its clients find everything; a server may run on the same file meanwhile.
 *
 * Source: mlflow/store/tracking/sqlalchemy_store.py, mlflow/store/tracking/dbmodels/models.py.
 */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { ContentRefused } from "../../net/refusal.ts";
import { type Database, openDatabase, type SqlRow, sqliteFailure } from "../../sqlite.ts";
import { openArtifactStore } from "./artifact-stores/open.ts";
import type { ArtifactStore } from "./artifacts.ts";
import { DatabaseLocked, type LockPatience, MOMENT_MS, whenFree } from "./database-lock.ts";
import { GroupCommit } from "./group-commit.ts";
import { runId as idOfRun } from "./ids.ts";
import { putMetrics } from "./metric-rows.ts";
import { duplicateTags } from "./new-run.ts";
import { RunIndex } from "./run-index.ts";
import { checkSchema, columnsOf, ensureSchema } from "./schema.ts";
import {
  type ExperimentRecord,
  type LogBatch,
  type MetricColumns,
  type MlflowStore,
  type NewRun,
  type RunLists,
  type RunRecord,
  type RunStatus,
  type RunTags,
  RunTaken,
  type TakenBy,
} from "./store.ts";

/** Points of a metric that are read at once. */
const POINTS_PER_PAGE = 10_000;
/** What a transaction changes stays in memory until it is committed: writing it earlier keeps readers out. KiB. */
const CACHE = 32 * 1024;

export interface SqliteStoreOptions extends LockPatience {
  /** Nothing is created, and every method that would write throws. */
  readonly readOnly?: boolean | undefined;
}

export class SqliteStore implements MlflowStore, RunLists {
  /** A transaction of some 100 ms: long enough to cost little more than its rows, short enough for others to wait. */
  readonly batchSize = 50_000;
  readonly batchesAtOnce = 1;
  readonly listsCheaply = true;
  #database: Database;
  /** Which file it is: whoever removes it, or puts a backup in its place, leaves the one that is open without a name. */
  #identity: string;
  /** By the key of the tag. */
  readonly #indexes = new Map<string, RunIndex>();
  readonly #commits: GroupCommit;
  readonly #path: string;
  readonly #artifactRoot: string;
  readonly #options: SqliteStoreOptions;
  /** MLflow 3.10 gave experiments a workspace. */
  #workspaces = false;
  /** SQLite counts up when anybody changes the tables. */
  #schemaVersion = 0;

  private constructor(database: Database, file: string, artifactRoot: string, options: SqliteStoreOptions) {
    this.#database = database;
    this.#identity = identityOf(file);
    this.#path = file;
    this.#artifactRoot = artifactRoot;
    this.#options = options;
    this.#learnSchema();
    this.#commits = new GroupCommit({
      transaction: (work) => this.#whenFree(() => this.#database.transaction(work)),
      size: this.batchSize,
      mayBegin: () => this.#isSchemaKnown(),
    });
  }

  /**
   * Open the database, or create it, once nobody else holds it.
   *
   * @throws TraceletError `unsupported` if it is no MLflow database or this Node has no SQLite; `rejected` if it cannot
   * be opened
   */
  static async openWhenFree(file: string, options: SqliteStoreOptions): Promise<SqliteStore> {
    return whenFree(() => SqliteStore.open(file, options), options);
  }

  /** The same at once. @throws DatabaseLocked if another process holds it */
  static open(file: string, options: SqliteStoreOptions = {}): SqliteStore {
    const { readOnly = false } = options;
    return guard(file, () => {
      const database = connect(file, readOnly);
      try {
        // MLflow takes it for a URI, of which it decodes the path.
        const artifactRoot = path.join(path.dirname(file), "mlruns").replaceAll("%", "%25");
        return new SqliteStore(database, file, artifactRoot, options);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  async experimentByName(name: string): Promise<ExperimentRecord | undefined> {
    return this.#whenFree(() => {
      this.#followFile();
      // Somebody may have put a backup back into the same file.
      this.#indexes.clear();
      return this.#experiment(name);
    });
  }

  async createExperiment(name: string, tags: ReadonlyMap<string, string>): Promise<string> {
    return this.#commits.run(() => {
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
    return this.#commits.run(() => {
      this.#requireActiveExperiment(experimentId);
      this.#putExperimentTag(Number(experimentId), key, value);
    });
  }

  async runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]> {
    return this.#whenFree(() => {
      if (value !== undefined) return this.#runsWith(experimentId, key, value).map((row) => this.#record(row));
      const sql =
        "SELECT runs.* FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND experiment_id = ? ORDER BY start_time DESC";
      const rows = this.#database.prepare(sql).all(key, Number(experimentId));
      return rows.map((row) => this.#record(row));
    });
  }

  async hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    return this.#whenFree(() => {
      const sql = "SELECT 1 FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND runs.experiment_id = ? LIMIT 1";
      return this.#database.prepare(sql).get(key, Number(experimentId)) !== undefined;
    });
  }

  async *taggedRuns(experimentId: string, key: string, which: "all" | "deleted"): AsyncGenerator<RunTags> {
    const active = which === "all" ? "" : "AND lifecycle_stage = 'deleted'";
    yield* await this.#runTags(
      `experiment_id = ? ${active} AND EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = runs.run_uuid AND t.key = ?)`,
      Number(experimentId),
      key,
    );
  }

  async runTags(experimentId: string, ids: readonly string[]): Promise<RunTags[]> {
    const where = "experiment_id = ? AND run_uuid IN (SELECT value FROM json_each(?))";
    return this.#runTags(where, Number(experimentId), JSON.stringify(ids));
  }

  async countsRuns(experimentId: string, key: string, count: number): Promise<"fewer" | "exactly" | "more"> {
    return this.#whenFree(() => {
      const sql =
        "SELECT count(*) AS n FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND runs.experiment_id = ?";
      const n = Number(this.#database.prepare(sql).get(key, Number(experimentId))?.["n"]);
      return n < count ? "fewer" : n === count ? "exactly" : "more";
    });
  }

  /** Of runs with thousands of tags, as one of each. MLflow's own tags, most of them, are left out. */
  #runTags(where: string, ...values: (string | number)[]): Promise<RunTags[]> {
    return this.#whenFree(() => {
      const rows = this.#database
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
    });
  }

  get runLists(): RunLists {
    return this;
  }

  async run(runId: string): Promise<RunRecord | undefined> {
    return this.#whenFree(() => {
      const row = this.#database.prepare("SELECT * FROM runs WHERE run_uuid = ?").get(runId);
      return row && this.#record(row);
    });
  }

  async createRun({ experimentId, name, startTime, user, tags }: NewRun, unless?: TakenBy): Promise<string> {
    return this.#commits.run(() => {
      if (unless !== undefined && this.#isTaken(experimentId, unless)) throw new RunTaken();
      const artifactLocation = this.#requireActiveExperiment(experimentId);
      const id = randomUUID().replaceAll("-", "");
      this.#database
        .prepare(
          `INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
             deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
           VALUES (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, NULL, NULL, '', 'active', ?, ?)`,
        )
        .run(id, name, user, startTime, `${artifactLocation}/${id}/artifacts`, Number(experimentId));
      this.#putTag(id, "mlflow.runName", name);
      for (const [key, value] of tags) this.#putTag(id, key, value);
      return id;
    });
  }

  async renameRun(runId: string, name: string): Promise<void> {
    return this.#commits.run(() => {
      this.#requireActive(runId);
      const sql = "UPDATE runs SET name = ?, status = 'RUNNING', end_time = NULL WHERE run_uuid = ?";
      this.#database.prepare(sql).run(name, runId);
      this.#putTag(runId, "mlflow.runName", name);
    });
  }

  async setAside({ id, tags }: RunRecord, duplicateOf: string): Promise<void> {
    return this.#commits.run(() => {
      for (const [key, value] of duplicateTags(tags, duplicateOf)) this.#putTag(id, key, value);
      const sql = "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = ? WHERE run_uuid = ?";
      this.#database.prepare(sql).run(Date.now(), id);
    });
  }

  async artifacts({ id, artifactUri }: { id: string; artifactUri?: string | undefined }): Promise<ArtifactStore> {
    const known = artifactUri ?? (await this.run(id))?.artifactUri ?? "";
    const tracking = { kind: "database", folder: path.dirname(this.#path) } as const;
    return openArtifactStore({ artifactUri: known, tracking });
  }

  async logBatch(runId: string, { metrics, params, tags }: LogBatch): Promise<void> {
    return this.#commits.run(() => {
      this.#requireActive(runId);
      const insertParam = this.#database.prepare(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      );
      for (const [key, value] of params) insertParam.run(key, value, runId);
      putMetrics(this.#database, runId, metrics);
      for (const [key, value] of tags) this.#putTag(runId, key, value);
    }, metrics.length);
  }

  async *metricHistory(runId: string, key: string): AsyncGenerator<MetricColumns> {
    // In the order of the table's key, so that each page begins where the last one ended, whoever writes meanwhile.
    const select = (after: string) => `SELECT ${exact("timestamp")}, ${exact("step")}, value, is_nan FROM metrics
      WHERE run_uuid = ? AND key = ? ${after} ORDER BY timestamp, step, value, is_nan LIMIT ${POINTS_PER_PAGE}`;
    let rows = await this.#whenFree(() => this.#database.prepare(select("")).all(runId, key));
    while (rows.length > 0) {
      yield columnsOfRows(key, rows);
      if (rows.length < POINTS_PER_PAGE) return;
      const { timestamp, step, value, is_nan: isNaN } = rows[rows.length - 1] as SqlRow;
      const last = [BigInt(timestamp as number), BigInt(step as number), value as number, isNaN as number];
      const after = select("AND (timestamp, step, value, is_nan) > (?, ?, ?, ?)");
      rows = await this.#whenFree(() => this.#database.prepare(after).all(runId, key, ...last));
    }
  }

  async updateRun(runId: string, status: RunStatus, endTime: number): Promise<void> {
    return this.#commits.run(() => {
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

  /** Go on in the file that is at the path now, if it is another one than before; one that was removed is made anew. */
  #followFile(): void {
    if (identityOf(this.#path) === this.#identity) return;
    this.#guarded(() => {
      this.#database.close();
      this.#database = connect(this.#path, this.#options.readOnly ?? false);
      this.#identity = identityOf(this.#path);
      this.#indexes.clear();
    });
    this.#learnSchema();
  }

  /** False while an MLflow brings the tables up to date: it gets all the time it needs. */
  async #isSchemaKnown(): Promise<boolean> {
    return this.#whenFree(() => {
      this.#followFile();
      if (schemaVersion(this.#database) === this.#schemaVersion) return true;
      this.#learnSchema();
      return false;
    });
  }

  /** @throws TraceletError `unsupported` if the tables are not those of an MLflow */
  #learnSchema(): void {
    this.#guarded(() => {
      if (this.#options.readOnly) checkSchema(this.#database, this.#path);
      else ensureSchema(this.#database, this.#path, this.#artifactRoot);
      this.#workspaces = columnsOf(this.#database, "experiments").has("workspace");
      this.#schemaVersion = schemaVersion(this.#database);
    });
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

  #isTaken(experimentId: string, { key, value, seen }: TakenBy): boolean {
    return this.#runsWith(experimentId, key, value).some((row) => !seen.has(String(row["run_uuid"])));
  }

  /** The rows of the experiment's runs that carry the tag with exactly this value, newest first. */
  #runsWith(experimentId: string, key: string, value: string): SqlRow[] {
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = new RunIndex(this.#database, key);
      this.#indexes.set(key, index);
    }
    const ids = index.idsOf(experimentId, value);
    if (ids.length === 0) return [];
    return this.#database
      .prepare(
        `SELECT runs.* FROM runs JOIN tags USING (run_uuid) WHERE run_uuid IN (SELECT value FROM json_each(?))
         AND tags.key = ? AND tags.value = ? ORDER BY runs.start_time DESC`,
      )
      .all(JSON.stringify(ids), key, value);
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

  /** @returns where its artifacts are */
  #requireActiveExperiment(id: string): string {
    const row = this.#database
      .prepare("SELECT artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = ?")
      .get(Number(id));
    if (row?.["lifecycle_stage"] !== "active") throw deletedExperiment(id);
    return String(row["artifact_location"]);
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
    const id = idOfRun(String(row["run_uuid"]));
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

  #guarded<T>(work: () => T): T {
    return guard(this.#path, work);
  }

  #whenFree<T>(work: () => T): Promise<T> {
    return whenFree(() => this.#guarded(work), this.#options);
  }
}

function connect(file: string, readOnly: boolean): Database {
  if (!readOnly) mkdirSync(path.dirname(file), { recursive: true });
  else if (!existsSync(file)) throw noDatabase(file);
  const database = openDatabase(file, { busyTimeout: MOMENT_MS, readOnly });
  // Foreign keys: that a run and an experiment are there is looked up once a transaction, not for every row.
  database.exec(`PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -${CACHE}`);
  return database;
}

/** Device and inode; empty if there is no such file. */
function identityOf(file: string): string {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? "" : `${stats.dev}:${stats.ino}`;
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

function guard<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TraceletError || cause instanceof RunTaken) throw cause;
    const failure = sqliteFailure(cause);
    if (failure === "busy") throw new DatabaseLocked(file, cause);
    const { message } = cause as Error;
    if (failure === "constraint") {
      throw new ContentRefused(`the database ${file} refuses it: ${message}`, message, { cause });
    }
    throw new TraceletError("rejected", `cannot use the database ${file}: ${message}`, {
      hint: "check that it is an SQLite file, that it is writable, and that its disk is not full",
      cause,
    });
  }
}
