/** Embeddings and the source's own files, from one sync to the next. */
import { appendFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { curve, expectPoints, fileOf, only, records, World } from "./world.ts";

const CONFIG = 'embeddings { tensor_name: "words" tensor_path: "words.tsv" }\n';

function write(world: World, name: string, content: string): void {
  writeFileSync(path.join(world.logdir.root, "train", name), content);
}

test("embeddings are sent once, and again when they change, also without any new value", async () => {
  const world = World.create();
  world.logdir.write("train", fileOf(curve("loss", 0, 3)));
  write(world, "projector_config.pbtxt", CONFIG);
  write(world, "words.tsv", "1\t2\n");
  expect(only(await world.sync()).tally.kinds.get("embeddings")).toMatchObject({ read: 1, sent: 1 });
  const { files } = world.backend.run("train");
  expect([...files]).toEqual([["words tensors", "1\t2\n"]]);
  expect(only(await world.sync()).outcome).toBe("unchanged");

  appendFileSync(path.join(world.logdir.root, "train/words.tsv"), "3\t4\n");
  const again = only(await world.sync());
  expect([again.outcome, again.tally.kinds.get("embeddings")?.sent]).toEqual(["sent", 1]);
  expect([...files]).toEqual([["words tensors", "1\t2\n3\t4\n"]]);

  // A destination that was emptied has nothing of it.
  world.backend.runs = [];
  expect(only(await world.sync()).outcome).toBe("sent");
  expect([...world.backend.run("train").files.keys()]).toEqual(["words tensors"]);
  world.logdir.append("train", records(curve("loss", 3, 4)));
  await world.sync();
  expect([...world.backend.run("train").files.keys()]).toEqual(["words tensors"]);
  expectPoints(world.backend.run("train"), curve("loss", 0, 4));
});

test("a configuration that is half written waits; if it stays so, it is a problem", async () => {
  const world = World.create();
  world.logdir.write("train", fileOf(curve("loss", 0, 3)));
  write(world, "projector_config.pbtxt", CONFIG.slice(0, 20));
  const config = path.join(world.logdir.root, "train/projector_config.pbtxt");
  const first = only(await world.sync());
  expect([first.problems, first.waiting]).toEqual([[], [{ path: config, state: "incomplete", start: 0, end: 20 }]]);
  const second = only(await world.sync());
  expect([second.problems.map((problem) => problem.path), second.waiting]).toEqual([[config], []]);
  write(world, "words.tsv", "1\n");
  write(world, "projector_config.pbtxt", CONFIG);
  const third = only(await world.sync());
  expect([third.problems, third.waiting, third.tally.kinds.get("embeddings")?.sent]).toEqual([[], [], 1]);
  expect(only(await world.sync()).outcome).toBe("unchanged");
});

test("the source's own files are sent where that is wanted, and what was sent before an error is not sent again", async () => {
  const world = World.create();
  world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 3)));
  world.logdir.write("train/tfevents.2", fileOf(curve("loss", 3, 6), 1));
  write(world, "hparams.yaml", "lr: 0.1\n");
  await world.sync();
  const run = world.backend.run("train");
  expect(run.files.size).toBe(0);

  world.backend.fault = ({ method, n }) => (method === "attachFiles" && n === 3 ? { when: "before" } : undefined);
  const failed = only(await world.sync({ attachSource: true }));
  expect([failed.outcome, failed.tally.kinds.get("source_files")]).toMatchObject(["failed", { sent: 1, failed: 1 }]);
  world.backend.fault = () => undefined;
  expect(only(await world.sync({ attachSource: true })).tally.kinds.get("source_files")).toMatchObject({ read: 2 });
  expect([...run.files.keys()]).toEqual(["tfevents.1", "tfevents.2", "hparams.yaml"]);
  expect(only(await world.sync({ attachSource: true })).outcome).toBe("unchanged");

  world.logdir.append("train/tfevents.2", records(curve("loss", 6, 7)));
  await world.sync({ attachSource: true });
  expect(Buffer.from(run.files.get("tfevents.2") ?? "", "latin1")).toEqual(world.logdir.read("train/tfevents.2"));
  expectPoints(run, curve("loss", 0, 7));
});

test("without a value or an embedding there is no run for files to go to", async () => {
  const world = World.create();
  world.logdir.write("train", fileOf([]));
  expect(only(await world.sync({ attachSource: true })).outcome).toBe("empty");
  write(world, "projector_config.pbtxt", CONFIG);
  write(world, "words.tsv", "1\n");
  await world.sync({ attachSource: true });
  expect(world.backend.run("train").files.size).toBe(3);
  rmSync(path.join(world.logdir.root, "train/projector_config.pbtxt"));
  await world.sync({ attachSource: true });
  expect(only(await world.sync({ attachSource: true })).outcome).toBe("unchanged");
});

test("what is only called like an event file is never attached, and that is said once", async () => {
  const world = World.create();
  const key = "-----BEGIN OPENSSH PRIVATE KEY-----\n".repeat(50);
  world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 3)));
  write(world, "tfevents.2", key);
  write(world, "tfevents.3", "");
  const first = only(await world.sync({ attachSource: true }));
  const run = world.backend.run("train");
  expect([...run.files.keys()]).toEqual(["tfevents.1"]);
  expect(first.notes).toMatchObject([
    { message: expect.stringMatching(/tfevents\.2 is not attached: it holds no record/) },
  ]);
  expect(first.tally.kinds.get("source_files")).toMatchObject({
    read: 3,
    sent: 1,
    skipped: new Map([["no-records", 2]]),
  });
  expect(only(await world.sync({ attachSource: true }))).toMatchObject({ outcome: "unchanged", notes: [] });
  // It becomes one.
  world.logdir.write("train/tfevents.3", fileOf(curve("loss", 3, 6), 1));
  await world.sync({ attachSource: true });
  expect([...run.files.keys()]).toEqual(["tfevents.1", "tfevents.3"]);
});

test("what links lead to outside the logdir is neither read nor attached, and is said", async () => {
  const world = World.create();
  const secret = path.join(world.root, "secret.yaml");
  writeFileSync(secret, "password: hunter2\n");
  const stolen = path.join(world.root, "stolen");
  writeFileSync(stolen, fileOf(curve("stolen", 0, 3), 1));
  world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 3)));
  symlinkSync(secret, path.join(world.logdir.root, "train/hparams.yaml"));
  symlinkSync(secret, path.join(world.logdir.root, "train/projector_config.pbtxt"));
  symlinkSync(stolen, path.join(world.logdir.root, "train/tfevents.2"));
  const result = await world.sync({ attachSource: true });
  expect(result.problems.map(({ code }) => code)).toEqual(["OUTSIDE", "OUTSIDE", "OUTSIDE"]);
  const run = world.backend.run("train");
  expect([[...run.hparams.keys()], [...run.files.keys()]]).toEqual([[], ["tfevents.1"]]);
  expectPoints(run, curve("loss", 0, 3));
});
