/** Samples of a run of which nobody knows whether it is still under way. */
import { expect, onTestFinished, test, vi } from "vitest";
import { discover } from "../../src/reader/discover.ts";
import { Recorder, type RecorderOptions } from "../../src/recorder/recorder.ts";
import { groupAlone } from "../../src/sync/source/groups.ts";
import { Recordings } from "../../src/sync/source/recordings.ts";
import type { RunGroup } from "../../src/sync/source/run-group.ts";
import { curve, fileOf, World } from "../sync/world.ts";

/** Of an event file: its first record, and that of a sample of one value. */
const VERSION_BYTES = 40;
const SAMPLE_BYTES = 60;
const PATIENCE = { timeout: 60_000, interval: 10 };

function recording(options: Partial<RecorderOptions>): {
  recorder: Recorder;
  group: RunGroup;
  taken: () => number;
  bytes: () => number;
} {
  const world = World.create();
  world.logdir.write("a", fileOf(curve("loss", 0, 3)));
  const [run] = discover(world.logdir.root).runs;
  const recordings = new Recordings(world.stateDir);
  let taken = 0;
  const recorder = new Recorder({
    recordings,
    intervalMs: 10,
    sample: async () => new Map([["cpu_utilization_percentage", ++taken]]),
    once: new Map(),
    idleTimeoutMs: 60_000,
    onFailure: (message) => expect.unreachable(message),
    ...options,
  });
  onTestFinished(() => recorder.close());
  const bytes = () => [...recordings.all()].reduce((sum, { size }) => sum + size, 0);
  return { recorder, group: groupAlone(run as NonNullable<typeof run>), taken: () => taken, bytes };
}

/** Wait for ten samples of which none is written. @returns how many bytes there are */
async function heldBack(taken: () => number, bytes: () => number): Promise<number> {
  let [one, since] = [0, 0];
  await vi.waitFor(() => {
    if (bytes() !== one || one <= VERSION_BYTES) [one, since] = [bytes(), taken()];
    expect(taken() - since).toBeGreaterThan(10);
  }, PATIENCE);
  return one;
}

test("they are held back, and written when it grows again", async () => {
  const { recorder, group, taken, bytes } = recording({ livelyMs: 0 });
  recorder.grew(group);
  const one = await heldBack(taken, bytes);
  recorder.grew(group);
  await vi.waitFor(() => expect(bytes() - one).toBeGreaterThan(9 * SAMPLE_BYTES), PATIENCE);
});

test("they are dropped when it is over, and none is taken while no run is under way", async () => {
  const { recorder, group, taken, bytes } = recording({ livelyMs: 0 });
  recorder.grew(group);
  const one = await heldBack(taken, bytes);
  recorder.ended(group);
  await recorder.close();
  expect(bytes()).toBe(one);
});

test("one that has not grown for the idle timeout is over", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const { recorder, group, taken, bytes } = recording({ idleTimeoutMs: 500, livelyMs: 0 });
  recorder.grew(group);
  while (bytes() <= VERSION_BYTES) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(400);
  const early = taken();
  await vi.advanceTimersByTimeAsync(50);
  expect(taken()).toBe(early + 5);
  await vi.advanceTimersByTimeAsync(100);
  // It takes none any more.
  const last = taken();
  await vi.advanceTimersByTimeAsync(1000);
  expect(taken()).toBe(last);
});

test("where recordings cannot be written, that is said once", async () => {
  const said: string[] = [];
  const { recorder, group } = recording({
    recordings: new Recordings("/dev/null/state"),
    onFailure: (message) => said.push(message),
  });
  recorder.grew(group);
  await vi.waitFor(() => expect(said).toHaveLength(1), PATIENCE);
  recorder.grew(group);
  await recorder.close();
  expect(said).toEqual([expect.stringContaining("cannot record what goes on beside runs")]);
});
