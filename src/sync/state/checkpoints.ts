/**
 * How far each destination has each file, kept in SQLite so that it survives this process, however that dies.
 *
 * A row moves only after the destination has acknowledged. The state makes a sync fast, not correct: without it, a run is
 * found again at its destination, and its files are read again up to where the destination has them. So the state may lag
 * behind the destination, as it may after a power failure, unless `save` is asked for more.
 */
import type { TagMetadata } from "../../reader/datum.ts";
import type { FsPath } from "../../reader/discover.ts";
import type { Database, SqlValue } from "../../sqlite.ts";
import type { RunElsewhere } from "../backend.ts";
import { type BarrenFile, BarrenFiles, type Finding } from "./barren-files.ts";
import { SessionFiles } from "./session-files.ts";
import { guard, openStateFile } from "./state-file.ts";
import { columnsOf, fileOf, idsOf, lastParsed, metadataOf, rowOf, runOf, sourceColumnsOf } from "./state-rows.ts";
import type { StoredFile, StoredRun } from "./stored-run.ts";

/** How much work a power failure may lose, which is then read again. ms. */
const FORCE_MS = 5000;

/** What was learnt about a run's tags since it was last saved. */
export interface Learnt {
  /** Tag metadata, by member and tag. */
  readonly metadata: Iterable<readonly [member: string, tag: string, metadata: TagMetadata]>;
  /** Who owns each name that a member's tag was given. */
  readonly claims: Iterable<readonly [name: string, owner: string]>;
}

/** The checkpoints of one destination. */
export class Checkpoints {
  readonly #database: Database;
  readonly #destination: string;
  readonly #readOnly: boolean;
  readonly #barren: BarrenFiles;
  readonly #sessionFiles = new Map<string, SessionFiles>();
  /** What happened to an earlier state that is unusable; undefined if there was none. */
  readonly loss: string | undefined;
  /** The rows of each run's files as this process last saved them, by key. */
  readonly #saved = new WeakMap<StoredRun, ReadonlyMap<string, readonly SqlValue[]>>();
  /** When the log was last synced, ms of `performance.now()`. */
  #forcedAt: number = -Infinity;

  private constructor(database: Database, destination: string, readOnly: boolean, loss: string | undefined) {
    this.#database = database;
    this.#destination = destination;
    this.#readOnly = readOnly;
    this.#barren = new BarrenFiles(database, destination);
    this.loss = loss;
  }

  /**
   * Open the state directory, or create it. A damaged state, as some disks leave behind after a power cut, is set aside and
   * replaced by a new one: see `loss`.
   *
   * @param destination names the destination, without credentials
   * @param options `readOnly`: nothing is written or created; what is saved is forgotten
   * @throws TraceletError `state` if it cannot be read or written, `unsupported` if this Node has no SQLite
   */
  static open(stateDir: string, destination: string, options: { readonly readOnly?: boolean } = {}): Checkpoints {
    const { readOnly = false } = options;
    return guard(stateDir, () => {
      const { database, loss } = openStateFile(stateDir, readOnly);
      return new Checkpoints(database, destination, readOnly, loss);
    });
  }

  /** The destinations in the state directory. @throws TraceletError `state`, `unsupported` */
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
        .prepare(
          `SELECT run.*, source_run.name, source_run.directory, source_run.folds
           FROM run JOIN source_run ON source_run.id = run.source WHERE destination = ? ORDER BY run.id`,
        )
        .iterate(this.#destination);
      for (const row of runRows) {
        const run = runOf(row, files.get(Number(row["id"])) ?? [], parse);
        push(runs, run.name, run);
      }
      return runs;
    });
  }

  /** What the other destinations have of a run that they call by the same id, as it is saved now. @throws TraceletError `state` */
  elsewhere(remoteId: string): RunElsewhere[] {
    return guard("the state", () => {
      const select = "SELECT id, destination, done FROM run WHERE remote_id = ? AND destination <> ? ORDER BY id";
      const files = this.#database.prepare("SELECT * FROM file WHERE run = ? ORDER BY id");
      return this.#database
        .prepare(select)
        .all(remoteId, this.#destination)
        .map(({ id, destination, done }) => ({
          destination: String(destination),
          isDone: done === 1,
          marks: files.all(Number(id)).map(fileOf),
        }));
    });
  }

  /** What `remember` last saved about the destination as a whole; undefined if nothing. */
  memory(): string | undefined {
    return guard("the state", () => {
      const row = this.#database.prepare("SELECT memory FROM destination WHERE name = ?").get(this.#destination);
      return row && String(row["memory"]);
    });
  }

  /**
   * Save what identifies the destination as a whole.
   *
   * @param confirmed runs that it is known to hold exactly as they were saved
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

  /** Mark runs as having work left. @throws TraceletError `state` */
  reopen(runs: readonly StoredRun[]): void {
    for (const run of runs) run.done = false;
    if (this.#readOnly || runs.length === 0) return;
    guard("the state", () =>
      this.#database.transaction(() =>
        this.#database.prepare("UPDATE run SET done = 0 WHERE id IN (SELECT value FROM json_each(?))").run(idsOf(runs)),
      ),
    );
  }

  /** Save the runs' new names, and mark them as having work left. @throws TraceletError `state` */
  rename(runs: readonly StoredRun[]): void {
    if (this.#readOnly || runs.length === 0) return;
    guard("the state", () =>
      this.#database.transaction(() => {
        const update = this.#database.prepare("UPDATE run SET source = ?, done = 0 WHERE id = ?");
        for (const run of runs) if (run.id !== undefined) update.run(this.#source(run), run.id);
      }),
    );
  }

  /** Save the runs' directories. @throws TraceletError `state` */
  place(runs: readonly StoredRun[]): void {
    if (this.#readOnly || runs.length === 0) return;
    guard("the state", () =>
      this.#database.transaction(() => {
        const update = this.#database.prepare("UPDATE run SET source = ? WHERE id = ?");
        for (const run of runs)
          if (run.directory !== undefined && run.id !== undefined) update.run(this.#source(run), run.id);
      }),
    );
  }

  /** Forget runs, as if they had never been sent. @throws TraceletError `state` */
  forget(runs: readonly StoredRun[]): void {
    guard("the state", () =>
      this.#database.transaction(() => {
        const ids = idsOf(runs);
        for (const table of ["claim", "tag", "file"])
          this.#database.prepare(`DELETE FROM ${table} WHERE run IN (SELECT value FROM json_each(?))`).run(ids);
        this.#database.prepare("DELETE FROM run WHERE id IN (SELECT value FROM json_each(?))").run(ids);
        this.#database.prepare("DELETE FROM source_run WHERE id NOT IN (SELECT source FROM run)").run();
        this.#database
          .prepare(
            `DELETE FROM session_file WHERE session IN (SELECT value FROM json_each(?))
               AND session NOT IN (SELECT name FROM source_run)`,
          )
          .run(JSON.stringify(runs.map(({ name }) => name)));
        this.#database.prepare("DELETE FROM tag_metadata WHERE id NOT IN (SELECT metadata FROM tag)").run();
        // Which run each belongs to is unknown; looking at all of them again costs little.
        this.#database.prepare("DELETE FROM barren WHERE destination = ?").run(this.#destination);
      }),
    );
  }

  /** What is known about a file with nothing to send, if its stamp is unchanged. @throws TraceletError `state` */
  barren(fsPath: FsPath, stamp: () => string): BarrenFile | undefined {
    return guard("the state", () => this.#barren.get(fsPath, stamp));
  }

  /**
   * Whether a file is another session's; see `SessionFiles`.
   *
   * @param session name of the one that asks
   * @throws TraceletError `state`
   */
  isOthers(session: string, fsPath: FsPath, decide: (() => boolean) | undefined): boolean {
    return guard("the state", () => {
      let files = this.#sessionFiles.get(session);
      if (files === undefined) files = new SessionFiles(this.#database, session, this.#readOnly);
      this.#sessionFiles.set(session, files);
      return files.isOthers(fsPath, decide);
    });
  }

  /** Save which files have nothing to send. @throws TraceletError `state` */
  saveBarren(found: readonly Finding[]): void {
    if (!this.#readOnly) guard("the state", () => this.#barren.save(found));
  }

  /** Tag metadata of a member of the run. */
  metadata(run: StoredRun, member: string): Map<string, TagMetadata> {
    if (run.id === undefined) return new Map();
    const id = run.id;
    return guard("the state", () => {
      const rows = this.#database.prepare(SELECT_METADATA).all(id, member);
      return new Map(rows.map((row) => [String(row["tag"]), metadataOf(row)]));
    });
  }

  /** Who owns each name that the tags of the run's members were given. */
  claims(run: StoredRun): Map<string, string> {
    if (run.id === undefined) return new Map();
    const id = run.id;
    return guard("the state", () => {
      const rows = this.#database.prepare("SELECT name, owner FROM claim WHERE run = ?").all(id);
      return new Map(rows.map((row) => [String(row["name"]), String(row["owner"])]));
    });
  }

  /**
   * Save a run, its files, and what was learnt about its tags since the last time: all or nothing. It survives this process
   * in any case.
   *
   * @param durably whether it also survives a power failure, which may otherwise bring back a state some seconds older
   * @throws TraceletError `state`; the caller must stop, since what it sends next would not be recorded
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
    const columns = [this.#source(run), ...columnsOf(run)];
    let id = run.id;
    if (id === undefined) {
      id = database
        .prepare(
          `INSERT INTO run (destination, source, remote_id, done, pages_due, status, first_wall_time, last_wall_time,
             hparams_files, projector_files, attached, choice, choices, cursor,
             run_name)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(this.#destination, ...columns).lastInsertRowid;
    } else {
      database
        .prepare(
          `UPDATE run SET confirmed = 0, source = ?, remote_id = ?, done = ?, pages_due = ?, status = ?,
             first_wall_time = ?, last_wall_time = ?, hparams_files = ?, projector_files = ?, attached = ?,
             choice = ?, choices = ?, cursor = ?, run_name = ?
           WHERE id = ?`,
        )
        .run(...columns, id);
    }
    this.#saveFiles(id, run);
    const insertMetadata = database.prepare(INSERT_METADATA);
    const insertTag = database.prepare(INSERT_TAG);
    for (const [member, tag, metadata] of learnt.metadata) {
      const { plugin, displayName, description, dataClass, content } = metadata;
      const columns = [plugin, displayName, description, dataClass, content];
      insertMetadata.run(...columns);
      insertTag.run(id, member, tag, ...columns);
    }
    const insertClaim = database.prepare("INSERT OR IGNORE INTO claim VALUES (?, ?, ?)");
    for (const [name, owner] of learnt.claims) insertClaim.run(id, name, owner);
    return id;
  }

  /** The row with the run's half of the source, which other destinations may share: found, or made. */
  #source(run: StoredRun): number {
    const columns = sourceColumnsOf(run);
    const known = this.#database
      .prepare("SELECT id FROM source_run WHERE name = ? AND directory IS ? AND folds = ?")
      .get(...columns);
    if (known !== undefined) return Number(known["id"]);
    return this.#database.prepare("INSERT INTO source_run (name, directory, folds) VALUES (?, ?, ?)").run(...columns)
      .lastInsertRowid;
  }

  /** A run may have thousands of files; a batch moves a few of them. */
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

const SELECT_METADATA = `
  SELECT tag.tag, tag_metadata.* FROM tag JOIN tag_metadata ON tag_metadata.id = tag.metadata
  WHERE tag.run = ? AND tag.member = ?`;
const INSERT_METADATA = `
  INSERT OR IGNORE INTO tag_metadata (plugin, display_name, description, data_class, content) VALUES (?, ?, ?, ?, ?)`;
const INSERT_TAG = `
  INSERT OR IGNORE INTO tag SELECT ?, ?, ?, id FROM tag_metadata
  WHERE plugin = ? AND display_name = ? AND description = ? AND data_class = ? AND content = ?`;

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
