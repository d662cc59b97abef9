/** One logdir, sent to one project in several ways: over the network, by offline directories, by several of them. */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { offlineRuns } from "../support/wandb-log.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { curve, fileOf } from "../sync/world.ts";
import { type Machine, machineWithRun } from "./tracelet.ts";

const ONLINE = ["--backend", "wandb", "--wandb-project", "p"] as const;
const OFFLINE = [...ONLINE, "--wandb-mode", "offline"] as const;

let machine: Machine;
let server: WandbServer;
beforeEach(async () => {
  server = await WandbServer.start();
  onTestFinished(() => server.stop());
  machine = machineWithRun();
  machine.env = { WANDB_BASE_URL: server.uri, WANDB_API_KEY: API_KEY };
});

const grow = (to = 15) =>
  machine.logdir.write("train", fileOf([...curve("loss", 0, 10), ...curve("lr", 0, 10), ...curve("loss", 10, to)]));
/** As they are called in a `wandb/` directory. */
const directoriesIn = (parent: string) =>
  readdirSync(path.join(parent, "wandb")).filter((name) => name.startsWith("offline-run-"));
/** As W&B's client leaves directories that it has uploaded. */
const upload = () => {
  for (const { directory } of offlineRuns(path.join(machine.root, "wandb")))
    for (const log of readdirSync(directory).filter((name) => name.endsWith(".wandb")))
      writeFileSync(path.join(directory, `${log}.synced`), "");
};

test("online, then offline: refused once for all runs, and nothing is written", async () => {
  for (const name of ["b", "c"]) machine.logdir.write(name, fileOf(curve("loss", 0, name === "b" ? 3 : 5)));
  await machine.sync(...ONLINE);
  grow();
  for (const name of ["b", "c"]) machine.logdir.write(name, fileOf(curve("loss", 0, name === "b" ? 6 : 8)));
  const { code, stderr } = await machine.run("sync", "runs", ...OFFLINE);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/was sent over the network.*--wandb-mode online/s)]);
  expect(stderr.match(/was sent over the network/g)).toHaveLength(1);
  expect(offlineRuns(path.join(machine.root, "wandb"))).toEqual([]);
  expect(await machine.sync(...ONLINE)).toMatchObject({ code: 0 });
  expect(await machine.run("sync", "runs", ...OFFLINE, "--wandb-project", "q")).toMatchObject({ code: 0 });
});

test("offline, then online: refused while a directory waits, which verify and status name, too", async () => {
  await machine.sync(...OFFLINE);
  const [directory = ""] = directoriesIn(machine.root);
  const waits = `${directory} waits for upload: wandb sync wandb`;
  const status = await machine.run("status", "runs");
  expect(status.stdout).toContain(waits);
  const json = await machine.run("status", "runs", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ destinations: [{ waiting: [expect.stringContaining(directory)] }] });
  const verified = await machine.run("verify", "runs", ...ONLINE);
  expect(verified.stderr).toMatch(new RegExp(`may not have been sent yet: .*${waits}, then verify again`));
  const { code, stderr } = await machine.run("sync", "runs", ...ONLINE);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/waits for its upload.*upload it first: wandb sync wandb/s),
  ]);
  expect(stderr).toContain(directory);
  expect(server.runs("p")).toEqual([]);
  upload();
  expect((await machine.run("status", "runs")).stdout).not.toContain("waits for upload");
});

test("offline, and the directory is gone before the server has it: online is refused until it is forgotten", async () => {
  await machine.sync(...OFFLINE);
  rmSync(path.join(machine.root, "wandb"), { recursive: true });
  const { code, stderr } = await machine.run("sync", "runs", ...ONLINE);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/is gone from there.*tracelet forget/s)]);
  expect(await machine.run("forget", "runs", "--backend", "wandb")).toMatchObject({ code: 0 });
  expect(await machine.sync(...ONLINE)).toMatchObject({ code: 0 });
});

test("offline from another working directory: refused, with the way back; a directory that was moved goes on", async () => {
  await machine.sync(...OFFLINE);
  grow();
  const other = path.join(machine.root, "other");
  mkdirSync(other);
  const go = () => machine.runIn(other, "sync", "../runs", ...OFFLINE);
  const { code, stderr } = await go();
  expect([code, stderr]).toEqual([2, expect.stringContaining(`go on there: WANDB_DIR=${machine.root}`)]);
  expect(offlineRuns(path.join(other, "wandb"))).toEqual([]);
  machine.env = { ...machine.env, WANDB_DIR: machine.root };
  expect(await go()).toMatchObject({ code: 0 });
  machine.env = { ...machine.env, WANDB_DIR: "" };
  rmSync(path.join(other, "wandb"), { recursive: true, force: true });
  renameSync(path.join(machine.root, "wandb"), path.join(other, "wandb"));
  grow(20);
  expect(await go()).toMatchObject({ code: 0 });
  expect(directoriesIn(other)).toHaveLength(1);
  const back = await machine.run("sync", "runs", ...OFFLINE);
  expect([back.code, back.stderr]).toEqual([2, expect.stringContaining("go on there: WANDB_DIR=other;")]);
});
