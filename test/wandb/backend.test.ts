import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { WandbBackend } from "../../src/backends/wandb/backend.ts";
import { pause } from "../../src/pause.ts";
import type { HparamsDatum } from "../../src/reader/datum.ts";
import type { PythonValue } from "../../src/reader/python-text.ts";
import type { RefusedValue } from "../../src/sync/backend.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { batch, description, markAt, TIME } from "./batches.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT } from "./destination.ts";

let server: WandbServer;
let backend: WandbBackend;

beforeEach(async () => {
  server = await WandbServer.start();
  backend = connect(server.uri);
});

afterEach(async () => {
  await backend.close();
  await server.stop();
});

function onlyRun() {
  const [run, ...others] = server.runs(PROJECT);
  if (run === undefined || others.length > 0) throw new Error("one run was expected");
  return run;
}

test("runs of another account are not taken for deleted ones", async () => {
  const handle = await backend.open(description(), undefined);
  const known = [{ id: handle.id, source: "s", marks: [], isDone: false, isConfirmed: true }];
  expect(await backend.confirm(undefined)).toBe("ada");
  expect(await backend.survey(known, "ada")).toMatchObject({ changes: new Map() });
  await expect(backend.survey(known, "eve")).rejects.toMatchObject({
    code: "usage",
    message: "the API key belongs to ada now, and these runs were sent to eve",
    hint: expect.stringContaining("--wandb-entity eve"),
    endsAll: true,
  });
});

test("a run is shown as running every 30 s while nothing is sent, until it ends", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const live = connect(server.uri, undefined, { live: true });
  const handle = await live.open(description(), undefined);
  const beats = () => server.streams.filter((text) => text === "{}").length;
  for (let count = 1; count <= 3; count++) {
    await vi.advanceTimersByTimeAsync(30_000);
    await vi.waitFor(() => expect(beats()).toBe(count), { timeout: 60_000 });
  }
  await live.finish(handle, "finished");
  await vi.advanceTimersByTimeAsync(120_000);
  expect([beats(), onlyRun().state(Date.now())]).toEqual([3, "finished"]);
  await live.close();
});

test("a run that another process has opened is that one's to end, and to show as running", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const slow = connect(server.uri, undefined, { live: true });
  const handle = await slow.open(description(), undefined);
  await slow.write(handle, batch(100, [["loss", 1n, 0.9]]));
  const newer = batch(200, [
    ["loss", 2n, 0.1],
    ["acc", 2n, 0.5],
  ]);
  const again = await backend.open(description(), undefined);
  await backend.write(again, newer);
  await backend.finish(again, "finished");
  const { summaryText } = onlyRun();
  const before = server.operations("Runs").length;
  await vi.advanceTimersByTimeAsync(60_000);
  await vi.waitFor(() => expect(server.operations("Runs").length).toBeGreaterThan(before), { timeout: 60_000 });
  await expect(slow.resume(handle)).rejects.toMatchObject({ code: "overtaken" });
  await expect(slow.finish(handle, "failed")).rejects.toMatchObject({ code: "overtaken" });
  expect([onlyRun().state(Date.now()), onlyRun().summaryText]).toEqual(["finished", summaryText]);
  expect(onlyRun().summary).toMatchObject({ loss: 0.1, acc: 0.5 });
  await slow.close();
});

test("heartbeats of many runs are spread over 30 s, and one request asks for all of a second whose they are", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const live = connect(server.uri, undefined, { live: true });
  for (let i = 0; i < 60; i++) await live.open(description({ source: `s${i}` }), undefined);
  const sent = () => server.requests.filter(({ path }) => path.endsWith("/file_stream")).length;
  const [before, asked] = [sent(), server.operations("Runs").length];
  for (let second = 1; second <= 30; second++) {
    await vi.advanceTimersByTimeAsync(1000);
    // `vi.waitFor` would move the clock.
    while (sent() < before + 2 * second) await pause(5);
    expect(sent()).toBe(before + 2 * second);
  }
  expect(server.operations("Runs").length - asked).toBe(30);
  await live.close();
});

describe("a run", () => {
  test("has rows, a summary, an axis of steps, and ends", async () => {
    const handle = await backend.open(description(), undefined);
    await backend.write(
      handle,
      batch(100, [
        ["loss", 5n, Number.NaN],
        ["acc", 5n, 0.5],
        ["loss", 2n ** 62n + 1n, -Infinity],
      ]),
    );
    const run = onlyRun();
    const axis = { _timestamp: TIME + 1, _runtime: 1 };
    const last = { loss: -Infinity, global_step: 2n ** 62n + 1n, _step: 1, ...axis };
    expect(run.rows).toEqual([{ loss: Number.NaN, acc: 0.5, global_step: 5, _step: 0, ...axis }, last]);
    expect(run.summary).toEqual({ ...last, acc: 0.5 });
    expect(run.config["_wandb"]).toMatchObject({
      t: {},
      m: [
        { "1": "global_step", "6": [3], "7": [] },
        { "1": "loss", "5": 1, "6": [1, 3], "7": [] },
        { "1": "acc", "5": 1, "6": [1, 3], "7": [] },
      ],
    });
    expect(run.state(Date.now())).toBe("running");
    await backend.finish(handle, "failed");
    expect(run.state(Date.now())).toBe("failed");
    await backend.resume(handle);
    expect(run.state(Date.now())).toBe("running");
    await backend.finish(handle, "finished");
    expect([run.state(Date.now()), faultsOf(run)]).toEqual(["finished", NO_FAULTS]);
    expect(run.summary).toMatchObject({ acc: 0.5 });
  });

  test("goes on where it was left, with its id, config and summary", async () => {
    const handle = await backend.open(description(), undefined);
    await backend.write(handle, batch(100, [["loss", 1n, 1]]));
    const other = connect(server.uri);
    const again = await other.open(description(), undefined);
    expect(again).toMatchObject({ id: handle.id, created: false, marks: [{ key: "k", offset: 100 }] });
    await other.write(again, batch(200, [["acc", 2n, 2]]));
    expect(onlyRun().summary).toMatchObject({ loss: 1, acc: 2 });
    await expect(backend.write(handle, batch(200, [["acc", 2n, 2]]))).rejects.toMatchObject({ code: "overtaken" });
    expect(onlyRun().history.count).toBe(2);
    await other.close();
  });

  test("whose rows came through unheard goes on behind them", async () => {
    const proxy = await FaultProxy.start(server.port);
    const hasty = connect(proxy.uri, 1);
    try {
      const handle = await hasty.open(description(), undefined);
      proxy.inject({ fault: { kind: "reset-after" }, requests: /file_stream$/, times: 1 });
      proxy.inject({ fault: { kind: "reset-before" }, requests: /file_stream$/ });
      const first = batch(100, [["loss", 1n, 1]]);
      await expect(hasty.write(handle, first)).rejects.toMatchObject({ code: "unreachable" });
      proxy.calm();
      await expect(hasty.write(handle, first)).rejects.toMatchObject({ code: "overtaken" });
      const again = await hasty.open(description(), handle.id);
      expect(again.marks).toMatchObject([{ key: "k", offset: 100 }]);
      await hasty.write(again, first);
      await hasty.write(again, batch(200, [["loss", 2n, 2]]));
      expect(onlyRun().rows.map(({ loss }) => loss)).toEqual([1, 2]);
      expect(faultsOf(onlyRun())).toEqual(NO_FAULTS);
    } finally {
      await hasty.close();
      await proxy.stop();
    }
  });

  test("has hyperparameters beside what others have put into its config", async () => {
    const handle = await backend.open(description(), undefined);
    const record: HparamsDatum["record"] = {
      type: "params",
      hparams: new Map<string, string | number>([
        ["lr", 0.1],
        ["nan", Number.NaN],
        ["_wandb", "mine"],
      ]),
    };
    const metadata = { plugin: "hparams", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
    const datum: HparamsDatum = { kind: "hparams", tag: "", step: 0n, wallTime: TIME, offset: 0, metadata, record };
    const hparams = new Map([["big", 2n ** 60n]]);
    const { tally } = await backend.write(handle, { ...batch(50, []), data: [datum], hparams });
    expect(tally.kinds.get("hparams")).toMatchObject({ sent: 1 });
    expect(onlyRun().config).toMatchObject({ lr: 0.1, nan: "NaN", "hparams/_wandb": "mine", big: 2n ** 60n });
    expect(onlyRun().history.count).toBe(0);
  });

  test("lacks hyperparameters that are too large for its config; the others and its points are sent", async () => {
    const handle = await backend.open(description(), undefined);
    const record: HparamsDatum["record"] = {
      type: "params",
      hparams: new Map([
        ["code", '"'.repeat(300_000)],
        ["lr", "0.1"],
      ]),
    };
    const metadata = { plugin: "hparams", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
    const datum: HparamsDatum = { kind: "hparams", tag: "", step: 0n, wallTime: TIME, offset: 7, metadata, record };
    const hparams = new Map<string, PythonValue>([
      ["list", Array.from({ length: 1000 }, () => "x".repeat(1000))],
      ["n", 1],
    ]);
    const kept: RefusedValue[] = [];
    const refuse = async (values: readonly RefusedValue[]) => {
      kept.push(...values);
      return "quarantine.jsonl";
    };
    const given = { ...batch(50, [["loss", 1n, 1]], [datum]), hparams };
    const { tally, notes } = await backend.write(handle, given, refuse);
    expect(tally.kinds.get("hparams")).toMatchObject({ sent: 0, skipped: new Map([["refused", 1]]) });
    expect(tally.kinds.get("scalars")).toMatchObject({ sent: 1 });
    expect(kept).toMatchObject([
      { kind: "hparams", tag: "list", step: undefined, file: undefined },
      { kind: "hparams", tag: "code", step: undefined, file: "events", offset: 7, wallTime: TIME },
    ]);
    expect(kept[1]?.reason).toBe("it has 600006 bytes, and W&B's config takes 524288 of a value");
    expect(notes).toMatchObject([{ code: "quarantined", message: expect.stringContaining('hparams "list": it has') }]);
    const { lr, n, code, list } = onlyRun().config;
    expect([lr, n, code, list, onlyRun().history.count]).toEqual(["0.1", 1, undefined, undefined, 1]);
  });

  test("has a name of its own, which follows the source's until somebody gives it another", async () => {
    await backend.open(description(), undefined);
    expect(onlyRun().fields.displayName).toBe("train");
    const called = await backend.open(description({ name: "better" }), undefined);
    expect([called.called, onlyRun().fields.displayName]).toEqual([{ before: "train", now: "better" }, "better"]);
    onlyRun().fields.displayName = "by hand";
    await backend.open(description({ name: "best" }), undefined);
    expect(onlyRun().fields.displayName).toBe("by hand");
  });

  test("has tags that W&B has a meaning of its own for under other names, which is said once", async () => {
    const handle = await backend.open(description(), undefined);
    const values = [
      ["_step", 1n, 5],
      ["global_step", 2n ** 53n + 1n, 6],
    ] as const;
    const { notes } = await backend.write(handle, batch(100, values));
    expect(notes.map(({ code }) => code)).toEqual(["renamed", "renamed", "rounded"]);
    expect((await backend.write(handle, batch(200, values))).notes).toEqual([]);
    const [first, second] = onlyRun().rows;
    expect(first).toMatchObject({ "tensorboard/_step": 5, global_step: 1, _step: 0 });
    expect(second).toMatchObject({ "tensorboard/global_step": 6, global_step: 2n ** 53n + 1n, _step: 1 });
  });

  test("has other keys for tags that are called as others are renamed", async () => {
    const handle = await backend.open(description(), undefined);
    const tags = ["_step", "tensorboard/_step", "tensorboard/tensorboard/_step", "tensorboard/loss"];
    const hparams = new Map([
      ["_wandb", 1],
      ["hparams/_wandb", 2],
    ]);
    await backend.write(handle, {
      ...batch(
        100,
        tags.map((tag, i) => [tag, 1n, i] as const),
      ),
      hparams,
    });
    expect(onlyRun().rows).toMatchObject([
      {
        "tensorboard/_step": 0,
        "tensorboard/tensorboard/_step": 1,
        "tensorboard/tensorboard/tensorboard/_step": 2,
        "tensorboard/loss": 3,
      },
    ]);
    expect(onlyRun().config).toMatchObject({ "hparams/_wandb": 1, "hparams/hparams/_wandb": 2 });
  });

  test("of the same name and other files is another run", async () => {
    const one = await backend.open(description(), undefined);
    const two = await backend.open(description({ owns: async () => false }), undefined);
    expect(two.id).not.toBe(one.id);
    expect(server.runs(PROJECT)).toHaveLength(2);
  });
});

describe("nothing is added, and why is said,", () => {
  test("where another program has added rows", async () => {
    const handle = await backend.open(description(), undefined);
    await backend.write(handle, batch(100, [["loss", 1n, 1]]));
    onlyRun().history.write(1, ['{"x":1}', '{"x":2}']);
    const message = expect.stringContaining("has 3 rows, 2 more than tracelet has sent");
    await expect(backend.write(handle, batch(200, [["loss", 2n, 1]]))).rejects.toMatchObject({ message });
    await expect(backend.open(description(), handle.id)).rejects.toMatchObject({ code: "rejected" });
    expect(onlyRun().history.count).toBe(3);
  });

  test("where the server has lost rows", async () => {
    const handle = await backend.open(description(), undefined);
    await backend.write(handle, batch(100, [["loss", 1n, 1]]));
    await backend.write(handle, batch(200, [["loss", 2n, 1]]));
    Object.defineProperty(onlyRun(), "history", { value: new (onlyRun().history.constructor as new () => object)() });
    const message = expect.stringMatching(/has 0 rows, and had [12]: the server has lost some/);
    const waits: number[] = [];
    const wait = async (ms: number) => void waits.push(ms);
    const patient = connect(server.uri, undefined, { wait });
    await expect(patient.open(description(), handle.id)).rejects.toMatchObject({ code: "rejected", message });
    // The server may only not have counted them yet.
    expect(waits).toEqual([500, 1000, 2000, 4000]);
    await patient.close();
  });

  test("where the run was deleted", async () => {
    const handle = await backend.open(description(), undefined);
    await backend.write(handle, batch(100, [["loss", 1n, 1]]));
    server.account.delete(onlyRun());
    await expect(backend.write(handle, batch(200, [["loss", 2n, 1]]))).rejects.toMatchObject({ code: "deleted" });
    const known = { id: handle.id, source: "s", marks: [markAt(100)], isDone: true, isConfirmed: true };
    expect((await backend.survey([known], undefined)).changes).toEqual(new Map([[handle.id, "gone"]]));
    await expect(backend.open(description(), undefined)).rejects.toMatchObject({ code: "deleted" });
  });
});
