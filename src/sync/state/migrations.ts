/**
 * The tables of the state, as numbered steps: a new state takes all of them, an old one those that it lacks, so that both end
 * up the same. A released step never changes, and none loses what an earlier version saved.
 *
 * The tables are two halves. `source_run` and `tag_metadata` hold facts about the source. Their rows never change, and every
 * destination that holds a fact refers to the same row. `run`, `file`, `tag` and `claim` say what one destination has.
 */

import { TraceletError } from "../../errors.ts";
import type { Database } from "../../sqlite.ts";
import { BARREN_SCHEMA } from "./barren-files.ts";
import { SESSION_FILE_SCHEMA } from "./session-files.ts";

/** Of 0.1.0. */
const FIRST_RELEASE = `
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
`;

/** Facts about the source move out of the rows of each destination. */
const TWO_HALVES = `
  CREATE TABLE source_run (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    directory BLOB,
    folds TEXT NOT NULL
  );
  CREATE INDEX source_run_by_name ON source_run (name);
  INSERT INTO source_run (name, directory, folds)
    SELECT name, directory, folds FROM run GROUP BY name, directory, folds ORDER BY min(id);
  ALTER TABLE run ADD COLUMN source INTEGER REFERENCES source_run (id);
  UPDATE run SET source = (
    SELECT id FROM source_run AS s WHERE s.name = run.name AND s.directory IS run.directory AND s.folds = run.folds
  );
  DROP INDEX run_by_name;
  ALTER TABLE run DROP COLUMN name;
  ALTER TABLE run DROP COLUMN directory;
  ALTER TABLE run DROP COLUMN folds;
  CREATE INDEX run_by_destination ON run (destination);
  CREATE INDEX run_by_source ON run (source);

  CREATE TABLE tag_metadata (
    id INTEGER PRIMARY KEY,
    plugin TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    data_class INTEGER NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (plugin, display_name, description, data_class, content)
  );
  INSERT INTO tag_metadata (plugin, display_name, description, data_class, content)
    SELECT DISTINCT plugin, display_name, description, data_class, content FROM tag;
  ALTER TABLE tag RENAME TO old_tag;
  CREATE TABLE tag (
    run INTEGER NOT NULL REFERENCES run (id),
    member TEXT NOT NULL,
    tag TEXT NOT NULL,
    metadata INTEGER NOT NULL REFERENCES tag_metadata (id),
    PRIMARY KEY (run, member, tag)
  ) WITHOUT ROWID;
  INSERT INTO tag
    SELECT run, member, tag, m.id FROM old_tag AS o JOIN tag_metadata AS m
      ON (m.plugin, m.display_name, m.description, m.data_class, m.content)
       = (o.plugin, o.display_name, o.description, o.data_class, o.content);
  DROP TABLE old_tag;
`;

/** By the version, as `PRAGMA user_version` has it, that each step brings a state to. */
const STEPS: ReadonlyMap<number, string> = new Map([
  [2, FIRST_RELEASE],
  // 0 and '': whether a run is as it was left, and which choice it was sent under, is not known of an earlier version's.
  [
    3,
    `ALTER TABLE run ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE destination (name TEXT PRIMARY KEY, memory TEXT NOT NULL) WITHOUT ROWID;`,
  ],
  [
    4,
    `ALTER TABLE run ADD COLUMN choice TEXT;
     ALTER TABLE run ADD COLUMN choices TEXT NOT NULL DEFAULT '[]';
     ALTER TABLE file ADD COLUMN base INTEGER;
     ALTER TABLE file ADD COLUMN choice TEXT;
     ALTER TABLE file ADD COLUMN until TEXT;`,
  ],
  [5, BARREN_SCHEMA],
  [6, "ALTER TABLE run ADD COLUMN directory BLOB; ALTER TABLE file ADD COLUMN waypoints TEXT"],
  [7, "ALTER TABLE run ADD COLUMN cursor TEXT"],
  [8, TWO_HALVES],
  [9, "ALTER TABLE run ADD COLUMN run_name TEXT"],
  [10, SESSION_FILE_SCHEMA],
]);

/** This version's. */
export const VERSION: number = Math.max(...STEPS.keys());
/** That of a file that SQLite has just made. */
const EMPTY = 0;
/** The first that was released. */
const FIRST = 2;

/**
 * Take the steps that a state lacks, in one transaction of the caller's; two processes may do so at the same time.
 *
 * @param to stops at an earlier version
 * @throws TraceletError `state` if no tracelet that was released has written it
 */
export function migrate(database: Database, to: number = VERSION): void {
  const from = versionOf(database);
  if (from !== EMPTY && from < FIRST) {
    throw new TraceletError(
      "state",
      "the state was written by a tracelet from before 0.1.0, which was never released",
      {
        hint: "remove state.db, or give another --state-dir: what was sent is found again at the destination",
      },
    );
  }
  for (const [version, sql] of STEPS) {
    if (version <= from || version > to) continue;
    database.exec(sql);
    database.exec(`PRAGMA user_version = ${version}`);
  }
}

export function versionOf(database: Database): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
}
