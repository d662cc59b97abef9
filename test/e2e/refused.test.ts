/** What a real MLflow, or a filter before it, refuses: set aside, and all else is there. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventFile, scalarEvent, textEvent, versionEvent } from "../support/event-writer.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { byTag, distinct, OLD_PYTHON, readMlflow, readTensorBoard } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

let workspace: string;
let server: MlflowServer;
let old: MlflowServer;
let proxy: FaultProxy;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-e2e-"));
  [server, old] = await Promise.all([
    MlflowServer.start(path.join(workspace, "new.db")),
    MlflowServer.start(path.join(workspace, "old.db"), { executable: OLD_PYTHON }),
  ]);
  proxy = await FaultProxy.start(server.port);
});

afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
  await old?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** A logdir of one run: `loss`, `acc` and `a:b` at 1500 steps each, a text, and hyperparameters. */
function logdirOf(name: string): string {
  const directory = path.join(workspace, name, "run");
  mkdirSync(directory, { recursive: true });
  const events = Array.from({ length: 1500 }, (_, step) =>
    ["loss", "acc", "a:b"].map((tag) => scalarEvent(tag, step, step / 8, 1.7e9 + step)),
  ).flat();
  const texts = [textEvent("good", 1, "fine"), textEvent("bad", 2, "poison text")];
  writeFileSync(path.join(directory, "events.out.tfevents.1.host"), eventFile(versionEvent(), ...events, ...texts));
  writeFileSync(path.join(directory, "hparams.yaml"), `lr: 0.1\nlong: ${"x".repeat(501)}\n`);
  return path.dirname(directory);
}

/** What TensorBoard reads of the run, without what `isRefused`. */
async function expected(logdir: string, isRefused: (tag: string, step: string) => boolean) {
  const { run = {} } = await readTensorBoard(logdir);
  const tags = Object.entries(run).map(([tag, points]) => {
    return [tag, distinct(points.filter(([step]) => !isRefused(tag, step)))] as const;
  });
  expect(tags).toHaveLength(3);
  return Object.fromEntries(tags.filter(([, points]) => points.length > 0));
}

function setAside(state: string): { kind: string; tag: string; step: number; reason: string }[] {
  const folder = path.join(state, "quarantine");
  return readdirSync(folder)
    .flatMap((name) => readFileSync(path.join(folder, name), "utf8").trim().split("\n"))
    .map((line) => JSON.parse(line) as ReturnType<typeof setAside>[number]);
}

describe("MLflow 2.0", () => {
  test("takes no colon in a name and no param of more than 500 characters", async () => {
    const logdir = logdirOf("old");
    const state = path.join(workspace, "old-state");
    const args = [logdir, "--no-text", "--tracking-uri", old.uri, "--experiment", "e", "--state-dir", state];
    const result = await sync(args);
    expect([result.code, result.outcome]).toEqual([1, "failed"]);
    expect(result.kinds["scalars"]).toMatchObject({ read: 4500, sent: 3000, skipped: { refused: 1500 } });
    const [run] = (await readMlflow(old.uri, "e", OLD_PYTHON)).runs;
    expect(byTag(run as NonNullable<typeof run>)).toEqual(await expected(logdir, (tag) => tag === "a:b"));
    expect(run?.params).toEqual({ lr: "0.1" });
    const lines = setAside(state);
    expect(lines.filter(({ kind }) => kind === "hparams")).toEqual([
      expect.objectContaining({ tag: "long", reason: expect.stringContaining("500") }),
    ]);
    const points = lines.filter(({ kind }) => kind === "scalars");
    expect(new Set(points.map(({ tag, step }) => `${tag} ${step}`)).size).toBe(1500);
    expect(new Set(points.map(({ reason }) => reason))).toEqual(
      new Set([expect.stringContaining("INVALID_PARAMETER_VALUE: Invalid metric name: 'a:b'")]),
    );
    const again = await sync(args);
    expect([again.code, again.runs[0]?.outcome]).toEqual([0, "unchanged"]);
  });
});

describe("a filter before MLflow", () => {
  test("refuses a point and a file: all else is there", async () => {
    const logdir = logdirOf("new");
    const state = path.join(workspace, "new-state");
    const headers = { "content-type": "text/plain" };
    proxy.inject({
      fault: { kind: "answer", answer: { status: 400, headers, body: "request blocked" } },
      body: /"key":"acc","value":0.875,|poison/,
    });
    const result = await sync([logdir, "--tracking-uri", proxy.uri, "--experiment", "e", "--state-dir", state]);
    expect(proxy.faults).toBeGreaterThan(0);
    expect(proxy.requests.length).toBeLessThan(60);
    expect(result.code).toBe(1);
    expect(result.kinds["scalars"]).toMatchObject({ sent: 4499, skipped: { refused: 1 } });
    expect(result.kinds["text"]).toMatchObject({ sent: 1, skipped: { refused: 1 } });
    const [run] = (await readMlflow(server.uri, "e")).runs;
    expect(byTag(run as NonNullable<typeof run>)).toEqual(
      await expected(logdir, (tag, step) => tag === "acc" && step === "7"),
    );
    expect(setAside(state).map(({ kind, tag, step, reason }) => [kind, tag, step, reason])).toEqual([
      ["text", "bad", 2, "HTTP 400: request blocked"],
      ["scalars", "acc", 7, "HTTP 400: request blocked"],
    ]);
  });
});

describe("an HTTP 500 that only what one run holds provokes", () => {
  test("is no outage to a watch: the point is set aside, and all else is there, of the others too", async () => {
    const logdir = logdirOf("watched");
    const fine = path.join(logdir, "fine");
    mkdirSync(fine);
    writeFileSync(path.join(fine, "events.out.tfevents.1.host"), eventFile(versionEvent(), scalarEvent("loss", 1, 1)));
    const state = path.join(workspace, "watched-state");
    proxy.calm();
    const body = JSON.stringify({ error_code: "INTERNAL_ERROR", message: "A string literal cannot contain NUL" });
    proxy.inject({
      fault: { kind: "answer", answer: { status: 500, headers: { "content-type": "application/json" }, body } },
      body: /"key":"acc","value":0.875,/,
    });
    const where = ["--tracking-uri", proxy.uri, "--experiment", "watched", "--state-dir", state];
    const ended = await tracelet(["watch", logdir, "--no-text", "--until-idle", "1s", ...where]);
    expect(ended.code).toBe(1);
    expect(ended.stderr).not.toContain("trying again");
    const { runs } = await readMlflow(server.uri, "watched");
    expect(runs.map(({ name, status }) => [name, status]).sort()).toEqual([
      ["fine", "FINISHED"],
      ["run", "FINISHED"],
    ]);
    const run = runs.find(({ name }) => name === "run");
    expect(byTag(run as NonNullable<typeof run>)).toEqual(
      await expected(logdir, (tag, step) => tag === "acc" && step === "7"),
    );
    expect(setAside(state).map(({ kind, tag, step, reason }) => [kind, tag, step, reason])).toEqual([
      ["scalars", "acc", 7, "HTTP 500 INTERNAL_ERROR: A string literal cannot contain NUL"],
    ]);
  });
});
