/** start_logging in scripts that end, fail, are killed, fork, …: what was logged arrives, and nobody is disturbed. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { FRESH_DATABASE } from "./support/mlflow-server.ts";
import { type MlflowRun, NEW_PYTHON, readArtifacts, readMlflow } from "./support/python.ts";
import { PATIENCE } from "./support/scene.ts";

const SCRIPT = path.join(import.meta.dirname, "python/sessions.py");
const PACKAGE = path.resolve(import.meta.dirname, "../../python");

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-python-sessions-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A script that runs in a directory of its own, with an MLflow database there. */
class Script {
  readonly directory: string;
  readonly uri: string;
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown>;
  stdout = "";
  stderr = "";

  constructor(scenario: string, env: NodeJS.ProcessEnv = {}, args: readonly string[] = []) {
    this.directory = path.join(folder, scenario);
    this.uri = `sqlite:///${path.join(this.directory, "mlflow.db")}`;
    mkdirSync(this.directory, { recursive: true });
    // MLflow's client would take seconds to make one.
    const fresh = process.env[FRESH_DATABASE];
    const database = path.join(this.directory, "mlflow.db");
    if (fresh !== undefined && !existsSync(database)) copyFileSync(fresh, database);
    this.#process = spawn(NEW_PYTHON, ["-W", "ignore", "-W", "default::ResourceWarning", SCRIPT, scenario, ...args], {
      cwd: this.directory,
      env: {
        ...process.env,
        PYTHONPATH: PACKAGE,
        TRACELET_STATE_DIR: path.join(this.directory, "state"),
        MLFLOW_TRACKING_URI: this.uri,
        ...env,
      },
      // As what a terminal starts: a group of its own.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process.stdout?.on("data", (text) => (this.stdout += String(text)));
    this.#process.stderr?.on("data", (text) => (this.stderr += String(text)));
    this.#closed = once(this.#process, "close");
  }

  /** What Ctrl-C does. */
  interrupt(): void {
    process.kill(-(this.#process.pid as number), "SIGINT");
  }

  /** @returns what it prints last @throws Error if it ends with another exit code */
  async ended(code = 0): Promise<{ [name: string]: unknown }> {
    await this.#closed;
    if (this.#process.exitCode !== code)
      throw new Error(`ended with ${this.#process.exitCode ?? this.#process.signalCode}:\n${this.stderr}`);
    return JSON.parse(this.stdout.trim().split("\n").at(-1) || "null") as { [name: string]: unknown };
  }

  async killed(): Promise<NodeJS.Signals | null> {
    await this.#closed;
    return this.#process.signalCode;
  }

  async runs(): Promise<{ [name: string]: MlflowRun }> {
    const { runs } = await readMlflow(this.uri, "sessions");
    expect(new Set(runs.map(({ name }) => name)).size).toBe(runs.length);
    return Object.fromEntries(runs.map((run) => [run.name, run]));
  }
}

/** A run's metrics as [step, value]. */
function values(run: MlflowRun | undefined): { [tag: string]: [number, number][] } {
  return Object.fromEntries(
    Object.entries(run?.metrics ?? {}).map(([tag, points]) => [
      tag,
      points.map(([step, , value]) => [Number(step), Number(value)]),
    ]),
  );
}

/** Those that have gone on by themselves. */
function endWatches(said: string): void {
  for (const [, pid] of said.matchAll(/process (\d+) goes on/g)) process.kill(Number(pid), "SIGKILL");
}

test("stop_logging waits until everything is there, and says so", async () => {
  const script = new Script("stopped");
  expect(await script.ended()).toEqual({ sent: true, again: true, active: null });
  const { run } = await script.runs();
  expect(values(run)).toEqual({
    loss: [
      [0, 0],
      [1, 0.1],
      [2, 0.2],
    ],
  });
  expect(run?.params).toEqual({ lr: "0.0001", "deep/n": "32" });
  expect(run?.status).toBe("FINISHED");
  expect(script.stderr).toBe("tracelet: 'run' has ended: what is logged to it after stop_logging is skipped\n");
});

test.each([
  ["left_to_exit", 0, "FINISHED"],
  ["failing", 1, "FAILED"],
  ["exiting", 3, "FAILED"],
  ["exiting_well", 0, "FINISHED"],
  ["failing_in_try", 1, "FAILED"],
  ["recovered", 0, "FINISHED"],
])("a script that ends without a word of how: %s", async (scenario, code, status) => {
  const script = new Script(scenario);
  await script.ended(code);
  const { run } = await script.runs();
  expect(values(run)).toEqual({ loss: [[0, 0.5]] });
  expect(run?.status).toBe(status);
});

test("of a script that is killed, the watch sends what is in its files, and ends", async () => {
  const script = new Script("killed");
  expect(await script.killed()).toBe("SIGKILL");
  await vi.waitFor(async () => expect((await script.runs())["run"]?.status).toBe("FAILED"), PATIENCE);
  expect(values((await script.runs())["run"])).toEqual({ loss: [[0, 0.5]] });
  const left = () =>
    readdirSync(path.join(script.directory, "state/sessions")).filter((name) => !name.endsWith(".lease"));
  await vi.waitFor(() => expect(left()).toEqual([]), PATIENCE);
});

test("where the watch is killed, stop_logging sends the rest", async () => {
  const script = new Script("without_watch");
  // The second one has what is left of the time.
  expect(await script.ended(), script.stderr).toEqual({ sent: true, watches: 2, deadlines: 1 });
  expect(script.stderr).toMatch(/tracelet watch ended with signal 9.* The script goes on\./);
  expect(values((await script.runs())["run"])).toEqual({
    loss: [
      [0, 0.5],
      [1, 0.25],
    ],
  });
});

test("Ctrl-C reaches the script alone; the rest is sent", async () => {
  const script = new Script("interrupted");
  const steps = path.join(script.directory, "steps");
  await vi.waitFor(
    () => expect(Number(existsSync(steps) && readFileSync(steps, "utf8"))).toBeGreaterThan(100),
    PATIENCE,
  );
  script.interrupt();
  expect(await script.ended()).toEqual({ interrupted: true });
  const { loss } = values((await script.runs())["run"]);
  // It may have been interrupted between the value and its note.
  expect(loss?.length).toBeGreaterThanOrEqual(Number(readFileSync(steps, "utf8")) + 1);
  expect(loss).toEqual(loss?.map((_, step) => [step, step]));
});

test("Ctrl-C while stop_logging waits ends the wait, not the sending", async () => {
  const script = new Script("impatient", { MLFLOW_TRACKING_URI: "http://127.0.0.1:9" });
  await vi.waitFor(() => expect(script.stderr).toContain("still sending"), PATIENCE);
  script.interrupt();
  expect(await script.ended()).toEqual({ interrupted: true });
  expect(script.stderr).toMatch(/interrupted.* process \d+ goes on sending by itself.* tracelet watch /s);
  endWatches(script.stderr);
});

test("called again for the same run it goes on; another run ends the first", async () => {
  const script = new Script("repeated");
  expect(await script.ended()).toEqual({ same: true, new: true, sent: true });
  expect(script.stderr).toContain("'first' is still being logged; it ends here, since 'second' begins");
  const { runs } = await readMlflow(script.uri, "sessions");
  const logged = runs.map((run) => [run.name, values(run)["loss"]?.map(([, value]) => value)]).sort();
  expect(logged).toEqual([
    ["first", [1, 2]],
    ["first", [4]],
    ["second", [3]],
  ]);
});

test("in a notebook, where an event loop runs", async () => {
  const script = new Script("notebook");
  expect(await script.ended()).toEqual({ sent: true });
  expect(values((await script.runs())["run"])).toEqual({ loss: [[0, 0.5]] });
});

test("a forked child keeps no session open, and what it logs arrives", async () => {
  const script = new Script("forked");
  expect(await script.ended()).toEqual({ sent: true, alive: true });
  expect(values((await script.runs())["run"])).toEqual({ loss: [[0, 0.5]], child: [[0, 1.5]] });
});

test("a child that multiprocessing has forked loses nothing, without stop_logging", async () => {
  const script = new Script("forked_by_multiprocessing");
  expect(await script.ended()).toEqual({ sent: true, code: 0 });
  const { child } = values((await script.runs())["run"]);
  expect(child).toEqual(Array.from({ length: 10 }, (_, step) => [step, step]));
});

test.runIf(process.platform === "linux")(
  "children that have ended before they are seen are part of the run",
  async () => {
    const script = new Script("short_lived");
    expect(await script.ended(), script.stderr).toEqual({ sent: true });
    expect(values((await script.runs())["run"])).toEqual({
      loss: [[0, 0.5]],
      "forked/loss": [[0, 1.5]],
      "started/loss": [[0, 1.5]],
    });
  },
);

test.runIf(process.platform === "linux")(
  "a file that may be this run's or a stranger's: stop_logging is False",
  async () => {
    const script = new Script("stranger");
    expect(await script.ended(), script.stderr).toEqual({ sent: false });
    expect(script.stderr).toMatch(/runs\/other\/.* is left alone.*\n.*files left alone that may be this run's: 1/);
    expect(Object.keys(values((await script.runs())["run"]))).toEqual(["loss", "own/loss"]);
  },
);

test("the first rank waits for what others log last; one that comes later is told that it is too late", async () => {
  const script = new Script("ranks");
  const { said, ...ended } = await script.ended();
  expect(ended, script.stderr).toEqual({ sent: true, others: [true, false] });
  expect(said).toEqual(["", expect.stringContaining("the process that sends this run has ended")]);
  expect(script.stderr).toBe("");
  const { run } = await script.runs();
  expect(values(run)["last/1"]).toEqual([[0, 1]]);
});

test("spawned children that begin the same run join it", async () => {
  const script = new Script("spawned");
  expect(await script.ended()).toEqual({ sent: true, codes: [0, 0] });
  expect(values((await script.runs())["run"])).toEqual({
    loss: [[0, 0.5]],
    "child/1": [[0, 1]],
    "child/2": [[0, 2]],
  });
});

test("a destination that is away holds nobody up for longer than was said; the command that is named sends the rest", async () => {
  const script = new Script("unreachable", { MLFLOW_TRACKING_URI: "http://127.0.0.1:9" });
  const { sent, waited } = await script.ended();
  expect(sent).toBe(false);
  expect(waited).toBeGreaterThan(5.9);
  expect(script.stderr).toMatch(/not everything is sent after 6 s \(\d+ bytes of event files left/);
  endWatches(script.stderr);
  // Not in a temporary directory, which may be gone when somebody types the command.
  const kept = readdirSync(path.join(script.directory, "state/sessions"));
  const [config, ...others] = kept.filter((name) => name.endsWith(".json"));
  expect(others).toEqual([]);
  expect(script.stderr).toContain(`--config ${path.join(script.directory, "state/sessions", config as string)}`);
  const command = /this sends the rest: (.*)/.exec(script.stderr)?.[1] as string;
  const again = spawn("sh", ["-c", command.replace("tracelet watch", '"$0" -m tracelet_sync watch'), NEW_PYTHON], {
    cwd: script.directory,
    env: {
      ...process.env,
      PYTHONPATH: PACKAGE,
      TRACELET_STATE_DIR: path.join(script.directory, "state"),
      MLFLOW_TRACKING_URI: script.uri,
    },
    stdio: "ignore",
  });
  expect((await once(again, "close"))[0]).toBe(0);
  expect(values((await script.runs())["run"])).toEqual({ loss: [[0, 0.5]] });
});

test("a mistake in the settings is reported in tracelet's words, and the script goes on", async () => {
  const script = new Script("mistaken");
  expect(await script.ended()).toEqual({ sent: false });
  expect(script.stderr).toMatch(/tracelet watch ended with exit code 2: .*metrics_intervall/);
  // Once, and without a command that could not do better.
  expect(script.stderr.match(/metrics_intervall/g)).toHaveLength(1);
  expect(script.stderr).not.toContain("This sends the rest");
  expect(readdirSync(path.join(script.directory, "state/sessions"))).toEqual([]);
});

test("without Node the script goes on, and what it logs is kept", async () => {
  const script = new Script("without_node");
  expect(await script.ended()).toEqual({ sent: false });
  expect(script.stderr).toContain("TRACELET_NODE names no executable");
  expect(readdirSync(path.join(script.directory, "runs"))).toEqual([expect.stringMatching(/^events.*\.tracelet$/)]);
});

test("two scripts side by side in one directory: each run holds what its own script has logged", async () => {
  const names = [
    ["alpha", "beta"],
    ["beta", "alpha"],
  ] as const;
  const scripts = names.map((args) => new Script("side_by_side", {}, args));
  for (const script of scripts) expect(await script.ended(), script.stderr).toEqual({ sent: true });
  const runs = await (scripts[0] as Script).runs();
  const steps = Array.from({ length: 21 }, (_, step) => [step, step]);
  expect(Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, values(run)]))).toEqual({
    alpha: { alpha: steps },
    beta: { beta: steps },
  });
});

test("track_tensorboard: False sends what is logged by hand alone", async () => {
  const script = new Script("by_hand_alone");
  expect(await script.ended(), script.stderr).toEqual({ sent: true, same: true });
  expect(values((await script.runs())["run"])).toEqual({ loss: [[0, 0.5]], child: [[0, 1]] });
  expect(script.stderr).toBe("");
});

test("what a writer has queued that nobody closed is sent", async () => {
  const script = new Script("abandoned");
  expect(await script.ended()).toEqual({ sent: true });
  expect(values((await script.runs())["run"])["loss"]).toEqual(Array.from({ length: 50 }, (_, step) => [step, step]));
});

test("a SummaryWriter that writes elsewhere, or was made too early, is named", async () => {
  const script = new Script("elsewhere");
  await script.ended();
  expect(script.stderr).toMatch(/a SummaryWriter writes to .*another\/place, which is not followed/);
  expect(script.stderr).toMatch(/a SummaryWriter of .*runs\/early was made before start_logging/);
  expect(script.stderr).not.toContain("runs/later");
});

test("files arrive as they are, the large ones from where they lie", async () => {
  const script = new Script("files", {}, ["changes"]);
  expect(await script.ended(), script.stderr).toEqual({ sent: false });
  expect(script.stderr).toMatch(
    /huge\.bin'\): more than 100 MB, which only the process can log that has begun this run/,
  );
  expect(script.stderr).toMatch(/artifact "changing\.bin" is skipped: .* has changed since it was logged/);
  expect(script.stderr).toContain("files not sent: 1, as was said of each; everything else is there");
  const { run } = await script.runs();
  expect(run?.tags["team"]).toBe("blue");
  const large = readFileSync(path.join(script.directory, "large.bin"));
  expect(await readArtifacts(script.uri, run?.id as string)).toMatchObject({
    "models/small.txt": [5, expect.anything()],
    "notes/other.txt": [5, expect.anything()],
    "child/large.bin": [17 << 20, createHash("sha256").update(large).digest("hex")],
    "notes/small.txt": [5, createHash("sha256").update("small").digest("hex")],
    "large.bin": [17 << 20, createHash("sha256").update(large).digest("hex")],
  });
});
