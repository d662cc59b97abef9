// Scalars as rows of a SQLite database: tracelet sync runs/ --backend ./sqlite-backend.mjs --database points.db
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);
// Node 20 has no SQLite of its own: npm install better-sqlite3
const Database = process.version.startsWith("v20.") ? require("better-sqlite3") : require("node:sqlite").DatabaseSync;

const options = /** @type {const} */ ({
  database: { form: "text", value: "<file>", default: "points.db", help: "SQLite file to write to" },
});

/** @type {import("tracelet").BackendPlugin<typeof options>} */
export default {
  seam: 1,
  options,
  address: ({ database }) => path.resolve(database),

  open({ database: file }, { TraceletError }) {
    const database = new Database(file);
    database.exec(`
      PRAGMA busy_timeout = 10000;
      CREATE TABLE IF NOT EXISTS points (run TEXT, tag TEXT, step INTEGER, wall_time REAL, value REAL);
      CREATE UNIQUE INDEX IF NOT EXISTS once ON points (run, tag, step, wall_time, coalesce(value, 'NaN'));
      CREATE TABLE IF NOT EXISTS marks (run TEXT, key TEXT, mark TEXT, PRIMARY KEY (run, key));`);
    const addPoint = database.prepare("INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?, ?)");
    const setMark = database.prepare("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)");
    const selectMarks = database.prepare("SELECT mark FROM marks WHERE run = ?");
    const marksOf = (id) => selectMarks.all(id).map(({ mark }) => JSON.parse(mark));

    return {
      // The run of this name, if it holds the same files; else the next free name.
      async open(run, knownId) {
        for (let n = 1, id = knownId ?? run.name; ; id = `${run.name} (${++n})`) {
          const marks = marksOf(id);
          if (await run.matches(id, marks)) return { id, marks };
        }
      },

      // Points and marks are one transaction. A point that is already there is left as it is.
      async write({ id }, { scalars, marks }) {
        database.exec("BEGIN IMMEDIATE");
        try {
          for (let i = 0; i < scalars.length; i++)
            addPoint.run(id, scalars.tags[scalars.tag[i]], scalars.step[i], scalars.wallTime[i], scalars.value[i]);
          for (const mark of marks) setMark.run(id, mark.key, JSON.stringify(mark));
          database.exec("COMMIT");
        } catch (error) {
          database.exec("ROLLBACK");
          throw new TraceletError("rejected", `cannot write to ${file}: ${error}`, { cause: error });
        }
      },

      // A run that somebody has deleted is sent again.
      survey: async (known) => ({
        changes: new Map(known.filter(({ id }) => marksOf(id).length === 0).map(({ id }) => [id, "gone"])),
      }),

      location: () => file,
      close: async () => database.close(),
    };
  },
};
