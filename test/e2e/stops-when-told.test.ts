/**
 * The first SIGINT or SIGTERM is acknowledged at once, whatever the process waits for; the process ends within
 * `--shutdown-timeout`, says what is left, and the next start goes on with nothing doubled.
 */
import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import sharp from "sharp";
import { describe, expect, onTestFinished, test } from "vitest";
import { openDatabase } from "../../src/sqlite.ts";
import { expectHarmless, Machine, ROOT } from "../cli/tracelet.ts";
import { eventFile, imageEvent } from "../support/event-writer.ts";
import { curve, fileOf, version } from "../sync/world.ts";

/** A busy machine is slow; what none of these may do is wait for what never comes. */
const LIMIT = "3s";
const MUCH_LATER_MS = 60_000;

class Told {
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";
  readonly #closed: Promise<unknown[]>;

  readonly #limit: string;

  constructor(child: ChildProcess, limit = "3.0 s") {
    this.#limit = limit;
    this.#child = child;
    child.stdout?.on("data", (text) => (this.#stdout += String(text)));
    child.stderr?.on("data", (text) => (this.#stderr += String(text)));
    this.#closed = once(child, "close");
    onTestFinished(() => void child.kill("SIGKILL"));
  }

  /** @returns what became of it, once it has acknowledged the signal while it still ran, and has ended */
  async tell(signal: "SIGINT" | "SIGTERM") {
    this.#child.kill(signal);
    const began = performance.now();
    await until(() => this.#stderr.includes(`${signal}: `));
    expect(this.#stderr).toMatch(
      new RegExp(`^(\\S+ )?${signal}: .*, ${this.#limit} at most; again: ends at once$`, "m"),
    );
    await this.#closed;
    expect(performance.now() - began).toBeLessThan(MUCH_LATER_MS);
    expectHarmless(this.#stderr);
    return { code: this.#child.exitCode, stdout: this.#stdout, stderr: this.#stderr };
  }

  /** It has a file open whose path holds the text. */
  async opened(text: string): Promise<void> {
    const folder = `/proc/${this.#child.pid}/fd`;
    await until(() => readdirSync(folder).some((fd) => linkOf(path.join(folder, fd)).includes(text)));
  }

  async said(text: string): Promise<void> {
    await until(() => this.#stderr.includes(text) || this.#stdout.includes(text));
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return "";
  }
}

async function until(holds: () => boolean): Promise<void> {
  const began = performance.now();
  while (!holds()) {
    if (performance.now() - began > MUCH_LATER_MS) throw new Error("it never came");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A server that takes every connection and never answers. */
async function blackHole(): Promise<{ readonly uri: string; readonly asked: Promise<unknown> }> {
  const server = net.createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  // Whoever still looks for a server that had the port before asks for another path.
  const prefix = "/black-hole";
  const asked = new Promise<void>((resolve) => {
    server.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        if (bytes.includes(prefix)) resolve();
      });
    });
  });
  return { uri: `http://127.0.0.1:${port}${prefix}`, asked };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function machineWithRuns(): Machine {
  const machine = Machine.create();
  machine.logdir.write("a", fileOf(curve("loss", 0, 50)));
  machine.logdir.write("b", fileOf(curve("loss", 0, 50), 1));
  return machine;
}

const start = (machine: Machine, command: string, ...args: readonly string[]) =>
  new Told(machine.start(command, "runs", "--shutdown-timeout", LIMIT, ...args));

describe("a server that never answers", () => {
  test.each([
    ["sync", "SIGTERM", 143, []],
    ["sync", "SIGINT", 130, ["--quiet"]],
    ["watch", "SIGTERM", 143, []],
    ["watch", "SIGINT", 130, ["--json"]],
    ["verify", "SIGTERM", 143, ["--quiet"]],
  ] as const)("%s %s", async (command, signal, code, args) => {
    const machine = machineWithRuns();
    const { uri, asked } = await blackHole();
    const told = start(machine, command, "--tracking-uri", uri, ...args);
    await asked;
    const end = await told.tell(signal);
    expect(end.code).toBe(code);
    expect(end.stderr + end.stdout).toMatch(
      command === "verify" ? /2 runs not compared/ : /not sent yet: (.* of event files|what was not looked at)/,
    );
    // It goes on where something answers.
    expect(await machine.sync()).toMatchObject({ code: 0, outcome: "ok", left: null });
    expect(machine.points()).toBe(100);
  });
});

test("a watch whose server is gone does not wait out its pause", async () => {
  const machine = machineWithRuns();
  const told = start(machine, "watch", "--tracking-uri", `http://127.0.0.1:${await freePort()}`);
  await told.said("trying again");
  const { code, stderr } = await told.tell("SIGTERM");
  expect(code).toBe(143);
  expect(stderr).toMatch(/not sent yet: 2 runs, \d+(\.\d)? k?B of event files; run the same command to resume/);
});

test.each(["sync", "watch", "verify"] as const)("%s of a database that another process has locked", async (command) => {
  const machine = machineWithRuns();
  if (command === "verify") expect((await machine.sync()).code).toBe(0);
  else await machine.run("sync", "runs", "--include-runs", "a");
  const holder = openDatabase(machine.database, { busyTimeout: 0 });
  holder.exec("BEGIN EXCLUSIVE");
  const told = start(machine, command);
  await told.opened("mlflow.db");
  const { code } = await told.tell("SIGINT");
  expect(code).toBe(130);
  holder.exec("ROLLBACK");
  holder.close();
  expect(await machine.sync()).toMatchObject({ code: 0 });
  expect(machine.points()).toBe(100);
  expect(machine.look((database) => database.prepare("SELECT count(*) AS n FROM runs").get())).toEqual({ n: 2 });
});

/** Files below the database's artifacts, without the index. */
function artifactsOf(machine: Machine): string[] {
  const root = path.join(machine.root, "mlruns");
  if (!existsSync(root)) return [];
  const all = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return all.map(({ name }) => name).filter((name) => /\.(png|webp)$/.test(name) && !name.startsWith("."));
}

test("thousands of images of one batch into a database", async () => {
  const machine = Machine.create();
  const png = await sharp({ create: { width: 1, height: 1, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const images = Array.from({ length: 900 }, (_, i) => imageEvent("sample", i, png));
  machine.logdir.write("a", Buffer.concat([version(), eventFile(...images)]));
  const told = new Told(machine.start("sync", "runs", "--json", "--shutdown-timeout", "500ms"), "500 ms");
  await until(() => artifactsOf(machine).length > 0);
  const { code, stdout, stderr } = await told.tell("SIGTERM");
  expect(code).toBe(143);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "interrupted", left: { runs: 1 } });
  expect(stderr).toContain("not sent yet: 1 run, ");
  expect(await machine.sync()).toMatchObject({ code: 0, outcome: "ok", kinds: { images: { sent: 900 } } });
  expect(artifactsOf(machine).filter((name) => name.endsWith(".png"))).toHaveLength(900);
});

test("a run of many files", async () => {
  const machine = Machine.create();
  for (let i = 0; i < 800; i++)
    machine.logdir.write(`a/events.out.tfevents.${1e9 + i}.h`, fileOf(curve("loss", i, i + 1), i));
  const told = start(machine, "sync", "--json");
  await until(() => existsSync(machine.database));
  const { code, stdout } = await told.tell("SIGTERM");
  expect(code).toBe(143);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "interrupted", left: { runs: 1 } });
  expect(await machine.sync()).toMatchObject({ code: 0, outcome: "ok" });
  expect(machine.points()).toBe(800);
  expect(machine.look((database) => database.prepare("SELECT count(*) AS n FROM runs").get())).toEqual({ n: 1 });
});

test.each(["text", "json"])("inspect, as %s, says how far it came", async (how) => {
  const machine = Machine.create();
  execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), machine.logdir.root, "1", "400000", "5"]);
  const [run = ""] = readdirSync(machine.logdir.root);
  // Eight gigabytes to be read, of a few megabytes.
  for (let i = 0; i < 400; i++)
    execFileSync("cp", ["-rl", path.join(machine.logdir.root, run), path.join(machine.logdir.root, `copy-${i}`)]);
  const told = start(machine, "inspect", ...(how === "json" ? ["--json"] : []));
  await told.opened("tfevents");
  const { code, stdout, stderr } = await told.tell("SIGINT");
  expect(code).toBe(130);
  expect(stderr).toMatch(/interrupted: \d+ runs not read/);
  if (how === "json") expect(JSON.parse(stdout)).toMatchObject({ interrupted: true });
});
