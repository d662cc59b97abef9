/** A directory that runs' files are written to: one process at a time writes, and each only where it left off. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import { pause } from "../pause.ts";
import { type Database, openDatabase, sqliteFailure } from "../sqlite.ts";

/** Held for as long as a batch takes to be appended. Nothing is in it. */
const LOCK = ".tracelet.lock";
/** Beyond what any disk takes for a batch, ms. */
const BUSY_MS = 60_000;
/** SQLite's own wait would keep the whole process from everything else. */
const PAUSE_MS = 5;

/** Where files of a format go. @param isShared whether files of another format go to the same `--output` */
export function outputOf(output: string, format: string, isShared: boolean): string {
  return path.resolve(output, isShared ? format : "");
}

/** Write a file durably; its name in its directory is not. @throws the system's error */
export async function writeSynced(file: string, bytes: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(file, "w");
  try {
    if (bytes instanceof Uint8Array) await handle.writeFile(bytes);
    else for await (const chunk of bytes) await handle.writeFile(chunk);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Files and directories that a power failure may still take back. */
export type Unsynced = Set<string>;

export class OutputDirectory {
  readonly root: string;
  #lock: Database | undefined;
  /** Of the lock's file. */
  #inode: bigint | undefined;

  /** How a user names another one. */
  readonly #givenBy: string;

  constructor(root: string, givenBy = "--output") {
    this.root = root;
    this.#givenBy = givenBy;
  }

  /** Where a file lies. @param file its path below this directory, separated by `/`; made by `pathOfRun` or a digest */
  path(file: string): string {
    return path.join(this.root, ...file.split("/"));
  }

  /**
   * Do something, at once, while no other process does anything here.
   *
   * @throws TraceletError `rejected` for what the system says
   */
  exclusively<T>(file: string, work: () => T): Promise<T> {
    return this.guarded(file, async () => {
      for (const end = performance.now() + BUSY_MS; ; await pause(PAUSE_MS)) {
        const lock = this.#takeLock(performance.now() > end);
        if (lock === undefined) continue;
        try {
          return work();
        } finally {
          lock.exec("COMMIT");
        }
      }
    });
  }

  /** @returns undefined while another process holds it, unless it is the last try */
  #takeLock(isLast: boolean): Database | undefined {
    try {
      const lock = this.#openLock();
      lock.exec("BEGIN EXCLUSIVE");
      return lock;
    } catch (error) {
      if (isLast || sqliteFailure(error) !== "busy") throw error;
      return undefined;
    }
  }

  /** Once the directory was removed, nobody else would wait for a lock in it. */
  #openLock(): Database {
    const file = path.join(this.root, LOCK);
    const inodeOf = () => statSync(file, { bigint: true, throwIfNoEntry: false })?.ino;
    if (this.#lock !== undefined && this.#inode === inodeOf()) return this.#lock;
    this.#lock?.close();
    this.makeDirectory(this.root);
    // SQLite says no more than that it cannot open the file.
    accessSync(this.root, constants.W_OK);
    this.#lock = openDatabase(file, { busyTimeout: 0 });
    // Made by the first transaction.
    this.#lock.exec("BEGIN EXCLUSIVE; COMMIT");
    this.#inode = inodeOf();
    return this.#lock;
  }

  /** Say what the system says, as an error of the run whose file it is. */
  guard<T>(file: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw errorOf(this.path(file), error, this.#givenBy);
    }
  }

  /** The same of what takes a while. */
  async guarded<T>(file: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw errorOf(this.path(file), error, this.#givenBy);
    }
  }

  /**
   * Put a file in its place whole and durably, over one that is there.
   *
   * @param unsynced gets what has to be synced for that; left out: all of it is
   * @throws the system's error
   */
  place(file: string, bytes: Uint8Array, unsynced?: Unsynced): void {
    const target = this.path(file);
    // Readers of whole directories pass over names that begin with a dot.
    const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${process.pid}.part`);
    this.makeDirectory(path.dirname(target), unsynced);
    const handle = openSync(temporary, "w");
    try {
      writeAll(handle, bytes, undefined);
      if (unsynced === undefined) fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, target);
    unsynced?.add(target).add(path.dirname(target));
    if (unsynced === undefined) syncDirectory(path.dirname(target));
  }

  /** Make a directory with those above it, durably. @param unsynced as for `place` @throws the system's error */
  makeDirectory(directory: string, unsynced?: Unsynced): void {
    if (existsSync(directory)) return;
    const above = path.dirname(directory);
    if (above !== directory) this.makeDirectory(above, unsynced);
    mkdirSync(directory, { recursive: true });
    unsynced?.add(above);
    if (unsynced === undefined) syncDirectory(above);
  }

  /** Paths below this directory of all files with an ending. @throws TraceletError `rejected` for what the system says */
  list(ending: string): string[] {
    if (!existsSync(this.root)) return [];
    const entries = this.guard("", () => readdirSync(this.root, { recursive: true, withFileTypes: true }));
    return entries.flatMap((entry) => {
      if (!entry.isFile() || !entry.name.endsWith(ending)) return [];
      return path.relative(this.root, path.join(entry.parentPath, entry.name)).split(path.sep).join("/");
    });
  }

  close(): void {
    this.#lock?.close();
  }
}

/**
 * Make durable what has been written, all at once and while other runs go on: a disk takes many syncs in hardly more time than
 * one. What fails is to be synced the next time.
 *
 * @throws the system's error
 */
export async function syncAll(unsynced: Unsynced): Promise<void> {
  await Promise.all(
    Array.from(unsynced, async (file) => {
      await syncPath(file);
      unsynced.delete(file);
    }),
  );
}

async function syncPath(file: string): Promise<void> {
  // Windows syncs what is open for writing, which no directory can be.
  const isWindows = process.platform === "win32";
  if (isWindows && statSync(file).isDirectory()) return;
  const handle = await open(file, isWindows ? "r+" : "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @param at undefined: where the file stands @throws the system's error */
export function writeAll(handle: number, bytes: Uint8Array, at: number | undefined): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(handle, bytes, done, bytes.length - done, at === undefined ? null : at + done);
  }
}

/** A new file's name may be forgotten when the power fails, unless its directory is written too. */
export function syncDirectory(directory: string): void {
  // Windows has no such thing.
  if (process.platform === "win32") return;
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function hintOf(code: string | undefined, givenBy: string): string | undefined {
  if (code === "ENOSPC") return "the disk is full: free some space and run the same command again";
  if (code === "EDQUOT") return "the quota is used up: free some space and run the same command again";
  if (code === "EACCES" || code === "EPERM") return `check who may write there, or give another ${givenBy}`;
  if (code === "EROFS") return `give another ${givenBy}`;
  if (code === "ENOTDIR") return `a file is in the way; remove it, or give another ${givenBy}`;
  if (code === "EISDIR") return `a directory is in the way; remove it, or give another ${givenBy}`;
  return undefined;
}

function errorOf(file: string, cause: unknown, givenBy: string): unknown {
  if (cause instanceof TraceletError || !(cause instanceof Error)) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  const isOfSystem = "syscall" in cause || "errcode" in cause || (code?.startsWith("SQLITE") ?? false);
  if (!isOfSystem) return cause;
  const hint = hintOf(code, givenBy);
  return new TraceletError("rejected", `cannot write ${file}: ${cause.message}`, { hint, cause });
}
