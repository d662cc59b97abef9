/** Configuration files against real destinations, read by Python's own readers, and their schema by a validator of Python's. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "./support/mlflow-server.ts";
import { byTag, distinct, readFilesOf, readMlflow, readTensorBoard, schemaErrors } from "./support/python.ts";
import { tracelet } from "./support/tracelet.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const EXAMPLE = path.join(ROOT, "fixtures/example/runs");
const TORCH = path.join(ROOT, "fixtures/torch/runs");

let workspace: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-config-"));
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

/** @returns the file, in a directory of its own, with which all relative paths of it begin */
function config(name: string, value: object): string {
  const file = path.join(workspace, name, "tracelet.config.json");
  mkdirSync(path.dirname(file));
  writeFileSync(file, JSON.stringify({ stateDir: "state", group: "none", restarts: "keep", ...value }));
  return file;
}

async function expectInMlflow(logdir: string, database: string, experiment: string): Promise<void> {
  const { runs } = await readMlflow(`sqlite:///${database}`, experiment);
  for (const [name, tags] of Object.entries(await readTensorBoard(logdir))) {
    const run = runs.find((candidate) => candidate.name === name);
    const points = Object.fromEntries(Object.entries(tags).map(([tag, all]) => [tag, distinct(all)]));
    expect([name, run ? byTag(run) : {}]).toEqual([name, points]);
  }
}

async function expectInFiles(logdir: string, out: string): Promise<void> {
  const found = await readFilesOf("jsonl", out);
  for (const [run, tags] of Object.entries(await readTensorBoard(logdir))) {
    for (const [tag, all] of Object.entries(tags)) {
      const scalars = (found[run]?.[tag] ?? []).filter(([kind]) => kind === "scalars" || kind === "scalar");
      const sent = scalars.map(([, step, , value]) => `${step} ${asInMlflow(Number(value))}`);
      expect([run, tag, sent.sort()]).toEqual([
        run,
        tag,
        all.map(([step, , value]) => `${step} ${Number(value)}`).sort(),
      ]);
    }
  }
}

/** As the reader of TensorBoard's side prints it: infinity is the greatest number there. */
function asInMlflow(value: number): number {
  return Math.abs(value) === Infinity ? Math.sign(value) * Number.MAX_VALUE : value;
}

test("two sources, one into MLflow's database and one into files: each has all that TensorBoard reads in its logdir", async () => {
  const file = config("two", {
    only: ["scalars"],
    sources: [
      { logdirs: EXAMPLE, trackingUri: "sqlite:///m.db", project: "mine" },
      { logdirs: TORCH, backend: "jsonl", output: "out" },
    ],
  });
  const at = (name: string) => path.join(path.dirname(file), name);
  const { code, stdout, stderr } = await tracelet(["sync", "--config", file, "--json"]);
  expect([code, stderr]).toEqual([0, expect.stringContaining("sent")]);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "ok", sources: [{ outcome: "ok" }, { outcome: "ok" }] });
  await expectInMlflow(EXAMPLE, at("m.db"), "mine");
  await expectInFiles(TORCH, at("out"));

  // The watch goes on from there, and has nothing to send.
  const watch = await tracelet(["watch", "--config", file, "--json", "--until-idle", "1s"]);
  expect(watch.code).toBe(0);
  await expectInMlflow(EXAMPLE, at("m.db"), "mine");
  await expectInFiles(TORCH, at("out"));
});

test("a source whose server is away holds no other up, and is reported", async () => {
  const file = config("away", {
    giveUpAfter: "2s",
    only: ["scalars"],
    sources: [
      { logdirs: EXAMPLE, trackingUri: `http://127.0.0.1:${await freePort()}` },
      { logdirs: TORCH, backend: "jsonl", output: "out" },
    ],
  });
  const { code, stdout } = await tracelet(["sync", "--config", file, "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({
    outcome: "failed",
    sources: [{ outcome: "failed", error: { code: "unreachable" } }, { outcome: "ok" }],
  });
  expect(code).toBe(1);
  await expectInFiles(TORCH, path.join(path.dirname(file), "out"));
});

test("a validator of Python's takes and refuses by the schema what tracelet takes and refuses", async () => {
  const right = [
    {},
    { $schema: "x", experiment: "mnist", "tracking-uri": "http://h", max_image_size: "1MB", giveUpAfter: 1000 },
    { exp_name: "a", project: "b", backend: ["mlflow", "jsonl"], track_system: true, metrics_interval: 5.0 },
    { track_lightning: true, tensorboard_log_dir: "runs", capture_audio: false, noImages: true },
    { only: ["scalars", "pr-curves"], every: 3, metricsPort: 0, group: "parent", since: "2h" },
    { derive: { "{tag}_smoothed": { mean: 5, match: "*loss*" } }, rename: { a: "b" }, best: "val/*" },
    { sources: [{ logdirs: ["a"], backend: "csv", output: "o" }], logdirs: "b" },
  ];
  const wrong = [
    { experment: "x" },
    { experiment: 5 },
    { group: "runs" },
    { images: "no" },
    { every: 0 },
    { giveUpAfter: "soon" },
    { maxImageSize: "1 parsec" },
    { only: ["pictures"] },
    { derive: { a: { median: 5 } } },
    { sources: [{ logdirs: "a", quiet: true }] },
    { sources: {} },
    { logdirs: [] },
    [],
  ];
  const errors = await schemaErrors(path.join(ROOT, "dist/config.schema.json"), [...right, ...wrong]);
  expect(errors.slice(0, right.length)).toEqual(right.map(() => null));
  expect(errors.slice(right.length)).toEqual(wrong.map(() => expect.any(String)));
  for (const [index, value] of [...right, ...wrong].entries()) {
    const file = path.join(workspace, `${index}.json`);
    writeFileSync(file, JSON.stringify(value));
    const { code } = await tracelet(["config", "--config", file]);
    expect([value, code]).toEqual([value, index < right.length ? 0 : 2]);
  }
});
