/** SIGKILL at random moments: no point lost, none doubled, and something was sent again. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FaultProxy } from "./support/fault-proxy.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { byTag, distinct, readMlflow, readTensorBoard } from "./support/python.ts";
import { Resent } from "./support/resent.ts";
import { sync, tracelet } from "./support/tracelet.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const KILLS = 50;

let workspace: string;
let logdir: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-kill-"));
  logdir = path.join(workspace, "runs");
  execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), logdir, "6", "40000", "5"]);
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

/** Start and kill, again and again, at moments spread over what a start and a few batches take. */
async function killOften(args: readonly string[], sent: () => number): Promise<number> {
  let killed = 0;
  let span = 500;
  for (let i = 0; killed < KILLS && i < 4 * KILLS; i++) {
    const before = sent();
    const { signal } = await tracelet(["sync", logdir, "--concurrency", "3", ...args], {
      killAfter: 100 + Math.random() * span,
    });
    // On a busy machine a start takes longer.
    if (sent() === before) span += 150;
    if (signal === "SIGKILL") killed++;
    else break;
  }
  return killed;
}

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
    proxy.onRequest = resent.see;
    const args = ["--tracking-uri", proxy.uri, "--experiment", "kills", "--state-dir", path.join(workspace, "state")];
    const killed = await killOften(args, () => resent.sent);
    const last = await sync([logdir, ...args]);
    expect(last.code).toBe(0);
    expect(await expectEqual(server.uri, "kills")).toBe(240_000);
    console.log(`${killed} kills; ${resent.again} of ${resent.sent} points were sent again`);
    expect(killed).toBe(KILLS);
    expect(resent.again).toBeGreaterThan(0);
  } finally {
    await proxy.stop();
    await server.stop();
  }
});

test("into a database", async () => {
  const uri = `sqlite:///${path.join(workspace, "embedded.db")}`;
  const args = ["--tracking-uri", uri, "--experiment", "kills", "--state-dir", path.join(workspace, "state")];
  let killed = 0;
  for (let i = 0; killed < KILLS && i < 400; i++) {
    const { signal } = await tracelet(["sync", logdir, ...args], { killAfter: 80 + Math.random() * 150 });
    if (signal === "SIGKILL") killed++;
    else break;
  }
  const last = await sync([logdir, ...args]);
  expect(last.code).toBe(0);
  expect(await expectEqual(uri, "kills")).toBe(240_000);
  expect(killed).toBeGreaterThan(0);
});
