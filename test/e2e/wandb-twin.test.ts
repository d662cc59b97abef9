/**
 * What W&B's own TensorBoard sync makes of a logdir, as the twin of what tracelet does: shown to be whole by what
 * TensorBoard reads, but for what W&B's sync is known to leave out.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WandbServer } from "../support/wandb-server/server.ts";
import { type Point, readTensorBoard } from "./support/python.ts";
import { WandbClient } from "./support/wandb-client.ts";
import { differences, syncOfficially, type TwinPoint, type TwinPoints } from "./support/wandb-twin.ts";

let workspace: string;
let server: WandbServer;
let client: WandbClient;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-twin-"));
  server = await WandbServer.start();
  client = new WandbClient(server.uri, path.join(workspace, "client"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

function logdirOf(fixture: string): string {
  return path.resolve(import.meta.dirname, "../../fixtures", fixture, "runs");
}

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

function withoutTimes(points: readonly (readonly [string, number, number])[]): [string, number][] {
  return points.map(([step, , value]) => [step, value]);
}

// They wait most of the time.
describe.concurrent("W&B's own sync", () => {
  test.each(["torch", "tensorboardx", "torch-restart", "glob-of-event-files"])(
    "has what TensorBoard reads of %s",
    async (fixture) => {
      const logdir = logdirOf(fixture);
      const theirs = await syncOfficially(client, server, { logdir, project: fixture });
      let compared = 0;
      for (const [run, tags] of Object.entries(await readTensorBoard(logdir))) {
        for (const [tag, points] of Object.entries(tags)) {
          const expected = truth(points);
          const found = numbers(theirs[run]?.[tag]);
          expect(withoutTimes(found)).toEqual(withoutTimes(expected));
          // Events of a step that follow each other share a row, and the last one's time.
          if (Object.keys(theirs[run] ?? {}).length === 1) expect(found).toEqual(expected);
          compared += found.length;
        }
      }
      expect(compared).toBeGreaterThan(10);
    },
  );

  test("keeps only the last of a tag's values where events of a step follow each other", async () => {
    const logdir = logdirOf("lightning");
    const theirs = await syncOfficially(client, server, { logdir, project: "lightning" });
    const run = "lightning_logs/version_0";
    const epochs = truth((await readTensorBoard(logdir))[run]?.["epoch"] ?? []);
    const last = epochs.filter(([step], index) => step !== epochs[index + 1]?.[0]);
    expect(last.length).toBeLessThan(epochs.length);
    const found = numbers(theirs[run]?.["epoch"]);
    expect(withoutTimes(found)).toEqual(withoutTimes(last));
  });

  test("has the values of directories below a directory twice", async () => {
    const logdir = logdirOf("optuna-callback");
    const alone = await syncOfficially(client, server, { logdir, project: "alone" });
    const whole = await syncOfficially(client, server, { logdir, project: "whole", whole: true });
    expect(Object.keys(whole)).toEqual(Object.keys(alone));
    const { ".": top = {}, ...below } = whole;
    expect(alone["."]).toEqual({});
    const twice = Object.values(below).flatMap((run) => numbers(run["f1"]));
    expect(withoutTimes(numbers(top["f1"]))).toEqual(withoutTimes(twice));
  });
});

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
