/** SIGKILL at random moments: no point lost, none doubled, and something was sent again. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MlflowServer } from "./support/mlflow-server.ts";
import { Proxy } from "./support/proxy.ts";
import { byTag, distinct, readMlflow, readTensorBoard } from "./support/python.ts";
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
async function killOften(args: readonly string[]): Promise<number> {
  let killed = 0;
  for (let i = 0; killed < KILLS && i < 4 * KILLS; i++) {
    const { signal } = await tracelet(["sync", logdir, "--concurrency", "3", ...args], {
      killAfter: 100 + Math.random() * 500,
    });
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
  const proxy = await Proxy.start(server.port);
  try {
    const sent = new Map<string, number>();
    proxy.fault = (_method, url, body) => {
      if (url.endsWith("log-batch")) {
        for (const [point] of body.matchAll(/\{"key":[^}]*\}/g)) {
          const identity = `${body.slice(0, 43)} ${point}`;
          sent.set(identity, (sent.get(identity) ?? 0) + 1);
        }
      }
      return undefined;
    };
    const args = ["--tracking-uri", proxy.uri, "--experiment", "kills", "--state-dir", path.join(workspace, "state")];
    const killed = await killOften(args);
    const last = await sync([logdir, ...args]);
    expect(last.code).toBe(0);
    expect(await expectEqual(server.uri, "kills")).toBe(240_000);
    const again = [...sent.values()].filter((times) => times > 1).length;
    console.log(`${killed} kills; ${again} of ${sent.size} points were sent more than once`);
    expect(killed).toBe(KILLS);
    expect(again).toBeGreaterThan(0);
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
