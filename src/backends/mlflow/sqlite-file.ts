/** The file of an MLflow's SQLite database: opened, followed where it is replaced, and shared with those that write to it. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { ContentRefused } from "../../net/refusal.ts";
import { type Database, openDatabase, sqliteFailure } from "../../sqlite.ts";
import { DatabaseLocked, type LockPatience, MOMENT_MS, whenFree } from "./database-lock.ts";
import { GroupCommit } from "./group-commit.ts";
import { RunIndex } from "./run-index.ts";
import { checkSchema, columnsOf, ensureSchema } from "./schema.ts";
import { RunTaken } from "./store.ts";

/** What a transaction changes stays in memory until it is committed: writing it earlier keeps readers out. KiB. */
const CACHE = 32 * 1024;

export interface SqliteFileOptions extends LockPatience {
  /** Nothing is created, and every method that would write throws. */
  readonly readOnly?: boolean | undefined;
}

export class SqliteFile {
  readonly path: string;
  /** Where the artifacts of new experiments go. */
  readonly artifactRoot: string;
  #database: Database;
  /** Which file it is: whoever removes it, or puts a backup in its place, leaves the one that is open without a name. */
  #identity: string;
  /** By the key of the tag. */
  readonly #indexes = new Map<string, RunIndex>();
  readonly #commits: GroupCommit;
  readonly #options: SqliteFileOptions;
  #hasWorkspaces = false;
  /** SQLite counts up when anybody changes the tables. */
  #schemaVersion = 0;

  private constructor(database: Database, file: string, size: number, options: SqliteFileOptions) {
    this.#database = database;
    this.#identity = identityOf(file);
    this.path = file;
    // MLflow takes it for a URI, of which it decodes the path.
    this.artifactRoot = path.join(path.dirname(file), "mlruns").replaceAll("%", "%25");
    this.#options = options;
    this.#learnSchema();
    this.#commits = new GroupCommit({
      transaction: (work) => this.#whenFree(() => this.#database.transaction(work)),
      size,
      mayBegin: () => this.#isSchemaKnown(),
    });
  }

  /**
   * @param size how much work one transaction holds
   * @throws DatabaseLocked if another process holds it; TraceletError `unsupported` if it is no MLflow database or this Node
   *   has no SQLite; `rejected` if it cannot be opened
   */
  static open(file: string, size: number, options: SqliteFileOptions): SqliteFile {
    return guard(file, () => {
      const database = connect(file, options.readOnly ?? false);
      try {
        return new SqliteFile(database, file, size, options);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  /** MLflow 3.10 gave experiments a workspace. */
  get hasWorkspaces(): boolean {
    return this.#hasWorkspaces;
  }

  /** Read as soon as nobody holds the database. */
  read<T>(work: (database: Database) => T): Promise<T> {
    return this.#whenFree(() => work(this.#database));
  }

  /** The same in the file that is at the path now, even where somebody has put a backup back into it. */
  readAnew<T>(work: (database: Database) => T): Promise<T> {
    return this.#whenFree(() => {
      this.#followFile();
      this.#indexes.clear();
      return work(this.#database);
    });
  }

  /** Write, in one transaction with what others ask for at about the same time. @param size of the work */
  write<T>(work: (database: Database) => T, size = 0): Promise<T> {
    return this.#commits.run(() => work(this.#database), size);
  }

  /** Which runs have a tag of this key. To be used within `read` or `write`. */
  indexOf(key: string): RunIndex {
    const known = this.#indexes.get(key) ?? new RunIndex(this.#database, key);
    this.#indexes.set(key, known);
    return known;
  }

  /** A run is given a tag. To be called within `write`. */
  tagged(runId: string, key: string, value: string): void {
    this.#indexes.get(key)?.add(runId, value);
  }

  close(): void {
    this.#database.close();
  }

  /** Go on in the file that is at the path now, if it is another one than before; one that was removed is made anew. */
  #followFile(): void {
    if (identityOf(this.path) === this.#identity) return;
    guard(this.path, () => {
      this.#database.close();
      this.#database = connect(this.path, this.#options.readOnly ?? false);
      this.#identity = identityOf(this.path);
      this.#indexes.clear();
    });
    this.#learnSchema();
  }

  /** False while an MLflow brings the tables up to date: it gets all the time it needs. */
  #isSchemaKnown(): Promise<boolean> {
    return this.#whenFree(() => {
      this.#followFile();
      if (schemaVersion(this.#database) === this.#schemaVersion) return true;
      this.#learnSchema();
      return false;
    });
  }

  /** @throws TraceletError `unsupported` if the tables are not those of an MLflow */
  #learnSchema(): void {
    guard(this.path, () => {
      if (this.#options.readOnly) checkSchema(this.#database, this.path);
      else ensureSchema(this.#database, this.path, this.artifactRoot);
      this.#hasWorkspaces = columnsOf(this.#database, "experiments").has("workspace");
      this.#schemaVersion = schemaVersion(this.#database);
    });
  }

  #whenFree<T>(work: () => T): Promise<T> {
    return whenFree(() => guard(this.path, work), this.#options);
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

function noDatabase(file: string): TraceletError {
  return new TraceletError("rejected", `there is no database ${file}`, {
    hint: "give the tracking URI that was synced to: --tracking-uri, or MLFLOW_TRACKING_URI",
  });
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
