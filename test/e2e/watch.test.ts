/**
 * `tracelet watch` beside a live writer and a real MLflow server, while things break. The end is always the same: a calm
 * phase in which fresh points arrive, and then what MLflow's client reads equals what TensorBoard reads in the files.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type Fault } from "../support/faults.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { LiveWriter } from "./support/live-writer.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { difference, NEW_PYTHON, readMlflow } from "./support/python.ts";
import { Resent } from "./support/resent.ts";
import { Watch } from "./support/watch.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

/** Generous: what never comes fails all the same. */
const PATIENCE = { timeout: 90_000, interval: 200 };
const ENDED = { points: expect.any(Number), lost: 0, doubled: 0, extra: 0, examples: expect.anything() };

let workspace: string;
let folder: string;
let server: MlflowServer;
let proxy: FaultProxy;
let experiment: string;
let count = 0;
let resent: Resent;
const watches: Watch[] = [];
const writers: LiveWriter[] = [];

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-watch-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
  proxy = await FaultProxy.start(server.port);
});

afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

beforeEach(() => {
  experiment = `watched ${++count}`;
  folder = path.join(workspace, String(count));
  mkdirSync(folder);
  proxy.reset();
  resent = new Resent();
  proxy.onRequest = resent.see;
});

afterEach(async () => {
  for (const watch of watches.splice(0)) if (watch.isRunning) await watch.kill();
  for (const writer of writers.splice(0)) await writer.kill();
});

const logdir = () => path.join(folder, "runs");
const options = (uri = proxy.uri) => [
  logdir(),
  ...["--tracking-uri", uri, "--experiment", experiment, "--state-dir", path.join(folder, "state")],
];

function watch(more: readonly string[] = [], settings: ConstructorParameters<typeof Watch>[1] = {}): Watch {
  const made = new Watch([...options(), ...more], settings);
  watches.push(made);
  return made;
}

function write(settings: Partial<ConstructorParameters<typeof LiveWriter>[0]> = {}): LiveWriter {
  const ledger = path.join(folder, "ledger");
  const made = new LiveWriter({ logdir: logdir(), ledger, runs: 3, tags: 2, rate: 20, flush: 0.2, ...settings });
  writers.push(made);
  return made;
}

/** How many points have arrived. */
async function arrived(): Promise<number> {
  const { runs } = await readMlflow(server.uri, experiment);
  return runs.flatMap(({ metrics }) => Object.values(metrics)).reduce((sum, points) => sum + points.length, 0);
}

/** No more faults: fresh points arrive, all that was written is there once, and nothing else. */
async function expectCalm(writer: LiveWriter, watching: Watch): Promise<void> {
  proxy.calm();
  const before = writer.flushedPoints;
  await vi.waitFor(() => expect(writer.flushedPoints).toBeGreaterThan(before), PATIENCE);
  await writer.stop();
  // The ledger counts what was promised; what is in the files is known at the end.
  await vi.waitFor(async () => expect(await arrived()).toBeGreaterThanOrEqual(before), PATIENCE);
  expect(await watching.stop()).toBe(143);
  expect(await difference(logdir(), server.uri, experiment)).toEqual(ENDED);
}

const answer = (status: number, headers = {}): Fault => ({
  kind: "answer",
  answer: { status, headers, body: JSON.stringify({ error_code: "INTERNAL_ERROR", message: "told to fail" }) },
});

const FAULTS: readonly (readonly [string, readonly Fault[]])[] = [
  ["connections that are reset", [{ kind: "reset-before" }, { kind: "reset-after" }, { kind: "reset-middle" }]],
  [
    "answers that are cut or no answers",
    [{ kind: "half" }, { kind: "truncated-chunks" }, { kind: "garbage" }, { kind: "delay", afterMs: 800 }],
  ],
  [
    "a server that is too busy",
    [answer(429, { "retry-after": "1" }), answer(503), answer(502), answer(504), answer(500)],
  ],
];

test.each(FAULTS)("%s", async (_name, faults) => {
  const watching = watch();
  const writer = write();
  await writer.started();
  await vi.waitFor(async () => expect(await arrived()).toBeGreaterThan(0), PATIENCE);
  for (const [index, fault] of faults.entries()) {
    proxy.inject({ fault, requests: /log-batch/, times: 1 });
    await vi.waitFor(() => expect(proxy.faults).toBe(index + 1), PATIENCE);
    const { length } = proxy.requests;
    const goesOn = () => proxy.requests.slice(length).some(({ path, fault: by }) => path.endsWith("log-batch") && !by);
    await vi.waitFor(() => expect(goesOn()).toBe(true), PATIENCE);
  }
  await vi.waitFor(() => expect(resent.again).toBeGreaterThan(0), PATIENCE);
  await expectCalm(writer, watching);
});

test("ended with SIGKILL again and again, in the midst of faults", async () => {
  const writer = write();
  await writer.started();
  proxy.inject({ fault: { kind: "reset-after" }, requests: /log-batch/, probability: 0.1 });
  let kills = 0;
  for (; kills < 12 || resent.again === 0; kills++) {
    const watching = watch();
    await new Promise((resolve) => setTimeout(resolve, 400 + 137 * (kills % 7)));
    await watching.kill();
  }
  expect(kills).toBeGreaterThanOrEqual(12);
  await expectCalm(writer, watch());
});

test("the server is away for a while: one message, bounded memory, and it goes on", async () => {
  const watching = watch();
  const writer = write();
  await writer.started();
  await vi.waitFor(async () => expect(await arrived()).toBeGreaterThan(0), PATIENCE);
  await proxy.disconnect();
  const before = writer.flushedPoints;
  await vi.waitFor(() => expect(writer.flushedPoints).toBeGreaterThan(before + 600), PATIENCE);
  expect(watching.said.match(/trying again/g)).toHaveLength(1);
  await proxy.reconnect();
  await expectCalm(writer, watching);
  expect(watching.said).toContain("sending goes on");
});

test("the server comes back with an older backup of its database", async () => {
  const database = path.join(folder, "own", "mlflow.db");
  let own = await MlflowServer.start(database);
  const port = own.port;
  try {
    const writer = write();
    await writer.started();
    const watching = new Watch(options(own.uri));
    watches.push(watching);
    const pointsAt = async (uri: string) => {
      const { runs } = await readMlflow(uri, experiment);
      return runs.flatMap(({ metrics }) => Object.values(metrics)).reduce((sum, points) => sum + points.length, 0);
    };
    await vi.waitFor(async () => expect(await pointsAt(own.uri)).toBeGreaterThan(0), PATIENCE);
    await own.stop();
    cpSync(database, `${database}.backup`);
    const kept = await pointsAt(`sqlite:///${database}.backup`);
    own = await MlflowServer.start(database, { port });
    await vi.waitFor(async () => expect(await pointsAt(own.uri)).toBeGreaterThan(kept + 200), PATIENCE);
    const before = await pointsAt(own.uri);
    await own.stop();
    for (const rest of ["-wal", "-shm"]) rmSync(`${database}${rest}`, { force: true });
    cpSync(`${database}.backup`, database);
    own = await MlflowServer.start(database, { port });
    await vi.waitFor(async () => expect(await pointsAt(own.uri)).toBeGreaterThan(before), PATIENCE);
    await writer.stop();
    expect(await watching.stop()).toBe(143);
    expect(await difference(logdir(), own.uri, experiment)).toEqual(ENDED);
  } finally {
    await own.stop();
  }
});

test("writers that flush in the midst of records, die and begin again", async () => {
  const watching = watch();
  const first = write({ partial: 20 });
  await first.started();
  await vi.waitFor(async () => expect(await arrived()).toBeGreaterThan(30), PATIENCE);
  await first.kill();
  const second = write();
  await second.started();
  await second.kill();
  const third = write();
  await third.started();
  await expectCalm(third, watching);
});

test("the disk of the state directory is full for a while", async () => {
  const state = path.join(folder, "state");
  mkdirSync(state);
  // In a mount namespace of its own, where it may mount.
  const script = `mount -t tmpfs -o size=600k tmpfs "${state}" && dd if=/dev/zero of="${state}/ballast" bs=1k count=330 2>/dev/null; (while [ ! -e "${folder}/free" ]; do sleep 0.1; done; rm "${state}/ballast") >/dev/null 2>&1 & exec "$@"`;
  const watching = watch([], { under: ["unshare", "-Urm", "sh", "-c", script, "sh"] });
  const writer = write({ runs: 12 });
  await writer.started();
  await vi.waitFor(() => expect(watching.said).toMatch(/state.*(full|disk)/i), PATIENCE);
  writeFileSync(path.join(folder, "free"), "");
  await vi.waitFor(() => expect(watching.said).toContain("sending goes on"), PATIENCE);
  await expectCalm(writer, watching);
});

test("a training as its child: its exit code, and the last byte", async () => {
  const ledger = path.join(folder, "ledger");
  const training = path.resolve(import.meta.dirname, "python/live_writer.py");
  const args = [logdir(), ledger, "--runs", "2", "--tags", "2", "--rate", "50", "--flush", "0.3", "--steps", "120"];
  const code = `import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__"); sys.exit(7)`;
  const watching = watch(["--", NEW_PYTHON, "-c", code, training, ...args]);
  expect(await watching.ended()).toBe(7);
  expect(existsSync(ledger)).toBe(true);
  expect(await difference(logdir(), server.uri, experiment)).toEqual({ ...ENDED, points: 2 * 2 * 120 });
  const { runs } = await readMlflow(server.uri, experiment);
  expect(runs.map(({ status }) => status)).toEqual(["FINISHED", "FINISHED"]);
});
