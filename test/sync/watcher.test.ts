/** What is seen of a tree while it changes; every tree here is a real one, and the expected view is a fresh look at it. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { formatWatchNote } from "../../src/sync/tree/watch-notes.ts";
import type { TreeWatchOptions } from "../../src/sync/tree/watcher.ts";
import { EVENT_FILE, temporaryDirectory } from "../support/logdirs.ts";
import { Followed, until } from "./followed.ts";

let world: string;
let logdir: string;
let followed: Followed | undefined;

beforeEach(() => {
  world = temporaryDirectory();
  logdir = path.join(world, "runs");
  mkdirSync(logdir);
});

afterEach(async () => {
  await followed?.end();
  followed = undefined;
  chmodSync(world, 0o755);
  rmSync(world, { recursive: true, force: true });
});

/** Write a file of a run, by default its event file, and the directories it lies in. */
function write(run: string, content = "1", file = EVENT_FILE): string {
  const target = path.join(logdir, run, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, content);
  return target;
}

const at = (...parts: string[]) => path.join(logdir, ...parts);

async function follow(options?: Partial<TreeWatchOptions>): Promise<Followed> {
  followed = new Followed([logdir], options);
  return followed.start();
}

describe.each([
  // All else comes too late to help: what is seen is seen by events, or by polling.
  ["events by chokidar", { events: true, chokidarLimit: 1000, pollMs: 100_000, rescanMs: 600_000 }],
  ["events by watches of our own", { events: true, chokidarLimit: 0, pollMs: 100_000, rescanMs: 600_000 }],
  ["events of a tree that outgrows chokidar", { events: true, chokidarLimit: 3, pollMs: 100_000, rescanMs: 600_000 }],
  ["polling", { events: false, pollMs: 100, rescanMs: 600_000 }],
  ["nothing but the rescan", { events: false, pollMs: 100_000, rescanMs: 300 }],
])("with %s", (_, options) => {
  test("all there is, first", async () => {
    for (const run of [".", "a", "a/b/c", ".hidden", "train"]) write(run);
    write("not a run", "", "notes.txt");
    const { names } = await follow(options);
    expect(names).toEqual([".", ".hidden", "a", "a/b/c", "train"]);
    await followed?.catchesUp(logdir);
  });

  test("a run that grows, again and again", async () => {
    const file = write("a");
    write("b");
    const seen = await follow(options);
    for (let i = 0; i < 5; i++) {
      const before = seen.batches.length;
      appendFileSync(file, "more");
      await seen.catchesUp(logdir);
      const changes = seen.batches.slice(before).flatMap(({ changed }) => changed.map(({ name }) => name));
      expect(new Set(changes)).toEqual(new Set(["a"]));
    }
  });

  test("new runs, also deep below directories that are new", async () => {
    const seen = await follow(options);
    write("a");
    write("new/deep/deeper");
    await seen.catchesUp(logdir);
    write("new/deep/other");
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual(["a", "new/deep/deeper", "new/deep/other"]);
  });

  test("a new file in a known run, and a directory that becomes one", async () => {
    write("a");
    mkdirSync(at("b"));
    const seen = await follow(options);
    write("a", "22", `${EVENT_FILE}.2`);
    write("a", "x: 1", "hparams.yaml");
    write("b");
    await seen.catchesUp(logdir);
    expect(seen.view.get(`${logdir}: a`)).toMatchObject({
      files: [{ size: 1 }, { size: 2 }],
      hparamsFile: { size: 4 },
    });
  });

  test("a file that is truncated, replaced, and written anew with the same size", async () => {
    const file = write("a", "12345");
    const seen = await follow(options);
    truncateSync(file, 2);
    await seen.catchesUp(logdir);
    writeFileSync(at("part"), "12");
    renameSync(at("part"), file);
    await seen.catchesUp(logdir);
    writeFileSync(file, "34");
    utimesSync(file, 1_700_000_000, 1_700_000_000);
    await seen.catchesUp(logdir);
  });

  test("files and runs that are deleted", async () => {
    for (const run of ["a", "b", "c/d", "c/e"]) write(run);
    write("a", "2", `${EVENT_FILE}.2`);
    const seen = await follow(options);
    rmSync(at("a", EVENT_FILE));
    rmSync(at("b", EVENT_FILE));
    rmSync(at("c"), { recursive: true });
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual(["a"]);
  });

  test("a directory of runs that is renamed, and grows under its new name", async () => {
    for (const run of ["old/a", "old/b/c", "other"]) write(run);
    const seen = await follow(options);
    renameSync(at("old"), at("new"));
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual(["new/a", "new/b/c", "other"]);
    appendFileSync(at("new/b/c", EVENT_FILE), "more");
    await seen.catchesUp(logdir);
  });

  test("a run that is deleted and made again at once, in whose place the file system may put the same inode", async () => {
    write("a");
    const seen = await follow(options);
    for (let i = 2; i < 6; i++) {
      rmSync(at("a"), { recursive: true });
      const file = write("a", "x".repeat(i));
      await seen.catchesUp(logdir);
      appendFileSync(file, "more");
      await seen.catchesUp(logdir);
    }
  });

  test("a run that is exchanged for another directory", async () => {
    write("a", "1");
    write("b", "22");
    const seen = await follow(options);
    renameSync(at("a"), at("c"));
    renameSync(at("b"), at("a"));
    await seen.catchesUp(logdir);
    for (const run of ["a", "c"]) {
      appendFileSync(at(run, EVENT_FILE), "more");
      await seen.catchesUp(logdir);
    }
  });

  test("a link to a directory elsewhere, and what it leads to later", async () => {
    for (const [run, content] of [
      ["one", "1"],
      ["two", "22"],
    ] as const) {
      mkdirSync(path.join(world, run));
      writeFileSync(path.join(world, run, EVENT_FILE), content);
    }
    symlinkSync("../one", at("current"));
    const seen = await follow(options);
    appendFileSync(path.join(world, "one", EVENT_FILE), "more");
    await seen.catchesUp(logdir);
    symlinkSync("../two", at("next"));
    renameSync(at("next"), at("current"));
    await seen.catchesUp(logdir);
    expect(seen.view.get(`${logdir}: current`)?.files[0]?.size).toBe(2);
    appendFileSync(path.join(world, "two", EVENT_FILE), "more");
    await seen.catchesUp(logdir);
    rmSync(path.join(world, "two"), { recursive: true });
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual([]);
  });

  test("a link to an event file elsewhere in the logdir", async () => {
    writeFileSync(at("data"), "1");
    mkdirSync(at("a"));
    symlinkSync("../data", at("a", EVENT_FILE));
    const seen = await follow({ ...options, pollMs: 100 });
    expect(seen.names).toEqual(["a"]);
    appendFileSync(at("data"), "more");
    await seen.catchesUp(logdir);
  });

  test("no link to a file that lies outside; that is said once for its directory", async () => {
    writeFileSync(path.join(world, "secret"), "1");
    write("a");
    symlinkSync("../../secret", at("a/hparams.yaml"));
    symlinkSync("../../secret", at("a", `${EVENT_FILE}.2`));
    const seen = await follow({ ...options, pollMs: 100 });
    write("b");
    await seen.catchesUp(logdir);
    const said = seen.notes.filter(({ kind }) => kind === "unreadable");
    expect(said).toMatchObject([{ code: "OUTSIDE", path: expect.stringMatching(/ and 1 more$/) }]);
    expect(said.map(formatWatchNote)).toEqual([expect.stringContaining("leads out of the logdir")]);
  });

  test("links that lead back, without end", async () => {
    write("a/b");
    symlinkSync("..", at("a/b/up"));
    symlinkSync("../..", at("a/b/top"));
    symlinkSync("a", at("also a"));
    const seen = await follow(options);
    await seen.catchesUp(logdir);
    appendFileSync(at("a/b", EVENT_FILE), "more");
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual(["a/b", "also a/b"]);
    rmSync(at("also a"));
    symlinkSync(".", at("also a"));
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual(["a/b"]);
  });

  test("a directory whose name is not UTF-8", async () => {
    const directory = Buffer.concat([Buffer.from(`${logdir}/`), Buffer.from([0xff, 0xfe])]);
    const seen = await follow(options);
    mkdirSync(directory);
    const file = Buffer.concat([directory, Buffer.from(`/${EVENT_FILE}`)]);
    writeFileSync(file, "1");
    await seen.catchesUp(logdir);
    appendFileSync(file, "more");
    await seen.catchesUp(logdir);
    expect(seen.names).toEqual(["\\xff\\xfe"]);
  });

  test("a logdir that is deleted, and comes back", async () => {
    write("a");
    const seen = await follow({ ...options, pollMs: 100 });
    for (let i = 0; i < 2; i++) {
      rmSync(logdir, { recursive: true });
      await until(() => seen.view.size === 0 && seen.lines.length === 2 * i + 1);
      write("a");
      write(`b${i}`);
      await seen.catchesUp(logdir);
      appendFileSync(at("a", EVENT_FILE), "more");
      await seen.catchesUp(logdir);
    }
    const [missing, found] = [`${logdir} does not exist, waiting for it`, `${logdir} is there`];
    expect(seen.lines).toEqual([missing, found, missing, found]);
  });

  test("a logdir that is renamed with the directory it lies in", async () => {
    write("a");
    const parent = path.join(world, "parent");
    mkdirSync(parent);
    renameSync(logdir, path.join(parent, "runs"));
    const inner = path.join(parent, "runs");
    followed = await new Followed([inner], { ...options, pollMs: 100 }).start();
    renameSync(parent, path.join(world, "elsewhere"));
    await until(() => followed?.view.size === 0);
  });

  test("a single event file as the logdir", async () => {
    const file = write("a", "1", "whatever");
    followed = await new Followed([file], { ...options, pollMs: 100 }).start();
    await followed.catchesUp(file);
    appendFileSync(file, "more");
    await followed.catchesUp(file);
    expect(followed.names).toEqual(["."]);
  });

  test("two logdirs, one of which does not exist yet", async () => {
    write("a");
    const other = path.join(world, "other/runs");
    followed = await new Followed([logdir, other, `${logdir}/`], { ...options, pollMs: 100 }).start();
    expect(followed.lines).toEqual([`${other} does not exist, waiting for it`]);
    mkdirSync(path.join(other, "b"), { recursive: true });
    writeFileSync(path.join(other, "b", EVENT_FILE), "1");
    await followed.catchesUp(logdir, other);
    appendFileSync(at("a", EVENT_FILE), "more");
    await followed.catchesUp(logdir, other);
    expect(followed.names).toEqual(["a", "b"]);
  });

  test("two logdirs, one of which lies in the other: each run once", async () => {
    write("a/b");
    const inner = at("a");
    followed = await new Followed([logdir, inner], { ...options, pollMs: 100 }).start();
    appendFileSync(at("a/b", EVENT_FILE), "more");
    await followed.catchesUp(logdir);
    rmSync(at("a/b"), { recursive: true });
    write("a/c");
    await followed.catchesUp(logdir);
    expect(followed.names).toEqual(["a/c"]);
  });

  test("a directory that cannot be read: said once, what is known of it stays, and it recovers", async () => {
    write("a");
    const file = write("closed/b");
    await asNobody(async () => {
      const seen = await follow({ ...options, pollMs: 100 });
      chmodSync(at("closed"), 0o000);
      await until(() => seen.notes.length > 0);
      await setTimeout(700);
      expect(seen.names).toEqual(["a", "closed/b"]);
      const unreadable = `cannot read ${at("closed")} (EACCES), trying again from time to time`;
      expect(seen.lines).toEqual([unreadable]);
      chmodSync(at("closed"), 0o755);
      await until(() => seen.notes.length > 1);
      expect(seen.lines).toEqual([unreadable, `${at("closed")} can be read again`]);
      appendFileSync(file, "more");
      await seen.catchesUp(logdir);
    });
  });

  test("a directory that is exchanged for an unreadable one", async () => {
    write("closed/b");
    await asNobody(async () => {
      const seen = await follow({ ...options, pollMs: 100 });
      mkdirSync(at("other"));
      chmodSync(at("other"), 0o000);
      renameSync(at("closed"), at("open"));
      renameSync(at("other"), at("closed"));
      await until(() => seen.names.includes("open/b") && seen.notes.length > 0);
      chmodSync(at("closed"), 0o755);
      await seen.catchesUp(logdir);
      expect(seen.names).toEqual(["open/b"]);
    });
  });

  test("a directory that was unreadable from the start", async () => {
    write("closed/b");
    await asNobody(async () => {
      chmodSync(at("closed"), 0o000);
      const seen = await follow({ ...options, pollMs: 100 });
      expect(seen.names).toEqual([]);
      chmodSync(at("closed"), 0o755);
      await until(() => seen.names.length === 1);
      await seen.catchesUp(logdir);
    });
  });
});

describe("a writer that flushes all the time", () => {
  test("gives few changes, and its last one is among them", async () => {
    const file = write("a", "");
    const seen = await follow();
    const before = seen.batches.length;
    const fd = openSync(file, "a");
    const start = performance.now();
    for (let i = 0; i < 2000; i++) {
      writeSync(fd, "x");
      if (i % 2 === 0) await setTimeout(1);
    }
    const took = performance.now() - start;
    await seen.catchesUp(logdir);
    // A pause of 40 ms after each look; without it there would be a thousand.
    expect(seen.batches.length - before).toBeLessThan(took / 40 + 5);
    expect(seen.view.get(`${logdir}: a`)?.files[0]?.size).toBe(2000);
  });

  test("waits for a slow consumer without a queue: one batch, each run once", async () => {
    for (let i = 0; i < 20; i++) write(`run-${i}`);
    let isSlow = false;
    let release: () => void = () => {};
    followed = new Followed([logdir], {}, async () => {
      if (!isSlow) return;
      isSlow = false;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    await followed.start();
    isSlow = true;
    appendFileSync(at("run-0", EVENT_FILE), "more");
    await until(() => !isSlow);
    const before = followed.batches.length;
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 20; i++) appendFileSync(at(`run-${i}`, EVENT_FILE), "more");
      await setTimeout(60);
    }
    await setTimeout(200);
    release();
    await followed.catchesUp(logdir);
    const [batch] = followed.batches.slice(before);
    expect(batch?.changed.map(({ name }) => name).sort()).toEqual([...followed.names]);
  });
});

describe("events that never come", () => {
  test("are noticed at the rescan, and the directory is polled from then on", async () => {
    const file = write("a", "12345678");
    write("b");
    const seen = await follow({ pollMs: 100, rescanMs: 1000 });
    // What goes through a memory mapping gives no event.
    const poke = (value: string) => {
      const script =
        "import mmap,sys\nwith open(sys.argv[1],'r+b') as f:\n m=mmap.mmap(f.fileno(),0);m[0:1]=sys.argv[2].encode();m.flush()";
      const before = statSync(file, { bigint: true }).mtimeNs;
      execFileSync("python3", ["-c", script, file, value]);
      expect(statSync(file, { bigint: true }).mtimeNs).not.toBe(before);
    };
    poke("a");
    await until(() => seen.notes.length > 0);
    expect(seen.lines).toEqual([`${at("a")} changed without an event: polled every 0.1 s`]);
    await seen.catchesUp(logdir);
    poke("b");
    await seen.catchesUp(logdir);
  });
});

test("ends when it is told to, whatever it is waiting for", async () => {
  write("a");
  const seen = await follow();
  await seen.end();
  const before = seen.batches.length;
  appendFileSync(at("a", EVENT_FILE), "more");
  await setTimeout(200);
  expect(seen.batches.length).toBe(before);
});

/** Root may read everything, so it steps down meanwhile. */
async function asNobody(act: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return act();
  execFileSync("chown", ["-R", "65534", world]);
  process.seteuid?.(65534);
  try {
    await act();
  } finally {
    process.seteuid?.(0);
  }
}
