/** Files of JSON lines: what is in them, and what becomes of them when something breaks. */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { type JsonlRun, JsonlRuns } from "../../src/backends/files/jsonl-runs.ts";
import { pathOfRun } from "../../src/backends/files/run-names.ts";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { openDatabase } from "../../src/sqlite.ts";
import { eventFile, hparamsEvent, imageEvent, scalarEvent, textEvent, versionEvent } from "../support/event-writer.ts";
import { curve, fileOf, records, version } from "../sync/world.ts";
import { Output, range } from "./output.ts";

type Line = Readonly<Record<string, unknown>>;

class JsonlOutput extends Output<JsonlRun> {
  constructor() {
    super((directory) => new JsonlRuns(directory));
  }

  /** All that a file holds. */
  lines(name = "train.jsonl"): Line[] {
    const text = readFileSync(this.file(name), "utf8");
    expect(text.endsWith("\n")).toBe(true);
    return text
      .slice(0, -1)
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
  }

  values(name = "train.jsonl"): Line[] {
    return this.lines(name).filter(({ kind }) => !["run", "mark", "status"].includes(String(kind)));
  }

  steps(name = "train.jsonl"): unknown[] {
    return this.values(name).map(({ step }) => step);
  }
}

test("a line a value, exactly", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write(
    "train",
    eventFile(
      versionEvent(),
      scalarEvent("loss", 2n ** 53n - 1n, 0.1, 1.000000000000001),
      scalarEvent("loss", 2n ** 53n, Number.NaN),
      scalarEvent("loss", -(2n ** 63n), -0),
      scalarEvent("a\nb", 1, -Infinity),
    ),
  );
  expect((await output.sync()).error).toBeUndefined();
  const [header, ...rest] = output.lines();
  expect(header).toMatchObject({ kind: "run", format: 1, name: "train" });
  expect(rest.at(-1)).toMatchObject({ kind: "mark", status: "finished" });
  expect(output.values()).toEqual([
    { kind: "scalar", tag: "loss", step: 9007199254740991, wall_time: 1.000000000000001, value: Math.fround(0.1) },
    { kind: "scalar", tag: "loss", step: "9007199254740992", wall_time: 1_700_000_000.25, value: "NaN" },
    { kind: "scalar", tag: "loss", step: "-9223372036854775808", wall_time: 1_700_000_000.25, value: -0 },
    { kind: "scalar", tag: "a\nb", step: 1, wall_time: 1_700_000_000.25, value: "-Infinity" },
  ]);
});

test("other kinds, with their bytes in files that are called by their digest", async () => {
  const output = new JsonlOutput();
  const png = Buffer.from("89504e470d0a1a0a0000", "hex");
  output.world.logdir.write(
    "train",
    eventFile(versionEvent(), imageEvent("img", 1, png), imageEvent("img", 2, png), textEvent("note", 3, "ä\n")),
  );
  output.world.logdir.write("hp", eventFile(versionEvent(), hparamsEvent({ lr: 0.5, name: "sgd", on: true })));
  await output.sync();
  const file = `media/${createHash("sha256").update(png).digest("hex")}.png`;
  const images = [{ path: file, bytes: 10, format: "png" }];
  expect(output.values()).toMatchObject([
    { kind: "images", tag: "img", step: 1, images },
    { kind: "images", tag: "img", step: 2, images },
    { kind: "text", tag: "note", step: 3, shape: [], strings: ["ä\n"] },
  ]);
  expect(readFileSync(output.file(file)).equals(png)).toBe(true);
  expect(readdirSync(output.file("media"))).toHaveLength(1);
  expect(output.values("hp.jsonl")).toMatchObject([
    { kind: "hparams", type: "session_start", hparams: { lr: 0.5, name: "sgd", on: true } },
  ]);
});

test("wherever a file was cut off, it goes on behind its last whole batch, with or without a state", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  const whole = readFileSync(output.file("train.jsonl"));
  const header = whole.indexOf("\n") + 1;
  for (let length = header; length < whole.length; length += 37) {
    truncateSync(output.file("train.jsonl"), length);
    if (length % 2 === 0) output.world.loseState();
    const { error } = await output.sync();
    expect(error).toBeUndefined();
    expect([length, output.steps()]).toEqual([length, range(20)]);
  }
});

test("what a power failure has left behind of a batch is written again", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  const file = output.file("train.jsonl");
  const whole = readFileSync(file);
  // The batch was the last that was written.
  const bytes = whole.subarray(0, whole.lastIndexOf('{"kind":"status"'));
  bytes.fill(0, bytes.indexOf('"step":3'), bytes.indexOf('"step":7'));
  writeFileSync(file, bytes);
  output.world.loseState();
  await output.sync();
  expect(output.steps()).toEqual(range(20));
});

test("a file that somebody has removed is written again", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  truncateSync(output.file("train.jsonl"), 0);
  await output.sync();
  expect(output.steps()).toEqual(range(20));
});

test("files that were removed are written again, and that is said", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 10)));
  await output.sync();
  rmSync(output.root, { recursive: true });
  const message = "train is no longer at its destination as train.jsonl; it was sent again";
  expect((await output.sync()).runs).toMatchObject([{ outcome: "sent", notes: [{ code: "recreated", message }] }]);
  expect(output.steps()).toEqual(range(10));
  expect((await output.sync()).runs).toMatchObject([{ notes: [] }]);
});

test("a directory that is removed while it is written to is made again", async () => {
  const output = new JsonlOutput();
  const directory = new OutputDirectory(output.root);
  await directory.exclusively("a", () => {});
  rmSync(output.root, { recursive: true });
  const inside = await directory.exclusively("a", () => {
    // Whoever comes now has to wait.
    const lock = openDatabase(output.file(".tracelet.lock"), { busyTimeout: 0 });
    try {
      expect(() => lock.exec("BEGIN IMMEDIATE")).toThrow(/locked/);
    } finally {
      lock.close();
    }
    return true;
  });
  expect(inside).toBe(true);
  directory.close();
});

test("a directory that another process holds is waited for, and nothing else waits with it", async () => {
  const output = new JsonlOutput();
  const directory = new OutputDirectory(output.root);
  await directory.exclusively("a", () => {});
  const other = openDatabase(output.file(".tracelet.lock"), { busyTimeout: 0 });
  other.exec("BEGIN EXCLUSIVE");
  let isDone = false;
  const waiting = directory.exclusively("a", () => (isDone = true));
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(isDone).toBe(false);
  other.exec("COMMIT");
  other.close();
  expect(await waiting).toBe(true);
  directory.close();
});

test("another's file is not touched", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  mkdirSync(output.root);
  writeFileSync(output.file("train.jsonl"), '{"mine":true}\n');
  const { runs } = await output.sync();
  expect(runs[0]?.error).toMatchObject({ code: "rejected", message: expect.stringContaining("train.jsonl") });
  expect(readFileSync(output.file("train.jsonl"), "utf8")).toBe('{"mine":true}\n');
});

test("a file of another format is not touched", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  mkdirSync(output.root);
  writeFileSync(output.file("train.jsonl"), '{"kind":"run","format":2}\n');
  const { runs } = await output.sync();
  expect(runs[0]?.error).toMatchObject({ code: "rejected", message: expect.stringContaining("format 2") });
});

test("what another choice lets in is appended, once, whoever dies meanwhile", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf([...curve("loss", 0, 20), ...curve("lr", 0, 20)]));
  const without = { includeTags: [], excludeTags: ["lr"], nan: "keep" } as const;
  await output.sync({ transform: without });
  expect(output.values().map(({ tag }) => tag)).toEqual(range(20).map(() => "loss"));
  const restore = output.world.keepState();
  await output.sync();
  // As if the process had ended before it could remember.
  restore();
  const file = output.file("train.jsonl");
  const at = readFileSync(file, "utf8").lastIndexOf('{"kind":"mark"');
  truncateSync(file, at);
  await output.sync();
  expect(output.values().filter(({ tag }) => tag === "lr")).toHaveLength(20);
  expect(output.values()).toHaveLength(40);
});

test("an event file that was cut and grows again doubles nothing", async () => {
  const output = new JsonlOutput();
  const { logdir } = output.world;
  logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  logdir.truncate("train", fileOf(curve("loss", 0, 5)).length);
  await output.sync();
  logdir.append("train", records(curve("loss", 5, 30)));
  await output.sync();
  expect(output.steps()).toEqual(range(30));
});

test("a status that has not changed is not written again", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  const before = readFileSync(output.file("train.jsonl"));
  output.world.loseState();
  await output.sync();
  expect(readFileSync(output.file("train.jsonl")).equals(before)).toBe(true);
});

test("a run with many files tells all of them to whoever opens it", async () => {
  const output = new JsonlOutput();
  const { logdir } = output.world;
  const names = range(40).map((i) => `train/events.out.tfevents.${i}`);
  for (const [i, name] of names.entries()) logdir.write(name, fileOf(curve(`t${i}`, 0, 3), i));
  await output.sync();
  for (const [i, name] of names.entries()) {
    logdir.append(name, records(curve(`t${i}`, 3, 5)));
    if (i % 3 === 0) await output.sync();
  }
  await output.sync();
  output.world.loseState();
  await output.sync();
  expect(output.values()).toHaveLength(200);
});

test("a run that was renamed goes on in its file", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  output.world.logdir.rename("train", "other");
  output.world.logdir.append("other", records(curve("loss", 20, 30)));
  output.world.loseState();
  await output.sync();
  expect(existsSync(output.file("other.jsonl"))).toBe(false);
  expect(output.steps()).toEqual(range(30));
});

test("another run in the place of one gets a file of its own", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  output.world.logdir.replace("train", fileOf(curve("loss", 0, 5), 1));
  await output.sync();
  expect(output.steps()).toEqual(range(20));
  expect(output.steps("train-2.jsonl")).toEqual(range(5));
});

test("names that are one path are told apart", async () => {
  const output = new JsonlOutput();
  const names = ["a:b", "a*b", "a_b"];
  for (const [i, name] of names.entries()) output.world.logdir.write(name, fileOf(curve("loss", 0, i + 1), i));
  for (let turn = 0; turn < 3; turn++) {
    const { runs } = await output.sync();
    expect(runs.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    output.world.loseState();
  }
  const files = ["a_b.jsonl", "a_b-2.jsonl", "a_b-3.jsonl"];
  expect(files.map((file) => output.steps(file).length).sort()).toEqual([1, 2, 3]);
});

test.each([
  ["../../etc/passwd", "_/_/etc/passwd"],
  ["/etc/passwd", "etc/passwd"],
  ["..", "_"],
  [".", "_"],
  ["", "run"],
  ["a//b", "a/b"],
  ["a\\..\\b", "a_.._b"],
  ["C:\\x", "C__x"],
  ["a\0b\u001b[31m\u202e", "a_b_[31m_"],
  ["nul.txt", "_nul.txt"],
  ["media/a", "media/a"],
  ["x.jsonl/y", "x_jsonl/y"],
  [".tracelet.lock", "_tracelet.lock"],
  ["trailing. /x", "trailing_/x"],
])("the run %j is at %j", (name, expected) => {
  expect(pathOfRun(name)).toBe(expected);
});

test("no name leads out of the directory, or is longer than a disk takes", () => {
  const parts = ["..", ".", "", "a".repeat(300), "😀".repeat(100), "\u0301", "con", "a/../../b", "~", "$(x)", "\\"];
  for (const one of parts) {
    for (const other of parts) {
      const found = pathOfRun(`${one}/${other}`.repeat(5));
      expect(path.posix.normalize(found)).toBe(found);
      expect(found.startsWith("/") || found.split("/").includes("..")).toBe(false);
      expect(Buffer.byteLength(found)).toBeLessThan(800);
      for (const part of found.split("/")) expect(Buffer.byteLength(part)).toBeLessThan(230);
    }
  }
});

test("a torn mark of another's making is no mark", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  await output.sync();
  appendFileSync(output.file("train.jsonl"), '{"kind":"mark","start":-5}\n{"kind":"mark","start":1e99');
  output.world.logdir.append("train", records(curve("loss", 20, 25)));
  await output.sync();
  expect(output.steps()).toEqual(range(25));
});

test("a disk that is full is an error of the run, and nothing of the batch stays", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", Buffer.concat([version(), records(curve("loss", 0, 20))]));
  mkdirSync(output.root);
  // What cannot be made there: a directory is in the way.
  mkdirSync(output.file("train.jsonl"));
  const { runs } = await output.sync();
  expect(runs[0]?.error).toMatchObject({ code: "rejected" });
});

test("a file where the output directory should be is an error of the runs", async () => {
  const output = new JsonlOutput();
  output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
  writeFileSync(output.root, "not ours");
  const { error, runs } = await output.sync();
  expect(error).toBeUndefined();
  expect(runs[0]?.error).toMatchObject({ code: "rejected", hint: expect.stringContaining("a file is in the way") });
  expect(readFileSync(output.root, "utf8")).toBe("not ours");
});

// Root writes anywhere.
if (process.getuid?.() !== 0 && process.platform !== "win32") {
  test("an output directory that cannot be written to is reported as such", async () => {
    const output = new JsonlOutput();
    output.world.logdir.write("train", fileOf(curve("loss", 0, 20)));
    mkdirSync(output.root, { mode: 0o555 });
    const { runs } = await output.sync();
    expect(runs[0]?.error?.message).toContain("EACCES");
  });
}
