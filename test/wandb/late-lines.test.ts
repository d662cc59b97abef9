/** Lines that were planned and arrived in part, or late, or are not given back: each point is there once all the same. */
import { expect, onTestFinished, test } from "vitest";
import { readPlace } from "../../src/backends/wandb/place.ts";
import { WandbReader } from "../../src/backends/wandb/reader.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import type { VerifyResult } from "../../src/verify/result.ts";
import { verifyWandb } from "../../src/verify/wandb/verify.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { eventFile, sessionStart, versionEvent } from "../support/event-writer.ts";
import { curve, fileOf, interleaved, type Point, records } from "../sync/world.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT, pointsIn, storeOf } from "./destination.ts";
import { expectPoints, WandbWorld } from "./world.ts";

const EVERYTHING: SyncOptions["transform"] = { includeTags: [], excludeTags: [], nan: "keep" };
/** Bytes of lines: about three of them. */
const SMALL = 300;
const ALL = interleaved(curve("loss", 0, 12), curve("debug/x", 0, 12)).map((point) => ({
  ...point,
  wallTime: point.wallTime + (point.tag === "loss" ? 0 : 10),
}));
const LOSS = ALL.filter(({ tag }) => tag === "loss");

async function start(): Promise<{ world: WandbWorld; proxy: FaultProxy }> {
  const world = await WandbWorld.create();
  const proxy = await FaultProxy.start(world.server.port);
  onTestFinished(() => proxy.stop());
  return { world, proxy };
}

function sync(world: WandbWorld, base: string, options: Partial<SyncOptions> = {}): Promise<SyncResult> {
  return world.sync({ backend: connect(base, 1, { store: storeOf(base, 1, SMALL) }), ...options });
}

/** A process that ends at one of its requests for lines, from 1 on. */
async function die(world: WandbWorld, proxy: FaultProxy, at: number, kind: "reset-after" | "late"): Promise<void> {
  const requests = /file_stream$/;
  proxy.inject(
    { fault: { kind }, requests, nth: (n) => n === at },
    { fault: { kind: "reset-before" }, requests, nth: (n) => n > at },
  );
  await sync(world, proxy.uri);
  expect(proxy.faults).toBeGreaterThan(0);
  proxy.reset();
}

async function verify(world: WandbWorld, transform: SyncOptions["transform"]): Promise<VerifyResult> {
  const store = storeOf(world.server.uri, 1, SMALL);
  const place = readPlace({ wandbProject: PROJECT, wandbEntity: undefined }, {});
  try {
    return await verifyWandb({
      ...{ store, reader: new WandbReader(store), place, transform },
      logdirs: [world.logdir.root],
      group: "run",
      restarts: "explicit",
      attachSource: false,
      maxRecordBytes: 1 << 20,
      wantsRun: () => true,
      concurrency: 1,
      signal: new AbortController().signal,
    });
  } finally {
    await store.close();
  }
}

/** Lines may be sent again, and with other values. */
function expectOnly(world: WandbWorld, points: readonly Point[]): void {
  const run = world.run("a");
  const text = ({ tag, step, value }: Pick<Point, "tag" | "value"> & { readonly step: number | bigint }) =>
    `${tag} ${step} ${value}`;
  expect(run.rows.flatMap(pointsIn).map(text).sort()).toEqual(points.map(text).sort());
  const lenient = { changed: expect.any(Number) as number, repeated: expect.any(Number) as number };
  expect(faultsOf(run)).toEqual({ ...NO_FAULTS, ...lenient });
}

test.each([1, 2, 5])("a batch that arrived in part by %i requests, and a narrower choice", async (requests) => {
  const { world, proxy } = await start();
  world.logdir.write("a", fileOf(ALL));
  await die(world, proxy, requests, "reset-after");
  const arrived = world.run("a").history.count;
  expect(arrived).toBeGreaterThan(0);
  expect(arrived).toBeLessThan(ALL.length);
  const transform = { ...EVERYTHING, includeTags: ["loss"] };
  await sync(world, world.server.uri, { transform });
  expectOnly(world, LOSS);
  expect((await verify(world, transform)).runs.map(({ outcome }) => outcome)).toEqual(["equal"]);
  expect((await sync(world, world.server.uri, { transform })).runs.map(({ outcome }) => outcome)).toEqual([
    "unchanged",
  ]);
  await sync(world, world.server.uri);
  expectOnly(world, ALL);
});

test("a batch that arrived in part, and a restart that makes the rest of it obsolete", async () => {
  const { world, proxy } = await start();
  const { wallTime } = curve("loss", 0, 1)[0] as Point;
  world.logdir.write("a", fileOf(ALL));
  await die(world, proxy, 6, "reset-after");
  const after = curve("loss", 3, 5).map((point) => ({ ...point, wallTime: wallTime + 1000, value: -1 }));
  const again = Buffer.concat([eventFile(versionEvent(), sessionStart(3)), records(after)]);
  world.logdir.write("a/events.out.tfevents.1700100000.host.2.0", again);
  await sync(world, world.server.uri);
  expectOnly(world, [...ALL.filter(({ step }) => step < 3), ...after]);
});

test("lines of a plan that was given up, and that arrive after the run has ended, are blanked by the next sync", async () => {
  const { world, proxy } = await start();
  world.logdir.write("a", fileOf(ALL));
  await die(world, proxy, 1, "late");
  const transform = { ...EVERYTHING, excludeTags: ["*"] };
  await sync(world, world.server.uri, { transform });
  expect(world.run("a").history.count).toBe(0);
  expect(await proxy.release()).toBe(1);
  expect(world.run("a").rows.flatMap(pointsIn)).not.toEqual([]);
  await sync(world, world.server.uri, { transform });
  expectOnly(world, []);
});

test.each([1, 2, 4])("request %i of a process that is gone arrives late, and the rows have grown", async (request) => {
  const { world, proxy } = await start();
  // The last step of each file is not over.
  const [first, second] = [curve("acc", 0, 6), curve("acc", 6, 12)];
  const files = [
    ["events.out.tfevents.1700000000.a", interleaved(curve("loss", 0, 7), first)],
    ["events.out.tfevents.1700000001.b", interleaved(curve("x/loss", 0, 7), curve("x/acc", 0, 6))],
  ] as const;
  for (const [name, points] of files) world.logdir.write(`a/${name}`, fileOf(points));
  await die(world, proxy, request, "late");
  const more = [
    ["events.out.tfevents.1700000000.a", second],
    ["events.out.tfevents.1700000001.b", curve("x/acc", 6, 9)],
  ] as const;
  for (const [name, points] of more) world.logdir.append(`a/${name}`, records(points));
  // This one ends as well.
  await die(world, proxy, request + 1, "late");
  world.logdir.append("a/events.out.tfevents.1700000001.b", records(curve("x/acc", 9, 12)));
  await sync(world, world.server.uri);
  const all = [...files, ...more].flatMap(([, points]) => points);
  expectOnly(world, [...all, ...curve("x/acc", 9, 12)]);
  const before = world.run("a").history.changed;
  expect(await proxy.release()).toBe(2);
  expectOnly(world, [...all, ...curve("x/acc", 9, 12)]);
  expect(world.run("a").history.changed).toBe(before);
});

test("rows that W&B does not give back are an error, and no reason to send their values again", async () => {
  const { world, proxy } = await start();
  world.logdir.write("a", fileOf(ALL));
  await sync(world, world.server.uri, { transform: { ...EVERYTHING, includeTags: ["loss"] } });
  const store = storeOf(world.server.uri, 1, SMALL);
  const backend = connect(proxy.uri, 1, {
    store: Object.assign(store, {
      rows: async function* (): AsyncGenerator<readonly string[]> {
        yield world.run("a").history.lines.filter((_, line) => line % 2 === 0);
      },
    }),
  });
  const { runs } = await world.sync({ backend });
  expect(runs).toMatchObject([
    {
      outcome: "failed",
      error: {
        code: "rejected",
        message: expect.stringContaining("gives back 6 of the 12 rows of the run") as string,
        hint: expect.stringContaining("--resend-deleted") as string,
      },
    },
  ]);
  expectPoints(world.run("a"), LOSS);
  await sync(world, world.server.uri);
  expectPoints(world.run("a"), ALL);
});
