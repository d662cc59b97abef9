/** The oracle itself: it has to see what is lost, doubled and changed, or its silence means nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase, type SqlRow } from "../../src/sqlite.ts";
import { LiveWriter } from "./support/live-writer.ts";
import { difference } from "./support/python.ts";
import { sync } from "./support/tracelet.ts";

let workspace: string;
let uri: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-difference-"));
  uri = `sqlite:///${path.join(workspace, "mlflow.db")}`;
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

test("writers that are killed in the middle of records, synced again and again: nothing lost, doubled or extra", async () => {
  const logdir = path.join(workspace, "runs");
  const args = [logdir, "--tracking-uri", uri, "--experiment", "e", "--state-dir", path.join(workspace, "state")];
  const options = { logdir, ledger: path.join(workspace, "ledger"), runs: 2, tags: 2, rate: 40, flush: 0.25 };
  let sent = 0;
  for (const more of [{}, { partial: 3 }, { partial: 3 }]) {
    const writer = new LiveWriter({ ...options, ...more });
    await writer.started();
    for (let i = 0; i < 3; i++) {
      await sleep(200);
      sent += (await sync(args)).kinds["scalars"]?.sent ?? 0;
    }
    await writer.kill();
  }
  const last = new LiveWriter({ ...options, steps: 20 });
  await last.ended();
  const fresh = (await sync(args)).kinds["scalars"]?.sent ?? 0;
  expect(fresh).toBeGreaterThanOrEqual(20 * 4);
  const found = await difference(logdir, uri, "e");
  expect(found).toEqual({ points: sent + fresh, lost: 0, doubled: 0, extra: 0, examples: [] });
  // TensorBoard's loader has not given a file up either.
  expect(found.points).toBeGreaterThanOrEqual(last.flushedPoints);
});

test("a deleted, a doubled and a changed point are found", async () => {
  const database = openDatabase(path.join(workspace, "mlflow.db"), { busyTimeout: 1000 });
  const [first, second, third] = database.prepare("SELECT rowid, * FROM metrics ORDER BY step").all() as [
    SqlRow,
    SqlRow,
    SqlRow,
  ];
  const id = (row: SqlRow) => row["rowid"] as number;
  const text = (row: SqlRow) => ({ tag: row["key"], step: String(row["step"]), ms: String(row["timestamp"]) });
  database.prepare("DELETE FROM metrics WHERE rowid = ?").run(id(first));
  database.prepare("UPDATE metrics SET value = value + 0.25 WHERE rowid = ?").run(id(second));
  // No run can hold a point twice, but a run can have been made twice.
  const { run_uuid: run } = third as { run_uuid: string };
  const copies = [
    ["runs", `run_uuid = '${run}'`],
    ["tags", `run_uuid = '${run}'`],
    ["latest_metrics", `run_uuid = '${run}'`],
    ["metrics", `rowid = ${id(third)}`],
  ];
  for (const [table, where] of copies) {
    database.exec(`CREATE TEMP TABLE copy AS SELECT * FROM ${table} WHERE ${where}`);
    database.exec(`UPDATE copy SET run_uuid = 'twin'; INSERT INTO ${table} SELECT * FROM copy; DROP TABLE copy`);
  }
  database.close();

  const found = await difference(path.join(workspace, "runs"), uri, "e");
  expect(found).toMatchObject({ lost: 2, doubled: 1, extra: 1 });
  expect(found.examples).toHaveLength(4);
  const of = (what: string) => found.examples.filter((example) => example.what === what);
  expect(of("lost")).toEqual(expect.arrayContaining([expect.objectContaining(text(first))]));
  expect(of("lost")).toEqual(expect.arrayContaining([expect.objectContaining(text(second))]));
  expect(of("extra")).toEqual([
    expect.objectContaining({ ...text(second), value: String((second["value"] as number) + 0.25) }),
  ]);
  expect(of("doubled")).toEqual([expect.objectContaining(text(third))]);
});
