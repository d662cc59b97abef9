/** The state file: opens it, migrates it, sets it aside if it is damaged. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { ageOf } from "../../reader/file-age.ts";
import { type Database, openDatabase, sqliteFailure } from "../../sqlite.ts";
import { migrate, VERSION, versionOf } from "./migrations.ts";

/**
 * Open the state of a directory, or create it. A damaged one, as some disks leave behind after a power cut, is set aside and
 * replaced by a new one.
 *
 * @param readOnly whether the directory stays as it is: what is opened is then a copy
 * @returns `loss` says what happened to an earlier state that is unusable; undefined if there was none
 * @throws TraceletError `state`, `unsupported`; SQLite's and the system's errors
 */
export function openStateFile(
  stateDir: string,
  readOnly: boolean,
): { readonly database: Database; readonly loss: string | undefined } {
  const existing = path.join(stateDir, "state.db");
  if (readOnly) return { database: openCopy(stateDir, existing), loss: undefined };
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const before = statSync(existing, { bigint: true, throwIfNoEntry: false });
  try {
    const database = openWholeState(stateDir, existing);
    // SQLite treats an empty file as new; another process may have created it a moment ago.
    const wasCut = before?.size === 0n && ageOf(before.birthtimeNs) > NEW_MS;
    const loss = wasCut ? `the state in ${stateDir} is empty, as after a power cut: ${FOUND_AGAIN}` : undefined;
    return { database, loss };
  } catch (error) {
    const damage = damageOf(error);
    if (damage === undefined || before === undefined) throw error;
    setAside(existing, before.ino);
    const loss = `the state in ${stateDir} is damaged, as after a power cut, and was set aside (${damage}): ${FOUND_AGAIN}`;
    return { database: openWholeState(stateDir, existing), loss };
  }
}

/**
 * Open a copy, which may be migrated, and is removed when it is closed. Even a read-only connection to the file itself would
 * leave a `-shm` and a `-wal` beside it.
 */
function openCopy(stateDir: string, file: string): Database {
  if (!existsSync(file)) return openState(stateDir, ":memory:");
  const directory = mkdtempSync(path.join(tmpdir(), "tracelet-state-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    const copy = path.join(directory, "state.db");
    copyAtRest(file, copy);
    const database = openState(stateDir, copy);
    return {
      ...database,
      close() {
        database.close();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Copy the file and its log as they are at one moment: another process may be writing to them. */
function copyAtRest(from: string, to: string): void {
  const parts = ["", "-wal"];
  const look = () => parts.map((part) => stampOf(`${from}${part}`)).join();
  for (let attempt = 1; attempt <= COPIES; attempt++) {
    const before = look();
    for (const part of parts) {
      rmSync(`${to}${part}`, { force: true });
      copyIfThere(`${from}${part}`, `${to}${part}`);
    }
    if (look() === before) return;
  }
  throw new TraceletError("state", `${from} changes all the time`, {
    hint: "try again in a moment: another tracelet is writing to it",
  });
}

/** The log is there only while another process has the file open, or after a crash. */
function copyIfThere(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function stampOf(file: string): string {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? "" : `${stats.ino}:${stats.size}:${stats.mtimeNs}`;
}

/** @throws TraceletError `state` if a newer tracelet has written it; SQLite's errors */
function openState(stateDir: string, file: string): Database {
  const database = openDatabase(file, { busyTimeout: BUSY_MS });
  try {
    // Commits survive the process. A power failure loses the latest ones, in order: the log is only synced now and then,
    // and by `save` for what no destination could tell again.
    useLog(database);
    database.exec("PRAGMA synchronous = NORMAL");
    const version = versionOf(database);
    if (version > VERSION) {
      const versions = `its version is ${version}, this tracelet knows up to ${VERSION}`;
      throw new TraceletError("state", `the state in ${stateDir} was written by a newer tracelet (${versions})`, {
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

/** Several processes may switch to WAL at the same moment; SQLite's busy timeout does not cover that. */
function useLog(database: Database): void {
  const end = performance.now() + BUSY_MS;
  for (;;) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (sqliteFailure(error) !== "busy" || performance.now() > end) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

/** @throws StateDamaged if SQLite's check of the whole file fails; what `openState` throws */
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

/** What an error says about damage; undefined for other errors. */
function damageOf(error: unknown): string | undefined {
  if (error instanceof StateDamaged) return error.message;
  return sqliteFailure(error) === "damaged" ? (error as Error).message : undefined;
}

/** @param inode of the damaged file: another process may have replaced it already */
function setAside(file: string, inode: bigint): void {
  if (statSync(file, { bigint: true, throwIfNoEntry: false })?.ino !== inode) return;
  renameSync(file, `${file}.damaged`);
  for (const part of ["-wal", "-shm"]) rmSync(`${file}${part}`, { force: true });
}

const FOUND_AGAIN = "what was sent is found again at the destination";
const BUSY_MS = 10_000;
/** How often a file that is being written to is copied before that is given up. */
const COPIES = 100;
/** How long a process may take to write into a state that it has just created, ms. */
const NEW_MS = 200;

/** Turn whatever goes wrong with the state into a TraceletError. @param what it concerns @throws TraceletError `state` */
export function guard<T>(what: string, work: () => T): T {
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
