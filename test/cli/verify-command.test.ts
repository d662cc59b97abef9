/** `tracelet verify` as a process: what it prints where, and how it ends. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventFile, scalarEvent, textEvent } from "../support/event-writer.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { EVIL, ended, expectHarmless, Machine, machineWithRun, ROOT, UNSAFE } from "./tracelet.ts";

const change = (machine: Machine, sql: string) => machine.look((database) => database.exec(sql));

describe("verify", () => {
  test("says that all is equal, and with --quiet nothing", async () => {
    const machine = machineWithRun();
    await machine.sync();
    const end = await machine.run("verify", "runs");
    expect(end).toMatchObject({ code: 0, stdout: "" });
    expect(end.stderr).toMatch(/points +20 +0 +0 +0\n/);
    expect(end.stderr).toContain("1 run: 1 equal");
    expect(await machine.run("verify", "runs", "-q")).toEqual({ code: 0, stdout: "", stderr: "" });
    const json = await machine.run("verify", "runs", "--json", "-q");
    expect(json.stdout).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(json.stdout)).toMatchObject({
      outcome: "equal",
      counts: { points: { compared: 20, missing: 0, extra: 0, different: 0 } },
      runs: [{ name: "train", outcome: "equal", remoteId: expect.stringMatching(/^[0-9a-f]{32}$/), differences: [] }],
    });
  });

  test("names what is not the same, also with --quiet, and ends with 1", async () => {
    const machine = machineWithRun();
    await machine.sync();
    change(machine, "DELETE FROM metrics WHERE key = 'loss' AND step = 3");
    change(machine, "UPDATE metrics SET value = 9 WHERE key = 'lr' AND step = 4");
    for (const quiet of [[], ["-q"]]) {
      const end = await machine.run("verify", "runs", ...quiet);
      expect(end).toMatchObject({ code: 1, stdout: "" });
      expect(end.stderr).toContain(
        'train: metric "loss": 1 missing\n    step 3: 0.75 at 1700000003250 ms is missing\n',
      );
      expect(end.stderr).toContain("step 4: 1 at 1700000004250 ms in the source, 9 at 1700000004250 ms there");
      expect(end.stderr).toContain("1 run: 1 different");
      // Neither another sync nor `forget` puts it right: MLflow has the marks of what was sent.
      expect(end.stderr).toContain("delete the run in MLflow, and sync again with --resend-deleted");
    }
    const { stdout } = await machine.run("verify", "runs", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      outcome: "different",
      counts: { points: { compared: 20, missing: 1, extra: 0, different: 1 } },
      runs: [
        {
          outcome: "different",
          differences: [
            {
              what: "points",
              name: "loss",
              missing: 1,
              points: [{ source: { step: "3", timestamp: 1700000003250, value: "0.75" }, there: null }],
            },
            { what: "points", name: "lr", different: 1 },
          ],
        },
      ],
    });
  });

  test("what an earlier choice has sent is a note, not a difference", async () => {
    const machine = machineWithRun();
    await machine.sync();
    await machine.sync("--exclude-tags", "loss");
    const end = await machine.run("verify", "runs", "--exclude-tags", "loss");
    expect(end.code).toBe(0);
    expect(end.stderr).toContain("Sent under an earlier choice, and no difference\n  train: 10 points\n");
    expect(end.stderr).toContain("1 run: 1 equal");
    const { stdout } = await machine.run("verify", "runs", "--exclude-tags", "loss", "--json", "-q");
    expect(JSON.parse(stdout)).toMatchObject({ outcome: "equal", counts: { points: { extra: 0, earlier: 10 } } });
  });

  test("changes neither database nor state, whoever has made them", async () => {
    const machine = machineWithRun();
    await machine.sync();
    const files = () =>
      [machine.database, path.join(machine.state, "state.db")].map((file) => readFileSync(file, "hex"));
    const before = files();
    machine.logdir.append("train", records(curve("loss", 10, 13)));
    const end = await machine.run("verify", "runs");
    expect(end.code).toBe(1);
    expect(end.stderr).toContain("sync with the same options, then verify again");
    expect(files()).toEqual(before);
    expect(readdirSync(machine.root).sort()).toEqual(["home", "mlflow.db", "runs"]);
  });

  test("a database that is not there, or is none, is an error; nothing is made", async () => {
    const machine = machineWithRun();
    const end = await machine.run("verify", "runs", "--json");
    expect(end.code).toBe(1);
    expect(JSON.parse(end.stdout)).toMatchObject({ outcome: "failed", error: { code: "rejected" } });
    expect(end.stderr).toContain(`there is no database ${machine.database}`);
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
    writeFileSync(machine.database, "");
    expect((await machine.run("verify", "runs")).stderr).toContain("is no MLflow database");
    expect(readFileSync(machine.database)).toHaveLength(0);
  });

  test("what is damaged or cannot be read is said", async () => {
    const machine = machineWithRun();
    machine.logdir.append("train", Buffer.from("not a record at all"));
    await machine.sync();
    const damaged = await machine.run("verify", "runs");
    expect(damaged.code).toBe(0);
    expect(damaged.stderr).toContain("Corrupt records in the source, skipped");
    machine.logdir.swapForDirectory("train");
    mkdirSync(path.join(machine.logdir.root, "more"));
    machine.logdir.write("more", fileOf(curve("loss", 0, 5), 1));
    expect((await machine.run("verify", "runs")).code).toBe(1);
  });

  test("nothing of a hostile logdir or server reaches the terminal raw", async () => {
    const machine = Machine.create();
    machine.logdir.write(
      `${EVIL}\n/${EVIL}tfevents`,
      eventFile(scalarEvent(EVIL, 1, 1), textEvent(`${EVIL}2`, 1, EVIL), scalarEvent("fine", 1, 1)),
    );
    machine.logdir.write(`${EVIL}\n/hparams.yaml`, Buffer.from(`${JSON.stringify(EVIL)}: ${JSON.stringify(EVIL)}\n`));
    await machine.sync();
    machine.look((database) => {
      database.prepare("UPDATE metrics SET key = ? WHERE key = 'fine'").run(EVIL);
      database.prepare("UPDATE latest_metrics SET key = ? WHERE key = 'fine'").run(EVIL);
      database.prepare("UPDATE params SET value = ?").run(`${EVIL} other`);
    });
    for (const more of [[], ["--json"], ["--experiment", EVIL]]) {
      const { code, stdout, stderr } = await machine.run("verify", "runs", ...more);
      expect(code).toBe(1);
      for (const text of [stdout, stderr]) {
        expect([more, text.replaceAll("\n", "").match(UNSAFE)]).toEqual([more, null]);
        expect(text).not.toMatch(/^\s+at /m);
      }
    }
  });
});

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends with %i, and says that it is incomplete", async (signal, code) => {
    const machine = Machine.create();
    execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), machine.logdir.root, "1", "20000", "5"]);
    // One that never answers.
    const server = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void server.close().closeAllConnections());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const asked = once(server, "request");
    const child = machine.start("verify", "runs", "--json", "--tracking-uri", `http://127.0.0.1:${port}`);
    const end = ended(child);
    await asked;
    child.kill(signal);
    const { code: ended_, stdout, stderr } = await end;
    expect(ended_).toBe(code);
    expect(JSON.parse(stdout)).toMatchObject({ outcome: "interrupted", runs: [{ outcome: "interrupted" }] });
    expect(stderr).toContain("interrupted, so this is incomplete");
    expectHarmless(stderr);
  });
});
