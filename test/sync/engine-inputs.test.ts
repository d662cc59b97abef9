/** What is given on the command line, and what is reached twice: each run once, under a name that tells it apart. */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { sourcesOf } from "../../src/sync/source/logdirs.ts";
import { Watching } from "./watched.ts";
import { curve, expectPoints, fileOf, outcomes, records, sentAgain, World } from "./world.ts";

const names = (world: World) => world.backend.runs.map(({ name }) => name).sort();

describe("files given one by one, as a shell's * gives them", () => {
  test("are one run if they lie in one directory, which is the directory's when that is given later", async () => {
    const world = World.create();
    const exp = path.join(world.logdir.root, "exp");
    const files = [0, 1, 2].map((n) => {
      world.logdir.write(`exp/events.out.tfevents.${n}`, fileOf(curve(`loss_${n}`, 0, 5), n));
      return path.join(exp, `events.out.tfevents.${n}`);
    });
    const all = [0, 1, 2].flatMap((n) => curve(`loss_${n}`, 0, 5));
    const result = await world.sync({ logdirs: [...files].reverse() });
    expect(result.runs).toHaveLength(1);
    expectPoints(world.backend.run("exp"), all);
    expect(outcomes(await world.sync({ logdirs: [exp] }))).toEqual({ ".": "unchanged" });
    world.loseState();
    await world.sync({ logdirs: files });
    expect(names(world)).toEqual(["exp"]);
    expect(sentAgain(world.backend.run("exp"))).toBe(0);
  });

  test("are one run for a watch, and followed; a new file beside them is not theirs", async () => {
    const world = World.create();
    const files = [0, 1].map((n) => {
      world.logdir.write(`exp/tfevents.${n}`, fileOf(curve(`loss_${n}`, 0, 5), n));
      return path.join(world.logdir.root, "exp", `tfevents.${n}`);
    });
    const watching = new Watching(world, { logdirs: files });
    const both = (to: number) => [...curve("loss_0", 0, to), ...curve("loss_1", 0, 5)];
    await watching.until(() => expectPoints(world.backend.run("exp"), both(5)));
    world.logdir.write("exp/tfevents.9", fileOf(curve("other", 0, 5), 9));
    world.logdir.append("exp/tfevents.0", records(curve("loss_0", 5, 9)));
    await watching.until(() => expectPoints(world.backend.run("exp"), both(9)));
    await watching.caughtUp();
    expect(names(world)).toEqual(["exp"]);
    expectPoints(world.backend.run("exp"), both(9));
  });

  test("with hparams.yaml among them, that is read beside them", async () => {
    const world = World.create();
    world.logdir.write("exp/tfevents.1", fileOf(curve("loss", 0, 5)));
    world.logdir.write("exp/hparams.yaml", Buffer.from("lr: 0.1\n"));
    const given = ["hparams.yaml", "tfevents.1"].map((name) => path.join(world.logdir.root, "exp", name));
    await world.sync({ logdirs: given });
    expect([...world.backend.run("exp").hparams]).toEqual([["lr", 0.1]]);
  });
});

test("a directory and what lies in it are one source, whichever is given first and by whatever path", () => {
  const world = World.create();
  world.logdir.write("exp/tfevents.1", fileOf(curve("loss", 0, 5)));
  world.logdir.write("exp/sub/tfevents.1", fileOf(curve("loss", 0, 5)));
  const { root } = world.logdir;
  symlinkSync(root, path.join(world.root, "link"));
  const [exp, file] = [path.join(root, "exp"), path.join(root, "exp/tfevents.1")];
  for (const given of [
    [root, exp],
    [exp, root],
    [file, root],
    [root, path.join(world.root, "link/exp")],
    [root, `${root}/`, path.relative(process.cwd(), root)],
  ])
    expect(sourcesOf(given)).toEqual([{ path: root, files: [] }]);
  expect(sourcesOf([file, exp])).toEqual([{ path: exp, files: [] }]);
  expect(sourcesOf([exp, `${exp}2`])).toHaveLength(2);
});

describe("logdirs of one name", () => {
  test("are called by as much of their paths as makes them differ, and keep that", async () => {
    const world = World.create();
    const logdirs = ["a/logs", "b/logs"].map((name) => world.otherLogdir(name));
    for (const [n, logdir] of logdirs.entries()) {
      logdir.write("tfevents.1", fileOf(curve("loss", n, n + 5), n));
      logdir.write("train/tfevents.1", fileOf(curve("loss", n, n + 5), 10 + n));
    }
    logdirs[0]?.write("only/tfevents.1", fileOf(curve("loss", 0, 5), 20));
    const result = await world.sync({ logdirs: logdirs.map(({ root }) => root) });
    const told = ["a/logs", "a/logs/train", "b/logs", "b/logs/train", "only"];
    expect(result.runs.map(({ name }) => name).sort()).toEqual(told);
    expect(names(world)).toEqual(told);
    logdirs[1]?.append("tfevents.1", records(curve("loss", 6, 9)));
    await world.sync({ logdirs: [logdirs[1]?.root as string] });
    expect(names(world)).toEqual(told);
    expectPoints(world.backend.run("b/logs"), curve("loss", 1, 9));
  });
});

describe("a directory that is reached twice", () => {
  test("by links to elsewhere is the run that it was, whichever link comes first by name", async () => {
    const world = World.create();
    const big = world.otherLogdir("big");
    for (const n of [7, 8]) {
      big.write(`run_${n}/tfevents.1`, fileOf(curve("loss", 0, n), n));
      symlinkSync(path.join(big.root, `run_${n}`), path.join(world.logdir.root, `run_${n}`));
    }
    const latest = path.join(world.logdir.root, "latest");
    symlinkSync(path.join(big.root, "run_7"), latest);
    await world.sync();
    for (const n of [8, 7]) {
      rmSync(latest);
      symlinkSync(path.join(big.root, `run_${n}`), latest);
      await world.sync();
      expect(names(world)).toEqual(["run_7", "run_8"]);
    }
    // What was sent under a name keeps it.
    symlinkSync(path.join(big.root, "run_9"), path.join(world.logdir.root, "z"));
    big.write("run_9/tfevents.1", fileOf(curve("loss", 0, 9), 9));
    await world.sync();
    symlinkSync(path.join(big.root, "run_9"), path.join(world.logdir.root, "run_9"));
    await world.sync();
    expect(names(world)).toEqual(["run_7", "run_8", "z"]);
  });

  test("latest -> run_7 beside run_7 is one run, also when it leads elsewhere later; alone for --group none", async () => {
    const world = World.create();
    const latest = path.join(world.logdir.root, "latest");
    for (const n of [7, 8]) world.logdir.write(`run_${n}/tfevents.1`, fileOf(curve("loss", 0, n), n));
    for (const n of [7, 8]) {
      rmSync(latest, { force: true });
      symlinkSync(`run_${n}`, latest);
      await world.sync();
      expect(names(world)).toEqual(["run_7", "run_8"]);
    }
    expect(outcomes(await world.sync())).toEqual({ run_7: "unchanged", run_8: "unchanged" });
    const plain = World.create();
    plain.logdir.write("run_7/tfevents.1", fileOf(curve("loss", 0, 7)));
    symlinkSync("run_7", path.join(plain.logdir.root, "latest"));
    await plain.sync({ group: "none" });
    expect(names(plain)).toEqual(["latest", "run_7"]);
  });

  test("a link is told with the run that it leads to, and whether that one is asked for", async () => {
    const world = World.create();
    const { root } = world.logdir;
    for (const n of [7, 8]) world.logdir.write(`run_${n}/tfevents.1`, fileOf(curve("loss", 0, n), n));
    symlinkSync("run_8", path.join(root, "latest"));
    const asked = async (wantsRun: (name: string) => boolean) => (await world.sync({ wantsRun })).links;
    expect(await asked(() => true)).toEqual([{ name: "latest", run: "run_8", isWanted: true }]);
    expect(await asked((name) => name === "latest")).toEqual([{ name: "latest", run: "run_8", isWanted: false }]);
    expect(await asked((name) => name === "run_7")).toEqual([]);
    expect((await world.sync({ group: "none" })).links).toEqual([]);
    // Two links from elsewhere: the one that is asked for is the run.
    const far = world.otherLogdir("far");
    far.write("tfevents.1", fileOf(curve("loss", 0, 3), 9));
    for (const name of ["x", "y"]) symlinkSync(far.root, path.join(root, name));
    expect(await asked((name) => name === "y")).toEqual([]);
    expect(await asked((name) => name === "x" || name === "y")).toEqual([{ name: "y", run: "x", isWanted: true }]);
  });

  test("links from elsewhere to one directory are one run", async () => {
    const world = World.create();
    const far = world.otherLogdir("far");
    far.write("deep/tfevents.1", fileOf(curve("loss", 0, 7)));
    mkdirSync(world.logdir.root, { recursive: true });
    for (const name of ["a", "b"]) symlinkSync(far.root, path.join(world.logdir.root, name));
    await world.sync();
    expect(names(world)).toEqual(["a/deep"]);
  });

  test("is said once by a watch, for each run that the link leads to", async () => {
    const world = World.create();
    const latest = path.join(world.logdir.root, "latest");
    world.logdir.write("run_7/tfevents.1", fileOf(curve("loss", 0, 7), 7));
    world.logdir.write("run_8/tfevents.1", fileOf(curve("loss", 0, 8), 8));
    symlinkSync("run_7", latest);
    const watching = new Watching(world);
    const said = () => watching.events.filter(({ run }) => run === "latest").map(({ message }) => message);
    const about = (run: string) => expect.stringContaining(`a link to ${path.join(world.logdir.root, run)}, `);
    await watching.until(() => expect(said()).toEqual([about("run_7")]));
    world.logdir.append("run_7/tfevents.1", records(curve("loss", 7, 9)));
    await watching.until(() => expectPoints(world.backend.run("run_7"), curve("loss", 0, 9)));
    rmSync(latest);
    symlinkSync("run_8", latest);
    await watching.until(() => expect(said()).toEqual([about("run_7"), about("run_8")]));
    await watching.caughtUp();
  });

  test.each([true, false])(
    "is one run for a watch, and is when the link leads elsewhere; events: %s",
    async (events) => {
      const world = World.create();
      const latest = path.join(world.logdir.root, "latest");
      world.logdir.write("run_7/tfevents.1", fileOf(curve("loss", 0, 7), 7));
      symlinkSync("run_7", latest);
      const watching = new Watching(world, { events });
      await watching.until(() => expectPoints(world.backend.run("run_7"), curve("loss", 0, 7)));
      world.logdir.write("run_8/tfevents.1", fileOf(curve("loss", 0, 8), 8));
      rmSync(latest);
      symlinkSync("run_8", latest);
      await watching.until(() => expectPoints(world.backend.run("run_8"), curve("loss", 0, 8)));
      world.logdir.append("run_8/tfevents.1", records(curve("loss", 8, 9)));
      await watching.until(() => expectPoints(world.backend.run("run_8"), curve("loss", 0, 9)));
      await watching.caughtUp();
      expect(names(world)).toEqual(["run_7", "run_8"]);
    },
  );
});
