/** What `npm pack` makes works when it is installed globally somewhere else. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");

let workspace: string;
let command: string;

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { cwd: workspace, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

/** What the install script of a package made here serves another installation of the same version. */
function takeBuilt(name: string, modules: string): void {
  const here = path.join(ROOT, "node_modules", name);
  const there = path.join(modules, name);
  const versionIn = (folder: string) =>
    (JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as { version: string }).version;
  expect(versionIn(there)).toBe(versionIn(here));
  // A newer Node does without.
  if (existsSync(path.join(here, "build")))
    cpSync(path.join(here, "build"), path.join(there, "build"), { recursive: true });
}

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-package-"));
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", workspace, "--loglevel=error"], { cwd: ROOT });
  const tarball = readdirSync(workspace).find((name) => name.endsWith(".tgz")) as string;
  const prefix = path.join(workspace, "prefix");
  mkdirSync(prefix);
  run(
    "npm",
    "install",
    "--global",
    "--prefix",
    prefix,
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    // What would be compiled, for minutes, is here already.
    "--ignore-scripts",
    path.join(workspace, tarball),
  );
  takeBuilt("better-sqlite3", path.join(prefix, "lib/node_modules/tracelet/node_modules"));
  command = path.join(prefix, "bin/tracelet");
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

test("the command runs", () => {
  expect(run(command, "--version")).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(run(command, "sync", "--help")).toContain("--tracking-uri");
});

test("it syncs", () => {
  const uri = `sqlite:///${path.join(workspace, "mlflow.db")}`;
  const runs = path.join(ROOT, "fixtures/example/runs");
  const json = run(
    command,
    "sync",
    runs,
    "--tracking-uri",
    uri,
    "--state-dir",
    path.join(workspace, "state"),
    "--json",
    "--quiet",
  );
  expect(JSON.parse(json)).toMatchObject({ outcome: "ok", kinds: { scalars: { read: 2796, sent: 2796 } } });
});

test("the library can be imported, and holds nothing that is not meant for it", () => {
  const installed = path.join(workspace, "prefix/lib/node_modules/tracelet");
  mkdirSync(path.join(workspace, "node_modules"));
  symlinkSync(installed, path.join(workspace, "node_modules/tracelet"));
  const entries = Object.keys(JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")).exports as object)
    .filter((entry) => !entry.endsWith(".json"))
    .map((entry) => path.posix.join("tracelet", entry));
  expect(entries).toHaveLength(6);
  for (const entry of entries) {
    const names = `Object.keys(m).length > 0 ? "${entry}" : ""`;
    expect(run(process.execPath, "-e", `import("${entry}").then((m) => console.log(${names}))`)).toBe(`${entry}\n`);
    expect(run(process.execPath, "-e", `const m = require("${entry}"); console.log(${names})`)).toBe(`${entry}\n`);
  }
  const schema = `console.log(typeof require("tracelet/config.schema.json").properties)`;
  expect(run(process.execPath, "-e", schema)).toBe("object\n");
  const script = `import("tracelet/reader").then((m) => console.log(m.discover("${ROOT}/fixtures/example/runs").runs.length))`;
  expect(run(process.execPath, "-e", script)).toBe("3\n");
  expect(
    readdirSync(installed)
      .filter((name) => name !== "node_modules")
      .sort(),
  ).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "dist", "package.json"].sort());
  expect(existsSync(path.join(installed, "dist/cli/main.js"))).toBe(true);
});

test("a plug-in that is installed beside it is found from anywhere", () => {
  const folder = path.join(workspace, "prefix/lib/node_modules/tracelet-backend-beside");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "package.json"), '{ "exports": { "import": "./index.mjs" } }');
  const backend = "{ open: async ({ name }) => ({ id: name }), write: async () => {} }";
  writeFileSync(
    path.join(folder, "index.mjs"),
    `export default { seam: 1, address: () => "here", open: () => (${backend}) };`,
  );
  const runs = path.join(ROOT, "fixtures/example/runs");
  const state = ["--state-dir", path.join(workspace, "state")];
  const json = run(command, "sync", runs, "--backend", "beside", ...state, "--json", "--quiet");
  expect(JSON.parse(json)).toMatchObject({ outcome: "ok", kinds: { scalars: { sent: 2796 } } });
});
