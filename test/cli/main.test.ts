/** The command as a process: usage, environment, errors. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { EVENT_FILE } from "../support/logdirs.ts";
import { EVIL, expectHarmless, Machine, machineWithRun, ROOT, UNSAFE } from "./tracelet.ts";

describe("the command line", () => {
  test("says its version, and how it is used", async () => {
    const machine = Machine.create();
    const { version } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as { version: string };
    expect(await machine.run("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
    for (const command of [[], ["sync"], ["watch"], ["verify"], ["inspect"], ["status"]]) {
      const help = await machine.run(...command, "--help");
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toContain(`Usage: tracelet${command.map((each) => ` ${each}`).join("")} `);
    }
    expect(readdirSync(machine.root).sort()).toEqual(["home", "runs"]);
  });

  test("shows options that several destinations take under all of their names", async () => {
    const { stdout } = await machineWithRun().run("sync", "--help");
    const [, section = ""] = stdout.split("MLflow and Weights & Biases:\n");
    const shown = section.split("\n\n")[0]?.match(/^ {2}--[a-z-]+/gm);
    expect(shown).toEqual(["  --experiment", "  --max-artifact-size", "  --resend-deleted"]);
  });

  test("loads nothing that is not needed for what it is told to do", async () => {
    const machine = machineWithRun();
    /** The files that are loaded, of tracelet and of the libraries. */
    const loaded = async (...args: readonly string[]) => {
      const coverage = path.join(machine.root, "coverage", `${args[0]}`);
      machine.env = { NODE_V8_COVERAGE: coverage };
      expect(await machine.run(...args)).toMatchObject({ code: 0 });
      const reports = readdirSync(coverage).map((name) => readFileSync(path.join(coverage, name), "utf8"));
      const scripts = reports.flatMap((text) => (JSON.parse(text) as { result: { url: string }[] }).result);
      return scripts.map(({ url }) => url).filter((url) => url.startsWith("file:"));
    };
    const toSync = await loaded("sync", "runs");
    expect(toSync.join("\n")).toMatch(/dist\/reader\/event-file\.js/);
    expect(toSync.filter((url) => /node_modules\/(undici|yaml|sharp|ora|prom-client|@aws-sdk)\//.test(url))).toEqual(
      [],
    );
    expect(toSync.filter((url) => /\/(run-pages|encode|rest-store|verify|watch)[^/]*\.js$/.test(url))).toEqual([]);
    const toSay = await loaded("--version");
    expect(toSay.join("\n")).toMatch(/dist\/cli\/program\.js/);
    expect(toSay.filter((url) => /\/dist\/(reader|sync)\//.test(url))).toEqual([]);
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
      ["watch"],
      ["watch", "runs", "--"],
      ["inspect"],
      ["status"],
      ["verify"],
      ["verify", "runs", "--dry-run"],
      ["verify", "runs", "--tracking-uri", "gopher://x"],
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
      kinds: { scalars: { read: 20, sent: 10, skipped: { excluded: 10 } } },
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

describe("an error", () => {
  const failing: [string, (machine: Machine) => readonly string[]][] = [
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
    expect(end.stderr).not.toContain("bug in tracelet");
    expectHarmless(end.stderr);
  });

  test("a state of text is none: it is set aside and said, and all is sent", async () => {
    const machine = machineWithRun();
    mkdirSync(machine.state, { recursive: true });
    writeFileSync(path.join(machine.state, "state.db"), "not a database ".repeat(100));
    const end = await machine.run("sync", "runs");
    expect(end).toMatchObject({ code: 0, stderr: expect.stringContaining("was set aside") });
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
