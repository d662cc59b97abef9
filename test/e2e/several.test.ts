/**
 * Several destinations at once, against a real MLflow server. What arrives is read by MLflow's client and by Python's own
 * readers of the files, and compared with what TensorBoard reads in the logdir.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FaultProxy } from "./support/fault-proxy.ts";
import { killOften } from "./support/kill-often.ts";
import { LiveWriter } from "./support/live-writer.ts";
import { freePort, MlflowServer } from "./support/mlflow-server.ts";
import { difference, readFilesOf, readMlflow, readTensorBoard, tamper } from "./support/python.ts";
import { EQUAL, PATIENCE } from "./support/scene.ts";
import { type SyncJson, tracelet } from "./support/tracelet.ts";
import { Watch } from "./support/watch.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const EXPERIMENT = "several";
const FILES = ["jsonl", "csv", "parquet"] as const;
type Format = (typeof FILES)[number];

let workspace: string;
let logdir: string;
let out: string;
let server: MlflowServer;
const running: { kill: () => Promise<void> }[] = [];

beforeEach(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-several-"));
  logdir = path.join(workspace, "runs");
  out = path.join(workspace, "out");
});

afterEach(async () => {
  for (const each of running.splice(0)) await each.kill();
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** On its port and over its database, as it was before it was stopped. */
async function startServer(port?: number): Promise<MlflowServer> {
  server = await MlflowServer.start(path.join(workspace, "mlflow/mlflow.db"), port === undefined ? {} : { port });
  return server;
}

function argsTo(uri: string, backends: readonly string[]): string[] {
  const to = ["--backend", backends.join(","), "--output", out, "--tracking-uri", uri, "--experiment", EXPERIMENT];
  return [logdir, ...to, "--state-dir", path.join(workspace, "state")];
}

interface SeveralJson {
  readonly outcome: string;
  readonly destinations: readonly (SyncJson & {
    readonly backend: string;
    readonly error: { readonly code: string } | null;
  })[];
}

async function sync(args: readonly string[]) {
  const { code, stdout, stderr } = await tracelet(["sync", "--json", ...args]);
  if (stdout === "") throw new Error(`tracelet sync ended with ${code}:\n${stderr}`);
  const { destinations, outcome } = JSON.parse(stdout) as SeveralJson;
  return {
    ...{ code, outcome, stderr },
    of: (name: string) => destinations.find(({ backend }) => backend === name),
    outcomes: destinations.map(({ backend, outcome: own }) => `${backend} ${own}`),
  };
}

/** Where a format is: in a directory of its own where there are several. */
function folderOf(format: Format): string {
  const own = path.join(out, format);
  return existsSync(own) ? own : out;
}

/** Scalars as text that only equal ones share; where a file has one twice, twice. */
async function inFiles(format: Format): Promise<string[]> {
  const points: string[] = [];
  for (const [run, tags] of Object.entries(await readFilesOf(format, folderOf(format)))) {
    for (const [tag, all] of Object.entries(tags)) {
      for (const [kind, step, wallTime, value] of all)
        if (kind === "scalar")
          points.push(`${run} ${tag} ${step} ${Math.floor(Number(wallTime) * 1000)} ${stored(Number(value))}`);
    }
  }
  return points.sort();
}

async function inTensorBoard(): Promise<string[]> {
  const points: string[] = [];
  for (const [run, tags] of Object.entries(await readTensorBoard(logdir))) {
    const name = run === "." ? path.basename(logdir) : run;
    for (const [tag, all] of Object.entries(tags))
      for (const [step, ms, value] of all) points.push(`${name} ${tag} ${step} ${ms} ${stored(Number(value))}`);
  }
  return points.sort();
}

/** As the reader of TensorBoard's files has it, for MLflow: without infinities and negative zero. */
function stored(value: number): number {
  if (Math.abs(value) === Number.POSITIVE_INFINITY) return Math.sign(value) * Number.MAX_VALUE;
  return value + 0;
}

async function expectAllThere(formats: readonly Format[]): Promise<void> {
  const expected = await inTensorBoard();
  for (const format of formats) expect([format, await inFiles(format)]).toEqual([format, expected]);
  expect(await difference(logdir, server.uri, EXPERIMENT)).toEqual(EQUAL);
}

function generate(runs: number, points: number): void {
  execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), logdir, String(runs), String(points), "4"]);
}

function size(format: Format): number {
  const ending = { jsonl: ".jsonl", csv: ".csv", parquet: ".parquet" }[format];
  try {
    const folder = folderOf(format);
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(ending))
      .reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
  } catch {
    return 0;
  }
}

describe("sync", () => {
  test("MLflow is away for the first call: the others are done, and it catches up alone by the second", async () => {
    mkdirSync(logdir);
    for (const name of ["torch", "tf2", "tensorboardx"])
      cpSync(path.join(ROOT, "fixtures", name), path.join(logdir, name), { recursive: true });
    const port = await freePort();
    const args = [
      ...argsTo(`http://127.0.0.1:${port}`, ["mlflow", ...FILES]),
      ...["--group", "none", "--restarts", "keep", "--give-up-after", "2s"],
    ];
    const first = await sync(args);
    expect(first.code).toBe(1);
    expect(first.of("mlflow")).toMatchObject({ outcome: "failed", error: { code: "unreachable" } });
    for (const format of FILES) expect(["ok", "damage"]).toContain(first.of(format)?.outcome);
    const expected = await inTensorBoard();
    expect(expected.length).toBeGreaterThan(100);
    for (const format of FILES) expect([format, await inFiles(format)]).toEqual([format, expected]);

    await startServer(port);
    const before = size("jsonl");
    const second = await sync(args);
    expect(["ok", "damage"]).toContain(second.of("mlflow")?.outcome);
    for (const format of FILES) {
      expect(second.of(format)?.runs.filter(({ outcome }) => outcome === "sent")).toEqual([]);
      expect(second.of(format)?.kinds).toEqual({});
    }
    expect(size("jsonl")).toBe(before);
    await expectAllThere(FILES);
  });

  test("MLflow goes away in the middle of it", async () => {
    generate(6, 3000);
    await startServer();
    const proxy = await FaultProxy.start(server.port);
    running.push({ kill: () => proxy.stop() });
    // Half of its batches.
    proxy.inject({ fault: { kind: "reset-before" }, requests: /log-batch/, nth: (n) => n > 4 });
    const args = [...argsTo(proxy.uri, ["mlflow", "jsonl"]), "--give-up-after", "2s"];
    const first = await sync(args);
    expect([first.code, first.outcomes]).toEqual([1, ["mlflow failed", "jsonl ok"]]);
    expect(await inFiles("jsonl")).toEqual(await inTensorBoard());
    const there = await difference(logdir, server.uri, EXPERIMENT);
    expect(there.lost).toBeGreaterThan(0);
    expect(there.lost).toBeLessThan(there.points);

    proxy.calm();
    const before = size("jsonl");
    const second = await sync(args);
    expect([second.code, second.outcomes]).toEqual([0, ["mlflow ok", "jsonl ok"]]);
    expect(size("jsonl")).toBe(before);
    await expectAllThere(["jsonl"]);
  });

  test("SIGKILL at random moments: each point is in all of them, once", async () => {
    generate(6, 3000);
    await startServer();
    const args = argsTo(server.uri, ["mlflow", ...FILES]);
    const progress = () => size("jsonl");
    const killed = await killOften(args, 8, progress);
    expect(killed).toBeGreaterThan(0);
    const last = await sync(args);
    expect([last.code, last.outcomes]).toEqual([0, ["mlflow ok", ...FILES.map((format) => `${format} ok`)]]);
    await expectAllThere(FILES);
  });

  test("a run that was deleted in MLflow fails there alone", async () => {
    generate(2, 100);
    await startServer();
    const args = argsTo(server.uri, ["mlflow", "jsonl"]);
    expect((await sync(args)).code).toBe(0);
    const { runs } = await readMlflow(server.uri, EXPERIMENT);
    const [deleted] = runs;
    await tamper(server.uri, deleted?.id ?? "", "delete");
    cpSync(path.join(logdir, deleted?.name ?? ""), path.join(logdir, "another"), { recursive: true });
    const second = await sync(args);
    expect(second.code).toBe(1);
    expect(second.of("mlflow")?.outcome).toBe("failed");
    expect(second.of("jsonl")?.outcome).toBe("ok");
    expect(await inFiles("jsonl")).toEqual(await inTensorBoard());
  });
});

type WatchObject = { readonly [key: string]: unknown };

/** What a watch has printed by now. */
function objectsOf({ printed }: Watch): WatchObject[] {
  const lines = printed.split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as WatchObject);
}

function errorsOf(watching: Watch, destination: string): WatchObject[] {
  const isError = ({ type, backend, level }: WatchObject) =>
    type === "event" && backend === destination && level === "error";
  return objectsOf(watching).filter(isError);
}

describe("watch", () => {
  function write(rate = 20): LiveWriter {
    const ledger = path.join(workspace, "ledger");
    const writer = new LiveWriter({ logdir, ledger, runs: 2, tags: 2, rate, flush: 0.2 });
    running.push(writer);
    return writer;
  }

  function watch(backends: readonly string[]): Watch {
    const watching = new Watch([...argsTo(server.uri, backends), "--json", "--shutdown-timeout", "5m"]);
    running.push(watching);
    return watching;
  }

  test.each(["frozen", "stopped"])("MLflow is %s while lines go on, then it catches up alone", async (how) => {
    await startServer();
    const { port } = server;
    const writer = write();
    await writer.started();
    const watching = watch(["mlflow", "jsonl"]);
    const hasMlflow = async () => (await difference(logdir, server.uri, EXPERIMENT)).points > 0;
    await vi.waitFor(async () => expect(await hasMlflow()).toBe(true), PATIENCE);
    if (how === "frozen") server.suspend();
    else await server.stop();
    for (let times = 0; times < 3; times++) {
      const [before, flushed] = [size("jsonl"), writer.flushedPoints];
      await vi.waitFor(() => expect(writer.flushedPoints).toBeGreaterThan(flushed), PATIENCE);
      await vi.waitFor(() => expect(size("jsonl")).toBeGreaterThan(before), PATIENCE);
    }
    if (how === "frozen") server.resume();
    else await startServer(port);
    await writer.stop();
    // What is there is sent at the end, by both.
    expect(await watching.stop()).toBe(143);
    await expectAllThere(["jsonl"]);
    expect(errorsOf(watching, "jsonl")).toEqual([]);
    if (how === "stopped") expect(errorsOf(watching, "mlflow").length).toBeGreaterThan(0);
    expect(objectsOf(watching).at(-1)).toMatchObject({
      destinations: [
        { backend: "mlflow", code: 0, interrupted: false },
        { backend: "jsonl", code: 0, interrupted: false },
      ],
    });
  });

  test("a run that is deleted in MLflow meanwhile is told of there, and lines go on", async () => {
    await startServer();
    const writer = write();
    await writer.started();
    const watching = watch(["mlflow", "jsonl"]);
    const runsThere = async () => (await readMlflow(server.uri, EXPERIMENT)).runs;
    await vi.waitFor(async () => expect(await runsThere()).toHaveLength(2), PATIENCE);
    const [deleted] = await runsThere();
    await tamper(server.uri, deleted?.id ?? "", "delete");
    await vi.waitFor(
      () => expect(errorsOf(watching, "mlflow").map(({ run }) => run)).toContain(deleted?.name),
      PATIENCE,
    );
    const before = size("jsonl");
    await vi.waitFor(() => expect(size("jsonl")).toBeGreaterThan(before), PATIENCE);
    await writer.stop();
    expect(await watching.stop()).toBe(143);
    expect(errorsOf(watching, "jsonl")).toEqual([]);
    expect(await inFiles("jsonl")).toEqual(await inTensorBoard());
    const end = objectsOf(watching).at(-1);
    expect(end?.["destinations"]).toMatchObject([
      { backend: "mlflow", code: 1 },
      { backend: "jsonl", code: 0 },
    ]);
  });

  test("SIGKILL of the watch, then sync: each point is in both, once", async () => {
    await startServer();
    const writer = write();
    await writer.started();
    for (let kills = 0; kills < 4; kills++) {
      const before = size("jsonl");
      const watching = watch(["mlflow", "jsonl"]);
      await vi.waitFor(() => expect(size("jsonl")).toBeGreaterThan(before), PATIENCE);
      await new Promise((resolve) => setTimeout(resolve, 137 * kills));
      await watching.kill();
    }
    await writer.stop();
    const { code } = await sync(argsTo(server.uri, ["mlflow", "jsonl"]));
    expect(code).toBe(0);
    await expectAllThere(["jsonl"]);
  });

  test("Ctrl-C while MLflow is frozen: lines are there, and it ends in time", async () => {
    await startServer();
    const writer = write();
    await writer.started();
    const watching = new Watch([...argsTo(server.uri, ["mlflow", "jsonl"]), "--json", "--shutdown-timeout", "20s"]);
    running.push(watching);
    await vi.waitFor(async () => expect((await readMlflow(server.uri, EXPERIMENT)).runs).toHaveLength(2), PATIENCE);
    server.suspend();
    const before = size("jsonl");
    await vi.waitFor(() => expect(size("jsonl")).toBeGreaterThan(before), PATIENCE);
    await writer.stop();
    expect(await watching.stop()).toBe(143);
    expect(await inFiles("jsonl")).toEqual(await inTensorBoard());
    expect(objectsOf(watching).at(-1)).toMatchObject({
      destinations: [
        { backend: "mlflow", code: 1 },
        { backend: "jsonl", code: 0, interrupted: false },
      ],
    });
    server.resume();
    expect((await sync(argsTo(server.uri, ["mlflow", "jsonl"]))).code).toBe(0);
    await expectAllThere(["jsonl"]);
  });
});
