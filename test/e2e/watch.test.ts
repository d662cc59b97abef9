/**
 * `tracelet watch` beside a live writer and a real MLflow server, while things break. The end is always the same: a calm
 * phase in which fresh points arrive, and then what MLflow's client reads equals what TensorBoard reads in the files.
 */
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type Fault } from "../support/faults.ts";
import type { FaultProxy } from "./support/fault-proxy.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { difference, NEW_PYTHON, readMlflow } from "./support/python.ts";
import { EQUAL, PATIENCE, Scene } from "./support/scene.ts";

let workspace: string;
let server: MlflowServer;
let scene: Scene;
let proxy: FaultProxy;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-watch-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

beforeEach(async () => {
  scene = await Scene.begin(server);
  proxy = scene.proxy;
});

afterEach(() => scene.end());

const answer = (status: number, headers = {}): Fault => ({
  kind: "answer",
  answer: { status, headers, body: JSON.stringify({ error_code: "INTERNAL_ERROR", message: "told to fail" }) },
});

/** Whether something has to be sent again: not where the run's own marks tell that it has arrived. */
const FAULTS: readonly (readonly [string, boolean, readonly Fault[]])[] = [
  ["connections that are reset", true, [{ kind: "reset-before" }, { kind: "reset-after" }, { kind: "reset-middle" }]],
  [
    "answers that are cut or no answers",
    false,
    [{ kind: "half" }, { kind: "truncated-chunks" }, { kind: "garbage" }, { kind: "delay", afterMs: 800 }],
  ],
  [
    "a server that is too busy",
    true,
    [answer(429, { "retry-after": "1" }), answer(503), answer(502), answer(504), answer(500)],
  ],
];

test.each(FAULTS)("%s", async (_name, sendsAgain, faults) => {
  const watching = scene.watch();
  const writer = scene.write();
  await writer.started();
  await vi.waitFor(() => expect(scene.arrived()).toBeGreaterThan(0), PATIENCE);
  for (const [index, fault] of faults.entries()) {
    proxy.inject({ fault, requests: /log-batch/, times: 1 });
    await vi.waitFor(() => expect(proxy.faults).toBe(index + 1), PATIENCE);
    const { length } = proxy.requests;
    const goesOn = () => proxy.requests.slice(length).some(({ path, fault: by }) => path.endsWith("log-batch") && !by);
    await vi.waitFor(() => expect(goesOn()).toBe(true), PATIENCE);
  }
  if (sendsAgain) await vi.waitFor(() => expect(scene.resent.again).toBeGreaterThan(0), PATIENCE);
  await scene.expectCalm(writer, watching);
});

test("ended with SIGKILL again and again, in the midst of faults", async () => {
  const writer = scene.write();
  await writer.started();
  // What has arrived is not sent again, though its reply was lost; what was lost itself is.
  for (const kind of ["reset-after", "reset-before"] as const)
    proxy.inject({ fault: { kind }, requests: /log-batch/, probability: 0.1 });
  let kills = 0;
  for (; kills < 12 || scene.resent.again === 0; kills++) {
    const { sent } = scene.resent;
    const watching = scene.watch();
    // At some moment of its start, or soon after it has sent something, however long that takes on a busy machine.
    if (kills % 3 > 0)
      await vi.waitFor(() => expect(scene.resent.sent).toBeGreaterThan(sent), { ...PATIENCE, interval: 5 });
    await new Promise((resolve) => setTimeout(resolve, 137 * (kills % 4)));
    await watching.kill();
  }
  expect(kills).toBeGreaterThanOrEqual(12);
  await scene.expectCalm(writer, scene.watch());
});

test("the server is away for a while: one message, bounded memory, and it goes on", async () => {
  const watching = scene.watch();
  const writer = scene.write();
  await writer.started();
  await vi.waitFor(() => expect(scene.arrived()).toBeGreaterThan(0), PATIENCE);
  await proxy.disconnect();
  const before = writer.flushedPoints;
  await vi.waitFor(() => expect(writer.flushedPoints).toBeGreaterThan(before + 600), PATIENCE);
  expect(watching.said.match(/trying again/g)).toHaveLength(1);
  await proxy.reconnect();
  await scene.expectCalm(writer, watching);
  expect(watching.said).toContain("sending goes on");
});

test("the server comes back with an older backup of its database", async () => {
  const database = path.join(scene.folder, "own", "mlflow.db");
  let own = await MlflowServer.start(database);
  const port = own.port;
  try {
    const writer = scene.write();
    await writer.started();
    const watching = scene.watch(["--rescan", "10s"], { uri: own.uri });
    await vi.waitFor(() => expect(scene.arrived(database)).toBeGreaterThan(0), PATIENCE);
    await own.stop();
    cpSync(database, `${database}.backup`);
    const kept = scene.arrived(`${database}.backup`);
    own = await MlflowServer.start(database, { port });
    await vi.waitFor(() => expect(scene.arrived(database)).toBeGreaterThan(kept + 200), PATIENCE);
    const before = scene.arrived(database);
    await own.stop();
    for (const rest of ["-wal", "-shm"]) rmSync(`${database}${rest}`, { force: true });
    cpSync(`${database}.backup`, database);
    own = await MlflowServer.start(database, { port });
    await vi.waitFor(() => expect(scene.arrived(database)).toBeGreaterThan(before), PATIENCE);
    await writer.stop();
    // A watch that had nothing to send while the server was away finds out with its next look all over.
    await vi.waitFor(() => expect(scene.arrived(database)).toBeGreaterThanOrEqual(writer.flushedPoints), PATIENCE);
    expect(await watching.stop()).toBe(143);
    expect(await difference(scene.logdir, own.uri, scene.experiment)).toEqual(EQUAL);
  } finally {
    await own.stop();
  }
});

test("writers that flush in the midst of records, die and begin again", async () => {
  const watching = scene.watch();
  const first = scene.write({ partial: 20 });
  await first.started();
  await vi.waitFor(() => expect(scene.arrived()).toBeGreaterThan(30), PATIENCE);
  await first.kill();
  const second = scene.write();
  await second.started();
  await second.kill();
  const third = scene.write();
  await third.started();
  await scene.expectCalm(third, watching);
});

test("the disk of the state directory is full for a while", async () => {
  const state = scene.mkdir("state");
  // In a mount namespace of its own, where it may mount.
  const script = `mount -t tmpfs -o size=600k tmpfs "${state}" && dd if=/dev/zero of="${state}/ballast" bs=1k count=330 2>/dev/null; (while [ ! -e "${scene.folder}/free" ]; do sleep 0.1; done; rm "${state}/ballast") >/dev/null 2>&1 & exec "$@"`;
  const watching = scene.watch([], { under: ["unshare", "-Urm", "sh", "-c", script, "sh"] });
  const writer = scene.write({ runs: 12 });
  await writer.started();
  await vi.waitFor(() => expect(watching.said).toMatch(/state.*(full|disk)/i), PATIENCE);
  writeFileSync(path.join(scene.folder, "free"), "");
  await vi.waitFor(() => expect(watching.said).toContain("sending goes on"), PATIENCE);
  await scene.expectCalm(writer, watching);
});

test("a training as its child: its exit code, and the last byte", async () => {
  const ledger = path.join(scene.folder, "ledger");
  const training = path.resolve(import.meta.dirname, "python/live_writer.py");
  const args = [scene.logdir, ledger, "--runs", "2", "--tags", "2", "--rate", "50", "--flush", "0.3", "--steps", "120"];
  const code = `import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__"); sys.exit(7)`;
  const watching = scene.watch(["--", NEW_PYTHON, "-c", code, training, ...args]);
  expect(await watching.ended()).toBe(7);
  expect(existsSync(ledger)).toBe(true);
  expect(await difference(scene.logdir, server.uri, scene.experiment)).toEqual({ ...EQUAL, points: 2 * 2 * 120 });
  const { runs } = await readMlflow(server.uri, scene.experiment);
  expect(runs.map(({ status }) => status)).toEqual(["FAILED", "FAILED"]);
});
