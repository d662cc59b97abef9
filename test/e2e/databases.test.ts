/** What one database takes and another does not: the same runs on SQLite, PostgreSQL, MariaDB, and MariaDB in latin1. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventFile, scalarEvent, versionEvent } from "../support/event-writer.ts";
import { MariaDb, mariaDbIsMissing } from "./support/mariadb.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { PostgreSql, postgreSqlIsMissing } from "./support/postgresql.ts";
import { type MlflowRun, type Point, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

interface Kind {
  readonly name: string;
  /** Whether it takes any text, or no more than Western letters. */
  readonly unicode: boolean;
  /** Whether names are one to it that differ in case, accents or spaces at their end. */
  readonly folds: boolean;
  readonly isMissing?: boolean;
}

const KINDS: readonly Kind[] = [
  { name: "SQLite", unicode: true, folds: false },
  { name: "PostgreSQL", unicode: true, folds: false, isMissing: postgreSqlIsMissing },
  { name: "MariaDB", unicode: true, folds: true, isMissing: mariaDbIsMissing },
  { name: "MariaDB in latin1", unicode: false, folds: true, isMissing: mariaDbIsMissing },
];

/** Each is told from the others by its values, whatever its key: that of the i-th tag begins with 1000 i. */
const TAGS = [
  "loss",
  "Loss",
  "LOSS",
  "acc",
  "acc ",
  "café",
  "cafe",
  "nul\0tag",
  "esc\x1b[31m",
  "c1\x9b31m",
  "happy 🙂",
  "100%",
];
/** Tags with letters that are not in latin1 and that MLflow takes in a key. */
const FOREIGN = ["損失", "sad 🙁 日本"];
const STEPS = [0n, 1n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n];
/** Longer than runs.name, as a path of directories. */
const LONG = ["a", "b", "c"].map((letter) => letter.repeat(100)).join("/");

let workspace: string;
let logdir: string;
let truth: Awaited<ReturnType<typeof readTensorBoard>>;
let postgreSql: PostgreSql | undefined;
let mariaDb: MariaDb | undefined;
const servers = new Map<string, MlflowServer>();

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-e2e-"));
  logdir = path.join(workspace, "logs");
  const numbered = [...TAGS, ...FOREIGN].flatMap((tag, i) =>
    STEPS.map((step, j) => scalarEvent(tag, step, 1000 * i + j, 1.7e9 + j)),
  );
  const extreme = [Number.NaN, Infinity, -Infinity, 3e38, 1e-45].map((value, step) =>
    scalarEvent("extreme", step, value),
  );
  write("names", ...numbered);
  write("values", ...extreme);
  write("run 🙂 \x1b[31m日本", scalarEvent("loss", 1, 1));
  write(LONG, scalarEvent("loss", 1, 2));
  const hparams = ["lr: 0.1", "LR: 0.2", "café: au lait", "cafe: noir", 'nul: "a\\0b"', "lines: |", "  a", "  b"];
  writeFileSync(path.join(logdir, "names/hparams.yaml"), `${hparams.join("\n")}\n`);
  truth = await readTensorBoard(logdir);
  if (!postgreSqlIsMissing) postgreSql = await PostgreSql.start({ durable: false });
  if (!mariaDbIsMissing) {
    // As MySQL's and Debian's defaults are, but for the length of keys.
    const unicode = "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";
    mariaDb = await MariaDb.start({ unicode, latin: "CHARACTER SET latin1 COLLATE latin1_swedish_ci" });
  }
  // The connection on which MLflow made its first experiment has no sql_mode from then on, and stores `?` for a letter that
  // it does not have; so none is used twice.
  const env = { MLFLOW_SQLALCHEMYSTORE_POOLCLASS: "NullPool" };
  const stores = [undefined, postgreSql?.uri, mariaDb?.uri("unicode"), mariaDb?.uri("latin")];
  for (const [i, { name, isMissing }] of KINDS.entries()) {
    const store = stores[i];
    if (isMissing) continue;
    const folder = path.join(workspace, `server-${i}`);
    servers.set(name, await MlflowServer.start(path.join(folder, "mlflow.db"), { env, ...(store && { store }) }));
  }
});

afterAll(async () => {
  for (const server of servers.values()) await server.stop();
  await postgreSql?.stop();
  await mariaDb?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

function write(run: string, ...events: Uint8Array[]): void {
  mkdirSync(path.join(logdir, run), { recursive: true });
  writeFileSync(path.join(logdir, run, "events.out.tfevents.1.host"), eventFile(versionEvent(), ...events));
}

/** All points of a run, whatever their keys. */
function allPoints(metrics: { readonly [key: string]: readonly Point[] }): string[] {
  return Object.values(metrics)
    .flat()
    .map((point) => point.join(" "))
    .sort();
}

function setAside(state: string): string[] {
  const folder = path.join(state, "quarantine");
  return readdirSync(folder)
    .flatMap((name) => readFileSync(path.join(folder, name), "utf8").trim().split("\n"))
    .map((line) => {
      const { kind, tag } = JSON.parse(line) as { kind: string; tag: string };
      return `${kind} ${tag}`;
    });
}

/** The run with a note that names it so; its own name may be another. */
function runOf(runs: readonly MlflowRun[], beginning: string): MlflowRun {
  const found = runs.filter(({ name }) => name.startsWith(beginning));
  expect(found).toHaveLength(1);
  return found[0] as MlflowRun;
}

describe.each(KINDS)("$name", ({ name, unicode, isMissing }) => {
  // Where this is built for others to rely on, what is missing is a failure.
  const check = test.skipIf(isMissing === true && process.env["CI"] !== "true");

  check("takes every point of names that it does not like, each under a key of its own, once", async () => {
    const server = servers.get(name);
    if (server === undefined) throw new Error(`there is no ${name} here`);
    const state = path.join(workspace, `state-${name}`);
    const args = [logdir, "--tracking-uri", server.uri, "--experiment", "e"];
    const result = await sync([...args, "--state-dir", state]);
    const { runs } = await readMlflow(server.uri, "e");
    expect(runs).toHaveLength(4);
    const tags = unicode ? [...TAGS, ...FOREIGN] : TAGS;
    const expected = allPoints(Object.fromEntries(tags.map((tag) => [tag, truth["names"]?.[tag] ?? []])));
    expect(expected).toHaveLength(tags.length * STEPS.length);
    const names = runOf(runs, "names");
    expect(allPoints(names.metrics)).toEqual(expected);
    // No two tags share a key.
    for (const points of Object.values(names.metrics)) {
      expect(new Set(points.map(([, , value]) => Math.floor(Number(value) / 1000))).size).toBe(1);
    }
    const params = Object.entries(names.params).map(([key, value]) => `${key.replace(/-[0-9a-f]{8}$/, "")}: ${value}`);
    expect(params.sort()).toEqual(
      ["LR: 0.2", "cafe: noir", "café: au lait", "lines: a\nb\n", "lr: 0.1", "nul: a\\x00b"].sort(),
    );
    expect(allPoints(runOf(runs, "values").metrics)).toEqual(allPoints(truth["values"] ?? {}));
    expect(runOf(runs, unicode ? "run 🙂 \\x1b[31m日本" : "run ? \\x1b[31m??").metrics["loss"]).toHaveLength(1);
    const long = runOf(runs, "aaa");
    expect(long.name).toMatch(/^a{100}\/b{100}\/c+\.\.\.-[0-9a-f]{8}$/);
    expect(long.name).toHaveLength(250);
    expect(long.tags["mlflow.note.content"]).toContain(LONG);
    expect(JSON.stringify(runs.map(({ name, params, tags }) => [name, params, tags]))).not.toMatch(
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for.
      /[\x00-\x09\x0b-\x1f\x7f-\x9f]|\\u00[01]|\\[btrf]/,
    );
    if (unicode) expect([result.code, result.outcome]).toEqual([0, "ok"]);
    else {
      expect([result.code, result.outcome]).toEqual([1, "failed"]);
      expect(new Set(setAside(state))).toEqual(new Set(FOREIGN.map((tag) => `scalars ${tag}`)));
      expect(result.kinds["scalars"]).toMatchObject({
        skipped: { refused: FOREIGN.length * STEPS.length },
      });
    }
    expect(JSON.stringify(result)).not.toMatch(/INSERT INTO|SELECT|sqlalche/);
    // Another machine finds the same names again, and what it compares is equal.
    await sync([...args, "--state-dir", `${state}-other`]);
    const again = await readMlflow(server.uri, "e");
    const content = (all: readonly MlflowRun[]) =>
      all.map(({ id, name, params, metrics }) => ({ id, name, params, metrics }));
    expect(content(again.runs)).toEqual(content(runs));
    const verified = await tracelet(["verify", ...args]);
    if (unicode) expect([verified.code, verified.stderr]).toEqual([0, expect.stringContaining("4 runs: 4 equal")]);
    else {
      const counts = /^ *(?:points|params|tags) +\d+ +\d+ +\d+ +\d+/gm;
      const found = Array.from(verified.stderr.matchAll(counts), ([line]) => line.trim().split(/ +/));
      expect([verified.code, ...found]).toEqual([
        1,
        ["points", "77", String(FOREIGN.length * STEPS.length), "0", "0"],
        ["params", "6", "0", "0", "0"],
        // Whose the key of "sad 🙁 日本" would be.
        ["tags", "12", "1", "0", "0"],
      ]);
    }
  });

  check("takes an experiment's name that is longer than its column", async () => {
    const server = servers.get(name);
    if (server === undefined) throw new Error(`there is no ${name} here`);
    const experiment = `long ${"é".repeat(300)}`;
    const one = path.join(logdir, "values");
    const state = path.join(workspace, `state-${name}-long`);
    const args = [one, "--tracking-uri", server.uri, "--experiment", experiment, "--state-dir", state];
    const result = await sync(args);
    expect(result.code).toBe(0);
    const again = await sync(args);
    expect([again.code, again.runs[0]?.outcome]).toEqual([0, "unchanged"]);
  });
});
