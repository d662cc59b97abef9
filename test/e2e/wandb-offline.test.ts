/**
 * What `--wandb-mode offline` writes is uploaded by W&B's own `wandb sync`, which reads it with W&B's own reader, and the
 * server has then what it has after a sync over the network.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pause } from "../../src/pause.ts";
import { offlineRuns } from "../support/wandb-log.ts";
import { isRow, type Row, type RowValue } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { killOften } from "./support/kill-often.ts";
import { sync } from "./support/tracelet.ts";
import { WandbClient } from "./support/wandb-client.ts";
import { differences, pointsOf } from "./support/wandb-twin.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
/** Files that W&B's client adds to each run that it uploads. */
const ITS_OWN = ["config.yaml", "wandb-summary.json", "wandb-metadata.json", "requirements.txt"];
/** No server is asked, so none is needed. */
const OFFLINE = {
  WANDB_MODE: "offline",
  WANDB_API_KEY: "",
  WANDB_BASE_URL: "http://127.0.0.1:9",
};

let workspace: string;
let server: WandbServer;
/** What is sent there comes over the network. */
let direct: WandbServer;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-offline-"));
  server = await WandbServer.start();
  direct = await WandbServer.start();
});

afterAll(async () => {
  await server?.stop();
  await direct?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** A folder and a project of its own for a test, with what writes there and what uploads from there. */
function scene(project: string) {
  const folder = path.join(workspace, project);
  mkdirSync(folder);
  const client = new WandbClient(server.uri, folder);
  const args = (logdir: string, state: string) => {
    const options = { backend: "wandb", "wandb-project": project, "state-dir": path.join(folder, state) };
    return [logdir, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])];
  };
  return {
    folder,
    runs: () => offlineRuns(path.join(folder, "wandb")),
    args,
    write: (logdir: string) => sync(args(logdir, "state"), { ...OFFLINE, WANDB_DIR: folder }),
    send: (logdir: string) =>
      sync(args(logdir, "direct"), { WANDB_API_KEY: API_KEY, WANDB_BASE_URL: direct.uri, WANDB_MODE: "online" }),
    log: (script: string, ...args: string[]) => client.script(script, args, OFFLINE),
    upload: async () => expect(await client.syncOffline()).toMatchObject({ code: 0 }),
  };
}

/** All that a server has of a run, but for what each client says of itself. */
function contentOf(run: StoredRun): object {
  const { _wandb: own, tracelet, ...config } = run.config;
  const { writer: _writer, ...state } = isRow(tracelet) ? tracelet : {};
  const { notes, displayName, group, jobType, tags, commit, repo } = run.fields;
  return {
    fields: { notes, displayName, group, jobType, tags, commit, repo },
    rows: run.rows.map(named),
    faults: [run.history.gaps, run.history.changed, run.history.repeated, run.oddities],
    events: run.events.lines,
    summary: withoutRuntime(run.summary),
    config: asItsClientReads(config),
    state,
    metrics: named(metricsOf(own)),
    files: Object.fromEntries(
      [...run.files].filter(([name]) => !ITS_OWN.includes(name)).map(([name, { sha256 }]) => [name, sha256]),
    ),
    missing: run.filesMissing,
    exitCode: run.exitCode,
  };
}

/** W&B's reader passes over a value whose key is empty. */
function named({ "": _nameless, ...row }: Row): Row {
  return row;
}

/** W&B's client makes doubles of integers beyond 64 bits. */
function asItsClientReads(value: RowValue): RowValue {
  if (typeof value === "bigint") return BigInt.asIntN(64, value) === value ? value : Number(value);
  if (Array.isArray(value)) return (value as readonly RowValue[]).map(asItsClientReads);
  return isRow(value)
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, asItsClientReads(each)]))
    : value;
}

/** W&B's client counts it anew. */
function withoutRuntime({ _wandb: _own, ...summary }: Row): Row {
  return summary;
}

/** Definitions by name, with the name of the axis: the lists may be in another order. */
function metricsOf(own: RowValue | undefined): Row {
  const list = ((isRow(own) ? own["m"] : undefined) ?? []) as readonly Row[];
  return Object.fromEntries(
    list.map(({ 1: name, 5: axis, ...rest }) => [
      name as string,
      { ...rest, axis: (axis === undefined ? null : list[(axis as number) - 1]?.["1"]) ?? null },
    ]),
  );
}

/** Runs of a server, by ids. They are the same at both: what is sent here is not in their names. */
const runsOf = (from: WandbServer, project: string) => new Map(from.runs(project).map((run) => [run.name, run]));

function expectTheSame(project: string): void {
  const [expected, found] = [runsOf(direct, project), runsOf(server, project)];
  expect(expected.size).toBeGreaterThan(0);
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [id, run] of expected) expect.soft(contentOf(found.get(id) as StoredRun)).toEqual(contentOf(run));
}

test("all fixtures: the server has what it has after a sync over the network", { timeout: 600_000 }, async () => {
  const { write, send, upload, runs } = scene("fixtures");
  const written = await write(FIXTURES);
  const sent = await send(FIXTURES);
  expect(written.kinds).toEqual(sent.kinds);
  expect(written.code).toBe(sent.code);
  expect(server.requests).toEqual([]);
  await upload();
  expectTheSame("fixtures");
  expect(runs()).toHaveLength(server.runs("fixtures").length);
});

test("a logdir that grows after each upload", { timeout: 300_000 }, async () => {
  const { folder, write, send, upload, runs } = scene("growing");
  const logdir = path.join(folder, "runs");
  for (const share of [0.4, 0.7, 1, 1]) {
    rmSync(logdir, { recursive: true, force: true });
    cpSync(path.join(FIXTURES, "tensorboardx/runs"), logdir, { recursive: true, preserveTimestamps: true });
    for (const file of eventFilesIn(logdir)) truncateSync(file, Math.floor(statSync(file).size * share));
    await write(logdir);
    await send(logdir);
    await upload();
  }
  expectTheSame("growing");
  // The last time there was nothing new.
  const directories = runs().map(({ name }) => name);
  for (const name of new Set(directories)) expect(directories.filter((each) => each === name).length).toBeLessThan(4);
});

test("beside a run that W&B's own client is writing: all of both is uploaded", { timeout: 300_000 }, async () => {
  const { folder, log, write, send, upload } = scene("beside");
  const logdir = path.join(FIXTURES, "tensorboardx/runs");
  const [stop, id, logs] = [path.join(folder, "stop"), "0123456789abcdef", path.join(folder, "wandb")];
  mkdirSync(logs);
  const file = () => {
    const [directory = "", ...others] = readdirSync(logs).filter((name) => name.endsWith(id));
    expect(others).toEqual([]);
    return path.join(logs, directory, `run-${id}.wandb`);
  };
  const size = () => statSync(file(), { throwIfNoEntry: false })?.size ?? 0;
  let isOver = false;
  const logged = log("log_until", "beside", id, stop).finally(() => (isOver = true));
  try {
    for (let round = 0; round < 2; round++) {
      // Its client flushes now and then: mostly in the middle of a record.
      for (const before = size(); size() <= before + 100_000 && !isOver; ) await pause(20);
      rmSync(path.join(folder, "state"), { recursive: true, force: true });
      expect(await write(logdir)).toMatchObject({ code: 0 });
    }
  } finally {
    writeFileSync(stop, "");
  }
  const rows = (await logged) as number;
  await upload();
  const native = server.run("beside", id);
  expect(native.rows).toHaveLength(rows);
  expect(native.rows.map((row) => row["metric/0"])).toEqual(native.rows.map((_row, n) => n));
  await send(logdir);
  const [expected, found] = [runsOf(direct, "beside"), runsOf(server, "beside")];
  expect([...found.keys()].sort()).toEqual([...expected.keys(), id].sort());
  for (const [name, run] of expected)
    expect(differences(pointsOf(run), pointsOf(found.get(name) as StoredRun))).toEqual([]);
});

test("a sync that is ended with SIGKILL again and again: each point is there once", { timeout: 300_000 }, async () => {
  const { folder, args, write, send, upload, runs } = scene("killed");
  const logdir = path.join(FIXTURES, "torch/runs");
  const logs = path.join(folder, "wandb");
  mkdirSync(logs);
  const written = () =>
    readdirSync(logs, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".wandb"))
      .reduce((sum, name) => sum + (statSync(path.join(logs, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  const before = { ...process.env };
  Object.assign(process.env, OFFLINE, { WANDB_DIR: folder });
  const killed = await killOften(args(logdir, "state"), 12, written);
  process.env = before;
  expect(killed).toBeGreaterThan(0);
  const { runs: ended } = await write(logdir);
  expect(ended.flatMap(({ error }) => error ?? [])).toEqual([]);
  for (const { rows, exitCodes } of runs()) {
    expect(rows.map(({ _step }) => _step)).toEqual(rows.map((_row, line) => line));
    expect(exitCodes).toHaveLength(1);
  }
  await send(logdir);
  await upload();
  const [expected, found] = [runsOf(direct, "killed"), runsOf(server, "killed")];
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [id, run] of expected) {
    const other = found.get(id) as StoredRun;
    expect(differences(pointsOf(run), pointsOf(other))).toEqual([]);
    expect({ ...contentOf(other), rows: [], summary: {}, state: {} }).toEqual({
      ...contentOf(run),
      rows: [],
      summary: {},
      state: {},
    });
  }
});

function eventFilesIn(logdir: string): string[] {
  const names = readdirSync(logdir, { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.includes("tfevents")).map((name) => path.join(logdir, name));
}

test("offline and online in turns: what would double is refused, and each point is there once", {
  timeout: 300_000,
}, async () => {
  const { folder, args, upload } = scene("turns");
  const logdir = path.join(folder, "runs");
  const online = { WANDB_API_KEY: API_KEY, WANDB_BASE_URL: server.uri, WANDB_MODE: "online", WANDB_DIR: folder };
  const grow = async (share: number) => {
    rmSync(logdir, { recursive: true, force: true });
    cpSync(path.join(FIXTURES, "tensorboardx/runs"), logdir, { recursive: true, preserveTimestamps: true });
    for (const file of eventFilesIn(logdir)) truncateSync(file, Math.floor(statSync(file).size * share));
    await sync(args(logdir, "direct"), { ...online, WANDB_BASE_URL: direct.uri, WANDB_DIR: `${folder}-direct` });
  };
  const goOnline = () => sync(args(logdir, "state"), online);
  const goOffline = () => sync(args(logdir, "state"), { ...OFFLINE, WANDB_BASE_URL: server.uri, WANDB_DIR: folder });
  await grow(0.3);
  expect((await goOffline()).code).not.toBe(2);
  expect((await goOnline()).code).toBe(2);
  expect(server.runs("turns")).toEqual([]);
  await upload();
  expect((await goOnline()).code).not.toBe(2);
  // All that went over the network was in the directories, too.
  await grow(0.5);
  expect((await goOffline()).code).not.toBe(2);
  expect((await goOnline()).code).toBe(2);
  await upload();
  await grow(0.8);
  expect((await goOnline()).code).not.toBe(2);
  await grow(1);
  expect((await goOffline()).code).toBe(2);
  expect((await goOnline()).code).not.toBe(2);
  const [expected, found] = [runsOf(direct, "turns"), runsOf(server, "turns")];
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [id, run] of expected)
    expect(differences(pointsOf(run), pointsOf(found.get(id) as StoredRun))).toEqual([]);
});
