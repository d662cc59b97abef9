/**
 * Which runs of a database have a tag of a certain value. MLflow's tables have no index for that, and every run that is made is
 * asked for: each row of theirs is looked at once.
 */
import type { Database } from "../../sqlite.ts";

export class RunIndex {
  readonly #database: Database;
  readonly #key: string;
  /** Ids of runs by experiment and value. */
  readonly #runs = new Map<string, string[]>();
  /** The last row of the table of runs that was looked at. */
  #last = -1;

  /** @param key of the tag */
  constructor(database: Database, key: string) {
    this.#database = database;
    this.#key = key;
  }

  /**
   * Ids of the runs that had the value when they were made; some may have been removed since. In the transaction that makes a
   * run, there is no other.
   */
  idsOf(experimentId: string, value: string): readonly string[] {
    // In this order of the tables, since the tags' key begins with their own key.
    const select = `SELECT runs.rowid AS row, runs.run_uuid AS id, experiment_id, value FROM runs
      CROSS JOIN tags ON tags.key = ? AND tags.run_uuid = runs.run_uuid WHERE runs.rowid > ? ORDER BY runs.rowid`;
    for (const { row, id, experiment_id: experiment, value: text } of this.#database
      .prepare(select)
      .iterate(this.#key, this.#last)) {
      this.#last = Number(row);
      const place = `${experiment} ${text}`;
      const known = this.#runs.get(place);
      if (known === undefined) this.#runs.set(place, [String(id)]);
      else known.push(String(id));
    }
    return this.#runs.get(`${experimentId} ${value}`) ?? [];
  }
}
