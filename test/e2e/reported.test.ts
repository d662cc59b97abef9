/** What users have reported of TensorBoard's logs and other tools, sent and read back with MLflow's own Python. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { byTag, distinct, download, type MlflowRun, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

let workspace: string;
let uri: string;
let options: string[];
let count = 0;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-reported-"));
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

beforeEach(() => {
  const folder = path.join(workspace, `${++count}`);
  uri = `sqlite:///${path.join(folder, "mlflow.db")}`;
  options = ["--tracking-uri", uri, "--experiment", "e"];
});

const logdirOf = (name: string) => path.join(FIXTURES, name, "runs");
const state = () => ["--state-dir", path.join(workspace, `${count}-state`)];
const there = async () => (await readMlflow(uri, "e")).runs;
const named = (runs: readonly MlflowRun[], name: string) => runs.find((run) => run.name === name) as MlflowRun;

/** TensorBoard's points of a run, each once. */
async function pointsOf(logdir: string, run: string): Promise<object> {
  const tags = (await readTensorBoard(logdir))[run] ?? {};
  return Object.fromEntries(Object.entries(tags).map(([tag, all]) => [tag, distinct(all)]));
}

test("glob-of-event-files: all 15 points are in one run, and verify misses what is not there", async () => {
  const folder = path.join(logdirOf("glob-of-event-files"), "exp");
  const files = readdirSync(folder).map((name) => path.join(folder, name));
  await sync([files[2] as string, ...options, ...state()]);
  const lossy = await tracelet(["verify", ...files, ...options]);
  expect(lossy.code).toBe(1);
  expect(lossy.stderr).toMatch(/points +15 +10 +0 +0\n/);
  await sync([...files, ...options, ...state()]);
  const runs = await there();
  expect(runs.map(({ name }) => name)).toEqual(["exp"]);
  expect(byTag(runs[0] as MlflowRun)).toEqual(await pointsOf(logdirOf("glob-of-event-files"), "exp"));
  expect(Object.values((runs[0] as MlflowRun).metrics).flat()).toHaveLength(15);
  expect((await tracelet(["verify", ...files, ...options])).code).toBe(0);
});

test("copies-and-backups: the distinct points once, and what is no event file named once", async () => {
  const logdir = logdirOf("copies-and-backups");
  const first = await sync([logdir, ...options, ...state()]);
  expect(first.code).toBe(0);
  expect(first.runs[0]?.notes.map(({ code }) => code)).toEqual(["not-an-event-file", "not-an-event-file"]);
  expect(byTag(named(await there(), "a"))).toEqual(await pointsOf(logdir, "a"));
  const again = await sync([logdir, ...options, ...state()]);
  expect([again.code, again.runs.map(({ outcome, notes }) => [outcome, notes])]).toEqual([0, [["unchanged", []]]]);
});

test("odd-metric-names: a key changes only where it has to", async () => {
  const logdir = logdirOf("odd-metric-names");
  await sync([logdir, ...options, ...state()]);
  const run = named(await there(), "a");
  expect(byTag(run)).toEqual(await pointsOf(logdir, "a"));
  const keys = Object.keys(run.metrics);
  expect(keys).toEqual(expect.arrayContaining(["metrics/mAP50_B_", "val/AR_100"]));
  // With a digest only those whose key another tag has.
  const digests = keys.filter((key) => /-[0-9a-f]{8}$/.test(key));
  for (const key of digests) expect(keys).toContain(key.replace(/-[0-9a-f]{8}$/, ""));
});

test("histogram-float32: edges and counts are the doubles of the message", async () => {
  await sync([logdirOf("histogram-float32"), ...options, ...state()]);
  const { hand } = await download(uri, "e", path.join(workspace, `${count}-files`));
  const folder = path.join(hand as string, "histograms");
  const lines = readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) => readFileSync(path.join(folder, name), "utf8").trim().split("\n"))
    .map((line) => JSON.parse(line) as { tag: string; buckets: number[][] });
  const first = new Map(lines.map(({ tag, buckets }) => [tag, buckets]));
  // As the case states them: what float32 rounds to 16,777,216, to 0, to infinity and to one second.
  expect(first.get("counts")).toEqual(
    expect.arrayContaining([
      [0, 1, 16_777_217],
      [1, 2, 33_222_784],
    ]),
  );
  expect(first.get("small")).toContainEqual([1e-50, 2e-50, 1]);
  expect(first.get("large")).toContainEqual([1e39, 2e39, 1]);
  expect(first.get("epoch")).toContainEqual([1_700_000_000.25, 1_700_000_001.25, 1]);
});

test("optuna-callback: each trial has its params, and nothing stands beside them", async () => {
  await sync([logdirOf("optuna-callback"), ...options, ...state()]);
  const runs = await there();
  expect(Object.fromEntries(runs.map(({ name, params }) => [name, params]))).toEqual({
    "trial-0": { max_depth: "3.0", class_weight: "balanced", bootstrap: "False" },
    "trial-1": { max_depth: "5.0", class_weight: "None", bootstrap: "True" },
    "trial-2": { max_depth: "-1.0", class_weight: "None", bootstrap: "False" },
  });
  for (const run of runs) expect(byTag(run)).toEqual(await pointsOf(logdirOf("optuna-callback"), run.name));
});

test("hf-pruned-trials: that the params lie apart from the metrics is noted", async () => {
  const logdir = logdirOf("hf-pruned-trials");
  const { runs: sent } = await sync([logdir, ...options, ...state()]);
  const runs = await there();
  const host = "Apr01_10-00-00_host";
  expect(byTag(named(runs, host))).toEqual(await pointsOf(logdir, host));
  const trials = runs.filter(({ name }) => name.startsWith(`${host}/`));
  expect(trials.map(({ params }) => params["learning_rate"]).sort()).toEqual(["0.001", "1e-05"]);
  for (const { name, metrics } of trials) {
    expect(metrics).toEqual({});
    const notes = sent.find((run) => run.name === name)?.notes.map(({ code }) => code);
    expect(notes).toEqual(["params-apart"]);
  }
});
