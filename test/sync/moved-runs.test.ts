/** Runs whose directories were renamed or moved, or are reached from another root. */
import { cpSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { openDatabase } from "../../src/sqlite.ts";
import { Watching } from "./watched.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  outcomes,
  records,
  scalarsOf,
  sentAgain,
  version,
  World,
} from "./world.ts";

function names(world: World): string[] {
  return world.backend.runs.map(({ name }) => name).sort();
}

/** Each way to come to an end with what is known of the runs: by this machine, or by the destination alone. */
const STATES = [
  ["with its state", () => {}],
  ["without its state", (world: World) => world.loseState()],
] as const;

describe.each(STATES)("%s", (_, loses) => {
  test("a run whose directory was renamed is the same run, renamed there", async () => {
    const world = World.create();
    world.logdir.write("try", fileOf(curve("loss", 0, 10)));
    world.logdir.write("other", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    world.logdir.rename("try", "exp/baseline");
    loses(world);
    const result = await world.sync();
    expect(outcomes(result)["exp/baseline"]).toBe("sent");
    expect(codes(result)).toEqual(["moved"]);
    expect(names(world)).toEqual(["exp/baseline", "other"]);
    world.logdir.append("exp/baseline", records(curve("loss", 10, 12)));
    await world.sync();
    expectPoints(world.backend.run("exp/baseline"), curve("loss", 0, 12));
    expect(sentAgain(world.backend.run("exp/baseline"))).toBe(0);
    expect(outcomes(await world.sync())).toEqual({ "exp/baseline": "unchanged", other: "unchanged" });
  });

  test("it may have grown meanwhile", async () => {
    const world = World.create();
    world.logdir.write("try", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.append("try", records(curve("loss", 10, 12)));
    world.logdir.rename("try", "baseline");
    loses(world);
    expect(scalarsOf(await world.sync())).toMatchObject({ sent: 2 });
    expectPoints(world.backend.run("baseline"), curve("loss", 0, 12));
    expect(world.backend.runs).toHaveLength(1);
  });

  test("another root finds the same runs, and back again", async () => {
    const world = World.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("exp/b", fileOf(curve("loss", 0, 10), 1));
    world.logdir.write("c", fileOf(curve("loss", 0, 10), 2));
    await world.sync();
    loses(world);
    await world.sync({ logdirs: [path.join(world.logdir.root, "exp")] });
    expect(names(world)).toEqual(["a", "b", "c"]);
    loses(world);
    world.logdir.append("exp/a", records(curve("loss", 10, 12)));
    await world.sync();
    expect(names(world)).toEqual(["c", "exp/a", "exp/b"]);
    expectPoints(world.backend.run("exp/a"), curve("loss", 0, 12));
    expect(sentAgain(world.backend.run("exp/a"))).toBe(0);
  });

  test("one that took another's place while it was known by another root is the same from the first one", async () => {
    const world = World.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    world.logdir.write("exp/a", fileOf(curve("accuracy", 0, 10), 1));
    await world.sync({ logdirs: [path.join(world.logdir.root, "exp")] });
    expect(world.backend.runs).toHaveLength(2);
    loses(world);
    const result = await world.sync();
    expect(codes(result)).toEqual(["moved"]);
    expect(world.backend.runs).toHaveLength(2);
  });

  test("the run itself as the root", async () => {
    const world = World.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    await world.sync({ logdirs: [path.join(world.logdir.root, "exp/a")] });
    expect(names(world)).toEqual(["a"]);
    expectPoints(world.backend.run("a"), curve("loss", 0, 10));
  });

  test("a copy is a run of its own while its original is there, whichever grows", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    world.logdir.copyRun("a", "b");
    world.logdir.append("b", records(curve("loss", 10, 12)));
    await world.sync();
    expectPoints(world.backend.run("a"), curve("loss", 0, 10));
    expectPoints(world.backend.run("b"), curve("loss", 0, 12));
  });

  test("of two copies whose original is gone one is it, and the other a run of its own", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    loses(world);
    world.logdir.copyRun("a", "b");
    world.logdir.rename("a", "c");
    await world.sync();
    expect(names(world)).toEqual(["b", "c"]);
    for (const name of ["b", "c"]) expectPoints(world.backend.run(name), curve("loss", 0, 10));
  });

  test("a copy from before another of its files grew is a run of its own, though its original was rewritten", async () => {
    const world = World.create();
    const second = "a/events.out.tfevents.1700000001.host.2.0";
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write(second, fileOf(curve("loss", 10, 20), 1));
    world.logdir.copyRun("a", "kept");
    await world.sync({ wantsRun: (name) => name === "a" });
    world.logdir.append(second, records(curve("loss", 20, 30)));
    await world.sync({ wantsRun: (name) => name === "a" });
    rmSync(path.join(world.logdir.root, "a"), { recursive: true });
    world.logdir.write("a", fileOf(curve("acc", 0, 5), 5));
    loses(world);
    expect(codes(await world.sync()).filter((code) => code !== "replaced")).toEqual([]);
    expectPoints(world.backend.run("kept"), curve("loss", 0, 20));
  });

  test("a copy beside its original is a run of its own, though the original was sent from another root", async () => {
    const world = World.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    await world.sync({ logdirs: [path.join(world.logdir.root, "exp")] });
    world.logdir.copyRun("exp/a", "exp/b");
    loses(world);
    // The copy alone is to be sent: nobody has said yet that the original is called otherwise now.
    await world.sync({ wantsRun: (name) => name === "exp/b" });
    expect(names(world)).toEqual(["a", "exp/b"]);
    await world.sync();
    expect(names(world)).toEqual(["exp/a", "exp/b"]);
  });

  test("a copy from before another file was begun is a run of its own, though its original was rewritten", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.copyRun("a", "kept");
    await world.sync({ wantsRun: (name) => name === "a" });
    world.logdir.write("a/events.out.tfevents.1700000001.host.2.0", fileOf(curve("loss", 10, 20), 1));
    await world.sync({ wantsRun: (name) => name === "a" });
    rmSync(path.join(world.logdir.root, "a"), { recursive: true });
    world.logdir.write("a", fileOf(curve("acc", 0, 5), 5));
    loses(world);
    expect(codes(await world.sync()).filter((code) => code !== "replaced")).toEqual([]);
    expectPoints(world.backend.run("kept"), curve("loss", 0, 10));
  });

  test("a copy from before another machine sent more is a run of its own, though its original is gone", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    const restore = world.keepState();
    world.logdir.copyRun("a", "kept");
    world.logdir.append("a", records(curve("loss", 10, 20)));
    await world.sync({ wantsRun: (name) => name === "a" });
    restore();
    rmSync(path.join(world.logdir.root, "a"), { recursive: true });
    loses(world);
    await world.sync();
    expectPoints(world.backend.run("kept"), curve("loss", 0, 10));
    expectPoints(world.backend.run("a"), curve("loss", 0, 20));
  });

  test("a chain of names: each run goes on under its new one", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    loses(world);
    world.logdir.rename("a", "c");
    world.logdir.rename("b", "a");
    await world.sync();
    expect(names(world)).toEqual(["a", "c"]);
    expectPoints(world.backend.run("c"), curve("loss", 0, 10));
    expectPoints(world.backend.run("a"), curve("loss", 0, 5));
  });

  test("two runs that have exchanged their names", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    loses(world);
    world.logdir.rename("a", "c");
    world.logdir.rename("b", "a");
    world.logdir.rename("c", "b");
    await world.sync({ concurrency: 1 });
    expectPoints(world.backend.run("b"), curve("loss", 0, 10));
    expectPoints(world.backend.run("a"), curve("loss", 0, 5));
    expect(world.backend.runs).toHaveLength(2);
  });

  test("a directory of runs, with what was folded into them", async () => {
    const world = World.create();
    const main = fileOf(curve("loss", 0, 10));
    world.logdir.write("exp/a", main);
    world.logdir.write("exp/a/loss_train", fileOf(curve("loss", 0, 4), 0));
    world.logdir.write("exp/b", fileOf(curve("loss", 0, 10), 7));
    await world.sync();
    const before = names(world);
    world.logdir.rename("exp", "exp2");
    loses(world);
    await world.sync();
    expect(names(world)).toEqual(before.map((name) => name.replace("exp", "exp2")));
    for (const run of world.backend.runs) expect(sentAgain(run)).toBe(0);
  });

  test.each(["parent", "nested", "none"] as const)("under --group %s", async (group) => {
    const world = World.create();
    world.logdir.write("exp/a/train", fileOf(curve("loss", 0, 10)));
    world.logdir.write("exp/a/validation", fileOf(curve("loss", 0, 10), 1));
    world.logdir.write("other/a/train", fileOf(curve("loss", 0, 10), 2));
    await world.sync({ group });
    const before = names(world);
    loses(world);
    world.logdir.rename("exp", "moved");
    await world.sync({ group });
    expect(names(world)).toEqual(before.map((name) => name.replace("exp", "moved")).sort());
    for (const run of world.backend.runs) expect(sentAgain(run)).toBe(0);
  });
});

describe("with its state", () => {
  test("a run that took the place of one that was renamed is another one", async () => {
    const world = World.create();
    world.logdir.write("latest", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.rename("latest", "run_1");
    world.logdir.write("latest", fileOf(curve("loss", 0, 5), 1));
    await world.sync();
    expectPoints(world.backend.run("run_1"), curve("loss", 0, 10));
    expectPoints(world.backend.run("latest"), curve("loss", 0, 5));
    expect(world.backend.runs).toHaveLength(2);
  });

  test("where a run lies is learnt of one that has not changed since a version that did not keep it", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    const database = openDatabase(path.join(world.stateDir, "state.db"), { busyTimeout: 1000 });
    database.exec("UPDATE source_run SET directory = NULL");
    database.close();
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged" });
    const other = world.otherLogdir("other");
    cpSync(path.join(world.logdir.root, "a"), path.join(other.root, "fork"), { recursive: true });
    await world.sync({ logdirs: [other.root] });
    expect(names(world)).toEqual(["a", "fork"]);
  });

  test("a copy in another logdir is a run of its own while the original is where it was", async () => {
    const world = World.create();
    const other = world.otherLogdir("other");
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    cpSync(path.join(world.logdir.root, "a"), path.join(other.root, "b"), { recursive: true });
    await world.sync({ logdirs: [other.root] });
    expect(names(world)).toEqual(["a", "b"]);
  });

  test("hard links are a copy, too", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    mkdirSync(path.join(world.logdir.root, "b"));
    linkSync(world.logdir.path("a"), world.logdir.path("b"));
    await world.sync();
    expect(names(world)).toEqual(["a", "b"]);
    await world.sync({ logdirs: [path.join(world.logdir.root, "b")] });
    expect(names(world)).toEqual(["a", "b"].sort());
  });

  test("a root that is reached by a link is no other", async () => {
    const world = World.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    symlinkSync(path.join(world.logdir.root, "exp"), path.join(world.root, "link"));
    await world.sync({ logdirs: [path.join(world.root, "link")] });
    expect(names(world)).toEqual(["a"]);
  });

  test("a run that is left out by name is not followed, and is still known afterwards", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.rename("a", "b");
    await world.sync({ wantsRun: (name) => name !== "b" });
    expect(names(world)).toEqual(["a"]);
    await world.sync();
    expect(names(world)).toEqual(["b"]);
  });

  test("one that was renamed while its destination was away", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.rename("a", "b");
    world.backend.isAway = true;
    await world.sync();
    world.logdir.rename("b", "c");
    await world.sync();
    world.backend.isAway = false;
    await world.sync();
    expect(names(world)).toEqual(["c"]);
    expect(sentAgain(world.backend.run("c"))).toBe(0);
  });

  test("files that begin alike and go on otherwise are of another run", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.rename("a", "b");
    world.logdir.write("b", Buffer.concat([version(), records(curve("loss", 0, 1)), records(curve("acc", 1, 30))]));
    await world.sync();
    expect(names(world)).toEqual(["a", "b"]);
    expectPoints(world.backend.run("a"), curve("loss", 0, 10));
  });
});

describe("while it is watched", () => {
  test("a run whose directory is renamed goes on under its new name", async () => {
    const world = World.create();
    world.logdir.write("try", fileOf(curve("loss", 0, 10)));
    const watching = new Watching(world);
    await watching.caughtUp();
    await watching.until(() => expect(world.backend.runs).toHaveLength(1));
    world.logdir.rename("try", "exp/baseline");
    await watching.until(() => expect(names(world)).toEqual(["exp/baseline"]));
    world.logdir.append("exp/baseline", records(curve("loss", 10, 20)));
    await watching.until(() => expectPoints(world.backend.run("exp/baseline"), curve("loss", 0, 20)));
    // The name is free for another.
    world.logdir.write("try", fileOf(curve("loss", 0, 3), 1));
    await watching.until(() => expect(names(world)).toEqual(["exp/baseline", "try"]));
    await watching.caughtUp();
    await watching.end();
    expect(watching.messages("error")).toEqual([]);
    expect(sentAgain(world.backend.run("exp/baseline"))).toBe(0);
    expectPoints(world.backend.run("try"), curve("loss", 0, 3));
  });

  // Which of the two is looked at first is up to the events.
  test("two runs that exchange their names go on under them", { repeats: 9 }, async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b", fileOf(curve("loss", 0, 5), 1));
    const watching = new Watching(world);
    await watching.until(() => expect(world.backend.runs).toHaveLength(2));
    await watching.caughtUp();
    world.logdir.rename("a", "c.tmp");
    world.logdir.rename("b", "a");
    world.logdir.rename("c.tmp", "b");
    world.logdir.append("b", records(curve("loss", 10, 12)));
    await watching.until(() => expectPoints(world.backend.run("b"), curve("loss", 0, 12)));
    await watching.until(() => expectPoints(world.backend.run("a"), curve("loss", 0, 5)));
    await watching.end();
    expect(world.backend.runs).toHaveLength(2);
    expect(watching.messages("error")).toEqual([]);
  });

  test("a directory that runs are nested in, too", async () => {
    const world = World.create();
    world.logdir.write("exp/a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("exp/b", fileOf(curve("loss", 0, 10), 1));
    const watching = new Watching(world, { group: "nested" });
    await watching.until(() => expect(names(world)).toEqual(["exp", "exp/a", "exp/b"]));
    await watching.caughtUp();
    world.logdir.rename("exp", "exp2");
    await watching.until(() => expect(names(world)).toEqual(["exp2", "exp2/a", "exp2/b"]));
    await watching.end();
  });

  test("a run whose place another one takes is over", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    const watching = new Watching(world);
    await watching.until(() => expect(world.backend.runs).toHaveLength(1));
    await watching.caughtUp();
    world.logdir.replace("a", fileOf(curve("acc", 0, 10), 1));
    await watching.until(() => expect(world.backend.runs.map(({ status }) => status)).toEqual(["finished", "running"]));
    await watching.end();
  });

  test("many at once, while they grow", async () => {
    const world = World.create();
    const runs = Array.from({ length: 12 }, (_, i) => `exp/run${i}`);
    for (const [i, run] of runs.entries()) world.logdir.write(run, fileOf(curve("loss", 0, 10), i));
    const watching = new Watching(world);
    await watching.until(() => expect(world.backend.runs).toHaveLength(12));
    for (const run of runs) world.logdir.append(run, records(curve("loss", 10, 200)));
    world.logdir.rename("exp", "moved");
    for (const run of runs) world.logdir.append(run.replace("exp", "moved"), records(curve("loss", 200, 300)));
    const moved = runs.map((run) => run.replace("exp", "moved")).sort();
    await watching.until(() => expect(names(world)).toEqual(moved));
    await watching.until(() => {
      for (const run of world.backend.runs) expectPoints(run, curve("loss", 0, 300));
    });
    await watching.end();
    expect(watching.messages("error")).toEqual([]);
  });

  test.each(STATES)("before it begins, %s", async (_, loses) => {
    const world = World.create();
    world.logdir.write("try", fileOf(curve("loss", 0, 10)));
    await world.sync();
    renameSync(path.join(world.logdir.root, "try"), path.join(world.logdir.root, "baseline"));
    loses(world);
    const watching = new Watching(world);
    await watching.until(() => expect(names(world)).toEqual(["baseline"]));
    await watching.end();
    expect(watching.messages("info")).toEqual([expect.stringContaining("baseline was sent before")]);
    expect(sentAgain(world.backend.run("baseline"))).toBe(0);
    rmSync(world.stateDir, { recursive: true });
  });
});
