/** Into MLflow's own SQLite database, read with the newest MLflow and with the oldest. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MlflowServer } from "./support/mlflow-server.ts";
import { byTag, distinct, NEW_PYTHON, OLD_PYTHON, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync } from "./support/tracelet.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const EXAMPLE = path.join(FIXTURES, "example/runs");

let workspace: string;
let database: string;
let options: string[];
let count = 0;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-database-"));
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

beforeEach(() => {
  database = path.join(workspace, `${++count}`, "mlflow.db");
  options = ["--tracking-uri", `sqlite:///${database}`, "--experiment", "mine", "--state-dir", `${database}-state`];
});

async function expectEqualToTensorBoard(logdir: string, uri: string, python: string): Promise<void> {
  const expected = await readTensorBoard(logdir);
  const { runs } = await readMlflow(uri, "mine", python);
  for (const [name, tags] of Object.entries(expected)) {
    const run = runs.find((candidate) => candidate.name === name);
    const points = Object.fromEntries(Object.entries(tags).map(([tag, all]) => [tag, distinct(all)]));
    expect([name, run ? byTag(run) : {}]).toEqual([name, points]);
  }
}

describe.each([
  ["the newest MLflow", NEW_PYTHON],
  ["the oldest MLflow", OLD_PYTHON],
])("a new database, opened by %s", (_, python) => {
  test.each(["example", "torch", "tf2", "tensorboardx"])("%s: its client reads every point", async (name) => {
    const logdir = path.join(FIXTURES, name, "runs");
    await sync([logdir, "--group", "none", "--restarts", "keep", ...options]);
    await expectEqualToTensorBoard(logdir, `sqlite:///${database}`, python);
  });

  test("its server starts on it, and tracelet writes on beside the server", async () => {
    const logdir = path.join(workspace, `${count}`, "runs");
    cpSync(path.join(EXAMPLE, "baseline"), path.join(logdir, "baseline"), { recursive: true });
    await sync([logdir, ...options]);
    const server = await MlflowServer.start(database, { executable: python });
    try {
      await expectEqualToTensorBoard(logdir, server.uri, python);
      cpSync(EXAMPLE, logdir, { recursive: true });
      const result = await sync([logdir, ...options]);
      expect(result.runs.map((run) => run.outcome)).toEqual(["unchanged", "sent", "sent"]);
      await expectEqualToTensorBoard(logdir, server.uri, python);
    } finally {
      await server.stop();
    }
  });
});

test("a database that MLflow made is used as it is", async () => {
  const server = await MlflowServer.start(path.join(workspace, "made.db"));
  await server.stop();
  const uri = `sqlite:///${path.join(workspace, "made.db")}`;
  await sync([EXAMPLE, "--tracking-uri", uri, "--experiment", "mine", "--state-dir", `${database}-state`]);
  await expectEqualToTensorBoard(EXAMPLE, uri, NEW_PYTHON);
  const { runs } = await readMlflow(uri, "mine");
  expect(runs.map((run) => run.status)).toEqual(["FINISHED", "FINISHED", "FINISHED"]);
});

test("the latest value of each metric is the one a server would show", async () => {
  const logdir = path.join(FIXTURES, "torch", "runs");
  await sync([logdir, "--group", "none", "--restarts", "keep", ...options]);
  const server = await MlflowServer.start(path.join(workspace, "other.db"));
  try {
    await sync([
      logdir,
      "--group",
      "none",
      "--restarts",
      "keep",
      "--tracking-uri",
      server.uri,
      "--experiment",
      "mine",
      "--state-dir",
      `${database}-state`,
    ]);
    const latest = async (uri: string) => {
      const { runs } = await readMlflow(uri, "mine");
      return Object.fromEntries(
        runs.map((run) => [run.name, { latest: run.latest, params: run.params, start: run.start, end: run.end }]),
      );
    };
    expect(await latest(`sqlite:///${database}`)).toEqual(await latest(server.uri));
  } finally {
    await server.stop();
  }
});

test("logdirs of one name: runs are told apart by their names, and their notes say where each is from", async () => {
  const folder = path.join(workspace, `${count}`);
  cpSync(path.join(FIXTURES, "same-named-logdirs/runs"), folder, { recursive: true });
  const uri = `sqlite:///${database}`;
  const noted = async (more: readonly string[]) => {
    rmSync(database, { force: true });
    await sync([path.join(folder, "a/logs"), path.join(folder, "b/logs"), ...options, ...more]);
    const { runs } = await readMlflow(uri, "mine");
    return runs.map(({ name, tags }) => [name, tags["mlflow.note.content"] ?? ""] as const).sort();
  };
  const runs = await noted([]);
  expect(runs.map(([name]) => name)).toEqual(["a/logs", "b/logs"]);
  for (const [name, note] of runs)
    expect(note).toContain(`TensorBoard run \`${name}\` from \`${path.join(folder, name)}\` on \`${os.hostname()}\``);
  const silent = await noted(["--no-source-path"]);
  expect(silent.map(([name]) => name)).toEqual(["a/logs", "b/logs"]);
  expect(silent.filter(([, note]) => note.includes(folder) || note.includes(` on `))).toEqual([]);
});
