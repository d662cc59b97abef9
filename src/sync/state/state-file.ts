/** The state's file: opened, brought to this version, and set aside where it is damaged. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { ageOf } from "../../reader/file-age.ts";
import { type Database, openDatabase, sqliteFailure } from "../../sqlite.ts";
import { migrate, VERSION, versionOf } from "./migrations.ts";

/**
 * Open the state of a directory, creating it where it is missing. One that is damaged, as some disks leave it behind after a
 * power cut, is set aside for a new one.
 *
 * @param readOnly whether the directory stays as it is: what is opened is then a copy
 * @returns with it, what has become of an earlier state that cannot be used; undefined if nothing has
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
    // SQLite takes it for a new one, and another process may have made one just now.
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
    // What is committed survives the process. A power failure takes the last commits, in their order: the log is only
    // forced to the disk now and then, and by `save` for what no destination would tell again.
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

/** SQLite does not wait, whatever its timeout, where several processes turn the log on at the same moment. */
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
  return sqliteFailure(error) === "damaged" ? (error as Error).message : undefined;
}

/** @param inode of the file that is damaged: another process may have found it, too, and put a new one in its place */
function setAside(file: string, inode: bigint): void {
  if (statSync(file, { bigint: true, throwIfNoEntry: false })?.ino !== inode) return;
  renameSync(file, `${file}.damaged`);
  for (const part of ["-wal", "-shm"]) rmSync(`${file}${part}`, { force: true });
}

const FOUND_AGAIN = "what was sent is found again at the destination";
const BUSY_MS = 10_000;
/** How often a file that is being written to is copied before that is given up. */
const COPIES = 100;
/** How long it may take a process that makes a new state to write into it, ms. */
const NEW_MS = 200;

/** What has gone wrong with the state, as an error of tracelet. @param what it was about @throws TraceletError `state` */
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
