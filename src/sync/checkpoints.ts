/**
 * What each destination has of each file, kept in SQLite so that it survives this process, however that dies.
 *
 * A row moves only after the destination has acknowledged. Nothing here is needed to be right, only to be quick: a run
 * is found again at its destination without it, and is then read again up to where the destination has it. So a state may
 * be an older one than the destination's, and a power failure may leave one that is, unless it is asked for more.
 */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import type { TagMetadata } from "../reader/datum.ts";
import type { FsPath } from "../reader/discover.ts";
import type { Loss } from "../reader/tfrecord.ts";
import type { FinalStatus } from "./backend.ts";
import { BARREN_SCHEMA, type BarrenFile, BarrenFiles, type Finding } from "./barren-files.ts";
import { ageOf } from "./file-age.ts";
import type { FileMark } from "./fingerprint.ts";
import type { Fold } from "./folds.ts";
import { type Database, openDatabase, type SqlRow, type SqlValue } from "./sqlite.ts";

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
];

const VERSION = 2 + MIGRATIONS.length;

/** How old what a power failure takes may be: so much is read again then, ms. */
const FORCE_MS = 5000;

/** What is known of a file. */
export interface StoredFile extends FileMark {
  /** Size, modification time and inode when it was last looked at: if none has changed, neither has the file. */
  readonly stamp: string;
  /** The least step of a `SessionLog START` before `offset`. */
  readonly restartStep: bigint | undefined;
  /** What was passed over before `offset`. */
  readonly losses: readonly Loss[];
  /** How many steps its series have had before `offset`: a `SeriesCounts` as JSON. */
  readonly counts: string;
}

/** What is known of a run. */
export interface StoredRun {
  /** This state's own number of it; undefined while it has not been saved. */
  id: number | undefined;
  name: string;
  /** Where its directory really lies; undefined where that is not known. The bytes of the path. */
  directory: Uint8Array | undefined;
  /** The destination's name of it; undefined before it was opened there. */
  remoteId: string | undefined;
  /** False while something is left to be done. */
  done: boolean;
  /** Whether the destination was left something to be known again by since the run was last saved. */
  isConfirmed: boolean;
  /** Whether values were sent that its pages do not show yet. */
  pagesDue: boolean;
  /** How the run ends, as far as its hyperparameter sessions have told. */
  status: FinalStatus;
  /** Seconds since the Unix epoch; undefined before the first event, and where that has none. */
  firstWallTime: number | undefined;
  /** Seconds since the Unix epoch; -Infinity before the first event. */
  lastWallTime: number;
  /** Stamps of the `hparams.yaml` files whose params were sent, by the paths of the members that they lie in. */
  hparamsFiles: ReadonlyMap<string, string>;
  /** The members that were folded into it, by their paths. */
  folds: ReadonlyMap<string, Fold>;
  /** Stamps of the `projector_config.pbtxt` files whose embeddings were sent, by the paths of the members. */
  projectorFiles: ReadonlyMap<string, string>;
  /** Stamps of the source's files that were sent as they are, by path. */
  attached: ReadonlyMap<string, string>;
  /** Id of the choice that all there is of it was sent under; undefined if a version before 0.2 has sent it. */
  choice: string | undefined;
  /** The text of each choice that some of it was sent under, by id. */
  choices: ReadonlyMap<string, string>;
  files: readonly StoredFile[];
}

/** What was learnt of a run's tags since it was last saved. */
export interface Learnt {
  /** What the values of a member said of their tags. */
  readonly metadata: Iterable<readonly [member: string, tag: string, metadata: TagMetadata]>;
  /** Whose the names are that members' tags were given. */
  readonly claims: Iterable<readonly [name: string, owner: string]>;
}

/** The checkpoints of one destination. */
export class Checkpoints {
  readonly #database: Database;
  readonly #destination: string;
  readonly #readOnly: boolean;
  readonly #barren: BarrenFiles;
  /** What has become of an earlier state that cannot be used; undefined if nothing has. */
  readonly loss: string | undefined;
  /** What this process has last saved of the runs' files, by their keys. */
  readonly #saved = new WeakMap<StoredRun, ReadonlyMap<string, readonly SqlValue[]>>();
  /** When the log was last forced to the disk, ms of `performance.now()`. */
  #forcedAt: number = -Infinity;

  private constructor(database: Database, destination: string, readOnly: boolean, loss: string | undefined) {
    this.#database = database;
    this.#destination = destination;
    this.#readOnly = readOnly;
    this.#barren = new BarrenFiles(database, destination);
    this.loss = loss;
  }

  /**
   * Open the state directory, creating it where it is missing. A state that is damaged, as some disks leave it behind after
   * a power cut, is set aside for a new one: see `loss`.
   *
   * @param destination names the destination, without credentials
   * @param options `readOnly`: what is saved is forgotten, and nothing is created
   * @throws TraceletError `state` if it cannot be read or written, `unsupported` if this Node has no SQLite
   */
  static open(stateDir: string, destination: string, options: { readonly readOnly?: boolean } = {}): Checkpoints {
    const { readOnly = false } = options;
    const existing = path.join(stateDir, "state.db");
    return guard(stateDir, () => {
      if (readOnly) {
        const file = existsSync(existing) ? existing : ":memory:";
        return new Checkpoints(openState(stateDir, file), destination, true, undefined);
      }
      mkdirSync(stateDir, { recursive: true, mode: 0o700 });
      const before = statSync(existing, { bigint: true, throwIfNoEntry: false });
      try {
        const database = openWholeState(stateDir, existing);
        // SQLite takes it for a new one, and another process may have made one just now.
        const wasCut = before?.size === 0n && ageOf(before.birthtimeNs) > NEW_MS;
        const loss = wasCut ? `the state in ${stateDir} is empty, as after a power cut: ${FOUND_AGAIN}` : undefined;
        return new Checkpoints(database, destination, false, loss);
      } catch (error) {
        const damage = damageOf(error);
        if (damage === undefined || before === undefined) throw error;
        setAside(existing, before.ino);
        const loss = `the state in ${stateDir} is damaged, as after a power cut, and was set aside (${damage}): ${FOUND_AGAIN}`;
        return new Checkpoints(openWholeState(stateDir, existing), destination, false, loss);
      }
    });
  }

  /** The destinations that the state directory knows. @throws TraceletError `state`, `unsupported` */
  static destinations(stateDir: string): string[] {
    const checkpoints = Checkpoints.open(stateDir, "", { readOnly: true });
    const rows = checkpoints.#database.prepare("SELECT DISTINCT destination FROM run ORDER BY destination").all();
    checkpoints.close();
    return rows.map((row) => String(row["destination"]));
  }

  /** Every run of the destination, by name. */
  runs(): Map<string, StoredRun[]> {
    return guard("the state", () => {
      const files = new Map<number, StoredFile[]>();
      const fileRows = this.#database
        .prepare("SELECT file.* FROM file JOIN run ON run.id = file.run WHERE run.destination = ? ORDER BY file.id")
        .iterate(this.#destination);
      for (const row of fileRows) push(files, Number(row["run"]), fileOf(row));
      const runs = new Map<string, StoredRun[]>();
      const parse = lastParsed<string>();
      const runRows = this.#database
        .prepare("SELECT * FROM run WHERE destination = ? ORDER BY id")
        .iterate(this.#destination);
      for (const row of runRows) {
        const run = runOf(row, files.get(Number(row["id"])) ?? [], parse);
        push(runs, run.name, run);
      }
      return runs;
    });
  }

  /** What the destination is known again by; undefined if it was left nothing. */
  memory(): string | undefined {
    return guard("the state", () => {
      const row = this.#database.prepare("SELECT memory FROM destination WHERE name = ?").get(this.#destination);
      return row && String(row["memory"]);
    });
  }

  /**
   * Save what is known of the destination as a whole.
   *
   * @param confirmed the runs that it is known to have as they were saved
   * @throws TraceletError `state`
   */
  remember(memory: string, confirmed: readonly StoredRun[] = []): void {
    if (this.#readOnly) return;
    guard("the state", () =>
      this.#database.transaction(() => {
        const upsert =
          "INSERT INTO destination VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET memory = excluded.memory";
        this.#database.prepare(upsert).run(this.#destination, memory);
        this.#database
          .prepare("UPDATE run SET confirmed = 1 WHERE id IN (SELECT value FROM json_each(?))")
          .run(idsOf(confirmed));
      }),
    );
  }

  /** Note that there is something to be done about runs. @throws TraceletError `state` */
  reopen(runs: readonly StoredRun[]): void {
    for (const run of runs) run.done = false;
    if (this.#readOnly || runs.length === 0) return;
    guard("the state", () =>
      this.#database.transaction(() =>
        this.#database.prepare("UPDATE run SET done = 0 WHERE id IN (SELECT value FROM json_each(?))").run(idsOf(runs)),
      ),
    );
  }

  /** Remember runs under the names that they have now, and that there is something to be done about them. @throws TraceletError `state` */
  rename(runs: readonly StoredRun[]): void {
    if (this.#readOnly || runs.length === 0) return;
    guard("the state", () =>
      this.#database.transaction(() => {
        const update = this.#database.prepare("UPDATE run SET name = ?, directory = NULL, done = 0 WHERE id = ?");
        for (const { name, id } of runs) if (id !== undefined) update.run(name, id);
      }),
    );
  }

  /** Forget runs as if they had never been sent. @throws TraceletError `state` */
  forget(runs: readonly StoredRun[]): void {
    guard("the state", () =>
      this.#database.transaction(() => {
        const ids = idsOf(runs);
        for (const table of ["claim", "tag", "file"])
          this.#database.prepare(`DELETE FROM ${table} WHERE run IN (SELECT value FROM json_each(?))`).run(ids);
        this.#database.prepare("DELETE FROM run WHERE id IN (SELECT value FROM json_each(?))").run(ids);
        // Which run each of these is in is not remembered; to look at all of them again costs little.
        this.#database.prepare("DELETE FROM barren WHERE destination = ?").run(this.#destination);
      }),
    );
  }

  /** What is remembered of a file in which there was nothing to send, if it still looks as it did. @throws TraceletError `state` */
  barren(fsPath: FsPath, stamp: string): BarrenFile | undefined {
    return guard("the state", () => this.#barren.get(fsPath, stamp));
  }

  /** Remember in which files there is nothing to send. @throws TraceletError `state` */
  saveBarren(found: readonly Finding[]): void {
    if (!this.#readOnly) guard("the state", () => this.#barren.save(found));
  }

  /** What the files of a member of the run said of their tags. */
  metadata(run: StoredRun, member: string): Map<string, TagMetadata> {
    if (run.id === undefined) return new Map();
    const id = run.id;
    return guard("the state", () => {
      const rows = this.#database.prepare("SELECT * FROM tag WHERE run = ? AND member = ?").all(id, member);
      return new Map(rows.map((row) => [String(row["tag"]), metadataOf(row)]));
    });
  }

  /** Whose the names are that the tags of the run's members were given. */
  claims(run: StoredRun): Map<string, string> {
    if (run.id === undefined) return new Map();
    const id = run.id;
    return guard("the state", () => {
      const rows = this.#database.prepare("SELECT name, owner FROM claim WHERE run = ?").all(id);
      return new Map(rows.map((row) => [String(row["name"]), String(row["owner"])]));
    });
  }

  /**
   * Save a run, its files, and what was learnt of its tags since the last time: all of it or nothing. It survives this
   * process in any case.
   *
   * @param durably whether it survives a power failure too; otherwise that may bring back what was saved seconds before
   * @throws TraceletError `state`; the caller then has to stop, since what it goes on to send would not be remembered
   */
  save(run: StoredRun, learnt: Learnt, durably = false): void {
    run.isConfirmed = false;
    if (this.#readOnly) return;
    run.id = guard("the state", () => {
      const isForced = durably || performance.now() - this.#forcedAt > FORCE_MS;
      if (!isForced) return this.#saveWhole(run, learnt);
      this.#database.exec("PRAGMA synchronous = FULL");
      try {
        return this.#saveWhole(run, learnt);
      } finally {
        this.#database.exec("PRAGMA synchronous = NORMAL");
        this.#forcedAt = performance.now();
      }
    });
  }

  close(): void {
    this.#database.close();
  }

  #saveWhole(run: StoredRun, learnt: Learnt): number {
    try {
      return this.#database.transaction(() => this.#save(run, learnt));
    } catch (error) {
      this.#saved.delete(run);
      throw error;
    }
  }

  #save(run: StoredRun, learnt: Learnt): number {
    const database = this.#database;
    const { remoteId, done, pagesDue, status, firstWallTime } = run;
    const lastWallTime = run.lastWallTime === -Infinity ? null : run.lastWallTime;
    const columns = [
      remoteId ?? null,
      done ? 1 : 0,
      pagesDue ? 1 : 0,
      status,
      firstWallTime ?? null,
      lastWallTime,
      jsonOf(run.hparamsFiles),
      jsonOf(run.folds),
      jsonOf(run.projectorFiles),
      jsonOf(run.attached),
      run.choice ?? null,
      jsonOf(run.choices),
      run.directory ?? null,
    ];
    let id = run.id;
    if (id === undefined) {
      id = database
        .prepare(
          `INSERT INTO run (destination, name, remote_id, done, pages_due, status, first_wall_time, last_wall_time,
             hparams_files, folds, projector_files, attached, choice, choices, directory)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(this.#destination, run.name, ...columns).lastInsertRowid;
    } else {
      database
        .prepare(
          `UPDATE run SET confirmed = 0, remote_id = ?, done = ?, pages_due = ?, status = ?, first_wall_time = ?, last_wall_time = ?,
             hparams_files = ?, folds = ?, projector_files = ?, attached = ?, choice = ?, choices = ?,
             directory = ?
           WHERE id = ?`,
        )
        .run(...columns, id);
    }
    this.#saveFiles(id, run);
    const insertTag = database.prepare("INSERT OR IGNORE INTO tag VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    for (const [member, tag, metadata] of learnt.metadata) {
      const { plugin, displayName, description, dataClass, content } = metadata;
      insertTag.run(id, member, tag, plugin, displayName, description, dataClass, content);
    }
    const insertClaim = database.prepare("INSERT OR IGNORE INTO claim VALUES (?, ?, ?)");
    for (const [name, owner] of learnt.claims) insertClaim.run(id, name, owner);
    return id;
  }

  /** A run may have thousands of files, of which a batch moves a few. */
  #saveFiles(id: number, run: StoredRun): void {
    const rows = new Map(run.files.map((file) => [file.key, rowOf(file)]));
    const before = this.#saved.get(run);
    if (before === undefined || [...before.keys()].some((key) => !rows.has(key)))
      this.#database
        .prepare("DELETE FROM file WHERE run = ? AND key NOT IN (SELECT value FROM json_each(?))")
        .run(id, JSON.stringify([...rows.keys()]));
    const upsert = this.#database.prepare(`
      INSERT INTO file (run, key, name, head, offset, "from", tail, stamp, restart_step, losses, counts, base, choice,
        until, waypoints)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (run, key) DO UPDATE SET name = excluded.name, head = excluded.head, offset = excluded.offset,
        "from" = excluded."from", tail = excluded.tail, stamp = excluded.stamp, restart_step = excluded.restart_step,
        losses = excluded.losses, counts = excluded.counts, base = excluded.base, choice = excluded.choice,
        until = excluded.until, waypoints = excluded.waypoints`);
    for (const [key, row] of rows) {
      const known = before?.get(key);
      if (known === undefined || row.some((value, column) => value !== known[column])) upsert.run(id, key, ...row);
    }
    this.#saved.set(run, rows);
  }
}

/** Create the tables, or bring them to this version; two processes may do so at the same time. */
function migrate(database: Database): void {
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

function versionOf(database: Database): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
}

/** @throws TraceletError `state` if a newer tracelet has written it; SQLite's errors */
function openState(stateDir: string, file: string): Database {
  const database = openDatabase(file, { busyTimeout: BUSY_MS });
  try {
    // What is committed survives the process. A power failure takes the last commits, in their order: the log is only
    // forced to the disk now and then, and by `save` for what no destination would tell again.
    useLog(database);
    database.exec("PRAGMA synchronous = NORMAL");
    const version = versionOf(database);
    if (version > VERSION) {
      throw new TraceletError("state", `the state in ${stateDir} was written by a newer tracelet`, {
        hint: "update tracelet, or give another --state-dir",
      });
    }
    if (version < VERSION) database.transaction(() => migrate(database));
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** SQLite does not wait, whatever its timeout, where several processes turn the log on at the same moment. */
function useLog(database: Database): void {
  const end = performance.now() + BUSY_MS;
  for (;;) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      const { code, errcode } = error as { code?: unknown; errcode?: unknown };
      const isBusy = String(code).startsWith("SQLITE_BUSY") || (Number(errcode) & 0xff) === BUSY;
      if (!isBusy || performance.now() > end) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

/** @throws StateDamaged if SQLite's own look at the whole file finds something; what `openState` throws */
function openWholeState(stateDir: string, file: string): Database {
  const database = openState(stateDir, file);
  try {
    chmodSync(file, 0o600);
    const found = String(database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"]);
    if (found !== "ok") throw new StateDamaged(found);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

class StateDamaged extends Error {
  override readonly name = "StateDamaged";
}

/** What an error says of damage; undefined if it is about something else. */
function damageOf(error: unknown): string | undefined {
  if (error instanceof StateDamaged) return error.message;
  const { code, errcode, message } = error as { code?: unknown; errcode?: unknown; message: string };
  const isDamage = /^SQLITE_(NOTADB|CORRUPT)/.test(String(code)) || errcode === NOTADB || errcode === CORRUPT;
  return isDamage ? message : undefined;
}

/** @param inode of the file that is damaged: another process may have found it, too, and put a new one in its place */
function setAside(file: string, inode: bigint): void {
  if (statSync(file, { bigint: true, throwIfNoEntry: false })?.ino !== inode) return;
  renameSync(file, `${file}.damaged`);
  for (const part of ["-wal", "-shm"]) rmSync(`${file}${part}`, { force: true });
}

const FOUND_AGAIN = "what was sent is found again at the destination";
const BUSY_MS = 10_000;
/** How long it may take a process that makes a new state to write into it, ms. */
const NEW_MS = 200;
/** https://www.sqlite.org/rescode.html */
const BUSY = 5;
const CORRUPT = 11;
const NOTADB = 26;

function guard<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TraceletError) throw cause;
    throw new TraceletError("state", `cannot use ${what}: ${(cause as Error).message}`, {
      hint: "check that the state directory is writable and its disk not full, or give another with --state-dir",
      cause,
    });
  }
}

function runOf(
  row: SqlRow,
  files: readonly StoredFile[],
  choicesOf: (column: unknown) => ReadonlyMap<string, string>,
): StoredRun {
  return {
    id: Number(row["id"]),
    name: String(row["name"]),
    directory: row["directory"] === null ? undefined : (row["directory"] as Uint8Array),
    remoteId: row["remote_id"] === null ? undefined : String(row["remote_id"]),
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
    files,
  };
}

/** What is stored of a file beside its key. */
function rowOf({ name, head, offset, from, tail, stamp, restartStep, ...rest }: StoredFile): SqlValue[] {
  const { losses, counts, base, choice, until, waypoints } = rest;
  const progress = [name, head, offset, from, tail, stamp, restartStep === undefined ? null : String(restartStep)];
  const texts = [losses.length === 0 ? NONE : JSON.stringify(losses), counts];
  const choices = [base ?? null, choice ?? null, until === undefined ? null : JSON.stringify(until)];
  return [...progress, ...texts, ...choices, waypoints?.join(" ") ?? null];
}

function fileOf(row: SqlRow): StoredFile {
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

function metadataOf(row: SqlRow): TagMetadata {
  return {
    plugin: String(row["plugin"]),
    displayName: String(row["display_name"]),
    description: String(row["description"]),
    dataClass: Number(row["data_class"]),
    content: row["content"] as Uint8Array,
  };
}

/** As `json_each` takes them. */
function idsOf(runs: readonly StoredRun[]): string {
  return JSON.stringify(runs.flatMap(({ id }) => id ?? []));
}

function jsonOf(map: ReadonlyMap<string, unknown>): string {
  return JSON.stringify([...map]);
}

function mapOf<V>(column: unknown): ReadonlyMap<string, V> {
  return column === NONE ? NO_ENTRIES : new Map(JSON.parse(String(column)) as [string, V][]);
}

/** The same for what mostly is as in the row before. */
function lastParsed<V>(): (column: unknown) => ReadonlyMap<string, V> {
  let [last, map]: [unknown, ReadonlyMap<string, V>] = [NONE, NO_ENTRIES];
  return (column) => {
    if (column !== last) [last, map] = [column, mapOf(column)];
    return map;
  };
}

/** Most of ten thousand runs have none of these, and need no map of their own for it. */
const NONE = "[]";
const NO_ENTRIES: ReadonlyMap<string, never> = new Map<string, never>();
const NO_LOSSES: readonly Loss[] = [];

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
