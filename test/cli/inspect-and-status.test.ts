/** `tracelet inspect` and `tracelet status` as processes. */
import { once } from "node:events";
import { readdirSync, symlinkSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { eventFile, scalarEvent, textEvent } from "../support/event-writer.ts";
import { EVENT_FILE } from "../support/logdirs.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { ended, Machine, machineWithRun } from "./tracelet.ts";

describe("inspect", () => {
  test("tells runs, tags, kinds and ranges", async () => {
    const machine = machineWithRun();
    machine.logdir.append("train", eventFile(textEvent("note", 3, "x"), scalarEvent("far", 2n ** 62n, 1)));
    const end = await machine.run("inspect", "runs");
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(end.stdout).toMatch(/^train\n/);
    expect(end.stdout).toMatch(/loss +scalars +10 +0 … 9 +2023-11-14 22:13:20 +2023-11-14 22:13:29\n/);
    expect(end.stdout).toContain("1 run, 22 values");
    const json = await machine.run("inspect", "runs", "--json");
    expect(json.stdout).toMatch(/^\{.*\}\n$/);
    const { runs } = JSON.parse(json.stdout) as {
      runs: { series: { tag: string; lastStep: number | string; count: number }[] }[];
    };
    expect(runs[0]?.series).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ tag: "loss", lastStep: 9, count: 10 }),
        expect.objectContaining({ tag: "far", lastStep: String(2n ** 62n) }),
      ]),
    );
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
  });

  test("ends with 3 at damage and with 1 where there is nothing to read", async () => {
    const machine = machineWithRun();
    machine.logdir.append("train", Buffer.from("not a record at all"));
    const end = await machine.run("inspect", `runs/train/${EVENT_FILE}`);
    expect(end.code).toBe(3);
    expect(end.stdout).toMatch(/damaged end: 19 B at \d+\n/);
    expect(await machine.run("inspect", "nowhere")).toMatchObject({ code: 1, stdout: "" });
  });

  test("ends quietly when its reader has gone", async () => {
    const machine = Machine.create();
    for (let i = 0; i < 300; i++) machine.logdir.write(`run-${i}`, fileOf(curve("loss", 0, 3), i));
    const child = machine.start("inspect", "runs");
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
    child.stdout?.destroy();
    expect(await ended(child)).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("status", () => {
  const states = async (machine: Machine) => {
    const end = await machine.run("status", "runs", "--json");
    expect(end).toMatchObject({ code: 0, stderr: "" });
    const { runs } = JSON.parse(end.stdout) as {
      runs: { run: string; state: string; sent: number; left: number; destination: string }[];
    };
    return runs;
  };

  test("tells how far each run is, and touches nothing", async () => {
    const machine = machineWithRun();
    expect(await states(machine)).toEqual([]);
    expect((await machine.run("status", "runs")).stdout).toBe("1 run, none of them sent anywhere from here\n");
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
    await machine.sync();
    const size = machine.logdir.size("train");
    expect(await states(machine)).toMatchObject([{ run: "train", state: "done", sent: size, left: 0 }]);
    const more = records(curve("loss", 10, 12));
    machine.logdir.append("train", more);
    machine.logdir.write("eval", fileOf(curve("loss", 0, 3), 1));
    expect(await states(machine)).toMatchObject([
      { run: "eval", state: "not sent", sent: 0, left: machine.logdir.size("eval") },
      { run: "train", state: "partly", sent: size, left: more.length },
    ]);
    const text = (await machine.run("status", "runs")).stdout;
    expect(text).toContain(`mlflow sqlite:${machine.database} Default\n`);
    expect(text).toMatch(/^train +partly +/m);
  });
});

test("a link to a run is no run of its own, and is named", async () => {
  const machine = machineWithRun();
  symlinkSync("train", path.join(machine.logdir.root, "latest"));
  const inspected = await machine.run("inspect", "runs");
  expect(inspected.stdout).toContain("reached by links, too, and taken once: latest is train\n1 run, ");
  const { runs, links } = JSON.parse((await machine.run("inspect", "runs", "--json")).stdout) as {
    runs: { name: string }[];
    links: object[];
  };
  expect([runs.map(({ name }) => name), links]).toEqual([
    ["train"],
    [{ name: "latest", run: "train", isWanted: true }],
  ]);
  const synced = await machine.sync();
  expect(synced.stderr).toContain("reached by links, too, and taken once: latest is train");
  expect((await machine.run("status", "runs")).stdout).not.toContain("latest");
  const asked = await machine.run("sync", "runs", "--include-runs", "latest");
  expect(asked.code).toBe(0);
  expect(asked.stderr).toContain("latest is a link to train, which is not selected; name it as a logdir");
  expect((await machine.run("verify", "runs", "--include-runs", "latest")).stderr).toContain("name it as a logdir");
  expect((await machine.run("forget", "runs")).stdout).toMatch(/^train at .*\nforgotten: 1 run at 1 destination\n$/);
  // TensorBoard's view is what --group none has.
  await machine.sync("--group", "none");
  expect((await machine.run("status", "runs")).stdout).toMatch(/^latest +done /m);
});
