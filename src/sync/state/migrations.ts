/** The tables of the state, and how those of an earlier version become them. */

import type { Database } from "../../sqlite.ts";
import { BARREN_SCHEMA } from "./barren-files.ts";

/** What version 2 was made with; what came later is in `MIGRATIONS`, so that a new state and an old one become the same. */
const SCHEMA = `
  CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    name TEXT NOT NULL,
    remote_id TEXT,
    done INTEGER NOT NULL,
    pages_due INTEGER NOT NULL,
    status TEXT NOT NULL,
    first_wall_time REAL,
    last_wall_time REAL,
    hparams_files TEXT NOT NULL,
    folds TEXT NOT NULL,
    projector_files TEXT NOT NULL,
    attached TEXT NOT NULL
  );
  CREATE INDEX run_by_name ON run (destination, name);
  CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (id),
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    head INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    "from" INTEGER NOT NULL,
    tail TEXT NOT NULL,
    stamp TEXT NOT NULL,
    restart_step TEXT,
    losses TEXT NOT NULL,
    counts TEXT NOT NULL,
    UNIQUE (run, key)
  );
  CREATE TABLE tag (
    run INTEGER NOT NULL REFERENCES run (id),
    member TEXT NOT NULL,
    tag TEXT NOT NULL,
    plugin TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    data_class INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (run, member, tag)
  ) WITHOUT ROWID;
  CREATE TABLE claim (
    run INTEGER NOT NULL REFERENCES run (id),
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (run, name)
  ) WITHOUT ROWID;
  PRAGMA user_version = 2;
`;

/** Step `i` brings a state of version `i + 2` to the next one. What is in it stays: a step never drops a row. */
const MIGRATIONS: readonly string[] = [
  // Of a run of an earlier version it is not known whether it is as it was left.
  `ALTER TABLE run ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
   CREATE TABLE destination (name TEXT PRIMARY KEY, memory TEXT NOT NULL) WITHOUT ROWID;`,
  // Nor under which choice it was sent, nor how it fell into segments.
  `ALTER TABLE run ADD COLUMN choice TEXT;
   ALTER TABLE run ADD COLUMN choices TEXT NOT NULL DEFAULT '[]';
   ALTER TABLE file ADD COLUMN base INTEGER;
   ALTER TABLE file ADD COLUMN choice TEXT;
   ALTER TABLE file ADD COLUMN until TEXT;`,
  BARREN_SCHEMA,
  // Nor where it lies.
  "ALTER TABLE run ADD COLUMN directory BLOB; ALTER TABLE file ADD COLUMN waypoints TEXT",
  "ALTER TABLE run ADD COLUMN cursor TEXT",
];

/** Of the tables, as `PRAGMA user_version` has it. */
export const VERSION: number = 2 + MIGRATIONS.length;

/** Create the tables, or bring them to this version; two processes may do so at the same time. */
export function migrate(database: Database): void {
  if (versionOf(database) < 2) {
    // No release has written version 1.
    database.exec(
      "DROP TABLE IF EXISTS claim; DROP TABLE IF EXISTS tag; DROP TABLE IF EXISTS file; DROP TABLE IF EXISTS run",
    );
    database.exec(SCHEMA);
  }
  for (let version = versionOf(database); version < VERSION; version++) {
    database.exec(MIGRATIONS[version - 2] as string);
    database.exec(`PRAGMA user_version = ${version + 1}`);
  }
}

export function versionOf(database: Database): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
}
