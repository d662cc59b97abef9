/** One process at a time, whatever becomes of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lockSource } from "../../src/sync/state/lock.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

function place(): { state: string; logdir: string } {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const logdir = path.join(root, "runs");
  mkdirSync(logdir);
  return { state: path.join(root, "state"), logdir };
}

/** A process that holds the lock until it is ended. */
async function holder({ state, logdir }: { state: string; logdir: string }): Promise<ChildProcess> {
  const module = path.resolve(import.meta.dirname, "../../dist/sync/state/lock.js");
  const script = `
    import { lockSource } from ${JSON.stringify(module)};
    const lock = lockSource(process.argv[1], "here", process.argv[2]);
    console.log("held");
    setInterval(() => lock, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, state, logdir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

test("another process is refused, and told who holds it", async () => {
  const where = place();
  const child = await holder(where);
  const link = `${where.logdir}-link`;
  symlinkSync(where.logdir, link);
  for (const logdir of [where.logdir, `${where.logdir}/`, path.join(where.logdir, "../runs"), link]) {
    expect(() => lockSource(where.state, "here", logdir)).toThrow(
      expect.objectContaining({
        name: "TraceletError",
        code: "locked",
        message: expect.stringMatching(new RegExp(`process ${child.pid} on \\S+, since \\d{4}-\\d\\d-\\d\\dT`)),
      }),
    );
  }
});

test("other sources and other destinations are free", async () => {
  const where = place();
  await holder(where);
  lockSource(where.state, "there", where.logdir).release();
  const other = path.join(where.logdir, "below");
  mkdirSync(other);
  lockSource(where.state, "here", other).release();
});

test("one process holds several destinations of a source, each once", () => {
  const where = place();
  const locks = ["mlflow", "jsonl"].map((destination) => lockSource(where.state, destination, where.logdir));
  const twice = () => lockSource(where.state, "mlflow", where.logdir);
  expect(twice).toThrow(expect.objectContaining({ code: "locked" }));
  // Nor has the attempt given the lock away.
  expect(twice).toThrow(expect.objectContaining({ code: "locked" }));
  locks[0]?.release();
  twice().release();
  locks[1]?.release();
});

test("it is free again when its process was killed, and when it is given back", async () => {
  const where = place();
  const child = await holder(where);
  child.kill("SIGKILL");
  await once(child, "close");
  for (let i = 0; i < 2; i++) {
    const lock = lockSource(where.state, "here", where.logdir);
    expect(() => lockSource(where.state, "here", where.logdir)).toThrow(
      expect.objectContaining({ code: "locked", message: expect.stringContaining(`process ${process.pid} `) }),
    );
    lock.release();
  }
});

test("a holder that nobody can read is another process", async () => {
  const where = place();
  await holder(where);
  const locks = path.join(where.state, "locks");
  for (const name of readdirSync(locks)) if (name.endsWith(".json")) writeFileSync(path.join(locks, name), "{");
  expect(() => lockSource(where.state, "here", where.logdir)).toThrow(/by another process$/);
});

test("nothing is left in the logdir", () => {
  const where = place();
  lockSource(where.state, "here", where.logdir).release();
  expect(readdirSync(where.logdir)).toEqual([]);
});

test("a state directory that cannot be written is an error of its own", () => {
  const where = place();
  writeFileSync(where.state, "a file");
  for (const state of [where.state, "/sys/tracelet"]) {
    expect(() => lockSource(state, "here", where.logdir)).toThrow(
      expect.objectContaining({ code: "state", message: expect.stringContaining(state) }),
    );
  }
});

test("a logdir that is not there yet is locked under the name that it will have", () => {
  const where = place();
  const missing = `${where.logdir}-missing`;
  const lock = lockSource(where.state, "here", missing);
  mkdirSync(missing);
  expect(() => lockSource(where.state, "here", missing)).toThrow(expect.objectContaining({ code: "locked" }));
  lock.release();
  lockSource(where.state, "here", missing).release();
});
