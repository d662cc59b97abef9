// `npm test`: installs what the tests need, then checks and tests everything. With arguments: only the tests they name.
// With `--quick`: the checks, and the unit tests on this Node alone, without those that try thousands of random inputs or
// start hundreds of processes.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { made } from "./beside.mjs";
import { build, otherNode, root, run, unpackPackages } from "./setup.mjs";

const NODE_24 = "24.21.0";
/** With those of code that asks nothing of Node at all, for which one Node is enough. */
const UNIT = ["--project", "unit*"];
/** They try thousands of inputs on code that asks nothing of Node: not for each Node, nor in a hurry. */
const NO_LONG_ONES = exclude([
  ...["choice", "engine-model", "fuzz", "artifact-paths", "bombs", "computed-metrics", "watcher-model"],
  ...["tfrecord-random", "expression"],
]);
/** They start the command a hundred times, or kill a sync at each of its requests: not in a hurry. */
const NO_MANY_STARTS = exclude(["secrets", "config-files", "watch-training", "kill", "media-kill"]);
const args = process.argv.slice(2);
const isQuick = args.includes("--quick");
const only = args.filter((arg) => arg !== "--quick");

// Where the environment forbids it, as many images do, each Python would compile all that it imports: for MLflow, torch and
// Lightning that is half of their start.
delete process.env.PYTHONDONTWRITEBYTECODE;
process.env.PYTHONPYCACHEPREFIX = path.join(root, ".setup/pycache");

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const python = beside("python");
unpackPackages();
const sqliteDriver = beside("sqliteDriver");
build();
if (only.length === 0) run("npm", ["run", "--silent", "check"]);
await python;
if (isQuick) {
  await sqliteDriver;
  test("node 20", process.execPath, [...UNIT, ...(only.length === 0 ? [...NO_LONG_ONES, ...NO_MANY_STARTS] : only)]);
} else {
  const others = [beside("oldPython"), beside("torchPython"), beside("wandbPython")];
  const forServers = Promise.all([...others, beside("debian")]);
  // The other SQLite driver, and the Node that most people have by now.
  if (only.length === 0) test("node 24", otherNode(NODE_24), ["--project", "unit", ...NO_LONG_ONES]);
  await Promise.all([sqliteDriver, forServers]);
  test("node 20", process.execPath, only, {
    TRACELET_TEST_PYTHON_OLD: made("oldPython"),
    TRACELET_TEST_PYTHON_TORCH: made("torchPython"),
    TRACELET_TEST_PYTHON_WANDB: made("wandbPython"),
  });
}
// Once more, and last: of a long log often only its end is kept.
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((failure) => `\n${failure}`).join("\n")}`);
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed > 0 ? 1 : 0);

function exclude(names) {
  return names.flatMap((name) => ["--exclude", `**/${name}.test.ts`]);
}

/** Make something in a process of its own. @returns resolves when it is there */
async function beside(what) {
  const args = [path.join(root, "scripts/beside.mjs"), what];
  const [status] = await once(spawn(process.execPath, args, { cwd: root, stdio: "inherit" }), "exit");
  if (status !== 0) process.exit(1);
}

function test(name, node, args, env = {}) {
  const report = path.join(root, ".setup", `${name.replaceAll(" ", "-")}.json`);
  mkdirSync(path.dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const vitest = [path.join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter=default"];
  vitest.push(`--reporter=${path.join(root, "scripts/failures-reporter.mjs")}`);
  console.log(`\n${name}`);
  const { status, signal } = spawnSync(node, [...vitest, ...args], {
    cwd: root,
    env: { ...process.env, TRACELET_TEST_PYTHON: made("python"), ...env, TRACELET_TEST_REPORT: report },
    stdio: "inherit",
  });
  const result = existsSync(report)
    ? JSON.parse(readFileSync(report, "utf8"))
    : { passed: 0, failed: 0, skipped: 0, failures: [] };
  for (const key of ["passed", "failed", "skipped"]) counts[key] += result[key];
  failures.push(...result.failures.map((failure) => `${name}: ${failure}`));
  // Also what has failed in no test.
  if (status !== 0 && result.failed === 0) counts.failed++;
  if (status !== 0 && result.failures.length === 0)
    failures.push(`${name}: vitest ended with ${signal ?? status}, see above`);
}
