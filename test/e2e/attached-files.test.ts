/** Files of the source and what is derived from it, read back from a real server. */
import { appendFileSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MlflowServer } from "./support/mlflow-server.ts";
import {
  byTag,
  deriveWithPython,
  distinct,
  download,
  readEmbeddings,
  readMlflow,
  readTensorBoard,
} from "./support/python.ts";
import { sync } from "./support/tracelet.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const TORCH = path.join(FIXTURES, "torch/runs");

let workspace: string;
let server: MlflowServer;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-files-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

function options(experiment: string): string[] {
  const state = path.join(workspace, experiment, "state");
  return ["--tracking-uri", server.uri, "--experiment", experiment, "--state-dir", state, "--restarts", "keep"];
}

test("--attach-source: TensorBoard reads the same from what is downloaded", async () => {
  const logdir = path.join(workspace, "source-runs");
  cpSync(TORCH, logdir, { recursive: true });
  // A name that a disk may fold into another's.
  const name = "plugins/events.out.tfevents.1700000008.FIXTURE.4242.6";
  renameSync(path.join(logdir, name.toLowerCase()), path.join(logdir, name));
  const result = await sync([logdir, "--attach-source", ...options("source")]);
  expect(result.runs.map(({ error }) => error)).toEqual(result.runs.map(() => null));
  const files = result.kinds["source_files"];
  expect(files?.sent).toBe(files?.read);

  // One grows; the others are not sent again.
  const scalars = readFileSync(
    path.join(FIXTURES, "example/runs/baseline/events.out.tfevents.1700000600.fixture.4242.0"),
  );
  appendFileSync(path.join(logdir, name), scalars);
  const again = await sync([logdir, "--attach-source", ...options("source")]);
  expect(again.kinds["source_files"]).toMatchObject({ read: 1, sent: 1 });
  expect((await sync([logdir, "--attach-source", ...options("source")])).kinds).toEqual({});

  const expected = await readTensorBoard(logdir);
  const folders = await download(server.uri, "source", path.join(workspace, "source-download"));
  const empty = result.runs.filter(({ outcome }) => outcome === "empty").map(({ name }) => name);
  // A run that is a part of another lies below it, as it does in the logdir.
  const found = new Map<string, unknown>(empty.map((run) => [run, {}]));
  for (const [run, folder] of Object.entries(folders)) {
    for (const [part, tags] of Object.entries(await readTensorBoard(path.join(folder, "tensorboard"))))
      found.set(path.posix.join(run, part), tags);
  }
  expect(Object.fromEntries(found)).toEqual(expected);
  expect(readFileSync(path.join(folders["plugins"] as string, "tensorboard/projector_config.pbtxt"))).toEqual(
    readFileSync(path.join(logdir, "plugins/projector_config.pbtxt")),
  );
});

test("embeddings are what a standalone projector loads", async () => {
  const result = await sync([TORCH, ...options("embeddings")]);
  expect(result.kinds["embeddings"]).toMatchObject({ read: 2, sent: 2, skipped: {} });
  const folders = await download(server.uri, "embeddings", path.join(workspace, "embeddings-download"));
  const found = await readEmbeddings(path.join(folders["plugins"] as string, "embeddings/projector_config.json"));
  // What torch was given in make_torch.py: the same six points twice, as float32.
  const points = readFileSync(path.join(TORCH, "plugins/00001/letters/tensors.tsv"), "utf8").trimEnd().split("\n");
  const tensor = points.map((row) => row.split("\t"));
  expect(tensor.flat().every((text) => Math.fround(Number(text)) === Number(text))).toBe(true);
  expect(found).toEqual([
    { name: "letters:00001", tensor, metadata: [..."uvwxyz"], sprite: [12, 12, "PNG"], dim: [4, 4] },
    {
      name: "default:00002",
      tensor,
      metadata: ["letter\tnumber", ...[..."uvwxyz"].map((letter, i) => `${letter}\t${i}`)],
      sprite: null,
      dim: null,
    },
  ]);
});

test.each(["torch", "tf1", "tf2"])("--histogram-metrics and --pr-metrics of %s", async (name) => {
  const logdir = path.join(FIXTURES, name, "runs");
  const experiment = `derived ${name}`;
  const result = await sync([logdir, "--histogram-metrics", "--pr-metrics", ...options(experiment)]);
  expect(result.runs.map(({ error }) => error)).toEqual(result.runs.map(() => null));
  const expected = await deriveWithPython(logdir);
  const { runs } = await readMlflow(server.uri, experiment);
  let compared = 0;
  for (const [run, tags] of Object.entries(expected)) {
    if (Object.keys(tags).length === 0) continue;
    const there = byTag(runs.find((each) => each.name === (run === "." ? "runs" : run)) as (typeof runs)[number]);
    for (const [tag, points] of Object.entries(tags)) {
      // What a sum of many numbers is in its last digits, depends on their order.
      const close = (all: readonly (readonly string[])[]) =>
        all.map(([step, ms, value]) => [step, ms, Number(value).toPrecision(12)]);
      expect([run, tag, close(there[tag] ?? [])]).toEqual([run, tag, close(distinct(points))]);
      compared += points.length;
    }
  }
  expect(compared).toBeGreaterThan(10);
});
