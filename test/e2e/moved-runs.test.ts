/** A directory that was renamed, or another root: the same runs at a real MLflow, with all that they hold. */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Observer } from "./model/observer.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { type SyncJson, tracelet } from "./support/tracelet.ts";

const FIXTURE = path.resolve(import.meta.dirname, "../../fixtures/example/runs");

let folder: string;
let server: MlflowServer;
let observer: Observer;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-moved-"));
  observer = new Observer();
  server = await MlflowServer.start(path.join(folder, "server", "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  await observer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(["database", "server"] as const)("a %s", (kind) => {
  test.each(["with its state", "without its state"])("knows its runs again under other names, %s", async (which) => {
    const root = mkdtempSync(path.join(folder, `${kind}-`));
    const database = path.join(kind === "server" ? path.join(folder, "server") : root, "mlflow.db");
    const uri = kind === "server" ? server.uri : `sqlite:///${database}`;
    const experiment = `moved ${which}`;
    const runs = path.join(root, "runs");
    mkdirSync(runs);
    cpSync(FIXTURE, path.join(runs, "exp"), { recursive: true });
    const stateDir = path.join(root, "state");
    const command = async (name: "sync" | "verify", logdir: string) => {
      const args = [name, "--json", logdir, "--tracking-uri", uri, "--experiment", experiment];
      const { code, stdout, stderr } = await tracelet([...args, ...(name === "sync" ? ["--state-dir", stateDir] : [])]);
      return { code, stderr, ...(JSON.parse(stdout) as SyncJson) };
    };
    const names = async () => {
      const ids = new Set(await observer.inExperiment(database, experiment));
      const stored = await observer.stored(database, folder);
      return stored.filter(({ id, active }) => active && ids.has(id)).map(({ id, name }) => `${id} ${name}`);
    };

    expect((await command("sync", runs)).code).toBe(0);
    const before = (await names()).sort();
    expect(before.length).toBeGreaterThan(1);

    renameSync(path.join(runs, "exp"), path.join(runs, "renamed"));
    if (which === "without its state") rmSync(stateDir, { recursive: true });
    const renamed = await command("sync", runs);
    expect([renamed.code, renamed.stderr]).toEqual([0, expect.anything()]);
    expect((await names()).sort()).toEqual(before.map((each) => each.replace(/ exp\b/, " renamed")));
    expect(
      renamed.runs.flatMap(({ notes }) => notes.map(({ code }) => code)).filter((code) => code === "moved"),
    ).toHaveLength(before.length);
    expect(renamed.kinds["scalars"]?.sent ?? 0).toBe(0);
    expect((await command("verify", runs)).outcome).toBe("equal");

    const inner = path.join(runs, "renamed");
    if (which === "without its state") rmSync(stateDir, { recursive: true });
    expect((await command("sync", inner)).code).toBe(0);
    expect((await names()).sort()).toEqual(
      before.map((each) => each.replace(/ exp\b\/?/, " ").replace(/ $/, " renamed")),
    );
    expect((await command("verify", inner)).outcome).toBe("equal");
  });

  test("that was brought back to before a rename, on which two machines take copies for different runs, has one of each", async () => {
    const root = mkdtempSync(path.join(folder, `${kind}-`));
    const database = path.join(kind === "server" ? path.join(folder, "server") : root, "mlflow.db");
    const uri = kind === "server" ? server.uri : `sqlite:///${database}`;
    const runs = path.join(root, "runs");
    const [one, two] = [path.join(runs, "one"), path.join(runs, "two")];
    const sync = async (machine: string) => {
      const args = ["sync", "--json", runs, "--tracking-uri", uri, "--experiment", "copies"];
      const { code, stdout, stderr } = await tracelet([...args, "--state-dir", path.join(root, machine)]);
      expect([code, stderr]).toEqual([0, expect.anything()]);
      return (JSON.parse(stdout) as SyncJson).runs.map(({ name, remoteId }) => `${remoteId} ${name}`);
    };
    const active = async () => {
      const ids = new Set(await observer.inExperiment(database, "copies"));
      const stored = await observer.stored(database, folder);
      return stored.filter((run) => run.active && ids.has(run.id)).map(({ id, name }) => `${id} ${name}`);
    };

    cpSync(path.join(FIXTURE, "baseline"), one, { recursive: true });
    await sync("a");
    const backup = path.join(root, "backup.db");
    await observer.copyDatabase(database, backup);
    renameSync(one, two);
    await sync("a");
    cpSync(two, one, { recursive: true });
    expect(await sync("a")).toHaveLength(2);
    await observer.copyDatabase(backup, database);

    const others = await sync("b");
    expect(await sync("a")).toEqual(others);
    expect((await active()).sort()).toEqual(others.sort());
  });
});
