/** Whatever people do to either end, in any order: after each calm both are level. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test, vi } from "vitest";
import { type Destination, World } from "./model/world.ts";
import { MlflowServer } from "./support/mlflow-server.ts";

vi.setConfig({ testTimeout: 1_800_000 });

const STEPS = Number(process.env["TRACELET_MODEL_STEPS"] ?? 300);
/** A step takes a server three times as long. */
const SERVER_STEPS = Math.ceil(STEPS / 3);
const SEED = Number(process.env["TRACELET_MODEL_SEED"] ?? 1);

async function play(destination: Destination, steps: number): Promise<void> {
  const world = new World(SEED, destination);
  try {
    for (let step = 0; step < steps; step++) await world.step();
    await world.calm();
  } catch (error) {
    throw new Error(`seed ${SEED}, after:\n${world.log.join("\n")}\n${(error as Error).message}`, { cause: error });
  } finally {
    await world.end();
  }
  expect(world.calms).toBeGreaterThan(steps / 20);
}

test("against the embedded store", async ({ onTestFinished }) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-model-store-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const database = path.join(folder, "mlflow.db");
  await play(
    { uri: `sqlite:///${database}`, database, artifacts: path.join(folder, "mlruns"), isEmbedded: true },
    STEPS,
  );
});

test("against a real server", async ({ onTestFinished }) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-model-server-"));
  const database = path.join(folder, "mlflow.db");
  const server = await MlflowServer.start(database);
  onTestFinished(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await play({ uri: server.uri, database, artifacts: path.join(folder, "artifacts"), isEmbedded: false }, SERVER_STEPS);
});
