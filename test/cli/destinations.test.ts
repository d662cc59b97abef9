/** `--backend`: what it takes, and what goes with each. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { curve, fileOf } from "../sync/world.ts";
import { machineWithRun } from "./tracelet.ts";

test.each([
  [["--backend", "jsonl"], "needs to be told where the files go"],
  [["--backend", "csv"], "needs to be told where the files go"],
  [["--backend", "jsonl", "--output", "out", "--experiment", "e"], "--experiment is an option of MLflow"],
  [
    ["--backend", "csv", "--output", "out", "--tracking-uri", "sqlite:///x.db"],
    "--tracking-uri is an option of MLflow",
  ],
  [["--output", "out"], "--output is an option of files"],
  [["--backend", "csv", "--output", "-"], "--output - takes --backend jsonl only"],
  [["--backend", "jsonl", "--output", "-", "--json"], "--json and --output - would both write to standard output"],
  [["--backend", "jsonl,", "--output", "out"], "argument 'jsonl,' is invalid. It has an empty name."],
  [["--backend", ""], "It has an empty name."],
  [
    ["--backend", "xls", "--output", "out"],
    "there is no backend xls: it is none of mlflow, wandb, jsonl, csv, parquet",
  ],
])("tracelet sync runs %j is refused", async (args, message) => {
  const machine = machineWithRun();
  const { code, stderr, stdout } = await machine.run("sync", "runs", ...args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  if (!args.includes("--json")) expect(stdout).toBe("");
  expect(existsSync(path.join(machine.root, "out"))).toBe(false);
});

test("a variable of a backend that was not chosen is ignored", async () => {
  const machine = machineWithRun();
  machine.env = { TRACELET_OUTPUT: "elsewhere", TRACELET_EXPERIMENT: "e" };
  expect(await machine.sync()).toMatchObject({ code: 0, outcome: "ok" });
  expect(existsSync(path.join(machine.root, "elsewhere"))).toBe(false);
  const { code } = await machine.run("sync", "runs", "--backend", "jsonl", "--output", "out");
  expect([code, existsSync(path.join(machine.root, "out/train.jsonl"))]).toEqual([0, true]);
});

test("verify: a run that could not be compared is said to be missing from the counts", async () => {
  const machine = machineWithRun();
  machine.logdir.write("other", fileOf(curve("loss", 0, 5), 1));
  const to = ["runs", "--backend", "jsonl", "--output", "out"];
  await machine.run("sync", ...to);
  writeFileSync(path.join(machine.root, "out/other.jsonl"), "{}\n");
  const { code, stderr } = await machine.run("verify", ...to);
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /\nruns +1 .*\npoints +20 .*\n[^]*incomplete: 1 run could not be compared\nCould not be compared\n {2}other: /,
    ),
  ]);
});

test.each(["jsonl", "csv", "parquet"])("verify of %s: what is missing is an exit code of 1", async (backend) => {
  const machine = machineWithRun();
  const to = ["runs", "--backend", backend, "--output", "out"];
  const before = await machine.run("verify", ...to, "--json");
  expect([before.code, JSON.parse(before.stdout).outcome]).toEqual([1, "different"]);
  expect(before.stderr).toContain("train: the run is not there");
  expect((await machine.run("sync", ...to)).code).toBe(0);
  const { code, stdout } = await machine.run("verify", ...to, "--json");
  const { outcome, counts, location } = JSON.parse(stdout);
  expect([code, outcome, location]).toEqual([0, "equal", path.join(machine.root, "out")]);
  expect(counts.points).toMatchObject({ compared: 20, missing: 0, extra: 0, different: 0, doubled: 0 });
});

test.each([
  [["--backend", "jsonl"], "verify needs to be told where the files are"],
  [["--backend", "jsonl", "--output", "-"], "verify needs to be told where the files are"],
])("tracelet verify runs %j is refused", async (args, message) => {
  const { code, stderr } = await machineWithRun().run("verify", "runs", ...args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
});

test.each([
  ["jsonl", "train.jsonl"],
  ["csv", "train/scalars.csv"],
  ["parquet", "scalars/train/part-0.parquet"],
])("status, forget and a dry run of %s", async (backend, name) => {
  const machine = machineWithRun();
  const to = ["--backend", backend, "--output", "out"];
  const out = path.join(machine.root, "out");
  const dry = await machine.sync("--dry-run", ...to);
  expect([dry.code, dry.kinds["scalars"]?.sent, existsSync(out)]).toEqual([0, 20, false]);
  const first = await machine.sync(...to);
  expect([first.code, first.location, first.kinds["scalars"]?.sent]).toEqual([0, out, 20]);
  const { stdout } = await machine.run("status", "runs", "--json");
  expect(JSON.parse(stdout).runs).toMatchObject([{ destination: `${backend} ${out}`, run: "train", state: "done" }]);
  expect((await machine.run("forget", "train", "--backend", "mlflow")).code).toBe(1);
  expect((await machine.run("forget", "train", "--backend", backend)).code).toBe(0);
  const file = path.join(out, name);
  const before = readFileSync(file);
  const again = await machine.sync(...to);
  expect([again.code, readFileSync(file).equals(before)]).toEqual([0, true]);
  // What is gone is written again.
  rmSync(out, { recursive: true });
  expect((await machine.sync(...to)).kinds["scalars"]?.sent).toBe(20);
});

test("standard output gets all there is, each time", async () => {
  const machine = machineWithRun();
  for (let turn = 0; turn < 2; turn++) {
    const { code, stdout } = await machine.run("sync", "runs", "--backend", "jsonl", "--output", "-");
    const lines = stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(lines[0]).toMatchObject({ run: "train", kind: "run", format: 1 });
    expect(lines.at(-1)).toMatchObject({ run: "train", kind: "status", status: "finished" });
    expect(lines.slice(1, -1).filter(({ run, kind }) => run === "train" && kind === "scalar")).toHaveLength(20);
  }
});
