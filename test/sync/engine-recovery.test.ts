/** Whatever dies or is lost, whenever: nothing is missing in the end, and nothing doubled. */
import { cpSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { discover } from "../../src/reader/discover.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { event, eventFile, record, textEvent, WALL_TIME } from "../support/event-writer.ts";
import type { Call } from "../support/memory-backend.ts";
import { pointText } from "../support/memory-backend.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  interleaved,
  only,
  outcomes,
  records,
  scalarsOf,
  sentAgain,
  World,
} from "./world.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const methods = (calls: readonly Call[]) => calls.map(({ method }) => method);

describe("what is lost is found again", () => {
  const half = curve("loss", 0, 20);
  const whole = curve("loss", 0, 40);

  test("that a run is over, where a backup from just before that came back", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(half));
    world.backend.fault = ({ method }) => (method === "finish" ? { when: "before" } : undefined);
    await world.sync();
    const backup = world.backend.snapshot();
    world.backend.fault = () => undefined;
    await world.sync();
    world.backend.runs = backup;
    expect(world.backend.run("train").status).toBe("running");
    await world.sync();
    expect(world.backend.run("train").status).toBe("finished");
    expect(only(await world.sync()).outcome).toBe("unchanged");
  });

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

  test("a lost acknowledgement of values that a page draws: the page is drawn all the same", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([fileOf(half), eventFile(textEvent("note", 1, "hello"))]));
    world.backend.fault = ({ method }) => (method === "write" ? { when: "after" } : undefined);
    await world.sync();
    expect(world.backend.pages).toEqual(new Set());
    world.backend.fault = () => undefined;
    await world.sync();
    expect(world.backend.pages).toEqual(new Set(["text note"]));
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

test("what no destination would tell again is made to survive a power failure, and only that", async () => {
  const save = vi.spyOn(Checkpoints.prototype, "save");
  onTestFinished(() => save.mockRestore());
  const durably = async (world: World) => {
    save.mockClear();
    expect((await world.sync()).error).toBeUndefined();
    return save.mock.calls.map(([, , isDurable]) => isDurable);
  };
  const points = curve("loss", 0, 5);
  const world = World.create();
  world.logdir.write("train", fileOf(points));
  expect(new Set(await durably(world))).toEqual(new Set([false]));
  world.logdir.append("train", Buffer.concat([Buffer.from("not a record at all"), records(curve("loss", 5, 9))]));
  expect(new Set(await durably(world))).toEqual(new Set([true]));
  const forgetful = World.create();
  forgetful.backend.keepsMarks = false;
  forgetful.logdir.write("train", fileOf(points));
  expect(new Set(await durably(forgetful))).toEqual(new Set([true]));
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
  const one = curve("loss", 0, 8);
  const two = interleaved(curve("accuracy", 0, 3), curve("rate", 0, 3));
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
    expect(syncs).toBeGreaterThan(3);
    expectPoints(world.backend.run("train"), [...one, ...two]);
    expect(sentAgain(world.backend.run("train"))).toBe(0);
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
