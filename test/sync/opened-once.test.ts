/** What a sync of small runs asks of the disk: each event file is opened and read once, whoever looks at it. */
import { expect, test, vi } from "vitest";

const opened = vi.hoisted(() => [] as string[]);
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open: typeof real.open = (path, ...more) => {
    opened.push(String(path));
    return real.open(path, ...more);
  };
  return { ...real, open };
});

const { eventFile, textEvent } = await import("../support/event-writer.ts");
const { curve, fileOf, records, World } = await import("./world.ts");

const ofEvents = () => opened.filter((path) => path.includes("tfevents"));

test.each([10, 300])("of %i small runs, in a first sync and in later ones", async (runs) => {
  const world = World.create();
  for (let i = 0; i < runs; i++) {
    const head = Buffer.concat([fileOf(curve("loss", 0, 20), i), eventFile(textEvent("note", 0, "# drawn on a page"))]);
    world.logdir.write(`run${i}/tfevents.1`, head);
  }
  opened.length = 0;
  await world.sync();
  expect(ofEvents().length).toBe(runs);
  await world.sync();
  expect(ofEvents().length).toBe(runs);
  for (let i = 0; i < runs; i++) world.logdir.append(`run${i}/tfevents.1`, records(curve("loss", 20, 22)));
  await world.sync();
  expect(ofEvents().length).toBe(2 * runs);
});

test("of many files in one run", async () => {
  const world = World.create();
  for (let i = 0; i < 200; i++)
    world.logdir.write(`run/tfevents.${String(i).padStart(4, "0")}`, fileOf(curve("loss", i * 5, i * 5 + 5), i));
  opened.length = 0;
  await world.sync();
  expect(ofEvents().length).toBe(200);
});
