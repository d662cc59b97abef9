/** A job that was preempted thousands of times: each of its files costs what the first one does. */
import { expect, test } from "vitest";
import { cpuTime } from "../support/cpu-time.ts";
import { eventFile, sessionStart } from "../support/event-writer.ts";
import { curve, fileOf, World } from "./world.ts";

const POINTS = 5;

/** CPU time of a sync of so many files in one run, at first, with one more, and after all were renamed. */
async function costOf(files: number): Promise<number> {
  const world = World.create();
  const write = (i: number) => {
    const points = fileOf(curve("loss", i * POINTS, (i + 1) * POINTS), i);
    // A start of its own makes each value one that may be obsolete.
    const whole = Buffer.concat([points, eventFile(sessionStart((i + 1) * POINTS))]);
    world.logdir.write(nameOf(i), whole);
  };
  for (let i = 0; i < files; i++) write(i);
  const took = cpuTime();
  await world.sync();
  write(files);
  await world.sync();
  for (let i = 0; i <= files; i++) world.logdir.rename(nameOf(i), `run/renamed.${nameOf(files - i).slice(4)}`);
  await world.sync();
  const cost = took();
  expect(world.backend.run("run").points.size).toBe((files + 1) * POINTS);
  return cost;
}

function nameOf(i: number): string {
  return `run/tfevents.${String(i).padStart(6, "0")}`;
}

test("many files in one run take time in proportion", async () => {
  // So that what is compiled, and read from the disk, is so for both.
  await costOf(50);
  const few = await costOf(250);
  expect(await costOf(1000)).toBeLessThan(7 * few);
});
