/** What a run's hyperparameters are where its event files and its `hparams.yaml` both have some. */
import { cpSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { pythonText } from "../../src/reader/python-text.ts";
import { eventFile, hparamsEvent, scalarEvent } from "../support/event-writer.ts";
import { curve, fileOf, World } from "./world.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const events = (hparams: Readonly<Record<string, number | string | boolean>>): Buffer =>
  Buffer.concat([fileOf(curve("loss", 0, 5)), eventFile(hparamsEvent(hparams), scalarEvent("end", 9, 1))]);

/** What both sources of a run make together, and what is said of it. */
async function synced(file: Buffer, yaml: string, world: World = World.create()) {
  world.logdir.write("train", file);
  world.logdir.write("train/hparams.yaml", Buffer.from(yaml));
  const [run] = (await world.sync()).runs;
  const sent = world.backend.run("train").params;
  const params = Object.fromEntries(Array.from(sent, ([name, value]) => [name, pythonText(value)]));
  return { params, notes: run?.notes.map(({ code, message }) => `${code}: ${message}`), world };
}

test("the event file's value wins; of the same number the file knows the type", async () => {
  const { params, notes } = await synced(
    events({ lr: 0.1, layers: 3, amp: 1, color: "Color.RED", betas: "(0.9, 0.999)" }),
    "lr: 0.2\nlayers: 3\namp: true\ncolor: RED\nbetas: !!python/tuple [0.9, 0.999]\nseed: 7\n",
  );
  expect(params).toEqual({
    lr: "0.1",
    layers: "3",
    amp: "True",
    color: "Color.RED",
    betas: "(0.9, 0.999)",
    seed: "7",
  });
  expect(notes).toEqual(['param-conflict: hyperparameter "lr" is 0.1, as in its event file; hparams.yaml has 0.2']);
});

test("what Lightning takes apart in the event file is not sent whole as well", async () => {
  const { params, notes } = await synced(
    events({ "blocks/0/width": 1, "blocks/1/width": 2, "od/a": 1, "cfg/lr": 0.5 }),
    "blocks: [{width: 1}, {width: 2}]\nod: !!python/object/apply:collections.OrderedDict [[[a, 1]]]\ncfg: !!python/object:my.Config {lr: 0.5}\n",
  );
  expect(params).toEqual({ "blocks/0/width": "1", "blocks/1/width": "2", "od/a": "1.0", "cfg/lr": "0.5" });
  expect(notes).toEqual([]);
});

test("the file's are sent when all of the event files has been read, however many batches that takes", async () => {
  const world = World.create();
  world.backend.batchSize = 2;
  const { params } = await synced(events({ lr: 0.1 }), "lr: 0.3\nseed: 1\n", world);
  expect(params).toEqual({ lr: "0.1", seed: "1" });
});

test("what nobody can read is left out, with one note that names it", async () => {
  const yaml = "a: !!python/object:my.A {x: 1}\nb: !!python/object/apply:my.B [1]\nlr: 0.1\n";
  const { params, notes, world } = await synced(fileOf(curve("loss", 0, 5)), yaml);
  expect(params).toEqual({ lr: "0.1" });
  expect(notes).toEqual([
    'unreadable-hparams: hyperparameters of hparams.yaml that only Python can read are skipped: "a" (my.A), "b" (my.B)',
  ]);
  expect((await world.sync()).runs).toMatchObject([{ outcome: "unchanged", notes: [] }]);
});

test.each(["lightning-logger-numpy", "lightning-logger-objects", "lightning-hparams-tensor"])(
  "%s: as Python prints them",
  async (name) => {
    const world = World.create();
    cpSync(path.join(FIXTURES, name, "runs"), path.join(world.root, "runs"), { recursive: true });
    const { runs } = await world.sync();
    const expected = JSON.parse(readFileSync(path.join(FIXTURES, name, "expected-params.json"), "utf8")) as Record<
      string,
      { params: Record<string, string>; unreadable: string[] }
    >;
    for (const [run, { params, unreadable }] of Object.entries(expected)) {
      const sent = Object.fromEntries(
        Array.from(world.backend.run(run).params, ([key, value]) => [key, pythonText(value)]),
      );
      expect(sent).toEqual(params);
      const notes = runs.find((each) => each.name === run)?.notes ?? [];
      expect(notes.filter(({ code }) => code !== "unreadable-hparams")).toEqual([]);
      expect(notes).toHaveLength(unreadable.length > 0 ? 1 : 0);
    }
  },
);
