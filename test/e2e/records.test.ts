/** tracelet's own records on a real MLflow server, read back with MLflow's own client. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EventFileWriter } from "../../src/writer/event-file-writer.ts";
import { artifactFileValue, artifactValue, paramsValue, tagsValue } from "../../src/writer/own-records.ts";
import { doubleValue } from "../../src/writer/values.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { readArtifacts, readMlflow } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

let server: MlflowServer;
let workspace: string;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-e2e-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("params, labels and files arrive as MLflow's own client would have logged them; again, and without the state, too", async () => {
  const logdir = path.join(workspace, "runs");
  const file = new EventFileWriter(path.join(logdir, "train", "events.out.tfevents.1"));
  const [small, large] = [Buffer.from("weights"), Buffer.alloc(9_000_000, "large")];
  const largeFile = path.join(logdir, "large.bin");
  writeFileSync(largeFile, large);
  const mtime = Math.floor(statSync(largeFile).mtimeMs);
  file.write([paramsValue({ lr: 0.1, epochs: 3, flag: true, none: null, größe: "ü\n" })]);
  // More than one request takes.
  file.write([tagsValue({ team: "vision", "a note": "one\ntwo", größe: "ß" })]);
  file.write([tagsValue(Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`label ${i}`, String(i)])))]);
  file.write([artifactValue("models/Best Model.pt", small), artifactValue("größe/ü.txt", small)]);
  file.write([artifactFileValue("large/file.bin", { file: largeFile, size: large.length, mtime })]);
  file.write([doubleValue("loss", 0.1)], 7);
  file.write([tagsValue({ team: "audio" })]);
  file.close();

  const to = ["--tracking-uri", server.uri, "--experiment", "records", "--state-dir", path.join(workspace, "state")];
  for (const outcome of ["sent", "unchanged"]) {
    const { runs } = await sync([logdir, ...to]);
    expect(runs.map((run) => [run.name, run.outcome, run.notes])).toEqual([["train", outcome, []]]);
  }
  rmSync(path.join(workspace, "state"), { recursive: true });
  expect((await sync([logdir, ...to])).runs[0]?.notes).toEqual([]);

  const { runs } = await readMlflow(server.uri, "records");
  expect(runs).toHaveLength(1);
  const [run] = runs;
  expect(run?.params).toEqual({ lr: "0.1", epochs: "3", flag: "True", none: "None", größe: "ü\n" });
  expect(run?.tags).toMatchObject({ team: "audio", "a note": "one\ntwo", größe: "ß", "label 149": "149" });
  expect(run?.metrics["loss"]?.map(([step, , value]) => [step, value])).toEqual([["7", "0.1"]]);
  const artifacts = await readArtifacts(server.uri, run?.id ?? "");
  expect(artifacts).toMatchObject({
    "models/Best Model.pt": [small.length, sha256(small)],
    "größe/ü.txt": [small.length, sha256(small)],
    "large/file.bin": [large.length, sha256(large)],
  });
  const verified = await tracelet(["verify", logdir, ...to.slice(0, 4)]);
  expect([verified.code, verified.stderr]).toEqual([0, expect.any(String)]);
});
