/** Sessions as programs start them beside themselves: `watch --group logdir --since --until-eof --pid`, in processes of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { otherWriter } from "../../src/cli/file-owner.ts";
import { WALL_TIME } from "../support/event-writer.ts";
import { curve, fileOf, type Point, records } from "../sync/world.ts";
import { type Ended, ended, expectHarmless, Machine } from "./tracelet.ts";

const PATIENCE = { timeout: 60_000, interval: 50 };
const now = () => Date.now() / 1000;
const file = (pid: number, n = 0, host = os.hostname()) =>
  `events.out.tfevents.${Math.floor(now())}.${host}.${pid}.${n}`;

/** A process that goes on until the test ends, and one that it has started. */
async function training(): Promise<{ readonly process: ChildProcess; readonly pid: number; readonly child: number }> {
  const sleep = "setInterval(() => {}, 1000)";
  const code = `const { spawn } = require("node:child_process");
    const child = spawn(process.execPath, ["-e", process.argv[1]]);
    process.on("SIGTERM", () => { child.kill("SIGKILL"); process.exit(); });
    console.log(child.pid); ${sleep}`;
  const started = spawn(process.execPath, ["-e", code, sleep], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void started.kill("SIGTERM"));
  const [line] = (await once(started.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return { process: started, pid: started.pid as number, child: Number(line) };
}

/** As a training that runs now writes it: the times of its file are the clock's. */
function write(machine: Machine, name: string, points: readonly Point[]): void {
  const target = path.join(machine.logdir.root, name);
  mkdirSync(path.dirname(target), { recursive: true });
  if (existsSync(target)) appendFileSync(target, records(points));
  else writeFileSync(target, fileOf(points, now() - WALL_TIME));
}

/** A run's points, as MLflow has them. */
function pointsOf(machine: Machine, run: string): string[] {
  return machine.look((database) =>
    database
      .prepare(
        "SELECT m.key, m.step, m.value FROM metrics AS m JOIN runs AS r USING (run_uuid) WHERE r.name = ? ORDER BY 1, 2",
      )
      .all(run)
      .map(({ key, step, value }) => `${String(key)} ${String(step)} ${String(value)}`),
  );
}

const texts = (...points: readonly Point[]) => points.map(({ tag, step, value }) => `${tag} ${step} ${value}`).sort();

class SessionOf {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;

  constructor(machine: Machine, ...args: readonly string[]) {
    this.#child = machine.startIn(
      machine.root,
      ["watch", "runs", "--group", "logdir", "--until-eof", ...args],
      ["pipe", "pipe", "pipe"],
    );
    onTestFinished(() => void this.#child.kill("SIGKILL"));
    this.ended = ended(this.#child);
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  async end(word = "finished\n"): Promise<Ended> {
    this.#child.stdin?.end(word);
    return this.ended;
  }
}

test.runIf(process.platform === "linux")(
  "a file is another's while another process of this machine writes it",
  async () => {
    const { pid, child, process: started } = await training();
    const writer = otherWriter(pid);
    const begun = Date.now();
    expect([file(pid), file(child), file(process.pid)].map((name) => writer(name, begun))).toEqual([
      undefined,
      undefined,
      "running",
    ]);
    expect(otherWriter(child)(file(pid), begun)).toBe("running");
    const other = ["events.out.tfevents.1.host", file(process.pid, 0, "elsewhere"), `${file(process.pid, 1)}.v2`];
    expect(other.map((name) => writer(name, begun))).toEqual([undefined, undefined, "running"]);
    // The id was another process's when the file was begun.
    expect(writer(file(process.pid, 2), begun - 3_600_000)).toBe("ended");
    started.kill("SIGTERM");
    await once(started, "exit");
    // It was seen while it ran, and so were its descendants; by another it was not.
    expect([file(pid), file(child)].map((name) => writer(name, begun))).toEqual([undefined, undefined]);
    expect(otherWriter(process.ppid)(file(pid), begun)).toBe("ended");
  },
);

test.each(["mlflow", "jsonl"])(
  "names that two members share stay theirs at %s, whatever becomes of the state",
  async (backend) => {
    const machine = Machine.create();
    const to = ["--group", "logdir", "--backend", backend, ...(backend === "jsonl" ? ["--output", "out"] : [])];
    const files = [`version_0/${file(2)}`, `other/version_0/${file(1)}`] as const;
    write(machine, files[1], curve("loss", 0, 3));
    expect(await machine.sync(...to)).toMatchObject({ code: 0 });
    write(machine, files[0], curve("loss", 0, 4));
    for (let step = 4; step < 7; step++) {
      expect(await machine.sync(...to)).toMatchObject({ code: 0 });
      for (const each of files) write(machine, each, curve("loss", step, step + 1));
      if (step === 5) rmSync(machine.state, { recursive: true });
    }
    expect(await machine.sync(...to)).toMatchObject({ code: 0, kinds: { scalars: { failed: 0 } } });
    expect(await machine.run("verify", "runs", ...to)).toMatchObject({ code: 0 });
    const read = () =>
      readFileSync(path.join(machine.root, "out", "runs.jsonl"), "utf8")
        .split("\n")
        .filter((line) => line.includes('"tag"'))
        .map((line) => JSON.parse(line) as Point)
        .map(({ tag, step, value }) => `${tag} ${String(step)} ${String(value)}`)
        .sort();
    const points = backend === "mlflow" ? pointsOf(machine, "runs") : read();
    expect(points).toEqual(
      texts(...[...curve("loss", 0, 3), ...curve("loss", 4, 7)], ...curve("version_0/loss", 0, 7)),
    );
  },
);

test.runIf(process.platform === "linux")("a writer that was made too early and goes on is named, once", async () => {
  const machine = Machine.create();
  const own = await training();
  const [early, old, late] = [`early/${file(own.pid)}`, `old/${file(own.pid, 1)}`, `late/${file(own.child, 2)}`];
  for (const each of [early, old]) write(machine, each, curve("loss", 0, 3));
  const past = now() - 60;
  utimesSync(path.join(machine.logdir.root, old), past, past);
  await vi.waitFor(() => expect(now()).toBeGreaterThan(past + 60), PATIENCE);
  const session = ["--since", String(now() + 0.001), "--run-name", "exp", "--pid", String(own.pid)];
  const watching = new SessionOf(machine, ...session);
  write(machine, late, curve("loss", 0, 3));
  for (let step = 3; step < 6; step++) {
    write(machine, early, curve("loss", step, step + 1));
    write(machine, late, curve("loss", step, step + 1));
    await vi.waitFor(() => expect(pointsOf(machine, "exp")).toHaveLength(step + 1), PATIENCE);
  }
  const { code, stderr } = await watching.end();
  expect([code, stderr.match(/nothing that is written to \S+ is sent/g)]).toEqual([
    0,
    [`nothing that is written to ${path.join(machine.logdir.root, early)} is sent`],
  ]);
});

test.each([
  ["says that it has failed", "failed\n", [], "FAILED"],
  ["says that it has finished", "finished\n", ["--pid", String(process.pid)], "FINISHED"],
  ["is gone without a word", "", ["--pid", String(process.pid)], "FAILED"],
  ["was never told to say how it ends", "", [], "FINISHED"],
] as const)("whoever holds the input %s", async (_what, word, more, status) => {
  const machine = Machine.create();
  write(machine, `run/${file(process.pid)}`, curve("loss", 0, 5));
  const watching = new SessionOf(machine, "--since", "2001-01-01", "--run-name", "exp", ...more);
  await vi.waitFor(() => expect(pointsOf(machine, "exp")).toHaveLength(5), PATIENCE);
  expect((await watching.end(word)).code).toBe(0);
  const statuses = machine.look((database) => database.prepare("SELECT status FROM runs").all());
  expect(statuses).toEqual([{ status }]);
});

test("status and forget know sessions; one that is followed is not forgotten", async () => {
  const machine = Machine.create();
  const begun = now();
  write(machine, `run/${file(1)}`, curve("loss", 0, 5));
  const session = ["--since", String(begun), "--run-name", "exp"];
  const watching = new SessionOf(machine, ...session);
  await vi.waitFor(() => expect(pointsOf(machine, "exp")).toHaveLength(5), PATIENCE);
  const forget = async () => machine.run("forget", "runs", "--json");
  expect(await forget()).toMatchObject({ code: 1, stderr: expect.stringContaining("already being synced") });
  expect((await watching.end()).code).toBe(0);
  const { stdout } = await machine.run("status", "runs", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ runs: [{ run: "run", state: "done", left: 0 }] });
  const { code, stdout: forgotten } = await forget();
  expect([code, JSON.parse(forgotten)]).toMatchObject([
    0,
    { forgotten: [{ run: expect.stringMatching(/^\.\/since /) }] },
  ]);
  expect(await machine.sync("--group", "logdir", ...session)).toMatchObject({ code: 0 });
  expect(pointsOf(machine, "exp")).toHaveLength(5);
});

describe.runIf(process.platform === "linux")("two trainings side by side in one logdir", () => {
  test("are two runs, each with exactly its own points, live at once", async () => {
    const machine = Machine.create();
    const trainings = [await training(), await training()] as const;
    const begun = now();
    const sinces = [String(begun - 0.01), String(begun)];
    const options = (n: 0 | 1) => ["--since", sinces[n] as string, "--run-name", `exp ${n}`];
    const start = (n: 0 | 1) => new SessionOf(machine, ...options(n), "--pid", String(trainings[n].pid));
    const sessions = [start(0), start(1)] as [SessionOf, SessionOf];
    const points: [Point[], Point[]] = [[], []];
    const train = (n: 0 | 1, pid: number, place: string, tag: string, steps: number) => {
      points[n].push(...curve(tag, 0, steps));
      write(machine, `${place}/${file(pid, points[n].length)}`, curve(tag, 0, steps));
    };
    const arrive = () =>
      vi.waitFor(() => {
        for (const n of [0, 1])
          expect(pointsOf(machine, `exp ${n}`)).toEqual(texts(...(points[n as 0 | 1] as Point[])));
      }, PATIENCE);
    for (const n of [1, 0] as const) {
      train(n, trainings[n].pid, `Nov27_15-12-0${n}_host`, "loss", 5 + n);
      train(n, trainings[n].child, `Nov27_15-12-1${n}_host`, "worker", 3 + n);
    }
    await arrive();
    // Killed, it goes on where it was, though the other's files are there by now.
    sessions[0].kill();
    await sessions[0].ended;
    train(1, trainings[1].pid, "Nov27_15-13-01_host", "acc", 4);
    sessions[0] = start(0);
    train(0, trainings[0].pid, "Nov27_15-13-00_host", "acc", 2);
    await arrive();
    for (const n of [1, 0] as const) {
      const { code, stderr } = await sessions[n].end();
      expect([code, stderr]).toEqual([0, expect.any(String)]);
      expectHarmless(stderr);
    }
    await arrive();
    for (const { process: started } of trainings) {
      started.kill("SIGTERM");
      await once(started, "exit");
    }
    // What one has sent is no other's, also once nobody can tell any more who has written it.
    for (const n of [0, 1] as const)
      expect(await machine.sync("--group", "logdir", ...options(n))).toMatchObject({
        ...{ code: 0, outcome: "ok", earlierFiles: 0 },
        runs: [{ outcome: "unchanged", notes: [] }],
      });
    await arrive();
    expect(
      machine.look((database) =>
        database.prepare("SELECT name, status, lifecycle_stage FROM runs ORDER BY name").all(),
      ),
    ).toEqual([0, 1].map((n) => ({ name: `exp ${n}`, status: "FINISHED", lifecycle_stage: "active" })));
  });
});

describe.runIf(process.platform === "linux")("whose a file is stays known when its writer has ended", () => {
  const stop = async ({ process: started }: { readonly process: ChildProcess }) => {
    started.kill("SIGTERM");
    await once(started, "exit");
  };
  const until = (machine: Machine, run: string, points: readonly Point[]) =>
    vi.waitFor(() => expect(pointsOf(machine, run)).toEqual(texts(...points)), PATIENCE);

  test.each(["sync", "watch"])("to the %s that sends the rest, too", async (verb) => {
    const machine = Machine.create();
    const [ours, other] = [await training(), await training()];
    const session = ["--since", String(now()), "--run-name", "exp"];
    const [own, theirs] = [`a/${file(ours.pid)}`, `b/${file(other.pid)}`];
    const watching = new SessionOf(machine, ...session, "--pid", String(ours.pid));
    write(machine, theirs, curve("other", 0, 3));
    write(machine, own, curve("loss", 0, 3));
    await until(machine, "exp", curve("a/loss", 0, 3));
    watching.kill();
    await watching.ended;
    for (const each of [ours, other]) await stop(each);
    for (const place of [own, theirs]) write(machine, place, curve("late", 3, 6));
    if (verb === "sync") await machine.sync("--group", "logdir", ...session);
    else await new SessionOf(machine, ...session).end();
    const all = [...curve("a/loss", 0, 3), ...curve("a/late", 3, 6)];
    expect(pointsOf(machine, "exp")).toEqual(texts(...all));
  });

  test("a file of a process that was never seen is left alone, aloud", async () => {
    const machine = Machine.create();
    const [ours, other] = [await training(), await training()];
    await stop(other);
    const session = new SessionOf(machine, "--since", String(now()), "--run-name", "exp", "--pid", String(ours.pid));
    write(machine, `b/${file(other.pid)}`, curve("other", 0, 3));
    write(machine, `a/${file(ours.pid)}`, curve("loss", 0, 3));
    await until(machine, "exp", curve("a/loss", 0, 3));
    const { code, stderr } = await session.end();
    expect([code, stderr.match(/left alone: the process that wrote it has ended/g)]).toEqual([0, [expect.any(String)]]);
    expect(stderr).toContain(`tracelet sync ${JSON.stringify(path.join(machine.logdir.root, "b"))}`);
    expect(pointsOf(machine, "exp")).toEqual(texts(...curve("a/loss", 0, 3)));
  });

  /** Not while it holds one of the databases, which others would wait for. */
  const stopAtRest = (machine: Machine, session: SessionOf) =>
    vi.waitFor(() => {
      session.kill("SIGSTOP");
      try {
        const states = readdirSync(machine.state).filter((name) => name.endsWith(".db") || name.endsWith(".sqlite"));
        expect(states).not.toEqual([]);
        for (const file of [machine.database, ...states.map((name) => path.join(machine.state, name))])
          machine.look((database) => database.exec("BEGIN IMMEDIATE; ROLLBACK"), file);
      } catch (error) {
        session.kill("SIGCONT");
        throw error;
      }
    }, PATIENCE);

  test("to a session that sees it only then", async () => {
    const machine = Machine.create();
    const trainings = [await training(), await training()] as const;
    const begun = now();
    const start = (n: 0 | 1) =>
      new SessionOf(
        machine,
        ...["--since", String(begun - n / 100), "--run-name", `exp ${n}`, "--pid", String(trainings[n].pid)],
      );
    // It began earlier, so the other's file is one that it could have.
    const early = start(1);
    write(machine, `one/${file(trainings[1].pid)}`, curve("loss", 0, 3));
    await until(machine, "exp 1", curve("one/loss", 0, 3));
    await stopAtRest(machine, early);
    const short = start(0);
    write(machine, `zero/${file(trainings[0].pid)}`, curve("loss", 0, 4));
    await until(machine, "exp 0", curve("zero/loss", 0, 4));
    expect((await short.end()).code).toBe(0);
    await stop(trainings[0]);
    early.kill("SIGCONT");
    write(machine, `one/${file(trainings[1].pid, 1)}`, curve("acc", 0, 2));
    await until(machine, "exp 1", [...curve("one/loss", 0, 3), ...curve("one/acc", 0, 2)]);
    expect((await early.end()).code).toBe(0);
    await until(machine, "exp 1", [...curve("one/loss", 0, 3), ...curve("one/acc", 0, 2)]);
    expect(machine.look((database) => database.prepare("SELECT name FROM runs ORDER BY name").all())).toHaveLength(2);
  });
});

test("one training after the other, under the same name and in the same directory: two runs", async () => {
  const machine = Machine.create();
  const first = new SessionOf(machine, "--since", String(now()), "--run-name", "exp");
  const [one, two] = [`run/${file(1)}`, `run/${file(1, 1)}`];
  write(machine, one, curve("loss", 0, 5));
  await vi.waitFor(() => expect(pointsOf(machine, "exp")).toHaveLength(5), PATIENCE);
  write(machine, one, curve("loss", 5, 9));
  expect((await first.end()).code).toBe(0);
  const second = new SessionOf(machine, "--since", String(now()), "--run-name", "exp");
  write(machine, two, curve("loss", 0, 3));
  expect((await second.end()).code).toBe(0);
  const runs = machine.look((database) =>
    database
      .prepare(
        "SELECT name, lifecycle_stage, (SELECT count(*) FROM metrics AS m WHERE m.run_uuid = r.run_uuid) AS points FROM runs AS r ORDER BY points",
      )
      .all(),
  );
  expect(runs).toEqual([3, 9].map((points) => ({ name: "exp", lifecycle_stage: "active", points })));
});

test.each(["2h", "now"])("a session is refused a time that is another one whenever it is given: %s", async (since) => {
  const machine = Machine.create();
  write(machine, `run/${file(1)}`, curve("loss", 0, 5));
  for (const verb of ["sync", "watch", "verify"]) {
    const { code, stderr } = await machine.run(verb, "runs", "--group", "logdir", "--since", since);
    expect([verb, code, stderr]).toEqual([verb, 2, expect.stringMatching(/--since \d{4}-\d\d-\d\dT[\d:.]+Z/)]);
  }
  expect(await machine.sync("--since", since)).toMatchObject({ code: 0 });
});

test.each(["mlflow", "jsonl"])(
  "a session never goes on with the run of another at %s, though it has all of its files",
  async (backend) => {
    const machine = Machine.create();
    const to = ["--backend", backend, ...(backend === "jsonl" ? ["--output", "out"] : [])];
    const begun = now();
    const session = (earlier: number) => ["--group", "logdir", "--since", (begun - earlier).toFixed(3)];
    write(machine, `run/${file(1)}`, curve("loss", 0, 5));
    expect(await machine.sync(...session(1), "--run-name", "B", ...to)).toMatchObject({ code: 0 });
    // Without the state, only the destination knows whose the file is.
    rmSync(machine.state, { recursive: true });
    const other = [...session(2), "--run-name", "A", ...to];
    expect(await machine.sync(...other)).toMatchObject({ code: 0, runs: [{ outcome: "sent", notes: [] }] });
    expect(await machine.sync(...session(1), "--run-name", "B", ...to)).toMatchObject({ code: 0 });
    const runs =
      backend === "mlflow"
        ? machine.look((database) => database.prepare("SELECT name FROM runs ORDER BY name").all())
        : readdirSync(path.join(machine.root, "out")).filter((name) => /^[AB]\.jsonl$/.test(name));
    expect(runs).toHaveLength(2);
  },
);
