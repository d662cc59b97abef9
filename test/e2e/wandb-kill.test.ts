/**
 * SIGKILL between any two steps of W&B's protocol, 50 times each: no point lost, none doubled, no gap between the lines, and
 * something was sent again.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventFile, scalarEvent, versionEvent, WALL_TIME } from "../support/event-writer.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { faultsOf, NO_FAULTS, pointsIn } from "../wandb/destination.ts";
import { FaultProxy, type FaultRule } from "./support/fault-proxy.ts";
import { readTensorBoard } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

const PROJECT = "kills";
/** All are at the same step when their process is killed. */
const RUNS: readonly string[] = Array.from({ length: 25 }, (_, i) => `run-${i}`);
/** More of them, for a longer look: `WANDB_KILLS=1000`. */
const KILLS = Number(process.env["WANDB_KILLS"] ?? 50);
const POINTS = 15;

/** Neither carried out nor answered, and carried out without an answer: until the process is killed. */
const [BEFORE, AFTER] = [{ kind: "black-hole" }, { kind: "silence" }] as const;
const PLAN: Omit<FaultRule, "fault"> = {
  requests: /graphql$/,
  body: /UpsertBucket[^]*\\"plan\\"|\\"plan\\"[^]*UpsertBucket/,
};
const LINES: Omit<FaultRule, "fault"> = { requests: /file_stream$/, body: /wandb-history/ };
const END: Omit<FaultRule, "fault"> = { requests: /file_stream$/, body: /"complete"/ };

const STEPS: readonly (readonly [what: string, rule: FaultRule])[] = [
  ["before the write-ahead", { fault: BEFORE, ...PLAN }],
  ["after it", { fault: AFTER, ...PLAN }],
  ["before the lines", { fault: BEFORE, ...LINES }],
  ["after the lines", { fault: AFTER, ...LINES }],
  ["after the reply", { fault: BEFORE, ...END }],
];

let workspace: string;
let logdir: string;
let server: WandbServer;
let proxy: FaultProxy;
let points = 0;
/** How many lines came from tracelet, whatever became of them. */
let lines = 0;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-kill-"));
  logdir = path.join(workspace, "runs");
  for (const run of RUNS) {
    mkdirSync(path.join(logdir, run), { recursive: true });
    writeFileSync(fileOf(run), eventFile(versionEvent()));
  }
  server = await WandbServer.start();
  proxy = await FaultProxy.start(server.port);
  proxy.onRequest = (_method, at, body) => {
    if (!at.endsWith("file_stream")) return;
    const { files = {} } = JSON.parse(body.toString()) as { files?: { [name: string]: { content: string[] } } };
    lines += files["wandb-history.jsonl"]?.content.length ?? 0;
  };
});

afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

function fileOf(run: string): string {
  return path.join(logdir, run, "events.out.tfevents.1.host.1.0");
}

/** Of two tags each, which no two runs have the same values of. */
function grow(): void {
  for (const [i, run] of RUNS.entries()) {
    const steps = Array.from({ length: POINTS }, (_, n) => points + n);
    const events = steps.flatMap((step) =>
      ["loss", "acc"].map((tag, n) => scalarEvent(tag, step, step + i / 32 + n / 64, WALL_TIME + 2 * step)),
    );
    appendFileSync(fileOf(run), eventFile(...events));
  }
  points += POINTS;
}

function command(): { readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv } {
  const env = { WANDB_API_KEY: API_KEY, WANDB_BASE_URL: proxy.uri };
  const state = ["--state-dir", path.join(workspace, "state")];
  const to = ["--backend", "wandb", "--wandb-project", PROJECT, "--concurrency", String(RUNS.length)];
  return { args: [logdir, ...to, ...state], env };
}

/** A sync that is killed once all runs are at that step. @returns how many were */
async function killAt(rule: FaultRule): Promise<number> {
  proxy.reset();
  proxy.inject(rule);
  const kill = new AbortController();
  const { args, env } = command();
  let isOver = false;
  const ended = tracelet(["sync", ...args], { kill: kill.signal, env }).finally(() => (isOver = true));
  while (proxy.faults < RUNS.length && !isOver) await sleep(5);
  const held = proxy.faults;
  kill.abort();
  expect((await ended).signal).toBe("SIGKILL");
  proxy.calm();
  return held;
}

test.each(STEPS)("%s", async (_what, rule) => {
  let killed = 0;
  for (let round = 0; killed < KILLS; round++) {
    grow();
    killed += await killAt(rule);
    if (round % 2 === 1) rmSync(path.join(workspace, "state"), { recursive: true, force: true });
  }
  const { args, env } = command();
  expect((await sync(args, env)).code).toBe(0);

  const expected = await readTensorBoard(logdir);
  const runs = server.runs(PROJECT);
  expect(runs.map(({ fields }) => fields.displayName).sort()).toEqual(Object.keys(expected).sort());
  for (const run of runs) {
    const own = expected[run.fields.displayName ?? ""] ?? {};
    const wanted = Object.entries(own).flatMap(([tag, all]) =>
      all.map(([step, ms, value]) => `${tag} ${step} ${Number(ms)} ${Number(value)}`),
    );
    const there = run.rows
      .flatMap(pointsIn)
      .map(({ tag, step, wallTime, value }) => `${tag} ${step} ${wallTime * 1000} ${value}`);
    expect(there.sort()).toEqual(wanted.sort());
    expect(there).toHaveLength(2 * points);
    // After two kills in a row nobody can tell whose lines are there: they are written over, by the same ones.
    expect(faultsOf(run)).toEqual({ ...NO_FAULTS, repeated: expect.any(Number) });
    expect(run.state(Date.now())).toBe("finished");
  }
});

test("something was sent again", () => {
  const kept = server.runs(PROJECT).reduce((sum, run) => sum + run.history.count, 0);
  expect(lines).toBeGreaterThan(kept);
});
