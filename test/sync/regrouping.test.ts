/** Another --group for what was sent before: refused before anything is sent, or done on purpose. */
import { expect, test } from "vitest";
import type { GroupMode } from "../../src/sync/source/groups.ts";
import { Watching } from "./watched.ts";
import { codes, curve, expectPoints, fileOf, outcomes, sentAgain, World } from "./world.ts";

const MODES: readonly GroupMode[] = ["run", "parent", "nested", "none"];
const pairs = MODES.flatMap((before) => MODES.filter((after) => after !== before).map((after) => ({ before, after })));

/** As Keras lays it out. */
function keras(): World {
  const world = World.create();
  world.logdir.write("exp/train/events.out.tfevents.1.host.1.v2", fileOf(curve("loss", 0, 4)));
  world.logdir.write("exp/validation/events.out.tfevents.2.host.1.v2", fileOf(curve("loss", 0, 4), 1));
  return world;
}
const names = (world: World) => world.backend.runs.map(({ name }) => name).sort();

test.each(pairs.filter(({ before, after }) => before === "parent" || after === "parent"))(
  "$before, then $after: refused, and nothing is sent; --regroup sends and names what stays",
  async ({ before, after }) => {
    const world = keras();
    await world.sync({ group: before });
    const there = names(world);
    await expect(world.sync({ group: after })).rejects.toMatchObject({
      code: "usage",
      hint: expect.stringContaining("--regroup"),
    });
    expect(world.backend.batches).toEqual([]);
    expect(names(world)).toEqual(there);
    expect(Object.values(outcomes(await world.sync({ group: before })))).not.toContain("sent");
    expect(codes(await world.sync({ group: after, regroups: true }))).toContain("regrouped");
    expect(names(world)).toEqual(
      expect.arrayContaining(after === "parent" ? ["exp"] : ["exp/train", "exp/validation"]),
    );
    for (const run of world.backend.runs) expect(sentAgain(run)).toBe(0);
    const both = world.backend.runs.reduce((sum, run) => sum + run.points.size, 0);
    expect(both).toBe(16);
    expect(codes(await world.sync({ group: after }))).not.toContain("regrouped");
  },
);

test.each(pairs.filter(({ before, after }) => before !== "parent" && after !== "parent"))(
  "$before, then $after: the runs are the same, and nothing is sent again",
  async ({ before, after }) => {
    const world = keras();
    await world.sync({ group: before });
    await world.sync({ group: after });
    for (const run of ["exp/train", "exp/validation"]) {
      expectPoints(world.backend.run(run), curve("loss", 0, 4));
      expect(sentAgain(world.backend.run(run))).toBe(0);
    }
  },
);

test.each(pairs)("a logdir without sub-runs: $before, then $after", async ({ before, after }) => {
  const world = World.create();
  world.logdir.write("tfevents.1", fileOf(curve("loss", 0, 4)));
  await world.sync({ group: before });
  expect(Object.values(outcomes(await world.sync({ group: after })))).toEqual(["unchanged"]);
});

test("--group parent goes on where a run comes to hold others", async () => {
  const world = World.create();
  world.logdir.write("a/x/tfevents.1", fileOf(curve("loss", 0, 4)));
  await world.sync({ group: "parent" });
  world.logdir.write("a/x/y/tfevents.2", fileOf(curve("loss", 0, 4), 1));
  await expect(world.sync({ group: "parent" })).resolves.toMatchObject({ error: undefined });
});

test("a file of another logdir at the same place was not sent before", async () => {
  const world = keras();
  await world.sync({ group: "run" });
  const other = world.otherLogdir("other");
  other.write("exp/train/events.out.tfevents.1.host.1.v2", fileOf(curve("loss", 0, 4), 7));
  await expect(world.sync({ logdirs: [other.root], group: "parent" })).resolves.toMatchObject({ error: undefined });
});

test("a watch is refused as well, and with --regroup follows", async () => {
  const world = keras();
  await world.sync({ group: "run" });
  const ended = new Watching(world, { group: "parent" }).ended();
  await expect(ended).rejects.toMatchObject({ code: "usage" });
  expect(names(world)).toEqual(["exp/train", "exp/validation"]);
  const watching = new Watching(world, { group: "parent", regroups: true });
  await watching.until(() => expect(names(world)).toContain("exp"));
  await watching.caughtUp();
  expect(watching.messages("info").join("\n")).toContain("exp/train");
});
