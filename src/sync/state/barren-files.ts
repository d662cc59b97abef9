/**
 * Files with nothing to send: all zeros, another format under an event file's name, an incomplete first record, an
 * `hparams.yaml` without hyperparameters. No mark covers them, since no record identifies them, and their run may never exist.
 * So they are known by path, and neither read nor reported again until they change.
 */
import type { EventFileEntry, FsPath } from "../../reader/discover.ts";
import type { Loss, Tail } from "../../reader/tfrecord.ts";
import type { Database } from "../../sqlite.ts";

export const BARREN_SCHEMA = `
  CREATE TABLE barren (
    destination TEXT NOT NULL,
    path TEXT NOT NULL,
    stamp TEXT NOT NULL,
    state TEXT NOT NULL,
    format TEXT,
    PRIMARY KEY (destination, path)
  ) WITHOUT ROWID;`;

/** What was found. */
export interface BarrenFile {
  /** Of the file as it was then. */
  readonly stamp: string;
  /** State of its tail, from the first byte on. */
  readonly state: Tail["state"];
  /** Its format, if it is no event file. */
  readonly format: string | undefined;
}

/** What is known about a file as it is now. */
export type BarrenOf = (entry: EventFileEntry) => BarrenFile | undefined;

/** What to record about a file; undefined: it has something to send. */
export type Finding = readonly [path: FsPath, file: BarrenFile | undefined];

/** The damage that it counts as; none if its format is known, or if it may still become an event file. */
export function lossesIn({ state, format }: BarrenFile, size: number): Loss[] {
  return state === "damaged" && format === undefined ? [{ start: 0, end: size, reason: "damaged-tail" }] : [];
}

/** Those of one destination: each destination's user is told about them. */
export class BarrenFiles {
  readonly #database: Database;
  readonly #destination: string;
  #files: Map<string, BarrenFile> | undefined;

  constructor(database: Database, destination: string) {
    this.#database = database;
    this.#destination = destination;
  }

  /**
   * What is known about a file whose stamp is unchanged.
   *
   * @param stamp of the file as it is now; not asked for where nothing is known, as of most files
   * @throws SQLite's errors
   */
  get(fsPath: FsPath, stamp: () => string): BarrenFile | undefined {
    const known = this.#all().get(keyOf(fsPath));
    return known !== undefined && known.stamp === stamp() ? known : undefined;
  }

  /** Save what has changed, if anything. @throws SQLite's errors */
  save(found: readonly Finding[]): void {
    const files = this.#all();
    const changed = found
      .map(([fsPath, file]) => [keyOf(fsPath), file] as const)
      .filter(([key, file]) => files.get(key)?.stamp !== file?.stamp);
    if (changed.length === 0) return;
    const upsert = this.#database.prepare("INSERT OR REPLACE INTO barren VALUES (?, ?, ?, ?, ?)");
    const remove = this.#database.prepare("DELETE FROM barren WHERE destination = ? AND path = ?");
    this.#database.transaction(() => {
      for (const [key, file] of changed) {
        if (file === undefined) remove.run(this.#destination, key);
        else upsert.run(this.#destination, key, file.stamp, file.state, file.format ?? null);
      }
    });
    for (const [key, file] of changed) {
      if (file === undefined) files.delete(key);
      else files.set(key, file);
    }
  }

  #all(): Map<string, BarrenFile> {
    if (this.#files !== undefined) return this.#files;
    const rows = this.#database.prepare("SELECT * FROM barren WHERE destination = ?").all(this.#destination);
    this.#files = new Map(
      rows.map(({ path, stamp, state, format }) => {
        const file = {
          stamp: String(stamp),
          state: state as Tail["state"],
          format: format == null ? undefined : String(format),
        };
        return [String(path), file];
      }),
    );
    return this.#files;
  }
}

/** A path that is no text is written in hexadecimal, behind a prefix that no absolute path has. */
export function keyOf(fsPath: FsPath): string {
  return typeof fsPath === "string" ? fsPath : `bytes:${fsPath.toString("hex")}`;
}
