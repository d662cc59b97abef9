/** Which of TensorBoard's runs become one run of the destination, and what their tags are called there. */
import { appendFileSync, cpSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import type { GroupMode } from "../../src/sync/source/groups.ts";
import { namesFilter } from "../../src/sync/transform/globs.ts";
import { eventFile, experimentEvent, hparamsEvent, record, sessionStart } from "../support/event-writer.ts";
import { pointText } from "../support/memory-backend.ts";
import { Watching } from "./watched.ts";
import { curve, expectPoints, fileOf, outcomes, records, sentAgain, version, World } from "./world.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const fixture = (name: string) => [path.join(FIXTURES, name, "runs")];
const names = (world: World) => world.backend.runs.map(({ name }) => name).sort();
const tags = (world: World, run: string) =>
  [...new Set([...world.backend.run(run).points.keys()].map((point) => point.split(" ", 1)[0]))].sort();
const renamed = (tag: string, points: ReturnType<typeof curve>) => points.map((point) => ({ ...point, tag }));

/** Names as torch gives them: the files of one process differ in their time and number only. */
const file = (run: string, number: number, process = 10) =>
  `${run}/events.out.tfevents.170000000${number}.host.${process}.${number}`;

test("torch: add_scalars and the one add_hparams are a part of the run; several sessions are trials", async () => {
  const world = World.create();
  const result = await world.sync({ logdirs: fixture("torch") });
  expect(names(world).filter((name) => /scalars|hparams/.test(name))).toEqual([
    "hparams/by time",
    "hparams/by time/1700000010.0",
    "hparams/by time/1700000010.5",
    "hparams/named",
    "hparams/same directory",
    "scalars",
  ]);
  expect(tags(world, "scalars")).toEqual(expect.arrayContaining(["losses/train", "losses/val"]));
  expect(result.runs.find(({ name }) => name === "scalars")?.parts).toEqual([
    "scalars/losses_train",
    "scalars/losses_val",
  ]);
});

test("torch: several sessions stay trials also where a sync ended after the first of them", async () => {
  const world = World.create();
  const stop = new AbortController();
  const first = "hparams/by time/1700000010.0";
  const onRun = ({ name }: { readonly name: string }) => name === first && stop.abort();
  await world.sync({ logdirs: fixture("torch"), concurrency: 1, signal: stop.signal, onRun });
  expect(names(world)).toContain(first);
  expect(names(world)).not.toContain("hparams/by time/1700000010.5");
  await world.sync({ logdirs: fixture("torch") });
  expect(names(world)).toContain("hparams/by time/1700000010.5");
});

test("tensorboardX: add_scalars makes directories inside each other", async () => {
  const world = World.create();
  await world.sync({ logdirs: fixture("tensorboardx") });
  expect(names(world)).not.toContain("all/losses/a");
  expect(tags(world, "all")).toEqual(expect.arrayContaining(["losses/a", "losses/b"]));
});

test("Keras: each trial of the hparams plugin stays a run; train and validation are one with --group parent", async () => {
  const world = World.create();
  await world.sync({ logdirs: fixture("tf2") });
  expect(names(world)).toEqual(expect.arrayContaining(["hparams/trial-0", "hparams/trial-1", "keras/train"]));
  const joined = World.create();
  await joined.sync({ logdirs: fixture("tf2"), group: "parent" });
  expect(tags(joined, "keras")).toEqual(
    expect.arrayContaining(["train/epoch_loss", "validation/epoch_loss", "validation/evaluation_loss_vs_iterations"]),
  );
});

test("nothing is folded with --group none", async () => {
  const world = World.create();
  await world.sync({ logdirs: fixture("torch"), group: "none" });
  expect(names(world)).toEqual(expect.arrayContaining(["scalars/losses_train", "hparams/named/trial"]));
});

test("a run of the user's is not folded for its name alone", async () => {
  const world = World.create();
  world.logdir.write(file("exp", 0), fileOf(curve("acc", 0, 3)));
  world.logdir.write(file("exp/loss_a", 1, 11), fileOf(curve("loss", 0, 3), 1));
  world.logdir.write(file("exp/other", 2), fileOf(curve("loss", 0, 3), 2));
  await world.sync();
  expect(names(world)).toEqual(["exp", "exp/loss_a", "exp/other"]);
});

test("what is folded grows, is sent once, and costs nothing when nothing is new, also without the state", async () => {
  const world = World.create();
  world.logdir.write(file("exp", 0), fileOf(curve("acc", 0, 3)));
  world.logdir.write(file("exp/loss_a", 1), version(1));
  await world.sync();
  expect(names(world)).toEqual(["exp"]);
  world.logdir.append(file("exp/loss_a", 1), records(curve("loss", 0, 5)));
  await world.sync();
  world.logdir.append(file("exp/loss_a", 1), records(curve("loss", 5, 9)));
  world.loseState();
  await world.sync();
  await world.sync();
  expect(world.backend.calls).toEqual([]);
  expectPoints(world.backend.run("exp"), [...curve("acc", 0, 3), ...renamed("loss/a", curve("loss", 0, 9))]);
  expect(sentAgain(world.backend.run("exp"))).toBe(0);
});

test("two members never share a name, whatever is lost", async () => {
  const world = World.create();
  world.logdir.write(file("exp", 0), fileOf(curve("loss/a", 0, 3)));
  world.logdir.write(file("exp/loss_a", 1), fileOf(curve("loss", 3, 6), 1));
  const first = await world.sync();
  expect(first.runs[0]?.notes.map(({ code }) => code)).toEqual(["renamed"]);
  const expected = [...curve("loss/a", 0, 3), ...renamed("loss_a/loss", curve("loss", 3, 6))];
  expectPoints(world.backend.run("exp"), expected);
  world.loseState();
  world.logdir.append(file("exp/loss_a", 1), records(curve("loss", 6, 8)));
  world.logdir.append(file("exp", 0), records(curve("loss/a", 3, 4)));
  await world.sync();
  expectPoints(world.backend.run("exp"), [...curve("loss/a", 0, 4), ...renamed("loss_a/loss", curve("loss", 3, 8))]);
});

test("a restart of one member makes nothing of the others obsolete", async () => {
  const world = World.create();
  const restart = eventFile(sessionStart(2));
  world.logdir.write(file("exp/train", 0), fileOf(curve("loss", 0, 4)));
  world.logdir.write(
    file("exp/validation", 1),
    Buffer.concat([fileOf(curve("loss", 0, 4), 1), restart, records(curve("loss", 2, 3))]),
  );
  await world.sync({ group: "parent" });
  expectPoints(world.backend.run("exp"), [
    ...renamed("train/loss", curve("loss", 0, 4)),
    ...renamed("validation/loss", curve("loss", 0, 3)),
  ]);
});

describe("a trial's hyperparameters in the directory of its train and validation, with --group parent", () => {
  const PARTS = {
    [file("fit/a", 0)]: eventFile(hparamsEvent({ lr: 0.5 })),
    [file("fit/a/train", 1)]: fileOf(curve("loss", 0, 4), 1),
    [file("fit/a/validation", 2)]: fileOf(curve("loss", 0, 4), 2),
    [file("fit/b/train", 3, 11)]: fileOf(curve("loss", 0, 4), 3),
  };
  const orders = Object.keys(PARTS).map((_, first, all) => [...all.slice(first), ...all.slice(0, first)]);
  const expectTrials = (world: World) => {
    expect(names(world)).toEqual(["fit/a", "fit/b"]);
    const parts = ["train", "validation"].flatMap((part) => renamed(`${part}/loss`, curve("loss", 0, 4)));
    expectPoints(world.backend.run("fit/a"), parts);
    expect(world.backend.run("fit/a").params).toEqual(new Map([["lr", 0.5]]));
    expectPoints(world.backend.run("fit/b"), renamed("train/loss", curve("loss", 0, 4)));
  };

  test.each(orders)("a watch that sees %s first makes the runs of a sync", async (...order) => {
    const world = World.create();
    const watching = new Watching(world, { group: "parent" });
    for (const name of order) {
      world.logdir.write(name, PARTS[name] as Buffer);
      const size = [...order.slice(0, order.indexOf(name) + 1)].reduce((sum, each) => sum + PARTS[each]!.length, 0);
      await watching.until(() => expect(watching.status).toMatchObject({ isCaughtUp: true }));
      await watching.until(() => expect(watching.status.bytesSent).toBe(size));
    }
    await watching.end();
    expectTrials(world);
    await world.sync({ group: "parent" });
    expect(world.backend.batches).toEqual([]);
    expectTrials(world);
  });

  test("a sync before and after the training began", async () => {
    const world = World.create();
    for (const [name, bytes] of Object.entries(PARTS)) {
      world.logdir.write(name, bytes);
      await world.sync({ group: "parent" });
    }
    expectTrials(world);
  });

  test("a file that holds nothing yet beside a run of the same directory that was sent", async () => {
    const world = World.create();
    world.logdir.write(file("fit/b", 3, 11), fileOf(curve("loss", 0, 4), 3));
    world.logdir.write(file("fit/a", 0), version(0));
    const watching = new Watching(world, { group: "parent" });
    await watching.until(() => expectPoints(world.backend.run("fit"), renamed("b/loss", curve("loss", 0, 4))));
    await watching.caughtUp();
    world.logdir.append(file("fit/a", 0), record(hparamsEvent({ lr: 0.5 })));
    await watching.until(() => expect(names(world)).toEqual(["fit", "fit/a"]));
    world.logdir.write(file("fit/a/train", 1), fileOf(curve("loss", 0, 4), 1));
    await watching.until(() => expectPoints(world.backend.run("fit/a"), renamed("train/loss", curve("loss", 0, 4))));
    expect(world.backend.run("fit").params).toEqual(new Map());
  });
});

test("runs directly below the logdir are one with --group parent, named as the logdir", async () => {
  const world = World.create();
  world.logdir.write(file("train", 0), fileOf(curve("loss", 0, 2)));
  world.logdir.write(file("validation", 1), fileOf(curve("loss", 0, 2), 1));
  await world.sync({ group: "parent" });
  expect(names(world)).toEqual(["runs"]);
  expect(tags(world, "runs")).toEqual(["train/loss", "validation/loss"]);
});

test("directories above become parent runs with --group nested, and stay those", async () => {
  const world = World.create();
  const write = (run: string, number: number) =>
    world.logdir.write(file(run, number, number), fileOf(curve("loss", 0, 2), number));
  write("a/x/1", 1);
  write("a/x/2", 2);
  write("a/y", 3);
  write("b", 4);
  const sync = () => world.sync({ group: "nested", concurrency: 2 });
  await sync();
  const tree = () => world.backend.runs.map(({ name, parentId }) => [name, parentId && nameOf(parentId)]).sort();
  const nameOf = (id: string) => world.backend.runs.find((run) => run.id === id)?.name;
  const expected = [
    ["a", undefined],
    ["a/x", "a"],
    ["a/x/1", "a/x"],
    ["a/x/2", "a/x"],
    ["a/y", "a"],
    ["b", undefined],
  ];
  expect(tree()).toEqual(expected);
  expect(Object.values(outcomes(await sync()))).toEqual(expected.map(() => "unchanged"));
  expect(world.backend.calls).toEqual([]);
  world.loseState();
  write("a/x/3", 5);
  await sync();
  expect(tree()).toEqual([...expected.slice(0, 4), ["a/x/3", "a/x"], ...expected.slice(4)]);
});

test("where the parent cannot be opened, what is to be nested in it says so and waits", async () => {
  const world = World.create();
  world.logdir.write(file("a/x", 1), fileOf(curve("loss", 0, 2)));
  world.backend.fault = ({ run, method }) =>
    run === "a" && method === "open" ? { when: "before", error: rejected } : undefined;
  const { TraceletError } = await import("../../src/errors.ts");
  const rejected = new TraceletError("rejected", "no");
  const result = await world.sync({ group: "nested" });
  expect(result.runs.map(({ name, error }) => [name, error?.code])).toEqual([
    ["a", "rejected"],
    ["a/x", "nested"],
  ]);
  world.backend.fault = () => undefined;
  await world.sync({ group: "nested" });
  expect([...world.backend.run("a/x").points.keys()]).toEqual(
    curve("loss", 0, 2).map(({ tag, step, wallTime, value }) => pointText(tag, step, wallTime, value)),
  );
});

test.each<GroupMode>(["run", "parent", "nested", "none"])("no value is lost or doubled: %s", async (group) => {
  for (const name of ["torch", "tensorboardx", "tf2", "lightning"]) {
    const world = World.create();
    const result = await world.sync({ logdirs: fixture(name), group, restarts: "keep" });
    const sent = result.runs.reduce((sum, { tally }) => sum + (tally.kinds.get("scalars")?.sent ?? 0), 0);
    const there = world.backend.runs.reduce((sum, run) => sum + run.points.size + sentAgain(run), 0);
    const alone = World.create();
    const whole = await alone.sync({ logdirs: fixture(name), group: "none", restarts: "keep" });
    const expected = whole.runs.reduce((sum, { tally }) => sum + (tally.kinds.get("scalars")?.read ?? 0), 0);
    expect([name, sent, there]).toEqual([name, expected, expected]);
  }
});

test("nested: what lies in a logdir that is a run itself lies below that run", async () => {
  const world = World.create();
  const runs = path.join(FIXTURES, "optuna-callback/runs");
  cpSync(runs, path.join(world.root, "runs"), { recursive: true });
  await world.sync({ group: "nested" });
  const { id } = world.backend.run("runs");
  expect(world.backend.runs.map(({ name, parentId }) => [name, parentId])).toEqual(
    expect.arrayContaining([["runs", undefined], ...[0, 1, 2].map((n) => [`trial-${n}`, id])]),
  );
  expect(Object.fromEntries(world.backend.run("trial-1").params)).toEqual({
    ...{ max_depth: 5, class_weight: "None", bootstrap: true },
  });
});

test("Optuna: the logdir, which holds nothing but the description of the study, is no run beside its trials", async () => {
  const world = World.create();
  const runs = path.join(FIXTURES, "optuna-callback/runs");
  cpSync(runs, path.join(world.root, "runs"), { recursive: true });
  const result = await world.sync();
  expect(names(world)).toEqual(["trial-0", "trial-1", "trial-2"]);
  const params = ["trial-0", "trial-1", "trial-2"].map((name) => Object.fromEntries(world.backend.run(name).params));
  // What `expected.json` has of the sessions.
  expect(params).toEqual([
    { max_depth: 3, class_weight: "balanced", bootstrap: false },
    { max_depth: 5, class_weight: "None", bootstrap: true },
    { max_depth: -1, class_weight: "None", bootstrap: false },
  ]);
  expect(outcomes(result)).toMatchObject({ ".": "empty", "trial-0": "sent" });
  const root = result.runs.find(({ name }) => name === ".")?.tally.kinds.get("hparams");
  expect(root).toMatchObject({ read: 1, skipped: new Map([["experiment-level", 1]]) });
  expect(outcomes(await world.sync())).toMatchObject({ ".": "empty", "trial-0": "unchanged" });
  // Once it has values of its own it is one, and all of it is sent.
  const [name] = readdirSync(runs).filter((each) => each.includes("tfevents"));
  appendFileSync(path.join(world.root, "runs", name as string), records(curve("best", 0, 3)));
  await world.sync();
  expectPoints(world.backend.run("runs"), curve("best", 0, 3));
  expect([...world.backend.run("runs").data.keys()]).toHaveLength(1);
  const alone = World.create();
  await alone.sync({ logdirs: [runs], group: "none" });
  expect(names(alone)).toEqual(["runs", "trial-0", "trial-1", "trial-2"]);
});

test("transformers: hyperparameters of several trials in one directory are said to lie apart from the metrics, once", async () => {
  const world = World.create();
  const host = "Apr01_10-00-00_host";
  const apart = (result: SyncResult) =>
    result.runs.flatMap(({ name, notes }) => notes.flatMap(({ code }) => (code === "params-apart" ? [name] : [])));
  const trials = ["1795746345.4572825", "1795746346.5603943"].map((name) => `${host}/${name}`);
  expect(apart(await world.sync({ logdirs: fixture("hf-pruned-trials") }))).toEqual(trials);
  expect(apart(await world.sync({ logdirs: fixture("hf-pruned-trials") }))).toEqual([]);
  expect(names(world)).toEqual([host, ...trials]);
  expect(trials.map((name) => world.backend.run(name).params.get("learning_rate"))).toEqual([0.001, 1e-5]);
  // torch's own add_hparams writes the trial's metrics beside them.
  expect(apart(await World.create().sync({ logdirs: fixture("torch") }))).toEqual([]);
  expect(apart(await World.create().sync({ logdirs: fixture("hf-pruned-trials"), group: "nested" }))).toEqual([]);
});

describe("a filter on runs", () => {
  /** As torch's add_scalars and add_hparams write a run, beside another one. */
  function torch(): World {
    const world = World.create();
    world.logdir.write(file("first", 0), fileOf(curve("acc", 0, 3)));
    world.logdir.write(file("first/pair_a", 1), fileOf(curve("pair", 0, 3), 1));
    world.logdir.write(file("first/pair_b", 2), fileOf(curve("pair", 3, 6), 2));
    world.logdir.write(file("first/1700000000.5", 3), Buffer.concat([version(), hparams]));
    world.logdir.write(file("second", 4, 11), fileOf(curve("acc", 0, 3), 4));
    return world;
  }
  const hparams = eventFile(experimentEvent(), hparamsEvent({ lr: 0.1 }));
  const whole = [
    ...curve("acc", 0, 3),
    ...renamed("pair/a", curve("pair", 0, 3)),
    ...renamed("pair/b", curve("pair", 3, 6)),
  ];
  const globs = (include: readonly string[], exclude: readonly string[]) => namesFilter(include, exclude, false);

  test.each([
    { include: [], exclude: ["first"], there: ["second"] },
    { include: [], exclude: ["first*"], there: ["second"] },
    { include: [], exclude: ["*"], there: [] },
    { include: ["second"], exclude: [], there: ["second"] },
    { include: ["first"], exclude: [], there: ["first"] },
    { include: ["first/*"], exclude: [], there: [] },
    { include: [], exclude: ["first/*"], there: ["first", "second"] },
  ])("is one on whole runs: include $include, exclude $exclude", async ({ include, exclude, there }) => {
    const world = torch();
    const result = await world.sync({ wantsRun: globs(include, exclude) });
    expect(names(world)).toEqual(there);
    expect(result.excludedRuns).toBe(2 - there.length);
    if (there.includes("first")) expectPoints(world.backend.run("first"), whole);
    // Without it, all is as if it had never been given.
    await world.sync();
    expect(names(world)).toEqual(["first", "second"]);
    expectPoints(world.backend.run("first"), whole);
    for (const run of world.backend.runs) expect(sentAgain(run)).toBe(0);
    // Nothing was sent in another grouping.
    expect(outcomes(await world.sync({ wantsRun: globs(include, exclude) }))).toEqual(
      Object.fromEntries(there.map((name) => [name, "unchanged"])),
    );
  });

  test("is the same for a watch, where what an excluded run is a part of is decided later", async () => {
    const world = torch();
    world.logdir.write(file("first/late_a", 5), version());
    world.logdir.write(file("second/late_a", 6, 11), version());
    const watching = new Watching(world, { wantsRun: globs(["first"], []) });
    await watching.until(() => expectPoints(world.backend.run("first"), whole));
    world.logdir.append(file("second/late_a", 6, 11), records(curve("late", 0, 2)));
    world.logdir.append(file("first/late_a", 5), records(curve("late", 0, 2)));
    const grown = [...whole, ...renamed("late/a", curve("late", 0, 2))];
    await watching.until(() => expectPoints(world.backend.run("first"), grown));
    await watching.end();
    expect(names(world)).toEqual(["first"]);
    await world.sync();
    expect(names(world)).toEqual(["first", "second"]);
    expect(tags(world, "second")).toEqual(["acc", "late/a"]);
  });

  test("with --group parent, goes by the directory that is the run, and by the runs in it", async () => {
    const world = World.create();
    for (const [i, run] of ["a/train", "a/validation", "b/train"].entries())
      world.logdir.write(file(run, i, 20 + i), fileOf(curve("loss", 0, 3), i));
    await world.sync({ group: "parent", wantsRun: globs(["a"], []) });
    expect(names(world)).toEqual(["a"]);
    expect(tags(world, "a")).toEqual(["train/loss", "validation/loss"]);
    await world.sync({ group: "parent", wantsRun: globs(["b/*", "c"], ["a"]) });
    expect(names(world)).toEqual(["a", "b"]);
    expect(tags(world, "b")).toEqual(["train/loss"]);
    await world.sync({ group: "parent" });
    expect(names(world)).toEqual(["a", "b"]);
  });

  test("with --group logdir, goes by TensorBoard's runs, with what belongs to them", async () => {
    const world = torch();
    await world.sync({ group: "logdir", wantsRun: globs([], ["first"]) });
    expect(names(world)).toHaveLength(1);
    expect(tags(world, names(world)[0] as string)).toEqual(["second/acc"]);
    await world.sync({ group: "logdir" });
    expect(names(world)).toHaveLength(1);
    expect(tags(world, names(world)[0] as string)).toEqual(["first/acc", "first/pair/a", "first/pair/b", "second/acc"]);
  });

  test("with --group nested, leaves out the values of a run that a wanted one is nested in", async () => {
    const world = World.create();
    world.logdir.write(file("sweep", 0), fileOf(curve("best", 0, 3)));
    world.logdir.write(file("sweep/a", 1, 11), fileOf(curve("loss", 0, 3), 1));
    world.logdir.write(file("sweep/b", 2, 12), fileOf(curve("loss", 0, 3), 2));
    await world.sync({ group: "nested", wantsRun: globs(["sweep/a"], []) });
    expect(names(world)).toEqual(["sweep", "sweep/a"]);
    expect(world.backend.run("sweep").points.size).toBe(0);
    await world.sync({ group: "nested" });
    expect(names(world)).toEqual(["sweep", "sweep/a", "sweep/b"]);
    expectPoints(world.backend.run("sweep"), curve("best", 0, 3));
    world.logdir.append(file("sweep", 0), records(curve("best", 3, 6)));
    world.logdir.append(file("sweep/a", 1, 11), records(curve("loss", 3, 6)));
    await world.sync({ group: "nested", wantsRun: globs(["sweep/a"], []) });
    expect(names(world)).toEqual(["sweep", "sweep/a", "sweep/b"]);
    expectPoints(world.backend.run("sweep"), curve("best", 0, 3));
    expectPoints(world.backend.run("sweep/a"), curve("loss", 0, 6));
    await world.sync({ group: "nested" });
    expect(names(world)).toEqual(["sweep", "sweep/a", "sweep/b"]);
    expectPoints(world.backend.run("sweep"), curve("best", 0, 6));
    for (const run of world.backend.runs) expect(sentAgain(run)).toBe(0);
  });

  test("that an earlier version took for one on parts: a note names the way out, --regroup takes it, once", async () => {
    const world = torch();
    // As that version sent them.
    await world.sync({ group: "none", wantsRun: globs([], ["first"]) });
    expect(names(world)).toEqual(["first/1700000000.5", "first/pair_a", "first/pair_b", "second"]);
    const before = await world.sync();
    expectPoints(world.backend.run("first"), curve("acc", 0, 3));
    const apart = before.runs.flatMap(({ name, notes }) =>
      notes.filter(({ code }) => code === "apart").map(({ message }) => ({ name, message })),
    );
    expect(apart.map(({ name }) => name).sort()).toEqual(["first/1700000000.5", "first/pair_a", "first/pair_b"]);
    for (const { message } of apart) expect(message).toContain("--regroup");
    await world.sync({ regroups: true });
    expectPoints(world.backend.run("first"), whole);
    world.logdir.append(file("first/pair_a", 1), records(curve("pair", 6, 8)));
    const after = await world.sync();
    expect(outcomes(after)).toEqual({ first: "sent", second: "unchanged" });
    expect(after.runs.flatMap(({ notes }) => notes)).toEqual([]);
    expectPoints(world.backend.run("first"), [...whole, ...renamed("pair/a", curve("pair", 6, 8))]);
    expectPoints(world.backend.run("first/pair_a"), curve("pair", 0, 3));
  });
});
