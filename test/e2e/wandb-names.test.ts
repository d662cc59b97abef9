/**
 * What is no row of scalars is called by tracelet as W&B's client calls it: system metrics, git, Python, goals of metrics, and 3D
 * objects.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { WandbBackend } from "../../src/backends/wandb/backend.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import type { Datum, DatumBase, MeshDatum } from "../../src/reader/datum.ts";
import type { Batch } from "../../src/sync/backend.ts";
import { parseRow, type Row } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { WandbClient } from "./support/wandb-client.ts";

const RECORDING = "/state/recorded/a/events.out.tfevents.1.host.1.0.system.tracelet";
const SAMPLES = 3;
const REMOTE = "https://example.org/team/code.git";

let workspace: string;
let theirs: StoredRun;
let ours: StoredRun;
let servers: WandbServer[];
let commit: string;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-names-"));
  servers = await Promise.all([WandbServer.start(), WandbServer.start()]);
  const [their, our] = servers as [WandbServer, WandbServer];
  const folder = path.join(workspace, "code");
  const client = new WandbClient(their.uri, folder);
  commit = makeRepository(folder);
  let hasEnded = false;
  const logging = client.script("log_names", ["p", "r"]).finally(() => {
    hasEnded = true;
  });
  logging.catch(() => {});
  // The first sample of a disk or a network is none: they count from there.
  const enough = () => (their.account.find({ project: "p", name: "r" })?.events.count ?? 0) >= SAMPLES;
  while (!enough() && !hasEnded) await setTimeout(100);
  writeFileSync(path.join(folder, "enough"), "");
  await logging;
  theirs = their.run("p", "r") as StoredRun;
  ours = await sendTo(our);
});

afterAll(async () => {
  for (const server of servers ?? []) await server.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** @returns its commit */
function makeRepository(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@example.org", ...args], { cwd: folder });
  git("init", "-q", "-b", "main");
  writeFileSync(path.join(folder, "train.py"), "a\n");
  git("add", "train.py");
  git("commit", "-q", "-m", "first");
  git("remote", "add", "origin", REMOTE);
  writeFileSync(path.join(folder, "train.py"), "b\n");
  return git("rev-parse", "HEAD").toString().trim();
}

function base(tag: string, offset: number): DatumBase {
  const metadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
  return { tag, step: 3n, wallTime: 1_700_000_000, offset, metadata };
}

function cloud(mesh: string, offset: number, values: readonly number[], shape: readonly number[]): MeshDatum {
  const tensor = { dtype: "float32", shape, data: Float32Array.from(values) } as const;
  return { ...base(`${mesh}_VERTEX`, offset), kind: "mesh", mesh, content: "vertex", config: "", tensor };
}

/** The same by tracelet. */
async function sendTo(server: WandbServer): Promise<StoredRun> {
  const place = readPlace({ wandbProject: "p" }, { WANDB_BASE_URL: server.uri });
  const access = readLogin(server.uri, { WANDB_API_KEY: API_KEY }, "/nowhere");
  const store = new WandbApi({ base: server.uri, access, giveUpAfterMs: 60_000 });
  const backend = new WandbBackend({ store, place, live: false });
  const mark = { key: "k", name: "events", head: 10, offset: 0, from: 0, tail: "" };
  const handle = await backend.open(
    {
      name: "r",
      title: "r",
      source: "s",
      startTime: 1_700_000_000,
      parentId: undefined,
      marks: [mark],
      replaces: undefined,
      isOthers: async () => false,
      owns: async () => true,
      contradicts: async () => false,
      holds: async () => true,
    },
    undefined,
  );
  const labels: Datum = {
    ...base("tags", 0),
    kind: "run_tags",
    tags: new Map([
      ["mlflow.source.git.commit", commit],
      ["mlflow.source.git.repoURL", REMOTE],
      ["env.python", "3.12.1"],
      ["env.platform", "Linux"],
      ["env.host", "node7"],
    ]),
  };
  const files = ["git/diff.patch", "env/requirements.txt"].map(
    (file): Datum => ({ ...base(file, 0), kind: "artifacts", path: file, content: Buffer.from(file) }),
  );
  const metric = (name: string, goal: "min" | "max"): Datum => ({
    ...base(name, 0),
    kind: "metric_info",
    metric: name,
    type: "other",
    goal,
    info: {},
  });
  const points = [0, 0.5, 1, 2, 3, 4];
  const colors: MeshDatum = {
    ...base("colored_COLOR", 2),
    kind: "mesh",
    mesh: "colored",
    content: "color",
    config: "",
    tensor: { dtype: "float32", shape: [1, 2, 3], data: Float32Array.from([255, 0, 7, 1, 2, 3]) },
  };
  const meshes = [
    cloud("cloud", 1, points, [1, 2, 3]),
    cloud("colored", 2, points, [1, 2, 3]),
    colors,
    cloud("both", 3, [...points, ...points.map((value) => value + 1)], [2, 2, 3]),
  ];
  const scalars = [
    ["loss", 3, 0n],
    ["acc", 0.1, 0n],
    ["loss", 1, 1n],
    ["acc", 0.9, 1n],
    ["loss", 2, 2n],
    ["acc", 0.5, 2n],
  ] as const;
  const data = [labels, ...files, metric("loss", "min"), metric("acc", "max"), ...meshes];
  const sampled = ["cpu_utilization_percentage", "system_memory_usage_percentage", "disk_usage_percentage"].concat([
    "disk_usage_megabytes",
    "network_receive_megabytes",
    "network_transmit_megabytes",
  ]);
  const machine = sampled.map((name) => [`system/${name}`, 1, 0n] as const);
  const hparams = new Map<string, string | readonly number[]>([
    ["optimizer/name", "adam"],
    ["optimizer/betas", [0.9, 0.99]],
  ]);
  await backend.write(handle, { ...batch("events", scalars), data, hparams, marks: [{ ...mark, offset: 1 }] });
  await backend.write(handle, { ...batch(RECORDING, machine), marks: [{ ...mark, offset: 2 }] });
  await backend.finish(handle, "finished");
  await backend.close();
  return server.runs("p")[0] as StoredRun;
}

function batch(file: string, values: readonly (readonly [tag: string, value: number, step: bigint])[]): Batch {
  const tags = [...new Set(values.map(([tag]) => tag))];
  return {
    scalars: {
      tags,
      tag: Int32Array.from(values, ([tag]) => tags.indexOf(tag)),
      step: BigInt64Array.from(values, ([, , step]) => step),
      wallTime: Float64Array.from(values, () => 1_700_000_000),
      value: Float64Array.from(values, ([, value]) => value),
      offset: Float64Array.from(values, () => 0),
      length: values.length,
    },
    data: [],
    segments: [],
    parts: [{ file, firstScalar: 0, firstDatum: 0 }],
    marks: [],
    hparams: new Map(),
  };
}

const keysOf = (value: unknown) => Object.keys(value as object).sort();

test("system metrics: each of ours is one of theirs", () => {
  const [sample] = ours.events.lines.map(parseRow) as [Row];
  const their = new Set(theirs.events.lines.flatMap((line) => keysOf(parseRow(line))));
  expect(keysOf(sample).filter((key) => !their.has(key))).toEqual([]);
  expect(keysOf(sample)).toHaveLength(9);
});

test("git and Python: the same fields, files, and keys of the metadata", () => {
  for (const run of [theirs, ours]) {
    expect(run.fields).toMatchObject({ commit, repo: REMOTE, host: expect.any(String) });
    const metadata = JSON.parse(run.files.get("wandb-metadata.json")?.bytes.toString() ?? "{}") as Row;
    expect(metadata).toMatchObject({
      git: { remote: REMOTE, commit },
      os: expect.any(String),
      host: expect.any(String),
      python: expect.any(String),
    });
    const own = run.config["_wandb"] as Row;
    const [environment] = Object.values(own["e"] as Row);
    expect([environment, typeof own["python_version"]]).toMatchObject([{ git: { remote: REMOTE, commit } }, "string"]);
    for (const file of ["diff.patch", "requirements.txt"]) expect([file, run.files.has(file)]).toEqual([file, true]);
  }
});

test("metrics whose best value counts: the same definition, and the same summary", () => {
  const definitionsOf = (run: StoredRun) => {
    const metrics = (run.config["_wandb"] as Row)["m"] as readonly Row[];
    const nameOf = (metric: Row) => metric["1"];
    return ["loss", "acc"].map((name) => {
      const found = metrics.find((metric) => nameOf(metric) === name) as Row;
      // The goal, a field of the same record, is none that the client's function takes any more.
      const { "5": axis, "8": _goal, ...rest } = found;
      return { ...rest, axis: nameOf(metrics[Number(axis) - 1] as Row) };
    });
  };
  expect(definitionsOf(ours)).toEqual(definitionsOf(theirs));
  for (const key of ["loss", "acc"]) expect([key, ours.summary[key]]).toEqual([key, theirs.summary[key]]);
});

test("nested hyperparameters: the same config", () => {
  expect(ours.config["optimizer"]).toEqual(theirs.config["optimizer"]);
});

test.each(["cloud", "colored", "both"])(
  "a point cloud: %s has the same fields, and a file with the same points",
  (key) => {
    const valueOf = (run: StoredRun) => run.rows.find((row) => key in row)?.[key] as Row;
    const [their, our] = [valueOf(theirs), valueOf(ours)];
    expect(keysOf(our)).toEqual(keysOf(their));
    expect(our["_type"]).toBe(their["_type"]);
    const objectsOf = (value: Row) => (Array.isArray(value["objects"]) ? value["objects"] : [value]) as readonly Row[];
    const pathsOf = (value: Row) => objectsOf(value).map((object) => object["path"] as string);
    const contentsOf = (run: StoredRun, value: Row) =>
      pathsOf(value).map((file) => JSON.parse(run.files.get(file)?.bytes.toString() ?? "null") as unknown);
    expect(contentsOf(ours, our)).toEqual(contentsOf(theirs, their));
    const object = (value: Row) => (Array.isArray(value["objects"]) ? (value["objects"] as readonly Row[])[0] : value);
    expect(keysOf(object(our))).toEqual(keysOf(object(their)));
    const folderOf = (value: Row) =>
      pathsOf(value).map((file) => [path.posix.dirname(file), file.endsWith(".pts.json")]);
    expect(folderOf(our)).toEqual(folderOf(their));
  },
);
