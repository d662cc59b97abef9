/** Files beside the logdir that they were written from: what is said of each way in which they may not be the same. */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CsvRuns } from "../../src/backends/files/csv-runs.ts";
import { JsonlRuns } from "../../src/backends/files/jsonl-runs.ts";
import { ParquetRuns } from "../../src/backends/files/parquet-runs.ts";
import type { OpenRun, RunsOnDisk } from "../../src/backends/files/runs-on-disk.ts";
import { openFilesToVerify } from "../../src/verify/files/open.ts";
import { verifyFiles } from "../../src/verify/files/verify.ts";
import type { Findings } from "../../src/verify/findings.ts";
import type { VerifiedRun } from "../../src/verify/result.ts";
import { eventFile, hparamsEvent, imageEvent, scalarEvent, textEvent, versionEvent } from "../support/event-writer.ts";
import { curve, records } from "../sync/world.ts";
import { Output } from "./output.ts";

const FORMATS = ["jsonl", "csv", "parquet"] as const;
type Format = (typeof FORMATS)[number];

class Verified extends Output<OpenRun> {
  readonly format: Format;

  constructor(format: Format) {
    super((directory) => {
      const runs = { jsonl: JsonlRuns, csv: CsvRuns, parquet: ParquetRuns };
      return new runs[format](directory) as RunsOnDisk;
    });
    this.format = format;
    this.world.logdir.write(
      "train",
      eventFile(
        versionEvent(),
        hparamsEvent({ lr: 0.5, "a,b": 'say "hi"' }),
        scalarEvent("odd", 2n ** 63n - 1n, Number.NaN, 1.000000000000001),
        scalarEvent("odd", -(2n ** 63n), -0, 1e300),
        scalarEvent('a "tag", with\nmore', 1, -Infinity),
        textEvent("note", 3, "text"),
        imageEvent("picture", 4, Uint8Array.of(1, 2, 3)),
      ),
    );
    this.world.logdir.append("train", records(curve("loss", 0, 50)));
  }

  async verify(itemsHeld?: number): Promise<VerifiedRun[]> {
    const result = await verifyFiles({
      ...(await openFilesToVerify(this.format, this.root, false)),
      logdirs: [this.world.logdir.root],
      group: "run",
      restarts: "explicit",
      transform: { includeTags: [], excludeTags: [], nan: "keep" },
      attachSource: false,
      maxRecordBytes: 1 << 20,
      wantsRun: () => true,
      concurrency: 2,
      itemsHeld,
      signal: new AbortController().signal,
    });
    expect(result.error).toBeUndefined();
    return [...result.runs];
  }

  /** What is not the same in the only run. */
  async findings(itemsHeld?: number): Promise<Findings> {
    const [run, ...others] = await this.verify(itemsHeld);
    expect([run?.error, others]).toEqual([undefined, []]);
    return (run as VerifiedRun).findings;
  }

  change(name: string, change: (text: string) => string): void {
    writeFileSync(this.file(name), change(readFileSync(this.file(name), "utf8")));
  }
}

describe.each(FORMATS)("%s", (format) => {
  test("what was written is the same, bit for bit", async () => {
    const output = new Verified(format);
    await output.sync();
    const [run] = await output.verify();
    expect([run?.outcome, run?.findings.differences]).toEqual(["equal", []]);
    expect(run?.findings.counts.points.compared).toBe(53);
    expect(run?.findings.counts.lines.compared).toBe(format === "csv" ? 2 : 3);
    expect(run?.findings.counts.files.compared).toBe(format === "csv" ? 0 : 1);
  });

  test("a run of which nothing is there is missing", async () => {
    const output = new Verified(format);
    await output.sync();
    output.world.logdir.write("other", eventFile(versionEvent(), scalarEvent("loss", 1, 2)));
    expect((await output.verify()).map(({ name, outcome }) => [name, outcome])).toEqual([
      ["other", "missing"],
      ["train", "equal"],
    ]);
  });

  test.each([undefined, 7])("what was not sent yet is missing (%s items held)", async (itemsHeld) => {
    const output = new Verified(format);
    await output.sync();
    output.world.logdir.append("train", records(curve("loss", 50, 60)));
    output.world.logdir.append("train", records(curve("new", 0, 3)));
    const { counts, differences } = await output.findings(itemsHeld);
    expect(counts.points).toMatchObject({ compared: 66, missing: 13, extra: 0, different: 0, doubled: 0 });
    expect(differences).toMatchObject([
      { what: "points", name: "new", missing: 3 },
      { what: "points", name: "loss", missing: 10 },
    ]);
  });

  test("files whose state is gone are compared as well", async () => {
    const output = new Verified(format);
    await output.sync();
    if (format === "jsonl") output.change("train.jsonl", (text) => text.replaceAll(/^\{"kind":"mark".*\n/gm, ""));
    else rmSync(output.file(format === "csv" ? "train/tracelet.json" : "runs/train/parquet.json"));
    const { counts } = await output.findings();
    expect(counts.points).toMatchObject({ compared: 53, missing: 0, extra: 0, different: 0, doubled: 0 });
  });
});

describe.each([
  ["jsonl", "train.jsonl", /^.*"tag":"loss","step":7,.*\n/m, '"step":7,', '"step":70,'],
  ["csv", "train/scalars.csv", /^train,loss,7,[^\n]*\n/m, "loss,7,", "loss,70,"],
] as const)("%s that somebody has changed", (format, name, row, step, otherStep) => {
  test("a row that is gone is missing, one that is there twice is doubled, another one is extra", async () => {
    const output = new Verified(format);
    await output.sync();
    const [line = ""] = row.exec(readFileSync(output.file(name), "utf8")) ?? [];
    output.change(name, (text) => text.replace(line, ""));
    expect((await output.findings()).counts.points).toMatchObject({ missing: 1, extra: 0, different: 0, doubled: 0 });
    output.change(name, (text) =>
      text.replace(/^([^\n]*loss[^\n]*\n)/m, `${line}$1`).replace(/^([^\n]*loss[^\n]*\n)/m, `${line}$1`),
    );
    expect((await output.findings()).counts.points).toMatchObject({ missing: 0, extra: 0, different: 0, doubled: 1 });
    output.change(name, (text) => text.replace(line, line.replace(step, otherStep)));
    expect((await output.findings()).counts.points).toMatchObject({ missing: 0, extra: 1, different: 0, doubled: 0 });
  });

  test("a value that is another one in its last bit is different", async () => {
    const output = new Verified(format);
    await output.sync();
    const [line = ""] = row.exec(readFileSync(output.file(name), "utf8")) ?? [];
    const [value = ""] = /[\d.e-]+(?=\}?\r?\n)/.exec(line) ?? [];
    const next = Number(value) * (1 + Number.EPSILON) || Number.MIN_VALUE;
    output.change(name, (text) =>
      text.replace(line, line.replace(new RegExp(`${value}(?=\\}?\\r?\\n)`), String(next))),
    );
    const { counts, differences } = await output.findings();
    expect(counts.points).toMatchObject({ missing: 0, extra: 0, different: 1, doubled: 0 });
    expect(differences).toMatchObject([
      { points: [{ source: { step: 7n, value: Number(value) }, there: { step: 7n, value: next } }] },
    ]);
  });
});

test("Parquet: a part that is there twice is doubled, one that is gone is missing", async () => {
  const output = new Verified("parquet");
  await output.sync();
  const part = (n: number) => output.file(`scalars/train/part-${n}.parquet`);
  expect(readdirSync(output.file("scalars/train"))).toEqual(["part-0.parquet"]);
  cpSync(part(0), part(5));
  expect((await output.findings()).counts.points).toMatchObject({ missing: 0, extra: 0, doubled: 53 });
  rmSync(part(0));
  rmSync(part(5));
  const { counts } = await output.findings();
  expect(counts.points).toMatchObject({ compared: 53, missing: 53 });
});

test("Parquet: a part that is damaged cannot be compared", async () => {
  const output = new Verified("parquet");
  await output.sync();
  const part = output.file("scalars/train/part-0.parquet");
  writeFileSync(part, readFileSync(part).subarray(100));
  const [run] = await output.verify();
  expect([run?.outcome, run?.error?.message]).toEqual(["failed", expect.stringContaining("is damaged")]);
});

test("a file beside that is gone is missing, one with other bytes is different", async () => {
  const output = new Verified("jsonl");
  await output.sync();
  const [medium = ""] = readdirSync(output.file("media"));
  writeFileSync(output.file(`media/${medium}`), Uint8Array.of(1, 2, 4));
  expect((await output.findings()).differences).toMatchObject([{ what: "files", state: "different" }]);
  rmSync(output.file(`media/${medium}`));
  expect((await output.findings()).differences).toMatchObject([{ what: "files", state: "missing" }]);
});

test("a text that was changed is missing, and what is there in its place is extra", async () => {
  const output = new Verified("jsonl");
  await output.sync();
  output.change("train.jsonl", (text) => text.replace('"strings":["text"]', '"strings":["other"]'));
  const { counts, differences } = await output.findings();
  expect(counts.lines).toMatchObject({ compared: 3, missing: 1, extra: 1 });
  expect(differences).toMatchObject([{ what: "lines", name: "text note", missing: 1, extra: 1 }]);
});
