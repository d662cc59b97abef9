/** All runs of all logdirs as one run, and only the files that were begun since a time. */
import { rmSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { TraceletError } from "../../src/errors.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import { WALL_TIME } from "../support/event-writer.ts";
import { Watching } from "./watched.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  outcomes,
  type Point,
  records,
  sentAgain,
  version,
  World,
} from "./world.ts";

const SESSION = { group: "logdir" } as const satisfies Partial<SyncOptions>;
/** @param seconds after the time of the files' first records */
const since = (seconds: number) => ({ ...SESSION, since: (WALL_TIME + seconds) * 1000 });
const renamed = (tag: string, points: readonly Point[]) => points.map((point) => ({ ...point, tag }));
const theRun = ({ backend }: World) => {
  expect(backend.runs).toHaveLength(1);
  return backend.runs[0] as World["backend"]["runs"][number];
};

describe("--group logdir", () => {
  test("is one run; tags keep their names in the logdir itself and in directories that a writer has named", async () => {
    const world = World.create();
    const places = {
      ".": "manual",
      "Nov27_15-12-02_host/tfevents.1": "loss",
      "Nov27_15-12-02_host/losses_total": "losses",
      "Ноя27_15-12-03_host-comment": "val_loss",
      "lightning_logs/version_0": "train_loss",
      "train/Nov27_15-12-02_host": "lr",
      train: "Loss",
      "deep/validation": "Loss",
      "Nov27 15-12-02": "other",
    };
    let time = 0;
    for (const [place, tag] of Object.entries(places)) world.logdir.write(place, fileOf(curve(tag, 0, 3), time++));
    for (const outcome of ["sent", "unchanged"]) expect(outcomes(await world.sync(SESSION))).toEqual({ ".": outcome });
    const tags = [
      "manual",
      "loss",
      "losses_total/losses",
      "val_loss",
      "train_loss",
      "lr",
      "train/Loss",
      "deep/validation/Loss",
    ];
    expectPoints(
      theRun(world),
      [...tags, "Nov27 15-12-02/other"].flatMap((tag) => curve(tag, 0, 3)),
    );
  });

  test("and in directories that are called as the run is", async () => {
    const world = World.create();
    const places = ["sweep/1", "sweep/1/eval", "sweep/10", "sweep"];
    for (const [n, place] of places.entries()) world.logdir.write(place, fileOf(curve(`tag${n}`, 0, 3), n));
    const session = { ...SESSION, runName: "sweep/1" };
    await world.sync(session);
    world.loseState();
    await world.sync(session);
    expectPoints(
      theRun(world),
      ["tag0", "eval/tag1", "sweep/10/tag2", "sweep/tag3"].flatMap((tag) => curve(tag, 0, 3)),
    );
  });

  test("several files of the logdir itself are of one member", async () => {
    const world = World.create();
    world.logdir.write("events.out.tfevents.1.host.1.0", fileOf(curve("loss", 0, 3), 0));
    world.logdir.write(
      "events.out.tfevents.1.host.1.1.tracelet",
      fileOf([...curve("acc", 0, 3), ...curve("loss", 3, 5)], 1),
    );
    await world.sync(SESSION);
    expectPoints(theRun(world), [...curve("loss", 0, 5), ...curve("acc", 0, 3)]);
  });

  test("folds what add_scalars makes, as ever", async () => {
    const world = World.create();
    const file = (run: string, n: number) => `${run}/events.out.tfevents.170000000${n}.host.10.${n}`;
    const run = "Nov27_15-12-02_host";
    world.logdir.write(file(run, 0), fileOf(curve("loss", 0, 3), 0));
    world.logdir.write(file(`${run}/both_train`, 1), fileOf(curve("both", 0, 3), 1));
    await world.sync(SESSION);
    expectPoints(theRun(world), [...curve("loss", 0, 3), ...curve("both/train", 0, 3)]);
  });

  test("several logdirs are one run, whichever of them are there already; a name that two have is one's", async () => {
    const world = World.create();
    const other = world.otherLogdir("lightning_logs");
    const both = { ...SESSION, logdirs: [world.logdir.root, other.root] };
    rmSync(other.root, { recursive: true, force: true });
    world.logdir.write("version_0", fileOf(curve("loss", 0, 3)));
    const watching = new Watching(world, both);
    await watching.until(() => expectPoints(theRun(world), curve("loss", 0, 3)));
    other.write("version_0", fileOf([...curve("loss", 0, 4), ...curve("acc", 0, 2)], 1));
    const all = [...curve("loss", 0, 3), ...curve("lightning_logs/version_0/loss", 0, 4), ...curve("acc", 0, 2)];
    await watching.until(() => expectPoints(theRun(world), all));
    world.logdir.append("version_0", records(curve("loss", 3, 5)));
    other.append("version_0", records(curve("loss", 4, 6)));
    const more = [...all, ...curve("loss", 3, 5), ...curve("lightning_logs/version_0/loss", 4, 6)];
    await watching.until(() => expectPoints(theRun(world), more));
    await watching.end();
    expect(outcomes(await world.sync(both))).toEqual({ [path.basename(world.root)]: "sent" });
    expectPoints(theRun(world), more);
    expect(sentAgain(theRun(world))).toBe(0);
    expect(theRun(world).status).toBe("finished");
  });

  test("a logdir that is not there is none of a session's, as long as another is", async () => {
    const world = World.create();
    const missing = path.join(world.root, "missing");
    world.logdir.write("version_0", fileOf(curve("loss", 0, 3)));
    await world.sync({ ...SESSION, logdirs: [world.logdir.root, missing] });
    expectPoints(theRun(world), curve("loss", 0, 3));
    await expect(world.sync({ logdirs: [world.logdir.root, missing] })).rejects.toMatchObject({ code: "logdir" });
    await expect(world.sync({ ...SESSION, logdirs: [missing] })).rejects.toMatchObject({ code: "logdir" });
  });

  test("grows: members that appear while it is followed are of the run, and no point is sent twice", async () => {
    const world = World.create();
    let watching = new Watching(world, SESSION);
    const points: Point[] = [];
    for (let n = 0; n < 6; n++) {
      world.logdir.write(`part${n}`, fileOf(curve("loss", 0, 5), n));
      points.push(...renamed(`part${n}/loss`, curve("loss", 0, 5)));
      await watching.until(() => expectPoints(theRun(world), points));
      world.logdir.append("part0", records(curve("loss", 5 + n, 6 + n)));
      points.push(...renamed("part0/loss", curve("loss", 5 + n, 6 + n)));
      await watching.until(() => expectPoints(theRun(world), points));
      if (n % 2 === 0) continue;
      await watching.end();
      if (n === 3) world.loseState();
      watching = new Watching(world, SESSION);
    }
    await watching.end();
    expect(outcomes(await world.sync(SESSION))).toEqual({ ".": "sent" });
    world.loseState();
    await world.sync(SESSION);
    expectPoints(theRun(world), points);
    expect([sentAgain(theRun(world)), theRun(world).status]).toEqual([0, "finished"]);
  });

  test.each([true, false])(
    "a name that two members have stays whose it was first, also without the state; lost: %s",
    async (isLost) => {
      const world = World.create();
      const [early, late] = ["Nov27_15-12-01_host", "Nov27_15-12-02_host"];
      world.logdir.write(late, fileOf(curve("loss", 0, 3), 2));
      await world.sync(SESSION);
      // It is read before the other from now on.
      world.logdir.write(early, fileOf([...curve("loss", 0, 4), ...curve("acc", 0, 2)], 1));
      world.logdir.append(late, records(curve("acc", 0, 3)));
      const renamed = await world.sync(SESSION);
      expect(codes(renamed)).toEqual(["renamed", "renamed"]);
      const points = [
        ...[...curve("loss", 0, 3), ...curve("acc", 0, 2)],
        ...[...curve(`${early}/loss`, 0, 4), ...curve(`${late}/acc`, 0, 3)],
      ];
      expectPoints(theRun(world), points);
      for (let step = 5; step < 9; step++) {
        if (isLost) world.loseState();
        for (const each of [early, late])
          world.logdir.append(each, records([...curve("loss", step, step + 1), ...curve("acc", step, step + 1)]));
        for (const tag of ["loss", "acc", `${early}/loss`, `${late}/acc`]) points.push(...curve(tag, step, step + 1));
        await world.sync(SESSION);
        expectPoints(theRun(world), points);
      }
      expect(sentAgain(theRun(world))).toBe(0);
    },
  );

  test("so does the name of a tag that the logdir's own files had before there was another member", async () => {
    const world = World.create();
    world.logdir.write(".", fileOf(curve("loss", 0, 3)));
    await world.sync(SESSION);
    world.logdir.write("Nov27_15-12-01_host", fileOf(curve("loss", 0, 4), 1));
    await world.sync(SESSION);
    expectPoints(theRun(world), [...curve("loss", 0, 3), ...curve("Nov27_15-12-01_host/loss", 0, 4)]);
  });

  test("what was sent in another grouping is not sent again unless that is asked for", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 3)));
    await world.sync();
    for (const options of [SESSION, since(-10)]) {
      await expect(world.sync(options)).rejects.toMatchObject({ code: "usage" });
    }
    await world.sync({ ...since(-10), regroups: true });
    await expect(world.sync({ group: "nested" })).resolves.toBeDefined();
    const other = World.create();
    other.logdir.write("a", fileOf(curve("loss", 0, 3)));
    await other.sync(since(-10));
    for (const group of ["run", "none", "parent", "logdir"] as const)
      await expect(other.sync({ group })).rejects.toMatchObject({ code: "usage" });
  });
});

test("who would send a session in another grouping is told how to go on with it", async () => {
  const world = World.create();
  world.logdir.write("a", fileOf(curve("loss", 0, 3)));
  await world.sync(since(-10));
  const refused = await world.sync().catch((error: unknown) => error);
  const time = new Date((WALL_TIME - 10) * 1000).toISOString();
  expect(refused).toMatchObject({
    code: "usage",
    message: `with --group run what was sent to one run (--group logdir --since ${time}) would be sent again to the run a`,
  });
  expect((refused as TraceletError).hint).toContain(`to go on with it, give --group logdir --since ${time}`);
});

describe("--since", () => {
  test("skips files that were begun before, to the millisecond, and counts them", async () => {
    const world = World.create();
    world.logdir.write("old", fileOf(curve("loss", 0, 3), -0.001));
    world.logdir.write("both/tfevents.1", fileOf(curve("loss", 0, 3), -5));
    world.logdir.write("both/tfevents.2", fileOf(curve("loss", 3, 5), 5));
    world.logdir.write("exact", fileOf(curve("loss", 0, 3), 0.0004));
    const result = await world.sync({ since: WALL_TIME * 1000 });
    expect(result).toMatchObject({ earlierFiles: 2, excludedRuns: 0 });
    expect(outcomes(result)).toEqual({ both: "sent", exact: "sent" });
    expectPoints(world.backend.run("both"), curve("loss", 3, 5));
    expect(await world.sync({ since: WALL_TIME * 1000 })).toMatchObject({ earlierFiles: 2 });
  });

  test("waits for a file's first record, and goes by its name where that cannot be read", async () => {
    const world = World.create();
    const garbage = Buffer.from("no event file at all, whatever it is called");
    world.logdir.write("empty/tfevents.1", Buffer.alloc(0));
    world.logdir.write("cut/tfevents.1", version().subarray(0, 10));
    world.logdir.write(`old/events.out.tfevents.${Math.floor(WALL_TIME) - 10}.host`, garbage);
    world.logdir.write(`new/events.out.tfevents.${Math.floor(WALL_TIME) + 10}.host`, garbage);
    const result = await world.sync({ since: WALL_TIME * 1000 });
    expect(result).toMatchObject({ earlierFiles: 1 });
    expect(Object.keys(outcomes(result))).toEqual(["new"]);
    world.logdir.append("cut/tfevents.1", Buffer.concat([version().subarray(10), records(curve("loss", 0, 3))]));
    expect(outcomes(await world.sync({ since: WALL_TIME * 1000 }))).toMatchObject({ cut: "sent" });
  });

  test("in a watch it is said once; what grows of them is no growth", async () => {
    const world = World.create();
    world.logdir.write("old", fileOf(curve("loss", 0, 3), -5));
    world.logdir.write("older", fileOf(curve("loss", 0, 3), -50));
    const watching = new Watching(world, { since: WALL_TIME * 1000 });
    await watching.caughtUp();
    world.logdir.append("old", records(curve("loss", 3, 6)));
    world.logdir.write("new/tfevents.1", version(1).subarray(0, 10));
    world.logdir.append("new/tfevents.1", Buffer.concat([version(1).subarray(10), records(curve("loss", 0, 3))]));
    await watching.until(() => expectPoints(world.backend.run("new"), curve("loss", 0, 3)));
    world.logdir.write("copied", fileOf(curve("loss", 0, 3), -70));
    await watching.until(() => expect(watching.messages("info")).toHaveLength(2));
    expect(world.backend.runs).toHaveLength(1);
    expect(watching.messages("info")).toEqual([
      "2 event files were begun before --since, and are skipped",
      "1 more event file was begun before --since, and is skipped",
    ]);
  });
});

test("a watch that ends while a run is being opened has nothing to complain of; its messages name the run", async () => {
  const world = World.create();
  world.logdir.write("a", fileOf(curve("loss", 0, 3)));
  await world.sync({ ...since(-1), runName: "one" });
  const stop = new AbortController();
  world.backend.fault = ({ method }) => {
    if (method === "open") stop.abort();
    return undefined;
  };
  const watching = new Watching(world, { ...since(-1), runName: "two", signal: stop.signal });
  await watching.ended();
  expect(watching.events.map(({ level, run, message }) => [level, run, message])).toEqual([
    ["info", "two", "two is called two there instead of one"],
  ]);
});

describe("two sessions of one logdir", () => {
  const write = (world: World, n: number, points: readonly Point[]) =>
    world.logdir.write(`Nov27_15-12-0${n}_host/tfevents.${n}`, fileOf(points, n * 10));
  const grow = (world: World, n: number, points: readonly Point[]) =>
    world.logdir.append(`Nov27_15-12-0${n}_host/tfevents.${n}`, records(points));
  const named = (n: number) => ({ ...since(n * 10 - 1), runName: "exp" });

  test.each(["its state", "no state"])("are two runs of one name, each with its own files, with %s", async (state) => {
    const world = World.create();
    const forget = () => state === "no state" && world.loseState();
    write(world, 1, curve("loss", 0, 5));
    await world.sync(named(1));
    forget();
    write(world, 2, curve("loss", 0, 3));
    expect(codes(await world.sync(named(2)))).toEqual([]);
    expect(world.backend.runs.map(({ name }) => name)).toEqual(["exp", "exp"]);
    const [one, two] = world.backend.runs as [World["backend"]["runs"][number], World["backend"]["runs"][number]];
    expectPoints(one, curve("loss", 0, 5));
    expectPoints(two, curve("loss", 0, 3));
    forget();
    grow(world, 2, curve("loss", 3, 6));
    await world.sync(named(2));
    expectPoints(one, curve("loss", 0, 5));
    expectPoints(two, curve("loss", 0, 6));
    expect(world.backend.runs.map(sentAgain)).toEqual([0, 0]);
    if (state === "no state") return;
    // The first goes on in its own files alone.
    grow(world, 1, curve("loss", 5, 7));
    const result = await world.sync(named(1));
    expect([codes(result), result.earlierFiles]).toEqual([[], 0]);
    expectPoints(one, curve("loss", 0, 7));
    expectPoints(two, curve("loss", 0, 6));
    expect(world.backend.runs).toHaveLength(2);
  });

  test("the second goes on in a file of the first's directory, which is another's", async () => {
    const world = World.create();
    world.logdir.write("part/tfevents.1", fileOf(curve("loss", 0, 5), 10));
    await world.sync(named(1));
    world.logdir.write("part/tfevents.2", fileOf(curve("loss", 0, 3), 20));
    expect(await world.sync(named(2))).toMatchObject({ earlierFiles: 1 });
    const [one, two] = world.backend.runs as [World["backend"]["runs"][number], World["backend"]["runs"][number]];
    expectPoints(one, renamed("part/loss", curve("loss", 0, 5)));
    expectPoints(two, renamed("part/loss", curve("loss", 0, 3)));
  });

  test("a logdir that was moved has the same sessions", async () => {
    const world = World.create();
    for (const n of [1, 2]) {
      write(world, n, curve("loss", 0, 2 + n));
      await world.sync(named(n));
    }
    const moved = world.otherLogdir("moved");
    world.logdir.rsyncTo(moved);
    rmSync(world.logdir.root, { recursive: true });
    moved.append("Nov27_15-12-02_host/tfevents.2", records(curve("loss", 4, 6)));
    expect(codes(await world.sync({ ...named(2), logdirs: [moved.root] }))).toEqual([]);
    expect(world.backend.runs.map(({ points }) => points.size)).toEqual([3, 6]);
    expect(world.backend.runs.map(sentAgain)).toEqual([0, 0]);
  });
});
