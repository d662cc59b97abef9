/**
 * What W&B's own TensorBoard sync makes of a logdir, and what tracelet does. W&B's is shown to be whole by what TensorBoard
 * reads, but for what it is known to leave out; tracelet's has all that W&B's has, but for the differences of a table, and
 * all that TensorBoard reads.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRow } from "../support/wandb-server/extended-json.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { type Point, readImages, readTensorBoard } from "./support/python.ts";
import { WandbClient } from "./support/wandb-client.ts";
import { toWandb } from "./support/wandb-destination.ts";
import { DIFFERENCES, REASONS } from "./support/wandb-differences.ts";
import {
  differences,
  foldedPointsOf,
  syncOfficially,
  type TwinDifference,
  type TwinPoint,
  type TwinPoints,
} from "./support/wandb-twin.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
/** What cannot be compared. */
const WITHOUT = [
  // TensorBoard's own reader fails on them.
  ...["dtypes", "odd"],
  // The file that macOS puts beside another comes first, and is no event file: W&B's sync reads nothing.
  "copies-and-backups",
];
/** Scalars of types that W&B's sync does not know: it has float32, float64, int32 and int64 alone. */
const UNREAD = ["write/uint8", "write/float16", "write/bfloat16", "write/bool"];
const names = readdirSync(FIXTURES).filter((name) => existsSync(path.join(FIXTURES, name, "runs")));

let workspace: string;
let server: WandbServer;
let client: WandbClient;
/** Of all fixtures at once: it is the start of Python that takes its time. */
let theirs: { readonly [directory: string]: TwinPoints };
/** What W&B's sync would have made of the rows that tracelet sent. */
let ours: { readonly [directory: string]: TwinPoints };

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-twin-"));
  server = await WandbServer.start();
  client = new WandbClient(server.uri, path.join(workspace, "client"));
  theirs = await syncOfficially(client, server, { logdir: FIXTURES, project: "fixtures" });
  // A run a directory, as W&B's sync has them here.
  const options = ["--group", "none", "--state-dir", path.join(workspace, "state"), "--quiet"];
  const { code, stderr } = await toWandb(server, [
    ...["sync", FIXTURES, "--backend", "wandb", "--wandb-project", "tracelet", ...options],
  ]);
  // Some fixtures are damaged.
  if (code !== 3) throw new Error(`tracelet sync ended with ${code}: ${stderr}`);
  ours = Object.fromEntries(server.runs("tracelet").map((run) => [run.fields.displayName, foldedPointsOf(run)]));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** Numbers as `[step, ms, value]`. A float's shortest text is another double, but the same float. */
function numbers(points: readonly TwinPoint[] | undefined): [string, number, number][] {
  return (points ?? []).flatMap(({ step, time, value }) =>
    typeof value === "number" ? [[step, Math.floor(time * 1000), Math.fround(value)]] : [],
  );
}

/** The same of TensorBoard's, whose reader here gives no infinities. */
function truth(points: readonly Point[]): [string, number, number][] {
  return points.map(([step, ms, value]) => {
    const number = Number(value);
    return [step, Number(ms), Math.abs(number) === Number.MAX_VALUE ? number * 2 : Math.fround(number)];
  });
}

/** Without the times, as texts. */
function steps(points: readonly (readonly [string, number, number])[]): string[] {
  return points.map(([step, , value]) => `${step}: ${value}`);
}

function lastOfSteps<T extends readonly [string, number, number]>(points: readonly T[]): T[] {
  return points.filter(([step], index) => step !== points[index + 1]?.[0]);
}

describe("W&B's own sync", () => {
  test.each(names.filter((name) => !WITHOUT.includes(name)))("has what TensorBoard reads of %s", async (fixture) => {
    for (const [run, tags] of Object.entries(await readTensorBoard(path.join(FIXTURES, fixture, "runs")))) {
      const points = theirs[path.join(fixture, "runs", run)] ?? {};
      for (const [tag, read] of Object.entries(tags)) {
        const expected = truth(read);
        const found = numbers(points[tag]);
        if (UNREAD.includes(tag)) {
          expect([fixture, found]).toEqual(["tf2", []]);
          continue;
        }
        // Of events of a step that follow each other, only the last of a tag's values may be left …
        expect(steps(found)).toEqual(expect.arrayContaining(steps(lastOfSteps(expected))));
        const left = steps(found).values();
        let next = left.next();
        for (const point of steps(expected)) if (point === next.value) next = left.next();
        expect(next).toMatchObject({ done: true });
        // … and all of them have the last one's time.
        if (Object.keys(points).length === 1) expect(found).toEqual(expected);
      }
    }
  });

  test.each(["example", "tensorboardx", "tf1", "tf2", "torch"])(
    "has the bytes of the images of %s",
    async (fixture) => {
      const read = await readImages(path.join(FIXTURES, fixture, "runs"));
      for (const [run, tags] of Object.entries(read)) {
        for (const [tag, images] of Object.entries(tags)) {
          const found = (theirs[path.join(fixture, "runs", run)]?.[tag] ?? []).map(({ step, value }) => {
            return [Number(step), isRow(value) ? value["files"] : value];
          });
          // A value without images is left out.
          const some = images.filter(([, all]) => all.length > 0);
          const expected = some.map(([step, all]) => [step, all.map(({ sha256 }) => sha256)]);
          expect([run, tag, found]).toEqual([run, tag, expected]);
        }
      }
      expect(Object.keys(read)).not.toEqual([]);
    },
  );

  test("loses values of a tag that is written again at a step, as Lightning does with epochs", async () => {
    const run = "lightning_logs/version_0";
    const epochs = truth((await readTensorBoard(path.join(FIXTURES, "lightning/runs")))[run]?.["epoch"] ?? []);
    const found = numbers(theirs[`lightning/runs/${run}`]?.["epoch"]);
    expect(steps(found)).toEqual(steps(lastOfSteps(epochs)));
    expect(found.length).toBeLessThan(epochs.length);
  });

  test("has the values of directories below a directory twice", async () => {
    const logdir = path.join(FIXTURES, "optuna-callback/runs");
    const whole = await syncOfficially(client, server, { logdir, project: "whole", whole: true });
    const { ".": top = {}, ...below } = whole;
    expect(theirs["optuna-callback/runs"]).toEqual({});
    const twice = Object.values(below).flatMap((run) => steps(numbers(run["f1"])));
    expect(twice).toHaveLength(3);
    expect(steps(numbers(top["f1"]))).toEqual(twice);
  });
});

/** Whether a value is the same, but for the text of a float, and for what media are called and said to be. */
function isSameValue(theirs: TwinPoint["value"], ours: TwinPoint["value"]): boolean {
  if (typeof theirs === "number") return Math.fround(theirs) === ours;
  if (!isRow(theirs) || !isRow(ours) || theirs["files"] === undefined) return false;
  return JSON.stringify(theirs["files"]) === JSON.stringify(ours["files"]);
}

/** How many there are of each, as the table has them: `missing`, `extra`, `value` or `time`, and the key. */
function counted(found: readonly TwinDifference[]): { [difference: string]: number } {
  const counts: { [difference: string]: number } = {};
  for (const { what, key, theirs, ours } of found) {
    const isSame = what === "value" && theirs && ours && isSameValue(theirs.value, ours.value);
    if (isSame && Object.is(theirs.time, ours.time)) continue;
    const name = `${isSame ? "time" : what} ${key}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe("tracelet", () => {
  test("has the runs that W&B's sync has", () => {
    expect(
      Object.keys(theirs).filter(
        (directory) => !(directory in ours) && Object.keys(theirs[directory] ?? {}).length > 0,
      ),
    ).toEqual([]);
  });

  test.each(names)("has all that W&B's sync has of %s, but for the differences of the table", (fixture) => {
    const directories = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])];
    for (const directory of directories.filter((each) => each.startsWith(`${fixture}/runs`))) {
      const known = Object.values(DIFFERENCES[directory] ?? {}).map((each) => ({ ...each }));
      const found = counted(differences(theirs[directory] ?? {}, ours[directory] ?? {}));
      expect([directory, found]).toEqual([directory, Object.assign({}, ...known)]);
    }
  });

  test("the table has fixtures that are there, and reasons that docs/wandb.md gives", () => {
    const directories = Object.keys(DIFFERENCES).filter((directory) => !existsSync(path.join(FIXTURES, directory)));
    expect(directories).toEqual([]);
    const docs = readFileSync(path.resolve(import.meta.dirname, "../../docs/wandb.md"), "utf8");
    const rows = docs.split("\n").map((line) => line.split("|")[1]?.trim());
    for (const row of Object.values(REASONS)) expect(rows).toContain(row);
  });

  test("verify finds all that was sent, and nothing else", async () => {
    const { code, stdout, stderr } = await toWandb(server, [
      ...["verify", FIXTURES, "--backend", "wandb", "--wandb-project", "tracelet", "--group", "none", "--json"],
    ]);
    const { outcome, counts } = JSON.parse(stdout) as { outcome: string; counts: { points: { compared: number } } };
    expect([code, outcome, stderr]).toEqual([0, "equal", expect.any(String)]);
    expect(counts.points.compared).toBeGreaterThan(5_000);
  });

  test("gives W&B's scan_history what TensorBoard reads of each fixture, value for value", async () => {
    const read = (await client.script("scan_history", ["tracelet"])) as {
      readonly [run: string]: {
        readonly [key: string]: readonly [step: number | bigint, time: number, value: number][];
      };
    };
    for (const fixture of names.filter((name) => !["dtypes", "odd"].includes(name))) {
      for (const [run, tags] of Object.entries(await readTensorBoard(path.join(FIXTURES, fixture, "runs")))) {
        const found = read[path.join(fixture, "runs", run)] ?? {};
        for (const [tag, points] of Object.entries(tags)) {
          const obsolete = DIFFERENCES[path.join(fixture, "runs", run)]?.obsolete?.[`missing ${tag}`] ?? 0;
          const sorted = [...(found[tag] ?? [])].sort(([a, b], [c, d]) => Number(a) - Number(c) || b - d);
          const values = sorted.map(([step, , value]) => `${step} ${value}`);
          const left = new Set(values);
          const expected = points
            .map(([step, ms, value]): [string, number, number] => [step, Number(ms), infinite(Number(value))])
            .sort(([a, b], [c, d]) => Number(a) - Number(c) || b - d)
            .filter(([step, , value]) => obsolete === 0 || left.has(`${step} ${value}`));
          expect([fixture, run, tag, points.length - expected.length]).toEqual([fixture, run, tag, obsolete]);
          expect([fixture, run, tag, values]).toEqual([
            ...[fixture, run, tag],
            expected.map(([step, , value]) => `${step} ${value}`),
          ]);
          // A row has the time of its last value, at most a second later.
          const late = sorted.map(([, time], i) => Math.floor(time * 1000) - (expected[i]?.[1] ?? 0));
          expect(late.filter((ms) => ms < 0 || ms > 1000)).toEqual([]);
        }
      }
    }
  });
});

/** TensorBoard's reader here gives no infinities. */
function infinite(value: number): number {
  return Math.abs(value) === Number.MAX_VALUE ? value * 2 : value;
}

test("differences are found point by point, k-th with k-th of a step", () => {
  const point = (step: number, value: TwinPoint["value"], time = step): TwinPoint => ({
    step: String(step),
    time,
    value,
  });
  const theirs: TwinPoints = {
    same: [point(1, Number.NaN), point(2, { _type: "histogram", values: [1], bins: [0, 1] })],
    repeated: [point(1, 1), point(1, 2), point(1, 3)],
    times: [point(1, 5, 1)],
    missing: [point(7, 7)],
    // What every object has.
    constructor: [point(1, 1)],
  };
  const ours: TwinPoints = {
    same: [point(1, Number.NaN), point(2, { bins: [0, 1], values: [1], _type: "histogram" })],
    repeated: [point(1, 1), point(1, 9), point(1, 3), point(1, 4)],
    times: [point(1, 5, 1.5)],
    constructor: [point(1, 1)],
  };
  expect(differences(theirs, theirs)).toEqual([]);
  expect(differences(theirs, ours).map(({ what, key, step }) => [what, key, step])).toEqual([
    ["value", "repeated", "1"],
    ["time", "times", "1"],
    ["missing", "missing", "7"],
    ["extra", "repeated", "1"],
  ]);
});
