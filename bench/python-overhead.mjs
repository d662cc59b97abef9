// What start_logging costs a training, beside the same loop without it and with MLflow's own client in it, in turn:
//   node bench/python-overhead.mjs [--times 5] [--steps 2000] [--tags 5] [--work 5] [--without mlflow]
// --work: ms of computing in each step; 0: nothing but add_scalar. It needs .venv and .venv-torch, as npm test makes them.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { load } from "./typescript.mjs";

const ROOT = path.resolve(import.meta.dirname, "..");
const HOW = ["alone", "tracelet", "mlflow"];
const { values } = parseArgs({
  options: {
    times: { type: "string", default: "5" },
    steps: { type: "string", default: "2000" },
    tags: { type: "string", default: "5" },
    work: { type: "string", default: "5" },
    without: { type: "string", multiple: true, default: [] },
  },
});
const [{ MlflowServer }, { NEW_PYTHON, TORCH_PYTHON }] = await load(
  "test/e2e/support/mlflow-server.ts",
  "test/e2e/support/python.ts",
);
const workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-overhead-"));
const server = await MlflowServer.start(path.join(workspace, "server", "mlflow.db"));
const samples = new Map(HOW.filter((how) => !values.without.includes(how)).map((how) => [how, []]));
try {
  for (let turn = 0; turn < Number(values.times); turn++)
    for (const [how, of] of samples) of.push(await train(how, path.join(workspace, `${how}-${turn}`)));
  console.log(
    `load ${os
      .loadavg()
      .map((load) => load.toFixed(1))
      .join(" ")} on ${os.availableParallelism()} cores`,
  );
  console.log("| in the loop | wall | CPU of the training | µs a value | start | stop | CPU of the watch |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  const alone = summary(samples.get("alone") ?? []);
  for (const [how, of] of samples) {
    const { loop, cpu, start, stop, children } = summary(of);
    const against = how === "alone" ? "" : ` (${percent(loop, alone.loop)})`;
    const cpuAgainst = how === "alone" ? "" : ` (${percent(cpu, alone.cpu)})`;
    const each = (loop / (Number(values.steps) * Number(values.tags))) * 1e6;
    const cells = [how, `${loop.toFixed(2)} s${against}`, `${cpu.toFixed(2)} s${cpuAgainst}`, each.toFixed(0)];
    cells.push(`${start.toFixed(2)} s`, `${stop.toFixed(2)} s`, how === "tracelet" ? `${children.toFixed(2)} s` : "");
    console.log(`| ${cells.join(" | ")} |`);
  }
} finally {
  await server.stop();
  rmSync(workspace, { recursive: true, force: true });
}

async function train(how, folder) {
  mkdirSync(folder);
  const env = { ...process.env, MLFLOW_TRACKING_URI: server.uri, TRACELET_STATE_DIR: path.join(folder, "state") };
  // torch has an environment of its own; MLflow's client comes from the other.
  const client = how === "mlflow" ? [sitePackages(NEW_PYTHON)] : [];
  env.PYTHONPATH = [path.join(ROOT, "python"), ...client].join(path.delimiter);
  const script = path.join(import.meta.dirname, "peers/training.py");
  const args = ["-W", "ignore", script, how, values.steps, values.tags, values.work];
  const { stdout } = await promisify(execFile)(TORCH_PYTHON, args, { cwd: folder, env });
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

function sitePackages(python) {
  const lib = path.resolve(path.dirname(python), "../lib");
  return path.join(lib, readdirSync(lib).find((name) => name.startsWith("python")) ?? "", "site-packages");
}

/** The median of each figure. */
function summary(of) {
  const median = (key) => of.map((sample) => sample[key]).sort((a, b) => a - b)[of.length >> 1] ?? 0;
  return Object.fromEntries(["loop", "cpu", "start", "stop", "children"].map((key) => [key, median(key)]));
}

function percent(value, of) {
  const change = (value / of - 1) * 100;
  return `${change < 0 ? "" : "+"}${change.toFixed(1)} %`;
}
