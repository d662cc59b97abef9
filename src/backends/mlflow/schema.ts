/**
 * The tables of MLflow's tracking database, as much of them as tracelet touches.
 *
 * A database that does not exist yet is made with the tables of revision 97727af70f4d, the newest one of MLflow 2.0 to
 * 2.2: those open it as it stands, and every later MLflow misses tables of its own in it and therefore brings it up to
 * date by itself when it first opens it. (Where all of its tables are there but the revision is another, it refuses.)
 *
 * Source: mlflow/store/db_migrations, mlflow/store/db/utils.py (`_all_tables_exist`, `_initialize_tables`).
 */
import { TraceletError } from "../../errors.ts";
import type { Database } from "../../sqlite.ts";

/** Columns tracelet reads or writes; every MLflow from 2.0 on has them. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  experiments: ["experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time"],
  experiment_tags: ["key", "value", "experiment_id"],
  runs: [
    ...["run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"],
    ...["end_time", "deleted_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"],
  ],
  metrics: ["key", "value", "timestamp", "run_uuid", "step", "is_nan"],
  latest_metrics: ["key", "value", "timestamp", "step", "is_nan", "run_uuid"],
  params: ["key", "value", "run_uuid"],
  tags: ["key", "value", "run_uuid"],
};

/**
 * Create the tables where the database has none.
 *
 * @param artifactRoot directory below which each experiment has its artifacts
 * @throws TraceletError `unsupported` if it is a database of something else, or of an MLflow whose tables are others
 */
export function ensureSchema(database: Database, path: string, artifactRoot: string): void {
  database.transaction(() => {
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_master").get();
    if (tables?.["n"] === 0) create(database, artifactRoot);
  });
  checkSchema(database, path);
}

/** @throws TraceletError `unsupported` if it is a database of something else, or of an MLflow whose tables are others */
export function checkSchema(database: Database, path: string): void {
  for (const [table, columns] of Object.entries(REQUIRED)) {
    const there = columnsOf(database, table);
    const missing = columns.filter((column) => !there.has(column));
    if (missing.length === 0) continue;
    const what = there.size === 0 ? `table ${table}` : `column ${table}.${missing[0]}`;
    throw new TraceletError(
      "unsupported",
      `${path} is no MLflow database that tracelet can write to: it has no ${what}`,
      {
        hint: "give another file, or bring it up to date with a newer MLflow: mlflow db upgrade sqlite:///<file>",
      },
    );
  }
}

/** The names of a table's columns; none if there is no such table. */
export function columnsOf(database: Database, table: string): Set<string> {
  const rows = database.prepare("SELECT name FROM pragma_table_info(?)").all(table);
  return new Set(rows.map((row) => String(row["name"])));
}

function create(database: Database, artifactRoot: string): void {
  database.exec(TABLES);
  const now = Date.now();
  database
    .prepare(
      `INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
       VALUES (0, 'Default', ?, 'active', ?, ?)`,
    )
    .run(`${artifactRoot}/0`, now, now);
}

const TABLES = `
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE experiments (
  experiment_id INTEGER NOT NULL,
  name VARCHAR(256) NOT NULL,
  artifact_location VARCHAR(256),
  lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT,
  CONSTRAINT experiment_pk PRIMARY KEY (experiment_id),
  CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')),
  UNIQUE (name)
);
CREATE TABLE "runs" (
  run_uuid VARCHAR(32) NOT NULL,
  name VARCHAR(250),
  source_type VARCHAR(20),
  source_name VARCHAR(500),
  entry_point_name VARCHAR(50),
  user_id VARCHAR(256),
  status VARCHAR(9),
  start_time BIGINT,
  end_time BIGINT,
  source_version VARCHAR(50),
  lifecycle_stage VARCHAR(20),
  artifact_uri VARCHAR(200),
  experiment_id INTEGER, deleted_time BIGINT,
  CONSTRAINT run_pk PRIMARY KEY (run_uuid),
  CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')),
  CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')),
  FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id),
  CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
CREATE TABLE experiment_tags (
  "key" VARCHAR(250) NOT NULL,
  value VARCHAR(5000),
  experiment_id INTEGER NOT NULL,
  CONSTRAINT experiment_tag_pk PRIMARY KEY ("key", experiment_id),
  FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id)
);
CREATE TABLE "tags" (
  "key" VARCHAR(250) NOT NULL,
  value VARCHAR(5000),
  run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid),
  FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
CREATE TABLE "params" (
  "key" VARCHAR(250) NOT NULL,
  value VARCHAR(500) NOT NULL,
  run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid),
  FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
CREATE TABLE "metrics" (
  "key" VARCHAR(250) NOT NULL,
  value FLOAT NOT NULL,
  timestamp BIGINT NOT NULL,
  run_uuid VARCHAR(32) NOT NULL,
  step BIGINT DEFAULT '0' NOT NULL,
  is_nan BOOLEAN DEFAULT '0' NOT NULL,
  CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan),
  FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid),
  CHECK (is_nan IN (0, 1))
);
CREATE TABLE "latest_metrics" (
  "key" VARCHAR(250) NOT NULL,
  value FLOAT NOT NULL,
  timestamp BIGINT,
  step BIGINT NOT NULL,
  is_nan BOOLEAN NOT NULL,
  run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid),
  FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid),
  CHECK (is_nan IN (0, 1))
);
CREATE TABLE registered_models (
  name VARCHAR(256) NOT NULL,
  creation_time BIGINT,
  last_updated_time BIGINT,
  description VARCHAR(5000),
  CONSTRAINT registered_model_pk PRIMARY KEY (name),
  UNIQUE (name)
);
CREATE TABLE registered_model_tags (
  "key" VARCHAR(250) NOT NULL,
  value VARCHAR(5000),
  name VARCHAR(256) NOT NULL,
  CONSTRAINT registered_model_tag_pk PRIMARY KEY ("key", name),
  FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE cascade
);
CREATE TABLE "model_versions" (
  name VARCHAR(256) NOT NULL,
  version INTEGER NOT NULL,
  creation_time BIGINT,
  last_updated_time BIGINT,
  description VARCHAR(5000),
  user_id VARCHAR(256),
  current_stage VARCHAR(20),
  source VARCHAR(500),
  run_id VARCHAR(32),
  status VARCHAR(20),
  status_message VARCHAR(500),
  run_link VARCHAR(500),
  CONSTRAINT model_version_pk PRIMARY KEY (name, version),
  FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE CASCADE
);
CREATE TABLE model_version_tags (
  "key" VARCHAR(250) NOT NULL,
  value VARCHAR(5000),
  name VARCHAR(256) NOT NULL,
  version INTEGER NOT NULL,
  CONSTRAINT model_version_tag_pk PRIMARY KEY ("key", name, version),
  FOREIGN KEY(name, version) REFERENCES model_versions (name, version) ON UPDATE cascade
);
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
INSERT INTO alembic_version (version_num) VALUES ('97727af70f4d');
`;
