/** `watch --track-system` as a user types it, into a database, and what verify and forget make of recordings. */
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { EVENT_FILE } from "../support/logdirs.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { Machine } from "./tracelet.ts";

/** A training in Node: writes a run, and goes on with it until it has a sample. */
const TRAINING = `
const { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } = require("node:fs");
const recorded = process.argv[1];
mkdirSync("runs/a");
appendFileSync("runs/a/${EVENT_FILE}", readFileSync("first"));
const end = Date.now() + 60000;
const isRecorded = () => existsSync(recorded) && readdirSync(recorded, { recursive: true }).some((name) => name.endsWith(".system.tracelet"));
const wait = setInterval(() => {
  appendFileSync("runs/a/${EVENT_FILE}", readFileSync("more"));
  if (!isRecorded() && Date.now() < end) return;
  clearInterval(wait);
}, 100);
`;

async function trained(): Promise<Machine> {
  const machine = Machine.create();
  writeFileSync(path.join(machine.root, "first"), fileOf(curve("loss", 0, 3)));
  writeFileSync(path.join(machine.root, "more"), records(curve("loss", 3, 4)));
  const training = ["--", process.execPath, "-e", TRAINING, path.join(machine.state, "recorded")];
  const end = await machine.run("watch", "runs", "--track-system", "--metrics-interval", "0.1s", ...training);
  expect([end.code, end.stderr]).toEqual([0, end.stderr]);
  return machine;
}

/** How many points of system metrics the database holds. */
function samples(machine: Machine): number {
  const query = "SELECT count(*) AS n FROM metrics WHERE key LIKE 'system/%'";
  return Number(machine.look((database) => database.prepare(query).get()?.["n"]));
}

test("what was recorded is sent by the end, compared while it is here, and forgotten with its run", async () => {
  const machine = await trained();
  const sent = samples(machine);
  expect(sent).toBeGreaterThan(5);
  expect((await machine.run("verify", "runs")).code).toBe(0);
  const again = await machine.sync();
  expect([again.outcome, again.runs.map(({ outcome }) => outcome)]).toEqual(["ok", ["unchanged"]]);

  const forgotten = await machine.run("forget", "runs");
  expect(forgotten.stdout).toContain("forgotten: 1 run");
  expect(readdirSync(path.join(machine.state, "recorded"))).toEqual([]);
  // What is at the destination stays, and nobody misses the recording.
  const without = await machine.run("verify", "runs");
  expect([without.code, without.stderr]).toEqual([0, without.stderr]);
  expect((await machine.sync()).outcome).toBe("ok");
  expect(samples(machine)).toBe(sent);
});

test("verify finds a sample that is missing at the destination", async () => {
  const machine = await trained();
  machine.look((database) => database.exec("DELETE FROM metrics WHERE key = 'system/cpu_utilization_percentage'"));
  const verified = await machine.run("verify", "runs");
  expect(verified.code).toBe(1);
  expect(verified.stderr).toContain("system/cpu_utilization_percentage");
});

test("without the option nothing is recorded, and nothing is looked for where there is nothing", async () => {
  const machine = Machine.create();
  machine.logdir.write("a", fileOf(curve("loss", 0, 3)));
  expect((await machine.sync()).outcome).toBe("ok");
  expect(existsSync(path.join(machine.state, "recorded"))).toBe(false);
  rmSync(machine.state, { recursive: true });
  expect((await machine.run("verify", "runs")).code).toBe(0);
});

test("programs that a watch starts do not inherit the session's key", async () => {
  const machine = Machine.create();
  machine.logdir.write("a", fileOf(curve("loss", 0, 3)));
  machine.env = { TRACELET_SESSION_KEY: "secret", OTHER: "stays" };
  const training = ["--", process.execPath, "-e", "console.log(process.env.TRACELET_SESSION_KEY, process.env.OTHER)"];
  const end = await machine.run("watch", "runs", ...training);
  expect([end.code, end.stdout]).toEqual([0, "undefined stays\n"]);
});
