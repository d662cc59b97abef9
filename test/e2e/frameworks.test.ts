/** docs/frameworks.md: what it says to type, typed, on what each framework wrote. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { byTag, distinct, type Point, readMlflow, readTensorBoard } from "./support/python.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const FIXTURES = path.join(ROOT, "fixtures");

interface Row {
  /** What lies in the home and working directory of the user: a case's folder, or the logdir in it. */
  readonly directory: string;
  /** Runs of TensorBoard by the names that `directory` gives them → the run in MLflow, and what becomes of a tag. */
  readonly runs: { readonly [run: string]: readonly [run: string, tag: string] };
  /** Params that are not empty, by the run in MLflow. */
  readonly params: { readonly [run: string]: { readonly [name: string]: string } };
  /** Kinds beside scalars and hyperparameters. */
  readonly kinds?: readonly string[];
}

/** What lightning-training/expected-params.json has, for one learning rate. */
const line = (lr: string) => ({ lr, layers: "1", optimizer: "sgd", writer_per_rank: "False" });

const FIT = ["20231114-221320", "20231114-221321"] as const;
const TRIALS = [
  "train_fc8ce_00000_0_lr=0.1000_2026-11-27_15-48-40",
  "train_fc8ce_00001_1_lr=0.0100_2026-11-27_15-48-41",
] as const;

const ROWS: { readonly [start: string]: Row } = {
  "torch, tensorboardX": {
    directory: "example",
    runs: Object.fromEntries(
      ["baseline", "lr-0.01/bs-64", "lr-0.10/bs-32"].map((run) => [`runs/${run}`, [run, "{tag}"] as const]),
    ),
    params: {
      baseline: { lr: "0.003", batch_size: "32.0", optimizer: "adam", augment: "0.0" },
      "lr-0.01/bs-64": { lr: "0.01", batch_size: "64.0", optimizer: "adam", augment: "1.0" },
      "lr-0.10/bs-32": { lr: "0.1", batch_size: "32.0", optimizer: "sgd", augment: "1.0" },
    },
    kinds: ["histograms", "images", "text"],
  },
  "Lightning: `TensorBoardLogger`": {
    directory: "lightning-training/runs",
    runs: {
      "lightning_logs/version_0": ["version_0", "{tag}"],
      "lightning_logs/version_1": ["version_1", "{tag}"],
    },
    params: { version_0: line("0.1"), version_1: line("0.3") },
  },
  "Lightning with several": {
    directory: "lightning-training/runs",
    runs: {
      "lightning_logs/version_0": ["lightning_logs/version_0", "{tag}"],
      "lightning_logs/version_1": ["lightning_logs/version_1", "{tag}"],
    },
    params: { "lightning_logs/version_0": line("0.1"), "lightning_logs/version_1": line("0.3") },
  },
  'Lightning with `strategy="ddp"`': {
    directory: "lightning-ddp/runs",
    runs: { "lightning_logs/version_0": ["version_0", "{tag}"] },
    params: { version_0: { ...line("0.1"), writer_per_rank: "True" } },
  },
  Keras: {
    directory: "keras/runs",
    runs: Object.fromEntries(
      FIT.flatMap((run) =>
        ["train", "validation"].map((part) => [`logs/fit/${run}/${part}`, [`fit/${run}`, `${part}/{tag}`] as const]),
      ),
    ),
    params: Object.fromEntries(
      FIT.map((run, index) => [`fit/${run}`, { units: ["4.0", "8.0"][index] ?? "", optimizer: "sgd", dropout: "0.5" }]),
    ),
    kinds: ["graphs", "histograms"],
  },
  transformers: {
    directory: "transformers-trainer/runs",
    runs: { "out/runs/Nov27_15-43-54_fixture": ["Nov27_15-43-54_fixture", "{tag}"] },
    params: { "Nov27_15-43-54_fixture": {} },
    kinds: ["text"],
  },
  accelerate: {
    directory: "accelerate-tracker/runs",
    runs: Object.fromEntries(
      ["trial-0", "trial-1"].flatMap((run) => [
        [`tracked/${run}`, [run, "{tag}"] as const],
        [`tracked/${run}/eval_accuracy`, [run, "{tag}/accuracy"] as const],
        [`tracked/${run}/eval_loss`, [run, "{tag}/loss"] as const],
      ]),
    ),
    params: {
      "trial-0": { lr: "0.1", epochs: "3.0", optimizer: "adamw", amp: "0.0" },
      "trial-1": { lr: "0.01", epochs: "3.0", optimizer: "adamw", amp: "0.0" },
    },
    kinds: ["text"],
  },
  "stable-baselines3": {
    directory: "stable-baselines3/runs",
    runs: Object.fromEntries(["PPO_1", "PPO_2", "dqn-small_1"].map((run) => [`tb/${run}`, [run, "{tag}"] as const])),
    params: { PPO_1: {}, PPO_2: {}, "dqn-small_1": {} },
  },
  "Ray Tune": {
    directory: "ray-tune/runs",
    runs: Object.fromEntries(
      TRIALS.map((run) => [`ray_results/sweep/${run}`, [`sweep/${run}`, "{tag}"] as const] as const),
    ),
    params: { sweep: {}, [`sweep/${TRIALS[0]}`]: { lr: "0.1" }, [`sweep/${TRIALS[1]}`]: { lr: "0.01" } },
  },
};

/** The first two cells of each row of the table. */
const DOCUMENTED: readonly (readonly [name: string, command: string])[] = readFileSync(
  path.join(ROOT, "docs/frameworks.md"),
  "utf8",
)
  .split("\n")
  .map((text) => /^\| (.+?) \| `(tracelet sync .+?)` \|/.exec(text))
  .filter((match) => match !== null)
  .map(([, name = "", command = ""]) => [name, command] as const);

let workspace: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-frameworks-"));
  mkdirSync(path.join(workspace, "bin"));
  const command = path.join(workspace, "bin/tracelet");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${path.join(ROOT, "dist/cli/main.js")}" "$@"\n`);
  chmodSync(command, 0o755);
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

test("each row of the table is tested", () => {
  expect(DOCUMENTED.map(([name]) => Object.keys(ROWS).filter((start) => name.startsWith(start)))).toEqual(
    Object.keys(ROWS).map((start) => [start]),
  );
});

test.each(DOCUMENTED)("%s", async (name, command) => {
  const [start, row] = Object.entries(ROWS).find(([start]) => name.startsWith(start)) as [string, Row];
  const home = path.join(workspace, String(Object.keys(ROWS).indexOf(start)));
  cpSync(path.join(FIXTURES, row.directory), home, { recursive: true });
  const read = await readTensorBoard(home);
  for (const verb of ["sync", "watch"] as const) {
    const place = path.join(home, "..", `${path.basename(home)}-${verb}`);
    const uri = `sqlite:///${place}.db`;
    const typed = command.replace("sync", verb);
    const more = verb === "sync" ? "--json" : "--until-idle 0s";
    const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", `${typed} ${more}`], {
      cwd: home,
      encoding: "utf8",
      env: {
        ...{ PATH: `${path.join(workspace, "bin")}:/usr/bin:/bin`, HOME: home, TRACELET_STATE_DIR: `${place}-state` },
        ...{ MLFLOW_TRACKING_URI: uri, MLFLOW_EXPERIMENT_NAME: "mine" },
      },
    });
    expect([verb, status, status === 0 ? "" : stderr]).toEqual([verb, 0, ""]);
    if (verb === "sync") expectNothingLeftOut(stdout, row.kinds ?? []);
    const { runs } = await readMlflow(uri, "mine");
    expect(Object.fromEntries(runs.map((run) => [run.name, run.params]))).toEqual(row.params);
    expect(Object.fromEntries(runs.map((run) => [run.name, byTag(run)]))).toEqual(expectedMetrics(row, read));
    const parent = runs.find((run) => run.name === "sweep");
    if (parent) for (const run of runs) if (run !== parent) expect(run.tags["mlflow.parentRunId"]).toBe(parent.id);
  }
});

/** Everything sent, of exactly these kinds, and nothing that needs a note. */
function expectNothingLeftOut(json: string, kinds: readonly string[]): void {
  const {
    outcome,
    kinds: counts,
    runs,
  } = JSON.parse(json) as {
    outcome: string;
    kinds: { [kind: string]: { read: number; sent: number } };
    runs: { notes: object[] }[];
  };
  expect(outcome).toBe("ok");
  expect(runs.flatMap(({ notes }) => notes)).toEqual([]);
  expect(Object.values(counts).map(({ read }) => read)).toEqual(Object.values(counts).map(({ sent }) => sent));
  expect(
    Object.keys(counts)
      .filter((kind) => kind !== "scalars" && kind !== "hparams")
      .sort(),
  ).toEqual(kinds);
}

/** What TensorBoard reads, under the names that the metrics should have. */
function expectedMetrics(
  row: Row,
  read: { readonly [run: string]: { readonly [tag: string]: Point[] } },
): { [run: string]: { [tag: string]: Point[] } } {
  const metrics: { [run: string]: { [tag: string]: Point[] } } = Object.fromEntries(
    Object.keys(row.params).map((run) => [run, {}]),
  );
  const withScalars = Object.entries(read).filter(([, tags]) => Object.keys(tags).length > 0);
  expect(withScalars.map(([run]) => run).sort()).toEqual(Object.keys(row.runs).sort());
  for (const [run, tags] of withScalars) {
    const [target, name] = row.runs[run] as readonly [string, string];
    for (const [tag, points] of Object.entries(tags))
      (metrics[target] ??= {})[name.replace("{tag}", tag)] = distinct(points);
  }
  return metrics;
}
