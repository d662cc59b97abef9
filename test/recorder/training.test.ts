/** Which code and interpreter a command means, and what its interpreter is asked. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { shapedValue } from "../../src/config/structures.ts";
import { pythonFacts } from "../../src/recorder/python.ts";
import { codePlaces, interpreterOf } from "../../src/recorder/training.ts";

function directory(): string {
  const made = mkdtempSync(path.join(os.tmpdir(), "tracelet-training-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A program of that name. */
function program(name: string, script: string): string {
  const file = path.join(directory(), name);
  writeFileSync(file, script);
  chmodSync(file, 0o755);
  return file;
}

function setting(name: string, value: string | undefined): void {
  const before = process.env[name];
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
  onTestFinished(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

test("the code is where the script is, then where the command runs, then where the run is", () => {
  const script = program("train.py", "");
  expect(codePlaces(["python", "-u", script, "--lr", "1"], "/runs/a")).toEqual([
    path.dirname(script),
    process.cwd(),
    "/runs/a",
  ]);
  expect(codePlaces(["python", "-m", "package.train"], "/runs/a")).toEqual([process.cwd(), "/runs/a"]);
  expect(codePlaces(undefined, "/runs/a")).toEqual(["/runs/a", process.cwd()]);
});

test("the interpreter is the command's, else that of the environment, else the one on PATH", () => {
  setting("VIRTUAL_ENV", undefined);
  const python = program("python", "");
  setting("PATH", path.dirname(python));
  expect(interpreterOf(["/opt/venv/bin/python3.12", "train.py"])).toBe("/opt/venv/bin/python3.12");
  expect(interpreterOf(["python3", "train.py"])).toBe("python3");
  const torchrun = program("torchrun", "#!/opt/torch/bin/python3\nimport sys\n");
  expect(interpreterOf([torchrun, "train.py"])).toBe("/opt/torch/bin/python3");
  expect(interpreterOf([program("run", "#!/usr/bin/env python3\n")])).toBe("python3");
  expect(interpreterOf(["make", "train"])).toBe(python);
  expect(interpreterOf(undefined)).toBe(python);
  const environment = directory();
  setting("VIRTUAL_ENV", environment);
  expect(interpreterOf(undefined)).toBe(python);
});

/** What is recorded of an interpreter that answers so. */
async function answered(answer: object): Promise<{ file: string | undefined; said: string[] }> {
  const said: string[] = [];
  const python = program("python", `#!/bin/sh\necho a banner\ncat <<'EOF'\n${JSON.stringify(answer)}\nEOF\n`);
  const facts = await pythonFacts(python, (message) => said.push(message));
  return { file: facts?.artifacts[0] && Buffer.from(facts.artifacts[0].bytes).toString(), said };
}

test("packages from addresses are listed as pip freeze lists them, without credentials", async () => {
  const told = { version: "3.12.1", implementation: "CPython", platform: "Linux", host: "host" };
  const packages = [
    ["zeta", "1.0", null],
    ["Alpha", "2.0", { url: "https://me:token@example.com/a.whl", archive_info: { hash: "sha256=abc" } }],
    [
      "beta",
      "3.0",
      { url: "https://token@github.com/b/b.git", vcs_info: { vcs: "git", commit_id: "123" }, subdirectory: "x" },
    ],
    ["gamma", "4.0", { url: "file:///work/gamma", dir_info: { editable: true } }],
    ["pip", "24.0", null],
  ];
  expect(await answered({ ...told, packages })).toEqual({
    file: [
      "Alpha @ https://example.com/a.whl#sha256=abc",
      "beta @ git+https://github.com/b/b.git@123#subdirectory=x",
      "# Editable install with no version control (gamma==4.0)",
      "-e /work/gamma",
      "zeta==1.0",
      "",
    ].join("\n"),
    said: [],
  });
});

test("an interpreter that is not there, or fails, is said", async () => {
  const said: string[] = [];
  expect(await pythonFacts("/nowhere/python", (message) => said.push(message))).toBeUndefined();
  expect(
    await pythonFacts(program("python", "#!/bin/sh\necho broken >&2\nexit 1\n"), (message) => said.push(message)),
  ).toBeUndefined();
  expect(said).toEqual([expect.stringContaining("/nowhere/python"), expect.stringContaining("broken")]);
});

test("in a configuration file the interpreter may be true or false", async () => {
  expect(await shapedValue("trackEnv", true)).toEqual({ value: "auto" });
  expect(await shapedValue("trackEnv", false)).toEqual({ value: "none" });
  expect(await shapedValue("trackEnv", "/opt/venv/bin/python")).toEqual({ value: "/opt/venv/bin/python" });
});
