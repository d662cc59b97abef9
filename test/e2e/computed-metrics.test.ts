/** Metrics computed from a configuration file, under SIGKILL: what TensorBoard's reading makes of the same files. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openDatabase } from "../../src/sqlite.ts";
import { killOften } from "./support/kill-often.ts";
import { byTag, type Point, readFilesOf, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const POINTS = 90_000;
const KILLS = 5;

let workspace: string;
let logdir: string;
let config: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-computed-"));
  logdir = path.join(workspace, "runs");
  config = path.join(workspace, "tracelet.config.json");
  execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), logdir, "3", String(POINTS / 3), "3"]);
  writeFileSync(
    config,
    JSON.stringify({ derive: { "{tag}_smoothed": { mean: 5 } }, best: ["*"], metricTypes: { "*": { type: "loss" } } }),
  );
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

/** The mean of each five points, and the least of all, by tag and step. */
function expectedOf(tags: { [tag: string]: Point[] }): { [tag: string]: { [step: string]: number } } {
  const made: { [tag: string]: { [step: string]: number } } = {};
  for (const [tag, points] of Object.entries(tags)) {
    const smoothed: { [step: string]: number } = {};
    let [least, at] = [Infinity, ""];
    for (const [i, [step, , text]] of points.entries()) {
      const value = Number(text);
      if (value < least) [least, at] = [value, step];
      if (i >= 4) smoothed[step] = points.slice(i - 4, i + 1).reduce((sum, point) => sum + Number(point[2]), 0) / 5;
    }
    made[`${tag}_smoothed`] = smoothed;
    made[`best/${tag}`] = { [at]: least };
    made[`best/${tag}/step`] = { [at]: Number(at) };
  }
  return made;
}

/** Nothing is missing, nothing there twice, and the best stands last. */
function expectComputed(
  there: { [tag: string]: readonly (readonly [step: string, value: number])[] },
  tags: { [tag: string]: Point[] },
): void {
  for (const [tag, values] of Object.entries(expectedOf(tags))) {
    const points = there[tag] ?? [];
    const last = tag.startsWith("best/")
      ? [[...points].sort(([a], [b]) => Number(a) - Number(b)).at(-1) ?? []]
      : points;
    expect(Object.fromEntries(last as [string, number][])).toEqual(values);
    expect(new Set(points.map(([step]) => step)).size).toBe(points.length);
  }
}

test("into MLflow's database; verify finds nothing", async () => {
  const database = path.join(workspace, "mlflow.db");
  const to = ["--config", config, "--tracking-uri", `sqlite:///${database}`, "--experiment", "computed"];
  const args = [logdir, ...to, "--state-dir", path.join(workspace, "state")];
  // Its files change long before a transaction has ended.
  const rows = () => {
    let opened: Database | undefined;
    try {
      opened = openDatabase(database, { busyTimeout: 1000, readOnly: true });
      return Number(opened.prepare("SELECT count(*) AS n FROM metrics").get()?.["n"]);
    } catch {
      // It, or its tables, are not there yet.
      return 0;
    } finally {
      opened?.close();
    }
  };
  let [commits, last] = [0, 0];
  const killed = await killOften(args, KILLS, () => {
    const now = rows();
    if (now !== last) commits++;
    last = now;
    return commits;
  });
  expect(killed).toBeGreaterThan(0);
  expect(commits).toBeGreaterThan(0);
  expect((await sync(args)).code).toBe(0);
  const expected = await readTensorBoard(logdir);
  const { runs } = await readMlflow(`sqlite:///${database}`, "computed");
  expect(runs.map(({ name }) => name).sort()).toEqual(Object.keys(expected).sort());
  for (const run of runs) {
    const there = Object.entries(byTag(run)).map(
      ([tag, points]) => [tag, points.map(([step, , value]) => [step, Number(value)] as const)] as const,
    );
    expectComputed(Object.fromEntries(there), expected[run.name] as { [tag: string]: Point[] });
  }
  expect((await tracelet(["verify", logdir, ...to])).code).toBe(0);
});

test("into JSON lines, which are only appended to", async () => {
  const output = path.join(workspace, "out");
  const to = ["--config", config, "--backend", "jsonl", "--output", output];
  const args = [logdir, ...to, "--state-dir", path.join(workspace, "state")];
  let changes = 0;
  let last = "";
  const killed = await killOften(args, KILLS, () => {
    const now = ["0", "1", "2"]
      .map((run) => statSync(path.join(output, `run-0000${run}.jsonl`), { throwIfNoEntry: false })?.size)
      .join(" ");
    if (now !== last) changes++;
    last = now;
    return changes;
  });
  expect(killed).toBeGreaterThan(0);
  expect((await sync(args)).code).toBe(0);
  const expected = await readTensorBoard(logdir);
  const there = await readFilesOf("jsonl", output);
  for (const [name, tags] of Object.entries(expected)) {
    const scalars = Object.entries(there[name] ?? {}).map(([tag, points]) => [
      tag,
      points.filter(([kind]) => kind === "scalar").map(([, step, , value]) => [String(step), Number(value)] as const),
    ]);
    expectComputed(Object.fromEntries(scalars), tags);
  }
  expect((await tracelet(["verify", logdir, ...to])).code).toBe(0);
});
