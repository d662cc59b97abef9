/**
 * Which event files are a session's own, and which another's, as far as that was decided while their writers ran. It outlives
 * them, and the watch that decided it: whatever goes on with the session goes by it, and no other session takes its files.
 */
import type { FsPath } from "../../reader/discover.ts";
import type { Database } from "../../sqlite.ts";
import { keyOf } from "./barren-files.ts";

export const SESSION_FILE_SCHEMA = `
  CREATE TABLE session_file (
    session TEXT NOT NULL,
    path TEXT NOT NULL,
    is_own INTEGER NOT NULL,
    PRIMARY KEY (path, session)
  ) WITHOUT ROWID;`;

export class SessionFiles {
  readonly #database: Database;
  readonly #session: string;
  readonly #readOnly: boolean;
  /** By path. */
  readonly #others = new Map<string, boolean>();

  /** @param session its name */
  constructor(database: Database, session: string, readOnly: boolean) {
    this.#database = database;
    this.#session = session;
    this.#readOnly = readOnly;
  }

  /**
   * Whether a file is another session's. What was decided once stays.
   *
   * @param decide tells it by the file's writer; left out if nobody knows, and then nothing is decided
   * @throws SQLite's errors
   */
  isOthers(fsPath: FsPath, decide: (() => boolean) | undefined): boolean {
    const key = keyOf(fsPath);
    const known = this.#others.get(key);
    if (known !== undefined) return known;
    const isDecided = decide !== undefined && !this.#readOnly;
    const isOthers = isDecided
      ? // Two sessions may meet a file at the same time.
        this.#database.transaction(() => this.#stored(key) ?? this.#decided(key, decide()))
      : (this.#stored(key) ?? decide?.() ?? false);
    this.#others.set(key, isOthers);
    return isOthers;
  }

  #stored(key: string): boolean | undefined {
    const rows = this.#database.prepare("SELECT session, is_own FROM session_file WHERE path = ?").all(key);
    const ours = rows.find(({ session }) => session === this.#session);
    if (ours !== undefined) return ours["is_own"] === 0;
    return rows.some((row) => row["is_own"] === 1) ? true : undefined;
  }

  #decided(key: string, isOthers: boolean): boolean {
    this.#database.prepare("INSERT INTO session_file VALUES (?, ?, ?)").run(this.#session, key, isOthers ? 0 : 1);
    return isOthers;
  }
}
