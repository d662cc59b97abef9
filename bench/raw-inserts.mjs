// What SQLite takes from Node: a prepared INSERT for each point, 50,000 in a transaction, into a table of MLflow's.
//   node bench/raw-inserts.mjs DATABASE POINTS TAGS
// The points of bench/shapes.mjs' `scalars`, in the order in which they stand in the file.
import { randomUUID } from "node:crypto";
import { openDatabase } from "../dist/sqlite.js";

const PER_TRANSACTION = 50_000;
const [file, ...numbers] = process.argv.slice(2);
const [points, tags] = numbers.map(Number);
const database = openDatabase(file, { busyTimeout: 0, mustExist: true });
const run = randomUUID().replaceAll("-", "");
database
  .prepare(
    "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id) VALUES (?, 'raw', 'RUNNING', 'active', 0)",
  )
  .run(run);
const insert = database.prepare(
  "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
);
const keys = Array.from({ length: tags }, (_, i) => `train/metric_${i}`);
for (let first = 0; first < points; first += PER_TRANSACTION) {
  database.transaction(() => {
    for (let point = first; point < Math.min(points, first + PER_TRANSACTION); point++) {
      const value = Math.fround(Math.sin(point / 1000));
      insert.run(keys[point % tags], value, Math.floor(1.7e12 + point), run, Math.floor(point / tags));
    }
  });
}
database.close();
