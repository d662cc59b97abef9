import { createHash } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import type { ListedRun } from "../../src/backends/wandb/store.ts";
import type { Timing } from "../../src/net/timing.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import type { Fault } from "../support/faults.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer, type WandbServerOptions } from "../support/wandb-server/server.ts";

const RUN = { entity: "ada", project: "p", name: "r" };
const CONFIG = '{"_wandb":{"value":{"t":{}}}}';

let server: WandbServer;
let proxy: FaultProxy | undefined;
let api: WandbApi;
/** ms that were waited. */
let pauses: number[];

afterEach(async () => {
  await api.close();
  await proxy?.stop();
  proxy = undefined;
  await server.stop();
});

async function begin(options: WandbServerOptions = {}, key = API_KEY): Promise<void> {
  server = await WandbServer.start(options);
  connect(server.uri, key);
}

function connect(base: string, key = API_KEY): void {
  pauses = [];
  let now = 0;
  const timing: Timing = {
    monotonic: () => now,
    wall: () => now,
    sleep: async (ms) => {
      pauses.push(ms);
      now += ms;
    },
    random: () => 1,
  };
  const access = readLogin(base, { WANDB_API_KEY: key }, "/nowhere");
  api = new WandbApi({ base, access, timing, giveUpAfterMs: 20_000 });
}

describe("a run", () => {
  test("is made, found, changed, filled and ended", async () => {
    await begin({ teams: ["team"] });
    expect(await api.defaultEntity()).toBe("ada");
    expect(await api.status(RUN)).toBeUndefined();
    const made = await api.upsert(RUN, { displayName: "train", config: CONFIG, group: "g", jobType: "j", tags: ["a"] });
    expect(made).toEqual({ ...RUN, displayName: "train", isNew: true, storageId: server.run("p", "r").storageId });
    await api.stream(RUN, {
      history: { offset: 0, lines: ['{"a":NaN,"_step":0}', '{"a":9007199254740993,"_step":1}'] },
    });
    await api.stream(RUN, { summary: '{"a":2}' });
    expect(await api.status(RUN)).toEqual({
      storageId: made.storageId,
      displayName: "train",
      lines: 2,
      events: 0,
      config: CONFIG,
      summary: '{"a":2}',
    });
    const again = await api.upsert(RUN, { storageId: made.storageId, config: '{"lr":{"value":1}}' });
    expect(again).toMatchObject({ isNew: false, displayName: "train" });
    await api.stream(RUN, { exitCode: 3 });
    const run = server.run("p", "r");
    expect(run.rows).toEqual([
      { a: Number.NaN, _step: 0 },
      { a: 9007199254740993n, _step: 1 },
    ]);
    expect([run.config, run.summary, run.exitCode, run.isComplete]).toEqual([{ lr: 1 }, { a: 2 }, 3, true]);
    expect(run.fields).toMatchObject({ group: "g", jobType: "j", tags: ["a"] });
    await api.stream(RUN, {});
    expect(run.state(Date.now())).toBe("running");
  });

  test("has files, at the addresses that are given for them, without the login", async () => {
    await begin({ path: "/hosted", relativeUploads: true, uploadHeaders: ["X-Signed: yes"] });
    await api.upsert(RUN, {});
    const bytes = Buffer.from("bytes");
    expect(await api.upload(RUN, [{ path: "media/a b.txt", body: bytes }])).toEqual(new Map());
    await api.stream(RUN, { uploaded: ["media/a b.txt"] });
    const { files, announced, oddities } = server.run("p", "r");
    expect(files.get("media/a b.txt")).toMatchObject({ sha256: createHash("sha256").update(bytes).digest("hex") });
    expect([[...announced], oddities]).toEqual([["media/a b.txt"], []]);
    const { headers } = server.requests.find(({ method }) => method === "PUT") ?? {};
    expect(headers).toMatchObject({ "x-signed": "yes", "content-length": "5" });
    expect(headers).not.toHaveProperty("authorization");
    expect(headers).not.toHaveProperty("content-type");
  });
});

describe("a listing", () => {
  const MEGABYTE = 1 << 20;

  async function listed(runs: AsyncIterable<ListedRun>): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of runs) names.push(name);
    return names.sort();
  }

  /** @returns their names */
  function addRuns(count: number, change: (run: StoredRun) => void): string[] {
    const names = Array.from({ length: count }, (_, i) => `run-${String(i).padStart(2, "0")}`);
    for (const name of names) change(server.account.create({ ...RUN, name }, 0));
    return names;
  }

  test("does not carry summaries, which may hold histograms", async () => {
    await begin();
    const names = addRuns(40, (run) => (run.summaryText = `{"a":"${"x".repeat(MEGABYTE)}"}`));
    expect(await listed(api.newestRuns("ada", "p"))).toEqual(names);
    expect(await listed(api.runsNamed("ada", "p", names))).toEqual(names);
  });

  test("has smaller pages where configs are large", async () => {
    await begin();
    const names = addRuns(60, (run) => (run.configText = `{"a":{"value":"${"x".repeat(MEGABYTE)}"}}`));
    expect(await listed(api.newestRuns("ada", "p"))).toEqual(names);
    const sizes = () => server.operations("Runs").map(({ variables }) => variables?.["perPage"]);
    expect(sizes()).toEqual([8, 64, 32, 16, 16, 16, 16]);
    server.requests.length = 0;
    expect(await listed(api.runsNamed("ada", "p", names))).toEqual(names);
  });

  test("of many runs asks for two pages at a time", async () => {
    await begin();
    const names = Array.from({ length: 2400 }, (_, i) => `missing-${i}`);
    addRuns(1, () => {});
    let [now, most] = [0, 0];
    const graphql = api.graphql.bind(api);
    vi.spyOn(api, "graphql").mockImplementation(async (...request) => {
      most = Math.max(most, ++now);
      return graphql(...request).finally(() => now--);
    });
    expect(await listed(api.runsNamed("ada", "p", names))).toEqual([]);
    expect([most, server.operations("Runs").length]).toEqual([2, 5]);
  });
});

describe("no", () => {
  test("without a right key, and what to do is said", async () => {
    await begin({}, "x".repeat(40));
    await expect(api.defaultEntity()).rejects.toMatchObject({
      code: "auth",
      message: expect.stringContaining("does not allow Viewer (an API key was sent): HTTP 401: user is not logged in"),
      hint: expect.stringContaining(`wandb login --relogin --host ${server.uri}`),
    });
    expect(server.requests).toHaveLength(1);
  });

  test("in somebody else's place", async () => {
    await begin();
    await expect(api.upsert({ ...RUN, entity: "eve" }, {})).rejects.toMatchObject({
      code: "rejected",
      message: expect.stringContaining("entity eve not found during upsertBucket"),
      hint: expect.stringContaining("check --wandb-entity"),
      endsAll: true,
    });
  });

  test("for a config that is too large, with its size and its largest entries", async () => {
    await begin();
    proxy = await FaultProxy.start(server.port);
    connect(proxy.uri);
    const config = JSON.stringify({
      lr: { value: 1 },
      _wandb: { value: { m: "m".repeat(2000) } },
      code: { value: "c".repeat(9000) },
    });
    const answer = {
      status: 413,
      headers: { "content-type": "text/html" },
      body: "<html>Request Entity Too Large</html>",
    };
    proxy.inject({ fault: { kind: "answer", answer }, requests: /graphql$/ });
    const size = JSON.stringify(config).length;
    await expect(api.upsert(RUN, { config })).rejects.toMatchObject({
      code: "rejected",
      message: expect.stringMatching(
        new RegExp(
          `HTTP 413.*; the config of the run r in ada/p has ${size} bytes \\(the largest entries: "code": 90\\d\\d, "_wandb" \\(metrics\\): 20\\d\\d, "lr": \\d+\\)`,
        ),
      ),
      hint: expect.stringContaining("client_max_body_size"),
    });
    const small = { ...answer, status: 400 };
    proxy.calm();
    proxy.inject({ fault: { kind: "answer", answer: small }, requests: /graphql$/ });
    await expect(api.upsert(RUN, { config })).rejects.not.toMatchObject({ message: expect.stringContaining("config") });
  });

  test("for the id of a run that was deleted", async () => {
    await begin();
    await api.upsert(RUN, {});
    server.account.delete(server.run("p", "r"));
    expect(await api.status(RUN)).toBeUndefined();
    await expect(api.upsert(RUN, {})).rejects.toMatchObject({ code: "deleted", message: expect.stringContaining("r") });
    expect(pauses).toEqual([]);
  });

  test("in an answer that HTTP calls a success", async () => {
    await begin();
    const body = '{"errors":[{"message":"the project is locked"}],"data":{"upsertBucket":null}}';
    proxy = await FaultProxy.start(server.port);
    proxy.inject({ fault: { kind: "answer", answer: { status: 200, body } } });
    connect(proxy.uri);
    await expect(api.upsert(RUN, {})).rejects.toMatchObject({
      code: "rejected",
      message: expect.stringContaining("refuses UpsertBucket: the project is locked"),
    });
  });

  test("from something else than W&B", async () => {
    await begin({ path: "/hosted" });
    connect(new URL(server.uri).origin);
    const hint = expect.stringContaining("check WANDB_BASE_URL");
    await expect(api.defaultEntity()).rejects.toMatchObject({ code: "rejected", endsAll: true, hint });
  });
});

describe("again", () => {
  const answer = (status: number, headers = {}): Fault => ({
    kind: "answer",
    answer: { status, headers, body: '{"error":"not now"}' },
  });

  async function through(...faults: readonly Fault[]): Promise<void> {
    await begin();
    await api.upsert(RUN, {});
    await api.close();
    proxy = await FaultProxy.start(server.port);
    proxy.inject(...faults.map((fault) => ({ fault, times: 1 })));
    connect(proxy.uri);
  }

  test.each([405, 408, 418, 425, 429, 500, 502, 503, 504])("after HTTP %i", async (status) => {
    await through(answer(status));
    await api.stream(RUN, { history: { offset: 0, lines: ["{}"] } });
    expect(pauses).toHaveLength(1);
    expect(server.run("p", "r").history.count).toBe(1);
  });

  test.each([400, 403, 404, 409, 410, 413, 422, 501])("never after HTTP %i", async (status) => {
    await through(answer(status));
    await expect(api.stream(RUN, {})).rejects.toMatchObject({ code: "rejected" });
    expect(pauses).toEqual([]);
  });

  test("after a 409 of UpsertBucket", async () => {
    await through(answer(409));
    expect(await api.upsert(RUN, {})).toMatchObject({ isNew: false });
    expect(pauses).toHaveLength(1);
  });

  test("when the limit of requests says so, to the millisecond", async () => {
    await through(answer(429, { "ratelimit-remaining": "0", "ratelimit-reset": "3.25" }));
    await api.stream(RUN, {});
    expect(pauses).toEqual([3250]);
  });

  test.each(["reset-before", "reset-after", "reset-middle", "half", "garbage"] as const)(
    "after %s, and the same lines are there once",
    async (kind) => {
      await through({ kind });
      await api.stream(RUN, { history: { offset: 0, lines: ['{"a":1}', '{"a":2}'] } });
      const { history, rows, oddities } = server.run("p", "r");
      expect([rows, history.changed, oddities]).toEqual([[{ a: 1 }, { a: 2 }], 0, []]);
      expect(pauses.length).toBeGreaterThan(0);
    },
  );

  test("until it takes too long", async () => {
    await begin();
    await server.stop();
    await expect(api.defaultEntity()).rejects.toMatchObject({ code: "unreachable" });
  });
});
