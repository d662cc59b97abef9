/** `tracelet sync` as a process: what it prints where, what it leaves behind, and how it ends. */
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { lockSource } from "../../src/sync/state/lock.ts";
import { eventFile, scalarEvent, textEvent } from "../support/event-writer.ts";
import { EVENT_FILE } from "../support/logdirs.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { EVIL, expectHarmless, Machine, machineWithRun, UNSAFE } from "./tracelet.ts";

describe("sync into a database", () => {
  test("sends all, then nothing; the summary is on standard error", async () => {
    const machine = machineWithRun();
    const first = await machine.run("sync", "runs");
    expect(first).toMatchObject({ code: 0, stdout: "" });
    expect(first.stderr).toContain("1 run: 1 sent");
    expect(first.stderr).toContain(`mlflow ui --backend-store-uri sqlite:///${machine.database}`);
    expectHarmless(first.stderr);
    expect(machine.points()).toBe(20);
    const second = await machine.run("sync", "runs");
    expect(second).toMatchObject({ code: 0, stdout: "" });
    expect(second.stderr).toContain("1 run: 1 unchanged");
    expect(statSync(machine.state).mode & 0o777).toBe(0o700);
  });

  test("--json is one object on standard output, whatever happens", async () => {
    const machine = machineWithRun();
    const first = await machine.sync("-v");
    expect(first).toMatchObject({ code: 0, outcome: "ok", dryRun: false, error: null });
    expect(first.kinds["scalars"]).toEqual({ read: 20, derived: 0, sent: 20, failed: 0, skipped: {} });
    expect(first.runs).toMatchObject([
      { name: "train", outcome: "sent", remoteId: expect.stringMatching(/^[0-9a-f]{32}$/) },
    ]);
    expect(first.stderr).toContain("train: 20 values");
    const second = await machine.sync("--log-level", "debug");
    expect(second).toMatchObject({ code: 0, outcome: "ok", kinds: {}, runs: [{ outcome: "unchanged" }] });
  });

  test("--quiet prints nothing as long as nothing is wrong", async () => {
    const machine = machineWithRun();
    expect(await machine.run("sync", "runs", "-q")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await machine.run("sync", "runs", "--quiet")).toEqual({ code: 0, stdout: "", stderr: "" });
    machine.logdir.append("train", Buffer.from("not a record at all"));
    const damaged = await machine.run("sync", "runs", "-q");
    expect(damaged.code).toBe(3);
    expect(damaged.stderr).toContain("Corrupt records skipped");
  });

  test("a missing logdir is an error, and leaves nothing behind", async () => {
    const machine = machineWithRun();
    const end = await machine.run("sync", "runs", "nowhere");
    expect(end).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr).toMatch(/^error: there is no nowhere\n {2}give the directory/);
    expectHarmless(end.stderr);
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
  });

  test("an empty logdir is none, but it is said", async () => {
    const machine = Machine.create();
    const end = await machine.run("sync", "runs");
    expect(end).toMatchObject({ code: 0, stdout: "" });
    expect(end.stderr).toContain("no event files in runs");
    expect(await machine.sync()).toMatchObject({ code: 0, outcome: "ok", runs: [], kinds: {} });
  });

  test("damage ends with 3, also when nothing is new", async () => {
    const machine = Machine.create();
    machine.logdir.write(
      "train",
      Buffer.concat([fileOf(curve("loss", 0, 5)), Buffer.from("garbage in between"), records(curve("loss", 5, 9))]),
    );
    for (const outcome of ["sent", "unchanged"]) {
      const end = await machine.sync();
      expect(end).toMatchObject({
        code: 3,
        outcome: "damage",
        runs: [{ outcome, damage: [{ reason: "length-crc" }] }],
      });
      expect(end.stderr).toContain(`${machine.logdir.path("train")}: 18 B at`);
    }
    expect(machine.points()).toBe(9);
  });

  test("a run deleted in MLflow is said, with how to get it back; the others are sent", async () => {
    const machine = machineWithRun();
    machine.logdir.write("eval", fileOf(curve("loss", 0, 5), 1));
    await machine.sync();
    machine.look((database) => database.exec("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'train'"));
    for (const run of ["train", "eval"]) machine.logdir.append(run, records(curve("loss", 20, 22)));
    const end = await machine.sync();
    expect(end).toMatchObject({
      code: 1,
      outcome: "failed",
      runs: [
        { name: "eval", outcome: "sent" },
        { name: "train", outcome: "failed" },
      ],
    });
    expect(end.stderr).toContain("mlflow runs restore");
    expectHarmless(end.stderr);
  });

  test("a logdir given twice, however it is spelled, is one", async () => {
    const machine = machineWithRun();
    const end = await machine.run("sync", "runs", "runs/", path.join(machine.root, "runs"), "--json");
    expect(JSON.parse(end.stdout)).toMatchObject({ outcome: "ok", kinds: { scalars: { read: 20, sent: 20 } } });
    expect(end.code).toBe(0);
  });

  test("a second process is told who is at it", async () => {
    const machine = machineWithRun();
    const lock = lockSource(machine.state, `mlflow sqlite:${machine.database} Default`, machine.logdir.root);
    const end = await machine.run("sync", "runs");
    expect(end).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr).toContain(`by process ${process.pid} on `);
    expectHarmless(end.stderr);
    expect((await machine.run("sync", "runs", "--dry-run")).code).toBe(0);
    lock.release();
    expect((await machine.run("sync", "runs")).code).toBe(0);
  });

  test("nobody listening to standard error is no reason to stop", async () => {
    const machine = machineWithRun();
    const child = machine.start("sync", "runs", "-v", "--log-level", "debug");
    child.stderr?.destroy();
    const [code] = (await once(child, "close")) as [number | null];
    expect(code).toBe(0);
    expect(machine.points()).toBe(20);
  });
});

describe("a dry run", () => {
  test("says what would be done, and touches nothing", async () => {
    const machine = machineWithRun();
    machine.logdir.append("train", eventFile(scalarEvent("loss (a)", 0, Number.NaN)));
    const end = await machine.run("sync", "runs", "--dry-run", "--nan", "skip", "-v");
    expect(end).toMatchObject({ code: 0, stdout: "" });
    expect(end.stderr).toMatch(/scalars +21 +20 +1 \(nan\) +0\n/);
    expect(end.stderr).toContain("1 run: 1 to send");
    const json = await machine.sync("--dry-run");
    expect(json).toMatchObject({ dryRun: true, runs: [{ notes: [{ code: "renamed" }] }] });
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
    expect(readdirSync(path.join(machine.root, "home"))).toEqual([]);
  });

  test("goes by what was sent before, and changes nothing of that", async () => {
    const machine = machineWithRun();
    await machine.sync();
    machine.logdir.append("train", records(curve("loss", 10, 13)));
    const files = () =>
      [machine.database, path.join(machine.state, "state.db")].map((file) => readFileSync(file).toString("base64"));
    const before = files();
    for (let i = 0; i < 2; i++) {
      expect((await machine.sync("--dry-run")).kinds["scalars"]).toMatchObject({ read: 3, sent: 3 });
    }
    expect(files()).toEqual(before);
    expect((await machine.sync()).kinds["scalars"]).toMatchObject({ read: 3, sent: 3 });
    expect(machine.points()).toBe(23);
  });
});

describe("names that nobody expects", () => {
  test("a directory whose name is not UTF-8", async () => {
    const machine = Machine.create();
    const directory = Buffer.concat([Buffer.from(`${machine.logdir.root}/caf`), Buffer.from([0xe9])]);
    mkdirSync(directory);
    writeFileSync(Buffer.concat([directory, Buffer.from(`/${EVENT_FILE}`)]), fileOf(curve("loss", 0, 5)));
    expect(await machine.sync()).toMatchObject({ code: 0, runs: [{ name: "caf\\xe9", outcome: "sent" }] });
    expect(await machine.sync()).toMatchObject({ code: 0, runs: [{ outcome: "unchanged" }] });
    expect(machine.points()).toBe(5);
    for (const command of ["inspect", "status"]) {
      const end = await machine.run(command, "runs");
      expect(end).toMatchObject({ code: 0, stderr: "" });
      expect(end.stdout).toContain("caf\\xe9");
    }
  });

  test("nothing of a hostile logdir reaches the terminal raw", async () => {
    const machine = Machine.create();
    const run = `${EVIL}\n\u001b[2J`;
    machine.logdir.write(
      `${run}/${EVIL}tfevents`,
      eventFile(scalarEvent(EVIL, 1, 1), textEvent(`${EVIL}2`, 1, EVIL), scalarEvent("fine", 1, 1)),
    );
    machine.logdir.append(`${run}/${EVIL}tfevents`, Buffer.from("garbage at the end"));
    machine.logdir.write(`${run}/hparams.yaml`, Buffer.from(`${JSON.stringify(EVIL)}: [\n`));
    const commands = [
      ["sync", "runs", "--dry-run", "-v", "--log-level", "debug"],
      ["sync", "runs", "--dry-run", "--json"],
      ["inspect", "runs"],
      ["inspect", "runs", "--json"],
      ["sync", "runs", "-v", "--log-level", "debug"],
      ["status", "runs"],
      ["status", "runs", "--json"],
      ["sync", `runs/${run}`, "--json"],
      ["sync", `nowhere${EVIL}`],
    ];
    for (const args of commands) {
      const { stdout, stderr } = await machine.run(...args);
      expect(stdout + stderr).not.toBe("");
      for (const text of [stdout, stderr]) {
        expect([args, text.replaceAll("\n", "").match(UNSAFE)]).toEqual([args, null]);
        expect(text).not.toMatch(/^\s+at /m);
      }
    }
    const { runs } = JSON.parse((await machine.run("inspect", "runs", "--json")).stdout) as {
      runs: { name: string; series: { tag: string }[] }[];
    };
    expect(runs[0]?.name).toBe(run);
    expect(runs[0]?.series.map(({ tag }) => tag)).toContain(EVIL);
  });
});
