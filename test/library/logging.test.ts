/** startLogging … stopLogging in programs of their own, against an MLflow database. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Ended, ended, Machine, ROOT } from "../cli/tracelet.ts";
import { askPython } from "../sync/python.ts";

const PATIENCE = { timeout: 120_000 };
/** The options that every program here has. */
const HERE = `stateDir: "state", trackingUri: "sqlite:///mlflow.db"`;

/** A program that has tracelet installed. */
class Program {
  readonly machine: Machine = Machine.create();
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;

  /** @param code of a module, behind its imports @param kind of the module */
  constructor(code: string, kind: "mjs" | "cjs" = "mjs") {
    const { root } = this.machine;
    mkdirSync(path.join(root, "node_modules"));
    symlinkSync(ROOT, path.join(root, "node_modules/tracelet"));
    const names = "{ startLogging, stopLogging, getActiveExperiment, SummaryWriter, readEvents }";
    const head = kind === "mjs" ? `import ${names} from "tracelet";` : `const ${names} = require("tracelet");`;
    writeFileSync(path.join(root, `train.${kind}`), `${head}\n${code}`);
    const { PATH } = process.env;
    const env = { PATH, HOME: path.join(root, "home") };
    this.#child = spawn(process.execPath, [`train.${kind}`], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#ended = ended(this.#child);
  }

  static async run(code: string, kind?: "cjs"): Promise<Program & Ended> {
    const program = new Program(code, kind);
    return Object.assign(program, await program.#ended);
  }

  /** Until it has printed this. */
  async says(text: string): Promise<void> {
    let said = "";
    while (!said.includes(text)) {
      const [more] = (await once(this.#child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
      said += String(more);
    }
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  rows(sql: string): Record<string, unknown>[] {
    try {
      return this.machine.look((database) => database.prepare(sql).all() as Record<string, unknown>[]);
    } catch {
      return [];
    }
  }

  /** Points by metric. */
  points(): Record<string, number> {
    const rows = this.rows("SELECT key, count(*) AS n FROM metrics GROUP BY key ORDER BY key");
    return Object.fromEntries(rows.map(({ key, n }) => [String(key), Number(n)]));
  }

  status(): unknown[] {
    return this.rows("SELECT name, status FROM runs").map(({ name, status }) => `${name} ${status}`);
  }
}

test("all that is logged, by hand and by a SummaryWriter, is one run of MLflow", async () => {
  const program = await Program.run(`
    const run = startLogging({ expName: "first", project: "demo", ${HERE} });
    console.log(getActiveExperiment() === run, run.name);
    const writer = new SummaryWriter();
    for (let step = 0; step < 50; step++) {
      writer.addScalar("Loss/train", 1 / (step + 1), step);
      run.logMetric("accuracy", step / 50, step);
    }
    run.logMetric("counted", 1.5);
    run.logMetric("counted", 2.5);
    run.logEnhancedMetric("val/loss", 0.25, { type: "loss", step: 7, metadata: { unit: "nats" } });
    run.logParams({ lr: 0.1, epochs: 3, optimizer: { name: "sgd", betas: [0.9, 0.99] }, none: null, left: undefined });
    run.setTags({ team: "vision" });
    run.logText("notes", "# hi");
    run.logImage("image", { width: 2, height: 1, channels: 3, data: [1, 2, 3, 4, 5, 6] });
    run.logHistogram("weights", [1, 2, 3]);
    run.logAudio("sound", [0, 0.5, -0.5], 8000);
    await run.logArtifact("train.mjs", "code/");
    run.logArtifactBytes(Buffer.from("bytes"), "made/of.bin");
    console.log(JSON.stringify(await stopLogging()), getActiveExperiment());
    for await (const { kind, tag } of readEvents("runs")) console.log(kind, tag);`);
  expect([program.code, program.stderr]).toEqual([0, ""]);
  const lines = program.stdout.split("\n");
  expect(lines.slice(0, 2)).toEqual(["true first", '{"isSent":true,"bytesLeft":0} undefined']);
  expect(lines).toEqual(expect.arrayContaining(["scalars Loss/train", "text notes", "hparams tracelet/params"]));
  expect(program.status()).toEqual(["first FINISHED"]);
  expect(program.rows("SELECT name FROM experiments WHERE name = 'demo'")).toHaveLength(1);
  // As many as TensorBoard's own reader finds.
  const scalars = askPython(
    `
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
runs = EventMultiplexer(size_guidance={"scalars": 0, "tensors": 0}).AddRunsFromDirectory(data).Reload()
answer = {}
for run, tags in runs.Runs().items():
    for tag in tags["scalars"]: answer[tag] = answer.get(tag, 0) + len(runs.Scalars(run, tag))
    for tag in tags["tensors"]:
        if runs.SummaryMetadata(run, tag).plugin_data.plugin_name == "scalars":
            answer[tag] = answer.get(tag, 0) + len(runs.Tensors(run, tag))`,
    program.machine.logdir.root,
  );
  expect(scalars).toEqual({ "Loss/train": 50, accuracy: 50, counted: 2, "val/loss": 1 });
  expect(program.points()).toEqual(scalars);
  expect(program.rows("SELECT value FROM metrics WHERE key = 'accuracy' AND step = 7")).toEqual([{ value: 7 / 50 }]);
  const params = program.rows("SELECT key, value FROM params ORDER BY key");
  expect(Object.fromEntries(params.map(({ key, value }) => [String(key), value]))).toEqual({
    epochs: "3",
    lr: "0.1",
    none: "None",
    "optimizer/betas": "[0.9,0.99]",
    "optimizer/name": "sgd",
  });
  expect(program.rows("SELECT value FROM tags WHERE key = 'team'")).toEqual([{ value: "vision" }]);
  const run = program.rows("SELECT artifact_uri FROM runs")[0]?.["artifact_uri"];
  const artifacts = path.join(program.machine.root, String(run).replace(/^.*?mlruns/, "mlruns"));
  const sizeOf = (name: string) => statSync(path.join(artifacts, name), { throwIfNoEntry: false })?.size;
  expect(sizeOf("code/train.mjs")).toBe(statSync(path.join(program.machine.root, "train.mjs")).size);
  expect(sizeOf("made/of.bin")).toBe(5);
});

test("a SummaryWriter that is still open when logging is stopped", async () => {
  const program = await Program.run(`
    const { existsSync } = await import("node:fs");
    startLogging({ expName: "x", ${HERE} }).logMetric("first", 1);
    // Until it follows, so that nothing but its end makes it look.
    while (!existsSync("mlflow.db")) await new Promise((resolve) => setTimeout(resolve, 50));
    const writer = new SummaryWriter("runs/a");
    for (let step = 0; step < 100; step++) writer.addScalar("loss", step, step);
    console.log((await stopLogging()).isSent);`);
  expect([program.code, program.stderr, program.stdout]).toEqual([0, "", "true\n"]);
  expect(program.points()).toEqual({ first: 1, "a/loss": 100 });
});

test("CommonJS, twice one after the other: two runs, and a file that is sent from where it is", async () => {
  const program = await Program.run(
    `
    const { writeFileSync, truncateSync } = require("node:fs");
    async function main() {
      writeFileSync("large.bin", "");
      truncateSync("large.bin", 17 * 1024 * 1024);
      for (const expName of ["a", "b"]) {
        const run = startLogging({ expName, ${HERE} });
        run.logMetric(expName, 1);
        if (expName === "b") await run.logArtifact("large.bin");
        const { isSent, problem } = await stopLogging();
        console.log(isSent, problem);
      }
      console.log(await stopLogging());
    }
    main();`,
    "cjs",
  );
  expect([program.code, program.stderr]).toEqual([0, ""]);
  expect(program.stdout).toMatch(/^true undefined\ntrue undefined\n\{ isSent: true/);
  expect(program.status().sort()).toEqual(["a FINISHED", "b FINISHED"]);
  const found = program.rows("SELECT r.name, m.key FROM metrics m JOIN runs r USING (run_uuid) ORDER BY 1");
  expect(found).toEqual([
    { name: "a", key: "a" },
    { name: "b", key: "b" },
  ]);
  const uri = program.rows("SELECT artifact_uri FROM runs WHERE name = 'b'")[0]?.["artifact_uri"];
  const file = path.join(program.machine.root, String(uri).replace(/^.*?mlruns/, "mlruns"), "large.bin");
  expect(statSync(file).size).toBe(17 * 1024 * 1024);
});

describe("a program that does not say that it ends", () => {
  const logs = `
    const run = startLogging({ expName: "x", ${HERE} });
    for (let step = 0; step < 1000; step++) run.logMetric("loss", step, step);`;

  test.each([
    ["ends by itself", "", 0, "FINISHED"],
    ["throws", "throw new Error('broken');", 1, "FAILED"],
    ["says that it has failed", "process.exitCode = 3;", 3, "FAILED"],
  ])("%s: all of it is sent", async (_how, end, code, status) => {
    const program = await Program.run(logs + end);
    expect(program.code).toBe(code);
    await expect.poll(() => program.status(), { timeout: 120_000 }).toEqual([`x ${status}`]);
    expect(program.points()).toEqual({ loss: 1000 });
    await expect.poll(() => readdirSync(path.join(program.machine.root, "state/sessions")), PATIENCE).toEqual([]);
  });

  test("is killed: what it has handed to the system is sent", async () => {
    const program = new Program(`${logs}
      setTimeout(() => { console.log("logged"); setInterval(() => {}, 1000); }, 1000);`);
    await program.says("logged");
    await program.kill();
    await expect.poll(() => program.status(), { timeout: 120_000 }).toEqual(["x FAILED"]);
    expect(program.points()).toEqual({ loss: 1000 });
    await expect.poll(() => readdirSync(path.join(program.machine.root, "state/sessions")), PATIENCE).toEqual([]);
  });
});

test("stopLogging waits for as long as it is told, and says what is left and how it is sent", async () => {
  // Nobody listens at this port.
  const program = await Program.run(`
    process.on("warning", ({ name, message }) => console.log(name, message));
    const run = startLogging({ expName: "it's", stateDir: "state", trackingUri: "http://127.0.0.1:9", onEvent() {} });
    run.logMetric("loss", 1);
    const start = performance.now();
    const { isSent, problem, bytesLeft } = await stopLogging({ timeout: 3000 });
    console.log(JSON.stringify({ isSent, problem, bytesLeft, took: performance.now() - start }));`);
  const last = program.stdout.split("\n").find((line) => line.startsWith("{")) as string;
  const { isSent, problem, took } = JSON.parse(last) as { isSent: boolean; problem: string; took: number };
  const [, pid] = /process (\d+) goes on/.exec(problem) ?? [];
  onTestFinished(() => {
    if (pid !== undefined) process.kill(Number(pid), "SIGKILL");
  });
  expect([program.code, isSent]).toEqual([0, false]);
  expect(took).toBeGreaterThanOrEqual(2900);
  expect(problem).toMatch(/^not everything is sent after 3 s \(.*\); process \d+ goes on\. Should that be stopped/);
  expect(problem).toMatch(
    /this sends the rest: tracelet sync \S+ --group logdir --run-name 'it'\\''s' --since \d+\.\d{3} --config \S+\/state\/sessions\//,
  );
  expect(program.stdout).toContain("TraceletWarning not everything is sent after 3 s");
});

test("what is wrong is told, and never thrown into a training", async () => {
  const program = await Program.run(`
    const told = [];
    const run = startLogging({ ${HERE}, concurrency: 0, onEvent: (event) => told.push(event) });
    run.logMetric("loss", 1);
    const { isSent, problem } = await stopLogging();
    console.log(JSON.stringify([run.name, isSent, problem]));`);
  expect([program.code, program.stderr]).toEqual([
    0,
    expect.stringContaining("TraceletWarning: not everything is sent"),
  ]);
  const [name, isSent, problem] = JSON.parse(program.stdout) as [string, boolean, string];
  expect([name, isSent]).toEqual(["train", false]);
  expect(problem).toMatch(/concurrency.*whole number/s);
});

test("misuse is thrown", async () => {
  const program = await Program.run(`
    const caught = async (work) => {
      try { await work(); } catch ({ name, code, message }) { console.log(name, code, message); }
    };
    await caught(() => startLogging({ transform: () => {}, ${HERE} }));
    const run = startLogging({ expName: "x", ${HERE} });
    await caught(() => startLogging());
    await caught(() => run.logMetric("loss", "high"));
    await caught(() => run.logMetric("loss", 1, 0.5));
    await caught(() => run.logArtifact("nowhere.txt"));
    await caught(() => run.logArtifact("train.mjs", "../x"));
    await stopLogging();
    await caught(() => run.logMetric("loss", 1));
    await caught(() => run.logArtifact("train.mjs"));`);
  expect([program.code, program.stderr]).toEqual([0, ""]);
  expect(program.stdout.trimEnd().split("\n")).toEqual([
    "TraceletError usage option transform is code, and what is logged is sent by a process of its own",
    'TraceletError usage "x" is being logged already',
    "TraceletError usage the value of loss is no number",
    "TraceletError usage a step is a whole number, and 0.5 is none",
    expect.stringMatching(/^TraceletError usage cannot read the artifact nowhere\.txt: ENOENT/),
    'TraceletError usage the artifact\'s path "../x" has the part ".."',
    'TraceletError usage logging to "x" was stopped',
    'TraceletError usage logging to "x" was stopped',
  ]);
});
