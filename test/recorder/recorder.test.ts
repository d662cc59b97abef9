/** What is recorded beside runs that grow, and how it reaches destinations. */
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readValues } from "../../src/reader/read-values.ts";
import { Recorder } from "../../src/recorder/recorder.ts";
import { Recordings } from "../../src/sync/source/recordings.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { MemoryBackend, type MemoryRun } from "../support/memory-backend.ts";
import { Watching } from "../sync/watched.ts";
import { codes, curve, expectPoints, fileOf, outcomes, records, sentAgain, World } from "../sync/world.ts";

const INTERVAL_MS = 20;
const NAME = "events.out.tfevents.1700000000.host.1.0";

/** One that takes the samples 1, 2, 3, …. */
function recorderIn(
  world: World,
  sample?: () => Promise<ReadonlyMap<string, number>>,
  onFailure: (message: string) => void = (message) => expect.unreachable(message),
): Recorder {
  let taken = 0;
  const recorder = new Recorder({
    recordings: new Recordings(world.stateDir),
    intervalMs: INTERVAL_MS,
    sample: sample ?? (async () => new Map([["cpu_utilization_percentage", ++taken]])),
    once: new Map(),
    idleTimeoutMs: 60_000,
    onFailure,
  });
  onTestFinished(() => recorder.close());
  return recorder;
}

function watching(world: World, recorder: Recorder, options: ConstructorParameters<typeof Watching>[1] = {}): Watching {
  return new Watching(world, { recorder, recordings: new Recordings(world.stateDir), ...options });
}

/** The steps of its samples, in order. */
function steps(run: MemoryRun | undefined): number[] {
  const system = [...(run?.points.keys() ?? [])].filter((point) => point.startsWith("system/"));
  return system.map((point) => Number(point.split(" ")[1])).sort((a, b) => a - b);
}

function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** All samples that were recorded, as the reader has them. */
async function recorded(world: World): Promise<{ tag: string; step: number; value: number }[]> {
  const root = path.join(world.stateDir, "recorded");
  const all: { tag: string; step: number; value: number }[] = [];
  for (const directory of readdirSync(root)) {
    for await (const value of readValues(path.join(root, directory))) {
      if (value.kind === "scalars") all.push({ tag: value.tag, step: Number(value.step), value: value.value });
    }
  }
  return all;
}

test("a run that grows gets samples, under MLflow's name, and all that were recorded", async () => {
  const world = World.create();
  world.logdir.write(`old/${NAME}`, fileOf(curve("loss", 0, 3), 1));
  const recorder = recorderIn(world);
  const watch = watching(world, recorder);
  await watch.caughtUp();
  world.logdir.write(`new/${NAME}`, fileOf(curve("loss", 0, 3), 2));
  const run = (name: string) => world.backend.runs.find((each) => each.name === name);
  await watch.until(() => expect(steps(run("new")).length).toBeGreaterThan(3));
  await watch.end();
  await recorder.close();
  await world.sync({ recordings: new Recordings(world.stateDir) });
  const all = await recorded(world);
  expect(new Set(all.map(({ tag }) => tag))).toEqual(new Set(["system/cpu_utilization_percentage"]));
  expect(steps(run("new"))).toEqual(upTo(all.length));
  expect(all.map(({ step }) => step)).toEqual(upTo(all.length));
  // One that has not grown since the watch began is over.
  expect(steps(run("old"))).toEqual([]);
  expectPoints(run("old") as MemoryRun, curve("loss", 0, 3));
  // What is recorded does not tell when a run ended.
  expect(run("new")?.endTime).toBe(run("old")?.endTime);
});

test("another destination gets the same samples, and a recording that is gone is missed by nobody", async () => {
  const world = World.create();
  const recorder = recorderIn(world);
  const watch = watching(world, recorder);
  await watch.caughtUp();
  world.logdir.write(`a/${NAME}`, fileOf(curve("loss", 0, 3)));
  await watch.until(() => expect(steps(world.backend.runs[0]).length).toBeGreaterThan(2));
  await watch.end();
  await recorder.close();
  const recordings = new Recordings(world.stateDir);
  await world.sync({ recordings });
  const other = new MemoryBackend();
  const checkpoints = Checkpoints.open(world.stateDir, "other");
  onTestFinished(() => checkpoints.close());
  await world.sync({ recordings, backend: other, checkpoints });
  expect([...(other.runs[0]?.points.keys() ?? [])].sort()).toEqual(
    [...(world.backend.runs[0]?.points.keys() ?? [])].sort(),
  );

  rmSync(path.join(world.stateDir, "recorded"), { recursive: true });
  const result = await world.sync({ recordings });
  expect(outcomes(result)).toEqual({ a: "unchanged" });
  world.logdir.append(`a/${NAME}`, records(curve("loss", 3, 5)));
  const after = await world.sync();
  expect([outcomes(after), codes(after)]).toEqual([{ a: "sent" }, []]);
  expect(sentAgain(world.backend.runs[0] as MemoryRun)).toBe(0);
  expect(world.backend.runs).toHaveLength(1);
});

test("a second watch goes on behind the steps of the first, and what is sent twice is sent once", async () => {
  const world = World.create();
  for (const round of [0, 1]) {
    const recorder = recorderIn(world);
    const watch = watching(world, recorder);
    await watch.caughtUp();
    const [from, to] = [round * 3, round * 3 + 3];
    if (round === 0) world.logdir.write(`a/${NAME}`, fileOf(curve("loss", from, to)));
    else world.logdir.append(`a/${NAME}`, records(curve("loss", from, to)));
    const before = steps(world.backend.runs[0]).length;
    await watch.until(() => expect(steps(world.backend.runs[0]).length).toBeGreaterThan(before + 2));
    await watch.end();
    // As if it had died.
    await recorder.close();
  }
  const recordings = new Recordings(world.stateDir);
  await world.sync({ recordings });
  const all = await recorded(world);
  expect(steps(world.backend.runs[0])).toEqual(upTo(all.length));
  expect(sentAgain(world.backend.runs[0] as MemoryRun)).toBe(0);
  // With the state lost, what is there is found again.
  for (const name of readdirSync(world.stateDir))
    if (name.includes(".db")) rmSync(path.join(world.stateDir, name), { recursive: true });
  await world.sync({ recordings });
  expect(world.backend.runs).toHaveLength(1);
  expect(steps(world.backend.runs[0])).toEqual(upTo(all.length));
});

test.each(["run", "parent", "none", "nested", "logdir"] as const)(
  "with --group %s each run of the destination has samples of its own name",
  async (group) => {
    const world = World.create();
    const recorder = recorderIn(world);
    const watch = watching(world, recorder, { group });
    await watch.caughtUp();
    world.logdir.write(`exp/train/${NAME}`, fileOf(curve("loss", 0, 3), 1));
    world.logdir.write(`exp/validation/${NAME}`, fileOf(curve("loss", 0, 3), 2));
    const withValues = () => world.backend.runs.filter(({ points }) => points.size > 0);
    await watch.until(() => {
      expect(withValues()).toHaveLength(group === "parent" || group === "logdir" ? 1 : 2);
      for (const run of withValues()) expect(steps(run).length).toBeGreaterThan(2);
    });
    await watch.end();
  },
);

test("two watches: one of them records", async () => {
  const world = World.create();
  const [first, second] = [recorderIn(world), recorderIn(world)];
  const watch = watching(world, first);
  await watch.caughtUp();
  world.logdir.write(`a/${NAME}`, fileOf(curve("loss", 0, 3)));
  await watch.until(() => expect(steps(world.backend.runs[0]).length).toBeGreaterThan(2));
  const recordings = new Recordings(world.stateDir);
  const other = new MemoryBackend();
  const checkpoints = Checkpoints.open(world.stateDir, "other");
  const beside = new Watching(world, { recorder: second, recordings, backend: other, checkpoints });
  await beside.caughtUp();
  world.logdir.append(`a/${NAME}`, records(curve("loss", 3, 5)));
  const before = steps(other.runs[0]).length;
  await beside.until(() => expect(steps(other.runs[0]).length).toBeGreaterThan(before + 2));
  await beside.end();
  await watch.end();
  checkpoints.close();
  const all = await recorded(world);
  expect(all.map(({ step }) => step)).toEqual(upTo(all.length));
});

test("a machine that does not answer keeps nothing from being sent", async () => {
  const world = World.create();
  const said: string[] = [];
  const recorder = recorderIn(
    world,
    () => new Promise(() => {}),
    (message) => said.push(message),
  );
  const watch = watching(world, recorder);
  await watch.caughtUp();
  world.logdir.write(`a/${NAME}`, fileOf(curve("loss", 0, 3)));
  await watch.until(() => expect(world.backend.runs[0]?.points.size).toBe(3));
  await watch.end();
  await recorder.close();
  expect(said).toEqual([expect.stringContaining("took too long")]);
});

test("a run that gets event files that are read before its own keeps its recording", async () => {
  const world = World.create();
  const recorder = recorderIn(world);
  const watch = watching(world, recorder, { group: "parent" });
  await watch.caughtUp();
  world.logdir.write(`exp/validation/${NAME}`, fileOf(curve("loss", 0, 3), 1));
  await watch.until(() => expect(steps(world.backend.runs[0]).length).toBeGreaterThan(2));
  world.logdir.write(`exp/train/${NAME.replace("host.1.0", "host.1.1")}`, fileOf(curve("loss", 0, 3), 2));
  const before = steps(world.backend.runs[0]).length;
  await watch.until(() => expect(steps(world.backend.runs[0]).length).toBeGreaterThan(before + 3));
  await watch.end();
  await recorder.close();
  await world.sync({ group: "parent", recordings: new Recordings(world.stateDir) });
  expect(readdirSync(path.join(world.stateDir, "recorded"))).toHaveLength(1);
  expect(steps(world.backend.runs[0])).toEqual(upTo((await recorded(world)).length));
});
