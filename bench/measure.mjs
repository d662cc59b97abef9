// Runs whole processes and says what they cost.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const LAUNCHER = path.join(import.meta.dirname, "peers/measured.py");
export const TRACELET = path.resolve(import.meta.dirname, "../dist/cli/main.js");

/** What runs now, and is ended by `stop`. */
let running;
let isStopped = false;

/** End what is running; nothing is started any more. */
export function stop() {
  isStopped = true;
  running?.kill("SIGTERM");
}

/**
 * Run a program to its end.
 *
 * @param timeout s
 * @returns wall (s), cpu (user and sys, s), peak (resident, bytes), code, stdout
 * @throws Error if it ends with another code than 0, or in time not at all
 */
export async function measured(program, args, { env = {}, cwd, timeout = 1800 } = {}) {
  if (isStopped) throw new Error("stopped");
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-measured-"));
  try {
    const report = path.join(folder, "report.json");
    const child = spawn("python3", ["-I", "-S", LAUNCHER, report, String(timeout), program, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running = child;
    const [stdout, stderr] = [[], []];
    child.stdout.on("data", (chunk) => stdout.push(chunk));
    child.stderr.on("data", (chunk) => stderr.push(chunk));
    await once(child, "close");
    if (child.exitCode !== 0) throw new Error(`cannot be run: ${tail(stderr)}`);
    const { wall, user, sys, peak, code, timedOut } = JSON.parse(readFileSync(report, "utf8"));
    if (timedOut) throw new Error(`> ${timeout} s`);
    if (code !== 0) throw new Error(`ended with ${code}: ${tail(stderr)}`);
    return { wall, cpu: user + sys, peak, code, stdout: Buffer.concat(stdout).toString() };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tail(chunks) {
  return Buffer.concat(chunks).toString().trim().split("\n").slice(-3).join(" / ").slice(-300);
}

/** Our own command, run as a user runs it. */
export function tracelet(args, options = {}) {
  const env = { TRACELET_STATE_DIR: undefined, MLFLOW_TRACKING_URI: undefined, MLFLOW_EXPERIMENT_NAME: undefined };
  return measured(process.execPath, [TRACELET, ...args], { ...options, env: { ...env, ...options.env } });
}

/** `tracelet inspect`, and how many values it found. */
export async function inspect(logdir) {
  const sample = await tracelet(["inspect", logdir, "--json"]);
  const { runs } = JSON.parse(sample.stdout);
  const points = runs.flatMap((run) => run.series).reduce((sum, series) => sum + series.count, 0);
  return { ...sample, points };
}

/** `tracelet sync` with a state of its own unless one is given. */
export function sync(logdir, uri, { experiment = "bench", stateDir, ...options }) {
  const args = ["sync", logdir, "--tracking-uri", uri, "--experiment", experiment, "--state-dir", stateDir];
  return tracelet([...args, "--quiet"], options);
}

/** `tracelet sync` to files. @param core bind it to that one */
export function syncToFiles(logdir, backend, output, { stateDir, core, ...options }) {
  const args = ["sync", logdir, "--backend", backend, "--output", output, "--state-dir", stateDir, "--quiet"];
  if (core === undefined) return tracelet(args, options);
  return measured("taskset", ["-c", String(core), process.execPath, TRACELET, ...args], options);
}

/**
 * Run the contenders in turn, A B A B …, so that what the machine does meanwhile meets all of them.
 *
 * @param contenders name → how to run it once, given which time it is
 * @param times how often each; `once` names those that are too slow for more than one
 * @returns name → the median of each figure; or `failed`, and why: it is not run again then
 */
export async function alternate(times, contenders, { once: slow = [], onSample = () => {} } = {}) {
  const samples = new Map(Object.keys(contenders).map((name) => [name, []]));
  const failed = new Map();
  for (let turn = 0; turn < times; turn++) {
    for (const [name, contend] of Object.entries(contenders)) {
      if (failed.has(name) || (turn > 0 && slow.includes(name))) continue;
      try {
        const sample = await contend(turn);
        samples.get(name).push(sample);
        onSample(name, sample);
      } catch (error) {
        failed.set(name, error.message);
      }
    }
  }
  return Object.fromEntries(
    [...samples].map(([name, of]) => [name, failed.has(name) ? { failed: failed.get(name) } : medians(of)]),
  );
}

/** Of each figure by itself. What is no number is the last sample's. */
function medians(samples) {
  const last = samples.at(-1);
  const figures = Object.entries(last).filter(([, value]) => typeof value === "number");
  return {
    ...last,
    ...Object.fromEntries(figures.map(([name]) => [name, median(samples.map((sample) => sample[name]))])),
    times: samples.length,
  };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
