/**
 * `--track-system`, `--track-git` and `--track-env` beside a real training, with a stand-in for nvidia-smi, two destinations
 * and a SIGKILL: what MLflow's own client reads, what its page shows, and what verify says of it.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { chromiumIsMissing, HOW_TO_GET_CHROMIUM, launchChromium } from "./support/chromium.ts";
import { MlflowPage, PATIENCE as PAGE_PATIENCE } from "./support/mlflow-page.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { byTag, distinct, type MlflowRun, NEW_PYTHON, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";
import { Watch } from "./support/watch.ts";

const PATIENCE = { timeout: 120_000, interval: 200 };
const PYTHON_SCRIPTS = path.join(import.meta.dirname, "python");
const EXPERIMENT = "recorded";

let workspace: string;
let server: MlflowServer;
let env: NodeJS.ProcessEnv;

const at = (...parts: string[]) => path.join(workspace, ...parts);
const git = (...args: string[]) => execFileSync("git", args, { cwd: at("project"), encoding: "utf8" }).trim();
const destination = () => ["--tracking-uri", server.uri, "--experiment", EXPERIMENT, "--state-dir", at("state")];
const both = () => [...destination(), "--backend", "mlflow,jsonl", "--output", at("out")];
const track = ["--track-system", "--metrics-interval", "1s", "--track-git"];

async function theRun(): Promise<MlflowRun> {
  const { runs } = await readMlflow(server.uri, EXPERIMENT);
  expect(runs).toHaveLength(1);
  return runs[0] as MlflowRun;
}

/** How many samples have arrived there. */
async function samples(): Promise<number> {
  const { runs } = await readMlflow(server.uri, EXPERIMENT);
  return runs[0]?.metrics["system/cpu_utilization_percentage"]?.length ?? 0;
}

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-recorded-"));
  server = await MlflowServer.start(at("mlflow", "mlflow.db"));
  mkdirSync(at("bin"));
  writeFileSync(
    at("bin", "nvidia-smi"),
    '#!/bin/sh\necho "0, 87, 20321, 81920, 301.30, 400.00"\necho "1, 3, 4, 24576, [N/A], [N/A]"\n',
  );
  chmodSync(at("bin", "nvidia-smi"), 0o755);
  env = { PATH: `${at("bin")}${path.delimiter}${process.env["PATH"]}` };
  mkdirSync(at("project"));
  copyFileSync(path.join(PYTHON_SCRIPTS, "grow.py"), at("project", "train.py"));
  git("init", "--quiet", "--initial-branch", "main");
  git("add", ".");
  git("-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "first");
  git("remote", "add", "origin", "https://me:ghp_secret@github.com/me/private.git");
  writeFileSync(at("project", "train.py"), readFileSync(at("project", "train.py"), "utf8").replace("1 /", "2 /"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

test("a training's run has them, though the watch was killed in the middle", async () => {
  const training = [NEW_PYTHON, at("project", "train.py"), at("runs", "a"), at("stop")];
  const first = new Watch([at("runs"), ...both(), ...track, "--track-env", "--", ...training], { env });
  await vi.waitFor(async () => expect(await samples()).toBeGreaterThan(2), PATIENCE);
  await first.kill();
  const before = await samples();
  // The training goes on.
  const second = new Watch([at("runs"), ...both(), ...track], { env });
  await vi.waitFor(async () => expect(await samples()).toBeGreaterThan(before + 2), PATIENCE);
  writeFileSync(at("stop"), "");
  await second.stop();
  expect((await sync([at("runs"), ...both()])).code).toBe(0);

  const run = await theRun();
  const own = execFileSync(NEW_PYTHON, [path.join(PYTHON_SCRIPTS, "system_metrics.py"), at("project", "train.py")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const mlflows = JSON.parse(own.toString()) as { metrics: Record<string, number>; tags: Record<string, string> };
  expect(Object.keys(run.metrics).sort()).toEqual(["loss", ...Object.keys(mlflows.metrics)].sort());
  for (const [name, value] of Object.entries(mlflows.metrics).filter(([name]) => name.startsWith("system/gpu_")))
    expect([name, run.metrics[name]?.[0]?.[2]]).toEqual([name, pythonText(Math.fround(value))]);
  // All that was recorded, each once, and the steps as MLflow counts them.
  const recorded = Object.values(await readTensorBoard(at("state", "recorded"))).flatMap((tags) =>
    Object.entries(tags),
  );
  const inRun = byTag(run);
  for (const [tag, points] of recorded) expect([tag, inRun[tag]]).toEqual([tag, distinct(points)]);
  const cpu = run.metrics["system/cpu_utilization_percentage"] ?? [];
  expect(cpu.map(([step]) => Number(step))).toEqual(cpu.map((_, index) => index));
  const rows = readFileSync(at("out", "a.jsonl"), "utf8").split("\n");
  expect(rows.filter((row) => row.includes('"system/cpu_utilization_percentage"'))).toHaveLength(cpu.length);
  // When it ended is told by what the training wrote.
  const losses = run.metrics["loss"] ?? [];
  expect(Number(run.end)).toBe(Number(losses.at(-1)?.[1]));

  expect(mlflows.tags).toMatchObject({ "mlflow.source.git.repoURL": "https://github.com/me/private.git" });
  expect(run.tags).toMatchObject({ ...mlflows.tags, "mlflow.source.git.dirty": "true" });
  const version = execFileSync(NEW_PYTHON, ["-c", "import platform; print(platform.python_version())"])
    .toString()
    .trim();
  expect(run.tags).toMatchObject({ "env.python": version, "env.host": os.hostname() });
  expect(JSON.stringify(run)).not.toContain("ghp_secret");
  const artifact = async (name: string) => {
    const answer = await fetch(`${server.uri}/get-artifact?path=${encodeURIComponent(name)}&run_uuid=${run.id}`);
    expect([name, answer.status]).toEqual([name, 200]);
    return answer.text();
  };
  expect(await artifact("git/diff.patch")).toBe(`${git("diff", "--full-index", "HEAD")}\n`);
  const frozen = execFileSync(NEW_PYTHON, ["-m", "pip", "freeze"], { encoding: "utf8" });
  expect((await artifact("env/requirements.txt")).split("\n").sort()).toEqual(frozen.split("\n").sort());
});

test("verify compares them where the recording is there, and passes over them where it is not", async () => {
  const compared = await tracelet(["verify", at("runs"), ...both()], { env });
  expect([compared.code, compared.stderr]).toEqual([0, compared.stderr]);
  const elsewhere = [
    "--tracking-uri",
    server.uri,
    "--experiment",
    EXPERIMENT,
    "--backend",
    "mlflow,jsonl",
    "--output",
    at("out"),
  ];
  const without = await tracelet(["verify", at("runs"), ...elsewhere, "--state-dir", at("no-state")], { env });
  expect([without.code, without.stderr]).toEqual([0, without.stderr]);
});

test("MLflow's System metrics tab shows a chart of each", async ({ skip }) => {
  if (chromiumIsMissing && process.env["CI"] !== "true") skip(HOW_TO_GET_CHROMIUM);
  const run = await theRun();
  const answer = await fetch(`${server.uri}/api/2.0/mlflow/runs/get?run_id=${run.id}`);
  const { run: record } = (await answer.json()) as { run: { info: { experiment_id: string } } };
  const browser = await launchChromium();
  try {
    const page = await MlflowPage.open(browser, server.uri);
    await page.goto(record.info.experiment_id, run.id, "/system-metrics");
    const expected = Object.keys(run.metrics).flatMap((key) => /^system\/(.*)/.exec(key)?.[1] ?? []);
    const shown = async () => (await page.charts()).sort();
    await expect.poll(shown, { timeout: PAGE_PATIENCE }).toEqual(expected.sort());
    const picture = process.env["TRACELET_TEST_SCREENSHOT"];
    if (picture !== undefined) await page.screenshot(picture);
    expect(page.takeTrouble()).toEqual([]);
    await page.close();
  } finally {
    await browser.close();
  }
});

test("start_logging passes them on, with its own interpreter", async () => {
  const script = `
import sys, time
from tracelet_sync import TraceletSettings, start_logging, stop_logging
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

settings = TraceletSettings(track_system=True, metrics_interval=1.0, track_git=True, track_env=True, tensorboard_log_dir="logs")
start_logging(exp_name="from python", project="fronts", backend="mlflow", config={"tracking_uri": sys.argv[1]}, settings=settings)
writer = EventFileWriter("logs")
for step in range(20):
    value = Summary.Value(tag="loss", simple_value=1.0)
    writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.flush()
    time.sleep(0.2)
writer.close()
stop_logging()
`;
  const python = path.resolve(import.meta.dirname, "../../python");
  const own = { PYTHONPATH: python, TRACELET_NODE: process.execPath, XDG_STATE_HOME: at("python-state") };
  execFileSync(NEW_PYTHON, ["-c", script, server.uri], { cwd: at("project"), env: { ...process.env, ...env, ...own } });
  const { runs } = await readMlflow(server.uri, "fronts");
  expect(runs.map(({ name }) => name)).toEqual(["from python"]);
  const [run] = runs as [MlflowRun];
  expect(run.metrics["loss"]).toHaveLength(20);
  expect(run.metrics["system/cpu_utilization_percentage"]?.length).toBeGreaterThan(0);
  expect(run.metrics["system/gpu_1_utilization_percentage"]?.length).toBeGreaterThan(0);
  expect(run.tags).toMatchObject({ "mlflow.source.git.commit": git("rev-parse", "HEAD"), "env.host": os.hostname() });
});

/** A float as Python prints it. */
function pythonText(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
