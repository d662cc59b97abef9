/** What somebody who may write to an experiment leaves there, met by those who sync to it. */
import path from "node:path";
import { expect, test } from "vitest";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { type Database, openDatabase } from "../../src/sqlite.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { curve, fileOf, World } from "./world.ts";

class Shared {
  readonly world: World = World.create();
  readonly file: string = path.join(this.world.root, "mlflow.db");

  async sync(): Promise<SyncResult> {
    const store = SqliteStore.open(this.file);
    const backend = new MlflowBackend({
      store,
      experiment: "shared",
      version: "1.2.3",
      keepsMarks: true,
      giveUpAfterMs: 1000,
    });
    try {
      return await this.world.sync({ backend });
    } finally {
      await backend.close();
    }
  }

  look<T>(work: (database: Database) => T): T {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    try {
      return work(database);
    } finally {
      database.close();
    }
  }

  points(): unknown {
    return this.look((database) =>
      database.prepare("SELECT count(*) AS points, count(DISTINCT run_uuid) AS runs FROM metrics").get(),
    );
  }
}

test.each([
  ["a head of four tebibytes", { head: 2 ** 42 }],
  ["a head of a gigabyte", { head: 2 ** 30 }],
  ["an offset far behind the end", { offset: Number.MAX_SAFE_INTEGER }],
  ["a batch that begins behind its end", { from: Number.MAX_SAFE_INTEGER }],
  ["a name of a million characters", { name: "x".repeat(1e6) }],
])("a mark with %s stops nobody", async (_, change) => {
  const shared = new Shared();
  shared.world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 50)));
  await shared.sync();
  shared.look((database) => {
    const [tag] = database.prepare("SELECT key, value FROM tags WHERE key LIKE 'tracelet.file.%'").all();
    const value = JSON.stringify({ ...(JSON.parse(String(tag?.["value"])) as object), ...change });
    database.prepare("UPDATE tags SET value = ? WHERE key = ?").run(value, String(tag?.["key"]));
  });
  shared.world.logdir.append("train/tfevents.1", fileOf(curve("loss", 50, 60)));
  expect((await shared.sync()).runs).toMatchObject([{ outcome: "sent", error: undefined }]);
  expect(shared.points()).toEqual({ points: 60, runs: 1 });
});

test.each([2 ** 42, 2 ** 33])("a mark beside the right ones with a head of %i bytes stops nobody", async (head) => {
  const shared = new Shared();
  shared.world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 50)));
  await shared.sync();
  shared.look((database) => {
    const [tag] = database.prepare("SELECT value, run_uuid FROM tags WHERE key LIKE 'tracelet.file.%'").all();
    const value = JSON.stringify({ ...(JSON.parse(String(tag?.["value"])) as object), name: "tfevents.2", head });
    const put = database.prepare("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)");
    put.run(`tracelet.file.${"0".repeat(32)}`, value, tag?.["run_uuid"] as string);
  });
  shared.world.logdir.write("train/tfevents.2", fileOf(curve("loss", 50, 60), 1));
  shared.world.loseState();
  expect((await shared.sync()).runs).toMatchObject([{ outcome: "sent", error: undefined }]);
  expect(shared.points()).toEqual({ points: 60, runs: 1 });
});

test("keys that MLflow would refuse are not taken from tags: no value goes astray", async () => {
  const shared = new Shared();
  shared.world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 50)));
  await shared.sync();
  shared.look((database) => {
    const { run_uuid: run } = database.prepare("SELECT run_uuid FROM runs").get() ?? {};
    const put = database.prepare("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)");
    for (const key of ["../../x", "a//b", "a\u202eb", "", "k".repeat(251)])
      put.run(`tracelet.tag.${key}`, "acc", run as string);
    put.run("tracelet.tag.far", "n".repeat(100_000), run as string);
  });
  shared.world.logdir.append("train/tfevents.1", fileOf([...curve("loss", 50, 60), ...curve("acc", 0, 10)]));
  expect((await shared.sync()).runs).toMatchObject([{ outcome: "sent", error: undefined }]);
  const keys = shared.look((database) => database.prepare("SELECT DISTINCT key FROM metrics ORDER BY key").all());
  expect(keys).toEqual([{ key: "acc" }, { key: "loss" }]);
});
