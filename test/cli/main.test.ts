/** The command as a process: what it prints where, what it leaves behind, and how it ends. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { lockSource } from "../../src/sync/lock.ts";
import { eventFile, scalarEvent, textEvent } from "../support/event-writer.ts";
import { EVENT_FILE } from "../support/logdirs.ts";
import { curve, fileOf, records } from "../sync/world.ts";
import { ended, expectHarmless, Machine, UNSAFE } from "./tracelet.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const EVIL = "a\u001b]52;c;AAAA\u0007b\u009b31mc\u202ed\re";

function machineWithRun(): Machine {
  const machine = Machine.create();
  machine.logdir.write("train", fileOf([...curve("loss", 0, 10), ...curve("lr", 0, 10)]));
  return machine;
}

describe("the command line", () => {
  test("says its version, and how it is used", async () => {
    const machine = Machine.create();
    const { version } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as { version: string };
    expect(await machine.run("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
    for (const command of [[], ["sync"], ["inspect"], ["status"]]) {
      const help = await machine.run(...command, "--help");
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toContain(`Usage: tracelet${command.map((each) => ` ${each}`).join("")} `);
    }
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
  });

  test("ends with 2 when it is used wrongly, touching nothing", async () => {
    const machine = machineWithRun();
    const wrong = [
      [],
      ["nonsense"],
      ["sync"],
      ["sync", "runs", "--nonsense"],
      ["sync", "runs", "--backend", "nobody"],
      ["sync", "runs", "--concurrency", "0"],
      ["sync", "runs", "--nan", "maybe"],
      ["sync", "runs", "--restarts", "never"],
      ["sync", "runs", "--max-record-size", "huge"],
      ["sync", "runs", "--give-up-after", "soon"],
      ["sync", "runs", "--tracking-uri", ""],
      ["sync", "runs", "--tracking-uri", "sqlite://mlflow.db"],
      ["sync", "runs", "--tracking-uri", "localhost:5000"],
      ["sync", "runs", "--tracking-uri", "gopher://x"],
      ["inspect"],
      ["status"],
    ];
    const ends = await Promise.all(wrong.map((args) => machine.run(...args)));
    ends.forEach((end, i) => {
      expect([wrong[i], end.code, end.stdout]).toEqual([wrong[i], 2, ""]);
      expect(end.stderr).not.toBe("");
      expectHarmless(end.stderr);
    });
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
  });

  test("says what it cannot write to, and what to use instead, touching nothing", async () => {
    const machine = machineWithRun();
    const uris = [
      "databricks",
      "postgresql://u:secret@h/db",
      "./mlruns",
      "file:///tmp/mlruns",
      "sqlite://",
      "sqlite:///:memory:",
    ];
    for (const end of await Promise.all(uris.map((uri) => machine.run("sync", "runs", "--tracking-uri", uri)))) {
      expect(end).toMatchObject({ code: 1, stdout: "" });
      expect(end.stderr).toMatch(/^error: .*\n {2}.+\n$/);
      expect(end.stderr).not.toContain("secret");
      expectHarmless(end.stderr);
    }
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
  });
});

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
    expect(first.kinds["scalars"]).toEqual({ read: 20, sent: 20, failed: 0, leftOut: {} });
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
    expect(damaged.stderr).toContain("Damage passed over");
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

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "%s ends with %i behind the batch under way; the next sync completes it",
    { timeout: 60_000 },
    async (signal, code) => {
      const machine = Machine.create();
      execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), machine.logdir.root, "1", "250000", "5"]);
      const child = machine.start("sync", "runs", "--json");
      const end = ended(child);
      // The file is there before its tables are; the first batch is there long before the last.
      const began = () => existsSync(machine.database) && machine.points() > 0;
      for (let i = 0; i < 2000; i++) {
        try {
          if (began()) break;
        } catch {}
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      child.kill(signal);
      const { code: ended_, stdout, stderr } = await end;
      expect(ended_).toBe(code);
      const result = JSON.parse(stdout) as {
        outcome: string;
        kinds: { scalars: { read: number; sent: number; failed: number; leftOut: object } };
      };
      expect(result.outcome).toBe("interrupted");
      const { read, sent, failed } = result.kinds.scalars;
      expect([failed, read > 0, sent < 250_000]).toEqual([0, true, true]);
      expect(stderr).toContain("interrupted; the same command goes on from here");
      expectHarmless(stderr);
      const rest = await machine.sync();
      expect(rest).toMatchObject({ code: 0, outcome: "ok" });
      expect(machine.points()).toBe(250_000);
      expect(machine.look((database) => database.prepare("SELECT count(*) AS n FROM runs").get())).toEqual({ n: 1 });
    },
  );

  test("that comes twice ends it at once, whatever it waits for", async () => {
    const machine = machineWithRun();
    const server = net.createServer(() => {}).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const child = machine.start("sync", "runs", "--tracking-uri", `http://127.0.0.1:${port}`);
    const end = ended(child);
    const [socket] = (await once(server, "connection")) as [net.Socket];
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(child.exitCode).toBeNull();
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ code: 143, stdout: "" });
    socket.destroy();
  });
});

describe("the environment", () => {
  test("gives what is not given on the command line", async () => {
    const machine = machineWithRun();
    machine.env = {
      TRACELET_TRACKING_URI: "sqlite:///from-env.db",
      TRACELET_EXPERIMENT: "from env",
      TRACELET_STATE_DIR: "state-from-env",
      TRACELET_EXCLUDE_TAGS: "lr,debug/*",
      TRACELET_JSON: "1",
      TRACELET_DRY_RUN: "false",
      TRACELET_QUIET: "",
    };
    const end = await machine.run("sync", "runs");
    expect(JSON.parse(end.stdout)).toMatchObject({
      dryRun: false,
      kinds: { scalars: { read: 20, sent: 10, leftOut: { excluded: 10 } } },
    });
    expect(end.stderr).toContain("1 run: 1 sent");
    expect(existsSync(path.join(machine.root, "state-from-env", "state.db"))).toBe(true);
    const experiments = (file: string) =>
      machine.look(
        (database) => database.prepare("SELECT name FROM experiments ORDER BY experiment_id").all(),
        path.join(machine.root, file),
      );
    expect(experiments("from-env.db")).toEqual([{ name: "Default" }, { name: "from env" }]);
    await machine.sync("--tracking-uri", "sqlite:///given.db", "--experiment", "given", "--exclude-tags", "nothing");
    expect(experiments("given.db")).toEqual([{ name: "Default" }, { name: "given" }]);
  });

  test("MLflow's own variables are understood, tracelet's go before them", async () => {
    const machine = machineWithRun();
    const name = () =>
      machine.look(
        (database) => database.prepare("SELECT name FROM experiments ORDER BY 1 DESC").get()?.["name"],
        path.join(machine.root, "theirs.db"),
      );
    machine.env = { MLFLOW_TRACKING_URI: "sqlite:///theirs.db", TRACELET_PROJECT: "a project" };
    await machine.sync();
    expect(name()).toBe("a project");
    machine.env = { ...machine.env, MLFLOW_EXPERIMENT_NAME: "b theirs" };
    await machine.sync();
    expect(name()).toBe("b theirs");
    machine.env = { ...machine.env, TRACELET_EXPERIMENT: "c ours" };
    await machine.sync();
    expect(name()).toBe("c ours");
  });

  test("a wrong value is a usage error as on the command line", async () => {
    const machine = machineWithRun();
    machine.env = { TRACELET_CONCURRENCY: "many" };
    expect(await machine.run("sync", "runs")).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("TRACELET_CONCURRENCY"),
    });
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

describe("an error", () => {
  const failing: [string, (machine: Machine) => readonly string[]][] = [
    [
      "a state of text",
      (machine) => {
        mkdirSync(machine.state, { recursive: true });
        writeFileSync(path.join(machine.state, "state.db"), "not a database ".repeat(100));
        return [];
      },
    ],
    ["a state directory that is a file", () => ["--state-dir", path.join("runs", "train", EVENT_FILE)]],
    ["a state directory that cannot be", () => ["--state-dir", "/sys/tracelet"]],
    [
      "a database of text",
      (machine) => {
        writeFileSync(machine.database, "not a database ".repeat(100));
        return [];
      },
    ],
    [
      "a database of something else",
      (machine) => {
        writeFileSync(machine.database, "");
        machine.look((database) => database.exec("CREATE TABLE photos (id)"));
        return [];
      },
    ],
    ["a server that is not there", () => ["--tracking-uri", "http://127.0.0.1:1", "--give-up-after", "100ms"]],
  ];

  test.each(failing)("%s: one clear message, no stack", async (_, prepare) => {
    const machine = machineWithRun();
    const end = await machine.run("sync", "runs", ...prepare(machine));
    expect(end).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr).not.toContain("fault of tracelet");
    expectHarmless(end.stderr);
  });

  test("has its stack with --log-level debug, and then too nothing raw", async () => {
    const machine = machineWithRun();
    for (const env of [{}, { TRACELET_LOG_LEVEL: "debug" }]) {
      machine.env = env;
      const args = Object.keys(env).length === 0 ? ["--log-level", "debug"] : [];
      const end = await machine.run("sync", `nowhere${EVIL}`, ...args);
      expect(end.stderr).toMatch(/^\s+at /m);
      expect(end.stderr.replaceAll("\n", "")).not.toMatch(UNSAFE);
    }
  });
});

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
