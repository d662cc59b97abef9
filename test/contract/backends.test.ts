/** The contract of destinations, kept by each of them. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parquetReadObjects } from "hyparquet";
import { FilesBackend } from "../../src/backends/files/backend.ts";
import { CsvRuns } from "../../src/backends/files/csv-runs.ts";
import { JsonlRuns } from "../../src/backends/files/jsonl-runs.ts";
import { ParquetRuns } from "../../src/backends/files/parquet-runs.ts";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { openDatabase } from "../../src/sqlite.ts";
import type { BackendPlugin } from "../../src/sync/backend-plugin.ts";
import type { Point } from "../../src/testing/event-file.ts";
import { openPlugin } from "../../src/testing/plugin.ts";
import { AppendOnlyBackend, type AppendOnlyRun } from "../support/append-only-backend.ts";
import { MemoryBackend } from "../support/memory-backend.ts";
import { describeContract } from "./describe-contract.ts";

function pointOf(tag: unknown, step: unknown, wallTime: unknown, value: unknown): Point {
  return { tag: String(tag), step: BigInt(String(step)), wallTime: Number(wallTime), value: Number(value) };
}

/** Of `pointText`, where the tag has no spaces. */
function parsePoint(text: string): Point {
  const [tag, step, wallTime, value] = text.split(" ");
  return pointOf(tag, step, wallTime, value);
}

describeContract("in memory, as a set of points", () => {
  const backend = new MemoryBackend();
  return {
    connect: () => backend,
    // A point that was stored twice is there once.
    points: () => new Map(backend.runs.map(({ name, points }) => [name, [...points.keys()].map(parsePoint)])),
    keepsMarks: true,
  };
});

describeContract("in memory, appended to", () => {
  const runs: AppendOnlyRun[] = [];
  return {
    connect: () => new AppendOnlyBackend(runs, (tag) => tag === "bad"),
    points: () => new Map(runs.map(({ name, points }) => [name, points.map(parsePoint)])),
    keepsMarks: false,
    refusedTag: "bad",
  };
});

describeContract("a plug-in that is appended to", () => {
  const runs: AppendOnlyRun[] = [];
  const plugin: BackendPlugin = {
    seam: 1,
    address: () => "memory",
    open() {
      const backend = new AppendOnlyBackend(runs, (tag) => tag === "bad");
      return {
        open: (run, knownId, cursor) => backend.open(run, knownId, cursor),
        // It says no more than where it stands: what it has stored is counted for it.
        write: async (run, batch, refuse) => ({ cursor: (await backend.write(run, batch, refuse)).cursor }),
      };
    },
  };
  return {
    connect: () => openPlugin(plugin, {}),
    points: () => new Map(runs.map(({ name, points }) => [name, points.map(parsePoint)])),
    keepsMarks: false,
    refusedTag: "bad",
  };
});

describeContract("an MLflow database", (root) => {
  const file = path.join(root, "mlflow.db");
  return {
    async connect() {
      mkdirSync(root, { recursive: true });
      const signal = new AbortController().signal;
      const store = await SqliteStore.openWhenFree(file, { readOnly: false, signal, stopGraceMs: 1000 });
      return new MlflowBackend({
        store,
        experiment: "Default",
        version: "test",
        keepsMarks: true,
        giveUpAfterMs: 60_000,
        maxArtifactBytes: undefined,
        resendsDeleted: false,
      });
    },
    points() {
      const database = openDatabase(file, { busyTimeout: 10_000, mustExist: true });
      const runs = new Map<string, Point[]>();
      const select = `SELECT runs.name, metrics.key, CAST(step AS TEXT) AS step, timestamp, value
        FROM runs JOIN metrics USING (run_uuid) WHERE lifecycle_stage = 'active'`;
      for (const { name, key, step, timestamp, value } of database.prepare(select).all()) {
        const points = runs.get(String(name)) ?? [];
        runs.set(String(name), points);
        points.push(pointOf(key, step, Number(timestamp) / 1000, value));
      }
      database.close();
      return runs;
    },
    keepsMarks: true,
  };
});

describeContract("files of JSON lines", (root) => ({
  connect() {
    const directory = new OutputDirectory(root);
    return new FilesBackend(directory, new JsonlRuns(directory));
  },
  points() {
    const runs = new Map<string, Point[]>();
    for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".jsonl")) continue;
      const lines = readFileSync(path.join(root, name), "utf8").split("\n");
      const points = lines.slice(0, -1).flatMap((line) => {
        const { kind, tag, step, wall_time: wallTime, value } = JSON.parse(line);
        return kind === "scalar" ? [pointOf(tag, step, wallTime, value)] : [];
      });
      runs.set(name.slice(0, -".jsonl".length), points);
    }
    return runs;
  },
  keepsMarks: true,
}));

describeContract("tables of comma-separated values", (root) => ({
  connect() {
    const directory = new OutputDirectory(root);
    return new FilesBackend(directory, new CsvRuns(directory));
  },
  points() {
    const runs = new Map<string, Point[]>();
    for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      if (path.basename(name) !== "scalars.csv") continue;
      const rows = readFileSync(path.join(root, name), "utf8").split("\r\n").slice(1, -1);
      const points = rows.map((row) => {
        const [, tag, step, wallTime, value] = row.split(",");
        return pointOf(tag, step, wallTime, value);
      });
      runs.set(path.dirname(name), points);
    }
    return runs;
  },
  keepsMarks: true,
}));

describeContract("Parquet", (root) => ({
  connect() {
    const directory = new OutputDirectory(root);
    return new FilesBackend(directory, new ParquetRuns(directory));
  },
  async points() {
    const runs = new Map<string, Point[]>();
    for (const name of readdirSync(path.join(root, "scalars"), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".parquet")) continue;
      const file = Uint8Array.from(readFileSync(path.join(root, "scalars", name))).buffer;
      const rows = await parquetReadObjects({ file });
      const points = rows.map(({ tag, step, wall_time_seconds: seconds, value }) => pointOf(tag, step, seconds, value));
      const run = path.dirname(name);
      runs.set(run, [...(runs.get(run) ?? []), ...points]);
    }
    return runs;
  },
  keepsMarks: true,
}));
