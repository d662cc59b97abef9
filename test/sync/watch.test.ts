/** A watch beside writers: what appears in the files appears at the destination, once, whatever happens. */
import { appendFileSync, mkdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import { FileSource } from "../../src/reader/byte-source.ts";
import { eventFile, textEvent } from "../support/event-writer.ts";
import { Watching } from "./watched.ts";
import { curve, expectPoints, fileOf, records, sentAgain, version, World } from "./world.ts";

const arrives = async (watching: Watching, world: World, run: string, points: ReturnType<typeof curve>) =>
  watching.until(() => expectPoints(world.backend.run(run), points));

describe("following", () => {
  test("what was left out before is sent though its files do not change: tags, and runs", async () => {
    const world = World.create();
    world.logdir.write("a", Buffer.concat([fileOf(curve("loss", 0, 5)), records(curve("debug/x", 0, 5))]));
    world.logdir.write("b", fileOf(curve("loss", 0, 5)));
    const transform = { includeTags: [], excludeTags: ["debug/*"], nan: "keep" as const };
    await world.sync({ transform, wantsRun: (name) => name === "a" });
    expectPoints(world.backend.run("a"), curve("loss", 0, 5));
    const watching = new Watching(world);
    await arrives(watching, world, "a", [...curve("loss", 0, 5), ...curve("debug/x", 0, 5)]);
    await arrives(watching, world, "b", curve("loss", 0, 5));
    await watching.caughtUp();
    expect(sentAgain(world.backend.run("a"))).toBe(0);
  });

  test.each([true, false])("new runs, new files, appends; events: %s", async (events) => {
    const world = World.create();
    world.logdir.write("old", fileOf(curve("loss", 0, 5)));
    const watching = new Watching(world, { events });
    await arrives(watching, world, "old", curve("loss", 0, 5));
    world.logdir.write("deep/er/new/tfevents.1", fileOf(curve("loss", 0, 3), 1));
    await arrives(watching, world, "deep/er/new", curve("loss", 0, 3));
    for (let step = 3; step < 20; step++)
      world.logdir.append("deep/er/new/tfevents.1", records(curve("loss", step, step + 1)));
    world.logdir.write("deep/er/new/tfevents.2", fileOf(curve("other", 0, 4), 2));
    await arrives(watching, world, "deep/er/new", [...curve("loss", 0, 20), ...curve("other", 0, 4)]);
    // A newer file does not mean that the older one is closed.
    world.logdir.append("deep/er/new/tfevents.1", records(curve("loss", 20, 25)));
    world.logdir.append("deep/er/new/tfevents.2", records(curve("other", 4, 5)));
    await arrives(watching, world, "deep/er/new", [...curve("loss", 0, 25), ...curve("other", 0, 5)]);
    await watching.caughtUp();
    expect(sentAgain(world.backend.run("deep/er/new"))).toBe(0);
    expect(world.backend.run("deep/er/new").status).toBe("running");
    expect(watching.status).toMatchObject({
      runs: 2,
      sent: 35,
      bytesBehind: 0,
      oldestUnsentMs: 0,
      obstacle: undefined,
    });
    expect(watching.events).toEqual([]);
  });

  test("a logdir that does not exist yet, and one that comes back", async () => {
    const world = World.create();
    rmSync(world.logdir.root, { recursive: true });
    const watching = new Watching(world);
    await watching.until(() => expect(watching.messages("warning").join()).toContain("waiting for it"));
    mkdirSync(world.logdir.root);
    world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    await arrives(watching, world, "a", curve("loss", 0, 5));
    renameSync(world.logdir.root, `${world.logdir.root}.away`);
    await watching.until(() => expect(watching.status.runs).toBe(0));
    renameSync(`${world.logdir.root}.away`, world.logdir.root);
    world.logdir.append("a", records(curve("loss", 5, 9)));
    await arrives(watching, world, "a", curve("loss", 0, 9));
    expect(sentAgain(world.backend.run("a"))).toBe(0);
  });

  test("a file that is cut, one that goes on otherwise, and one that another takes the place of", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b", fileOf(curve("loss", 0, 10), 1));
    const watching = new Watching(world);
    await arrives(watching, world, "a", curve("loss", 0, 10));
    await arrives(watching, world, "b", curve("loss", 0, 10));
    world.logdir.truncate("a", fileOf(curve("loss", 0, 4)).length);
    await watching.until(() => expect(watching.messages("info")).toEqual([expect.stringContaining("is shorter")]));
    world.logdir.append("a", records(curve("loss", 4, 13)));
    await arrives(watching, world, "a", curve("loss", 0, 13));
    const other = [...curve("loss", 0, 2), ...curve("loss", 20, 25)];
    world.logdir.replace("a", fileOf(other));
    await watching.until(() => expect(world.backend.runs.filter(({ name }) => name === "a")).toHaveLength(2));
    await watching.until(() => expectPoints(world.backend.runs.at(-1) as never, other));
    world.logdir.replace("b", fileOf(curve("other", 0, 30), 5));
    await watching.until(() => expect(world.backend.runs.filter(({ name }) => name === "b")).toHaveLength(2));
    await watching.until(() => expectPoints(world.backend.runs.at(-1) as never, curve("other", 0, 30)));
  });

  test("torn writes at every byte: nothing is damage, nothing comes twice", async () => {
    const world = World.create();
    world.logdir.write("a", version());
    const watching = new Watching(world, { flushIntervalMs: 1 });
    const bytes = records(curve("loss", 0, 6));
    for (let at = 0; at < bytes.length; at++) {
      world.logdir.append("a", bytes.subarray(at, at + 1));
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    await arrives(watching, world, "a", curve("loss", 0, 6));
    expect(sentAgain(world.backend.run("a"))).toBe(0);
    expect(watching.events).toEqual([]);
  });

  test("a quick destination is not kept waiting for the whole flush interval", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 3)));
    const watching = new Watching(world, { flushIntervalMs: 600_000 });
    for (let to = 3; to < 9; to++) {
      await arrives(watching, world, "a", curve("loss", 0, to));
      world.logdir.append("a", records(curve("loss", to, to + 1)));
    }
    await arrives(watching, world, "a", curve("loss", 0, 9));
  });

  test("a slow destination is asked less often, and takes more at a time", async () => {
    const world = World.create();
    const write = world.backend.write.bind(world.backend);
    world.backend.write = async (...given) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return write(...given);
    };
    world.logdir.write("a", fileOf(curve("loss", 0, 1)));
    const watching = new Watching(world, { flushIntervalMs: 600_000 });
    await arrives(watching, world, "a", curve("loss", 0, 1));
    const start = performance.now();
    for (let step = 1; step < 100; step++) {
      world.logdir.append("a", records(curve("loss", step, step + 1)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await arrives(watching, world, "a", curve("loss", 0, 100));
    // A round begins five times as long after the last one as that took.
    expect(world.backend.batches.length).toBeLessThanOrEqual(2 + (performance.now() - start) / 1000);
  });

  test("blocks of zeros that are filled later: in time, and when they already count as damage", async () => {
    for (const patienceMs of [60_000, 300]) {
      const world = World.create();
      const head = fileOf(curve("loss", 0, 3));
      const hole = records(curve("loss", 3, 6));
      const behind = records(curve("loss", 6, 9));
      world.logdir.write("a", Buffer.concat([head, Buffer.alloc(hole.length), behind]));
      // What has lain there for long is damage at once.
      utimesSync(world.logdir.path("a"), new Date(), new Date());
      const watching = new Watching(world, { patienceMs, idleTimeoutMs: 3000 });
      if (patienceMs === 300) {
        await arrives(watching, world, "a", [...curve("loss", 0, 3), ...curve("loss", 6, 9)]);
        await watching.until(() => expect(watching.messages("warning").join()).toContain("corrupt records skipped"));
      } else {
        await arrives(watching, world, "a", curve("loss", 0, 3));
        expect(watching.events).toEqual([]);
      }
      const whole = Buffer.concat([head, hole, behind]);
      world.logdir.write("a", whole);
      await arrives(watching, world, "a", curve("loss", 0, 9));
      await watching.end();
    }
  });

  test("a writer that died within a record, and one that went on behind it: passed over, the rest arrives", async () => {
    const world = World.create();
    const torn = records(curve("loss", 3, 4)).subarray(0, 20);
    world.logdir.write("a", Buffer.concat([fileOf(curve("loss", 0, 3)), torn]));
    const watching = new Watching(world, { patienceMs: 400, idleTimeoutMs: 100 });
    await arrives(watching, world, "a", curve("loss", 0, 3));
    world.logdir.append("a", records(curve("loss", 4, 7)));
    utimesSync(world.logdir.path("a"), new Date(), new Date());
    await arrives(watching, world, "a", [...curve("loss", 0, 3), ...curve("loss", 4, 7)]);
    await watching.until(() => expect(watching.messages("warning").join()).toContain("corrupt records skipped"));
  });

  test("a finished run that goes on with damage: what is behind it arrives after a while", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 3)));
    await world.sync();
    const watching = new Watching(world, { patienceMs: 400 });
    await watching.caughtUp();
    world.logdir.append("a", Buffer.concat([Buffer.alloc(50), records(curve("loss", 3, 6))]));
    utimesSync(world.logdir.path("a"), new Date(), new Date());
    await arrives(watching, world, "a", curve("loss", 0, 6));
  });

  test("a file that cannot be read for a while is read later, and not taken for read", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 3)));
    const watching = new Watching(world);
    await arrives(watching, world, "a", curve("loss", 0, 3));
    await watching.caughtUp();
    const open = vi.spyOn(FileSource, "open").mockImplementation(async () => {
      throw Object.assign(new Error("stale"), { code: "ESTALE", syscall: "open" });
    });
    onTestFinished(() => void open.mockRestore());
    world.logdir.append("a", records(curve("loss", 3, 6)));
    await watching.until(() => expect(watching.messages("error").join()).toContain("could not be read"));
    open.mockRestore();
    await watching.end();
    await world.sync();
    expectPoints(world.backend.run("a"), curve("loss", 0, 6));
  });

  test("what add_scalars makes while the run goes on is a part of it", async () => {
    const world = World.create();
    const name = (run: string, n: number) => `${run}/events.out.tfevents.170000000${n}.host.7.${n}`;
    world.logdir.write(name("exp", 0), fileOf(curve("acc", 0, 3)));
    const watching = new Watching(world);
    await arrives(watching, world, "exp", curve("acc", 0, 3));
    world.logdir.write(name("exp/loss_a", 1), version(1));
    await watching.caughtUp();
    world.logdir.append(name("exp/loss_a", 1), records(curve("loss", 0, 4)));
    const folded = curve("loss", 0, 4).map((point) => ({ ...point, tag: "loss/a" }));
    await arrives(watching, world, "exp", [...curve("acc", 0, 3), ...folded]);
    expect(world.backend.runs.map(({ name: run }) => run)).toEqual(["exp"]);
  });

  test("runs nested in directories", async () => {
    const world = World.create();
    const watching = new Watching(world, { group: "nested", concurrency: 1 });
    world.logdir.write("a/x/1", fileOf(curve("loss", 0, 2)));
    world.logdir.write("a/y", fileOf(curve("loss", 0, 2), 1));
    await watching.until(() => expect(world.backend.runs.filter(({ points }) => points.size > 0)).toHaveLength(2));
    const id = (name: string) => world.backend.run(name).id;
    expect([world.backend.run("a/x/1").parentId, world.backend.run("a/y").parentId]).toEqual([id("a/x"), id("a")]);
  });
});

describe("the end of a run", () => {
  test("finished when it has not grown for a while, running again when it goes on", async () => {
    const world = World.create();
    world.logdir.write("a", Buffer.concat([fileOf(curve("loss", 0, 3)), eventFile(textEvent("note", 1, "hello"))]));
    const watching = new Watching(world, { idleTimeoutMs: 400 });
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
    expect(world.backend.pages).toEqual(new Set(["text note"]));
    await watching.until(() => expect(watching.status.liveRuns).toBe(0));
    world.logdir.append("a", records(curve("loss", 3, 5)));
    await watching.until(() => expect(world.backend.calls.map(({ method }) => method)).toContain("resume"));
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
    expectPoints(world.backend.run("a"), curve("loss", 0, 5));
  });

  /** Long enough for a busy machine to do what comes in between. */
  const IDLE_MS = 8000;
  const STOPPED_MS = IDLE_MS + 1500;

  test("not while this process was stopped with a batch under way", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 2)));
    const watching = new Watching(world, { idleTimeoutMs: IDLE_MS });
    // It is old.
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
    let stopped = false;
    world.backend.fault = ({ method }) => {
      if (method !== "write" || stopped) return undefined;
      stopped = true;
      stop(STOPPED_MS);
      return undefined;
    };
    world.backend.calls.length = 0;
    world.logdir.append("a", records(curve("loss", 2, 3)));
    await watching.until(() => expect(stopped).toBe(true));
    await watching.caughtUp();
    world.logdir.append("a", records(curve("loss", 3, 5)));
    await arrives(watching, world, "a", curve("loss", 0, 5));
    expect(world.backend.calls.map(({ method }) => method)).not.toContain("finish");
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
  });

  test("not while it grows, though it is looked at more rarely than that", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 2)));
    // It has been written just now, by the real clock.
    const append = (step: number) => appendFileSync(world.logdir.path("a"), records(curve("loss", step, step + 1)));
    append(2);
    const watching = new Watching(world, { idleTimeoutMs: 2000, events: false, pollMs: 9000, rescanMs: 9000 });
    await arrives(watching, world, "a", curve("loss", 0, 3));
    let written = 3;
    const grows = setInterval(() => append(written++), 100);
    onTestFinished(() => clearInterval(grows));
    await watching.until(() => expect(world.backend.run("a").points.size).toBeGreaterThan(3));
    expect(world.backend.calls.map(({ method }) => method)).not.toContain("finish");
    clearInterval(grows);
    await arrives(watching, world, "a", curve("loss", 0, written));
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
  });

  test("not while this process was stopped: nobody has looked whether it grew", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 2)));
    const watching = new Watching(world, { idleTimeoutMs: IDLE_MS });
    await arrives(watching, world, "a", curve("loss", 0, 2));
    world.logdir.append("a", records(curve("loss", 2, 3)));
    await arrives(watching, world, "a", curve("loss", 0, 3));
    await watching.caughtUp();
    world.backend.calls.length = 0;
    stop(STOPPED_MS);
    world.logdir.append("a", records(curve("loss", 3, 5)));
    await arrives(watching, world, "a", curve("loss", 0, 5));
    expect(world.backend.calls.map(({ method }) => method)).not.toContain("finish");
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
  });

  /** A run whose directory goes while the destination is away, after a growth that could not be sent. */
  async function leftWhileAway(world: World): Promise<{ watching: Watching; comeBack: () => void }> {
    world.logdir.write("a/tfevents", fileOf(curve("loss", 0, 2)));
    const watching = new Watching(world);
    await arrives(watching, world, "a", curve("loss", 0, 2));
    world.logdir.append("a/tfevents", records(curve("loss", 2, 3)));
    await arrives(watching, world, "a", curve("loss", 0, 3));
    await watching.caughtUp();
    expect(world.backend.run("a").status).toBe("running");
    world.backend.isAway = true;
    world.logdir.append("a/tfevents", records(curve("loss", 3, 5)));
    await watching.until(() => expect(watching.status.obstacle).toBeDefined());
    const [here, there] = [path.join(world.logdir.root, "a"), path.join(world.root, "a")];
    renameSync(here, there);
    await watching.until(() => expect(watching.status.runs).toBe(0));
    await watching.until(() => expect(world.backend.calls.at(-1)?.method).toBe("finish"));
    return { watching, comeBack: () => renameSync(there, here) };
  }

  test("gone from the logdir while the destination is away: it has ended when that is back", async () => {
    const world = World.create();
    const { watching } = await leftWhileAway(world);
    world.backend.isAway = false;
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
    await watching.until(() => expect(watching.status.obstacle).toBeUndefined());
    expect(watching.messages("error")).toHaveLength(1);
  });

  test("gone from the logdir and back while the destination is away: it goes on", async () => {
    const world = World.create();
    const { watching, comeBack } = await leftWhileAway(world);
    comeBack();
    await watching.until(() => expect(watching.status.runs).toBe(1));
    world.backend.isAway = false;
    await arrives(watching, world, "a", curve("loss", 0, 5));
    await watching.caughtUp();
    await watching.until(() => expect(watching.status.obstacle).toBeUndefined());
    expect(world.backend.run("a").status).toBe("running");
  });

  test("what was ended in the midst goes on in the next watch", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 3)));
    const first = new Watching(world);
    await arrives(first, world, "a", curve("loss", 0, 3));
    await first.end();
    world.logdir.append("a", records(curve("loss", 3, 9)));
    const second = new Watching(world);
    await arrives(second, world, "a", curve("loss", 0, 9));
    expect(sentAgain(world.backend.run("a"))).toBe(0);
  });
});

describe("whatever breaks", () => {
  test("a destination that is away: said once, nothing is lost, and it goes on", async () => {
    const world = World.create();
    for (const run of ["a", "b", "c", "d", "e", "f"])
      world.logdir.write(run, fileOf(curve("loss", 0, 5), run.charCodeAt(0)));
    const watching = new Watching(world, { concurrency: 2 });
    await arrives(watching, world, "f", curve("loss", 0, 5));
    await watching.caughtUp();
    world.backend.isAway = true;
    for (const run of ["a", "b", "c", "d", "e", "f"]) world.logdir.append(run, records(curve("loss", 5, 8)));
    await watching.until(() => expect(watching.status.retries).toBeGreaterThanOrEqual(2));
    expect(watching.status.obstacle).toContain("failed as it was told to");
    expect(watching.status.oldestUnsentMs).toBeGreaterThan(0);
    expect(watching.status.bytesBehind).toBeGreaterThan(0);
    world.backend.isAway = false;
    for (const run of ["a", "b", "c", "d", "e", "f"]) await arrives(watching, world, run, curve("loss", 0, 8));
    await watching.caughtUp();
    expect(watching.messages("error")).toHaveLength(1);
    expect(watching.messages("info").join()).toContain("sending goes on");
    expect(watching.status).toMatchObject({ obstacle: undefined, bytesBehind: 0 });
  });

  test("a destination that comes back as it was before: what went back with it is sent again", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    const watching = new Watching(world);
    await arrives(watching, world, "a", curve("loss", 0, 5));
    const backup = world.backend.snapshot();
    world.logdir.append("a", records(curve("loss", 5, 10)));
    await arrives(watching, world, "a", curve("loss", 0, 10));
    world.backend.isAway = true;
    world.logdir.append("a", records(curve("loss", 10, 12)));
    await watching.until(() => expect(watching.status.obstacle).toBeDefined());
    world.backend.runs = backup;
    world.backend.isAway = false;
    await arrives(watching, world, "a", curve("loss", 0, 12));
  });

  test("a destination that comes back as it was before: also of runs that do not grow any more", async () => {
    const world = World.create();
    for (const run of ["a", "b"]) world.logdir.write(run, fileOf(curve("loss", 0, 5), run.charCodeAt(0)));
    const watching = new Watching(world, { idleTimeoutMs: 2500 });
    for (const run of ["a", "b"]) await arrives(watching, world, run, curve("loss", 0, 5));
    const backup = world.backend.snapshot();
    world.logdir.append("a", records(curve("loss", 5, 10)));
    await arrives(watching, world, "a", curve("loss", 0, 10));
    await watching.caughtUp();
    world.backend.isAway = true;
    world.logdir.append("b", records(curve("loss", 5, 7)));
    await watching.until(() => expect(watching.status.obstacle).toBeDefined());
    world.backend.runs = backup;
    world.backend.isAway = false;
    await arrives(watching, world, "b", curve("loss", 0, 7));
    await arrives(watching, world, "a", curve("loss", 0, 10));
    await watching.until(() => expect(world.backend.run("a").status).toBe("finished"));
  });

  test("what stands before it for a while: a page to log in, then a redirect", async () => {
    const world = World.create();
    const elsewhere = new TraceletError("rejected", "this is not an MLflow server", { endsAll: true });
    world.backend.fault = ({ n }) => (n <= 3 ? { when: "before", error: elsewhere } : undefined);
    for (const run of ["a", "b", "c"]) world.logdir.write(run, fileOf(curve("loss", 0, 5), run.charCodeAt(0)));
    const watching = new Watching(world);
    for (const run of ["a", "b", "c"]) await arrives(watching, world, run, curve("loss", 0, 5));
    expect(watching.messages("error")).toEqual(["this is not an MLflow server; trying again"]);
  });

  test("every second acknowledgement is lost", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    let calls = 0;
    world.backend.fault = ({ method }) => (method === "write" && ++calls % 2 === 0 ? { when: "after" } : undefined);
    const watching = new Watching(world);
    for (let step = 5; step < 9; step++) {
      world.logdir.append("a", records(curve("loss", step, step + 1)));
      await arrives(watching, world, "a", curve("loss", 0, step + 1));
    }
    await watching.caughtUp();
    expectPoints(world.backend.run("a"), curve("loss", 0, 9));
  });

  test("one run that is refused does not hold the others up", async () => {
    const world = World.create();
    const refused = new TraceletError("rejected", "no");
    world.backend.fault = ({ run }) => (run === "a" ? { when: "before", error: refused } : undefined);
    world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    world.logdir.write("b", fileOf(curve("loss", 0, 5), 1));
    const watching = new Watching(world);
    await arrives(watching, world, "b", curve("loss", 0, 5));
    await watching.until(() => expect(watching.messages("error")).toEqual(["no"]));
    world.logdir.append("b", records(curve("loss", 5, 7)));
    await arrives(watching, world, "b", curve("loss", 0, 7));
  });

  test("values that are skipped are counted by reason", async () => {
    const world = World.create();
    const transform = { includeTags: [], excludeTags: ["debug/*"], nan: "skip" as const };
    const strange = [{ tag: "loss", step: 5, value: Number.NaN, wallTime: 5 }];
    world.logdir.write("a", Buffer.concat([fileOf(curve("loss", 0, 5)), records(strange)]));
    const watching = new Watching(world, { transform });
    await arrives(watching, world, "a", curve("loss", 0, 5));
    world.logdir.append("a", records(curve("debug/x", 0, 3)));
    const skipped = new Map([
      ["nan", 1],
      ["excluded", 3],
    ]);
    await watching.until(() => expect(watching.status.skipped).toEqual(skipped));
  });

  test("values that are set aside: said as an error, told at the end", async () => {
    const world = World.create();
    world.backend.notes = [{ code: "renamed", message: "another name" }];
    world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    const watching = new Watching(world);
    await watching.until(() => expect(watching.messages("info")).toEqual(["another name"]));
    expect(watching.status.lastError).toBeUndefined();
    world.backend.notes = [{ code: "quarantined", message: "set aside" }];
    world.logdir.append("a", records(curve("loss", 5, 7)));
    await watching.until(() => expect(watching.messages("error")).toEqual(["set aside"]));
    expect(watching.status.lastError).toBe("set aside");
    expect(await watching.end()).toBe(true);
  });
});

test("of copies in several logdirs each is one run", async () => {
  const world = World.create();
  const other = world.otherLogdir("other");
  world.logdir.write("a", fileOf(curve("loss", 0, 5)));
  other.write("a", fileOf(curve("acc", 0, 5), 1));
  const watching = new Watching(world, { logdirs: [world.logdir.root, path.join(world.root, "other")] });
  await watching.until(() => expect(world.backend.runs.filter(({ points }) => points.size === 5)).toHaveLength(2));
  await watching.caughtUp();
});

/** Nothing happens in this process for so long. */
function stop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
