import { afterEach, describe, expect, test } from "vitest";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { RestStore } from "../../src/backends/mlflow/rest-store.ts";
import { type LogBatch, type NewRun } from "../../src/backends/mlflow/store.ts";
import { nextNonce } from "../../src/backends/mlflow/survey.ts";
import { type HttpTrackingUri, resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { ReplyLost } from "../../src/net/refusal.ts";
import { systemTiming } from "../../src/net/timing.ts";
import { type Answer, FaultServer, type Handler, html, json, MlflowImitation, refusal } from "./fault-server.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function start(handler: Handler, prefix = "") {
  const server = await FaultServer.start(handler);
  const uri = resolveTrackingUri(server.url + prefix, {}, "/") as HttpTrackingUri;
  const credentials = readCredentials(undefined, {}, "/nonexistent");
  const store = new RestStore({ uri, credentials, timing: { ...systemTiming, sleep: async () => {} } });
  open.push(server, store);
  return { server, store };
}

/** Answers by the method's name; the last of several again and again. */
function answers(byMethod: Readonly<Record<string, Answer | readonly Answer[]>>): Handler {
  const left = new Map(Object.entries(byMethod).map(([method, each]) => [method, [each].flat()]));
  return ({ target }) => {
    const queue = left.get(target.replace(/^.*\/mlflow\/|\?.*$/g, "")) ?? [];
    return (queue.length > 1 ? queue.shift() : queue[0]) ?? html(404);
  };
}

function batch(metrics: number, params = 0, tags = 0): LogBatch {
  const numbered = (name: string, n: number) => new Map(Array.from({ length: n }, (_, i) => [`${name}${i}`, "v"]));
  return {
    metrics: {
      keys: ["loss"],
      key: new Int32Array(metrics),
      step: BigInt64Array.from({ length: metrics }, (_, i) => BigInt(i)),
      timestamp: new Float64Array(metrics),
      value: new Float64Array(metrics),
      length: metrics,
    },
    params: numbered("p", params),
    tags: numbered("t", tags),
  };
}

const NEW_RUN: NewRun = { experimentId: "1", name: "r", startTime: 5, user: "me", tags: new Map([["k", "v"]]) };
const sizes = ({ batches }: MlflowImitation) =>
  batches.map(({ metrics, params, tags }) => [params.length, metrics.length, tags.length]);
const steps = ({ batches }: MlflowImitation) => batches.flatMap(({ metrics }) => metrics.map(({ step }) => step));
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe("a lost reply", () => {
  test("to creating a run is the caller's matter: it is not created twice", async () => {
    const mlflow = new MlflowImitation();
    const { server, store } = await start(mlflow.handle);
    server.script({ kind: "reset-after" });
    await expect(store.createRun(NEW_RUN)).rejects.toBeInstanceOf(ReplyLost);
    expect(mlflow.runs).toHaveLength(1);
    expect(await store.createRun(NEW_RUN)).toBe("run2");
    expect(JSON.parse(mlflow.runs[1] ?? "")).toEqual({
      experiment_id: "1",
      run_name: "r",
      start_time: 5,
      user_id: "me",
      tags: [{ key: "k", value: "v" }],
    });
  });

  test("to a batch brings the same batch again, byte for byte", async () => {
    const mlflow = new MlflowImitation();
    const { server, store } = await start(mlflow.handle);
    server.script({ kind: "reset-after" }, { kind: "reset-before" }, { kind: "half" });
    await store.logBatch("r", batch(3, 1, 1));
    expect(mlflow.batches).toHaveLength(3);
    expect(new Set(server.requests.map(({ body }) => body).filter((body) => body !== ""))).toHaveProperty("size", 1);
    expect(store.retries).toBe(3);
  });
});

describe("large batches", () => {
  test.each([
    [batch(0, 0, 0), []],
    [batch(0, 0, 3), [[0, 0, 3]]],
    [batch(990, 0, 10), [[0, 990, 10]]],
    [
      batch(1000, 0, 1),
      [
        [0, 1000, 0],
        [0, 0, 1],
      ],
    ],
    [
      batch(950, 60, 1),
      [
        [60, 940, 0],
        [0, 10, 1],
      ],
    ],
    [
      batch(2500, 150, 120),
      [
        [100, 900, 0],
        [50, 950, 0],
        [0, 650, 0],
        [0, 0, 100],
        [0, 0, 20],
      ],
    ],
    [
      batch(1, 1, 120),
      [
        [1, 1, 0],
        [0, 0, 100],
        [0, 0, 20],
      ],
    ],
  ])("are split, and tags come last (%#)", async (whole, parts) => {
    const mlflow = new MlflowImitation();
    const { store } = await start(mlflow.handle);
    await store.logBatch("r", whole);
    expect(sizes(mlflow)).toEqual(parts);
    expect(steps(mlflow)).toEqual(upTo(whole.metrics.length));
  });

  test("no tag is sent once a part before it was refused", async () => {
    const { server, store } = await start(() => refusal(400, "INVALID_PARAMETER_VALUE", "no"));
    await expect(store.logBatch("r", batch(1500, 0, 1))).rejects.toMatchObject({ code: "rejected" });
    expect(server.requests.map(({ body }) => (JSON.parse(body) as { tags: unknown }).tags)).toEqual([[]]);
  });
});

describe("smaller limits than MLflow's", () => {
  test.each([
    ["a proxy's", html(413)],
    [
      "MLflow's own words",
      refusal(
        400,
        "INVALID_PARAMETER_VALUE",
        "A batch logging request can contain at most 200 metrics. Got 990 metrics.",
      ),
    ],
    [
      "Azure ML's words",
      refusal(
        400,
        "INVALID_PARAMETER_VALUE",
        "{'Message': 'A field of the entity is over the size limit. FieldName=MetricV2Dto.Value/Count, Limit=250, Size=699.'}",
      ),
    ],
    ["other words", refusal(400, "BAD_REQUEST", "The number of metrics exceeds the limit")],
  ])("are found by halving: %s", async (_, tooMuch) => {
    const mlflow = new MlflowImitation();
    Object.assign(mlflow, { limit: 200, tooMuch });
    const { server, store } = await start(mlflow.handle);
    expect(store.batchSize).toBe(990);
    await store.logBatch("r", batch(990, 0, 2));
    expect(steps(mlflow)).toEqual(upTo(990));
    expect(sizes(mlflow).map(([, , tags]) => tags)).toEqual([...Array(mlflow.batches.length - 1).fill(0), 2]);
    expect(store.batchSize).toBeLessThan(200);
    const before = server.requests.length;
    await store.logBatch("r", batch(store.batchSize, 0, 2));
    expect(server.requests).toHaveLength(before + 1);
  });

  test("go down to one", async () => {
    const mlflow = new MlflowImitation();
    mlflow.limit = 1;
    const { store } = await start(mlflow.handle);
    await store.logBatch("r", batch(5, 1, 1));
    expect(sizes(mlflow)).toEqual([[1, 0, 0], ...Array.from({ length: 5 }, () => [0, 1, 0]), [0, 0, 1]]);
    expect(store.batchSize).toBe(1);
  });

  test("are not to blame if one alone is refused as well", async () => {
    const { store } = await start(() => html(413));
    await expect(store.logBatch("r", batch(8))).rejects.toMatchObject({ code: "rejected" });
    expect(store.batchSize).toBe(990);
  });

  test.each(["'Metric name' exceeds the maximum length of 250 characters", "Invalid value for parameter 'metrics[0]'"])(
    "are not meant by: %s",
    async (message) => {
      const { server, store } = await start(() => refusal(400, "INVALID_PARAMETER_VALUE", message));
      await expect(store.logBatch("r", batch(8))).rejects.toMatchObject({ code: "rejected" });
      expect(server.requests).toHaveLength(1);
    },
  );
});

describe("deleted things", () => {
  const inactive = (what: string) =>
    refusal(400, "INVALID_PARAMETER_VALUE", `The ${what} must be in the 'active' state. Current state is deleted.`);
  const missing = refusal(404, "RESOURCE_DOES_NOT_EXIST", "not found");

  test.each([
    ["a batch", (store: RestStore) => store.logBatch("r7", batch(1))],
    ["an update", (store: RestStore) => store.updateRun("r7", "FINISHED", 1)],
  ])("%s for a run", async (_, write) => {
    const deleted = await start(() => inactive("run r7"));
    await expect(write(deleted.store)).rejects.toMatchObject({
      code: "deleted",
      hint: expect.stringContaining("mlflow runs restore --run-id r7"),
    });
    const gone = await start(() => missing);
    await expect(write(gone.store)).rejects.toMatchObject({
      code: "deleted",
      message: expect.stringContaining("any more"),
    });
  });

  test("a run in an experiment", async () => {
    const { store } = await start(() => inactive("experiment 1"));
    const hint = expect.stringContaining("mlflow experiments restore --experiment-id 1");
    await expect(store.createRun(NEW_RUN)).rejects.toMatchObject({ code: "deleted", hint });
  });

  test("a page that is not there means no such thing", async () => {
    const { store } = await start(() => html(404));
    await expect(store.run("r7")).rejects.toMatchObject({ code: "rejected" });
    await expect(store.logBatch("r7", batch(1))).rejects.toMatchObject({ code: "rejected" });
  });
});

describe("experiments", () => {
  const taken = refusal(400, "RESOURCE_ALREADY_EXISTS", "Experiment(name=e) already exists.");
  const named = (lifecycle_stage: string) => json({ experiment: { experiment_id: "4", name: "e", lifecycle_stage } });

  test("another process may be first to create it", async () => {
    const { store } = await start(answers({ "experiments/create": taken, "experiments/get-by-name": named("active") }));
    expect(await store.createExperiment("e", new Map())).toBe("4");
  });

  test("one that was deleted keeps its name", async () => {
    const { store } = await start(
      answers({ "experiments/create": taken, "experiments/get-by-name": named("deleted") }),
    );
    await expect(store.createExperiment("e", new Map())).rejects.toMatchObject({ code: "deleted" });
    expect(await store.experimentByName("e")).toEqual({ id: "4", active: false, tags: new Map() });
  });
});

test("a search goes on to the last page", async () => {
  const run = (id: string) => ({
    info: { run_id: id, experiment_id: "1", lifecycle_stage: "deleted", status: "KILLED" },
  });
  const pages = [json({ runs: [run("a")], next_page_token: "n" }), json({ runs: [run("b")] })];
  const { server, store } = await start(answers({ "runs/search": pages }));
  const runs = await store.runsByTag("1", "tracelet.run", "ab12");
  const nothing = { tags: new Map(), params: new Map(), metricKeys: new Set() };
  const expected = { experimentId: "1", active: false, status: "FAILED", ...nothing };
  expect(runs).toEqual([
    { id: "a", ...expected },
    { id: "b", ...expected },
  ]);
  expect(server.requests.map(({ body }) => JSON.parse(body))).toMatchObject([
    { filter: "tags.`tracelet.run` = 'ab12'", run_view_type: "ALL" },
    { page_token: "n" },
  ]);
});

test.each(["a; rm -rf ~", "$(x)", "../1", "-h", "a\u202eb", "é", "a".repeat(257), "a b"])(
  "%j is no id: a user may copy it into a shell",
  async (id) => {
    const info = { run_id: id, experiment_id: "1", lifecycle_stage: "deleted" };
    const { store } = await start(
      answers({
        "runs/get": json({ run: { info } }),
        "runs/search": json({ runs: [{ info: { ...info, run_id: "a", experiment_id: id } }] }),
        "runs/create": json({ run: { info } }),
        "experiments/create": json({ experiment_id: id }),
        "experiments/get-by-name": json({ experiment: { experiment_id: id } }),
      }),
    );
    const refused = { code: "rejected", message: expect.stringContaining("no id that an MLflow gives out") };
    await expect(store.run("r")).rejects.toMatchObject(refused);
    await expect(store.runsByTag("1", "t", "v")).rejects.toMatchObject(refused);
    await expect(store.createRun(NEW_RUN)).rejects.toMatchObject(refused);
    await expect(store.createExperiment("e", new Map())).rejects.toMatchObject(refused);
    await expect(store.experimentByName("e")).rejects.toMatchObject(refused);
  },
);

test("a search that would never end is ended", async () => {
  const counting = await start(() => json({ runs: [{}], next_page_token: Math.random().toString() }));
  const { runLists } = counting.store;
  await expect(nextNonce(runLists, { id: "1", active: true, tags: new Map() }, undefined, 1)).rejects.toMatchObject({
    code: "rejected",
  });
  const same = await start(answers({ "runs/search": json({ runs: [], next_page_token: "n" }) }));
  await expect(same.store.runsByTag("1", "t", "v")).rejects.toMatchObject({ code: "rejected" });
  expect(same.server.requests).toHaveLength(2);
  let page = 0;
  const others = await start(() => json({ runs: [], next_page_token: String(page++) }));
  await expect(others.store.runsByTag("1", "t", "v")).rejects.toMatchObject({ code: "rejected" });
  const long = await start(() => json({ runs: [], next_page_token: "n".repeat(5000) }));
  await expect(long.store.runsByTag("1", "t", "v")).rejects.toMatchObject({ code: "rejected" });
  expect(long.server.requests).toHaveLength(1);
});

describe("the history of a metric", () => {
  const metric = (step: unknown, value: unknown = 0.5) => ({ key: "loss", step, value, timestamp: 5 });
  async function read(store: RestStore): Promise<string[]> {
    const points: string[] = [];
    for await (const { step, timestamp, value, length } of store.metricHistory("r", "loss")) {
      for (let i = 0; i < length; i++) points.push(`${step[i]} ${timestamp[i]} ${value[i]}`);
    }
    return points;
  }

  test("goes on to the last page; one that arrives damaged is asked for again", async () => {
    const pages = [
      json({ metrics: [metric(1)], next_page_token: "n" }),
      { status: 200, body: '{"metrics": [{"key": "loss", "st' },
      { status: 200, body: '{"metrics": [{"key": "loss", "step": 9007199254740993, "timestamp": 5, "value": "NaN"}]}' },
    ];
    const { server, store } = await start(answers({ "metrics/get-history": pages }));
    expect(await read(store)).toEqual(["1 5 0.5", "9007199254740993 5 NaN"]);
    const queries = server.requests.map(({ target }) => new URL(target, "http://x").searchParams);
    expect(queries.map((query) => query.get("page_token"))).toEqual([null, "n", "n"]);
    expect(queries.map((query) => [query.get("run_id"), query.get("metric_key")])).toEqual(
      queries.map(() => ["r", "loss"]),
    );
  });

  test("numbers in all the ways that JSON of protobuf has", async () => {
    const metrics = [
      { key: "loss" },
      metric("-7", "Infinity"),
      metric(2, "-Infinity"),
      metric(3, 1e308),
      metric(4, "2.5"),
    ];
    const { store } = await start(answers({ "metrics/get-history": json({ metrics }) }));
    expect(await read(store)).toEqual(["0 0 0", "-7 5 Infinity", "2 5 -Infinity", "3 5 1e+308", "4 5 2.5"]);
  });

  test.each([
    ["the same page again and again", [json({ metrics: [metric(1)], next_page_token: "n" })]],
    ["a page of nothing and another one", [json({ next_page_token: "n" })]],
    ["a step that is none", [json({ metrics: [metric(1.5)] })]],
    ["a value that is none", [json({ metrics: [metric(1, "much")] })]],
    ["no JSON", [html(200)]],
  ])("%s is not MLflow's", async (_, pages) => {
    const { store } = await start(answers({ "metrics/get-history": pages }));
    await expect(read(store)).rejects.toMatchObject({ code: "rejected" });
  });
});

test("the path of the tracking URI is kept", async () => {
  const { server, store } = await start(
    () => json({ run: { info: { run_id: "r", experiment_id: "1" } } }),
    "/team/ml/",
  );
  await store.run("r");
  expect(server.requests[0]?.target).toBe("/team/ml/api/2.0/mlflow/runs/get?run_id=r");
  expect(store.experimentUrl("1")).toBe(`${server.url}/team/ml/#/experiments/1?workflowType=machine_learning`);
});

test("JSON that is not MLflow's is refused", async () => {
  const { store } = await start(() => json({ status: "ok" }));
  for (const call of [store.run("r"), store.experimentByName("e"), store.createExperiment("e", new Map())]) {
    await expect(call).rejects.toMatchObject({
      code: "rejected",
      message: expect.stringContaining("not as MLflow does"),
    });
  }
});

test("a name that MLflow would drop, and all fields behind it, is not sent", async () => {
  const { server, store } = await start(() => json({}));
  await expect(store.createRun({ ...NEW_RUN, name: "a\ud800" })).rejects.toThrow(
    "run_name holds half a surrogate pair",
  );
  expect(server.requests).toHaveLength(0);
});
