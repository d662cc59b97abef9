/**
 * One process at a time for each source and destination.
 *
 * The lock is an SQLite transaction on a file of its own: the system ends it with the process, however that dies.
 */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { openDatabase, sqliteFailure } from "../../sqlite.ts";
import { placeOfLogdir } from "../source/logdirs.ts";

/** A held lock. */
export interface Lock {
  release(): void;
}

/**
 * Take the lock on a logdir for a destination.
 *
 * @param session its name, where only that is sent: others may be at the same time
 * @throws TraceletError `locked` if another process holds it, with who that is; `logdir` if it cannot be looked at; `state` if the
 * state directory cannot be written
 */
export function lockSource(stateDir: string, destination: string, logdir: string, session?: string): Lock {
  const name = createHash("sha256")
    .update([destination, placeOfLogdir(logdir), ...(session === undefined ? [] : [session])].join("\n"))
    .digest("hex")
    .slice(0, 32);
  const file = path.join(stateDir, "locks", `${name}.lock`);
  const holder = `${file}.json`;
  try {
    const lock = lockFile(file);
    if (lock === undefined) {
      throw new TraceletError(
        "locked",
        `${logdir} is already being synced to this destination by ${readHolder(holder)}`,
        {
          hint: "wait until it has ended, or end it",
        },
      );
    }
    writeFileSync(holder, JSON.stringify({ pid: process.pid, host: os.hostname(), since: new Date().toISOString() }), {
      mode: 0o600,
    });
    return lock;
  } catch (cause) {
    if (cause instanceof TraceletError) throw cause;
    throw new TraceletError("state", `cannot use the state directory ${stateDir}: ${(cause as Error).message}`, {
      hint: "check that it is writable and its disk not full, or give another with --state-dir",
      cause,
    });
  }
}

/** Take the lock that a file is. @returns undefined if another process holds it @throws the system's or SQLite's error */
export function lockFile(file: string): Lock | undefined {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const database = openDatabase(file, { busyTimeout: 0 });
  try {
    chmodSync(file, 0o600);
    database.exec("BEGIN EXCLUSIVE");
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (sqliteFailure(error) === "busy") return undefined;
    throw error;
  }
}

function readHolder(file: string): string {
  try {
    const { pid, host, since } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    return `process ${String(pid)} on ${String(host)}, since ${String(since)}`;
  } catch {
    return "another process";
  }
}
