/** What is written of values that a destination refuses. */
import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type RefusedValue } from "../../src/sync/backend.ts";
import { QuarantineFiles } from "../../src/sync/state/quarantine.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

function stateDir(): string {
  const folder = temporaryDirectory();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, "state");
}

const VALUE: RefusedValue = {
  kind: "scalars",
  tag: "a:b",
  step: 7n,
  wallTime: 1.5,
  value: 0.25,
  file: "/runs/x/events.tfevents",
  offset: 88,
  reason: "HTTP 400: no",
};

function linesOf(file: string): Record<string, unknown>[] {
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("a line says all that is known of a value, exactly", async () => {
  const quarantine = new QuarantineFiles(stateDir(), "mlflow http://h x");
  const file = await quarantine.add("lr=0.1/é", "id1", [
    VALUE,
    { ...VALUE, step: 2n ** 53n + 1n, value: Number.NaN, wallTime: Infinity },
    { ...VALUE, step: -(2n ** 63n), value: -0 },
    {
      ...VALUE,
      kind: "hparams",
      step: undefined,
      wallTime: undefined,
      value: "3.0",
      file: undefined,
      offset: undefined,
    },
  ]);
  const lines = linesOf(file);
  expect(lines[0]).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    destination: "mlflow http://h x",
    run: "lr=0.1/é",
    remoteId: "id1",
    kind: "scalars",
    tag: "a:b",
    step: 7,
    wallTime: 1.5,
    value: 0.25,
    file: "/runs/x/events.tfevents",
    offset: 88,
    reason: "HTTP 400: no",
  });
  expect(lines[1]).toMatchObject({ step: "9007199254740993", value: "NaN", wallTime: "Infinity" });
  expect(lines[2]).toMatchObject({ step: "-9223372036854775808", value: "-0" });
  expect(lines[3]).toMatchObject({ step: null, wallTime: null, value: "3.0", file: null, offset: null });
  expect(new Set(lines.map(({ id }) => id)).size).toBe(4);
});

test("the file is for its owner only, named after the run, and another run's is another", async () => {
  const state = stateDir();
  const quarantine = new QuarantineFiles(state, "d");
  const files = [
    await quarantine.add("../../a/b", "id1", [VALUE]),
    await quarantine.add("../../a/b", "id2", [VALUE]),
    await quarantine.add("..", "id1", [VALUE]),
    await new QuarantineFiles(state, "e").add("../../a/b", "id1", [VALUE]),
    await quarantine.add("x".repeat(5000), "id1", [VALUE]),
  ];
  expect(readdirSync(path.join(state, "quarantine")).sort()).toEqual(files.map((file) => path.basename(file)).sort());
  expect(new Set(files).size).toBe(5);
  for (const file of files) {
    expect(path.basename(file)).toMatch(/^[A-Za-z0-9_-]+-[0-9a-f]{8}\.jsonl$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  }
  expect(statSync(path.join(state, "quarantine")).mode & 0o777).toBe(0o700);
});

test("a value that was written twice is told by its id, also if its reason has changed", async () => {
  const quarantine = new QuarantineFiles(stateDir(), "d");
  await quarantine.add("run", "id", [VALUE]);
  const file = await quarantine.add("run", "id", [
    { ...VALUE, reason: "HTTP 413" },
    { ...VALUE, offset: 99 },
  ]);
  expect(new Set(linesOf(file).map(({ id }) => id)).size).toBe(2);
});

test("a line that a crash has cut off does not spoil the next", async () => {
  const state = stateDir();
  const file = await new QuarantineFiles(state, "d").add("run", "id", [VALUE]);
  appendFileSync(file, '{"id":"ab');
  const next = new QuarantineFiles(state, "d");
  await next.add("run", "id", [VALUE]);
  // What is refused again and again is written once.
  await next.add("run", "id", [VALUE]);
  const lines = readFileSync(file, "utf8").split("\n");
  expect([lines[1], lines.length]).toEqual(['{"id":"ab', 4]);
  expect(JSON.parse(lines[2] as string)).toMatchObject({ tag: "a:b" });
});

test("a directory that cannot be written is an error of the state", async () => {
  const state = stateDir();
  writeFileSync(state, "");
  await expect(new QuarantineFiles(state, "d").add("run", "id", [VALUE])).rejects.toMatchObject({ code: "state" });
});
