/** What a destination is told of where a run's files lie. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { curve, fileOf, World } from "./world.ts";

const paths = (world: World) =>
  Object.fromEntries(world.backend.runs.map(({ name, origin }) => [name, origin?.path]).sort());

test("is nothing unless it is asked for", async () => {
  const world = World.create();
  world.logdir.write("train", fileOf(curve("loss", 0, 5)));
  await world.sync();
  expect(world.backend.run("train").origin).toBeUndefined();
});

test("is this machine and the directory itself, whatever links lead to it", async () => {
  const world = World.create();
  const far = world.otherLogdir("far");
  far.write("deep/tfevents.1", fileOf(curve("loss", 0, 7)));
  world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 5)));
  symlinkSync(far.root, path.join(world.logdir.root, "link"));
  const linked = path.join(world.root, "runs-link");
  symlinkSync(world.logdir.root, linked);
  await world.sync({ tellsOrigin: true, logdirs: [path.relative(process.cwd(), linked)] });
  expect(paths(world)).toEqual({
    "link/deep": path.join(far.root, "deep"),
    train: path.join(world.logdir.root, "train"),
  });
  expect(world.backend.run("train").origin?.host).toBe(os.hostname());
});

test("is each run's own directory: of one that has parts, of a directory that holds others, of several logdirs", async () => {
  const world = World.create();
  const other = world.otherLogdir("other");
  const file = (run: string, n: number) => `${run}/events.out.tfevents.170000000${n}.host.10.${n}`;
  world.logdir.write(file("sweep/exp", 0), fileOf(curve("acc", 0, 5)));
  world.logdir.write(file("sweep/exp/loss_a", 1), fileOf(curve("loss", 0, 5)));
  other.write(file("sweep/exp", 0), fileOf(curve("acc", 0, 9), 1));
  await world.sync({ tellsOrigin: true, group: "nested", logdirs: [world.logdir.root, other.root] });
  expect(world.backend.runs.map(({ origin }) => origin?.path).sort()).toEqual(
    [world.logdir, other].flatMap(({ root }) => [path.join(root, "sweep"), path.join(root, "sweep/exp")]).sort(),
  );
});

test("is a path that is no text, as it is shown", async () => {
  const world = World.create();
  const name = Buffer.from("runs/tr\xe4in", "latin1");
  const directory = Buffer.concat([Buffer.from(`${world.root}/`), name]);
  mkdirSync(directory, { recursive: true });
  writeFileSync(Buffer.concat([directory, Buffer.from("/tfevents.1")]), fileOf(curve("loss", 0, 5)));
  await world.sync({ tellsOrigin: true });
  expect(world.backend.runs.map(({ origin }) => origin?.path)).toEqual([`${world.logdir.root}/tr\\xe4in`]);
});
