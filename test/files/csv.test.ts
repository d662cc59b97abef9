/** Tables of comma-separated values: what is in them, and what becomes of them when something breaks. */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type CsvRun, CsvRuns } from "../../src/backends/files/csv-runs.ts";
import { eventFile, hparamsEvent, scalarEvent, textEvent, versionEvent } from "../support/event-writer.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { Output, range } from "./output.ts";

class CsvOutput extends Output<CsvRun> {
  constructor() {
    super((directory) => new CsvRuns(directory));
  }

  read(name = "train/scalars.csv"): string {
    return readFileSync(this.file(name), "utf8");
  }

  steps(): number[] {
    const rows = this.read().split("\r\n").slice(1, -1);
    return rows.map((row) => Number(row.split(",")[2]));
  }
}

test("a row a scalar, a row a hyperparameter; other kinds are counted as left out", async () => {
  const output = new CsvOutput();
  output.world.logdir.write(
    "a,b",
    eventFile(
      versionEvent(),
      hparamsEvent({ lr: 0.5, name: 'say "hi"\n', on: true }),
      scalarEvent("loss", 2n ** 63n - 1n, 0.1, 1.000000000000001),
      scalarEvent("a\nb", 1, Number.NaN),
      scalarEvent(" x", 2, -Infinity),
      textEvent("note", 3, "text"),
    ),
  );
  const { runs, error } = await output.sync();
  expect(error).toBeUndefined();
  expect(output.read("a,b/scalars.csv")).toBe(
    [
      "run,tag,step,wall_time,value",
      `"a,b",loss,9223372036854775807,1.000000000000001,${Math.fround(0.1)}`,
      '"a,b","a\nb",1,1700000000.25,NaN',
      '"a,b"," x",2,1700000000.25,-Infinity',
      "",
    ].join("\r\n"),
  );
  expect(output.read("a,b/hparams.csv")).toBe(
    ["run,name,value", '"a,b",lr,0.5', '"a,b",name,"say ""hi""\n"', '"a,b",on,True', ""].join("\r\n"),
  );
  expect(runs[0]?.tally.kinds.get("text")?.skipped).toEqual(new Map([["unsupported-kind", 1]]));
});

test("a line of the state that is cut off counts as not written", async () => {
  const output = new CsvOutput();
  const { logdir } = output.world;
  logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  logdir.append("train", records(curve("loss", 20, 40)));
  await output.sync();
  const whole = readFileSync(output.file("train/tracelet.json"));
  for (const cut of [1, 5, 100]) {
    writeFileSync(output.file("train/tracelet.json"), whole.subarray(0, -cut));
    output.world.loseState();
    await output.sync();
    expect(output.steps()).toEqual(range(40));
  }
});

test("rows behind what is told of are cut off, and written again", async () => {
  const output = new CsvOutput();
  const { logdir } = output.world;
  logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  const told = readFileSync(output.file("train/tracelet.json"));
  const restore = output.world.keepState();
  logdir.append("train", records(curve("loss", 20, 40)));
  await output.sync();
  const { length } = readFileSync(output.file("train/scalars.csv"));
  // As if the process had ended in the midst of the rows, or before it could tell of them.
  for (const cut of [0, 1, 30, 300]) {
    writeFileSync(output.file("train/tracelet.json"), told);
    truncateSync(output.file("train/scalars.csv"), length - cut);
    restore();
    await output.sync();
    expect(output.steps()).toEqual(range(40));
  }
});

test("a table that is shorter than what is told of is written again", async () => {
  const output = new CsvOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  truncateSync(output.file("train/scalars.csv"), 100);
  await output.sync();
  expect(output.steps()).toEqual(range(20));
});

test("what another choice lets in is appended, once", async () => {
  const output = new CsvOutput();
  output.world.logdir.write("train", fileOf([...curve("loss", 0, 20), ...curve("lr", 0, 20)]));
  await output.sync({ transform: { includeTags: [], excludeTags: ["lr"], nan: "keep" } });
  expect(output.steps()).toEqual(range(20));
  await output.sync();
  expect(output.steps()).toEqual([...range(20), ...range(20)]);
});

test("an event file that was cut and grows again doubles nothing", async () => {
  const output = new CsvOutput();
  const { logdir } = output.world;
  logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  logdir.truncate("train", fileOf(curve("loss", 0, 5)).length);
  await output.sync();
  logdir.append("train", records(curve("loss", 5, 30)));
  await output.sync();
  expect(output.steps()).toEqual(range(30));
});

test("another's table is not touched", async () => {
  const output = new CsvOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  mkdirSync(output.file("train"), { recursive: true });
  writeFileSync(output.file("train/scalars.csv"), "mine\n");
  const { runs } = await output.sync();
  expect(runs[0]?.error).toMatchObject({ code: "rejected", message: expect.stringContaining("scalars.csv") });
  expect(output.read()).toBe("mine\n");
});

test("rows that a run has under its earlier name are not written again", async () => {
  const output = new CsvOutput();
  const { logdir } = output.world;
  logdir.write("a,b", fileOf([...curve("loss", 0, 20), ...curve("lr", 0, 20)]));
  await output.sync({ transform: { includeTags: [], excludeTags: ["lr"], nan: "keep" } });
  logdir.rename("a,b", "renamed");
  await output.sync();
  const rows = output.read("a,b/scalars.csv").split("\r\n").slice(1, -1);
  expect(
    rows
      .map((row) =>
        row
          .replace(/^("a,b"|renamed),/, "")
          .split(",", 2)
          .join(" "),
      )
      .toSorted(),
  ).toEqual([...range(20).map((step) => `loss ${step}`), ...range(20).map((step) => `lr ${step}`)].toSorted());
});
