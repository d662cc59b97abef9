/** Which of the two kinds of watches is used, and that chokidar is loaded only by who watches. */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { EVENT_FILE } from "../support/logdirs.ts";
import { Followed } from "./followed.ts";
import { curve, fileOf, World } from "./world.ts";

/** The paths that chokidar was asked to watch. */
const watched = vi.hoisted(() => [] as string[]);
const loaded = vi.hoisted(() => vi.fn());

vi.mock("chokidar", async (importOriginal) => {
  loaded();
  const { FSWatcher } = await importOriginal<typeof import("chokidar")>();
  class Spied extends FSWatcher {
    override add(...[paths, ...rest]: Parameters<InstanceType<typeof FSWatcher>["add"]>) {
      watched.push(...[paths].flat());
      return super.add(paths, ...rest);
    }
  }
  return { FSWatcher: Spied };
});

let world: World;
let file: string;

beforeEach(() => {
  world = World.create();
  file = path.join(world.logdir.root, "a", EVENT_FILE);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, fileOf(curve("loss", 0, 3)));
  watched.length = 0;
});

/** Only an event can bring the append. */
async function expectSeen(chokidarLimit?: number): Promise<void> {
  const timing = { pollMs: 100_000, rescanMs: 600_000 };
  const followed = new Followed([world.logdir.root], {
    ...timing,
    ...(chokidarLimit !== undefined && { chokidarLimit }),
  });
  onTestFinished(() => followed.end());
  await followed.start();
  appendFileSync(file, "more");
  await followed.catchesUp(world.logdir.root);
}

test("sync does not load chokidar", async () => {
  await world.sync();
  expect(loaded).not.toHaveBeenCalled();
});

test("a small tree is watched by chokidar", async () => {
  await expectSeen();
  expect(new Set(watched)).toEqual(new Set([world.logdir.root, path.dirname(file)]));
});

test("a tree beyond the limit is not", async () => {
  await expectSeen(0);
  expect(watched).toEqual([]);
});

test("nor is it where chokidar is told to poll, by which it would see no append", async () => {
  vi.stubEnv("CHOKIDAR_USEPOLLING", "1");
  onTestFinished(() => void vi.unstubAllEnvs());
  await expectSeen();
  expect(watched).toEqual([]);
});

test("a directory of many entries goes on with a watch of our own", async () => {
  for (let i = 0; i < 50; i++) writeFileSync(path.join(path.dirname(file), `checkpoint-${i}`), "");
  const chokidar = await import("chokidar");
  const close = vi.spyOn(chokidar.FSWatcher.prototype, "close");
  onTestFinished(() => void close.mockRestore());
  const followed = new Followed([world.logdir.root], { pollMs: 100_000, rescanMs: 600_000 });
  onTestFinished(() => followed.end());
  await followed.start();
  expect(close).toHaveBeenCalledTimes(1);
  appendFileSync(file, "more");
  await followed.catchesUp(world.logdir.root);
});
