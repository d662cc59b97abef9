/**
 * Every example of the pages that users of PyPI's `tracelet` know, with only its import changed, with the real torch and
 * Lightning: what TensorBoard reads in the files they write is at MLflow, or at Weights & Biases where the page says so, all
 * of it and nothing else.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRow } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import {
  byTag,
  distinct,
  download,
  type ExampleValues,
  type MlflowRun,
  type Point,
  readExamples,
  readMlflow,
  TORCH_PYTHON,
} from "./support/python.ts";
import { pointsOf } from "./support/wandb-twin.ts";

const SCRIPTS = path.join(import.meta.dirname, "python");
/** They wait for their watches more than for a core. */
const SIDE_BY_SIDE = 3;

/** What the pages call an experiment's run and its project; MLflow's default where they name none. */
const EXAMPLES: { readonly [example: string]: readonly [run: string, project: string] } = {
  framework_automatic: ["pytorch_auto_demo", "pytorch_examples"],
  framework_distributed: ["distributed_training", "multi_gpu"],
  framework_enhanced: ["enhanced_metrics", "advanced_pytorch"],
  framework_import_error: ["safe_tensorboard", "error_handling"],
  framework_init_error: ["framework_error_test", "error_handling"],
  framework_lightning: ["lightning_integration", "pytorch_lightning"],
  framework_manual: ["manual_pytorch", "framework_demo"],
  framework_naming: ["framework_naming", "best_practices"],
  framework_performance: ["optimized_logging", "performance"],
  framework_processor: ["custom_processing", "advanced_features"],
  framework_resources: ["resource_managed", "best_practices"],
  framework_settings: ["configured_pytorch", "pytorch_config"],
  framework_unpatched: ["manual_only", "no_tensorboard"],
  framework_writers: ["multi_writer", "tensorboard_demo"],
  lightning_advanced: ["advanced_lightning", "Default"],
  lightning_basic: ["lightning_experiment", "my_project"],
  lightning_callbacks: ["lightning_with_callbacks", "Default"],
  lightning_ddp: ["lightning_ddp", "my_project"],
  plain_tensorboard: ["plain_tensorboard", "my_project"],
  pytorch_advanced: ["advanced_pytorch", "Default"],
  pytorch_basic: ["pytorch_experiment", "my_project"],
  pytorch_practices: ["pytorch_practices", "my_project"],
  tensorboard_basic: ["tensorboard_experiment", "my_project"],
  tensorboard_config: ["custom_tensorboard", "Default"],
  tensorboard_debug: ["debug_experiment", "Default"],
  tensorboard_features: ["tensorboard_features", "my_project"],
  tensorboard_migrated: ["my_experiment", "Default"],
};

/** Those whose pages name Weights & Biases, too, or it alone. All are in the project of runs that are given none. */
const AT_WANDB = { lightning_advanced: "too", pytorch_advanced: "alone", tensorboard_config: "alone" } as const;

let folder: string;
let server: MlflowServer;
let wandb: WandbServer;
let ended: { [example: string]: { code: number; stdout: string; stderr: string } };
let written: { readonly [example: string]: ExampleValues };
const runs = new Map<string, MlflowRun[]>();
const files = new Map<string, { [run: string]: string }>();

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-python-examples-"));
  server = await MlflowServer.start(path.join(folder, "server", "mlflow.db"));
  wandb = await WandbServer.start();
  const args = ["-W", "ignore", path.join(SCRIPTS, "run_examples.py"), path.join(folder, "made"), String(SIDE_BY_SIDE)];
  const env = { ...process.env, MLFLOW_TRACKING_URI: server.uri, WANDB_BASE_URL: wandb.uri, WANDB_API_KEY: API_KEY };
  const { stdout } = await promisify(execFile)(TORCH_PYTHON, args, { env, maxBuffer: 1 << 28 });
  ended = JSON.parse(stdout) as typeof ended;
  written = await readExamples(path.join(folder, "made"));
  for (const project of new Set(Object.values(EXAMPLES).map(([, project]) => project))) {
    runs.set(project, (await readMlflow(server.uri, project)).runs);
    files.set(project, await download(server.uri, project, path.join(folder, "files", project)));
  }
});

afterAll(async () => {
  await server?.stop();
  await wandb?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The one run of an example. */
function runOf(example: string): MlflowRun {
  const [name, project] = EXAMPLES[example] as (typeof EXAMPLES)[string];
  const found = runs.get(project)?.filter((run) => run.name === name) ?? [];
  expect(found.length, ended[example]?.stderr).toBe(1);
  return found[0] as MlflowRun;
}

/** The one run of an example at Weights & Biases. */
function wandbRunOf(example: keyof typeof AT_WANDB): StoredRun {
  const found = wandb.runs("uncategorized").filter(({ fields }) => fields.displayName === EXAMPLES[example]?.[0]);
  expect(found.length, ended[example]?.stderr).toBe(1);
  return found[0] as StoredRun;
}

/** What an example's run should hold: its writers' runs in one, the tags of those with a name of their own below it. */
function expected(example: string): { [tag: string]: Point[] } {
  const tags: { [tag: string]: Point[] } = {};
  for (const [directory, scalars] of Object.entries(written[example]?.scalars ?? {})) {
    const named = directory
      .split("/")
      .slice(1)
      .join("/")
      // add_hparams makes a directory of its own, named by the time, for what belongs to the one above.
      .replace(/\/\d+\.\d+$/, "")
      // Names that torch and Lightning give by themselves.
      .replace(/^([A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d_[^/]*|version_\d+)(\/|$)/, "");
    for (const [tag, points] of Object.entries(scalars)) {
      const last = path.posix.basename(named);
      // add_scalars("Losses", {"total": …}) makes a directory Losses_total for the tag Losses.
      const line = last.startsWith(`${tag}_`) ? last.slice(tag.length + 1) : undefined;
      const name = path.posix.join(...(line === undefined ? [named, tag] : [path.posix.dirname(named), tag, line]));
      tags[name] = distinct([...(tags[name] ?? []), ...points]);
    }
  }
  return tags;
}

/** How many of each kind MLflow has. */
function arrived(example: string): { [kind: string]: number } {
  const [name, project] = EXAMPLES[example] as (typeof EXAMPLES)[string];
  const root = files.get(project)?.[name];
  const all = root === undefined ? [] : readdirSync(root, { recursive: true, encoding: "utf8" });
  const below = (kind: string, end: string) => all.filter((file) => file.startsWith(kind) && file.endsWith(end));
  const lines = below("histograms/", ".jsonl").map((file) => {
    const text = readFileSync(path.join(root as string, file), "utf8");
    return text.split("\n").filter((line) => line !== "").length;
  });
  return {
    images: below("images/", ".png").length,
    histograms: lines.reduce((sum, count) => sum + count, 0),
    text: below("text/", ".md").length,
    audio: below("audio/", ".wav").length,
    graphs: below("graph/", ".pb").filter((file) => !file.endsWith(".run_metadata.pb")).length,
  };
}

test("each file of examples is here, and runs", () => {
  expect(Object.keys(ended).sort()).toEqual(Object.keys(EXAMPLES).sort());
  for (const [example, { code, stderr }] of Object.entries(ended))
    expect([example, code], stderr).toEqual([example, 0]);
});

const isAtMlflow = (example: string) => (AT_WANDB as { readonly [example: string]: string })[example] !== "alone";

describe.each(Object.keys(EXAMPLES).filter(isAtMlflow))("%s", (example) => {
  test("every point is in one run, once, and nothing else", () => {
    const run = runOf(example);
    const metrics = Object.entries(byTag(run)).filter(([tag]) => !tag.startsWith("system/"));
    expect(Object.fromEntries(metrics)).toEqual(expected(example));
    expect(metrics.length).toBeGreaterThan(0);
    expect(run.status).toBe("FINISHED");
  });

  test("so is every value of another kind", () => {
    const { counts } = written[example] as ExampleValues;
    expect(arrived(example)).toEqual(counts);
  });
});

describe.each(Object.keys(AT_WANDB) as (keyof typeof AT_WANDB)[])("%s, at Weights & Biases", (example) => {
  test("every point is in one run, once, and nothing else", () => {
    const run = wandbRunOf(example);
    const arrived = Object.entries(pointsOf(run)).flatMap(([tag, points]) =>
      points.flatMap(({ step, time, value }) =>
        typeof value === "number" ? [{ tag, step, value, ms: time * 1000 }] : [],
      ),
    );
    const wanted = Object.entries(expected(example)).flatMap(([tag, points]) =>
      points.map(([step, ms, value]) => ({ tag, step, value: Number(value), ms: Number(ms) })),
    );
    const sorted = (points: typeof arrived) =>
      [...points].sort((a, b) => a.tag.localeCompare(b.tag) || Number(a.step) - Number(b.step) || a.ms - b.ms);
    const withoutTime = ({ tag, step, value }: (typeof arrived)[number]) => ({ tag, step, value });
    expect(sorted(arrived).map(withoutTime)).toEqual(sorted(wanted).map(withoutTime));
    // Values of a row have the time of its last, within a second.
    const delays = sorted(arrived).map(({ ms }, i) => ms - (sorted(wanted)[i]?.ms ?? Number.NaN));
    expect(delays.filter((delay) => !(delay >= 0 && delay < 1001))).toEqual([]);
    expect(arrived.length).toBeGreaterThan(0);
    expect([run.state(Date.now()), run.history.gaps, run.oddities]).toEqual(["finished", [], []]);
  });

  test("so is every value of another kind", () => {
    const { counts } = written[example] as ExampleValues;
    const arrived = { images: 0, histograms: 0, text: 0, audio: 0 };
    const kinds = new Map<unknown, keyof typeof arrived>([
      ["image-file", "images"],
      ["histogram", "histograms"],
      ["html-file", "text"],
      ["audio-file", "audio"],
    ]);
    for (const { value } of Object.values(pointsOf(wandbRunOf(example))).flat()) {
      const kind = kinds.get(isRow(value) ? value["_type"] : undefined);
      if (kind !== undefined) arrived[kind]++;
    }
    // Sound is switched off there, and an image is larger than is allowed.
    const wanted = example === "tensorboard_config" ? { ...counts, audio: 0, images: 1 } : counts;
    expect(arrived).toEqual({
      images: wanted["images"],
      histograms: wanted["histograms"],
      text: wanted["text"],
      audio: wanted["audio"],
    });
  });
});

test("points of several processes and writers are there to be counted", () => {
  const lengths = (example: string) =>
    Object.fromEntries(Object.entries(byTag(runOf(example))).map(([tag, points]) => [tag, points.length]));
  expect(lengths("framework_automatic")).toEqual({ "Loss/Train": 100, Learning_Rate: 100 });
  expect(lengths("framework_processor")).toEqual({ train_loss: 100, train_loss_smoothed: 96 });
  expect(lengths("framework_writers")).toEqual({
    "train/Loss": 50,
    "train/Accuracy": 50,
    "validation/Loss": 10,
    "validation/Accuracy": 10,
  });
  expect(lengths("lightning_ddp")).toMatchObject({ "rank/0": 8, "rank/1": 8, "train/loss": 8 });
  expect(lengths("lightning_basic")).toMatchObject({ "train/loss": 12, "val/loss": 3, "test/accuracy": 1 });
});

test("Lightning's hyperparameters are params", () => {
  expect(runOf("lightning_basic").params).toMatchObject({ lr: "0.1", width: "4" });
  expect(runOf("lightning_advanced").params).toMatchObject({
    learning_rate: "0.01",
    // torch writes numbers as doubles, and Lightning its hparams.yaml, which knows better, later.
    batch_size: expect.stringMatching(/^4(\.0)?$/),
    model_name: "Model",
  });
});

test("the smoothed loss is the mean of the last five", () => {
  const tags = byTag(runOf("framework_processor"));
  const bySteps = (points: readonly Point[] = []) =>
    [...points].sort(([a], [b]) => Number(a) - Number(b)).map(([, , value]) => Number(value));
  const [losses, smoothed] = [bySteps(tags["train_loss"]), bySteps(tags["train_loss_smoothed"])];
  for (const [index, value] of smoothed.entries()) {
    const mean = losses.slice(index, index + 5).reduce((sum, loss) => sum + loss, 0) / 5;
    // torch writes float32; the script has the doubles.
    expect(value).toBeCloseTo(mean, 5);
  }
});
