/** What people do to a W&B behind tracelet's back is found out, and made up for, by the next sync. */
import { describe, expect, test } from "vitest";
import { readPlace } from "../../src/backends/wandb/place.ts";
import type { Progress } from "../../src/sync/report/progress.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { codes, curve, fileOf, outcomes, records } from "../sync/world.ts";
import { connect, PROJECT } from "./destination.ts";
import { expectPoints, WandbWorld } from "./world.ts";

/** Two runs that were sent. */
async function sent(): Promise<WandbWorld> {
  const world = await WandbWorld.create();
  world.logdir.write("a", fileOf(curve("loss", 0, 10)));
  world.logdir.write("b", fileOf(curve("loss", 0, 10), 1));
  expect(outcomes(await world.sync())).toEqual({ a: "sent", b: "sent" });
  return world;
}

const errors = (result: Awaited<ReturnType<WandbWorld["sync"]>>) => result.runs.map(({ error }) => error?.code);

describe("a server", () => {
  test("that was restored from a backup gets what it lacks", async () => {
    const world = await sent();
    const restore = world.server.account.backup();
    for (const run of ["a", "b"]) world.logdir.append(run, records(curve("loss", 10, 20)));
    await world.sync();
    restore();
    expectPoints(world.run("a"), curve("loss", 0, 10));
    expect(outcomes(await world.sync())).toEqual({ a: "sent", b: "sent" });
    for (const run of ["a", "b"]) expectPoints(world.run(run), curve("loss", 0, 20));
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged", b: "unchanged" });
  });

  test("that was restored from a backup of a run that was under way shows it as over", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync({ leavesRunning: true });
    const restore = world.server.account.backup();
    await world.sync();
    expect(world.run("a").state(Date.now())).toBe("finished");
    restore();
    expect(world.run("a").state(Date.now())).toBe("running");
    await world.sync();
    expect(world.run("a").state(Date.now())).toBe("finished");
    expectPoints(world.run("a"), curve("loss", 0, 10));
  });

  test("on which another process has ended a run shows it as over after a watch that had nothing more of it, too", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.loseState();
    await world.sync({ leavesRunning: true });
    expect(world.run("a").state(Date.now())).toBe("finished");
    world.logdir.append("a", records(curve("loss", 10, 20)));
    await world.sync({ leavesRunning: true });
    expect(world.run("a").state(Date.now())).toBe("running");
    expectPoints(world.run("a"), curve("loss", 0, 20));
  });

  test("that was restored from a backup made under a narrower choice gets what that left out", async () => {
    const world = await WandbWorld.create();
    const points = [...curve("loss", 0, 10), ...curve("debug/x", 0, 10)];
    world.logdir.write("a", fileOf(points));
    await world.sync({ transform: { includeTags: [], excludeTags: ["debug/*"], nan: "keep" } });
    const restore = world.server.account.backup();
    await world.sync();
    expectPoints(world.run("a"), points);
    restore();
    expectPoints(world.run("a"), curve("loss", 0, 10));
    await world.sync();
    expectPoints(world.run("a"), points);
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged" });
  });

  test("that was emptied, or is another one, gets everything, under the same ids", async () => {
    const world = await sent();
    const ids = world.runs.map(({ name }) => name).sort();
    await world.server.stop();
    world.server = await WandbServer.start();
    const result = await world.sync();
    expect(outcomes(result)).toEqual({ a: "sent", b: "sent" });
    expect(world.runs.map(({ name }) => name).sort()).toEqual(ids);
    for (const run of ["a", "b"]) expectPoints(world.run(run), curve("loss", 0, 10));
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged", b: "unchanged" });
  });

  test("that has lost rows of a run, and not what it says to have, gets the run anew once it is deleted", async () => {
    const world = await sent();
    world.logdir.append("a", records(curve("loss", 10, 12)));
    await world.sync();
    const { history } = world.run("a");
    const empty = new (history.constructor as new () => object)();
    Object.defineProperty(world.run("a"), "history", { value: empty });
    world.options = { wait: async () => {} };
    const result = await world.sync();
    const hint = expect.stringContaining("--resend-deleted");
    expect(result.runs[0]?.error).toMatchObject({ code: "rejected", hint });
    world.server.account.delete(world.run("a"));
    world.options = { resendsDeleted: true };
    await world.sync();
    expectPoints(world.run("a"), curve("loss", 0, 12));
  });

  test("is asked about runs by pages, however many there are", async () => {
    const world = await sent();
    const known = (id: string) => ({ id, source: "s", marks: [], isDone: true, isConfirmed: true });
    const ids = Array.from({ length: 1200 }, (_, i) => `missing-${i}`);
    world.server.requests.length = 0;
    const backend = connect(world.server.uri);
    const { changes } = await backend.survey(ids.map(known), undefined);
    await backend.close();
    expect(changes).toEqual(new Map(ids.map((id) => [id, "gone"])));
    expect(world.server.operations("Runs")).toHaveLength(3);
    expect(world.server.requests).toHaveLength(4);
  });
});

describe("a run that was deleted on the web page", () => {
  test("is reported each time, also with nothing new, until it is sent anew", async () => {
    const world = await sent();
    const { name: id } = world.run("a");
    world.server.account.delete(world.run("a"));
    for (let i = 0; i < 2; i++) {
      const result = await world.sync();
      expect(errors(result)).toEqual(["deleted", undefined]);
      const hint = expect.stringMatching(/restore it .*--resend-deleted/);
      expect(result.runs[0]?.error).toMatchObject({ message: expect.stringContaining(id), hint });
    }
    world.options = { resendsDeleted: true };
    expect(codes(await world.sync())).toEqual(["recreated"]);
    expectPoints(world.run("a"), curve("loss", 0, 10));
    expect(world.run("a").name).not.toBe(id);
    world.options = {};
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged", b: "unchanged" });
    // Another machine, or this one without its state, goes on in the new one.
    world.loseState();
    world.logdir.append("a", records(curve("loss", 10, 12)));
    expect(errors(await world.sync())).toEqual([undefined, undefined]);
    expectPoints(world.run("a"), curve("loss", 0, 12));
  });

  test("is sent anew again and again, each time under the next id", async () => {
    const world = await sent();
    world.options = { resendsDeleted: true };
    const ids = new Set([world.run("a").name]);
    for (let n = 2; n <= 4; n++) {
      world.server.account.delete(world.run("a"));
      if (n === 3) world.loseState();
      await world.sync();
      ids.add(world.run("a").name);
      expect(ids.size).toBe(n);
      expectPoints(world.run("a"), curve("loss", 0, 10));
    }
  });

  test("is reported without the local state, too, and whatever else has its name is sent", async () => {
    const world = await sent();
    world.server.account.delete(world.run("a"));
    world.loseState();
    expect(errors(await world.sync())).toEqual(["deleted", undefined]);
    // A new training under the old name.
    world.logdir.remove("a");
    world.logdir.write("a", fileOf(curve("acc", 0, 5), 7));
    expect(errors(await world.sync())).toEqual([undefined, undefined]);
    expectPoints(world.run("a"), curve("acc", 0, 5));
  });

  test("is as it was once it is restored", async () => {
    const world = await sent();
    const restore = world.server.account.backup();
    world.server.account.delete(world.run("a"));
    expect(errors(await world.sync())).toEqual(["deleted", undefined]);
    restore();
    expect(errors(await world.sync())).toEqual([undefined, undefined]);
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged", b: "unchanged" });
    expectPoints(world.run("a"), curve("loss", 0, 10));
  });

  test("is reported where it was renamed here meanwhile", async () => {
    const world = await sent();
    world.server.account.delete(world.run("a"));
    world.logdir.rename("a", "c");
    expect(errors(await world.sync())).toContain("deleted");
    world.options = { resendsDeleted: true };
    expect(errors(await world.sync())).toEqual([undefined, undefined]);
    expectPoints(world.run("c"), curve("loss", 0, 10));
  });
});

test("a run that was stopped on the web page is told of once, and goes on as its training does", async () => {
  const world = await sent();
  world.run("a").stopped = true;
  world.logdir.append("a", records(curve("loss", 10, 12)));
  const result = await world.sync();
  expect(codes(result)).toEqual(["stopped"]);
  expectPoints(world.run("a"), curve("loss", 0, 12));
});

test("another project is another destination", async () => {
  const world = await sent();
  world.options = {
    place: readPlace({ wandbProject: "q" }, { WANDB_BASE_URL: world.server.uri }),
  };
  world.loseState();
  await world.sync();
  expect(world.server.runs("q").map(({ fields }) => fields.displayName)).toEqual(["a", "b"]);
  expect(world.server.runs(PROJECT)).toHaveLength(2);
});

describe("a server that fails", () => {
  test.each([
    [
      "429, with the time until it takes more",
      { status: 429, headers: { "ratelimit-remaining": "0", "ratelimit-reset": "0.2" }, body: "" },
    ],
    ["500", { status: 500, body: "" }],
    ["502 of a proxy", { status: 502, body: "<html>Bad gateway</html>" }],
    ["409 to those that make the same run", { status: 409, body: '{"errors":[{"message":"conflict"}]}' }],
  ])("with %s", async (_what, answer) => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    const proxy = await FaultProxy.start(world.server.port);
    const requests = answer.status === 409 ? { body: /UpsertBucket/ } : {};
    proxy.inject({ fault: { kind: "answer", answer }, ...requests, nth: (n) => n % 2 === 1 });
    const backend = connect(proxy.uri, 60_000);
    try {
      const result = await world.sync({ backend });
      expect(errors(result)).toEqual([undefined]);
    } finally {
      await proxy.stop();
    }
    expect(proxy.faults).toBeGreaterThan(1);
    expectPoints(world.run("a"), curve("loss", 0, 10));
  });

  test.each(["reset-before", "reset-after", "reset-middle", "half", "truncated-chunks", "garbage"] as const)(
    "with %s at every second request",
    async (kind) => {
      const world = await WandbWorld.create();
      world.logdir.write("a", fileOf(curve("loss", 0, 10)));
      const proxy = await FaultProxy.start(world.server.port);
      proxy.inject({ fault: { kind }, nth: (n) => n % 2 === 1 });
      try {
        expect(errors(await world.sync({ backend: connect(proxy.uri, 60_000) }))).toEqual([undefined]);
      } finally {
        await proxy.stop();
      }
      expect(proxy.faults).toBeGreaterThan(2);
      const run = world.run("a");
      expect(run.rows).toHaveLength(10);
      expect([run.history.gaps, run.history.changed, run.oddities]).toEqual([[], 0, []]);
    },
  );

  test("at first, and comes back, is asked whose the key is once more", async () => {
    const world = await WandbWorld.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    const proxy = await FaultProxy.start(world.server.port);
    const backend = connect(proxy.uri, 1);
    const close = backend.close.bind(backend);
    backend.close = async () => {};
    try {
      await proxy.disconnect();
      expect((await world.sync({ backend })).error?.code).toBe("unreachable");
      await proxy.reconnect();
      expect(errors(await world.sync({ backend }))).toEqual([undefined]);
    } finally {
      await close();
      await proxy.stop();
    }
    expectPoints(world.run("a"), curve("loss", 0, 10));
  });
});

test("what a server counts late is neither sent again nor left out of the report", async () => {
  const world = await WandbWorld.create();
  const points = curve("loss", 0, 60_000);
  world.logdir.write("a", fileOf(points));
  // Counts what it has taken only when it is asked for the third time.
  const { account } = world.server;
  let asked = 0;
  let counted = 0;
  account.countOf = (run) => {
    if (asked++ % 3 === 2) counted = run.history.count;
    return counted;
  };
  world.options = { wait: async () => {}, random: () => 0 };
  let progress: Readonly<Progress> | undefined;
  const { runs } = await world.sync({ onStart: (started) => void (progress = started) });
  expect(runs[0]?.tally.kinds.get("scalars")).toMatchObject({ read: 60_000, sent: 60_000, failed: 0 });
  expect(progress?.bytes).toBe(progress?.totalBytes);
  account.countOf = (run) => run.history.count;
  expectPoints(world.run("a"), points);
});
