/** Runs as Parquet: what is in the files, and what becomes of them when something breaks. Python reads them in test/e2e. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { parquetReadObjects } from "hyparquet";
import { describe, expect, onTestFinished, test } from "vitest";
import { nanosecondsOf } from "../../src/backends/files/parquet/wall-time.ts";
import { type ParquetRun, ParquetRuns } from "../../src/backends/files/parquet-runs.ts";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { movedTo, newState } from "../../src/backends/run-state.ts";
import type { Batch } from "../../src/sync/backend.ts";
import {
  eventFile,
  hparamsEvent,
  imageEvent,
  ownRecord,
  scalarEvent,
  textEvent,
  versionEvent,
} from "../support/event-writer.ts";
import { temporaryDirectory } from "../support/logdirs.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { Output, range } from "./output.ts";

class ParquetOutput extends Output<ParquetRun> {
  constructor() {
    super((directory) => new ParquetRuns(directory));
  }

  rows(folder = "scalars/train"): Promise<Record<string, unknown>[]> {
    return rowsIn(this.file(folder));
  }

  async steps(folder?: string): Promise<number[]> {
    return (await this.rows(folder)).map(({ step }) => Number(step)).toSorted((a, b) => a - b);
  }

  parts(folder = "scalars/train"): string[] {
    return readdirSync(this.file(folder)).toSorted();
  }

  lines(run = "train"): Record<string, unknown>[] {
    const text = readFileSync(this.file(`runs/${run}/values.jsonl`), "utf8");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

/** Of all parts in a directory, as any reader of it finds them. */
async function rowsIn(folder: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for (const name of readdirSync(folder).toSorted()) {
    if (!name.endsWith(".parquet")) continue;
    rows.push(...(await parquetReadObjects({ file: Uint8Array.from(readFileSync(path.join(folder, name))).buffer })));
  }
  return rows;
}

test("scalars are a row each, exactly; other kinds are lines", async () => {
  const output = new ParquetOutput();
  output.world.logdir.write(
    "train",
    eventFile(
      versionEvent(),
      scalarEvent("loss", 2n ** 63n - 1n, 0.1, 1.000000000000001),
      scalarEvent("loss", -(2n ** 63n), -0, Number.NaN),
      scalarEvent("a\nb", 1, Number.NaN),
      hparamsEvent({ lr: 0.5 }),
      textEvent("note", 3, "text"),
      imageEvent("picture", 4, Uint8Array.of(1, 2, 3)),
    ),
  );
  const { runs, error } = await output.sync();
  expect(error).toBeUndefined();
  expect(runs[0]?.tally.kinds.get("images")?.sent).toBe(1);
  const row = { run: "train", tag: "loss", step: 2n ** 63n - 1n, value: Math.fround(0.1) };
  expect(await output.rows()).toMatchObject([
    { ...row, wall_time_seconds: 1.000000000000001 },
    { ...row, step: -(2n ** 63n), value: -0, wall_time: null, wall_time_seconds: Number.NaN },
    { ...row, tag: "a\nb", step: 1n, value: Number.NaN },
  ]);
  const kinds = output.lines().map(({ kind }) => kind);
  expect(kinds).toEqual(["hparams", "text", "images"]);
  const images = output.lines()[2]?.["images"] as { path: string; bytes: number }[];
  expect(readFileSync(output.file(images[0]?.path ?? "")).length).toBe(images[0]?.bytes);
});

test("tracelet's own records are lines, files beside them, each once: also let in later, or without the state", async () => {
  const output = new ParquetOutput();
  const records = [
    ownRecord("params", '{"lr":0.1}'),
    ownRecord("tags", '{"stage":"a"}'),
    ownRecord("artifact", "one", { tag: "tracelet/artifact/a.txt", path: "a.txt" }),
    ownRecord("metric", '{"tag":"loss","type":"loss"}', { tag: "tracelet/metric/loss" }),
    ownRecord("artifact", "two", { tag: "tracelet/artifact/a.txt", path: "a.txt" }),
  ];
  output.world.logdir.write("train", eventFile(versionEvent(), scalarEvent("loss", 0, 1), ...records));
  const excludeKinds = new Set(["run_tags", "artifacts"] as const);
  await output.sync({ transform: { includeTags: [], excludeTags: [], nan: "keep", excludeKinds } });
  expect(output.lines().map(({ kind }) => kind)).toEqual(["hparams", "metric_info"]);
  for (let time = 0; time < 2; time++) {
    expect((await output.sync()).error).toBeUndefined();
    const found = output.lines().toSorted((a, b) => String(a["kind"]).localeCompare(String(b["kind"])));
    expect(found).toMatchObject([
      { kind: "artifacts", artifact: "a.txt", bytes: 3 },
      { kind: "artifacts", artifact: "a.txt", bytes: 3 },
      { kind: "hparams", hparams: { lr: 0.1 } },
      { kind: "metric_info", metric: "loss", type: "loss" },
      { kind: "run_tags", tags: { stage: "a" } },
    ]);
    const files = found.slice(0, 2).map(({ path: medium }) => readFileSync(output.file(String(medium)), "utf8"));
    expect(files).toEqual(["one", "two"]);
    expect(await output.steps()).toEqual([0]);
    output.world.loseState();
  }
});

test.each([
  ["lr=0.1/bs=32", "scalars/lr_0.1/bs_32"],
  ["_private/.hidden", "scalars/run_private/run_hidden"],
  ["a b/ü.parquet", "scalars/a b/ü_parquet"],
])("run %s is in %s, and its name is in each row", async (name, folder) => {
  const output = new ParquetOutput();
  output.world.logdir.write(name, fileOf(curve("loss", 0, 3)));
  await output.sync();
  expect((await output.rows(folder)).map(({ run }) => run)).toEqual([name, name, name]);
});

test("what a batch has left that was not told is removed, and written again", async () => {
  const output = new ParquetOutput();
  const { logdir } = output.world;
  logdir.write("train", eventFile(versionEvent(), textEvent("note", 0, "a")));
  logdir.append("train", records(curve("loss", 0, 20)));
  await output.sync();
  const told = readFileSync(output.file("runs/train/parquet.json"));
  const restore = output.world.keepState();
  logdir.append("train", records(curve("loss", 20, 40)));
  logdir.append("train", eventFile(textEvent("note", 1, "b")));
  const after = new ParquetOutput();
  cpSync(output.root, after.root, { recursive: true });
  await output.sync();
  // As if the process had ended before it could tell of the part, in the midst of another, or in the midst of a line.
  for (const cut of [0, 1, 10]) {
    writeFileSync(output.file("runs/train/parquet.json"), told);
    const lines = readFileSync(output.file("runs/train/values.jsonl"));
    writeFileSync(output.file("runs/train/values.jsonl"), lines.subarray(0, lines.length - cut));
    cpSync(output.file("scalars/train/part-0.parquet"), output.file("scalars/train/part-7.parquet"));
    cpSync(after.file("scalars/train/part-0.parquet"), output.file("scalars/train/part-0.parquet"));
    writeFileSync(output.file("scalars/train/.part-1.parquet.123.part"), "PAR1");
    restore();
    await output.sync();
    expect(await output.steps()).toEqual(range(40));
    expect(output.parts().filter((name) => name.startsWith("."))).toEqual([]);
    expect(output.lines().map(({ step }) => step)).toEqual([0, 1]);
  }
});

test("a part that is gone is written again, with all of its run", async () => {
  const output = new ParquetOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  rmSync(output.file("scalars"), { recursive: true });
  await output.sync();
  expect(await output.steps()).toEqual(range(20));
});

test("parts of somebody else are not touched", async () => {
  const output = new ParquetOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  rmSync(output.file("runs"), { recursive: true });
  output.world.loseState();
  const { runs } = await output.sync();
  expect(runs[0]?.error?.message).toMatch(/was not written by tracelet/);
  expect(await output.steps()).toEqual(range(20));
});

test("what another choice lets in is added, once", async () => {
  const output = new ParquetOutput();
  const { logdir } = output.world;
  logdir.write("train", fileOf([...curve("loss", 0, 20), ...curve("lr", 0, 20)]));
  await output.sync({ transform: { includeTags: [], excludeTags: ["lr"], nan: "keep" } });
  expect(await output.steps()).toHaveLength(20);
  await output.sync();
  output.world.loseState();
  await output.sync();
  const rows = await output.rows();
  expect(rows.map(({ tag, step }) => `${tag} ${step}`).toSorted()).toEqual(
    [...range(20).map((i) => `loss ${i}`), ...range(20).map((i) => `lr ${i}`)].toSorted(),
  );
});

describe("parts are made one", () => {
  const ID = "runs/train/parquet.json";

  function batchOf(from: number, to: number): Batch {
    const steps = range(to - from).map((i) => from + i);
    return {
      scalars: {
        length: steps.length,
        tags: ["loss"],
        tag: new Int32Array(steps.length),
        step: BigInt64Array.from(steps, BigInt),
        wallTime: Float64Array.from(steps, (step) => 1.7e9 + step),
        value: Float64Array.from(steps),
        offset: Float64Array.from(steps),
      },
      data: [],
      segments: [],
      parts: [],
      marks: [{ key: "k", name: "events", head: 256, offset: to, from, tail: "t" }],
      hparams: new Map(),
    };
  }

  class Place {
    readonly root: string = temporaryDirectory();
    readonly runs: ParquetRuns = new ParquetRuns(new OutputDirectory(this.root));

    constructor() {
      onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
    }

    async append(run: ParquetRun, from: number, to: number): Promise<void> {
      const batch = batchOf(from, to);
      await this.runs.append(run, { batch, next: movedTo(run.state, batch.marks, undefined), isAllNew: true });
    }

    async create(): Promise<ParquetRun> {
      return (await this.runs.create(ID, newState("train", "source", []), 0)) as ParquetRun;
    }

    names(): string[] {
      return readdirSync(path.join(this.root, "scalars/train")).toSorted();
    }

    async steps(): Promise<number[]> {
      return (await rowsIn(path.join(this.root, "scalars/train"))).map(({ step }) => Number(step));
    }
  }

  test("when there are many, and all rows stay in their order", async () => {
    const place = new Place();
    const run = await place.create();
    for (let i = 0; i < 100; i++) {
      await place.append(run, i * 3, i * 3 + 3);
      expect(place.names().length).toBeLessThanOrEqual(32);
    }
    expect((await place.steps()).toSorted((a, b) => a - b)).toEqual(range(300));
    await place.runs.tell(run, { ...run.state, status: "finished" });
    expect(place.names()).toEqual(["part-0.parquet"]);
    expect(await place.steps()).toEqual(range(300));
  });

  test("not with those of an earlier name of the run", async () => {
    const place = new Place();
    const run = await place.create();
    await place.append(run, 0, 3);
    await place.append(run, 3, 6);
    await place.runs.tell(run, { ...run.state, name: "renamed" });
    await place.append(run, 6, 9);
    await place.append(run, 9, 12);
    await place.runs.tell(run, { ...run.state, status: "finished" });
    const rows = await rowsIn(path.join(place.root, "scalars/train"));
    expect(rows.map(({ run: name }) => name)).toEqual([...Array(6).fill("train"), ...Array(6).fill("renamed")]);
  });

  test("whenever the process ends meanwhile, none is lost and none is there twice", async () => {
    const before = new Place();
    const run = await before.create();
    for (let i = 0; i < 3; i++) await before.append(run, i * 5, i * 5 + 5);
    const after = new Place();
    cpSync(before.root, after.root, { recursive: true });
    const reopened = (await after.runs.open(ID)) as ParquetRun;
    await after.runs.tell(reopened, { ...reopened.state, status: "finished" });
    const merged = readFileSync(path.join(after.root, "scalars/train/part-0.parquet"));
    // The line that tells what is being done is the first of those that were added.
    const [line = ""] = readFileSync(path.join(after.root, ID), "utf8")
      .slice(readFileSync(path.join(before.root, ID), "utf8").length)
      .split("\n");
    expect(JSON.parse(line)).toHaveProperty("merge");
    const part = (n: number) => `scalars/train/part-${n}.parquet`;
    const ends: ((root: string) => void)[] = [
      (root) => writeFileSync(path.join(root, "scalars/train/.part-0.parquet.merged"), merged),
      (root) => writeFileSync(path.join(root, ID), `${readFileSync(path.join(root, ID), "utf8")}${line}\n`),
      (root) => rmSync(path.join(root, part(1))),
      (root) => rmSync(path.join(root, part(2))),
      (root) => {
        rmSync(path.join(root, "scalars/train/.part-0.parquet.merged"));
        writeFileSync(path.join(root, part(0)), merged);
      },
    ];
    for (let done = 1; done <= ends.length; done++) {
      const place = new Place();
      cpSync(before.root, place.root, { recursive: true });
      for (const end of ends.slice(0, done)) end(place.root);
      expect((await place.steps()).length).toBeLessThanOrEqual(15);
      const seen = place.runs.look(ID);
      expect([done, seen?.isWhole, seen?.state.marks.size]).toEqual([done, false, 1]);
      const opened = (await place.runs.open(ID)) as ParquetRun;
      expect([done, (await place.steps()).toSorted((a, b) => a - b)]).toEqual([done, range(15)]);
      expect(place.names().every((name) => name.startsWith("part-"))).toBe(true);
      await place.append(opened, 15, 18);
      await place.runs.tell(opened, { ...opened.state, status: "finished" });
      expect(await place.steps()).toEqual(range(18));
      expect(existsSync(path.join(place.root, part(1)))).toBe(false);
    }
  });
});

describe("wall time in nanoseconds", () => {
  /** A double as a fraction: numerator and power of two. */
  function exact(seconds: number): [bigint, bigint] {
    let [numerator, denominator] = [seconds, 1n];
    while (!Number.isInteger(numerator)) {
      numerator *= 2;
      denominator *= 2n;
    }
    return [BigInt(numerator), denominator];
  }

  test("is the one nearest to the double", () => {
    const seconds = fc.oneof(
      fc.double({ min: -9.2e9, max: 9.2e9, noNaN: true }),
      fc.double({ min: 1.5e9, max: 2e9, noNaN: true }),
      fc.integer({ min: -9_000_000, max: 9_000_000 }),
    );
    fc.assert(
      fc.property(seconds, (time) => {
        if (Math.abs(time) < 2 ** -20 && time !== 0) return;
        const [numerator, denominator] = exact(time);
        const off = 2n * (numerator * 1_000_000_000n - (nanosecondsOf(time) as bigint) * denominator);
        // Half a nanosecond, and what the product of a small fraction is rounded by.
        expect(off <= denominator + denominator / 1000n && -off <= denominator + denominator / 1000n).toBe(true);
      }),
    );
  });

  test("leads back to the double from April 1970 on", () => {
    fc.assert(
      fc.property(fc.double({ min: 2 ** 23, max: 9.2e9, noNaN: true }), (time) => {
        const nanoseconds = nanosecondsOf(time) as bigint;
        expect(Number(nanoseconds / 1_000_000_000n) + Number(nanoseconds % 1_000_000_000n) / 1e9).toBe(time);
      }),
    );
  });

  test.each([Number.NaN, Infinity, -Infinity, 1e10, -1e10, 9_223_372_036])("%s s has none", (time) => {
    expect(nanosecondsOf(time)).toBeNull();
  });
});
