/**
 * SQLite, through the driver that this Node has: `node:sqlite` from 22.13 on, `better-sqlite3` before. The checkpoints and the
 * embedded MLflow store use it.
 */
import { accessSync } from "node:fs";
import { createRequire } from "node:module";
import { TraceletError } from "./errors.ts";

/** What SQLite stores. Integers come back as numbers; none that tracelet reads back exceeds 2^53. */
export type SqlValue = number | bigint | string | Uint8Array | null;
export type SqlRow = Record<string, SqlValue>;

/** Values of parameters that have names, without their `$`. */
export type NamedValues = Readonly<Record<string, SqlValue>>;

export interface Statement {
  /** @param values of `?` parameters, in order; named ones come first, as one object */
  run(...values: (SqlValue | NamedValues)[]): { readonly lastInsertRowid: number };
  get(...values: SqlValue[]): SqlRow | undefined;
  all(...values: SqlValue[]): SqlRow[];
  /** The same, one at a time; until the last one is taken, nothing else may use the database. */
  iterate(...values: SqlValue[]): IterableIterator<SqlRow>;
}

/** An open database. Statements are synchronous; errors are SQLite's own: see `sqliteFailure`. */
export interface Database {
  exec(sql: string): void;
  /** Compiled once for each text. */
  prepare(sql: string): Statement;
  /** Run `work` in one immediate transaction: all of it, or nothing. */
  transaction<T>(work: () => T): T;
  close(): void;
}

export interface OpenOptions {
  /** How long to wait for another process' transaction, in ms. */
  readonly busyTimeout: number;
  /** Fail instead of creating the file. */
  readonly mustExist?: boolean;
  /** Change nothing; the file must exist. */
  readonly readOnly?: boolean;
}

/**
 * @throws TraceletError `unsupported` if this Node has no driver; SQLite's own error if the file cannot be opened
 */
export function openDatabase(path: string, options: OpenOptions): Database {
  driver ??= loadDriver();
  return driver(path, options);
}

/** `busy`: another connection holds the lock. `constraint`: a row breaks one. `damaged`: the file is, or is no database. */
export type SqliteFailure = "busy" | "constraint" | "damaged";

/** @returns undefined for any other error */
export function sqliteFailure(error: unknown): SqliteFailure | undefined {
  // `better-sqlite3` names the code, `node:sqlite` numbers it. The lowest byte is the primary one.
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  const name = /^SQLITE_([A-Z]+)/.exec(String(code))?.[1] ?? "";
  return FAILURES.get(name) ?? FAILURES.get(Number(errcode) & 0xff);
}

/** https://www.sqlite.org/rescode.html */
const FAILURES: ReadonlyMap<string | number, SqliteFailure> = new Map<string | number, SqliteFailure>([
  ["BUSY", "busy"],
  [5, "busy"],
  ["CONSTRAINT", "constraint"],
  [19, "constraint"],
  ["CORRUPT", "damaged"],
  [11, "damaged"],
  ["NOTADB", "damaged"],
  [26, "damaged"],
]);

type Driver = (path: string, options: OpenOptions) => Database;

let driver: Driver | undefined;

/** The part of either driver's API that is used; both have it. */
interface NativeStatement {
  run(...values: (SqlValue | NamedValues)[]): { lastInsertRowid: number | bigint };
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
  iterate(...values: SqlValue[]): IterableIterator<unknown>;
}
interface NativeDatabase {
  exec(sql: string): void;
  prepare(sql: string): NativeStatement;
  close(): void;
}
interface NodeSqlite {
  DatabaseSync: new (path: string, options: { timeout: number; readOnly: boolean }) => NativeDatabase;
}
type BetterSqlite3 = new (
  path: string,
  options: { timeout: number; fileMustExist: boolean; readonly: boolean },
) => NativeDatabase;

function loadDriver(): Driver {
  const require = createRequire(import.meta.url);
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  if (major > 22 || (major === 22 && minor >= 13)) {
    const { DatabaseSync } = withoutExperimentalWarning(() => require("node:sqlite") as NodeSqlite);
    return (path, options) => {
      if (options.mustExist) accessSync(path);
      return wrap(new DatabaseSync(path, { timeout: options.busyTimeout, readOnly: options.readOnly ?? false }));
    };
  }
  try {
    const BetterSqlite3 = require("better-sqlite3") as BetterSqlite3;
    new BetterSqlite3(":memory:", { timeout: 0, fileMustExist: false, readonly: false }).close();
    return (path, { busyTimeout, mustExist = false, readOnly = false }) =>
      wrap(new BetterSqlite3(path, { timeout: busyTimeout, fileMustExist: mustExist, readonly: readOnly }));
  } catch (cause) {
    throw new TraceletError(
      "unsupported",
      `Node ${process.versions.node} has no SQLite, which tracelet keeps its state in`,
      {
        hint: "use Node 22.13 or newer, or install the driver for this one: npm install better-sqlite3@12.9.0 --foreground-scripts",
        cause,
      },
    );
  }
}

function wrap(native: NativeDatabase): Database {
  const statements = new Map<string, Statement>();
  const database: Database = {
    exec: (sql) => native.exec(sql),
    prepare(sql) {
      const known = statements.get(sql);
      if (known !== undefined) return known;
      const compiled = native.prepare(sql);
      const statement: Statement = {
        run: (...values) => ({ lastInsertRowid: Number(compiled.run(...values).lastInsertRowid) }),
        get: (...values) => compiled.get(...values) as SqlRow | undefined,
        all: (...values) => compiled.all(...values) as SqlRow[],
        iterate: (...values) => compiled.iterate(...values) as IterableIterator<SqlRow>,
      };
      statements.set(sql, statement);
      return statement;
    },
    transaction(work) {
      native.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        native.exec("COMMIT");
        return result;
      } catch (error) {
        // SQLite has already rolled back by itself after some errors (disk full), and says so if it is told again.
        try {
          native.exec("ROLLBACK");
        } catch {}
        throw error;
      }
    },
    close: () => native.close(),
  };
  return database;
}

/** Node 22 calls `node:sqlite` experimental on stderr; what is used of it has not changed since. */
function withoutExperimentalWarning<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
