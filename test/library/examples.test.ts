/** The examples are compiled and run as they are, and the code in the docs is that of the examples. */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Ended, ended, Machine, ROOT } from "../cli/tracelet.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

const EXAMPLES = path.join(ROOT, "examples");
/** Scalars of the fixture, as TensorBoard's own reader counts them. */
const SCALARS = 2796;

let built: string;

beforeAll(() => {
  // Compiled somewhere else, in a project that has tracelet installed.
  built = temporaryDirectory();
  mkdirSync(path.join(built, "node_modules"));
  symlinkSync(ROOT, path.join(built, "node_modules/tracelet"));
  symlinkSync(path.join(ROOT, "node_modules/better-sqlite3"), path.join(built, "node_modules/better-sqlite3"));
  writeFileSync(path.join(built, "package.json"), '{ "type": "module" }');
  const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", EXAMPLES, "--noEmit", "false", "--outDir", built], {
    stdio: ["ignore", "inherit", "inherit"],
  });
});

afterAll(() => rmSync(built, { recursive: true, force: true }));

/** A machine with the fixture's runs. */
function machine(): Machine {
  const made = Machine.create();
  cpSync(path.join(ROOT, "fixtures/example/runs"), made.logdir.root, { recursive: true });
  return made;
}

function start(on: Machine, ...args: readonly string[]) {
  const { PATH } = process.env;
  const env = { PATH, HOME: path.join(on.root, "home") };
  return spawn(process.execPath, args, { cwd: on.root, env, stdio: ["ignore", "pipe", "pipe"] });
}

async function run(on: Machine, example: string): Promise<Ended> {
  return ended(start(on, path.join(built, example)));
}

function jsonLines(on: Machine): { readonly kind: string }[] {
  const out = path.join(on.root, "out");
  const files = readdirSync(out, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".jsonl"));
  return files.flatMap((file) => {
    const lines = readFileSync(path.join(out, file), "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as { kind: string });
  });
}

test("sync.mjs: a module", async () => {
  const on = machine();
  const { code, stdout, stderr } = await run(on, "sync.mjs");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("mlflow: 3 of 3 runs");
  expect(on.points()).toBe(SCALARS);
  expect(jsonLines(on).filter(({ kind }) => kind === "scalar").length).toBe(SCALARS);
});

test("read.cjs: CommonJS", async () => {
  const { code, stdout, stderr } = await run(machine(), "read.cjs");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^\S+ \S*loss\S*: [\d.e-]+ at step \d+$/m);
});

test("destination.mjs: a destination that stays open", async () => {
  const on = machine();
  const { code, stdout, stderr } = await run(on, "destination.mjs");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout.match(/sent$/gm)).toHaveLength(3);
  expect(stdout.match(/unchanged$/gm)).toHaveLength(3);
  expect(on.points()).toBe(SCALARS);
});

test("watch.ts: TypeScript, until Ctrl-C", async () => {
  const on = machine();
  const child = start(on, path.join(built, "watch.js"));
  const end = ended(child);
  const scalars = () => {
    try {
      return jsonLines(on).filter(({ kind }) => kind === "scalar").length;
    } catch {
      return 0;
    }
  };
  await expect.poll(scalars, { timeout: 120_000 }).toBe(SCALARS);
  // That they are in the files is not yet that the watch knows it.
  let said = "";
  child.stdout.on("data", (text) => (said += String(text)));
  await expect.poll(() => said, { timeout: 120_000 }).toContain("jsonl: 0 bytes behind");
  child.kill("SIGINT");
  const { code, stdout, stderr } = await end;
  expect([code, stderr, stdout]).toEqual([0, "", expect.stringContaining("jsonl everything is sent")]);
});

test("log.ts: TypeScript, a run that is logged", async () => {
  const on = Machine.create();
  on.logdir.write("model.txt", Buffer.from("weights"));
  const { code, stdout, stderr } = await run(on, "log.js");
  expect([code, stderr, stdout]).toEqual([0, "", "everything is sent\n"]);
  expect(on.look((db) => db.prepare("SELECT name, status FROM runs").all())).toEqual([
    { name: "first", status: "FINISHED" },
  ]);
  expect(on.points()).toBe(100);
});

test("summary-writer.cjs: CommonJS, event files", async () => {
  const { code, stdout, stderr } = await run(Machine.create(), "summary-writer.cjs");
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.filter((line) => line.startsWith(". scalars loss "))).toHaveLength(10);
  expect(lines.filter((line) => line.startsWith(". histograms weights "))).toHaveLength(10);
  expect(lines).toEqual(expect.arrayContaining([". text notes/text_summary 0", ". images ramp 0"]));
  expect(lines.filter((line) => line.includes("_hparams_"))).toHaveLength(3);
});

test("sqlite-backend.mjs: keeps the contract, under node --test", async () => {
  const { code, stdout } = await ended(start(machine(), "--test", path.join(built, "sqlite-backend.test.mjs")));
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^(# |ℹ )pass 10$/m)]);
});

test("sqlite-backend.mjs: by the command, twice, with a run that is deleted between", async () => {
  const on = machine();
  const to = ["--backend", path.join(EXAMPLES, "sqlite-backend.mjs"), "--database", "points.db"];
  const count = () => on.look((db) => db.prepare("SELECT count(*) AS n FROM points").get()?.["n"], file);
  const file = path.join(on.root, "points.db");
  expect(await on.sync(...to)).toMatchObject({ code: 0, location: "points.db", kinds: { scalars: { sent: SCALARS } } });
  expect(count()).toBe(SCALARS);
  const runs = on.look((db) => db.prepare("SELECT DISTINCT run FROM points").all(), file);
  on.look(
    (db) =>
      db.exec(
        `DELETE FROM points WHERE run = '${runs[0]?.["run"]}'; DELETE FROM marks WHERE run = '${runs[0]?.["run"]}'`,
      ),
    file,
  );
  expect((await on.sync(...to)).code).toBe(0);
  expect(count()).toBe(SCALARS);
});

describe("code in the docs", () => {
  const SHOWN = /^<!-- examples\/(\S+) -->\n+```(\w+)\n([^]*?)^```$/gm;
  const pages = ["README.md", "docs/library.md", "docs/writing-a-backend.md"];

  test.each(pages)("%s", (page) => {
    const text = readFileSync(path.join(ROOT, page), "utf8");
    const shown = [...text.matchAll(SHOWN)];
    expect(shown.length).toBeGreaterThan(0);
    for (const [, file = "", , code] of shown) expect(code).toBe(readFileSync(path.join(EXAMPLES, file), "utf8"));
    // No other code that nobody runs.
    expect(text.match(/^```(js|ts|mjs|cjs|javascript|typescript)$/gm) ?? []).toHaveLength(shown.length);
  });

  test("every example is shown", () => {
    const texts = pages.map((page) => readFileSync(path.join(ROOT, page), "utf8")).join("\n");
    const files = readdirSync(EXAMPLES).filter((name) => name !== "tsconfig.json");
    for (const file of files) expect(texts).toContain(`<!-- examples/${file} -->`);
  });
});
