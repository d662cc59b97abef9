/** MLflow's SQLite database, written directly. What MLflow itself makes of it is tested in test/e2e. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import type { MlflowStore } from "../../src/backends/mlflow/store.ts";
import { type Database, openDatabase } from "../../src/sqlite.ts";
import { temporaryDirectory } from "../support/logdirs.ts";
import { eyesOn } from "./mlflow-database.ts";
import { storeContract } from "./mlflow-store.contract.ts";

const folder = temporaryDirectory();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

storeContract("the contract", async () => {
  const file = path.join(folder, "contract.db");
  const store = SqliteStore.open(file);
  return { store, second: async () => SqliteStore.open(file), ...eyesOn(file) };
});

let files = 0;
const newFile = () => path.join(folder, `${++files}.db`);

function withDatabase(file: string, work: (database: Database) => void): void {
  const database = openDatabase(file, { busyTimeout: 1000 });
  work(database);
  database.close();
}

async function oneBatch(store: MlflowStore): Promise<string> {
  const id = await store.createRun({ experimentId: "0", name: "r", startTime: 1, user: "u", tags: new Map() });
  await store.logBatch(id, {
    metrics: {
      keys: ["loss", "unused", "accuracy"],
      key: Int32Array.of(0, 2, 0),
      step: BigInt64Array.of(1n, 1n, 2n),
      timestamp: Float64Array.of(10, 10, 20),
      value: Float64Array.of(0.5, Number.NaN, Infinity),
      length: 3,
    },
    params: new Map([["lr", "0.1"]]),
    tags: new Map(),
  });
  return id;
}

describe("rows are those of MLflow's own store", () => {
  test("of a run", async () => {
    const file = newFile();
    const store = SqliteStore.open(file);
    const id = await oneBatch(store);
    await store.close();
    withDatabase(file, (database) => {
      const rows = (sql: string) => database.prepare(sql).all();
      expect(rows("SELECT * FROM runs")).toEqual([
        {
          run_uuid: id,
          name: "r",
          source_type: "UNKNOWN",
          source_name: "",
          entry_point_name: "",
          user_id: "u",
          status: "RUNNING",
          start_time: 1,
          end_time: null,
          deleted_time: null,
          source_version: "",
          lifecycle_stage: "active",
          artifact_uri: `${folder}/mlruns/0/${id}/artifacts`,
          experiment_id: 0,
        },
      ]);
      expect(id).toMatch(/^[0-9a-f]{32}$/);
      const point = "key, value, timestamp, step, is_nan, typeof(timestamp) AS t, typeof(value) AS v";
      const expected = [
        { key: "accuracy", value: 0, timestamp: 10, step: 1, is_nan: 1, t: "integer", v: "real" },
        { key: "loss", value: 0.5, timestamp: 10, step: 1, is_nan: 0, t: "integer", v: "real" },
        { key: "loss", value: Number.MAX_VALUE, timestamp: 20, step: 2, is_nan: 0, t: "integer", v: "real" },
      ];
      expect(rows(`SELECT ${point} FROM metrics ORDER BY key, step`)).toEqual(expected);
      expect(rows(`SELECT ${point} FROM latest_metrics ORDER BY key`)).toEqual([expected[0], expected[2]]);
      expect(rows("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      expect(rows("PRAGMA foreign_key_check")).toEqual([]);
    });
  });

  test("of many points of several keys, whatever their steps and values", async () => {
    const file = newFile();
    const store = SqliteStore.open(file);
    const id = await store.createRun({ experimentId: "0", name: "r", startTime: 1, user: "u", tags: new Map() });
    const at = 2n ** 53n;
    const steps = [
      0n,
      -1n,
      2n ** 31n,
      2n ** 32n,
      at - 1n,
      at,
      at + 1n,
      1n - at,
      -at,
      -at - 1n,
      2n ** 63n - 1n,
      -(2n ** 63n),
    ];
    const values = [0.1, Math.fround(0.1), Number.NaN, Infinity, -Infinity, 5e-324, 1e300];
    const points = Array.from({ length: 200 }, (_, i) => ({
      key: i % 3,
      step: steps[i % steps.length] as bigint,
      timestamp: i === 7 ? 8.64e15 : 1_700_000_000_000 + i,
      value: values[i % values.length] as number,
    }));
    await store.logBatch(id, {
      metrics: {
        keys: ["a", "b", "c"],
        key: Int32Array.from(points, ({ key }) => key),
        step: BigInt64Array.from(points, ({ step }) => step),
        timestamp: Float64Array.from(points, ({ timestamp }) => timestamp),
        value: Float64Array.from(points, ({ value }) => value),
        length: points.length,
      },
      params: new Map(),
      tags: new Map(),
    });
    await store.close();
    const stored = ({ key, step, timestamp, value }: (typeof points)[number]) => ({
      key: "abc"[key],
      step: String(step),
      timestamp: String(timestamp),
      value: Number.isNaN(value) ? 0 : Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)),
      is_nan: Number.isNaN(value) ? 1 : 0,
    });
    const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort();
    withDatabase(file, (database) => {
      // As text: a JavaScript number would round them.
      const columns = `key, CAST(step AS TEXT) AS step, CAST(timestamp AS TEXT) AS timestamp, value, is_nan`;
      expect(sorted(database.prepare(`SELECT ${columns} FROM metrics`).all())).toEqual(sorted(points.map(stored)));
      const latest = [0, 1, 2].map((key) => {
        const own = points.filter((point) => point.key === key);
        const top = own.reduce((best, { step }) => (step > best ? step : best), -at * at);
        return own.findLast(({ step }) => step === top) as (typeof points)[number];
      });
      expect(sorted(database.prepare(`SELECT ${columns} FROM latest_metrics`).all())).toEqual(
        sorted(latest.map(stored)),
      );
    });
  });

  test("a row of an experiment that is there no longer is not made", async () => {
    const store = SqliteStore.open(newFile());
    await expect(store.setExperimentTag("99", "key", "value")).rejects.toMatchObject({ code: "deleted" });
    await store.close();
  });

  test("a batch is all or nothing", async () => {
    const file = newFile();
    const store = SqliteStore.open(file);
    const id = await oneBatch(store);
    const bad = { keys: ["k", undefined as unknown as string], key: Int32Array.of(0, 1) };
    const columns = {
      step: new BigInt64Array(2),
      timestamp: new Float64Array(2),
      value: new Float64Array(2),
      length: 2,
    };
    const batch = { metrics: { ...bad, ...columns }, params: new Map([["p", "v"]]), tags: new Map([["t", "v"]]) };
    await expect(store.logBatch(id, batch)).rejects.toMatchObject({ code: "rejected" });
    const run = await store.run(id);
    expect([run?.metricKeys.has("k"), run?.params.has("p"), run?.tags.has("t")]).toEqual([false, false, false]);
    await store.close();
  });
});

describe("opening", () => {
  test("a file that is not there creates it, with its directories", async () => {
    const file = path.join(folder, "deep", "er", "mlflow.db");
    const store = SqliteStore.open(file);
    expect(await store.experimentByName("Default")).toMatchObject({ id: "0", active: true });
    await store.close();
    expect(existsSync(file)).toBe(true);
  });

  test("an empty file, as mktemp leaves it", async () => {
    const file = newFile();
    writeFileSync(file, "");
    const store = SqliteStore.open(file);
    await oneBatch(store);
    await store.close();
  });

  test("an existing database keeps what it has", async () => {
    const file = newFile();
    const first = SqliteStore.open(file);
    const id = await oneBatch(first);
    await first.close();
    const second = SqliteStore.open(file);
    expect((await second.run(id))?.metricKeys).toEqual(new Set(["loss", "accuracy"]));
    await second.close();
  });

  test("one of an MLflow with workspaces: the default one's experiments", async () => {
    const file = newFile();
    await SqliteStore.open(file).close();
    withDatabase(file, (database) => {
      database.exec(`
        ALTER TABLE experiments RENAME TO old;
        CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT,
          lifecycle_stage TEXT, creation_time BIGINT, last_update_time BIGINT,
          workspace TEXT NOT NULL DEFAULT 'default', UNIQUE (workspace, name));
        INSERT INTO experiments SELECT *, 'default' FROM old;
        INSERT INTO experiments VALUES (7, 'mnist', '', 'active', 0, 0, 'theirs');
      `);
    });
    const store = SqliteStore.open(file);
    expect(await store.experimentByName("mnist")).toBeUndefined();
    const id = await store.createExperiment("mnist", new Map());
    expect(id).not.toBe("7");
    expect((await store.experimentByName("mnist"))?.id).toBe(id);
    await store.close();
  });

  test("a database of something else is left as it is", () => {
    const file = newFile();
    withDatabase(file, (database) => database.exec("CREATE TABLE photos (id INTEGER)"));
    expect(() => SqliteStore.open(file)).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining("it has no table experiments") }),
    );
    withDatabase(file, (database) => {
      expect(database.prepare("SELECT name FROM sqlite_master").all()).toEqual([{ name: "photos" }]);
    });
  });

  test("an MLflow database without a column that is needed", async () => {
    const file = newFile();
    await SqliteStore.open(file).close();
    withDatabase(file, (database) => database.exec("ALTER TABLE metrics RENAME COLUMN is_nan TO nan"));
    expect(() => SqliteStore.open(file)).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: expect.stringContaining("it has no column metrics.is_nan"),
      }),
    );
  });

  test("what is no database, or cannot be one, is refused with its name", () => {
    const text = newFile();
    writeFileSync(
      text,
      "This is a text file, and a rather long one: longer than the header of a database is.\n".repeat(20),
    );
    const directory = path.join(folder, "directory.db");
    mkdirSync(directory);
    for (const file of [text, directory, path.join(text, "below-a-file.db"), "/sys/nowhere/mlflow.db"]) {
      expect(() => SqliteStore.open(file)).toThrow(
        expect.objectContaining({ name: "TraceletError", code: "rejected", message: expect.stringContaining(file) }),
      );
    }
  });

  test("a file that cannot be written", () => {
    // Root may write anywhere but here.
    const file = "/sys/kernel/notes";
    if (!existsSync(file)) return;
    expect(() => SqliteStore.open(file)).toThrow(expect.objectContaining({ code: "rejected" }));
  });

  test("one that another process makes at the same moment", async () => {
    const file = newFile();
    const stores = [SqliteStore.open(file), SqliteStore.open(file)];
    expect(await Promise.all(stores.map((store) => store.createExperiment("same", new Map())))).toEqual(["1", "1"]);
    for (const store of stores) await store.close();
    onTestFinished(() => rmSync(file));
  });
});
