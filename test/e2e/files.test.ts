/** `--backend jsonl`, `csv` and `parquet`: what the built command writes, read back by Python. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { eventFile, scalarEvent, versionEvent, WALL_TIME } from "../support/event-writer.ts";
import { cases, comparable, type ExpectedTag, type Json, stepText, wallText } from "../support/expected.ts";
import { killOften } from "./support/kill-often.ts";
import { type LinePoint, readFilesOf, readTensorBoard } from "./support/python.ts";
import { tracelet } from "./support/tracelet.ts";
import { Watch } from "./support/watch.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const KILLS = 10;
const POINTS = 120_000;

let workspace: string;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-files-"));
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

describe("all fixtures", () => {
  /** Kinds whose values `expected.json` has in the same form. */
  const COMPARED = new Set(["scalar", "histograms", "text", "images", "audio", "graphs"]);
  /** See `DIFFERENT` and `RENAMED` of test/reader/corpus.test.ts. */
  const DIFFERENT = new Set([
    "odd/values/kind changes",
    "odd/values/plugin changes",
    "tf2/train/snd",
    "08-tf2-style/train/snd",
  ]);
  /** What is unreadable by us, and something without a value for TensorBoard: it is left out, and counted. */
  const UNREADABLE = new Set(["odd/values/image/tensor without size", "odd/values/hparams without data"]);
  const RENAMED: Readonly<Record<string, string>> = { "odd/tags/node/name": "" };

  /** As text, without values that nobody can decode or that say nothing: those are not written. */
  const expectedOf = ({ points }: ExpectedTag): string[] =>
    points.flatMap(([step, wall, value]) => {
      const json = comparable(value);
      if (isNothing(json)) return [];
      return [`${stepText(step)} ${wallText(wall)} ${JSON.stringify(json)}`];
    });
  const isNothing = (json: Json) => typeof json === "object" && json !== null && "nothing" in json;
  const pointOf = ([, step, wall, value]: LinePoint) => `${stepText(step)} ${wallText(wall)} ${JSON.stringify(value)}`;
  const withoutValue = (point: string) => point.split(" ", 2).join(" ");

  const formats = (["jsonl", "parquet"] as const).flatMap((backend) => cases().map((each) => ({ backend, ...each })));
  test.each(formats)("$name as $backend", async ({ backend, name, logdir, runs, resync }) => {
    const out = path.join(workspace, "fixtures", backend, name);
    const args = ["--group", "none", "--restarts", "keep", "--backend", backend, "--output", out];
    const { code, stderr } = await tracelet(["sync", logdir, ...args, "--state-dir", path.join(workspace, "state")]);
    expect([0, 3], stderr).toContain(code);
    const found = await readFilesOf(backend, out);
    for (const [run, { tags }] of Object.entries(runs)) {
      const title = run === "." ? path.basename(logdir) : run;
      const there = new Map<string, LinePoint[]>();
      for (const [tag, points] of Object.entries(found[title] ?? {})) {
        const shown = RENAMED[`${name}/${run}/${tag}`] ?? tag;
        there.set(shown, [...(there.get(shown) ?? []), ...points]);
      }
      for (const [tag, expected] of Object.entries(resync[run] ?? tags)) {
        const points = there.get(tag) ?? [];
        const isSame = points.every(([kind]) => COMPARED.has(kind)) && !DIFFERENT.has(`${name}/${run}/${tag}`);
        const of = (all: string[]) => (isSame ? all : all.map(withoutValue));
        if (UNREADABLE.has(`${name}/${run}/${tag}`) || points.some(([kind]) => kind === "tensors")) continue;
        expect([run, tag, of(points.map(pointOf))]).toEqual([run, tag, of(expectedOf(expected))]);
      }
    }
  });
});

/** All lines that are values, sorted. */
function values(out: string): string[] {
  return readdirSync(out, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) =>
      readFileSync(path.join(out, name), "utf8")
        .split("\n")
        .map((line) => `${name} ${line}`),
    )
    .filter((line) => line.includes('"kind":"scalar"'))
    .sort();
}

test.each(["jsonl", "csv", "parquet"] as const)(
  "%s, with SIGKILL at random moments: each point is there, once",
  async (backend) => {
    const logdir = path.join(workspace, `killed-runs-${backend}`);
    const generate = path.join(ROOT, "bench/generate.mjs");
    execFileSync(process.execPath, [generate, logdir, "6", String(POINTS / 6), "5"]);
    const to = (name: string) => {
      const out = path.join(workspace, name);
      return { out, args: [logdir, "--backend", backend, "--output", out, "--state-dir", `${out}-state`] };
    };
    const killed = to(`killed-${backend}`);
    const size = () => {
      try {
        const files = readdirSync(killed.out, { recursive: true, encoding: "utf8" });
        return files.reduce((sum, file) => sum + statSync(path.join(killed.out, file)).size, 0);
      } catch {
        return 0;
      }
    };
    let changes = 0;
    let last = -1;
    const progress = () => {
      const now = size();
      if (now !== last) changes++;
      last = now;
      return changes;
    };
    const kills = await killOften([...killed.args, "--concurrency", "2"], KILLS, progress);
    expect(kills).toBeGreaterThan(3);
    expect((await tracelet(["sync", ...killed.args])).code).toBe(0);
    expect((await tracelet(["verify", logdir, "--backend", backend, "--output", killed.out])).code).toBe(0);
    // TensorBoard's own reader knows how many there are, at which steps and of which values.
    const expected = await readTensorBoard(logdir);
    const found = await readFilesOf(backend, killed.out);
    let points = 0;
    for (const [run, tags] of Object.entries(expected)) {
      for (const [tag, all] of Object.entries(tags)) {
        const sent = (found[run]?.[tag] ?? []).map(([, step, , value]) => `${step} ${Number(value)}`).sort();
        expect(sent).toEqual(all.map(([step, , value]) => `${step} ${Number(value)}`).sort());
        points += sent.length;
      }
    }
    expect(points).toBe(POINTS);
  },
);

test("a watch follows runs that grow, is killed, and goes on", async () => {
  const logdir = path.join(workspace, "growing");
  const out = path.join(workspace, "grown");
  const file = path.join(logdir, "train", "events.out.tfevents.1.host.1.0");
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, eventFile(versionEvent()));
  let step = 0;
  const grow = () => {
    const events = Array.from({ length: 50 }, () => scalarEvent("loss", step, step++ / 4, WALL_TIME + step));
    appendFileSync(file, eventFile(...events));
  };
  const args = [
    logdir,
    "--backend",
    "jsonl",
    "--output",
    out,
    "--state-dir",
    `${out}-state`,
    "--flush-interval",
    "50ms",
  ];
  const arrived = (number: number) =>
    vi.waitFor(() => expect(values(out)).toHaveLength(number), { timeout: 120_000, interval: 100 });
  grow();
  const first = new Watch(args);
  await arrived(50);
  grow();
  await arrived(100);
  grow();
  await first.kill();
  grow();
  const second = new Watch(args);
  await arrived(200);
  grow();
  expect(await second.stop()).toBe(143);
  const found = await readFilesOf("jsonl", out);
  expect(found["train"]?.["loss"]?.map(([, at]) => at)).toEqual(Array.from({ length: 250 }, (_, i) => i));
});

test("a disk that is full is an error of the run, and the rest follows once there is room", async () => {
  const logdir = path.join(workspace, "full-runs");
  const generate = path.join(ROOT, "bench/generate.mjs");
  execFileSync(process.execPath, [generate, logdir, "1", "120000", "5"]);
  const out = path.join(workspace, "full");
  const args = [logdir, "--backend", "jsonl", "--output", out, "--state-dir", `${out}-state`];
  // A process may be given a limit as small as any disk: it is told the same way, by a write that fails.
  const limited = `ulimit -f 7000; trap '' XFSZ; exec "$@"`;
  const main = path.join(ROOT, "dist/cli/main.js");
  const run = () =>
    execFileSync("bash", ["-c", limited, "bash", process.execPath, main, "sync", ...args], { stdio: "pipe" });
  expect(run).toThrow(/cannot write .*EFBIG/);
  const before = values(out).length;
  expect(before).toBeGreaterThan(0);
  expect(before).toBeLessThan(120_000);
  expect((await tracelet(["sync", ...args])).code).toBe(0);
  expect(values(out)).toHaveLength(120_000);
});
