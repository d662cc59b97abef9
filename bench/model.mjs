// People and machines do things to both ends in random order, and after each calm both are compared:
//   node bench/model.mjs [--steps 10000] [--seed 1] [--server]
// Into a database by itself, or with --server into a real MLflow server. A failure prints every step and the seed. It takes
// the built command, some 0.4 s a step.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { load } from "./typescript.mjs";

const { values } = parseArgs({
  options: {
    steps: { type: "string", default: "10000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    server: { type: "boolean", default: false },
  },
});
const [{ World }, { MlflowServer }] = await load("test/e2e/model/world.ts", "test/e2e/support/mlflow-server.ts");
const [steps, seed] = [Number(values.steps), Number(values.seed)];
/** A world grows slower with each backup and run; so many small ones, each with a seed of its own. */
const STEPS_A_WORLD = 250;

const began = performance.now();
const sum = { steps: 0, calms: 0, kills: 0 };
for (let world = 0; sum.steps < steps && process.exitCode === undefined; world++) await play(seed + world);
if (process.exitCode === undefined) console.log(`${summary()}: nothing lost or doubled`);

function summary() {
  const minutes = ((performance.now() - began) / 60_000).toFixed(1);
  return `${sum.steps} steps, ${sum.calms} calms, ${sum.kills} kills, ${minutes} minutes`;
}

async function play(seedOfWorld) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-model-"));
  const database = path.join(folder, "mlflow.db");
  const server = values.server ? await MlflowServer.start(database) : undefined;
  const uri = server?.uri ?? `sqlite:///${database}`;
  const artifacts = path.join(folder, values.server ? "artifacts" : "mlruns");
  const world = new World(seedOfWorld, { uri, database, artifacts, isEmbedded: server === undefined });
  try {
    for (let step = 0; step < STEPS_A_WORLD && sum.steps < steps; step++, sum.steps++) await world.step();
    await world.calm();
    sum.calms += world.calms;
    sum.kills += world.kills;
    console.error(`seed ${seedOfWorld}: ${summary()}`);
  } catch (error) {
    console.error(`seed ${seedOfWorld}, after:\n${world.log.join("\n")}\n${error.message}`);
    process.exitCode = 1;
  } finally {
    await world.end();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
