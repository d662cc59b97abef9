// `npm test`: installs what the tests need, then checks and tests everything. With arguments: only the tests they name.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { environments } from "./environments.mjs";
import { browser, build, installPackages, mariaDb, otherNode, postgreSql, root, run } from "./setup.mjs";

const NODE_24 = "24.21.0";
const only = process.argv.slice(2);

const pythons = once(
  spawn(process.execPath, [path.join(root, "scripts/environments.mjs")], { cwd: root, stdio: "inherit" }),
  "exit",
);
installPackages();
build();
if (only.length === 0) run("npm", ["run", "--silent", "check"]);
browser();
postgreSql();
mariaDb();
const [status] = await pythons;
if (status !== 0) process.exit(1);
const env = { ...process.env, ...environments() };

const counts = { passed: 0, failed: 0, skipped: 0 };
test("node 20", process.execPath, only);
if (only.length === 0) {
  // The other SQLite driver, and the Node that most people have by now.
  test("node 24", otherNode(NODE_24), ["--project", "unit"]);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed > 0 ? 1 : 0);

function test(name, node, args) {
  const report = path.join(root, ".setup", `${name.replace(" ", "-")}.json`);
  mkdirSync(path.dirname(report), { recursive: true });
  const vitest = [path.join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter=default", "--reporter=json"];
  console.log(`\n${name}`);
  const { status } = spawnSync(node, [...vitest, `--outputFile.json=${report}`, ...args], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  const result = JSON.parse(readFileSync(report, "utf8"));
  counts.passed += result.numPassedTests;
  counts.failed += result.numFailedTests;
  counts.skipped += result.numPendingTests + result.numTodoTests;
  // A file that cannot be loaded has no tests that could fail.
  if (status !== 0 && result.numFailedTests === 0) counts.failed++;
}
