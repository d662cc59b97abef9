/** Recordings are kept for as long as somebody may need them. */
import { existsSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { discover } from "../../src/reader/discover.ts";
import { Recording } from "../../src/recorder/recording.ts";
import { forgetRecordings, tidy } from "../../src/recorder/tidy.ts";
import { Recordings } from "../../src/sync/source/recordings.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { MemoryBackend } from "../support/memory-backend.ts";
import { curve, fileOf, World } from "../sync/world.ts";

const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** A world with a run that has a recording. */
async function recordedWorld(): Promise<{ world: World; recordings: Recordings; count: () => number }> {
  const world = World.create();
  world.logdir.write("a", fileOf(curve("loss", 0, 3)));
  const recordings = new Recordings(world.stateDir);
  const [file] = discover(world.logdir.root).runs[0]?.files ?? [];
  const directory = await recordings.directoryOfAnchor(file as NonNullable<typeof file>);
  const recording = Recording.open(directory as string) as Recording;
  await recording.add([{ wallTime: 1, values: new Map([["cpu_utilization_percentage", 50]]) }]);
  recording.close();
  return { world, recordings, count: () => [...recordings.all()].length };
}

test("what every destination has taken is removed a week after it was written, and not before", async () => {
  const { world, recordings, count } = await recordedWorld();
  const later = Date.now() + WEEK_MS + 60_000;
  // Nobody has it.
  expect([tidy(world.stateDir, recordings, later), count()]).toEqual([0, 1]);
  await world.sync({ recordings });
  // Another destination has the run without it.
  const [backend, checkpoints] = [new MemoryBackend(), Checkpoints.open(world.stateDir, "other")];
  onTestFinished(() => checkpoints.close());
  await world.sync({ backend, checkpoints });
  expect([tidy(world.stateDir, recordings, later), count()]).toEqual([0, 1]);
  await world.sync({ backend, checkpoints, recordings });
  expect([tidy(world.stateDir, recordings), count()]).toEqual([0, 1]);
  expect([tidy(world.stateDir, recordings, later), count()]).toEqual([1, 0]);
  expect(existsSync(path.join(world.stateDir, "recorded"))).toBe(true);
});

test("forgotten recordings are removed once no destination remembers them", async () => {
  const { world, recordings, count } = await recordedWorld();
  await world.sync({ recordings });
  const paths = new Set(Array.from(recordings.all(), (file) => file.path));
  expect([forgetRecordings(world.stateDir, recordings, paths), count()]).toEqual([0, 1]);
  const checkpoints = Checkpoints.open(world.stateDir, "memory");
  checkpoints.forget([...checkpoints.runs().values()].flat());
  checkpoints.close();
  expect([forgetRecordings(world.stateDir, recordings, paths), count()]).toEqual([1, 0]);
});
