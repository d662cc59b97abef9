/** What is asked for is what W&B has, whatever was asked for before: each option both ways, with the local state and without. */
import { describe, expect, test } from "vitest";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import { fileVersion } from "../../src/testing/event-file.ts";
import { codes, curve, fileOf, interleaved, outcomes, records } from "../sync/world.ts";
import { expectPoints, WandbWorld } from "./world.ts";

const LOSS = curve("loss", 0, 12).map((point) => (point.step === 7 ? { ...point, value: Number.NaN } : point));
const ALL = interleaved(LOSS, curve("debug/x", 0, 12));
const STATES = [
  ["with its state", () => {}],
  ["without its state", (world: WandbWorld) => world.loseState()],
] as const;
const EVERYTHING: SyncOptions["transform"] = { includeTags: [], excludeTags: [], nan: "keep" };

describe.each(STATES)("%s", (_, loses) => {
  test.each([
    ["--exclude-tags", { excludeTags: ["debug/*"] }, LOSS],
    ["--include-tags", { includeTags: ["loss"] }, LOSS],
    ["--nan skip", { nan: "skip" }, ALL.filter(({ value }) => !Number.isNaN(value))],
  ] as const)("%s, then without it, then with it again", async (_option, narrow, fewer) => {
    const world = await WandbWorld.create();
    const narrowed = { ...EVERYTHING, ...narrow, includeTags: [], excludeTags: [], ...narrow };
    world.logdir.write("a", fileOf(ALL));
    await world.sync({ transform: narrowed });
    expectPoints(world.run("a"), fewer);
    loses(world);
    await world.sync({ transform: EVERYTHING });
    expectPoints(world.run("a"), ALL);
    loses(world);
    const back = await world.sync({ transform: narrowed });
    expectPoints(world.run("a"), ALL);
    expect(codes(back)).toEqual(["narrowed"]);
    loses(world);
    const again = await world.sync({ transform: EVERYTHING });
    expect(Object.values(outcomes(again)).filter((outcome) => outcome === "failed")).toEqual([]);
    expectPoints(world.run("a"), ALL);
  });

  test("a file that was cut, and is whole again, is there once", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(ALL));
    await world.sync();
    const whole = world.logdir.read("a");
    world.logdir.truncate("a", Math.floor(whole.length / 2));
    await world.sync();
    loses(world);
    world.logdir.write("a", whole);
    await world.sync();
    expectPoints(world.run("a"), ALL);
    world.logdir.append("a", records(curve("loss", 12, 20)));
    await world.sync();
    expectPoints(world.run("a"), [...ALL, ...curve("loss", 12, 20)]);
  });

  test("what lay in damage that was filled is added, and nothing else", async () => {
    const world = await WandbWorld.create();
    const head = fileVersion(1_700_000_000);
    const [before, hidden, after] = [curve("loss", 0, 10), curve("loss", 10, 20), curve("loss", 20, 40)].map(
      records,
    ) as [Buffer, Buffer, Buffer];
    world.logdir.write("a", Buffer.concat([head, before, Buffer.alloc(hidden.length), after]));
    await world.sync();
    loses(world);
    world.logdir.write("a", Buffer.concat([head, before, hidden, after]));
    await world.sync();
    expectPoints(world.run("a"), curve("loss", 0, 40));
  });
});

test("equal values of one step that were written at other times are all there, also after another choice", async () => {
  const world = await WandbWorld.create();
  const again = curve("lr", 0, 5).map((point) => ({ ...point, wallTime: point.wallTime + 100 }));
  const points = [...curve("lr", 0, 5), ...again];
  world.logdir.write("a", fileOf([...points, ...curve("debug/x", 0, 5)]));
  await world.sync({ transform: { ...EVERYTHING, excludeTags: ["debug/*"] } });
  await world.sync({ transform: EVERYTHING });
  expectPoints(world.run("a"), [...points, ...curve("debug/x", 0, 5)]);
});
