/** Whose files these are, by what is in them. */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { FileSource } from "../../src/reader/byte-source.ts";
import { type DiscoveredRun, discover, type EventFileEntry } from "../../src/reader/discover.ts";
import { isUnchanged, type Match, matchRun } from "../../src/sync/run/match.ts";
import { hashHead, hashTail } from "../../src/sync/source/fingerprint.ts";
import { groupAlone } from "../../src/sync/source/groups.ts";
import { type RunGroup } from "../../src/sync/source/run-group.ts";
import { stampOf } from "../../src/sync/source/stamp.ts";
import type { StoredFile, StoredRun } from "../../src/sync/state/stored-run.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { curve, fileOf, records, version } from "./world.ts";

const CHOICE = "0123abcd";

function newLogdir(): Logdir {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return new Logdir(root);
}

const runAt = (logdir: Logdir) => groupAlone(discover(logdir.root).runs[0] as DiscoveredRun);

/** What would be stored of a run that was read to its end, or up to `offset`. */
async function storedOf(run: RunGroup, changes: Partial<StoredRun> = {}, offset = Infinity): Promise<StoredRun> {
  const hparamsFile = run.members[0]?.run.hparamsFile;
  const files = await Promise.all(run.files.map((entry) => storedFile(entry, Math.min(entry.size, offset))));
  const rest = {
    cursor: undefined,
    remoteId: "r",
    done: true,
    isConfirmed: false,
    pagesDue: false,
    firstWallTime: 1,
    lastWallTime: 1,
    runName: undefined,
    hparamsFiles: new Map(hparamsFile === undefined ? [] : [["", stampOf(hparamsFile)]]),
    directory: undefined,
    folds: new Map(),
    projectorFiles: new Map(),
    attached: new Map(),
    choice: CHOICE,
    choices: new Map(),
  };
  return { id: 1, name: run.name, status: "finished", ...rest, files, ...changes };
}

async function storedFile(entry: EventFileEntry, offset: number): Promise<StoredFile> {
  const source = await FileSource.open(entry.path);
  const head = version().length + records(curve("a", 0, 1)).length;
  const key = String(await hashHead(source, head));
  const tail = String(await hashTail(source, offset));
  await source.close();
  return {
    key,
    name: entry.name,
    head,
    offset,
    from: 0,
    tail,
    stamp: stampOf(entry),
    restartStep: undefined,
    losses: [],
    counts: "[]",
  };
}

const names = ({ files }: Match) => files.map(({ entry, stored }) => [entry.name, stored?.name]);

describe("unchanged", () => {
  test("is a run that was sent, with every file as it was", async () => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 3)));
    logdir.write("tfevents.2", fileOf(curve("a", 0, 3), 1));
    const stored = await storedOf(runAt(logdir));
    expect(isUnchanged(runAt(logdir), stored, CHOICE)).toBe(true);
    expect(isUnchanged(runAt(logdir), { ...stored, done: false }, CHOICE)).toBe(false);
    expect(isUnchanged(runAt(logdir), { ...stored, files: stored.files.slice(1) }, CHOICE)).toBe(false);
    logdir.remove("tfevents.2");
    expect(isUnchanged(runAt(logdir), stored, CHOICE)).toBe(true);
  });

  test.each<[string, (logdir: Logdir) => void]>([
    ["longer", (logdir) => logdir.append("tfevents.1", Buffer.from("x"))],
    ["shorter", (logdir) => logdir.truncate("tfevents.1", 10)],
    ["written anew", (logdir) => logdir.write("tfevents.1", logdir.read("tfevents.1"))],
    ["another file of the same content", (logdir) => logdir.replace("tfevents.1", logdir.read("tfevents.1"))],
    ["called otherwise", (logdir) => logdir.rename("tfevents.1", "tfevents.0")],
    ["not alone any more", (logdir) => logdir.write("tfevents.2", Buffer.alloc(0))],
    ["beside hyperparameters", (logdir) => logdir.write("hparams.yaml", Buffer.from("a: 1"))],
  ])("is not one whose file is %s", async (_, change) => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 3)));
    const stored = await storedOf(runAt(logdir));
    change(logdir);
    expect(isUnchanged(runAt(logdir), stored, CHOICE)).toBe(false);
  });

  test("tells a change of the hyperparameters, and that they are gone", async () => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 3)));
    logdir.write("hparams.yaml", Buffer.from("a: 1"));
    const stored = await storedOf(runAt(logdir));
    expect(isUnchanged(runAt(logdir), stored, CHOICE)).toBe(true);
    logdir.write("hparams.yaml", Buffer.from("a: 2"));
    expect(isUnchanged(runAt(logdir), stored, CHOICE)).toBe(false);
    logdir.remove("hparams.yaml");
    expect(isUnchanged(runAt(logdir), stored, CHOICE)).toBe(false);
  });
});

describe("a run is found again", () => {
  test("when its files have grown, moved and been renamed", async () => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 3)));
    logdir.write("tfevents.2", fileOf(curve("a", 0, 3), 1));
    const stored = await storedOf(runAt(logdir));
    logdir.append("tfevents.2", records(curve("a", 3, 5)));
    logdir.replace("tfevents.1", logdir.read("tfevents.1"));
    logdir.rename("tfevents.1", "tfevents.3");
    const match = await matchRun(runAt(logdir), [stored]);
    expect(match).toMatchObject({ stored, notes: [], problems: [] });
    expect(names(match)).toEqual([
      ["tfevents.2", "tfevents.2"],
      ["tfevents.3", "tfevents.1"],
    ]);
  });

  test("among several of its name by most of its files", async () => {
    const logdir = newLogdir();
    for (const i of [1, 2, 3]) logdir.write(`tfevents.${i}`, fileOf(curve("a", 0, 3), i));
    const whole = await storedOf(runAt(logdir), { id: 1 });
    const part = { ...whole, id: 2, files: whole.files.slice(0, 2) };
    const other = { ...whole, id: 3, files: [{ ...(whole.files[0] as StoredFile), key: "0".repeat(32), stamp: "" }] };
    for (const candidates of [
      [whole, part, other],
      [other, part, whole],
    ]) {
      expect((await matchRun(runAt(logdir), candidates)).stored).toBe(whole);
    }
    expect((await matchRun(runAt(logdir), [other, part])).stored).toBe(part);
  });

  test("by thousands of files that were renamed, each opened as often as one would be", async () => {
    const logdir = newLogdir();
    const files = 1000;
    for (let i = 0; i < files; i++) logdir.write(`tfevents.${i}`, fileOf(curve("a", 0, 3), i));
    const stored = await storedOf(runAt(logdir));
    // The first becomes the last, so that none is where it is looked for first.
    for (let i = 0; i < files; i++) logdir.rename(`tfevents.${i}`, `renamed.tfevents.${10 * files - i}`);
    const open = vi.spyOn(FileSource, "open");
    onTestFinished(() => open.mockRestore());
    const match = await matchRun(runAt(logdir), [stored]);
    const found = new Map(names(match) as [string, string][]);
    for (let i = 0; i < files; i++) expect(found.get(`renamed.tfevents.${10 * files - i}`)).toBe(`tfevents.${i}`);
    // To see whether it can be read, for its beginning, and for the place reached.
    expect(open.mock.calls.length).toBeLessThanOrEqual(3 * files);
  });

  test("among many runs of one name without its files being read for each of them", async () => {
    const logdir = newLogdir();
    const stored: StoredRun[] = [];
    for (let i = 0; i < 100; i++) {
      logdir.write("tfevents.1", fileOf(curve("a", 0, 3), i));
      stored.push(await storedOf(runAt(logdir), { id: i }));
    }
    logdir.write("tfevents.1", fileOf(curve("a", 0, 4), 99));
    const open = vi.spyOn(FileSource, "open");
    onTestFinished(() => open.mockRestore());
    expect((await matchRun(runAt(logdir), stored)).stored?.id).toBe(99);
    expect(open.mock.calls.length).toBeLessThanOrEqual(3);
  });

  test("with two files that begin alike, each by its name", async () => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 3)));
    logdir.write("tfevents.2", fileOf(curve("a", 0, 5)));
    const stored = await storedOf(runAt(logdir));
    logdir.append("tfevents.1", records(curve("a", 3, 4)));
    logdir.append("tfevents.2", records(curve("a", 5, 6)));
    const match = await matchRun(runAt(logdir), [stored]);
    expect(names(match)).toEqual([
      ["tfevents.1", "tfevents.1"],
      ["tfevents.2", "tfevents.2"],
    ]);
    expect(match.notes).toEqual([]);
  });

  test("not when nothing of it is known; that it replaces something is noted", async () => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 3)));
    const stored = await storedOf(runAt(logdir));
    logdir.replace("tfevents.1", fileOf(curve("a", 0, 3), 9));
    expect(await matchRun(runAt(logdir), [stored])).toMatchObject({ stored: undefined, notes: [{ code: "replaced" }] });
    logdir.rename("tfevents.1", "tfevents.other");
    expect(await matchRun(runAt(logdir), [stored])).toMatchObject({ stored: undefined, notes: [] });
    expect(await matchRun(runAt(logdir), [])).toMatchObject({ stored: undefined, notes: [] });
  });
});

describe("a known file", () => {
  const known = async (change: (logdir: Logdir) => void, offset = Infinity): Promise<Match> => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 10)));
    const stored = await storedOf(runAt(logdir), {}, offset);
    change(logdir);
    return matchRun(runAt(logdir), [stored]);
  };
  const half = fileOf(curve("a", 0, 5)).length;

  test("that is shorter than what was read is noted and read again", async () => {
    const match = await known((logdir) => logdir.truncate("tfevents.1", half));
    expect(match).toMatchObject({ notes: [{ code: "truncated" }], files: [{ stored: undefined }] });
    expect(match.stored).toBeDefined();
  });

  test("that is shorter, but not than what was read, is only shorter", async () => {
    const match = await known((logdir) => logdir.truncate("tfevents.1", half + 10), half);
    expect(match).toMatchObject({ notes: [], files: [{ stored: { offset: half } }] });
  });

  test("that holds other bytes before the place reached is noted and read again", async () => {
    const other = (logdir: Logdir) => {
      const bytes = logdir.read("tfevents.1");
      bytes[half - 3] = (bytes[half - 3] as number) ^ 1;
      logdir.replace("tfevents.1", bytes);
    };
    expect(await known(other, half)).toMatchObject({ notes: [{ code: "replaced" }], files: [{ stored: undefined }] });
  });

  test("whose bytes differ only behind the place reached is what it was", async () => {
    const other = (logdir: Logdir) => logdir.replace("tfevents.1", logdir.read("tfevents.1").fill(0, half));
    expect(await known(other, half)).toMatchObject({ notes: [], files: [{ stored: { offset: half } }] });
  });

  test("of which nothing was passed on yet is what it was", async () => {
    expect(await known((logdir) => logdir.append("tfevents.1", Buffer.from("x")), 0)).toMatchObject({
      notes: [],
      files: [{ stored: { offset: 0 } }],
    });
  });

  test("that cannot be opened is a problem, and no reason to think of another run", async () => {
    const logdir = newLogdir();
    logdir.write("tfevents.1", fileOf(curve("a", 0, 10)));
    const run = runAt(logdir);
    const stored = await storedOf(run);
    logdir.remove("tfevents.1");
    const expected = { path: path.join(logdir.root, "tfevents.1"), code: "ENOENT" };
    expect(await matchRun(run, [stored])).toMatchObject({ problems: [expected], notes: [], files: [] });
    mkdirSync(path.join(logdir.root, "tfevents.1"));
    expect(await matchRun(run, [stored])).toMatchObject({ problems: [{ ...expected, code: "EINVAL" }], notes: [] });
  });
});
