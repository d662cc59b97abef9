/** SIGKILL at random moments: no point lost, none doubled, and something was sent again. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FaultProxy } from "./support/fault-proxy.ts";
import { killOften } from "./support/kill-often.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { byTag, distinct, readMlflow, readTensorBoard } from "./support/python.ts";
import { Resent } from "./support/resent.ts";
import { sync } from "./support/tracelet.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const KILLS = 50;
const POINTS = 120_000;

let workspace: string;
let logdir: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-kill-"));
  logdir = path.join(workspace, "runs");
  execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), logdir, "6", String(POINTS / 6), "5"]);
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

async function expectEqual(uri: string, experiment: string): Promise<number> {
  const expected = await readTensorBoard(logdir);
  const { runs } = await readMlflow(uri, experiment);
  expect(runs).toHaveLength(Object.keys(expected).length);
  let points = 0;
  for (const run of runs) {
    const tags = Object.entries(expected[run.name] ?? {}).map(([tag, all]) => [tag, distinct(all)] as const);
    expect(byTag(run)).toEqual(Object.fromEntries(tags));
    expect(run.status).toBe("FINISHED");
    points += tags.reduce((sum, [, all]) => sum + all.length, 0);
  }
  return points;
}

test("against a server", async () => {
  const server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
  const proxy = await FaultProxy.start(server.port);
  try {
    const resent = new Resent();
    let batches = 0;
    proxy.onRequest = (method, path, body) => {
      resent.see(method, path, body);
      if (path.endsWith("log-batch")) batches++;
    };
    const args = [
      "--concurrency",
      "3",
      "--tracking-uri",
      proxy.uri,
      "--experiment",
      "kills",
      "--state-dir",
      path.join(workspace, "state"),
    ];
    const killed = await killOften([logdir, ...args], KILLS, () => batches);
    const last = await sync([logdir, ...args]);
    expect(last.code).toBe(0);
    expect(await expectEqual(server.uri, "kills")).toBe(POINTS);
    console.log(`${killed} kills; ${resent.again} of ${resent.sent} points were sent again`);
    expect(killed).toBe(KILLS);
    expect(resent.again).toBeGreaterThan(0);
  } finally {
    await proxy.stop();
    await server.stop();
  }
});

test("into a database", async () => {
  const database = path.join(workspace, "embedded.db");
  const uri = `sqlite:///${database}`;
  const args = ["--tracking-uri", uri, "--experiment", "kills", "--state-dir", path.join(workspace, "state")];
  /** How often its files were seen to have another size. */
  let changes = 0;
  let sizes = "";
  const progress = () => {
    const now = ["", "-wal"].map((part) => statSync(database + part, { throwIfNoEntry: false })?.size).join(" ");
    if (now !== sizes) changes++;
    sizes = now;
    return changes;
  };
  const killed = await killOften([logdir, ...args], KILLS, progress);
  const last = await sync([logdir, ...args]);
  expect(last.code).toBe(0);
  expect(await expectEqual(uri, "kills")).toBe(POINTS);
  expect(killed).toBeGreaterThan(0);
});
