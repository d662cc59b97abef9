/** Runs of W&B whose directories were renamed, moved or copied, or are reached from another root. */
import { rmSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { codes, curve, fileOf, outcomes, records, scalarsOf } from "../sync/world.ts";
import { expectPoints, WandbWorld } from "./world.ts";

/** Each way to come to an end with what is known of the runs: by this machine, or by the destination alone. */
const STATES = [
  ["with its state", () => {}],
  ["without its state", (world: WandbWorld) => world.loseState()],
] as const;

describe.each(STATES)("%s", (_, loses) => {
  test("a run whose directory was renamed is the same run, renamed there, and goes on", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("try", fileOf(curve("loss", 0, 10)));
    world.logdir.write("other", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    const { name: id } = world.run("try");
    world.logdir.rename("try", "exp/baseline");
    world.logdir.append("exp/baseline", records(curve("loss", 10, 12)));
    loses(world);
    const result = await world.sync();
    expect([codes(result), scalarsOf(result).sent]).toEqual([["moved"], 2]);
    expect(world.names).toEqual(["exp/baseline", "other"]);
    expect(world.run("exp/baseline").name).toBe(id);
    expectPoints(world.run("exp/baseline"), curve("loss", 0, 12));
    expect(outcomes(await world.sync())).toEqual({ "exp/baseline": "unchanged", other: "unchanged" });
  });

  test("another root finds the same runs, and back again", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("exp/b", fileOf(curve("loss", 0, 10), 1));
    world.logdir.write("c", fileOf(curve("loss", 0, 10), 2));
    await world.sync();
    loses(world);
    await world.sync({ logdirs: [path.join(world.logdir.root, "exp")] });
    expect(world.names).toEqual(["a", "b", "c"]);
    loses(world);
    world.logdir.append("exp/a", records(curve("loss", 10, 12)));
    await world.sync();
    expect(world.names).toEqual(["c", "exp/a", "exp/b"]);
    expectPoints(world.run("exp/a"), curve("loss", 0, 12));
  });

  test("a copy is a run of its own while its original is there, whichever grows", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    world.logdir.copyRun("a", "b");
    world.logdir.append("b", records(curve("loss", 10, 12)));
    await world.sync();
    expectPoints(world.run("a"), curve("loss", 0, 10));
    expectPoints(world.run("b"), curve("loss", 0, 12));
  });

  test("of two copies whose original is gone one is it, and the other a run of its own", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    world.logdir.copyRun("a", "b");
    world.logdir.rename("a", "c");
    await world.sync();
    expect(world.names).toEqual(["b", "c"]);
    for (const name of ["b", "c"]) expectPoints(world.run(name), curve("loss", 0, 10));
  });

  test("a chain of names: each run goes on under its new one", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    loses(world);
    world.logdir.rename("a", "c");
    world.logdir.rename("b", "a");
    await world.sync();
    expect(world.names).toEqual(["a", "c"]);
    expectPoints(world.run("c"), curve("loss", 0, 10));
    expectPoints(world.run("a"), curve("loss", 0, 5));
  });

  test("two runs that have exchanged their names", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    loses(world);
    world.logdir.rename("a", "c");
    world.logdir.rename("b", "a");
    world.logdir.rename("c", "b");
    await world.sync({ concurrency: 1 });
    expect(world.names).toEqual(["a", "b"]);
    expectPoints(world.run("b"), curve("loss", 0, 10));
    expectPoints(world.run("a"), curve("loss", 0, 5));
  });

  test("what took the place of a run is a run of its own, also once it is removed and begun anew", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("latest", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    rmSync(path.join(world.logdir.root, "latest"), { recursive: true });
    world.logdir.write("latest", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    expect(world.names).toEqual(["latest", "latest"]);
    const [old, young] = world.runs;
    if (old === undefined || young === undefined) throw new Error("two runs were expected");
    expectPoints(old, curve("loss", 0, 10));
    expectPoints(young, curve("loss", 0, 5));
  });

  test.each(["parent", "nested", "none"] as const)("under --group %s", async (group) => {
    const world = await WandbWorld.create();
    world.logdir.write("exp/a/train", fileOf(curve("loss", 0, 10)));
    world.logdir.write("exp/a/validation", fileOf(curve("loss", 0, 10), 1));
    world.logdir.write("other/a/train", fileOf(curve("loss", 0, 10), 2));
    await world.sync({ group });
    const before = world.names;
    loses(world);
    world.logdir.rename("exp", "moved");
    const result = await world.sync({ group });
    expect(scalarsOf(result).sent).toBe(0);
    expect(world.names).toEqual(before.map((name) => name.replace("exp", "moved")).sort());
  });

  test("another grouping is refused, or done if it is asked for", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("exp/train/events.out.tfevents.1.host.1.v2", fileOf(curve("loss", 0, 4)));
    world.logdir.write("exp/validation/events.out.tfevents.2.host.1.v2", fileOf(curve("loss", 0, 4), 1));
    await world.sync({ group: "parent" });
    await expect(world.sync({ group: "run" })).rejects.toMatchObject({ code: "usage" });
    loses(world);
    const result = await world.sync({ group: "run", regroups: true });
    expect([result.error, outcomes(result)]).toEqual([undefined, { "exp/train": "sent", "exp/validation": "sent" }]);
    for (const run of ["exp/train", "exp/validation"]) expectPoints(world.run(run), curve("loss", 0, 4));
    expectPoints(world.run("exp"), [...curve("train/loss", 0, 4), ...curve("validation/loss", 0, 4)]);
  });
});

test("a rename is found in a project of other people's runs, however long its list", async () => {
  const world = await WandbWorld.create();
  world.logdir.write("a", fileOf(curve("loss", 0, 10)));
  await world.sync();
  for (let i = 0; i < 600; i++) world.server.account.create({ project: "p", name: `other-${i}` }, Date.now());
  world.loseState();
  world.logdir.rename("a", "b");
  await world.sync();
  expect(world.names).toContain("b");
  expect(world.names).not.toContain("a");
  expect(world.server.operations("Runs").map(({ variables }) => variables?.["perPage"])).toEqual([8, 8, 64, 500, 500]);
});
