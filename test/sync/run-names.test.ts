/** What runs are called at a destination where the user wants them called otherwise. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { type Machine, machineWithRun } from "../cli/tracelet.ts";
import { codes, curve, expectPoints, fileOf, outcomes, records, sentAgain, World } from "./world.ts";

const names = ({ backend }: World) => backend.runs.map(({ name }) => name).sort();

describe("a template", () => {
  test("names each run, and its logdir", async () => {
    const world = World.create();
    for (const run of ["a", "deep/b"]) world.logdir.write(run, fileOf(curve("loss", 0, 3)));
    await world.sync({ runName: "{logdir}: {run} {other}" });
    expect(names(world)).toEqual(["runs: a {other}", "runs: deep/b {other}"]);
  });

  test("calls the logdir itself by its directory, and takes no name's characters for its own", async () => {
    const world = World.create();
    world.logdir.write("{logdir}", fileOf(curve("loss", 0, 3)));
    world.logdir.write(".", fileOf(curve("loss", 0, 3), 1));
    await world.sync({ runName: "$& {run}" });
    expect(names(world)).toEqual(["$& runs", "$& {logdir}"]);
  });

  test("without {run} gives several runs one name, and they stay several", async () => {
    const world = World.create();
    for (const [i, run] of ["a", "b"].entries()) world.logdir.write(run, fileOf(curve("loss", 0, 3 + i), i));
    for (const _ of [1, 2]) {
      await world.sync({ runName: "baseline" });
      expect(names(world)).toEqual(["baseline", "baseline"]);
    }
    world.loseState();
    await world.sync({ runName: "baseline" });
    // Both are made at once.
    expect(world.backend.runs.map(({ points }) => points.size).toSorted()).toEqual([3, 4]);
    expect(world.backend.runs.map(sentAgain)).toEqual([0, 0]);
  });
});

test.each(["its state", "no state"])("a run that was sent is renamed once, with %s", async (state) => {
  const world = World.create();
  world.logdir.write("train", fileOf(curve("loss", 0, 3)));
  await world.sync();
  if (state === "no state") world.loseState();
  for (const [runName, name] of [
    ["one", "one"],
    ["two", "two"],
    [undefined, "train"],
  ] as const) {
    const result = await world.sync({ runName });
    expect(codes(result)).toEqual(["called"]);
    expect(names(world)).toEqual([name]);
    const again = await world.sync({ runName });
    expect([codes(again), outcomes(again)]).toEqual([[], { train: "unchanged" }]);
    if (state === "no state") world.loseState();
  }
  const run = world.backend.run("train");
  expectPoints(run, curve("loss", 0, 3));
  expect([sentAgain(run), run.status]).toEqual([0, "finished"]);
  world.logdir.append("train", records(curve("loss", 3, 6)));
  await world.sync({ runName: "two" });
  expectPoints(world.backend.run("two"), curve("loss", 0, 6));
});

describe("in MLflow", () => {
  const runs = (machine: Machine) =>
    machine.look((database) =>
      database
        .prepare(
          `SELECT name, status,
             (SELECT value FROM tags WHERE run_uuid = r.run_uuid AND key = 'mlflow.runName') AS tag,
             (SELECT value FROM tags WHERE run_uuid = r.run_uuid AND key = 'mlflow.note.content') AS note
           FROM runs AS r ORDER BY name`,
        )
        .all()
        .map(({ name, status, tag, note }) => ({
          name,
          status,
          tag,
          run: /^TensorBoard run `(.*?)`/.exec(String(note))?.[1],
        })),
    );

  test("a run is created, renamed and verified under the name that is asked for; its note says which it is", async () => {
    const machine = machineWithRun();
    const expectName = (name: string) =>
      expect(runs(machine)).toEqual([{ name, tag: name, status: "FINISHED", run: "train" }]);
    expect(await machine.sync("--run-name", "exp 1")).toMatchObject({ code: 0, runs: [{ name: "train" }] });
    expectName("exp 1");
    const renamed = await machine.sync("--run-name", "exp 2: {run}");
    expect(renamed.runs[0]?.notes).toEqual([
      { code: "called", message: "train is called exp 2: train there instead of exp 1" },
    ]);
    expectName("exp 2: train");
    expect((await machine.sync("--run-name", "exp 2: {run}")).runs).toMatchObject([
      { outcome: "unchanged", notes: [] },
    ]);
    expect((await machine.run("verify", "runs", "--run-name", "exp 2: {run}")).code).toBe(0);
    const other = await machine.run("verify", "runs", "--run-name", "exp 3");
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining("exp 3")]);
    await machine.sync();
    expectName("train");
  });

  test("a name that was given by hand stays, and that is said once", async () => {
    const machine = machineWithRun();
    await machine.sync("--run-name", "exp 1");
    machine.look((database) => {
      database.exec("UPDATE runs SET name = 'best'");
      database.exec("UPDATE tags SET value = 'best' WHERE key = 'mlflow.runName'");
    });
    for (const notes of [["called"], []]) {
      const { runs: synced } = await machine.sync("--run-name", "exp 2");
      expect(synced[0]?.notes.map(({ code }) => code)).toEqual(notes);
      expect(runs(machine)).toMatchObject([{ name: "best", tag: "best" }]);
    }
  });

  test("a blank one is wrong usage", async () => {
    const end = await machineWithRun().run("sync", "runs", "--run-name", " ");
    expect([end.code, end.stderr]).toEqual([2, expect.stringContaining("--run-name is blank")]);
  });
});

test("in files, runs of one name are told apart by a number, and one that is renamed keeps its place", async () => {
  const machine = machineWithRun();
  machine.logdir.write("other", fileOf(curve("loss", 0, 3), 1));
  const to = ["--backend", "jsonl", "--output", "out"];
  await machine.sync(...to, "--run-name", "exp");
  const files = () =>
    readdirSync(path.join(machine.root, "out"), { recursive: true }).filter((each) => String(each).startsWith("exp"));
  const before = files().sort();
  expect(before).toEqual(["exp-2.jsonl", "exp.jsonl"]);
  const renamed = await machine.sync(...to, "--run-name", "new {run}");
  expect(renamed.runs.map(({ notes }) => notes.map(({ code }) => code))).toEqual([["called"], ["called"]]);
  expect(files().sort()).toEqual(before);
  expect((await machine.sync(...to, "--run-name", "new {run}")).runs).toMatchObject([{ notes: [] }, { notes: [] }]);
});
