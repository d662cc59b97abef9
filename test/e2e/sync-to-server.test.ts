/** Against a real MLflow server, read back with MLflow's own client, compared with what TensorBoard's loader reads. */
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FaultProxy, type ProxiedRequest } from "./support/fault-proxy.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { byTag, distinct, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync } from "./support/tracelet.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

let server: MlflowServer;
let proxy: FaultProxy;
let workspace: string;
let folder: string;
let experiment: string;
let count = 0;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-e2e-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
  proxy = await FaultProxy.start(server.port);
});

afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

beforeEach(() => {
  experiment = `experiment ${++count}`;
  folder = path.join(workspace, String(count));
  mkdirSync(folder);
  proxy.reset();
});

const options = (state = "state") => [
  ...["--tracking-uri", proxy.uri, "--experiment", experiment],
  ...["--state-dir", path.join(folder, state), "--give-up-after", "30s"],
];
const logdir = () => path.join(folder, "runs");
const runsOf = async () => (await readMlflow(server.uri, experiment)).runs;
const requestsTo = (end: string) => proxy.requests.filter((request) => request.path.endsWith(end)).length;

/** With nothing new it is found out that all is as it was left, and nothing is written. */
function expectOnlyLooks(): void {
  expect(proxy.requests.length).toBeGreaterThan(0);
  expect(proxy.requests.length).toBeLessThanOrEqual(12);
  const isLook = ({ method, path }: ProxiedRequest) => method === "GET" || path.endsWith("runs/search");
  expect(proxy.requests.filter((request) => !isLook(request))).toEqual([]);
}

/** Every point TensorBoard reads is there once, and nothing else. */
async function expectEqualToTensorBoard(directory: string): Promise<void> {
  const expected = await readTensorBoard(directory);
  const actual = new Map(
    (await runsOf()).map((run) => [run.name === path.basename(directory) ? "." : run.name, byTag(run)]),
  );
  for (const [run, tags] of Object.entries(expected)) {
    const points = Object.fromEntries(Object.entries(tags).map(([tag, all]) => [tag, distinct(all)]));
    expect([run, actual.get(run) ?? {}]).toEqual([run, points]);
  }
  expect([...actual.keys()].filter((run) => !(run in expected))).toEqual([]);
}

function eventFile(run: string): string {
  const directory = path.join(logdir(), run);
  const name = readdirSync(directory).find((entry) => entry.includes("tfevents"));
  return path.join(directory, name as string);
}

function lastRecord(file: string): Buffer {
  const bytes = readFileSync(file);
  let last = 0;
  for (let at = 0; at < bytes.length; at += 16 + bytes.readUInt32LE(at)) last = at;
  return bytes.subarray(last);
}

describe("runs as people mean them", () => {
  /** TensorBoard's points of some of its runs, each tag under the name that it is to have. */
  const expectedOf = async (
    logdir: string,
    parts: readonly (readonly [run: string, key: (tag: string) => string])[],
  ) => {
    const read = await readTensorBoard(logdir);
    const entries = parts.flatMap(([run, key]) =>
      Object.entries(read[run] ?? {}).map(([tag, all]) => [key(tag), distinct(all)]),
    );
    expect(entries.length).toBeGreaterThan(parts.length);
    return Object.fromEntries(entries) as { [key: string]: unknown };
  };
  const found = async (name: string) => {
    const run = (await runsOf()).find((each) => each.name === name);
    return run === undefined ? undefined : { points: byTag(run), params: run.params, tags: run.tags, id: run.id };
  };

  test("add_scalars and add_hparams of torch are a part of their run", async () => {
    const torch = path.join(FIXTURES, "torch/runs");
    await sync([torch, "--restarts", "keep", ...options()]);
    const expected = await expectedOf(torch, [
      ["scalars", (tag) => tag],
      ["scalars/losses_train", (tag) => `${tag}/train`],
      ["scalars/losses_val", (tag) => `${tag}/val`],
    ]);
    expect((await found("scalars"))?.points).toEqual(expected);
    expect((await found("hparams/named"))?.params).toMatchObject({ lr: "0.001" });
    expect(await found("hparams/named/trial")).toBeUndefined();
  });

  test("train and validation of Keras are one run with --group parent", async () => {
    const tf = path.join(FIXTURES, "tf2/runs");
    await sync([tf, "--group", "parent", "--include-runs", "keras/*", ...options()]);
    const expected = await expectedOf(tf, [
      ["keras/train", (tag) => `train/${tag}`],
      ["keras/validation", (tag) => `validation/${tag}`],
    ]);
    expect((await found("keras"))?.points).toEqual(expected);
  });

  test("directories are parent runs with --group nested", async () => {
    const tf = path.join(FIXTURES, "tf2/runs");
    const nested = ["--group", "nested", "--include-runs", "keras/*", ...options()];
    await sync([tf, ...nested]);
    const [parent, train] = [await found("keras"), await found("keras/train")];
    expect(train?.tags["mlflow.parentRunId"]).toBe(parent?.id);
    proxy.requests.length = 0;
    await sync([tf, ...nested]);
    expectOnlyLooks();
    await sync([tf, ...nested, "--state-dir", path.join(folder, "elsewhere")]);
    expect((await runsOf()).map(({ name }) => name).sort()).toEqual(["keras", "keras/train", "keras/validation"]);
  });
});

describe("every writer's runs", () => {
  test.each(["example", "torch", "tensorboardx", "tf1", "tf2", "lightning", "torch-hosts"])("%s", async (name) => {
    const runs = path.join(FIXTURES, name, "runs");
    const result = await sync([runs, "--group", "none", "--restarts", "keep", ...options()]);
    expect([0, 3]).toContain(result.code);
    await expectEqualToTensorBoard(runs);
    proxy.requests.length = 0;
    expect(
      (await sync([runs, "--group", "none", "--restarts", "keep", ...options()])).runs.every((run) =>
        ["unchanged", "empty"].includes(run.outcome),
      ),
    ).toBe(true);
    expectOnlyLooks();
  });

  test("what a run's page shows is filled in", async () => {
    await sync([path.join(FIXTURES, "example/runs"), ...options()]);
    const { runs, experiment: record } = await readMlflow(server.uri, experiment);
    expect(record.tags["mlflow.experimentKind"]).toBeDefined();
    for (const run of runs) {
      expect(run.status).toBe("FINISHED");
      expect(run.start).toBeGreaterThan(1.6e12);
      expect(run.end).toBeGreaterThan(run.start);
      expect(run.tags).toMatchObject({ "mlflow.source.name": "tracelet", "mlflow.source.type": "LOCAL" });
      expect(run.tags["mlflow.user"]).toBeTruthy();
      expect(run.tags["mlflow.note.content"]).toContain(run.name);
      expect(Object.keys(run.params).length).toBeGreaterThan(1);
    }
  });

  test("Lightning's hyperparameters are params, with their types", async () => {
    await sync([path.join(FIXTURES, "lightning/runs"), ...options()]);
    const run = (await runsOf()).find(({ name }) => name === "lightning_logs/version_0");
    expect(run?.params).toMatchObject(
      JSON.parse(readFileSync(path.join(import.meta.dirname, "lightning-params.json"), "utf8")) as object,
    );
  });
});

describe("Lightning's objects as hyperparameters", () => {
  test.each(["lightning-logger-numpy", "lightning-logger-objects", "lightning-hparams-tensor"])(
    "%s: as Python prints them",
    async (name) => {
      const truth = readFileSync(path.join(FIXTURES, name, "expected-params.json"), "utf8");
      const expected = Object.entries(JSON.parse(truth) as Record<string, { params: object; unreadable: string[] }>);
      expect(expected.length).toBeGreaterThan(0);
      const result = await sync([path.join(FIXTURES, name, "runs"), ...options()]);
      const runs = await runsOf();
      for (const [run, { params, unreadable }] of expected) {
        expect(runs.find((each) => each.name === run)?.params).toEqual(params);
        const notes = result.runs.find((each) => each.name === run)?.notes ?? [];
        expect(notes.map(({ code }) => code)).toEqual(unreadable.length > 0 ? ["unreadable-hparams"] : []);
      }
    },
  );
});

describe("going on", () => {
  beforeEach(() => cpSync(path.join(FIXTURES, "example/runs"), logdir(), { recursive: true }));

  test("only what is new is sent", async () => {
    const file = eventFile("baseline");
    const whole = readFileSync(file);
    truncateSync(file, 20_000);
    const first = await sync([logdir(), ...options()]);
    writeFileSync(file, whole);
    const second = await sync([logdir(), ...options()]);
    expect((first.kinds["scalars"]?.sent ?? 0) + (second.kinds["scalars"]?.sent ?? 0)).toBe(2796);
    expect(second.runs.map((run) => run.outcome)).toEqual(["sent", "unchanged", "unchanged"]);
    await expectEqualToTensorBoard(logdir());
  });

  test("a moved or copied logdir goes on in the same runs", async () => {
    const file = eventFile("baseline");
    const whole = readFileSync(file);
    truncateSync(file, 20_000);
    await sync([logdir(), ...options()]);
    const before = (await runsOf()).map((run) => run.id).sort();
    const moved = path.join(folder, "elsewhere");
    renameSync(logdir(), moved);
    cpSync(moved, logdir(), { recursive: true });
    // As rsync does: a new file, renamed over the old.
    writeFileSync(`${file}.new`, whole);
    renameSync(`${file}.new`, file);
    await sync([logdir(), ...options()]);
    expect((await runsOf()).map((run) => run.id).sort()).toEqual(before);
    await expectEqualToTensorBoard(logdir());
  });

  test("from another machine, without state, at most one batch is sent again", async () => {
    const file = eventFile("baseline");
    const whole = readFileSync(file);
    truncateSync(file, 20_000);
    await sync([logdir(), ...options()]);
    const before = (await runsOf()).map((run) => run.id).sort();
    writeFileSync(file, whole);
    const result = await sync([logdir(), ...options("another state")]);
    expect((await runsOf()).map((run) => run.id).sort()).toEqual(before);
    expect(result.runs.map((run) => run.remoteId).sort()).toEqual(before);
    const expected = await readTensorBoard(path.join(folder, "runs"));
    expect(expected).toBeDefined();
    expect(result.kinds["scalars"]?.sent ?? 0).toBeLessThan(930);
    await expectEqualToTensorBoard(logdir());
  });

  test("a server restored from an older backup is filled up again", async () => {
    const file = eventFile("baseline");
    const whole = readFileSync(file);
    truncateSync(file, 20_000);
    const database = path.join(folder, "own.db");
    let own = await MlflowServer.start(database);
    const { port } = own;
    const toOwn = ["--tracking-uri", own.uri, "--experiment", experiment, "--state-dir", path.join(folder, "state")];
    try {
      await sync([logdir(), ...toOwn]);
      await own.stop();
      copyFileSync(database, `${database}.backup`);
      own = await MlflowServer.start(database, { port });
      writeFileSync(file, whole);
      await sync([logdir(), ...toOwn]);
      await own.stop();
      copyFileSync(`${database}.backup`, database);
      own = await MlflowServer.start(database, { port });
      appendFileSync(file, lastRecord(eventFile("lr-0.10/bs-32")));
      await sync([logdir(), ...toOwn]);
      const expected = await readTensorBoard(logdir());
      const run = (await readMlflow(own.uri, experiment)).runs.find(({ name }) => name === "baseline");
      const points = Object.entries(expected["baseline"] ?? {}).map(([tag, all]) => [tag, distinct(all)]);
      expect(run && byTag(run)).toEqual(Object.fromEntries(points));
    } finally {
      await own.stop();
    }
  });
});

describe("what a server really does", () => {
  beforeEach(() => cpSync(path.join(FIXTURES, "example/runs"), logdir(), { recursive: true }));

  test("a 200 that drops half the batch: the server does so, and no value of ours provokes it", async () => {
    const post = async (endpoint: string, body: string) => {
      const answer = await fetch(`${server.uri}/api/2.0/mlflow/${endpoint}`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      return {
        status: answer.status,
        json: (await answer.json()) as { experiment_id?: string; run?: { info: { run_id: string } } },
      };
    };
    const { json: created } = await post("experiments/create", JSON.stringify({ name: experiment }));
    const { json: run } = await post("runs/create", JSON.stringify({ experiment_id: created.experiment_id }));
    const metric = (key: string, value: string) => `{"key":"${key}","value":${value},"timestamp":1,"step":0}`;
    const body = `{"run_id":"${run.run?.info.run_id}","metrics":[${metric("a", "1")},${metric("b", "NaN")},${metric("c", "3")}]}`;
    expect((await post("runs/log-batch", body)).status).toBe(200);
    expect(Object.keys((await runsOf())[0]?.metrics ?? {})).not.toContain("c");

    const odd = path.join(FIXTURES, "odd/runs");
    const result = await sync([
      odd,
      "--group",
      "none",
      "--restarts",
      "keep",
      ...options(),
      "--experiment",
      `${experiment} odd`,
    ]);
    expect(result.runs.map((entry) => entry.error)).toEqual(result.runs.map(() => null));
    const { runs } = await readMlflow(server.uri, `${experiment} odd`);
    const stored = runs.reduce(
      (sum, { metrics }) => sum + Object.values(metrics).reduce((n, points) => n + points.length, 0),
      0,
    );
    const distinctPoints = Object.values(await readTensorBoardOdd(odd));
    expect(stored).toBe(distinctPoints.reduce((sum, n) => sum + n, 0));
  });

  test("a lost reply to runs/create makes no second run", async () => {
    proxy.inject({ fault: { kind: "reset-after" }, requests: /runs\/create$/, times: 2 });
    await sync([logdir(), ...options()]);
    expect(proxy.faults).toBe(2);
    expect(await runsOf()).toHaveLength(3);
    await expectEqualToTensorBoard(logdir());
  });

  test("lost replies and lost requests of batches: sent again, nothing doubled", async () => {
    proxy.inject(
      { fault: { kind: "reset-after" }, requests: /log-batch$/, nth: (n) => n % 4 === 1 },
      { fault: { kind: "reset-before" }, requests: /log-batch$/, nth: (n) => n % 4 === 3 },
    );
    const result = await sync([logdir(), ...options()]);
    expect(proxy.faults).toBeGreaterThan(0);
    expect(result.retries).toBeGreaterThanOrEqual(proxy.faults);
    expect(requestsTo("log-batch")).toBeGreaterThan(3);
    await expectEqualToTensorBoard(logdir());
  });

  test("long params are cut here, where it can be said", async () => {
    writeFileSync(path.join(path.dirname(eventFile("baseline")), "hparams.yaml"), `long: ${"x".repeat(7000)}\n`);
    const result = await sync([logdir(), ...options()]);
    expect(result.runs.flatMap(({ notes }) => notes.map(({ code }) => code))).toContain("cut");
    expect((await runsOf()).find(({ name }) => name === "baseline")?.params["long"]).toHaveLength(6000);
  });

  test("a deleted run is an error of that run only, with what to do", async () => {
    await sync([logdir(), ...options()]);
    const deleted = (await runsOf()).find(({ name }) => name === "baseline");
    await fetch(`${server.uri}/api/2.0/mlflow/runs/delete`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ run_id: deleted?.id }),
    });
    for (const run of ["baseline", "lr-0.01/bs-64"])
      appendFileSync(eventFile(run), lastRecord(eventFile("lr-0.10/bs-32")));
    const result = await sync([logdir(), ...options()]);
    expect(result.code).toBe(1);
    const [baseline, other] = result.runs;
    expect(baseline).toMatchObject({ outcome: "failed", error: { code: "deleted" } });
    expect(baseline?.error?.hint).toContain("mlflow runs restore");
    expect(other).toMatchObject({ outcome: "sent" });
  });
});

/** How many distinct points TensorBoard reads in each run of the odd fixtures, as MLflow tells points apart. */
async function readTensorBoardOdd(odd: string): Promise<{ [run: string]: number }> {
  const expected = JSON.parse(readFileSync(path.join(odd, "../expected.json"), "utf8")) as {
    runs: {
      [run: string]: {
        tags: { [tag: string]: { plugin: string | null; points: [number | string, string, unknown][] } };
      };
    };
  };
  return Object.fromEntries(
    Object.entries(expected.runs).map(([run, { tags }]) => {
      let n = 0;
      for (const { points } of Object.values(tags)) {
        n += new Set(points.filter(([, , value]) => typeof value === "number").map((point) => JSON.stringify(point)))
          .size;
      }
      return [run, n];
    }),
  );
}
