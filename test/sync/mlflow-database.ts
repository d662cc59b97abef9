/** An MLflow's SQLite database, looked at and changed behind everybody's back. */
import { openDatabase, type SqlRow } from "../../src/sqlite.ts";
import type { StoredPoint, StoreUnderTest } from "./mlflow-store.contract.ts";

/** What a test of a store needs beside it. */
export function eyesOn(file: string): Omit<StoreUnderTest, "store" | "second"> {
  const database = openDatabase(file, { busyTimeout: 30_000 });
  const pointOf = (row: SqlRow): StoredPoint => ({
    step: BigInt(String(row["step"])),
    timestamp: Number(row["timestamp"]),
    value: row["is_nan"] === 1 ? Number.NaN : Number(row["value"]),
  });
  // Steps as text: as numbers they would be rounded.
  const select = (table: string) =>
    database.prepare(
      `SELECT CAST(step AS TEXT) AS step, timestamp, value, is_nan FROM ${table} WHERE run_uuid = ? AND key = ?`,
    );
  return {
    points: async (id, key) => select("metrics").all(id, key).map(pointOf),
    latest: async (id, key) => {
      const row = select("latest_metrics").get(id, key);
      return row && pointOf(row);
    },
    run: async (id) => {
      const row = database.prepare("SELECT name, start_time, end_time FROM runs WHERE run_uuid = ?").get(id);
      return {
        name: String(row?.["name"]),
        startTime: Number(row?.["start_time"]),
        endTime: row?.["end_time"] === null ? null : Number(row?.["end_time"]),
      };
    },
    deleteRun: async (id) => {
      database.prepare("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?").run(id);
    },
    deleteExperiment: async (id) => {
      database.prepare("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = ?").run(Number(id));
    },
  };
}
