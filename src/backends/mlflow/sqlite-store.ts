/**
 * MLflow's own SQLite database, written directly: no server and no Python. What MLflow's SqlAlchemyStore would have
 * stored is stored, so that `mlflow ui` and its clients find everything; a server may run on the same file meanwhile.
 */
import { randomUUID } from "node:crypto";
import path from "node:path";
import type { Database, SqlRow } from "../../sqlite.ts";
import type { ArtifactStore } from "../artifacts/artifact.ts";
import { openArtifactStore } from "./artifact-stores/open.ts";
import { whenFree } from "./database-lock.ts";
import { putMetrics } from "./metric-rows.ts";
import { duplicateTags } from "./new-run.ts";
import { SqliteFile, type SqliteFileOptions } from "./sqlite-file.ts";
import {
  columnsOfRows,
  deletedExperiment,
  experimentOf,
  historyRows,
  POINTS_PER_PAGE,
  putExperimentTag,
  putTag,
  recordOf,
  requireActive,
  requireActiveExperiment,
  runTagsOf,
} from "./sqlite-rows.ts";
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

/** A transaction of some 100 ms: long enough to cost little more than its rows, short enough for others to wait. */
const BATCH_SIZE = 50_000;

export class SqliteStore implements MlflowStore, RunLists {
  readonly batchSize: number = BATCH_SIZE;
  readonly batchesAtOnce = 1;
  readonly listsCheaply = true;
  readonly #file: SqliteFile;

  private constructor(file: SqliteFile) {
    this.#file = file;
  }

  /**
   * Open the database, or create it, once nobody else holds it.
   *
   * @throws TraceletError `unsupported` if it is no MLflow database or this Node has no SQLite; `rejected` if it cannot
   * be opened
   */
  static async openWhenFree(file: string, options: SqliteFileOptions): Promise<SqliteStore> {
    return whenFree(() => SqliteStore.open(file, options), options);
  }

  /** The same at once. @throws DatabaseLocked if another process holds it */
  static open(file: string, options: SqliteFileOptions = {}): SqliteStore {
    return new SqliteStore(SqliteFile.open(file, BATCH_SIZE, options));
  }

  async experimentByName(name: string): Promise<ExperimentRecord | undefined> {
    return this.#file.readAnew((database) => experimentOf(database, name, this.#file.hasWorkspaces));
  }

  async createExperiment(name: string, tags: ReadonlyMap<string, string>): Promise<string> {
    return this.#file.write((database) => {
      const existing = experimentOf(database, name, this.#file.hasWorkspaces);
      if (existing?.active === false) throw deletedExperiment(existing.id);
      if (existing !== undefined) return existing.id;
      const now = Date.now();
      const id = database
        .prepare(
          "INSERT INTO experiments (name, lifecycle_stage, creation_time, last_update_time) VALUES (?, 'active', ?, ?)",
        )
        .run(name, now, now).lastInsertRowid;
      database
        .prepare("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?")
        .run(`${this.#file.artifactRoot}/${id}`, id);
      for (const [key, value] of tags) putExperimentTag(database, id, key, value);
      return String(id);
    });
  }

  async setExperimentTag(experimentId: string, key: string, value: string): Promise<void> {
    return this.#file.write((database) => {
      requireActiveExperiment(database, experimentId);
      putExperimentTag(database, Number(experimentId), key, value);
    });
  }

  async runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]> {
    return this.#file.read((database) => {
      const records = (rows: readonly SqlRow[]) => rows.map((row) => recordOf(database, row));
      if (value !== undefined) return records(this.#runsWith(database, experimentId, key, value));
      const sql =
        "SELECT runs.* FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND experiment_id = ? ORDER BY start_time DESC";
      return records(database.prepare(sql).all(key, Number(experimentId)));
    });
  }

  async hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    return this.#file.read((database) => {
      const sql = "SELECT 1 FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND runs.experiment_id = ? LIMIT 1";
      return database.prepare(sql).get(key, Number(experimentId)) !== undefined;
    });
  }

  async *taggedRuns(experimentId: string, key: string, which: "all" | "deleted"): AsyncGenerator<RunTags> {
    const active = which === "all" ? "" : "AND lifecycle_stage = 'deleted'";
    const where = `experiment_id = ? ${active} AND EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = runs.run_uuid AND t.key = ?)`;
    yield* await this.#file.read((database) => runTagsOf(database, where, [Number(experimentId), key]));
  }

  async runTags(experimentId: string, ids: readonly string[]): Promise<RunTags[]> {
    const where = "experiment_id = ? AND run_uuid IN (SELECT value FROM json_each(?))";
    return this.#file.read((database) => runTagsOf(database, where, [Number(experimentId), JSON.stringify(ids)]));
  }

  async countsRuns(experimentId: string, key: string, count: number): Promise<"fewer" | "exactly" | "more"> {
    return this.#file.read((database) => {
      const sql =
        "SELECT count(*) AS n FROM tags JOIN runs USING (run_uuid) WHERE tags.key = ? AND runs.experiment_id = ?";
      const n = Number(database.prepare(sql).get(key, Number(experimentId))?.["n"]);
      return n < count ? "fewer" : n === count ? "exactly" : "more";
    });
  }

  get runLists(): RunLists {
    return this;
  }

  async run(runId: string): Promise<RunRecord | undefined> {
    return this.#file.read((database) => {
      const row = database.prepare("SELECT * FROM runs WHERE run_uuid = ?").get(runId);
      return row && recordOf(database, row);
    });
  }

  async createRun({ experimentId, name, startTime, user, tags }: NewRun, unless?: TakenBy): Promise<string> {
    return this.#file.write((database) => {
      if (unless !== undefined && this.#isTaken(database, experimentId, unless)) throw new RunTaken();
      const artifactLocation = requireActiveExperiment(database, experimentId);
      const id = randomUUID().replaceAll("-", "");
      database
        .prepare(
          `INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
             deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
           VALUES (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, NULL, NULL, '', 'active', ?, ?)`,
        )
        .run(id, name, user, startTime, `${artifactLocation}/${id}/artifacts`, Number(experimentId));
      putTag(database, id, "mlflow.runName", name);
      for (const [key, value] of tags) putTag(database, id, key, value);
      return id;
    });
  }

  async renameRun(runId: string, name: string): Promise<void> {
    return this.#file.write((database) => {
      requireActive(database, runId);
      const sql = "UPDATE runs SET name = ?, status = 'RUNNING', end_time = NULL WHERE run_uuid = ?";
      database.prepare(sql).run(name, runId);
      putTag(database, runId, "mlflow.runName", name);
    });
  }

  async setAside({ id, tags }: RunRecord, duplicateOf: string): Promise<void> {
    return this.#file.write((database) => {
      for (const [key, value] of duplicateTags(tags, duplicateOf)) putTag(database, id, key, value);
      const sql = "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = ? WHERE run_uuid = ?";
      database.prepare(sql).run(Date.now(), id);
    });
  }

  async artifacts({ id, artifactUri }: { id: string; artifactUri?: string | undefined }): Promise<ArtifactStore> {
    const known = artifactUri ?? (await this.run(id))?.artifactUri ?? "";
    const tracking = { kind: "database", folder: path.dirname(this.#file.path) } as const;
    return openArtifactStore({ artifactUri: known, tracking });
  }

  async logBatch(runId: string, { metrics, params, tags }: LogBatch): Promise<void> {
    return this.#file.write((database) => {
      requireActive(database, runId);
      const insertParam = database.prepare(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      );
      for (const [key, value] of params) insertParam.run(key, value, runId);
      putMetrics(database, runId, metrics);
      for (const [key, value] of tags) {
        putTag(database, runId, key, value);
        this.#file.tagged(runId, key, value);
      }
    }, metrics.length);
  }

  async *metricHistory(runId: string, key: string): AsyncGenerator<MetricColumns> {
    let last: SqlRow | undefined;
    for (;;) {
      const after = last;
      const rows = await this.#file.read((database) => historyRows(database, runId, key, after));
      if (rows.length > 0) yield columnsOfRows(key, rows);
      if (rows.length < POINTS_PER_PAGE) return;
      last = rows.at(-1);
    }
  }

  async updateRun(runId: string, status: RunStatus, endTime: number): Promise<void> {
    return this.#file.write((database) => {
      requireActive(database, runId);
      const end = status === "RUNNING" ? null : endTime;
      database.prepare("UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?").run(status, end, runId);
    });
  }

  experimentUrl(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#file.close();
  }

  #isTaken(database: Database, experimentId: string, { key, value, seen }: TakenBy): boolean {
    return this.#runsWith(database, experimentId, key, value).some((row) => !seen.has(String(row["run_uuid"])));
  }

  /** The rows of the experiment's runs that carry the tag with exactly this value, newest first. */
  #runsWith(database: Database, experimentId: string, key: string, value: string): SqlRow[] {
    const ids = this.#file.indexOf(key).idsOf(experimentId, value);
    if (ids.length === 0) return [];
    return database
      .prepare(
        `SELECT runs.* FROM runs JOIN tags USING (run_uuid) WHERE run_uuid IN (SELECT value FROM json_each(?))
         AND tags.key = ? AND tags.value = ? ORDER BY runs.start_time DESC`,
      )
      .all(JSON.stringify(ids), key, value);
  }
}
