// Hostile input in volume, through reader, encoders and pages: node bench/fuzz.mjs [--runs N] [--seed S]
import { spawnSync } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { runs: { type: "string", default: "1000000" }, seed: { type: "string" } } });
const root = path.resolve(import.meta.dirname, "..");
const seed = values.seed ?? String(Date.now() % 2 ** 31);
console.log(`seed ${seed}`);
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--project", "unit", "test/sync/fuzz.test.ts", "--reporter", "verbose"],
  { cwd: root, stdio: "inherit", env: { ...process.env, TRACELET_FUZZ_RUNS: values.runs, TRACELET_FUZZ_SEED: seed } },
);
process.exitCode = status ?? 1;
