import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileSource } from "../../src/reader/byte-source.ts";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import { inspectRun, type RunSummary } from "../../src/reader/inspect.ts";
import { DEFAULT_MAX_RECORD_BYTES } from "../../src/reader/tfrecord.ts";
import {
  event,
  eventFile,
  imageEvent,
  record,
  scalarEvent,
  sessionStart,
  textEvent,
  versionEvent,
  WALL_TIME,
  withBitFlipped,
} from "../support/event-writer.ts";

let logdir: string;

beforeEach(() => {
  logdir = mkdtempSync(path.join(tmpdir(), "tracelet-inspect-"));
});

afterEach(() => rmSync(logdir, { recursive: true }));

/** Write the run's files, named in their order, and look at it. */
async function inspect(...files: readonly Uint8Array[]): Promise<RunSummary> {
  for (const [i, bytes] of files.entries()) writeFileSync(path.join(logdir, `${i}.tfevents`), bytes);
  return inspectRun(discover(logdir).runs[0] as DiscoveredRun, DEFAULT_MAX_RECORD_BYTES);
}

test("each series with its kind, count and ranges, over all files of the run", async () => {
  const { name, series } = await inspect(
    eventFile(
      versionEvent(),
      scalarEvent("loss", 5, 0.5, 100),
      textEvent("note", 1, "a"),
      scalarEvent("loss", 2, 0.4, 90),
      imageEvent("sample", 7, Buffer.from("x")),
    ),
    eventFile(
      scalarEvent("acc", -3, 1, 50),
      scalarEvent("loss", 9, 0.1, 95),
      textEvent("note", 0, "b"),
      textEvent("loss", 1, "c"),
    ),
  );
  expect(name).toBe(".");
  const times = { firstWallTime: WALL_TIME, lastWallTime: WALL_TIME };
  expect(series).toEqual([
    {
      tag: "loss",
      kind: "scalars",
      plugin: "",
      count: 3,
      firstStep: 2n,
      lastStep: 9n,
      firstWallTime: 90,
      lastWallTime: 100,
    },
    {
      tag: "acc",
      kind: "scalars",
      plugin: "",
      count: 1,
      firstStep: -3n,
      lastStep: -3n,
      firstWallTime: 50,
      lastWallTime: 50,
    },
    { tag: "sample", kind: "images", plugin: "images", count: 1, firstStep: 7n, lastStep: 7n, ...times },
    { tag: "note", kind: "text", plugin: "text", count: 2, firstStep: 0n, lastStep: 1n, ...times },
    { tag: "loss", kind: "text", plugin: "text", count: 1, firstStep: 1n, lastStep: 1n, ...times },
  ]);
});

test("wall times that are no times are left out of the range", async () => {
  const times = [Number.NaN, Infinity, 7, -Infinity, 5, Number.NaN];
  const { series } = await inspect(
    eventFile(...times.map((time, i) => scalarEvent("a", i, 0, time)), scalarEvent("b", 0, 0, Infinity)),
  );
  expect(
    series.map(({ tag, count, firstWallTime, lastWallTime }) => [tag, count, firstWallTime, lastWallTime]),
  ).toEqual([
    ["a", 6, 5, 7],
    ["b", 1, Number.NaN, Number.NaN],
  ]);
});

test("the plugin of scalars that name one", async () => {
  const metadata = { pluginData: { pluginName: "scalars" } };
  const tensor = { dtype: "DT_FLOAT", tensorShape: {}, floatVal: [0.5] };
  const { series } = await inspect(
    eventFile(event({ step: 1, summary: { value: [{ tag: "t", metadata, tensor }] } })),
    eventFile(event({ step: 2, summary: { value: [{ tag: "t", tensor }] } })),
  );
  expect(series).toMatchObject([{ tag: "t", kind: "scalars", plugin: "scalars", count: 2 }]);
});

test("what each file holds beside values, and its damage", async () => {
  const good = record(scalarEvent("a", 1, 1));
  const bad = withBitFlipped(good, 8 * 20);
  const { files, series } = await inspect(
    Buffer.concat([eventFile(versionEvent(), sessionStart(0)), bad, good, good.subarray(0, 20)]),
    eventFile(event({ logMessage: { message: "m" } }), Buffer.from("no event"), scalarEvent("a", 2, 1)),
    Buffer.alloc(0),
  );
  const before = eventFile(versionEvent(), sessionStart(0)).length;
  expect(files).toMatchObject([
    {
      path: path.join(logdir, "0.tfevents"),
      size: before + 2 * good.length + 20,
      events: 3,
      sessionLogs: 1,
      logMessages: 0,
      losses: [{ start: before, end: before + good.length, reason: "payload-crc" }],
      tail: { state: "incomplete", start: before + 2 * good.length },
      problem: undefined,
    },
    { events: 2, sessionLogs: 0, logMessages: 1, losses: [{ reason: "not-an-event" }], tail: { state: "clean" } },
    { size: 0, events: 0, losses: [], tail: { state: "clean" }, problem: undefined },
  ]);
  expect(series).toMatchObject([{ tag: "a", count: 2 }]);
});

test("a file that cannot be read is a problem of its own, and the others are read", async () => {
  writeFileSync(path.join(logdir, "0.tfevents"), eventFile(scalarEvent("a", 1, 1)));
  writeFileSync(path.join(logdir, "1.tfevents"), eventFile(scalarEvent("a", 2, 1)));
  const run = discover(logdir).runs[0] as DiscoveredRun;
  rmSync(path.join(logdir, "0.tfevents"));
  const { files, series } = await inspectRun(run, DEFAULT_MAX_RECORD_BYTES);
  expect(files.map(({ problem, events }) => [problem, events])).toEqual([
    ["ENOENT", 0],
    [undefined, 1],
  ]);
  expect(series).toMatchObject([{ tag: "a", count: 1 }]);
});

test("what was read of a file before it failed is counted, and the next file's own", async () => {
  const events = Array.from({ length: 40_000 }, (_, i) => scalarEvent(`t${i % 40}`, i, 0));
  writeFileSync(path.join(logdir, "0.tfevents"), eventFile(...events));
  writeFileSync(path.join(logdir, "1.tfevents"), eventFile(scalarEvent("after", 1, 1)));
  const { read } = FileSource.prototype;
  vi.spyOn(FileSource.prototype, "read").mockImplementation(function (this: FileSource, ...args) {
    const [, , , position] = args;
    if (position > 0) return Promise.reject(Object.assign(new Error("i/o error"), { code: "EIO" }));
    return read.apply(this, args);
  });
  const { files, series } = await inspectRun(discover(logdir).runs[0] as DiscoveredRun, DEFAULT_MAX_RECORD_BYTES);
  vi.restoreAllMocks();
  expect(files.map(({ problem }) => problem)).toEqual(["EIO", undefined]);
  expect(series.map(({ tag }) => tag)).toEqual([...Array.from({ length: 40 }, (_, i) => `t${i}`), "after"]);
  const events0 = files[0]?.events ?? 0;
  expect(events0).toBeGreaterThan(5000);
  expect(series.reduce((sum, { count }) => sum + count, 0)).toBe(events0 + 1);
});

test("records over the limit are told", async () => {
  writeFileSync(
    path.join(logdir, "0.tfevents"),
    eventFile(imageEvent("i", 1, Buffer.alloc(5000)), scalarEvent("a", 1, 1)),
  );
  const { files, series } = await inspectRun(discover(logdir).runs[0] as DiscoveredRun, 1000);
  expect(files).toMatchObject([{ losses: [{ start: 0, reason: "too-large" }] }]);
  expect(series.map(({ tag }) => tag)).toEqual(["a"]);
});

test("more scalars than a batch holds are counted", async () => {
  const events = Array.from({ length: 20_000 }, (_, i) => scalarEvent(`t${i % 3}`, i, 0));
  const { series, files } = await inspect(eventFile(...events));
  expect(series.map(({ count }) => count)).toEqual([6667, 6667, 6666]);
  expect(files[0]?.events).toBe(20_000);
});

test("the projector's embeddings, where its file can be read", async () => {
  const config = path.join(logdir, "projector_config.pbtxt");
  writeFileSync(
    config,
    'embeddings { tensor_name: "words" tensor_path: "words.tsv" }\nembeddings { tensor_name: "images" }\n',
  );
  expect((await inspect(eventFile(versionEvent()))).embeddings).toEqual(["words", "images"]);
  writeFileSync(config, 'embeddings { tensor_name: "wo');
  expect((await inspect(eventFile(versionEvent()))).embeddings).toEqual([]);
  rmSync(config);
  expect((await inspect(eventFile(versionEvent()))).embeddings).toEqual([]);
});

test("a run of the example, from end to end", async () => {
  const example = path.resolve(import.meta.dirname, "../../fixtures/example/runs/baseline");
  for (const name of readdirSync(example)) copyFileSync(path.join(example, name), path.join(logdir, name));
  const { series, files } = await inspectRun(discover(logdir).runs[0] as DiscoveredRun, DEFAULT_MAX_RECORD_BYTES);
  expect(files.every(({ losses, tail, problem }) => losses.length === 0 && tail?.state === "clean" && !problem)).toBe(
    true,
  );
  expect(series.length).toBeGreaterThan(3);
});
