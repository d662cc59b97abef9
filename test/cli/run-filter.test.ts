/** `--include-runs` and `--exclude-runs`, as they are typed: whole runs, whatever lies in their directories. */
import { expect, test } from "vitest";
import { curve, fileOf } from "../sync/world.ts";
import { Machine } from "./tracelet.ts";

/** As torch names the files of one process. */
const file = (run: string, number: number, process: number) =>
  `${run}/events.out.tfevents.170000000${number}.host.${process}.${number}`;

test("a run that is excluded leaves nothing behind, and comes whole once it is not", async () => {
  const machine = Machine.create();
  machine.logdir.write(file("first", 0, 10), fileOf(curve("acc", 0, 3)));
  machine.logdir.write(file("first/pair_a", 1, 10), fileOf(curve("pair", 0, 3), 1));
  machine.logdir.write(file("second", 2, 11), fileOf(curve("acc", 0, 3), 2));
  const namesOf = async (...args: string[]) => {
    const { runs, excludedRuns } = await machine.sync(...args);
    return [runs.map(({ name, outcome }) => `${name} ${outcome}`), excludedRuns];
  };
  const without = ["--exclude-runs", "first*"];
  expect(await namesOf("--dry-run", ...without)).toEqual([["second sent"], 1]);
  expect(await namesOf(...without)).toEqual([["second sent"], 1]);
  const target = ["--backend", "mlflow", "--tracking-uri", `sqlite:///${machine.database}`];
  expect(await machine.run("verify", "runs", ...target, ...without)).toMatchObject({ code: 0 });
  expect(await namesOf()).toEqual([["first sent", "second unchanged"], 0]);
  expect(await machine.run("verify", "runs", ...target)).toMatchObject({ code: 0 });
  expect(await namesOf("--exclude-runs", "*")).toEqual([[], 2]);
});
