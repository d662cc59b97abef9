/** What is no row of a run: its files, and what its config and fields say of where it was made. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { WandbBackend } from "../../src/backends/wandb/backend.ts";
import type { Datum, DatumBase } from "../../src/reader/datum.ts";
import { localFiles } from "../../src/reader/local-files.ts";
import type { Batch } from "../../src/sync/backend.ts";
import { sync } from "../../src/sync/engine/once.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { markAt, description as runDescription, TIME } from "./batches.ts";
import { connect, PROJECT } from "./destination.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

let directory: string;
let server: WandbServer;
let backend: WandbBackend;

beforeEach(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-"));
  server = await WandbServer.start();
  backend = connect(server.uri);
});

afterEach(async () => {
  await backend.close();
  await server.stop();
  rmSync(directory, { recursive: true });
});

const description = runDescription();

function batch(offset: number, data: readonly Datum[], scalars: readonly (readonly [string, number])[] = []): Batch {
  return {
    scalars: {
      tags: scalars.map(([tag]) => tag),
      tag: Int32Array.from(scalars, (_, i) => i),
      step: BigInt64Array.from(scalars, () => 0n),
      wallTime: Float64Array.from(scalars, () => TIME),
      value: Float64Array.from(scalars, ([, value]) => value),
      offset: Float64Array.from(scalars, () => 0),
      length: scalars.length,
    },
    data,
    segments: [],
    parts: [{ file: "events", firstScalar: 0, firstDatum: 0 }],
    marks: [markAt(offset)],
    hparams: new Map(),
  };
}

function base(tag: string): DatumBase {
  const metadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
  return { tag, step: 0n, wallTime: TIME, offset: 0, metadata };
}

function onlyRun(): StoredRun {
  const [run] = server.runs(PROJECT);
  if (run === undefined) throw new Error("there is no run");
  return run;
}

function textOf(run: StoredRun, file: string): string | undefined {
  return run.files.get(file)?.bytes.toString();
}

const artifact = (file: string, text: string): Datum => ({
  ...base(file),
  kind: "artifacts",
  path: file,
  content: Buffer.from(text),
});

async function syncFixture(name: string): Promise<Awaited<ReturnType<typeof sync>>> {
  const checkpoints = Checkpoints.open(directory, `destination ${Math.random()}`);
  try {
    return await sync({
      logdirs: [path.join(FIXTURES, name, "runs")],
      backend,
      checkpoints,
      quarantine: { add: async () => "quarantine" },
      group: "run",
      restarts: "explicit",
      transform: { includeTags: [], excludeTags: [], nan: "keep" },
      attachSource: true,
      maxRecordBytes: 1 << 28,
      wantsRun: () => true,
      concurrency: 2,
      signal: new AbortController().signal,
    });
  } finally {
    checkpoints.close();
  }
}

describe.each(["torch", "tf2"])("%s", (name) => {
  test("each value is sent or named as skipped, each file is announced, and a second sync changes no byte", async () => {
    const { error, runs } = await syncFixture(name);
    expect([error, ...runs.map((run) => run.error)].filter((each) => each !== undefined)).toEqual([]);
    for (const { tally } of runs) {
      for (const [kind, { read, derived, sent, failed, skipped }] of tally.kinds) {
        const left = [...skipped.keys()].filter((reason) => reason === "unsupported-kind");
        expect([kind, read + derived - sent - failed, left]).toEqual([kind, sum(skipped.values()), []]);
      }
    }
    const digests = () =>
      server.runs(PROJECT).map((run) => [run.name, [...run.files].map(([file, { sha256 }]) => [file, sha256])]);
    for (const run of server.runs(PROJECT)) {
      expect([...run.files.keys()].filter((file) => !run.announced.has(file))).toEqual([]);
      expect([run.oddities, run.filesMissing]).toEqual([[], []]);
    }
    const before = digests();
    await syncFixture(name);
    expect(digests()).toEqual(before);
  });
});

test("a run of plugins has its graphs, layouts, embeddings, pages and event files", async () => {
  await syncFixture("torch");
  const run = server.runs(PROJECT).find(({ fields }) => fields.displayName === "plugins") as StoredRun;
  expect([...run.files.keys()]).toEqual(
    expect.arrayContaining([
      "graph/__run_graph__.pb",
      "graph/__run_graph__.pbtxt",
      "graph/__run_graph__.html",
      "graph/step1.run_metadata.pb",
      "custom_scalars/custom_scalars__config__.json",
      "custom_scalars/custom_scalars__config__.html",
      "pr_curves/pr curve.html",
      "embeddings/projector_config.json",
    ]),
  );
  const folder = path.join(FIXTURES, "torch/runs/plugins");
  for (const file of ["events.out.tfevents.1700000008.fixture.4242.6", "projector_config.pbtxt"]) {
    const digest = createHash("sha256")
      .update(readFileSync(path.join(folder, file)))
      .digest("hex");
    expect(run.files.get(`tensorboard/${file}`)?.sha256).toBe(digest);
  }
  const tensors = [...run.files.keys()].find((file) => /^embeddings\/letters.*\/tensors\.tsv$/.test(file)) as string;
  expect(textOf(run, tensors)).toBe(readFileSync(path.join(folder, "00001/letters/tensors.tsv"), "utf8"));
  // What the path does not tell.
  expect(run.config["tracelet_files"]).toMatchObject({ [path.posix.dirname(tensors)]: "letters:00001" });
});

test("a file that has become shorter is a problem, and ends nothing", async () => {
  const file = path.join(directory, "events");
  writeFileSync(file, "short");
  const handle = await backend.open(description, undefined);
  const entry = { store: localFiles, path: file, name: "events", size: 5, mtime: 0n, token: 0n };
  const receipt = await backend.attachFiles(handle, { kind: "source_files", path: "events", file: entry, size: 500 });
  expect(receipt).toMatchObject({ complete: false, problems: [{ path: file, code: "shorter" }] });
  expect(receipt.tally.kinds.get("source_files")).toMatchObject({ sent: 0, failed: 1 });
  const whole = await backend.attachFiles(handle, { kind: "source_files", path: "events", file: entry, size: 5 });
  expect(whole).toMatchObject({ complete: true, problems: [] });
  expect(textOf(onlyRun(), "tensorboard/events")).toBe("short");
});

describe("what a program has logged", () => {
  test("files have their paths, and never those of W&B's own files", async () => {
    const handle = await backend.open(description, undefined);
    const data = ["models/best.txt", "config.yaml", "wandb-summary.json", "media/x.txt"].map((file) =>
      artifact(file, file),
    );
    const { tally, notes } = await backend.write(handle, batch(100, data));
    const run = onlyRun();
    for (const [file, stored] of [
      ["models/best.txt", "models/best.txt"],
      ["config.yaml", "artifacts/config.yaml"],
      ["wandb-summary.json", "artifacts/wandb-summary.json"],
      ["media/x.txt", "artifacts/media/x.txt"],
    ] as const)
      expect([stored, textOf(run, stored)]).toEqual([stored, file]);
    expect(tally.kinds.get("artifacts")).toMatchObject({ sent: 4 });
    expect(notes).toContainEqual({
      code: "renamed",
      message: 'artifact "config.yaml" is stored as "artifacts/config.yaml"',
    });
    // Of one that is written again the earlier one is gone, which is said.
    const again = await backend.write(handle, batch(200, [artifact("models/best.txt", "better")]));
    expect(again.tally.kinds.get("artifacts")?.skipped).toEqual(new Map([["same-tag", 1]]));
    expect(textOf(run, "models/best.txt")).toBe("better");
  });

  test("a metric's goal has the summary hold its best value, over a change of writers", async () => {
    const handle = await backend.open(description, undefined);
    const goal: Datum = {
      ...base("tracelet/metric/loss"),
      kind: "metric_info",
      metric: "loss",
      type: "loss",
      info: { unit: "nats" },
    };
    const { tally } = await backend.write(handle, batch(100, [goal], [["loss", 1]]));
    await backend.write(handle, batch(200, [], [["loss", 0.5]]));
    const other = connect(server.uri);
    await other.write(await other.open(description, handle.id), batch(300, [goal], [["loss", 3]]));
    await other.close();
    const run = onlyRun();
    expect(run.summary["loss"]).toEqual({ last: 3, min: 0.5 });
    expect(tally.kinds.get("metric_info")).toMatchObject({ sent: 1 });
    expect(run.config["tracelet_metrics"]).toEqual({
      loss: { type: "loss", goal: "min", metadata: { unit: "nats" } },
    });
  });

  test("a goal that comes after values leaves the summary their last one: their best is not known", async () => {
    const handle = await backend.open(description, undefined);
    await backend.write(handle, batch(100, [], [["acc", 0.9]]));
    const goal: Datum = { ...base("m"), kind: "metric_info", metric: "acc", type: "accuracy", info: {} };
    await backend.write(handle, batch(200, [goal], [["acc", 0.5]]));
    expect(onlyRun().summary["acc"]).toBe(0.5);
    expect(onlyRun().config["_wandb"]).toMatchObject({ m: [{ "1": "global_step" }, { "1": "acc", "7": [], "8": 2 }] });
  });
});

test("git and Python stand where W&B's client has them, also where they come one after the other", async () => {
  const labels = (tags: Readonly<Record<string, string>>): Datum => ({
    ...base("tags"),
    kind: "run_tags",
    tags: new Map(Object.entries(tags)),
  });
  const git = labels({
    "mlflow.source.git.commit": "c0ffee",
    "mlflow.source.git.repoURL": "https://example.org/a.git",
    "mlflow.source.git.branch": "main",
    "mlflow.source.git.dirty": "true",
    stage: "test",
  });
  const python = labels({
    "env.python": "3.12.1",
    "env.python_implementation": "CPython",
    "env.platform": "Linux-6",
    "env.host": "node7",
  });
  const handle = await backend.open(description, undefined);
  await backend.write(handle, batch(100, [git, artifact("git/diff.patch", "diff --git\n")]));
  const other = connect(server.uri);
  const again = await other.open(description, handle.id);
  const { tally } = await other.write(again, batch(200, [python, artifact("env/requirements.txt", "torch==2\n")]));
  await other.finish(again, "finished");
  await other.close();
  const run = onlyRun();
  expect(run.fields).toMatchObject({ commit: "c0ffee", repo: "https://example.org/a.git", host: "node7" });
  const environment = {
    os: "Linux-6",
    python: "3.12.1",
    host: "node7",
    git: { remote: "https://example.org/a.git", commit: "c0ffee" },
  };
  expect(run.config["_wandb"]).toMatchObject({ python_version: "3.12.1", e: { tracelet: environment } });
  expect(JSON.parse(textOf(run, "wandb-metadata.json") ?? "")).toEqual(environment);
  expect(textOf(run, "diff.patch")).toBe("diff --git\n");
  expect(textOf(run, "requirements.txt")).toBe("torch==2\n");
  expect(run.config["tracelet_tags"]).toEqual({
    "git.branch": "main",
    "git.dirty": "true",
    stage: "test",
    "env.python_implementation": "CPython",
  });
  expect(tally.kinds.get("run_tags")).toMatchObject({ sent: 1 });
  expect([...run.files.keys()].filter((file) => !run.announced.has(file))).toEqual([]);
});

test("a run's notes tell where its files lie, follow them, and are left alone once somebody has written there", async () => {
  const origin = { host: "node7", path: "/data/runs/a" };
  const handle = await backend.open({ ...description, origin }, undefined);
  const run = onlyRun();
  expect(run.fields.notes).toMatch(
    /^TensorBoard run `train` from `\/data\/runs\/a` on `node7`, synced by tracelet [\d.]+/,
  );
  const moved = { ...description, source: "t", title: "moved", name: "moved" };
  await backend.open(moved, handle.id);
  expect(run.fields.notes).toMatch(/^TensorBoard run `moved`, synced by tracelet [\d.]+/);
  run.fields.notes = `${run.fields.notes} Keep it!`;
  await backend.open({ ...description, origin }, handle.id);
  expect(run.fields.notes).toMatch(/Keep it!$/);
});

function sum(counts: Iterable<number>): number {
  return [...counts].reduce((all, count) => all + count, 0);
}
