/** A W&B server beside the logdir that was sent there: what is said of each way in which they may not be the same. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import { WandbReader } from "../../src/backends/wandb/reader.ts";
import type { Quarantine } from "../../src/sync/backend.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import type { Findings } from "../../src/verify/findings.ts";
import type { VerifyResult } from "../../src/verify/result.ts";
import { verifyWandb } from "../../src/verify/wandb/verify.ts";
import {
  event,
  eventFile,
  hparamsEvent,
  imageEvent,
  scalarEvent,
  textEvent,
  versionEvent,
} from "../support/event-writer.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { curve, records, World } from "../sync/world.ts";
import { connect, PROJECT } from "./destination.ts";

let server: WandbServer;
let world: World;

beforeEach(async () => {
  server = await WandbServer.start();
  world = World.create();
  world.logdir.write(
    "train",
    eventFile(
      versionEvent(),
      hparamsEvent({ lr: 0.5, "a,b": 'say "hi"' }),
      scalarEvent("odd", 2n ** 63n - 1n, Number.NaN, 1.000000000000001),
      scalarEvent("odd", -(2n ** 63n), -0, 1e300),
      scalarEvent('a "tag", with\nmore', 1, -Infinity),
    ),
  );
  world.logdir.append("train", records(curve("loss", 0, 50)));
});

afterEach(() => server.stop());

async function sync(options: Partial<SyncOptions> = {}): Promise<void> {
  const backend = connect(server.uri);
  try {
    const { error, runs } = await world.sync({ backend, ...options });
    expect([error, ...runs.map((run) => run.error)].filter((each) => each !== undefined)).toEqual([]);
  } finally {
    await backend.close();
  }
}

/** @param base address of the server */
async function verifyAt(base: string, itemsHeld?: number): Promise<VerifyResult> {
  const place = readPlace({ wandbProject: PROJECT, wandbEntity: undefined }, { WANDB_BASE_URL: base });
  const access = readLogin(base, { WANDB_API_KEY: API_KEY }, "/nowhere");
  const store = new WandbApi({ base, access, giveUpAfterMs: 0 });
  try {
    return await verifyWandb({
      ...{ store, reader: new WandbReader(store), place, itemsHeld },
      logdirs: [world.logdir.root],
      group: "run",
      restarts: "explicit",
      transform: { includeTags: [], excludeTags: [], nan: "keep" },
      attachSource: false,
      maxRecordBytes: 1 << 20,
      wantsRun: () => true,
      concurrency: 2,
      signal: new AbortController().signal,
    });
  } finally {
    await store.close();
  }
}

async function verify(itemsHeld?: number): Promise<VerifyResult> {
  const before = server.requests.length;
  const result = await verifyAt(server.uri, itemsHeld);
  expect(result.error).toBeUndefined();
  const asked = server.requests.slice(before).map(({ operation, path }) => operation?.operationName ?? path);
  const reading = ["Viewer", "RunResumeStatus", "Runs", "Run", "HistoryPage", "RunFiles"];
  expect(asked.filter((name) => !reading.includes(name))).toEqual([]);
  return result;
}

/** What is not the same in the only run. */
async function findings(itemsHeld?: number): Promise<Findings> {
  const [run, ...others] = (await verify(itemsHeld)).runs;
  if (run === undefined) throw new Error("there is no run");
  expect([run.error, others]).toEqual([undefined, []]);
  return run.findings;
}

function stored(): StoredRun {
  const [run, ...others] = server.runs(PROJECT);
  if (run === undefined || others.length > 0) throw new Error("one run was expected");
  return run;
}

/** Change the row of a step of `loss`. */
function change(step: number, change: (text: string) => string): void {
  const { history } = stored();
  const line = history.lines.findIndex((text) => text.includes('"loss"') && text.includes(`"global_step":${step},`));
  history.write(line, [change(history.lines[line] ?? "")]);
}

test("what was sent is the same, bit for bit", async () => {
  await sync();
  const { runs, notes } = await verify();
  expect([runs[0]?.outcome, runs[0]?.findings.differences, notes]).toEqual(["equal", [], []]);
  const { points, params, runs: all } = runs[0]?.findings.counts ?? {};
  expect([points?.compared, params?.compared, all?.compared]).toEqual([53, 2, 1]);
});

test("so are media, but for what W&B could not hold", async () => {
  const nan = {
    dtype: "DT_DOUBLE",
    tensorShape: { dim: [{ size: 1 }, { size: 3 }] },
    doubleVal: [Number.NaN, Number.NaN, 3],
  };
  const metadata = { pluginData: { pluginName: "histograms" } };
  world.logdir.write(
    "train",
    eventFile(
      versionEvent(),
      textEvent("text", 1, "words"),
      imageEvent("image", 1, Buffer.from("bytes")),
      event({ wallTime: 1_700_000_000, step: 1, summary: { value: [{ tag: "nan", metadata, tensor: nan }] } }),
    ),
  );
  const refused: string[] = [];
  const add: Quarantine["add"] = async (_run, _id, values) => {
    refused.push(...values.map(({ tag }) => tag));
    return "file";
  };
  await sync({ quarantine: { add } });
  expect(refused).toEqual(["nan"]);
  expect((await verify()).runs.map(({ outcome }) => outcome)).toEqual(["equal"]);
  for (const [name, { times }] of stored().files) expect([name, times]).toEqual([name, 1]);
  stored().files.clear();
  expect((await verify()).runs.map(({ outcome }) => outcome)).toEqual(["different"]);
});

test("so is what was sent piece by piece, which has other rows", async () => {
  await sync();
  // A row has one time: were they sent at once, the first would be at the second's.
  world.logdir.append("train", records([{ tag: "late", step: 70, value: 1, wallTime: 1_700_000_100.25 }]));
  await sync();
  world.logdir.append("train", records([{ tag: "later", step: 70, value: 1, wallTime: 1_700_000_100.5 }]));
  await sync();
  world.logdir.append("train", records(curve("loss", 50, 60)));
  await sync();
  expect(stored().rows.flatMap((row) => (row["late"] === 1 ? [row["_timestamp"]] : []))).toEqual([1_700_000_100.25]);
  expect((await verify()).runs.map(({ outcome }) => outcome)).toEqual(["equal"]);
});

test("a run that is not there is missing", async () => {
  await sync();
  world.logdir.write("other", eventFile(versionEvent(), scalarEvent("loss", 1, 2)));
  expect((await verify()).runs.map(({ name, outcome }) => [name, outcome])).toEqual([
    ["other", "missing"],
    ["train", "equal"],
  ]);
});

test("a run that is not there lacks its values, but nothing of how its page looks", async () => {
  const { runs } = await verify();
  expect(runs.map(({ outcome }) => outcome)).toEqual(["missing"]);
  expect(runs[0]?.findings.counts.runs).toMatchObject({ missing: 1, different: 0 });
  expect(runs[0]?.findings.counts.params.missing).toBe(2);
});

test("a run with hyperparameters that grew is the same", async () => {
  await sync();
  world.logdir.append("train", records(curve("loss", 50, 60)));
  await sync();
  expect((await verify()).runs.map(({ outcome }) => outcome)).toEqual(["equal"]);
});

test.each([undefined, 7])("what was not sent yet is missing (%s items held)", async (itemsHeld) => {
  await sync();
  world.logdir.append("train", records(curve("loss", 50, 60)));
  world.logdir.append("train", records(curve("new", 0, 3)));
  const { counts, differences } = await findings(itemsHeld);
  expect(counts.points).toMatchObject({ compared: 66, missing: 13, extra: 0, different: 0, doubled: 0 });
  expect(differences.filter(({ what }) => what === "points")).toMatchObject([
    { name: "new", missing: 3 },
    { name: "loss", missing: 10 },
  ]);
});

describe("of rows that somebody has changed", () => {
  test("a value, a step, a time, and a key are told", async () => {
    await sync();
    change(7, (text) => text.replace('"loss":1.75', '"loss":1.7500000000000002'));
    change(9, (text) => text.replace('"global_step":9,', '"global_step":90,'));
    change(11, (text) => text.replace(/"_timestamp":([\d.]+)/, '"_timestamp":1$1'));
    change(13, (text) => text.replace('"loss"', '"other"'));
    const { counts, differences } = await findings();
    expect(counts.points).toMatchObject({ missing: 2, extra: 2, different: 2, doubled: 0 });
    const loss = differences.find(({ name }) => name === "loss");
    expect(loss).toMatchObject({
      points: [
        { source: { step: 7n, value: 1.75 }, there: { step: 7n, value: 1.7500000000000002 } },
        { source: { step: 9n }, there: undefined },
        { source: { step: 11n }, there: { step: 11n } },
        { source: { step: 13n }, there: undefined },
        { source: undefined, there: { step: 90n } },
      ],
    });
  });

  test("those that are there twice are doubled, wherever they stand", async () => {
    await sync();
    const { history } = stored();
    const [line = ""] = history.lines.filter((text) => text.includes('"global_step":20,'));
    history.write(history.count, [line.replace(/"_step":\d+/, `"_step":${history.count}`)]);
    expect((await findings()).counts.points).toMatchObject({ missing: 0, extra: 0, different: 0, doubled: 1 });
    history.write(history.count, [line]);
    const { counts, differences } = await findings();
    expect(counts.points).toMatchObject({ missing: 0, extra: 0, different: 0, doubled: 2 });
    const number = /"_step":(\d+)/.exec(line)?.[1];
    expect(differences.filter(({ what }) => what === "runs")).toMatchObject([
      { name: `row ${history.count - 1}`, state: "missing" },
      { name: `row ${number}`, state: "extra" },
    ]);
  });

  test("a gap is told by the numbers of the rows, and that the service may only sample them", async () => {
    await sync();
    const { history } = stored();
    history.write(history.count + 2, ['{"late":1,"global_step":1,"_step":55,"_timestamp":1}']);
    const [run] = (await verify()).runs;
    expect(run?.findings.differences).toContainEqual({ what: "runs", name: "rows 53 to 54", state: "missing" });
    const { notes } = await verify();
    expect(notes).toEqual(["train: W&B's API gives 54 of the 56 rows that it counts: it may only sample them"]);
  });
});

test("another config, summary, state, and axis of a key are told; what W&B adds of its own is none", async () => {
  await sync();
  const run = stored();
  const config = JSON.parse(run.configText) as { [key: string]: { value: { m: { [field: string]: unknown }[] } } };
  config["lr"] = { value: 0.25 } as never;
  config["more"] = { value: null } as never;
  const metric = config["_wandb"]?.value.m.find(({ 1: name }) => name === "loss");
  if (metric !== undefined) delete metric["5"];
  run.configText = JSON.stringify(config);
  run.summaryText = run.summaryText.replace(/"loss":[\d.]+/, '"loss":7,"_wandb":{"runtime":3}');
  run.exitCode = 1;
  run.files.set("wandb-summary.json", { bytes: Buffer.of(), sha256: "", md5: "", at: 0, times: 1 });
  const { differences } = await findings();
  expect(differences.filter(({ what }) => what !== "points")).toEqual([
    { what: "runs", name: "state", state: "different", source: "finished", there: "failed" },
    { what: "params", name: "lr", state: "different", source: "0.5", there: "0.25" },
    { what: "params", name: "more", state: "extra", there: "null" },
    { what: "runs", name: "axis of loss", state: "different", source: "global_step", there: "_step" },
    { what: "runs", name: "summary of loss", state: "different", source: "12.25", there: "7" },
  ]);
});

test("a file that the source does not have is extra", async () => {
  await sync();
  stored().files.set("notes.txt", { bytes: Buffer.of(1), sha256: "", md5: "", at: 0, times: 1 });
  expect((await findings()).differences).toEqual([{ what: "files", name: "notes.txt", state: "extra" }]);
});

test("a server that cannot be reached is an error of all", async () => {
  await sync();
  const { uri } = server;
  await server.stop();
  expect((await verifyAt(uri)).error?.code).toBe("unreachable");
});

test("a directory that was renamed is told, and the rest of its run is the same", async () => {
  await sync();
  world.logdir.rename("train", "renamed");
  const [run, ...others] = (await verify()).runs;
  expect([run?.name, run?.error, others]).toEqual(["renamed", undefined, []]);
  expect(run?.findings.differences).toEqual([
    {
      what: "runs",
      name: "its name, which the next sync changes,",
      state: "different",
      source: "renamed",
      there: "train",
    },
  ]);
  await sync();
  expect((await findings()).differences).toEqual([]);
});
