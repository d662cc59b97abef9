/** What is no scalar: read back with MLflow's client, compared with what TensorBoard's loader reads. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cases } from "../support/expected.ts";
import { killOften } from "./support/kill-often.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { readExperimentArtifacts, readMlflow } from "./support/python.ts";
import { sync } from "./support/tracelet.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const TORCH = path.join(FIXTURES, "torch/runs");

let workspace: string;
let server: MlflowServer;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-media-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** The digests of all images and clips that TensorBoard's loader reads in each run of a case. */
function expectedBlobs(name: string): Map<string, string[]> {
  const blobs = new Map<string, string[]>();
  for (const [run, { tags }] of Object.entries(cases().find((entry) => entry.name === name)?.runs ?? {})) {
    for (const { plugin, points } of Object.values(tags)) {
      if (plugin !== "images" && plugin !== "audio") continue;
      const items = points.flatMap(([, , value]) => (value as { items?: { sha256: string }[] }).items ?? []);
      blobs.set(run, [...(blobs.get(run) ?? []), ...items.map(({ sha256 }) => sha256)]);
    }
  }
  return blobs;
}

describe.each(["a server", "a database"])("through %s", (place) => {
  const options = (experiment: string) => [
    ...["--tracking-uri", place === "a server" ? server.uri : `sqlite:///${path.join(workspace, "embedded.db")}`],
    ...["--experiment", experiment, "--restarts", "keep", "--state-dir", path.join(workspace, place, experiment)],
  ];
  const uri = (experiment: string) => options(experiment)[1] as string;

  test.each(["torch", "tensorboardx", "tf2"])("every image and clip of %s is there, byte for byte", async (name) => {
    const result = await sync([path.join(FIXTURES, name, "runs"), ...options(name)]);
    expect(result.runs.map(({ error }) => error)).toEqual(result.runs.map(() => null));
    const artifacts = await readExperimentArtifacts(uri(name), name);
    const expected = expectedBlobs(name);
    expect(expected.size).toBeGreaterThan(0);
    for (const [run, digests] of expected) {
      const there = new Set(Object.values(artifacts[run] ?? {}).map(([, digest]) => digest));
      expect([run, digests.filter((digest) => !there.has(digest))]).toEqual([run, []]);
    }
  });

  test("each kind has its files and pages", async () => {
    await sync([TORCH, ...options("torch")]);
    const artifacts = await readExperimentArtifacts(uri("torch"), "torch");
    const endings = (run: string) =>
      new Set(Object.keys(artifacts[run] ?? {}).map((file) => file.replace(/\/.*(?=\.)/, "/*")));
    expect(endings("histograms")).toEqual(new Set(["histograms/*.html", "histograms/*.jsonl", "tracelet/*.json"]));
    expect(endings("media")).toContain("audio/*.wav");
    expect(endings("media")).toContain("videos/*.gif");
    expect(endings("media")).toContain("text/*.md");
    expect(endings("plugins")).toContain("graph/*.pbtxt");
    expect(endings("plugins")).toContain("mesh/*.ply");
    expect(endings("plugins")).toContain("pr_curves/*.html");
    expect(endings("tensors")).toContain("tensors/*.npy");
    const { runs } = await readMlflow(uri("torch"), "torch");
    expect(runs.find(({ name }) => name === "media")?.tags["mlflow.loggedImages"]).toBe("True");
  });

  test("ended with SIGKILL again and again, the files are those of a sync in one go", async () => {
    await sync([TORCH, ...options("torch")]);
    const whole = await readExperimentArtifacts(uri("torch"), "torch");
    const files = () => {
      try {
        return readdirSync(workspace, { recursive: true }).length;
      } catch {
        // A folder has gone while it was looked into.
        return 0;
      }
    };
    expect(await killOften([TORCH, ...options("killed")], 10, files)).toBeGreaterThan(0);
    await sync([TORCH, ...options("killed")]);
    expect(await readExperimentArtifacts(uri("killed"), "killed")).toEqual(whole);
  });
});
