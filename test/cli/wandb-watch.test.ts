/** `tracelet watch --backend wandb`: real processes beside a W&B server, and what it shows of their runs meanwhile. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, utimesSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { event, eventFile, scalarEvent, WALL_TIME } from "../support/event-writer.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { curve, records } from "../sync/world.ts";
import { faultsOf, NO_FAULTS } from "../wandb/destination.ts";
import { ended, type Machine, machineWithRun } from "./tracelet.ts";

const WATCH = ["watch", "runs", "--backend", "wandb", "--wandb-project", "p", "--poll", "50ms"] as const;
/** What W&B waits before a silent run counts as crashed, and more. */
const LATER = 3_600_000;

class Scene {
  readonly machine: Machine = machineWithRun();
  readonly server: WandbServer;

  private constructor(server: WandbServer) {
    this.server = server;
    this.append(Buffer.alloc(0));
    this.machine.env = { WANDB_API_KEY: API_KEY, WANDB_BASE_URL: server.uri };
  }

  static async begin(): Promise<Scene> {
    const server = await WandbServer.start();
    onTestFinished(() => server.stop());
    return new Scene(server);
  }

  watch(...args: readonly string[]): ChildProcess {
    const child = this.machine.start(...WATCH, ...args);
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  }

  /** To the run's file, as a training does: it has grown just now. */
  append(bytes: Uint8Array): void {
    const file = this.machine.logdir.path("train");
    appendFileSync(file, bytes);
    utimesSync(file, new Date(), new Date());
  }

  run(name = "train"): StoredRun | undefined {
    return this.server.runs("p").find(({ fields }) => fields.displayName === name);
  }

  /** Until the run has so many rows. */
  async has(rows: number, name = "train"): Promise<StoredRun> {
    await vi.waitFor(() => expect(this.run(name)?.rows).toHaveLength(rows), { timeout: 200_000, interval: 50 });
    return this.run(name) as StoredRun;
  }
}

describe("a run", () => {
  test("is shown as running while it grows, and as finished at the end", async () => {
    const scene = await Scene.begin();
    const training = spawn("sleep", ["1000"]);
    onTestFinished(() => void training.kill());
    const end = ended(scene.watch("--pid", String(training.pid)));
    const run = await scene.has(20);
    expect([run.state(Date.now()), run.exitCode]).toEqual(["running", null]);
    scene.append(records(curve("loss", 10, 13)));
    await scene.has(23);
    expect(run.state(Date.now())).toBe("running");
    training.kill();
    const { code, stderr } = await end;
    expect([code, run.state(Date.now()), run.exitCode, faultsOf(run)]).toEqual([0, "finished", 0, NO_FAULTS]);
    expect(stderr).toContain(`sending to ${scene.server.uri}/ada/p`);
    expect(stderr).not.toContain("warning");
  });

  test("crashes with its watch, and goes on with the next one", async () => {
    const scene = await Scene.begin();
    const child = scene.watch();
    const run = await scene.has(20);
    child.kill("SIGKILL");
    await once(child, "close");
    expect([run.state(Date.now()), run.state(Date.now() + LATER)]).toEqual(["running", "crashed"]);
    scene.append(records(curve("loss", 10, 13)));
    const next = scene.watch("--until-idle", "2s");
    expect(await ended(next)).toMatchObject({ code: 0 });
    expect([scene.server.runs("p").length, run.rows.length, run.state(Date.now() + LATER)]).toEqual([
      1,
      23,
      "finished",
    ]);
    expect(faultsOf(run)).toEqual(NO_FAULTS);
  });

  test("is left running by Ctrl-C, with all that was there; W&B sees it crash unless the watch is started again", async () => {
    const scene = await Scene.begin();
    const child = scene.watch();
    const end = ended(child);
    const run = await scene.has(20);
    scene.append(records(curve("loss", 10, 13)));
    child.kill("SIGINT");
    expect(await end).toMatchObject({ code: 130 });
    expect([run.rows.length, run.state(Date.now()), run.state(Date.now() + LATER)]).toEqual([23, "running", "crashed"]);
  });

  test("ends when it has been idle, and runs again once it grows", async () => {
    const scene = await Scene.begin();
    const child = scene.watch("--idle-timeout", "300ms");
    const end = ended(child);
    const run = await scene.has(20);
    await vi.waitFor(() => expect(run.state(Date.now())).toBe("finished"), { timeout: 200_000, interval: 50 });
    scene.append(records(curve("loss", 10, 13)));
    await scene.has(23);
    await vi.waitFor(() => expect(scene.server.streams.at(-1)).toContain('"exitcode":0'), { timeout: 200_000 });
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ code: 143 });
    expect([run.state(Date.now()), faultsOf(run)]).toEqual(["finished", NO_FAULTS]);
  });
});

test("a server that goes away and comes back has all of it, once", async () => {
  const scene = await Scene.begin();
  const proxy = await FaultProxy.start(scene.server.port);
  onTestFinished(() => proxy.stop());
  scene.machine.env = { ...scene.machine.env, WANDB_BASE_URL: proxy.uri };
  const child = scene.watch("--json");
  const end = ended(child);
  const run = await scene.has(20);
  proxy.inject({ fault: { kind: "reset-before" } });
  scene.append(records(curve("loss", 10, 13)));
  await vi.waitFor(() => expect(proxy.faults).toBeGreaterThan(2), { timeout: 200_000 });
  expect(run.rows).toHaveLength(20);
  proxy.calm();
  await scene.has(23);
  child.kill("SIGINT");
  const { code, stdout } = await end;
  expect([code, faultsOf(run)]).toEqual([130, NO_FAULTS]);
  expect(stdout).toMatch(/"level":"info","backend":"wandb".*"message":"sending to /);
});

test("two destinations of which W&B is away: the other has all of it meanwhile, and W&B once it is back", async () => {
  const scene = await Scene.begin();
  const proxy = await FaultProxy.start(scene.server.port);
  onTestFinished(() => proxy.stop());
  scene.machine.env = { ...scene.machine.env, WANDB_BASE_URL: proxy.uri };
  proxy.inject({ fault: { kind: "reset-before" } });
  const child = scene.watch("--backend", "jsonl", "--output", "out");
  const end = ended(child);
  const linesOf = () =>
    readFileSync(path.join(scene.machine.root, "out", "train.jsonl"), "utf8").match(/"kind":"scalar"/g)?.length;
  await vi.waitFor(() => expect(linesOf()).toBe(20), { timeout: 200_000, interval: 50 });
  scene.append(records(curve("loss", 10, 13)));
  await vi.waitFor(() => expect(linesOf()).toBe(23), { timeout: 200_000, interval: 50 });
  expect(scene.server.runs("p")).toEqual([]);
  proxy.calm();
  const run = await scene.has(23);
  child.kill("SIGINT");
  const { code, stderr } = await end;
  expect([code, faultsOf(run)]).toEqual([130, NO_FAULTS]);
  expect(stderr).toMatch(/\[wandb\] .*sending to http/);
});

describe("how a run ended, W&B shows by its exit code", () => {
  test("a command that fails", async () => {
    const scene = await Scene.begin();
    // What is as old as the rest of the file would be of an earlier training.
    const point = eventFile(scalarEvent("loss", 10, 0.5, Date.now() / 1000 + 60)).toString("hex");
    const file = JSON.stringify(scene.machine.logdir.path("train"));
    const add = `require("node:fs").appendFileSync(${file}, Buffer.from("${point}", "hex"))`;
    const child = scene.watch("--", process.execPath, "-e", `${add}; process.exit(7)`);
    expect(await ended(child)).toMatchObject({ code: 7 });
    expect(scene.run()?.rows).toHaveLength(21);
    expect([scene.run()?.exitCode, scene.run()?.state(Date.now())]).toEqual([1, "failed"]);
  });

  test("a session that ends in failure", async () => {
    const scene = await Scene.begin();
    const failure = { pluginName: "hparams", content: Buffer.from("22020802", "hex") };
    const end = { tag: "_hparams_/session_end_info", metadata: { pluginData: failure } };
    scene.append(eventFile(event({ wallTime: WALL_TIME, summary: { value: [end] } })));
    expect(await ended(scene.watch("--until-idle", "1s"))).toMatchObject({ code: 0 });
    expect([scene.run()?.exitCode, scene.run()?.state(Date.now())]).toEqual([1, "failed"]);
  });
});
