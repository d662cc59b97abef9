/**
 * What people do to an MLflow behind tracelet's back is found out, and made up for, by the next sync and by a watch that
 * runs: nothing that local state says is believed.
 */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Observer } from "./model/observer.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { GrowingRuns } from "./support/growing-runs.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { collectGarbage } from "./support/python.ts";
import { PATIENCE } from "./support/scene.ts";
import { type SyncJson, tracelet } from "./support/tracelet.ts";
import { Watch } from "./support/watch.ts";

const RUNS = ["one", "two", "deep/three"];

let folder: string;
let server: MlflowServer;
let observer: Observer;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-asked-"));
  observer = new Observer();
  server = await MlflowServer.start(path.join(folder, "server", "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  await observer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Three runs, and where they are sent. */
class World extends GrowingRuns {
  uri: string;

  constructor(kind: "database" | "server") {
    super(folder, RUNS, observer, kind === "server" ? path.join(folder, "server", "mlflow.db") : undefined);
    this.uri = kind === "server" ? server.uri : `sqlite:///${this.database}`;
  }

  async sync(...more: string[]): Promise<SyncJson & { readonly code: number | null; readonly stderr: string }> {
    const { code, stdout, stderr } = await tracelet(["sync", "--json", ...this.args(this.uri), ...more]);
    return { ...(JSON.parse(stdout) as SyncJson), code, stderr };
  }

  /** Active runs, by name, with how many points each has. */
  async active(): Promise<{ [name: string]: number }> {
    const active = (await this.stored()).filter((run) => run.active);
    return Object.fromEntries(active.map(({ name, metrics }) => [name, metrics[this.tag(name)]?.length ?? 0]));
  }

  all(points: number): object {
    return Object.fromEntries(RUNS.map((run) => [run, points]));
  }
}

const outcomes = ({ runs }: SyncJson) => runs.map(({ outcome }) => outcome);

describe.each(["database", "server"] as const)("a %s", (kind) => {
  test("that was restored from a backup gets what it lacks", async () => {
    const world = new World(kind);
    expect((await world.sync()).code).toBe(0);
    const backup = path.join(world.folder, "backup.db");
    await observer.copyDatabase(world.database, backup);
    world.grow();
    expect((await world.sync()).code).toBe(0);
    expect(await world.active()).toEqual(world.all(20));
    await observer.copyDatabase(backup, world.database);
    expect(await world.active()).toEqual(world.all(10));
    const again = await world.sync();
    expect([again.code, outcomes(again)]).toEqual([0, ["sent", "sent", "sent"]]);
    expect(await world.active()).toEqual(world.all(20));
    expect(outcomes(await world.sync())).toEqual(["unchanged", "unchanged", "unchanged"]);
  });

  test("that was restored from a backup made under a narrower choice gets what that left out", async () => {
    const world = new World(kind);
    expect((await world.sync("--exclude-tags", "loss/two")).code).toBe(0);
    const backup = path.join(world.folder, "backup.db");
    await observer.copyDatabase(world.database, backup);
    expect((await world.sync()).code).toBe(0);
    expect(await world.active()).toEqual(world.all(10));
    await observer.copyDatabase(backup, world.database);
    expect((await world.sync()).code).toBe(0);
    expect(await world.active()).toEqual(world.all(10));
    expect(outcomes(await world.sync())).toEqual(["unchanged", "unchanged", "unchanged"]);
  });

  test("that was emptied gets everything as new runs", async () => {
    const world = new World(kind);
    const before = kind === "server" ? world : new World("database");
    if (kind === "database") await before.sync();
    const empty = path.join(world.folder, "empty.db");
    await observer.copyDatabase(before.database, empty);
    expect((await world.sync()).code).toBe(0);
    await observer.copyDatabase(empty, world.database);
    expect(await world.active()).toEqual({});
    const again = await world.sync();
    expect([again.code, outcomes(again)]).toEqual([0, ["sent", "sent", "sent"]]);
    expect(await world.active()).toEqual(world.all(10));
  });

  test("of which a run was deleted: it is said each time, also with nothing new, and --resend-deleted sends it anew", async () => {
    const world = new World(kind);
    const first = await world.sync();
    const victim = first.runs.find(({ name }) => name === "two")?.remoteId as string;
    await observer.setStage(world.database, victim, "deleted");
    for (let i = 0; i < 2; i++) {
      const again = await world.sync();
      expect(again.code).toBe(1);
      const run = again.runs.find(({ name }) => name === "two");
      expect(run?.error?.code).toBe("deleted");
      expect(again.stderr).toContain(`mlflow runs restore --run-id ${victim}`);
      expect(again.stderr).toContain("--resend-deleted");
      expect(outcomes(again)).toEqual(["unchanged", "unchanged", "failed"]);
    }
    expect((await world.sync("--resend-deleted")).code).toBe(0);
    expect(await world.active()).toEqual(world.all(10));
    expect(outcomes(await world.sync())).toEqual(["unchanged", "unchanged", "unchanged"]);
  });

  test("of which a run was deleted and restored is as it was", async () => {
    const world = new World(kind);
    const first = await world.sync();
    const victim = first.runs[0]?.remoteId as string;
    await observer.setStage(world.database, victim, "deleted");
    expect((await world.sync()).code).toBe(1);
    await observer.setStage(world.database, victim, "active");
    expect((await world.sync()).code).toBe(0);
    expect((await world.ids()).length).toBe(3);
    expect(outcomes(await world.sync())).toEqual(["unchanged", "unchanged", "unchanged"]);
  });

  test("from which mlflow gc has removed a run for good gets it as a new one", async () => {
    const world = new World(kind);
    const first = await world.sync();
    const victim = first.runs.find(({ name }) => name === "one")?.remoteId as string;
    await observer.setStage(world.database, victim, "deleted");
    await collectGarbage(`sqlite:///${world.database}`, victim, server.uri);
    expect(await world.ids()).not.toContain(victim);
    const again = await world.sync();
    expect(again.code).toBe(0);
    expect(again.runs.find(({ name }) => name === "one")?.outcome).toBe("sent");
    expect(await world.active()).toEqual(world.all(10));
  });

  test("from which mlflow gc has removed what was sent anew for a deleted run gets it once more", async () => {
    const world = new World(kind);
    const idOf = ({ runs }: SyncJson) => runs.find(({ name }) => name === "one")?.remoteId as string;
    const first = idOf(await world.sync());
    await observer.setStage(world.database, first, "deleted");
    const second = idOf(await world.sync("--resend-deleted"));
    await observer.setStage(world.database, second, "deleted");
    await collectGarbage(`sqlite:///${world.database}`, second, server.uri);
    expect(await world.ids()).toContain(first);
    const third = await world.sync();
    expect(third.code).toBe(0);
    expect(await world.active()).toEqual(world.all(10));
    // The same under a new name.
    await observer.setStage(world.database, idOf(third), "deleted");
    await collectGarbage(`sqlite:///${world.database}`, idOf(third), server.uri);
    renameSync(world.directory("one"), world.directory("renamed"));
    expect((await world.sync()).code).toBe(0);
    expect(Object.keys(await world.active()).sort()).toEqual(["deep/three", "renamed", "two"]);
  });

  test("of which the experiment was deleted: it is an error, also with nothing new", async () => {
    const world = new World(kind);
    await world.sync();
    await observer.deleteExperiment(world.database, world.experiment);
    const again = await world.sync();
    expect([again.code, again.outcome]).toEqual([1, "failed"]);
    expect(again.stderr).toContain("mlflow experiments restore");
  });

  test("that is trusted is not asked", async () => {
    const world = new World(kind);
    const first = await world.sync();
    await observer.setStage(world.database, first.runs[0]?.remoteId as string, "deleted");
    expect((await world.sync("--trust-state")).code).toBe(0);
  });

  test("is asked by a watch at its start and with each rescan", async ({ onTestFinished }) => {
    const world = new World(kind);
    await world.sync();
    const backup = path.join(world.folder, "backup.db");
    await observer.copyDatabase(world.database, backup);
    world.grow();
    await world.sync();
    await observer.copyDatabase(backup, world.database);
    const watching = new Watch([...world.args(world.uri), "--rescan", "1s"]);
    onTestFinished(async () => {
      if (watching.isRunning) await watching.kill();
    });
    await vi.waitFor(async () => expect(await world.active()).toEqual(world.all(20)), PATIENCE);
    await observer.copyDatabase(backup, world.database);
    await vi.waitFor(async () => expect(await world.active()).toEqual(world.all(20)), PATIENCE);
    const [victim] = await world.ids();
    await observer.setStage(world.database, victim as string, "deleted");
    await vi.waitFor(() => expect(watching.said).toContain(`mlflow runs restore --run-id ${victim}`), PATIENCE);
    await observer.setStage(world.database, victim as string, "active");
    expect(await watching.stop()).toBe(143);
    expect(await world.active()).toEqual(world.all(20));
  });
});

test("a database that was removed is made anew, by a sync and under a watch", async ({ onTestFinished }) => {
  const world = new World("database");
  const remove = () => {
    for (const part of ["", "-journal", "-wal", "-shm"]) rmSync(world.database + part, { force: true });
  };
  await world.sync();
  remove();
  expect((await world.sync()).code).toBe(0);
  expect(await world.active()).toEqual(world.all(10));
  const watching = new Watch([...world.args(world.uri), "--rescan", "1s"]);
  onTestFinished(async () => {
    if (watching.isRunning) await watching.kill();
  });
  world.grow();
  await vi.waitFor(async () => expect(await world.active()).toEqual(world.all(20)), PATIENCE);
  remove();
  await vi.waitFor(async () => expect(await world.active()).toEqual(world.all(20)), PATIENCE);
  expect(await watching.stop()).toBe(143);
});

test("another server at the same address gets everything", async ({ onTestFinished }) => {
  const other = await MlflowServer.start(path.join(folder, "other", "mlflow.db"));
  onTestFinished(() => other.stop());
  const world = new World("server");
  const here = await FaultProxy.start(server.port);
  onTestFinished(() => here.stop());
  world.uri = here.uri;
  await world.sync();
  here.redirect(other.port);
  expect((await world.sync()).code).toBe(0);
  const stored = await observer.stored(path.join(folder, "other", "mlflow.db"), folder);
  expect(stored.map(({ name }) => name).sort()).toEqual([...RUNS].sort());
});

test("a server that is as it was left is asked a dozen questions at most", async ({ onTestFinished }) => {
  const world = new World("server");
  const proxy = await FaultProxy.start(server.port);
  onTestFinished(() => proxy.stop());
  world.uri = proxy.uri;
  await world.sync();
  const before = proxy.requests.length;
  expect(outcomes(await world.sync())).toEqual(["unchanged", "unchanged", "unchanged"]);
  const asked = proxy.requests.slice(before).map((request) => request.path);
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.length).toBeLessThanOrEqual(12);
  expect(asked.filter((each) => !/get-by-name|runs\/search/.test(each))).toEqual([]);
});

test("what is forgotten is found again at the destination", async () => {
  const world = new World("server");
  const first = await world.sync();
  const logdir = world.logdir;
  const state = ["--state-dir", path.join(world.folder, "state")];
  const forgotten = await tracelet(["forget", logdir, "--json", ...state]);
  expect(forgotten.code).toBe(0);
  const { forgotten: names } = JSON.parse(forgotten.stdout) as { forgotten: { run: string }[] };
  expect(names.map(({ run }) => run).sort()).toEqual([...RUNS].sort());
  expect(await tracelet(["forget", "one", ...state])).toMatchObject({ code: 1 });
  const again = await world.sync();
  expect(again.runs.map(({ remoteId }) => remoteId)).toEqual(first.runs.map(({ remoteId }) => remoteId));
  expect(await world.active()).toEqual(world.all(10));
  expect(await tracelet(["forget", "one", "--backend", "mlflow", ...state])).toMatchObject({ code: 0 });
});
