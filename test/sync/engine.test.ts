/** What happens between a logdir, a destination and the state, told as scripts of the world. */
import { cpSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import { discover } from "../../src/reader/discover.ts";
import type { SyncResult } from "../../src/sync/engine.ts";
import { event, eventFile, record, scalarEvent, sessionStart, textEvent, WALL_TIME } from "../support/event-writer.ts";
import { EVENT_FILE } from "../support/logdirs.ts";
import type { Call } from "../support/memory-backend.ts";
import { pointText } from "../support/memory-backend.ts";
import { readFiles, type ScalarValue } from "../support/read-values.ts";
import {
  curve,
  expectPoints,
  fileOf,
  only,
  type Point,
  records,
  scalarsOf,
  sentAgain,
  version,
  World,
} from "./world.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

const outcomes = (result: SyncResult) => Object.fromEntries(result.runs.map(({ name, outcome }) => [name, outcome]));
const codes = (result: SyncResult) => result.runs.flatMap(({ notes }) => notes.map(({ code }) => code));
const methods = (calls: readonly Call[]) => calls.map(({ method }) => method);
const interleaved = (...curves: Point[][]) => curves.flat().sort((a, b) => a.step - b.step);

describe("the plain way", () => {
  test("the first sync sends everything, and says how the run ended", async () => {
    const world = World.create();
    const points = interleaved(curve("loss", 0, 30), curve("accuracy", 0, 30));
    world.logdir.write("train", fileOf(points));
    const run = only(await world.sync());
    expect(run).toMatchObject({
      name: "train",
      outcome: "sent",
      remoteId: "id-1",
      notes: [],
      problems: [],
      losses: [],
    });
    expect(run.tally.kinds.get("scalars")).toMatchObject({ read: 60, sent: 60, failed: 0 });
    const remote = world.backend.run("train");
    expectPoints(remote, points);
    expect(remote).toMatchObject({ status: "finished", startTime: WALL_TIME, endTime: WALL_TIME + 29 });
  });

  test("every fixture's scalars arrive as the reader reads them", async () => {
    for (const name of ["torch", "tf1", "tf2", "tensorboardx", "lightning", "odd", "example"]) {
      const world = World.create();
      const logdir = path.join(FIXTURES, name, "runs");
      await world.sync({ logdirs: [logdir], restarts: "keep" });
      for (const run of discover(logdir).runs) {
        const values = (await readFiles(run)).flatMap((file) => file.values);
        if (values.length === 0) continue;
        const scalars = values.filter((value): value is ScalarValue => value.kind === "scalars");
        const expected = scalars.map(({ tag, step, wallTime, value }) => pointText(tag, step, wallTime, value));
        const remote = world.backend.run(run.name === "." ? "runs" : run.name);
        expect([...remote.points.keys()].sort()).toEqual([...new Set(expected)].sort());
      }
    }
  });

  test("nothing new: the destination is not called at all", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b/c", fileOf(curve("loss", 0, 10), 1));
    await world.sync();
    const result = await world.sync();
    expect(outcomes(result)).toEqual({ a: "unchanged", "b/c": "unchanged" });
    expect(world.backend.calls).toEqual([]);
  });

  test("growth: only what is new is sent", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.append("train", records(curve("loss", 10, 14)));
    const result = await world.sync();
    expect(scalarsOf(result)).toMatchObject({ read: 4, sent: 4 });
    expect(methods(world.backend.calls)).toEqual(["open", "write", "finish"]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 14));
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("a record cut anywhere at the end waits, and is sent when it is completed", async () => {
    const last = records(curve("loss", 10, 11));
    for (let cut = 1; cut < last.length; cut++) {
      const world = World.create();
      world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 10)), last.subarray(0, cut)]));
      const first = only(await world.sync());
      expect(first).toMatchObject({ outcome: "sent", losses: [], waiting: [{ state: "incomplete" }] });
      expect(first.waiting[0]).toMatchObject({ end: world.logdir.size("train") });
      world.logdir.append("train", last.subarray(cut));
      const second = await world.sync();
      expect(scalarsOf(second)).toMatchObject({ read: 1, sent: 1 });
      expect(only(second).waiting).toEqual([]);
      expectPoints(world.backend.run("train"), curve("loss", 0, 11));
    }
  });

  test("zeros at the end, as a preallocating file system leaves them, are filled in later", async () => {
    const world = World.create();
    const whole = fileOf(curve("loss", 0, 10));
    const cut = fileOf(curve("loss", 0, 6)).length;
    world.logdir.write("train", Buffer.concat([whole.subarray(0, cut), Buffer.alloc(whole.length - cut)]));
    const first = only(await world.sync());
    expect(first).toMatchObject({ losses: [], waiting: [{ state: "zeros", start: cut }] });
    world.logdir.write("train", whole);
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("a new file in a known run goes into the same remote run", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.write("train/tfevents.2", fileOf(curve("loss", 10, 20), 1));
    const result = await world.sync();
    expect(scalarsOf(result)).toMatchObject({ read: 10, sent: 10 });
    expectPoints(world.backend.run("train"), curve("loss", 0, 20));
  });

  test("growth of a run's first file goes on beside its second", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 5)));
    world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 5), 1));
    await world.sync();
    world.logdir.append("train/tfevents.1", records(curve("a", 5, 8)));
    world.logdir.append("train/tfevents.2", records(curve("b", 5, 8)));
    expect(scalarsOf(await world.sync())).toMatchObject({ read: 6, sent: 6 });
    expectPoints(world.backend.run("train"), [...curve("a", 0, 8), ...curve("b", 0, 8)]);
  });

  test("several files of one run fill one batch", async () => {
    const world = World.create();
    for (let i = 0; i < 5; i++) world.logdir.write(`train/tfevents.${i}`, fileOf(curve(`loss ${i}`, 0, 10), i));
    await world.sync();
    expect(world.backend.batches).toEqual([50]);
  });

  test("batches are as large as the destination wants them", async () => {
    const world = World.create();
    world.backend.batchSize = 7;
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 20)));
    world.logdir.write("train/tfevents.2", fileOf(curve("accuracy", 0, 5), 1));
    await world.sync();
    expect(world.backend.batches).toEqual([7, 7, 7, 4]);
  });

  test("a run without values is empty, and becomes a run when it has some", async () => {
    const world = World.create();
    world.logdir.write("train", version());
    world.logdir.write("nothing", Buffer.alloc(0));
    expect(outcomes(await world.sync())).toEqual({ nothing: "empty", train: "empty" });
    expect(world.backend.calls).toEqual([]);
    world.logdir.append("train", records(curve("loss", 0, 3)));
    expect(outcomes(await world.sync())).toEqual({ nothing: "empty", train: "sent" });
    expectPoints(world.backend.run("train"), curve("loss", 0, 3));
  });

  test("a run beside its files without values stays unchanged without a call", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 3)));
    world.logdir.write("train/tfevents.2", version(1));
    world.logdir.write("train/tfevents.3", Buffer.alloc(0));
    await world.sync();
    const again = only(await world.sync());
    expect(again).toMatchObject({ outcome: "unchanged", notes: [] });
    expect(world.backend.calls).toEqual([]);
  });

  test("growth without values makes no call", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 3)));
    await world.sync();
    world.logdir.append("train", eventFile(event({ wallTime: WALL_TIME, logMessage: { message: "hello" } })));
    expect(only(await world.sync()).outcome).toBe("unchanged");
    expect(world.backend.calls).toEqual([]);
  });

  test("the logdir itself as a run, and a single file as a logdir, are named by their directory", async () => {
    const world = World.create();
    world.logdir.write(`./${EVENT_FILE}`, fileOf(curve("loss", 0, 3)));
    await world.sync();
    expect(world.backend.run("runs").points.size).toBe(3);
    await world.sync({ logdirs: [path.join(world.logdir.root, EVENT_FILE)] });
    expect(world.backend.runs).toHaveLength(1);
    expect(world.backend.calls).toEqual([]);
  });

  test("hyperparameter sessions decide how a run ended", async () => {
    const session = (content: object) =>
      event({
        wallTime: WALL_TIME,
        summary: { value: [{ tag: "_hparams_/x", metadata: { pluginData: { pluginName: "hparams", content } } }] },
      });
    // HParamsPluginData { session_end_info: { status: FAILURE } } and { session_start_info: {} }.
    const end = session(Buffer.from([0x22, 0x02, 0x08, 0x02]));
    const start = session(Buffer.from([0x1a, 0x00]));
    const world = World.create();
    world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 3)), record(end)]));
    await world.sync();
    expect(world.backend.run("train").status).toBe("failed");
    world.logdir.append("train", records(curve("loss", 3, 4)));
    await world.sync();
    expect(world.backend.run("train").status).toBe("failed");
    world.logdir.append("train", record(start));
    await world.sync();
    expect(world.backend.run("train").status).toBe("finished");
  });

  test("a failed session stays failed when the end of its sync was lost", async () => {
    const content = Buffer.from([0x22, 0x02, 0x08, 0x02]);
    const metadata = { pluginData: { pluginName: "hparams", content } };
    const end = event({ wallTime: WALL_TIME, summary: { value: [{ tag: "_hparams_/session_end_info", metadata }] } });
    for (const stateToo of [false, true]) {
      const world = World.create();
      world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 3)), record(end)]));
      world.backend.fault = ({ method }) => (method === "finish" ? { when: "before" } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      if (stateToo) world.loseState();
      await world.sync();
      expect(world.backend.run("train").status).toBe("failed");
    }
  });
});

describe("who a run is", () => {
  test("a moved logdir goes on in the same remote run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    await world.sync();
    renameSync(world.logdir.root, path.join(world.root, "elsewhere"));
    const moved = world.otherLogdir("elsewhere");
    expect(only(await world.sync({ logdirs: [moved.root] })).outcome).toBe("unchanged");
    moved.append("train", records(curve("loss", 10, 12)));
    const result = await world.sync({ logdirs: [moved.root] });
    expect(scalarsOf(result)).toMatchObject({ sent: 2 });
    expectPoints(world.backend.run("train"), curve("loss", 0, 12));
  });

  test("a copy that rsync keeps up to date goes on in the same remote run, with or without state", async () => {
    for (const loseState of [false, true]) {
      const world = World.create();
      const copy = world.otherLogdir("copy");
      world.logdir.write("train", fileOf(curve("loss", 0, 10)));
      world.logdir.rsyncTo(copy);
      await world.sync({ logdirs: [copy.root] });
      if (loseState) world.loseState();
      world.logdir.append("train", records(curve("loss", 10, 15)));
      world.logdir.rsyncTo(copy);
      const result = await world.sync({ logdirs: [copy.root] });
      expect(codes(result)).toEqual([]);
      expect(scalarsOf(result)).toMatchObject({ sent: 5 });
      expectPoints(world.backend.run("train"), curve("loss", 0, 15));
      expect(sentAgain(world.backend.run("train"))).toBe(0);
    }
  });

  test("a renamed event file is still the same file", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 10)));
    world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 10), 1));
    await world.sync();
    world.logdir.rename("train/tfevents.1", "train/tfevents.3");
    expect(outcomes(await world.sync())).toEqual({ train: "unchanged" });
    expect(world.backend.calls).toEqual([]);
  });

  test("a copy under another name is another run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.copyRun("train", "train-copy");
    expect(outcomes(await world.sync())).toEqual({ train: "unchanged", "train-copy": "sent" });
    expectPoints(world.backend.run("train-copy"), curve("loss", 0, 10));
    expect(world.backend.run("train-copy").source).not.toBe(world.backend.run("train").source);
  });

  test("two runs of one name in two logdirs are two runs", async () => {
    const world = World.create();
    const other = world.otherLogdir("other");
    const logdirs = [world.logdir.root, other.root];
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    other.write("train/tfevents.2", fileOf(curve("accuracy", 0, 5), 1));
    expect((await world.sync({ logdirs })).runs.map(({ outcome }) => outcome)).toEqual(["sent", "sent"]);
    other.append("train/tfevents.2", records(curve("accuracy", 5, 7)));
    world.loseState();
    const result = await world.sync({ logdirs });
    expect(codes(result)).toEqual([]);
    expect(world.backend.runs.map(({ points }) => points.size)).toEqual([10, 7]);
    expectPoints(world.backend.runs[1] as (typeof world.backend.runs)[0], curve("accuracy", 0, 7));
  });

  test("one run given twice, in two logdirs or as one logdir twice, is sent once", async () => {
    const world = World.create();
    const copy = world.otherLogdir("copy");
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    world.logdir.rsyncTo(copy);
    const result = await world.sync({ logdirs: [world.logdir.root, copy.root, world.logdir.root] });
    expect(scalarsOf(result)).toMatchObject({ read: 10, sent: 10 });
    expect(world.backend.runs).toHaveLength(1);
  });

  test("files that begin alike are told apart", async () => {
    const world = World.create();
    const common = records(curve("loss", 0, 40));
    const files = ["x", "y", "z"].map((tag, i) => Buffer.concat([version(), common, records(curve(tag, 0, 3 + i))]));
    files.forEach((bytes, i) => world.logdir.write(`train/tfevents.${i}`, bytes));
    await world.sync();
    const again = () => world.logdir.append("train/tfevents.1", records(curve("y", 4, 8)));
    again();
    expect(scalarsOf(await world.sync())).toMatchObject({ sent: 4 });
    world.loseState();
    world.logdir.append("train/tfevents.2", records(curve("z", 5, 6)));
    const result = await world.sync();
    expect(codes(result)).toEqual([]);
    expect(scalarsOf(result)).toMatchObject({ sent: 1 });
    expectPoints(world.backend.run("train"), [
      ...curve("loss", 0, 40),
      ...curve("x", 0, 3),
      ...curve("y", 0, 8),
      ...curve("z", 0, 6),
    ]);
  });
});

describe("a file that is not what it was", () => {
  test("cut: noted, read again from the start, nothing doubled", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.truncate("train", fileOf(curve("loss", 0, 6)).length);
    const cut = only(await world.sync());
    expect(cut.notes).toMatchObject([{ code: "truncated", message: expect.stringContaining("shorter") }]);
    world.logdir.append("train", records(curve("loss", 6, 12)));
    const grown = await world.sync();
    expect(codes(grown)).toEqual([]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 12));
  });

  test("replaced by one with the same beginning: noted, read again into the same run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf([...curve("loss", 0, 5), ...curve("a", 0, 5)]));
    await world.sync();
    const other = [...curve("loss", 0, 5), ...curve("b", 0, 50)];
    world.logdir.replace("train", fileOf(other));
    const result = only(await world.sync());
    expect(result.notes).toMatchObject([
      { code: "replaced", message: expect.stringContaining("again from the start") },
    ]);
    expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...other]);
    expect(only(await world.sync()).notes).toEqual([]);
  });

  test("the same, when the state is lost as well", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf([...curve("loss", 0, 5), ...curve("a", 0, 5)]));
    await world.sync();
    world.loseState();
    const other = [...curve("loss", 0, 5), ...curve("b", 0, 50)];
    world.logdir.replace("train", fileOf(other));
    await world.sync();
    expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...other]);
  });

  test("replaced wholly: noted, and another run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("a", 0, 5)));
    await world.sync();
    world.logdir.replace("train", fileOf(curve("b", 0, 5), 1));
    expect(codes(await world.sync())).toEqual(["replaced"]);
    expect(world.backend.runs.map(({ points }) => [...points.keys()].map((point) => point[0]))).toEqual([
      ["a", "a", "a", "a", "a"],
      ["b", "b", "b", "b", "b"],
    ]);
    expect(codes(await world.sync())).toEqual([]);
  });

  test("emptied and written anew in place", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("a", 0, 5)));
    await world.sync();
    world.logdir.truncate("train", 0);
    await world.sync();
    world.logdir.append("train", fileOf(curve("b", 0, 5), 1));
    await world.sync();
    expect(world.backend.runs.map(({ points }) => points.size)).toEqual([5, 5]);
  });

  test("one of a run's two files replaced: the run stays", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 5)));
    world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 5), 1));
    await world.sync();
    world.logdir.replace("train/tfevents.2", fileOf(curve("c", 0, 5), 2));
    await world.sync();
    expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...curve("b", 0, 5), ...curve("c", 0, 5)]);
  });
});

describe("what is lost is found again", () => {
  const half = curve("loss", 0, 20);
  const whole = curve("loss", 0, 40);

  async function synced(batchSize = 1000): Promise<World> {
    const world = World.create();
    world.backend.batchSize = batchSize;
    world.logdir.write("train", fileOf(half));
    await world.sync();
    return world;
  }

  test("without state, nothing is sent again", async () => {
    const world = await synced();
    world.loseState();
    const result = await world.sync();
    expect(codes(result)).toEqual([]);
    expect(world.backend.runs).toHaveLength(1);
    expect(sentAgain(world.backend.run("train"))).toBe(0);
    expect(methods(world.backend.calls)).not.toContain("write");
  });

  test("without state, after an interruption, at most one batch is sent again", async () => {
    for (let n = 2; n < 13; n++) {
      const world = World.create();
      world.backend.batchSize = 5;
      world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 20)));
      world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 20), 1));
      world.backend.fault = (call) => (call.n === n ? { when: n % 2 ? "before" : "after" } : undefined);
      await world.sync();
      world.loseState();
      await world.sync();
      world.backend.fault = () => undefined;
      const last = await world.sync();
      expect(codes(last)).toEqual([]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 20), ...curve("b", 0, 20)]);
      expect(sentAgain(world.backend.run("train"))).toBeLessThanOrEqual(5);
    }
  });

  test("an older state: the destination is ahead of it, and is believed", async () => {
    const world = await synced(5);
    const bringBack = world.keepState();
    world.logdir.append("train", records(curve("loss", 20, 40)));
    await world.sync();
    bringBack();
    world.logdir.append("train", records(curve("loss", 40, 41)));
    const result = await world.sync();
    expect(scalarsOf(result).sent).toBeLessThanOrEqual(6);
    expectPoints(world.backend.run("train"), curve("loss", 0, 41));
  });

  test("the destination went back: what it lost is sent again", async () => {
    const world = await synced(5);
    const backup = world.backend.snapshot();
    world.logdir.append("train", records(curve("loss", 20, 40)));
    await world.sync();
    world.backend.runs = backup;
    world.logdir.append("train", records(curve("loss", 40, 41)));
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 41));
  });

  test("the destination has lost its marks: all is sent again, and nothing doubled", async () => {
    const world = await synced(5);
    world.backend.forgetMarks();
    world.logdir.append("train", records(curve("loss", 20, 21)));
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 21));
    expect(sentAgain(world.backend.run("train"))).toBe(20);
  });

  test("the destination went back in a run of two files, and the sync that follows dies at any call", async () => {
    const all = [...curve("a", 0, 11), ...curve("b", 0, 11)];
    for (let n = 1; n < 8; n++) {
      const world = World.create();
      world.backend.batchSize = 5;
      world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 10)));
      world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 10), 1));
      await world.sync();
      for (const run of world.backend.runs) {
        run.points.clear();
        run.marks.clear();
      }
      world.logdir.append("train/tfevents.1", records(curve("a", 10, 11)));
      world.logdir.append("train/tfevents.2", records(curve("b", 10, 11)));
      world.backend.fault = (call) => (call.n === n ? { when: "before" } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      await world.sync();
      expectPoints(world.backend.run("train"), all);
    }
  });

  test("the remote run is gone for good: all is sent into a new one", async () => {
    const world = await synced();
    world.backend.runs = [];
    world.logdir.append("train", records(curve("loss", 20, 40)));
    const result = await world.sync();
    expect(only(result).notes).toMatchObject([{ code: "recreated" }]);
    expect(only(result).remoteId).toBe("id-2");
    expectPoints(world.backend.run("train"), whole);
    expect(world.backend.run("train").startTime).toBe(WALL_TIME);
  });

  test("a lost acknowledgement: at most that batch is sent again", async () => {
    const world = World.create();
    world.backend.batchSize = 5;
    world.logdir.write("train", fileOf(half));
    world.backend.fault = ({ n }) => (n === 3 ? { when: "after" } : undefined);
    const first = await world.sync();
    expect(first.error?.code).toBe("unreachable");
    expect(scalarsOf(first)).toMatchObject({ sent: 5, failed: 5 });
    world.backend.fault = () => undefined;
    await world.sync();
    expectPoints(world.backend.run("train"), half);
    expect(sentAgain(world.backend.run("train"))).toBeLessThanOrEqual(5);
  });

  test("marks that lag by one batch: that batch is sent again", async () => {
    for (const loseState of [false, true]) {
      const world = World.create();
      world.backend.batchSize = 5;
      world.logdir.write("train", fileOf(half));
      world.backend.fault = ({ n }) => (n === 4 ? { when: "between" } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      if (loseState) world.loseState();
      await world.sync();
      expectPoints(world.backend.run("train"), half);
      expect(sentAgain(world.backend.run("train"))).toBe(5);
    }
  });

  test("a destination that keeps no marks goes by the local state", async () => {
    const world = World.create();
    world.backend.keepsMarks = false;
    world.logdir.write("train", fileOf(half));
    await world.sync();
    world.logdir.append("train", records(curve("loss", 20, 40)));
    expect(scalarsOf(await world.sync())).toMatchObject({ read: 20, sent: 20 });
    expectPoints(world.backend.run("train"), whole);
  });
});

describe("tags whose plugin stands on their first value only", () => {
  const train = path.join(FIXTURES, "tf1/runs/train");

  async function grown(between: (world: World) => void): Promise<World> {
    const world = World.create();
    const [name] = discover(train).runs.flatMap(({ files }) => files.map((file) => file.name));
    const bytes = readFileSync(path.join(train, name as string));
    const records = recordEnds(bytes);
    const middle = records[Math.floor(records.length / 2)] as number;
    world.logdir.write(`train/${name}`, bytes.subarray(0, middle));
    await world.sync();
    between(world);
    world.logdir.append(`train/${name}`, bytes.subarray(middle));
    await world.sync();
    return world;
  }

  async function atOnce(): Promise<World> {
    const world = World.create();
    cpSync(train, path.join(world.logdir.root, "train"), { recursive: true });
    await world.sync();
    return world;
  }

  test("are what they were, in a later process, without state, and sent once more from the start", async () => {
    const expected = (await atOnce()).backend.run("train");
    expect([...expected.data.keys()].map((key) => key.split(" ")[0])).toContain("histograms");
    const ways: ((world: World) => void)[] = [
      () => {},
      (world) => world.loseState(),
      (world) => world.backend.forgetMarks(),
    ];
    for (const between of ways) {
      const actual = (await grown(between)).backend.run("train");
      expect([...actual.data.keys()].sort()).toEqual([...expected.data.keys()].sort());
      expect([...actual.points.keys()].sort()).toEqual([...expected.points.keys()].sort());
    }
  });

  test("with a state that is older than the destination's mark", async () => {
    // The metadata comes between the two.
    const metadata = { pluginData: { pluginName: "scalars" } };
    const tensor = (step: number, says: boolean) =>
      event({
        wallTime: WALL_TIME + step,
        step,
        summary: {
          value: [
            { tag: "t", tensor: { dtype: "DT_FLOAT", tensorShape: {}, floatVal: [step] }, ...(says && { metadata }) },
          ],
        },
      });
    const world = World.create();
    world.backend.batchSize = 1;
    world.logdir.write("train", fileOf(curve("loss", 0, 2)));
    await world.sync();
    const bringBack = world.keepState();
    world.logdir.append("train", eventFile(tensor(0, true), tensor(1, false), tensor(2, false)));
    await world.sync();
    bringBack();
    world.logdir.append("train", eventFile(tensor(3, false)));
    await world.sync();
    expect([...world.backend.run("train").data.keys()]).toEqual([]);
    expect(world.backend.run("train").points.has(pointText("t", 3, WALL_TIME + 3, 3))).toBe(true);
  });
});

describe("death at any moment", () => {
  const one = curve("loss", 0, 12);
  const two = interleaved(curve("accuracy", 0, 4), curve("rate", 0, 4));
  const whens = ["before", "after", "between"] as const;

  test.each([
    [1, "kept"],
    [7, "kept"],
    [1000, "kept"],
    [1, "lost"],
    [7, "lost"],
  ] as const)("batches of %i, state %s: no point lost, none doubled", async (batchSize, state) => {
    for (const when of whens) {
      for (let n = 1; ; n++) {
        const world = World.create();
        world.backend.batchSize = batchSize;
        world.logdir.write("train/tfevents.1", fileOf(one));
        world.logdir.write("train/tfevents.2", Buffer.concat([fileOf(two, 1), record(textEvent("note", 1, "x"))]));
        world.backend.fault = (call) => (call.n === n ? { when } : undefined);
        const first = await world.sync();
        if (first.error === undefined) break;
        expect(only(first).outcome).toBe("failed");
        world.backend.fault = () => undefined;
        if (state === "lost") world.loseState();
        const second = await world.sync();
        expect(codes(second)).toEqual([]);
        expect(outcomes(second)).toEqual({ train: "sent" });
        const remote = world.backend.run("train");
        expectPoints(remote, [...one, ...two]);
        expect(sentAgain(remote)).toBeLessThanOrEqual(batchSize);
        expect([...remote.data.keys()]).toEqual(["text note 1"]);
        expect(remote.status).toBe("finished");
        expect(only(await world.sync()).outcome).toBe("unchanged");
      }
    }
  });

  test("after every single call, over and over", async () => {
    const world = World.create();
    world.backend.batchSize = 3;
    world.logdir.write("train/tfevents.1", fileOf(one));
    world.logdir.write("train/tfevents.2", fileOf(two, 1));
    let syncs = 0;
    world.backend.fault = ({ n }) => (n === 3 ? { when: "before" } : undefined);
    while ((await world.sync()).error !== undefined) expect(++syncs).toBeLessThan(20);
    expect(syncs).toBeGreaterThan(5);
    expectPoints(world.backend.run("train"), [...one, ...two]);
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });
});

describe("what is left out is counted", () => {
  const restarted = eventFile(sessionStart(5));

  function restartedRun(world: World): void {
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 10)));
    world.logdir.write("train/tfevents.2", Buffer.concat([version(1), restarted, records(curve("loss", 5, 12))]));
  }

  test("restarts explicit: what a session start makes obsolete", async () => {
    const world = World.create();
    restartedRun(world);
    expect(scalarsOf(await world.sync())).toEqual({ read: 17, sent: 12, failed: 0, leftOut: { obsolete: 5 } });
    expectPoints(world.backend.run("train"), curve("loss", 0, 12));
  });

  test("restarts explicit, with the start in an earlier sync", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 4)));
    world.logdir.write("train/tfevents.2", Buffer.concat([version(1), restarted, records(curve("loss", 5, 12))]));
    await world.sync();
    // The first writer's last words, which its restart has made obsolete.
    world.logdir.append("train/tfevents.1", records(curve("loss", 4, 7)));
    expect(scalarsOf(await world.sync())).toEqual({ read: 3, sent: 1, failed: 0, leftOut: { obsolete: 2 } });
    expectPoints(
      world.backend.run("train"),
      curve("loss", 0, 12).filter(({ step }) => step !== 12),
    );
  });

  test("restarts any: only strictly increasing steps", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf([...curve("loss", 0, 10), ...curve("loss", 7, 12), ...curve("other", 0, 3)]));
    const result = await world.sync({ restarts: "any" });
    expect(scalarsOf(result)).toEqual({ read: 18, sent: 15, failed: 0, leftOut: { obsolete: 3 } });
  });

  test("restarts keep: everything", async () => {
    const world = World.create();
    restartedRun(world);
    expect(scalarsOf(await world.sync({ restarts: "keep" }))).toEqual({ read: 17, sent: 17, failed: 0, leftOut: {} });
  });

  test("filters of tags and runs, and NaN", async () => {
    const world = World.create();
    const nan = eventFile(scalarEvent("train/loss", 99, Number.NaN), scalarEvent("train/loss", 100, Infinity));
    const points = interleaved(curve("train/loss", 0, 5), curve("train/lr", 0, 5), curve("eval/loss", 0, 5));
    world.logdir.write("a", Buffer.concat([fileOf(points), nan]));
    world.logdir.write("b", fileOf(points, 1));
    const result = await world.sync({
      transform: { includeTags: ["train/*"], excludeTags: ["*lr"], nan: "skip" },
      wantsRun: (name) => name === "a",
    });
    expect(result.excludedRuns).toBe(1);
    expect(scalarsOf(result)).toEqual({ read: 17, sent: 6, failed: 0, leftOut: { excluded: 10, nan: 1 } });
    expect(world.backend.runs.map(({ name }) => name)).toEqual(["a"]);
  });

  test("batches that a filter empties again and again", async () => {
    const world = World.create();
    world.backend.batchSize = 4;
    world.logdir.write("train", fileOf([...curve("noise", 0, 50), ...curve("loss", 0, 3), ...curve("noise", 50, 90)]));
    const transform = { includeTags: ["loss"], excludeTags: [], nan: "keep" } as const;
    expect(scalarsOf(await world.sync({ transform }))).toEqual({
      read: 93,
      sent: 3,
      failed: 0,
      leftOut: { excluded: 90 },
    });
    expect(world.backend.batches).toEqual([3]);
    expect(only(await world.sync({ transform })).outcome).toBe("unchanged");
  });

  test("a value that nobody can decode", async () => {
    const bad = event({
      wallTime: WALL_TIME,
      step: 1,
      summary: {
        value: [{ tag: "i", tensor: { dtype: "DT_FLOAT" }, metadata: { pluginData: { pluginName: "images" } } }],
      },
    });
    const world = World.create();
    world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 2)), record(bad)]));
    const { kinds } = only(await world.sync()).tally;
    expect(kinds.get("unreadable")).toMatchObject({ read: 1, sent: 0, leftOut: new Map([["cannot be decoded", 1]]) });
  });

  test("every value is traced", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf([...curve("loss", 0, 2), ...curve("noise", 0, 1)]));
    const lines: string[] = [];
    await world.sync({
      transform: { includeTags: [], excludeTags: ["noise"], nan: "keep" },
      trace: (line) => void lines.push(line.replace(/@\d+/, "@")),
    });
    expect(lines.sort()).toEqual([
      "train: @ scalars loss step 0: written",
      "train: @ scalars loss step 1: written",
      "train: @ scalars noise step 0: left out (excluded)",
    ]);
  });
});

describe("damage", () => {
  const good = fileOf(curve("loss", 0, 5));
  const more = records(curve("loss", 5, 10));

  test("in the midst: passed over, reported now and at every later sync", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([good, Buffer.from("not a record at all"), more]));
    const loss = { start: good.length, end: good.length + 19, reason: "length-crc" };
    const first = only(await world.sync());
    expect(first.losses).toMatchObject([loss]);
    expect(first.losses[0]?.path).toBe(world.logdir.path("train"));
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
    for (let i = 0; i < 2; i++) {
      const unchanged = only(await world.sync());
      expect(unchanged).toMatchObject({ outcome: "unchanged", losses: [loss] });
    }
    world.logdir.append("train", records(curve("loss", 10, 12)));
    expect(only(await world.sync()).losses).toMatchObject([loss]);
    world.loseState();
    expect(only(await world.sync()).losses).toMatchObject([loss]);
  });

  test("at the end: reported, and looked at again when the file grows", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([good, Buffer.from("not a record at all")]));
    expect(only(await world.sync()).losses).toMatchObject([{ reason: "damaged-tail", start: good.length }]);
    expect(only(await world.sync()).losses).toMatchObject([{ reason: "damaged-tail", start: good.length }]);
    world.logdir.append("train", more);
    const third = only(await world.sync());
    expect(third.losses).toMatchObject([{ reason: "length-crc", start: good.length, end: good.length + 19 }]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });

  test("as all that is new, with nothing to send", async () => {
    const bad = records(curve("loss", 5, 6));
    bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
    const world = World.create();
    world.logdir.write("train", good);
    await world.sync();
    world.logdir.append("train", Buffer.concat([bad, version()]));
    for (let i = 0; i < 3; i++) {
      const result = only(await world.sync());
      expect(result).toMatchObject({ outcome: "unchanged", losses: [{ reason: "payload-crc", start: good.length }] });
    }
    world.logdir.append("train", more);
    expect(only(await world.sync()).losses).toMatchObject([{ reason: "payload-crc", start: good.length }]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });

  test("in a file that holds nothing else", async () => {
    const bad = fileOf(curve("loss", 0, 1));
    bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
    const world = World.create();
    world.logdir.write("train", Buffer.concat([bad, version()]));
    for (let i = 0; i < 2; i++) {
      expect(only(await world.sync())).toMatchObject({ outcome: "empty", losses: [{ reason: "payload-crc" }] });
    }
  });

  test("a record above the limit is skipped", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([good, record(textEvent("note", 1, "x".repeat(5000))), more]));
    const result = only(await world.sync({ maxRecordBytes: 1000 }));
    expect(result.losses).toMatchObject([{ reason: "too-large", start: good.length }]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });
});

describe("refusals", () => {
  test("one run refused does not stop the others, and is tried again", async () => {
    const world = World.create();
    for (const name of ["a", "b", "c"]) world.logdir.write(name, fileOf(curve(name, 0, 5)));
    const error = new TraceletError("rejected", "no");
    world.backend.fault = ({ method, run }) =>
      method === "write" && run === "b" ? { when: "before", error } : undefined;
    const result = await world.sync();
    expect(outcomes(result)).toEqual({ a: "sent", b: "failed", c: "sent" });
    expect(result.error).toBeUndefined();
    expect(result.runs[1]).toMatchObject({ error });
    expect(scalarsOf(result)).toMatchObject({ read: 15, sent: 10, failed: 5 });
    world.backend.fault = () => undefined;
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged", b: "sent", c: "unchanged" });
    expectPoints(world.backend.run("b"), curve("b", 0, 5));
  });

  test.each(["auth", "unreachable"] as const)("%s ends all", async (code) => {
    const world = World.create();
    for (const name of ["a", "b", "c"]) world.logdir.write(name, fileOf(curve(name, 0, 5)));
    const error = new TraceletError(code, "no");
    world.backend.fault = ({ run }) => (run === "b" ? { when: "before", error } : undefined);
    const result = await world.sync({ concurrency: 1 });
    expect(outcomes(result)).toEqual({ a: "sent", b: "failed" });
    expect(result.error).toBe(error);
    expect(world.backend.runs.map(({ name }) => name)).toEqual(["a"]);
  });

  test("what is no TraceletError is thrown, and the state stays usable", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("a", 0, 5)));
    world.logdir.write("b", fileOf(curve("b", 0, 5)));
    world.backend.fault = ({ method }) =>
      method === "write" ? { when: "after", error: new TypeError("a bug") } : undefined;
    await expect(world.sync()).rejects.toThrow("a bug");
    world.backend.fault = () => undefined;
    expect(outcomes(await world.sync())).toEqual({ a: "sent", b: "sent" });
    expectPoints(world.backend.run("b"), curve("b", 0, 5));
  });

  test("a missing logdir", async () => {
    const world = World.create();
    const logdirs = [path.join(world.root, "nowhere")];
    await expect(world.sync({ logdirs })).rejects.toMatchObject({
      code: "logdir",
      message: expect.stringContaining("nowhere"),
    });
  });
});

describe("being asked to stop", () => {
  test("stops behind the batch under way, counts what was read ahead, and goes on later", async () => {
    for (let n = 1; n < 10; n++) {
      const world = World.create();
      world.backend.batchSize = 5;
      world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 13)));
      world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 13), 1));
      const stop = new AbortController();
      world.backend.fault = (call) => {
        if (call.n === n) stop.abort(new TraceletError("interrupted", "interrupted"));
        return undefined;
      };
      const first = await world.sync({ signal: stop.signal });
      if (!first.interrupted) break;
      expect(world.backend.calls.length).toBeLessThanOrEqual(n + 1);
      world.backend.fault = () => undefined;
      const second = await world.sync();
      expect(codes(second)).toEqual([]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 13), ...curve("b", 0, 13)]);
      expect(sentAgain(world.backend.run("train"))).toBe(0);
    }
  });

  test("a batch that the stop cuts off is interrupted, not failed", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    const stop = new AbortController();
    world.backend.fault = ({ method }) => {
      if (method !== "write") return undefined;
      stop.abort();
      return { when: "before" };
    };
    const result = await world.sync({ signal: stop.signal });
    expect(only(result)).toMatchObject({ outcome: "interrupted", error: undefined });
    expect(scalarsOf(result)).toEqual({ read: 5, sent: 0, failed: 0, leftOut: { interrupted: 5 } });
  });

  test("asked before it begins, it does nothing", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    const result = await world.sync({ signal: AbortSignal.abort() });
    expect(result).toMatchObject({ runs: [], interrupted: true });
    expect(world.backend.calls).toEqual([]);
  });
});

describe("hparams.yaml", () => {
  test("is sent once, and again when it has changed", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\nlayers: 3\n"));
    await world.sync();
    expect(world.backend.run("train").hparams).toEqual(
      new Map<string, unknown>([
        ["lr", 0.1],
        ["layers", 3n],
      ]),
    );
    world.backend.run("train").hparams.clear();
    expect(only(await world.sync()).outcome).toBe("unchanged");
    world.logdir.append("train", records(curve("loss", 5, 6)));
    await world.sync();
    expect(world.backend.run("train").hparams).toEqual(new Map());
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.2\n"));
    await world.sync();
    expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.2]]));
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("is sent again when the sync that sent it died", async () => {
    for (const when of ["before", "after"] as const) {
      const world = World.create();
      world.logdir.write("train", fileOf(curve("loss", 0, 5)));
      world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
      world.backend.fault = ({ method }) => (method === "write" ? { when } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      await world.sync();
      expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.1]]));
    }
  });

  test("alone with a file without values makes one run, also if its first sync dies", async () => {
    for (let n = 1; n <= 3; n++) {
      const world = World.create();
      world.logdir.write("train", version());
      world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
      world.backend.fault = (call) => (call.n === n ? { when: "after" } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      world.logdir.append("train", records(curve("loss", 0, 5)));
      await world.sync();
      expect(world.backend.runs).toHaveLength(1);
      expectPoints(world.backend.run("train"), curve("loss", 0, 5));
      expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.1]]));
    }
  });

  test("that cannot be read is a problem at every sync until it can", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: [0.1\n"));
    for (let i = 0; i < 2; i++) {
      const run = only(await world.sync());
      expect(run.problems).toMatchObject([{ path: world.logdir.path("train/hparams.yaml") }]);
      expect(run.error).toBeUndefined();
    }
    expectPoints(world.backend.run("train"), curve("loss", 0, 5));
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
    expect(only(await world.sync())).toMatchObject({ problems: [], outcome: "sent" });
    expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.1]]));
  });
});

describe("files that cannot be read", () => {
  function threeFiles(): World {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 5)));
    world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 5), 1));
    world.logdir.write("train/tfevents.3", fileOf(curve("c", 0, 5), 2));
    world.logdir.write("other", fileOf(curve("loss", 0, 5), 3));
    return world;
  }

  /** Do something to the second file when the sync of its run has come this far. */
  const spoiled = (world: World, spoil: () => void) => ({
    onStart: () => spoil(),
    concurrency: 1,
    logdirs: [world.logdir.root],
  });

  test("deleted or swapped between listing and reading: the others are sent", async () => {
    const ways: [string, (world: World) => void][] = [
      ["ENOENT", (world) => world.logdir.remove("train/tfevents.2")],
      ["EINVAL", (world) => world.logdir.swapForDirectory("train/tfevents.2")],
    ];
    for (const [code, spoil] of ways) {
      const world = threeFiles();
      const result = await world.sync(spoiled(world, () => spoil(world)));
      expect(outcomes(result)).toEqual({ other: "sent", train: "sent" });
      expect(result.runs[1]?.problems).toEqual([{ path: world.logdir.path("train/tfevents.2"), code }]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...curve("c", 0, 5)]);
    }
  });

  test("deleted while its run is being opened: the others are sent", async () => {
    const world = threeFiles();
    world.backend.fault = ({ method, run }) => {
      if (method === "open" && run === "train") world.logdir.remove("train/tfevents.2");
      return undefined;
    };
    const result = await world.sync();
    expect(outcomes(result)).toEqual({ other: "sent", train: "sent" });
    expect(result.runs[1]?.problems).toMatchObject([{ code: "ENOENT" }]);
    expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...curve("c", 0, 5)]);
  });

  test("deleted at any moment of a first sync: nothing is thrown, the others are sent", async () => {
    // `signal.aborted` is asked at every step of a run, so a getter is a clock that tells each of them.
    for (let moment = 1; moment < 12; moment++) {
      const world = threeFiles();
      world.backend.batchSize = 2;
      let asked = 0;
      const signal = new AbortController().signal;
      Object.defineProperty(signal, "aborted", {
        get() {
          if (++asked === moment) world.logdir.remove("train/tfevents.2");
          return false;
        },
      });
      const result = await world.sync({ signal, wantsRun: (name) => name === "train" });
      expect(outcomes(result)).toEqual({ train: "sent" });
      const tags = [...world.backend.run("train").points.keys()].map((point) => point[0]);
      expect(tags.filter((tag) => tag !== "b")).toHaveLength(10);
    }
  });

  test("come back later: nothing is lost or doubled, and nothing is said of a replacement", async () => {
    const world = threeFiles();
    await world.sync();
    const bytes = world.logdir.read("train/tfevents.2");
    world.logdir.append("train/tfevents.1", records(curve("a", 5, 6)));
    await world.sync(spoiled(world, () => world.logdir.swapForDirectory("train/tfevents.2")));
    world.logdir.remove("train/tfevents.2");
    world.logdir.write("train/tfevents.2", Buffer.concat([bytes, records(curve("b", 5, 7))]));
    const result = await world.sync();
    expect(codes(result)).toEqual([]);
    expect(scalarsOf(result)).toMatchObject({ sent: 2 });
    expectPoints(world.backend.run("train"), [...curve("a", 0, 6), ...curve("b", 0, 7), ...curve("c", 0, 5)]);
  });

  test("all of a known run's files: a problem, not a new run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    await world.sync();
    world.logdir.append("train", records(curve("loss", 5, 6)));
    const result = only(await world.sync(spoiled(world, () => world.logdir.swapForDirectory("train"))));
    expect(result.problems).toMatchObject([{ code: "EINVAL" }]);
    expect(result.notes).toEqual([]);
  });

  test("a file that shrinks while it is read is read as far as it goes", async () => {
    const world = World.create();
    world.backend.batchSize = 2;
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    const cut = fileOf(curve("loss", 0, 4)).length;
    const result = await world.sync({ onStart: () => world.logdir.truncate("train", cut + 3) });
    expect(outcomes(result)).toEqual({ train: "sent" });
    expectPoints(world.backend.run("train"), curve("loss", 0, 4));
    world.logdir.truncate("train", cut);
    world.logdir.append("train", records(curve("loss", 4, 10)));
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });

  test("the source is left as it is", async () => {
    const world = threeFiles();
    const before = readFileSync(world.logdir.path("train/tfevents.1"));
    await world.sync();
    expect(readFileSync(world.logdir.path("train/tfevents.1"))).toEqual(before);
    expect(discover(world.logdir.root).runs.flatMap(({ files }) => files)).toHaveLength(4);
  });
});

/** Where each record of an intact file ends. */
function recordEnds(bytes: Buffer): number[] {
  const ends: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    at += 16 + bytes.readUInt32LE(at);
    ends.push(at);
  }
  return ends;
}
