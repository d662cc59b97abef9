/**
 * Which runs of a database have a tag of a certain value. MLflow's tables have no index for that, and every run that is made is
 * asked for: each row of theirs is looked at once, and once more after another process has changed something, which may have
 * given a run another value.
 */
import type { Database } from "../../sqlite.ts";

export class RunIndex {
  readonly #database: Database;
  readonly #key: string;
  /** Ids of runs by experiment and value. */
  readonly #runs = new Map<string, string[]>();
  /** The last row of the table of runs that was looked at. */
  #last = -1;
  /** SQLite's count of what other connections have changed. */
  #version: unknown;

  /** @param key of the tag */
  constructor(database: Database, key: string) {
    this.#database = database;
    this.#key = key;
  }

  /**
   * Ids of the runs that have the value, and of some that had it: this process may have given them another one, or they may
   * have been removed. In the transaction that makes a run, there is no other.
   */
  idsOf(experimentId: string, value: string): readonly string[] {
    const version = this.#database.prepare("PRAGMA data_version").get()?.["data_version"];
    if (version !== this.#version) {
      this.#version = version;
      this.#runs.clear();
      this.#last = -1;
    }
    // In this order of the tables, since the tags' key begins with their own key.
    const select = `SELECT runs.rowid AS row, runs.run_uuid AS id, experiment_id, value FROM runs
      CROSS JOIN tags ON tags.key = ? AND tags.run_uuid = runs.run_uuid WHERE runs.rowid > ? ORDER BY runs.rowid`;
    for (const { row, id, experiment_id: experiment, value: text } of this.#database
      .prepare(select)
      .iterate(this.#key, this.#last)) {
      this.#last = Number(row);
      this.#put(`${experiment} ${text}`, String(id));
    }
    return this.#runs.get(`${experimentId} ${value}`) ?? [];
  }

  /** This process gives a run the value. */
  add(runId: string, value: string): void {
    const row = this.#database.prepare("SELECT experiment_id FROM runs WHERE run_uuid = ?").get(runId);
    if (row !== undefined) this.#put(`${row["experiment_id"]} ${value}`, runId);
  }

  #put(place: string, id: string): void {
    const known = this.#runs.get(place);
    if (known === undefined) this.#runs.set(place, [id]);
    else known.push(id);
  }
}
