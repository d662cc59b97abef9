/**
 * `tracelet watch` beside a live writer and a real MLflow server, while what it runs on breaks: logins, clocks, processor
 * time, the disk, its log. Each test sees that its fault has fired, and ends in a calm in which a fresh point arrives.
 */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, type TestContext, test, vi } from "vitest";
import { openDatabase } from "../../src/sqlite.ts";
import { event, eventFile, scalarEvent } from "../support/event-writer.ts";
import type { Fault } from "../support/faults.ts";
import { seededRandom } from "../support/seeded-random.ts";
import type { ProxiedRequest } from "./support/fault-proxy.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { PATIENCE, Scene } from "./support/scene.ts";
import type { Watch } from "./support/watch.ts";

const HOUR_MS = 3_600_000;

let workspace: string;
let server: MlflowServer;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-endures-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

async function begin({ onTestFinished }: TestContext, at: MlflowServer = server): Promise<Scene> {
  const scene = await Scene.begin(at);
  onTestFinished(() => scene.end());
  return scene;
}

const until = (check: () => void | Promise<void>) => vi.waitFor(check, PATIENCE);

/** How often it has said so. */
const times = (watching: Watch, what: RegExp) => watching.said.match(new RegExp(what, "g"))?.length ?? 0;

/** The words of MLflow's own login, `mlflow server --app-name basic-auth`. */
const refusal = (status: 401 | 403): Fault => ({
  kind: "answer",
  answer:
    status === 401
      ? { status, headers: { "www-authenticate": 'Basic realm="mlflow"' }, body: "You are not authenticated." }
      : { status, body: "Permission denied" },
});

describe.concurrent("logins", () => {
  test("none that counts: said once, tried rarely; the right one after a start anew", async (context) => {
    const scene = await begin(context);
    const { proxy } = scene;
    const basic = `Basic ${Buffer.from("me:pass phrase").toString("base64")}`;
    proxy.inject({ fault: refusal(401), unless: ["Bearer right-token", basic] });
    const writer = scene.write();
    await writer.started();
    const locked = scene.watch([], { env: { MLFLOW_TRACKING_TOKEN: "wrong-token" } });
    await until(() => expect(locked.said).toContain("trying again"));
    const asked = proxy.faults;
    await sleep(3000);
    expect(proxy.faults).toBeLessThanOrEqual(asked + 3);
    expect(locked.isRunning).toBe(true);
    expect(times(locked, /trying again/)).toBe(1);
    expect(locked.said).toMatch(/HTTP 401.*MLFLOW_TRACKING_TOKEN/);
    expect(locked.said).not.toContain("wrong-token");
    await locked.kill();
    const tokened = scene.watch([], { env: { MLFLOW_TRACKING_TOKEN: "right-token" } });
    await scene.goesOn();
    await tokened.kill();
    const home = scene.mkdir("home");
    scene.mkdir("home/.mlflow");
    const login = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = pass phrase\n";
    writeFileSync(path.join(home, ".mlflow/credentials"), login);
    const filed = scene.watch([], { env: { HOME: home } });
    await scene.goesOn();
    expect(times(filed, /trying again/)).toBe(0);
    await scene.expectCalm(writer, filed);
    expect(proxy.fired.get("answer 401")).toBeGreaterThan(0);
  });

  test("permission withdrawn and given back while it runs", async (context) => {
    const scene = await begin(context);
    const { proxy } = scene;
    const watching = scene.watch();
    const writer = scene.write();
    await scene.goesOn();
    proxy.inject({ fault: refusal(403) });
    await until(() => expect(watching.said).toContain("trying again"));
    const asked = proxy.faults;
    await sleep(3000);
    expect(proxy.faults).toBeLessThanOrEqual(asked + 3);
    expect(times(watching, /trying again/)).toBe(1);
    expect(watching.said).toContain("HTTP 403");
    proxy.calm();
    await scene.goesOn();
    await scene.expectCalm(writer, watching);
    expect(watching.said).toContain("sending goes on");
    expect(times(watching, /trying again/)).toBe(1);
  });
});

describe.concurrent("time", () => {
  /** s; what MLflow's client calls so. */
  const IMPATIENT = { MLFLOW_HTTP_REQUEST_TIMEOUT: "1" };
  const IDLE_MS = 5000;

  test("the machine is suspended, and its connections are dead when it wakes", async (context) => {
    const scene = await begin(context);
    const { proxy } = scene;
    // Of its first batches it does not learn that they have arrived, and there must not be other runs because of that.
    proxy.inject({ fault: { kind: "reset-after" }, requests: /log-batch/, times: 3 });
    // By polling it learns later than by events what has grown while it slept.
    const watching = scene.watch(["--idle-timeout", `${IDLE_MS}ms`, "--poll", "500ms"], { env: IMPATIENT });
    const writer = scene.write({ flush: 1 });
    await scene.goesOn();
    await until(() => expect(watching.said).toContain("sending goes on"));
    expect(proxy.fired.get("reset-after")).toBe(3);
    await scene.goesOn();
    watching.suspend();
    await until(() => expect(readFileSync(`/proc/${watching.pid}/stat`, "utf8")).toMatch(/\) T /));
    // What it has sent may still be on its way to the proxy.
    await sleep(1000);
    const { length } = proxy.requests;
    // Longer than the request may take, and than connections are kept by either side.
    await sleep(IDLE_MS + 1500);
    expect(proxy.requests.length).toBe(length);
    // Whoever stands between took a connection for dead.
    proxy.inject({ fault: { kind: "black-hole" }, requests: /log-batch/, times: 1 });
    watching.resume();
    await until(() => expect(proxy.fired.get("black-hole")).toBe(1));
    await scene.goesOn();
    await until(() => expect(scene.resent.again).toBeGreaterThan(0));
    await scene.expectCalm(writer, watching);
    // The runs were not idle while nobody looked; when both ends are read, they may have become so.
    const over = (request: ProxiedRequest) => request.path.endsWith("runs/update");
    expect(proxy.requests.filter((request) => over(request) && request.at < writer.lastFlushAt + IDLE_MS)).toEqual([]);
  });

  test("the server is suspended while requests are under way", async (context) => {
    const own = await MlflowServer.start(path.join(workspace, "own", "mlflow.db"));
    try {
      const scene = await begin(context, own);
      const watching = scene.watch([], { env: IMPATIENT });
      const writer = scene.write();
      await scene.goesOn();
      own.suspend();
      const { length } = scene.proxy.requests;
      await until(() => expect(watching.said).toContain("trying again"));
      await sleep(3000);
      expect(scene.proxy.requests.length).toBeGreaterThan(length);
      own.resume();
      await until(() => expect(watching.said).toContain("sending goes on"));
      expect(times(watching, /trying again/)).toBe(1);
      await scene.expectCalm(writer, watching);
    } finally {
      await own.stop();
    }
  });

  test("the wall clock is set, days forwards and hours backwards", async (context) => {
    const scene = await begin(context);
    const { proxy } = scene;
    const clock = path.join(scene.folder, "clock");
    const set = (ms: number) => {
      writeFileSync(`${clock}.new`, String(ms));
      renameSync(`${clock}.new`, clock);
      return new Date(Date.now() + ms).toISOString().slice(0, 10);
    };
    set(0);
    const more = ["--idle-timeout", "60s", "--patience", "60s"];
    const watching = scene.watch(more, { env: { TEST_CLOCK: clock }, preload: ["clock.mjs"] });
    const writer = scene.write({ partial: 40, runs: 2, rate: 10 });
    await scene.goesOn();
    // A block that has not come yet must not be taken for damage because it is days old all at once.
    const point = (step: number) => eventFile(scalarEvent("loss", step, step));
    const [before, hole, behind] = [point(0), point(1), point(2)];
    const late = path.join(scene.logdir, "late", "events.out.tfevents.1.host.1.0");
    const begun = eventFile(event({ wallTime: 1, fileVersion: "brain.Event:2" }));
    mkdirSync(path.dirname(late));
    writeFileSync(late, Buffer.concat([begun, before, Buffer.alloc(hole.length), behind]));
    await until(() => expect(scene.statuses()).toHaveLength(3));
    for (const [index, jump] of [72 * HOUR_MS, -5 * HOUR_MS].entries()) {
      await proxy.disconnect();
      await until(() => expect(times(watching, /trying again/)).toBe(index + 1));
      const day = set(jump);
      // It is looked at again when the file has grown.
      appendFileSync(late, point(3 + index));
      await proxy.reconnect();
      await scene.goesOn(20);
      await until(() => expect(times(watching, /sending goes on/)).toBe(index + 1));
      // Its own lines are dated by the clock that was set.
      expect(watching.said).toMatch(new RegExp(`${day}T\\S+ sending goes on`));
      // Longer than it takes to look for runs that are over.
      await sleep(1500);
      expect(scene.statuses()).toEqual(["RUNNING", "RUNNING", "RUNNING"]);
    }
    expect(watching.said).not.toContain("damage");
    const file = openSync(late, "r+");
    writeSync(file, hole, 0, hole.length, begun.length + before.length);
    closeSync(file);
    await scene.expectCalm(writer, watching);
  });

  test("nothing happens in its process for seconds, again and again, while batches are under way", async (context) => {
    const scene = await begin(context);
    const stalls = [1000, 2500, 1700, 4000];
    const env = { ...IMPATIENT, TEST_STALLS: stalls.join(",") };
    const watching = scene.watch([], { env, preload: ["stall.mjs"] });
    const writer = scene.write();
    await until(() => expect(times(watching, /stalled for/)).toBe(stalls.length));
    // What was overdue then counts as lost, though the answer was there: nothing else has gone wrong.
    await until(() => expect(times(watching, /trying again/)).toBeGreaterThan(0));
    expect([scene.proxy.faults, scene.proxy.unanswered]).toEqual([0, 0]);
    await scene.expectCalm(writer, watching);
  });
});

describe.concurrent("the disk", () => {
  const random = seededRandom(20_261_121);

  /** What a disk may hold after the power was cut: the state of some time ago, and what was written last in part only. */
  const CUTS: readonly (readonly [string, (database: string) => void])[] = [
    ["some time ago", () => {}],
    [
      "the log cut short",
      (database) => truncateSync(`${database}-wal`, Math.floor(sizeOf(`${database}-wal`) * random())),
    ],
    ["blocks of the log never written", (database) => garble(`${database}-wal`, () => 0)],
    ["blocks of the log with what was there before", (database) => garble(`${database}-wal`, () => random() * 256)],
    ["no log", (database) => rmSync(`${database}-wal`)],
    ["an empty file", (database) => truncateSync(database, 0)],
    ["a file of zeros", (database) => afterItsLog(database, () => Buffer.alloc(sizeOf(database)))],
    ["pages that were never written", (database) => afterItsLog(database, (whole) => whole.fill(0, 4096))],
  ];
  /** Damage of the file itself: a log that holds all of it would make up for that. */
  const afterItsLog = (file: string, damage: (whole: Buffer) => Buffer) => {
    const state = openDatabase(file, { busyTimeout: 1000 });
    state.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    state.close();
    writeFileSync(file, damage(readFileSync(file)));
  };
  const sizeOf = (file: string) => readFileSync(file).length;
  const garble = (file: string, byte: () => number) => {
    const bytes = readFileSync(file);
    const from = Math.floor((bytes.length / 4096) * random() * 0.9) * 4096;
    writeFileSync(
      file,
      bytes.map((old, at) => (at >= from ? byte() : old)),
    );
  };

  test("the power is cut: an older state comes back, or a damaged one", async (context) => {
    const scene = await begin(context);
    const database = path.join(scene.stateDir, "state.db");
    const copy = path.join(scene.mkdir("copy"), "state.db");
    const parts = ["", "-wal"];
    const writer = scene.write();
    for (const [name, cut] of CUTS) {
      const watching = scene.watch();
      await scene.goesOn(12);
      await until(() => expect(sizeOf(`${database}-wal`)).toBeGreaterThan(3 * 4096));
      await sleep(300 * random());
      const state = () => parts.map((part) => readFileSync(`${database}${part}`).toString("latin1"));
      const then = state();
      for (const part of parts) copyFileSync(`${database}${part}`, `${copy}${part}`);
      cut(copy);
      await scene.goesOn();
      await until(() => expect(state()).not.toEqual(then));
      await watching.kill();
      rmSync(`${database}-shm`, { force: true });
      for (const part of parts) {
        rmSync(`${database}${part}`);
        if (existsSync(`${copy}${part}`)) renameSync(`${copy}${part}`, `${database}${part}`);
      }
      const after = scene.watch();
      await scene.goesOn(12);
      const isSaid = /a file of zeros|an empty file|pages/.test(name) ? 1 : 0;
      expect([name, times(after, /found again at the destination/)]).toEqual([name, isSaid]);
      await after.kill();
    }
    await scene.expectCalm(writer, scene.watch());
  });
});

describe.concurrent("what it says", () => {
  /** Until the watch has met it. */
  const outage = async (scene: Scene) => {
    const { proxy } = scene;
    const before = proxy.faults;
    proxy.inject({ fault: { kind: "reset-before" }, requests: /log-batch/ });
    await until(() => expect(proxy.faults).toBeGreaterThan(before));
    proxy.calm();
    await scene.goesOn();
  };

  test("its log is renamed, cut, and its disk full for a while", async (context) => {
    const scene = await begin(context);
    const folder = scene.mkdir("log");
    // In a mount namespace of its own, where it may mount.
    const script = `mount -t tmpfs -o size=64k tmpfs "${folder}" && exec "$@" >>"${folder}/log" 2>&1`;
    const watching = scene.watch([], { under: ["unshare", "-Urm", "sh", "-c", script, "sh"] });
    const seen = `/proc/${watching.pid}/root${folder}`;
    const log = (name = "log") => readFileSync(`${seen}/${name}`, "utf8");
    const writer = scene.write();
    await scene.goesOn();
    await outage(scene);
    await until(() => expect(log()).toContain("sending goes on"));
    renameSync(`${seen}/log`, `${seen}/log.1`);
    const renamed = log("log.1").length;
    await outage(scene);
    await until(() => expect(log("log.1").slice(renamed)).toContain("sending goes on"));
    truncateSync(`${seen}/log.1`, 0);
    await outage(scene);
    await until(() => expect(log("log.1")).toContain("sending goes on"));
    expect(log("log.1")).not.toContain("\0");
    expect(() => writeFileSync(`${seen}/ballast`, Buffer.alloc(1 << 20))).toThrow("ENOSPC");
    // What is left of its last block.
    const fill = () => {
      for (let bytes = 0; bytes < 4096; bytes++) appendFileSync(`${seen}/log.1`, "x");
    };
    expect(fill).toThrow("ENOSPC");
    const full = log("log.1");
    await outage(scene);
    // Long enough for it to be said.
    await sleep(500);
    expect(log("log.1")).toBe(full);
    rmSync(`${seen}/ballast`);
    await outage(scene);
    await until(() => expect(log("log.1").slice(full.length)).toContain("sending goes on"));
    await scene.expectCalm(writer, watching);
  });

  test("whoever reads it goes away", async (context) => {
    const scene = await begin(context);
    const watching = scene.watch(["--json"]);
    const writer = scene.write();
    await scene.goesOn();
    await outage(scene);
    await until(() => expect(watching.printed).toContain("sending goes on"));
    watching.closeOutput("stdout");
    await outage(scene);
    await until(() => expect(watching.said).toContain("nobody reads standard output any more"));
    watching.closeOutput("stderr");
    await outage(scene);
    await scene.expectCalm(writer, watching);
    expect(times(watching, /nobody reads/)).toBe(1);
  });

  test("there is no room for what it prints", async (context) => {
    const scene = await begin(context);
    const script = 'exec "$@" >/dev/full';
    const watching = scene.watch(["--json"], { under: ["sh", "-c", script, "sh"] });
    const writer = scene.write();
    await scene.goesOn();
    await outage(scene);
    await until(() => expect(times(watching, /standard output cannot be written \(ENOSPC\)/)).toBe(1));
    await scene.expectCalm(writer, watching);
  });
});

test.concurrent("a run leaves the logdir while the server is away: it has ended when that is back, and goes on when it returns", async (context) => {
  const scene = await begin(context);
  const { proxy } = scene;
  const watching = scene.watch();
  const first = scene.write();
  await scene.goesOn();
  await first.stop();
  await until(() => expect(scene.arrived()).toBeGreaterThanOrEqual(first.flushedPoints));
  await proxy.disconnect();
  const [here, aside] = [path.join(scene.logdir, "run-001"), path.join(scene.folder, "run-001")];
  renameSync(here, aside);
  await until(() => expect(watching.said).toContain("trying again"));
  await proxy.reconnect();
  await until(() => expect(scene.statuses().sort()).toEqual(["FINISHED", "RUNNING", "RUNNING"]));
  renameSync(aside, here);
  const second = scene.write();
  await scene.goesOn();
  await until(() => expect(scene.statuses()).toEqual(["RUNNING", "RUNNING", "RUNNING"]));
  await scene.expectCalm(second, watching);
});
