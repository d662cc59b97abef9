// `npm test`: installs what the tests need, then checks and tests everything. With arguments: only the tests they name.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
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
const failures = [];
test("node 20", process.execPath, only);
if (only.length === 0) {
  // The other SQLite driver, and the Node that most people have by now.
  test("node 24", otherNode(NODE_24), ["--project", "unit"]);
}
// Once more, and last: of a long log often only its end is kept.
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((failure) => `\n${failure}`).join("\n")}`);
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed > 0 ? 1 : 0);

function test(name, node, args) {
  const report = path.join(root, ".setup", `${name.replace(" ", "-")}.json`);
  mkdirSync(path.dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const vitest = [path.join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter=default"];
  vitest.push(`--reporter=${path.join(root, "scripts/failures-reporter.mjs")}`);
  console.log(`\n${name}`);
  const { status, signal } = spawnSync(node, [...vitest, ...args], {
    cwd: root,
    env: { ...env, TRACELET_TEST_REPORT: report },
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
