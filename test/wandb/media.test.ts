/** Values that are not numbers: what the rows say of them, which files there are, and what is set aside. */
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { WandbBackend } from "../../src/backends/wandb/backend.ts";
import type {
  AudioDatum,
  Datum,
  HistogramDatum,
  ImageFormat,
  ImagesDatum,
  PrCurveDatum,
  TextDatum,
} from "../../src/reader/datum.ts";
import type { Receipt, RefusedValue } from "../../src/sync/backend.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { isRow, type Row } from "../support/wandb-server/extended-json.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { base, batch, description, TIME } from "./batches.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT } from "./destination.ts";

let server: WandbServer;
let backend: WandbBackend;

beforeEach(async () => {
  server = await WandbServer.start();
  backend = connect(server.uri);
});

afterEach(async () => {
  await backend.close();
  await server.stop();
});

const run = () => server.runs(PROJECT)[0] ?? expect.unreachable("there is no run");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function write(data: readonly Datum[], values: Parameters<typeof batch>[1] = []): Promise<Sent> {
  const refused: RefusedValue[] = [];
  const receipt = await backend.write(await opened(), batch(100, values, data), async (values) => {
    refused.push(...values);
    return "quarantine/file";
  });
  expect(faultsOf(run())).toEqual(NO_FAULTS);
  expect([...run().announced].sort()).toEqual([...run().files.keys()].sort());
  return { ...receipt, refused };
}

interface Sent extends Receipt {
  readonly refused: readonly RefusedValue[];
}

const opened = () => backend.open(description(), undefined);

/** What the rows say of a key. */
function valuesOf(key: string): Row[] {
  return run()
    .rows.map((row) => row[key])
    .filter((value) => value !== undefined && isRow(value));
}

/** How many files each request asked addresses for. */
function filesAsked(): number[] {
  const asked = server.operations("CreateRunFiles");
  return asked.map(({ variables }) => ((variables?.["files"] ?? []) as string[]).length);
}

/** The content of a file of the server. */
function file(name: unknown): Buffer {
  return run().files.get(name as string)?.bytes ?? expect.unreachable(`${name as string} is not there`);
}

function images(
  tag: string,
  step: bigint,
  all: readonly (Uint8Array | undefined)[],
  format: ImageFormat = "png",
): ImagesDatum {
  const items = all.map((bytes) => bytes && { bytes, format });
  return { ...base(tag, step), kind: "images", width: 3, height: 2, images: items };
}

function histogram(rows: readonly (readonly [number, number, number])[], tag = "h", step = 1n): HistogramDatum {
  return { ...base(tag, step), kind: "histograms", buckets: Float64Array.from(rows.flat()) };
}

function text(tag: string, step: bigint, ...strings: string[]): TextDatum {
  return { ...base(tag, step), kind: "text", shape: strings.length === 1 ? [] : [strings.length], strings };
}

/** A GIF of so many frames of one pixel. */
function gif(frames: number): Buffer {
  const screen = Buffer.from("474946383961010001000000003b", "hex").subarray(0, 13);
  const frame = Buffer.from("2c00000000010001000002024c0100", "hex");
  return Buffer.concat([screen, ...Array.from({ length: frames }, () => frame), Buffer.from(";")]);
}

describe("images", () => {
  test("have their own bytes, beside the numbers of their step", async () => {
    const bytes = Buffer.from("an image");
    const big = 2n ** 62n + 1n;
    const { tally } = await write([images("val/a.b", big, [bytes])], [["loss", big, 1]]);
    const path = `media/images/val/a_b_${big}_${sha256(bytes).slice(0, 20)}.png`;
    expect(run().rows).toEqual([
      {
        loss: 1,
        "val/a.b": { _type: "image-file", path, sha256: sha256(bytes), size: 8, format: "png", width: 3, height: 2 },
        global_step: big,
        _step: 0,
        _timestamp: TIME + 1,
        _runtime: 1,
      },
    ]);
    expect(file(path)).toEqual(bytes);
    expect(run().summary).toMatchObject({ "val/a.b": { path } });
    expect(run().config["_wandb"]).toMatchObject({ m: [{}, { "1": "loss" }, { "1": "val/a.b", "5": 1 }] });
    expect(tally.kinds.get("images")).toMatchObject({ sent: 1 });
  });

  test("of one step are a list, with captions where the list does not tell their places", async () => {
    const all = ["a", "b", "c"].map((each) => Buffer.from(each));
    await write([images("all", 1n, all), images("some", 1n, [all[0], undefined, all[2]])]);
    expect(valuesOf("all")).toMatchObject([
      { _type: "images/separated", count: 3, width: 3, height: 2, format: "png" },
    ]);
    expect(valuesOf("all")[0]).not.toHaveProperty("captions");
    expect(
      valuesOf("all").flatMap(({ filenames }) => (filenames as string[]).map((name) => file(name).toString())),
    ).toEqual(["a", "b", "c"]);
    expect(valuesOf("some")).toMatchObject([{ count: 2, captions: ["0", "2"] }]);
  });

  test("of which there are more than W&B's page takes go on in the next row", async () => {
    const all = Array.from({ length: 250 }, (_, i) => Buffer.from(`image ${i}`));
    const { tally } = await write([images("many", 7n, all)], [["loss", 7n, 1]]);
    const values = valuesOf("many");
    expect(values.map(({ count }) => count)).toEqual([108, 108, 34]);
    expect(values.flatMap(({ captions }) => captions)).toEqual(all.map((_, i) => String(i)));
    expect(values.flatMap(({ filenames }) => (filenames as string[]).map((name) => file(name).toString()))).toEqual(
      all.map(String),
    );
    expect(run().rows.map((row) => row["global_step"])).toEqual([7, 7, 7]);
    expect(tally.kinds.get("images")).toMatchObject({ sent: 1 });
    const asked = filesAsked();
    expect(asked).toEqual([64, 64, 64, 58]);
  });

  test("that move are videos", async () => {
    await write([images("still", 1n, [gif(1)], "gif"), images("both", 1n, [gif(1), gif(2), gif(3)], "gif")]);
    expect(valuesOf("still")).toMatchObject([{ _type: "image-file", format: "gif", width: 1, height: 1 }]);
    expect(valuesOf("both")).toMatchObject([
      { _type: "image-file", caption: "0" },
      {
        _type: "videos",
        count: 2,
        videos: [
          {
            _type: "video-file",
            width: 1,
            height: 1,
            sha256: sha256(gif(2)),
            path: expect.stringMatching(/^media\/videos\/both_1_.*\.gif$/),
          },
          { sha256: sha256(gif(3)) },
        ],
        captions: ["1", "2"],
      },
    ]);
  });

  test("of formats that nobody knows are stored, and a note says so once", async () => {
    const odd = (step: bigint) => images("odd", step, [Buffer.from(`odd ${step}`)], "unknown");
    const { notes } = await write([odd(1n), odd(2n)]);
    expect(valuesOf("odd")).toMatchObject([
      { format: "bin", path: expect.stringMatching(/\.bin$/) },
      { format: "bin" },
    ]);
    expect(notes.map(({ message }) => message)).toEqual([expect.stringContaining('image "odd"')]);
  });
});

describe("names of files", () => {
  test("are names on every disk, and no two contents share one", async () => {
    const tags = [
      "a:b",
      "a_b",
      "A/b",
      "a/b",
      "../../etc",
      "/x/",
      "con/nul",
      "é\u0301",
      "",
      "a\nb",
      "x".repeat(500),
      `${"d/".repeat(300)}e`,
    ];
    await write(tags.flatMap((tag) => [1n, -1n].map((step) => images(tag, step, [Buffer.from(`${tag} ${step}`)]))));
    for (const tag of tags)
      expect(valuesOf(tag).map(({ path }) => file(path).toString())).toEqual([`${tag} 1`, `${tag} -1`]);
    const names = [...run().files.keys()];
    expect(names).toHaveLength(2 * tags.length);
    for (const name of names) {
      expect(name).toMatch(/^media\/images\/([\p{L}\p{N}_-]+\/)*[\p{L}\p{N}_-]+\.png$/u);
      expect(name.length).toBeLessThan(300);
      for (const part of name.split("/")) {
        expect(Buffer.byteLength(part)).toBeLessThan(255);
        expect(part).not.toMatch(/^(con|nul)\b/);
      }
    }
  });

  test("are the same when the batch is sent again, so that there is nothing twice", async () => {
    const proxy = await FaultProxy.start(server.port);
    const hasty = connect(proxy.uri, 1);
    try {
      const data = [images("a", 1n, [Buffer.from("1")]), text("t", 1n, "words"), histogram([[0, 1, 2]])];
      const handle = await hasty.open(description(), undefined);
      proxy.inject({ fault: { kind: "reset-before" }, requests: /file_stream$/ });
      await expect(hasty.write(handle, batch(100, [], data))).rejects.toMatchObject({ code: "unreachable" });
      const names = [...run().files.keys()];
      expect([names.length, run().history.count, run().announced.size]).toEqual([2, 0, 0]);
      proxy.calm();
      await hasty.write(await hasty.open(description(), handle.id), batch(100, [], data));
      expect([...run().files.keys()]).toEqual(names);
      expect([...run().files.values()].map(({ times }) => times)).toEqual([2, 2]);
      expect([...run().announced].sort()).toEqual(names.sort());
      expect(run().rows).toHaveLength(1);
      expect(faultsOf(run())).toEqual(NO_FAULTS);
    } finally {
      await hasty.close();
      await proxy.stop();
    }
  });
});

describe("histograms", () => {
  test("are their bins; what has no finite edge ends at the last one, and is told once", async () => {
    const infinite = histogram(
      [
        [-Infinity, 0, 1],
        [0, 1, 2],
        [Number.NaN, 2, 3],
        [1, Infinity, 4],
      ],
      "odd",
    );
    const { notes, tally } = await write([
      histogram([
        [-1, 0, 3],
        [0, 2, 4],
      ]),
      infinite,
      { ...infinite, step: 2n },
    ]);
    expect(valuesOf("h")).toEqual([{ _type: "histogram", values: [3, 4], bins: [-1, 0, 2] }]);
    expect(valuesOf("odd")[0]).toEqual({ _type: "histogram", values: [1, 2, 4], bins: [0, 0, 1, 1] });
    expect(notes).toMatchObject([{ code: "cut", message: expect.stringMatching(/"odd".*step 1/) }]);
    expect(tally.kinds.get("histograms")).toMatchObject({ sent: 3 });
  });

  test("in which nothing is a number are set aside", async () => {
    const nan = histogram([[Number.NaN, Number.NaN, 5]], "nan", 3n);
    const { refused, tally, notes } = await write([nan, histogram([[0, 1, 1]])]);
    expect(refused).toMatchObject([{ kind: "histograms", tag: "nan", step: 3n, file: "events", value: undefined }]);
    expect(notes).toMatchObject([{ code: "quarantined", message: expect.stringContaining("quarantine/file") }]);
    expect(tally.kinds.get("histograms")).toEqual({
      read: 0,
      derived: 0,
      sent: 1,
      failed: 0,
      skipped: new Map([["refused", 1]]),
    });
    expect(run().rows.map((row) => Object.keys(row)[0])).toEqual(["h"]);
    const other = batch(200, [], [nan]);
    await expect(backend.write(await opened(), other)).rejects.toMatchObject({ code: "rejected" });
  });

  test("do not make the summary longer than a line may be", async () => {
    const wide = Array.from({ length: 500 }, (_, i) => [i + 1 / 3, i + 1 + 1 / 3, i / 7] as const);
    const { tally } = await write(
      Array.from({ length: 500 }, (_, i) => histogram(wide, `h${i}`, BigInt(i))),
      [["loss", 1n, 0.5]],
    );
    expect(tally.kinds.get("histograms")).toMatchObject({ sent: 500 });
    expect(run().rows.filter((row) => isRow(Object.values(row)[0]))).toHaveLength(500);
    expect(run().summaryText.length).toBeLessThan(1 << 20);
    expect(run().summary).toMatchObject({ loss: 0.5, global_step: 499 });
  });
});

test("audio has its own bytes, sample rates and labels", async () => {
  const clip = (label: string, sampleRate: number) => {
    return { bytes: Buffer.from(`RIFF....WAVE ${label}`), contentType: "", sampleRate, label };
  };
  const audio = (tag: string, ...clips: AudioDatum["clips"]): AudioDatum => ({
    ...base(tag, 4n),
    kind: "audio",
    clips,
  });
  await write([audio("one", clip("", 8000)), audio("two", clip("left", 8000), clip("", Number.NaN))]);
  const [one] = valuesOf("one");
  expect(one).toMatchObject({ _type: "audio-file", path: expect.stringMatching(/^media\/audio\/one_4_\w{20}\.wav$/) });
  expect(file(one?.["path"]).toString()).toBe("RIFF....WAVE ");
  expect(valuesOf("two")).toMatchObject([
    {
      _type: "audio",
      count: 2,
      audio: [{ _type: "audio-file", caption: "left" }, { _type: "audio-file" }],
      sampleRates: [8000, null],
      captions: ["left", ""],
    },
  ]);
});

describe("text", () => {
  test("is a page in which nothing of it can run", async () => {
    await write([text("a", 1n, "# Head\n\n<script>alert(1)</script> [x](javascript:alert(1)) **bold**")]);
    const [value] = valuesOf("a");
    const page = file(value?.["path"]).toString();
    expect(value).toMatchObject({ _type: "html-file", sha256: sha256(Buffer.from(page)), size: page.length });
    expect(page).toContain("<h1>Head</h1>");
    expect(page).toContain("<strong>bold</strong>");
    expect(page).not.toMatch(/<script|href="javascript/);
    expect(page).toContain("script-src 'none'");
    // Another version makes the same file of it.
    expect(page).not.toContain("generator");
  });

  test("of which a page shows a part is beside it, whole", async () => {
    const strings = Array.from({ length: 10_001 }, (_, i) => `cell ${i}`);
    const { notes } = await write([text("table", 1n, ...strings)]);
    const whole = [...run().files.keys()].find((name) => name.endsWith(".json"));
    expect(JSON.parse(file(whole).toString())).toEqual({ shape: [10_001], strings });
    expect(notes).toMatchObject([{ code: "cut", message: expect.stringContaining(whole as string) }]);
  });
});

test("a curve is a table with all of its numbers, and a chart", async () => {
  const row = (...numbers: number[]) => Float64Array.from(numbers);
  const curve: PrCurveDatum = {
    ...base("pr", 3n),
    kind: "pr_curves",
    numThresholds: 2,
    truePositives: row(4, 1),
    falsePositives: row(3, 0),
    trueNegatives: row(0, 3),
    falseNegatives: row(0, 3),
    precision: row(4 / 7, Number.NaN),
    recall: row(1, 0.25),
  };
  await write([curve]);
  const [value] = valuesOf("pr");
  expect(value).toMatchObject({
    _type: "table-file",
    ncols: 6,
    nrows: 2,
    path: expect.stringMatching(/\.table\.json$/),
  });
  expect(file(value?.["path"]).toString()).toBe(
    '{"columns":["recall","precision","true_positives","false_positives","true_negatives","false_negatives"],' +
      '"data":[[1,0.5714285714285714,4,3,0,0],[0.25,NaN,1,0,3,3]]}',
  );
  const { visualize } = run().config["_wandb"] as Row;
  expect(visualize).toMatchObject({ pr: { panel_type: "Vega2", panel_config: { panelDefId: "wandb/line/v0" } } });
  // Another batch, of another process, has it still.
  const other = connect(server.uri);
  await other.write(await other.open(description(), undefined), batch(200, [["loss", 1n, 1]]));
  await other.close();
  expect((run().config["_wandb"] as Row)["visualize"]).toEqual(visualize);
});

test("what holds nothing is counted as such, and is in no row", async () => {
  const nothing: Datum[] = [
    images("none", 1n, []),
    histogram([], "none"),
    { ...base("none", 1n), kind: "audio", clips: [] },
  ];
  const { tally } = await write(nothing);
  expect(run().history.count).toBe(0);
  expect([...tally.kinds].map(([kind, { sent, skipped }]) => [kind, sent, [...skipped]])).toEqual(
    ["images", "histograms", "audio"].map((kind) => [kind, 0, [["empty", 1]]]),
  );
});

describe("what cannot be stored", () => {
  test("is set aside where storage refuses a file; the rest goes on", async () => {
    const proxy = await FaultProxy.start(server.port);
    await backend.close();
    backend = connect(proxy.uri);
    const answer = { status: 413, body: "EntityTooLarge" };
    proxy.inject({ fault: { kind: "answer", answer }, requests: /bad/ });
    try {
      const { refused, tally } = await write([
        images("bad", 1n, [Buffer.from("1")]),
        images("good", 1n, [Buffer.from("2")]),
      ]);
      expect(refused).toMatchObject([
        { kind: "images", tag: "bad", reason: expect.stringContaining("EntityTooLarge") },
      ]);
      expect(tally.kinds.get("images")).toMatchObject({ sent: 1, skipped: new Map([["refused", 1]]) });
      expect(run().rows.map(({ bad, good }) => [bad, isRow(good)])).toEqual([[undefined, true]]);
    } finally {
      await proxy.stop();
    }
  });

  test("is set aside where a row would be longer than W&B takes", async () => {
    const long = "k".repeat(11 * 1024 * 1024);
    const { refused, tally } = await write(
      [],
      [
        [long, 1n, 0.5],
        ["loss", 1n, 1],
      ],
    );
    expect(refused).toMatchObject([
      { kind: "scalars", step: 1n, value: 0.5, reason: expect.stringContaining("longer") },
    ]);
    expect(refused[0]?.tag === long).toBe(true);
    expect(tally.kinds.get("scalars")).toMatchObject({ sent: 1, skipped: new Map([["refused", 1]]) });
    expect(run().rows).toMatchObject([{ loss: 1 }]);
  });

  test("is skipped where a file is larger than the user allows", async () => {
    await backend.close();
    backend = connect(server.uri, undefined, { maxArtifactBytes: 5 });
    const all = ["small", "larger", "larger still"].map((each, i) => images("a", BigInt(i), [Buffer.from(each)]));
    const { tally, notes } = await write(all);
    expect(tally.kinds.get("images")).toMatchObject({ sent: 1, skipped: new Map([["max-artifact-size", 2]]) });
    expect(notes).toMatchObject([{ code: "oversize", message: expect.stringContaining("step 1, 6 bytes") }]);
    expect(run().files.size).toBe(1);
  });
});

test("files are made and sent a few at a time, whatever a batch holds", async () => {
  const texts = Array.from({ length: 130 }, (_, i) => text("t", BigInt(i), `${i} `.repeat(3000)));
  await write(texts);
  const made = filesAsked();
  expect(made.reduce((sum, each) => sum + each, 0)).toBe(130);
  expect(Math.max(...made)).toBeLessThanOrEqual(64);
  expect(valuesOf("t")).toHaveLength(130);
});
