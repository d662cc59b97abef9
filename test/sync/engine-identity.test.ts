/** Who a run and a file are, wherever they lie and whatever became of them. */
import { renameSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { MemoryRun } from "../support/memory-backend.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  only,
  outcomes,
  records,
  scalarsOf,
  sentAgain,
  version,
  World,
} from "./world.ts";

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

  test.each(["there", "lost"])("replaced by one with the same beginning, the state %s: another run", async (state) => {
    const world = World.create();
    const before = [...curve("loss", 0, 5), ...curve("a", 0, 5)];
    world.logdir.write("train", fileOf(before));
    await world.sync();
    if (state === "lost") world.loseState();
    const other = [...curve("loss", 0, 5), ...curve("b", 0, 50)];
    world.logdir.replace("train", fileOf(other));
    const result = only(await world.sync());
    if (state === "there")
      expect(result.notes).toMatchObject([{ code: "replaced", message: expect.stringContaining("a new run") }]);
    const [first, second] = world.backend.runs;
    expectPoints(first as MemoryRun, before);
    expectPoints(second as MemoryRun, other);
    expect(world.backend.runs).toHaveLength(2);
    const again = only(await world.sync());
    expect([again.outcome, again.notes]).toEqual(["unchanged", []]);
  });

  test.each(["there", "lost"])(
    "replaced by a shorter one with the same beginning, the state %s: another run",
    async (state) => {
      const world = World.create();
      const before = [...curve("loss", 0, 5), ...curve("a", 0, 100)];
      world.logdir.write("train", fileOf(before));
      await world.sync();
      if (state === "lost") world.loseState();
      const other = [...curve("loss", 0, 5), ...curve("b", 0, 50)];
      world.logdir.replace("train", fileOf(other));
      await world.sync();
      const [first, second] = world.backend.runs;
      expectPoints(first as MemoryRun, before);
      expectPoints(second as MemoryRun, other);
      expect(world.backend.runs).toHaveLength(2);
      expect(only(await world.sync())).toMatchObject({ outcome: "unchanged", notes: [] });
    },
  );

  test("replaced by an older copy that went on in another way: another run, though it is shorter", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 150)));
    await world.sync();
    const other = [...curve("loss", 0, 100), ...curve("fork", 100, 140)];
    world.logdir.replace("train", fileOf(other));
    await world.sync();
    const [first, second] = world.backend.runs;
    expectPoints(first as MemoryRun, curve("loss", 0, 150));
    expectPoints(second as MemoryRun, other);
  });

  test("in which a hole is filled without that it grows: what appeared is sent, and it is still known when it is cut", async () => {
    const world = World.create();
    const whole = fileOf(curve("loss", 0, 100));
    const holed = Buffer.from(whole);
    holed.fill(0, 1100, 2048);
    world.logdir.write("train", holed);
    await world.sync();
    expect(world.backend.run("train").points.size).toBeLessThan(100);
    world.logdir.replace("train", whole);
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 100));
    world.logdir.replace("train", whole.subarray(0, 3000));
    await world.sync();
    expect(world.backend.runs).toHaveLength(1);
  });

  test.each(["there", "lost"])("that is being copied over itself, the state %s: the same run", async (state) => {
    const world = World.create();
    const bytes = fileOf(curve("loss", 0, 200));
    world.logdir.write("train", bytes);
    await world.sync();
    for (const length of [0, 10, 130, 1000, 1500, bytes.length >> 1, bytes.length - 1]) {
      if (state === "lost") world.loseState();
      world.logdir.replace("train", bytes.subarray(0, length));
      await world.sync();
      // As rsync --preallocate and some network file systems leave it for a moment.
      world.logdir.replace(
        "train",
        Buffer.concat([bytes.subarray(0, length), Buffer.alloc((bytes.length - length) >> 1)]),
      );
      await world.sync();
    }
    world.logdir.replace("train", Buffer.concat([bytes, records(curve("loss", 200, 210))]));
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 210));
    expect(world.backend.runs).toHaveLength(1);
  });

  test("that another machine went on with in another way: each its own run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    await world.sync();
    const bringBackState = world.keepState();
    world.logdir.append("train", records(curve("here", 5, 9)));
    await world.sync();
    // The copy of the other machine, which knows as much of it as it held then.
    world.logdir.replace("train", fileOf([...curve("loss", 0, 5), ...curve("there", 5, 40)]));
    bringBackState();
    await world.sync();
    const [first, second] = world.backend.runs;
    expectPoints(first as MemoryRun, [...curve("loss", 0, 5), ...curve("here", 5, 9)]);
    expectPoints(second as MemoryRun, [...curve("loss", 0, 5), ...curve("there", 5, 40)]);
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
