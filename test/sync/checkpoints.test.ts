import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { TagMetadata } from "../../src/reader/datum.ts";
import { openDatabase } from "../../src/sqlite.ts";
import { Checkpoints, type Learnt } from "../../src/sync/state/checkpoints.ts";
import type { StoredFile, StoredRun } from "../../src/sync/state/stored-run.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

function stateDirectory(): string {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const FILE: StoredFile = {
  key: "a".repeat(32),
  name: "events.tfevents.1",
  head: 100,
  offset: 2 ** 40 + 1,
  from: 2 ** 40,
  tail: "b".repeat(32),
  waypoints: ["01234567", "89abcdef"],
  stamp: "1:2:3",
  restartStep: -(2n ** 63n),
  losses: [{ start: 10, end: 20, reason: "payload-crc" }],
  counts: "[]",
};

function newRun(changes: Partial<StoredRun> = {}): StoredRun {
  return {
    id: undefined,
    name: "train/日本 \\xff",
    directory: Buffer.from("/runs/\xff", "latin1"),
    cursor: undefined,
    remoteId: "remote",
    done: true,
    isConfirmed: false,
    pagesDue: false,
    status: "failed",
    runName: "baseline",
    firstWallTime: 1_700_000_000.1234567,
    lastWallTime: 1_700_000_001.7654321,
    hparamsFiles: new Map([["", "4:5:6"]]),
    folds: new Map([["losses_a", { by: "add_scalars", main: "losses", sub: "a" }]]),
    projectorFiles: new Map([["", "7:8:9"]]),
    attached: new Map([["events", "1:2:3"]]),
    choice: "0123abcd",
    choices: new Map([["0123abcd", '{"nan":"skip"}']]),
    files: [FILE, { ...FILE, key: "c".repeat(32), restartStep: undefined, losses: [] }],
    ...changes,
  };
}

const metadata = (plugin: string): TagMetadata => ({
  plugin,
  displayName: "Loß\0",
  description: "a\nb",
  dataClass: 1,
  content: Uint8Array.of(0, 255, 1),
});

/** What another process would find. */
function reopened<T>(directory: string, work: (checkpoints: Checkpoints) => T, destination = "here"): T {
  const checkpoints = Checkpoints.open(directory, destination);
  try {
    return work(checkpoints);
  } finally {
    checkpoints.close();
  }
}

const NOTHING: Learnt = { metadata: [], claims: [] };
const learnt = (entries: readonly (readonly [string, string, TagMetadata])[]): Learnt => ({
  ...NOTHING,
  metadata: entries,
});

const onlyRun = (directory: string) =>
  reopened(directory, (checkpoints) => [...checkpoints.runs().values()].flat()[0] as StoredRun);

/** @returns tells how many rows of files were put or removed since it was last asked */
function countRowsWritten(directory: string): () => number {
  const file = path.join(directory, "state.db");
  const database = openDatabase(file, { busyTimeout: 0 });
  database.exec("CREATE TABLE written (key TEXT)");
  for (const [kind, row] of [
    ["INSERT", "new"],
    ["UPDATE", "new"],
    ["DELETE", "old"],
  ])
    database.exec(`CREATE TRIGGER on_${kind} AFTER ${kind} ON file BEGIN INSERT INTO written VALUES (${row}.key); END`);
  onTestFinished(() => database.close());
  return () => {
    const count = Number(database.prepare("SELECT count(*) AS n FROM written").get()?.["n"]);
    database.exec("DELETE FROM written");
    return count;
  };
}

describe("what is saved", () => {
  test("is there in the next process, to the last digit", () => {
    const directory = stateDirectory();
    const run = newRun();
    reopened(directory, (checkpoints) => checkpoints.save(run, NOTHING));
    expect(run.id).toBe(1);
    expect(onlyRun(directory)).toEqual(run);
  });

  test("also of a run that has hardly begun", () => {
    const directory = stateDirectory();
    const nothing = {
      remoteId: undefined,
      done: false,
      isConfirmed: false,
      firstWallTime: undefined,
      lastWallTime: -Infinity,
      hparamsFiles: new Map(),
      folds: new Map(),
      projectorFiles: new Map(),
      attached: new Map(),
    };
    const run = newRun({ ...nothing, status: "finished", files: [] });
    reopened(directory, (checkpoints) => checkpoints.save(run, NOTHING));
    expect(onlyRun(directory)).toEqual(run);
  });

  test("is changed by saving again, and files that are gone are forgotten", () => {
    const directory = stateDirectory();
    const run = newRun();
    reopened(directory, (checkpoints) => checkpoints.save(run, NOTHING));
    run.done = false;
    run.status = "finished";
    run.files = [{ ...FILE, offset: 7, losses: [], counts: '[["images\\u0000a",2,"7"]]' }];
    reopened(directory, (checkpoints) => checkpoints.save(run, NOTHING));
    expect(onlyRun(directory)).toEqual(run);
    run.files = [];
    reopened(directory, (checkpoints) => checkpoints.save(run, NOTHING));
    expect(onlyRun(directory).files).toEqual([]);
  });

  test("of a run with many files only those are written that have changed", () => {
    const directory = stateDirectory();
    const files = Array.from({ length: 1000 }, (_, i): StoredFile => ({ ...FILE, key: `${i}`, offset: i, losses: [] }));
    const run = newRun({ files });
    reopened(directory, (checkpoints) => {
      checkpoints.save(run, NOTHING);
      const written = countRowsWritten(directory);
      checkpoints.save(run, NOTHING);
      expect(written()).toBe(0);
      const changed = { ...FILE, key: "7", offset: 8 };
      const holed: StoredFile = { ...FILE, key: "8", offset: 8 };
      run.files = [...files.slice(0, 7), changed, holed, ...files.slice(9, -1), { ...FILE, key: "new" }];
      checkpoints.save(run, NOTHING);
      // Three are put, one is removed.
      expect(written()).toBe(4);
    });
    const byKey = (all: readonly StoredFile[]) => new Map(all.map((file) => [file.key, file]));
    expect(byKey(onlyRun(directory).files)).toEqual(byKey(run.files));
  });

  test("is written again where the last time failed", () => {
    const directory = stateDirectory();
    const run = newRun({ files: [] });
    reopened(directory, (checkpoints) => {
      checkpoints.save(run, NOTHING);
      run.files = [FILE];
      const broken = learnt([["", "loss", { ...metadata("scalars"), plugin: {} as unknown as string }]]);
      expect(() => checkpoints.save(run, broken)).toThrow(expect.objectContaining({ code: "state" }));
      checkpoints.save(run, NOTHING);
    });
    expect(onlyRun(directory).files).toEqual([FILE]);
  });

  test("is told apart by destination; several runs may have one name", () => {
    const directory = stateDirectory();
    reopened(directory, (checkpoints) => {
      checkpoints.save(newRun({ remoteId: "1" }), NOTHING);
      checkpoints.save(newRun({ remoteId: "2" }), NOTHING);
      checkpoints.save(newRun({ name: "other" }), NOTHING);
    });
    reopened(directory, (checkpoints) => checkpoints.save(newRun({ remoteId: "3" }), NOTHING), "there");
    const ids = (destination: string) =>
      reopened(
        directory,
        (checkpoints) => [...(checkpoints.runs().get(newRun().name) ?? [])].map((run) => run.remoteId),
        destination,
      );
    expect([ids("here"), ids("there"), ids("nowhere")]).toEqual([["1", "2"], ["3"], []]);
    expect(Checkpoints.destinations(directory)).toEqual(["here", "there"]);
  });

  test("holds what is known of tags: the first word stays", () => {
    const directory = stateDirectory();
    const run = newRun();
    const other = newRun({ name: "other" });
    reopened(directory, (checkpoints) => {
      expect(checkpoints.metadata(run, "")).toEqual(new Map());
      checkpoints.save(run, learnt([["", "loss", metadata("scalars")]]));
      checkpoints.save(
        run,
        learnt([
          ["", "loss", metadata("images")],
          ["", "odd \0 tag", metadata("text")],
          ["train", "loss", metadata("audio")],
        ]),
      );
      checkpoints.save(other, learnt([["", "loss", metadata("other")]]));
    });
    const stored = reopened(directory, (checkpoints) => checkpoints.metadata(run, ""));
    const ofMember = reopened(directory, (checkpoints) => checkpoints.metadata(run, "train"));
    expect([...ofMember].map(([tag, { plugin }]) => [tag, plugin])).toEqual([["loss", "audio"]]);
    const found = new Map([...stored].map(([tag, each]) => [tag, { ...each, content: Uint8Array.from(each.content) }]));
    expect(found).toEqual(
      new Map([
        ["loss", metadata("scalars")],
        ["odd \0 tag", metadata("text")],
      ]),
    );
  });

  test("is all or nothing", () => {
    const directory = stateDirectory();
    const run = newRun();
    reopened(directory, (checkpoints) => {
      checkpoints.save(run, NOTHING);
      const broken = { ...FILE, key: undefined as unknown as string };
      expect(() => checkpoints.save({ ...run, remoteId: "changed", files: [broken] }, NOTHING)).toThrow(
        expect.objectContaining({ code: "state" }),
      );
    });
    expect(onlyRun(directory)).toEqual(run);
  });
});

test("of the log that a power failure leaves, whatever its length, an earlier state is read", () => {
  const directory = stateDirectory();
  const run = newRun();
  const checkpoints = Checkpoints.open(directory, "here");
  for (let offset = 1; offset <= 20; offset++) {
    run.files = [{ ...FILE, offset }];
    checkpoints.save(run, NOTHING, offset === 10);
  }
  const [state, log] = ["state.db", "state.db-wal"].map((name) => readFileSync(path.join(directory, name)));
  checkpoints.close();
  const found = new Set<number>();
  for (let length = (log as Buffer).length; length >= 0; length -= 999) {
    const left = stateDirectory();
    writeFileSync(path.join(left, "state.db"), state as Buffer);
    writeFileSync(path.join(left, "state.db-wal"), (log as Buffer).subarray(0, length));
    const { files } = onlyRun(left) ?? { files: [{ ...FILE, offset: 0 }] };
    const [{ offset }] = files as [StoredFile];
    for (const later of found) expect(offset).toBeLessThanOrEqual(later);
    found.add(offset);
  }
  expect(found).toEqual(new Set(Array.from({ length: 21 }, (_, i) => 20 - i)));
});

describe("several destinations of one process", () => {
  const rowsIn = (directory: string, table: string) => {
    const database = openDatabase(path.join(directory, "state.db"), { busyTimeout: 0 });
    const rows = database.prepare(`SELECT * FROM ${table}`).all();
    database.close();
    return rows;
  };

  test("share what is known of the source, and nothing else", () => {
    const directory = stateDirectory();
    const [here, there] = [Checkpoints.open(directory, "here"), Checkpoints.open(directory, "there")];
    const [ours, theirs] = [newRun({ remoteId: "1" }), newRun({ remoteId: "2", files: [{ ...FILE, offset: 200 }] })];
    here.save(ours, learnt([["", "loss", metadata("scalars")]]));
    there.save(theirs, learnt([["", "loss", metadata("scalars")]]));
    expect([rowsIn(directory, "source_run").length, rowsIn(directory, "tag_metadata").length]).toEqual([1, 1]);
    expect([...here.runs().values(), ...there.runs().values()].flat()).toEqual([ours, theirs]);

    // One has been told that the run is called otherwise now, the other has not.
    ours.name = "renamed";
    here.rename([ours]);
    expect([[...here.runs().keys()], [...there.runs().keys()]]).toEqual([["renamed"], [newRun().name]]);
    expect(there.runs().get(theirs.name)?.[0]?.done).toBe(true);

    there.forget([theirs]);
    expect(there.runs().size).toBe(0);
    expect(here.metadata(ours, "").size).toBe(1);
    here.forget([ours]);
    for (const table of ["run", "file", "tag", "source_run", "tag_metadata"])
      expect(rowsIn(directory, table)).toEqual([]);
    here.close();
    there.close();
  });

  test("save in turns, as their runs happen to be acknowledged", async () => {
    const directory = stateDirectory();
    const names = ["mlflow", "jsonl", "parquet"];
    const all = names.map((name) => Checkpoints.open(directory, name));
    await Promise.all(
      all.map(async (checkpoints, i) => {
        for (let n = 0; n < 30; n++) {
          const run = newRun({ name: `run ${n}`, remoteId: `${names[i]} ${n}` });
          checkpoints.save(run, learnt([["", "loss", metadata(`plugin ${n % 3}`)]]), n % 7 === 0);
          await setTimeout(i);
          run.files = [{ ...FILE, offset: 1000 * i + n }];
          checkpoints.save(run, NOTHING);
        }
      }),
    );
    for (const checkpoints of all) checkpoints.close();
    for (const [i, name] of names.entries()) {
      const runs = reopened(directory, (checkpoints) => [...checkpoints.runs().values()].flat(), name);
      expect(runs.map(({ remoteId, files }) => [remoteId, files.map(({ offset }) => offset)])).toEqual(
        Array.from({ length: 30 }, (_, n) => [`${name} ${n}`, [1000 * i + n]]),
      );
    }
    expect(rowsIn(directory, "source_run")).toHaveLength(30);
    expect(rowsIn(directory, "tag_metadata")).toHaveLength(3);
  });
});

describe("the state directory", () => {
  test("is made for its owner alone", () => {
    const directory = path.join(stateDirectory(), "deep", "er");
    Checkpoints.open(directory, "here").close();
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(path.join(directory, "state.db")).mode & 0o777).toBe(0o600);
  });

  test("is not made, and holds nothing, for one who only reads", () => {
    const directory = path.join(stateDirectory(), "none");
    const checkpoints = Checkpoints.open(directory, "here", { readOnly: true });
    const run = newRun();
    checkpoints.save(run, NOTHING);
    expect(run.id).toBeUndefined();
    expect(checkpoints.runs().size).toBe(0);
    checkpoints.close();
    expect(Checkpoints.destinations(directory)).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  test("is read by one who only reads, and left as it is", () => {
    const directory = stateDirectory();
    const run = newRun();
    reopened(directory, (checkpoints) => checkpoints.save(run, learnt([["", "loss", metadata("scalars")]])));
    const before = readFileSync(path.join(directory, "state.db"));
    const checkpoints = Checkpoints.open(directory, "here", { readOnly: true });
    const [found] = checkpoints.runs().get(run.name) ?? [];
    expect(found).toEqual(run);
    expect(checkpoints.metadata(run, "").size).toBe(1);
    checkpoints.save({ ...run, remoteId: "changed" }, NOTHING);
    checkpoints.close();
    expect(readFileSync(path.join(directory, "state.db"))).toEqual(before);
  });

  test("of a newer tracelet is refused, and left as it is", () => {
    const directory = stateDirectory();
    Checkpoints.open(directory, "here").close();
    const database = openDatabase(path.join(directory, "state.db"), { busyTimeout: 0 });
    database.exec("PRAGMA user_version = 99");
    database.close();
    for (const readOnly of [false, true]) {
      expect(() => Checkpoints.open(directory, "here", { readOnly })).toThrow(
        expect.objectContaining({ code: "state", message: expect.stringContaining("newer tracelet") }),
      );
    }
  });

  test.each([
    ["text", Buffer.from("This is no database.\n".repeat(100))],
    ["a damaged header", Buffer.from("SQLite format 3\0".padEnd(4096, "x"))],
    ["zeros", Buffer.alloc(8192)],
  ])("with %s instead of a database is set aside, which is said once", (_, content) => {
    const directory = stateDirectory();
    const file = path.join(directory, "state.db");
    writeFileSync(file, content);
    writeFileSync(`${file}-wal`, content);
    expect(() => Checkpoints.open(directory, "here", { readOnly: true }).runs()).toThrow(
      expect.objectContaining({
        name: "TraceletError",
        code: "state",
        message: expect.stringContaining(directory),
        hint: expect.stringContaining("--state-dir"),
      }),
    );
    expect(readFileSync(file)).toEqual(content);
    expect(reopened(directory, ({ loss }) => loss)).toMatch(/is damaged.*set aside.*found again at the destination/);
    expect(readFileSync(`${file}.damaged`)).toEqual(content);
    reopened(directory, (checkpoints) => checkpoints.save(newRun(), NOTHING));
    expect(reopened(directory, ({ loss }) => loss)).toBeUndefined();
    expect(onlyRun(directory)).toEqual({ ...newRun(), id: 1 });
  });

  test("that was cut to nothing is said to be empty", async () => {
    const directory = stateDirectory();
    expect(reopened(directory, ({ loss }) => loss)).toBeUndefined();
    await setTimeout(300);
    truncateSync(path.join(directory, "state.db"));
    expect(reopened(directory, ({ loss }) => loss)).toContain("is empty");
    expect(reopened(directory, ({ loss }) => loss)).toBeUndefined();
  });

  test("damaged in the midst never gives wrong places: it is set aside, or what it held is right", () => {
    const directory = stateDirectory();
    const runs = Array.from({ length: 200 }, (_, i) => newRun({ name: `run ${i}` }));
    reopened(directory, (checkpoints) => runs.forEach((run) => checkpoints.save(run, NOTHING)));
    const file = path.join(directory, "state.db");
    const whole = readFileSync(file);
    let lost = 0;
    for (let at = 0; at < whole.length; at += 4096) {
      const holed = Buffer.from(whole);
      holed.fill(0, at, at + 4096);
      for (const damaged of [whole.subarray(0, at), holed]) {
        writeFileSync(file, damaged);
        reopened(directory, (checkpoints) => {
          if (checkpoints.loss !== undefined) lost++;
          for (const run of [...checkpoints.runs().values()].flat()) expect(runs).toContainEqual(run);
          checkpoints.save(newRun({ name: "another" }), NOTHING);
        });
      }
    }
    expect(lost).toBeGreaterThan(whole.length / 4096);
  });

  test("that cannot be written is refused", () => {
    const directory = stateDirectory();
    const file = path.join(directory, "a file");
    writeFileSync(file, "");
    mkdirSync(path.join(directory, "taken", "state.db"), { recursive: true });
    for (const place of [file, path.join(file, "below"), "/sys/tracelet", path.join(directory, "taken")]) {
      expect(() => Checkpoints.open(place, "here")).toThrow(
        expect.objectContaining({ name: "TraceletError", code: "state", message: expect.stringContaining(place) }),
      );
    }
  });
});

test("processes that begin at the same moment share the state", async () => {
  const directory = path.join(stateDirectory(), "new");
  const script = `
    import { openDatabase } from ${JSON.stringify(path.resolve(import.meta.dirname, "../../dist/sqlite.js"))};
    import { Checkpoints } from ${JSON.stringify(path.resolve(import.meta.dirname, "../../dist/sync/state/checkpoints.js"))};
    while (Date.now() < Number(process.argv[1]));
    const checkpoints = Checkpoints.open(process.argv[2], "here");
    for (let i = 0; i < 20; i++) {
      checkpoints.save({ id: undefined, name: process.argv[3] + i, remoteId: "r", done: true, pagesDue: false, status: "finished",
        firstWallTime: 1, lastWallTime: 1, hparamsFiles: new Map(), folds: new Map(), projectorFiles: new Map(),
        attached: new Map(), choice: undefined, choices: new Map(), files: [] }, { metadata: [], claims: [] });
    }
    checkpoints.close();`;
  const at = String(Date.now() + 700);
  const children = ["a", "b", "c", "d"].map((name) =>
    spawn(process.execPath, ["--input-type=module", "-e", script, at, directory, name], {
      stdio: ["ignore", "ignore", "pipe"],
    }),
  );
  const ends = await Promise.all(
    children.map(async (child) => {
      let stderr = "";
      child.stderr.on("data", (text) => (stderr += String(text)));
      const [code] = (await once(child, "close")) as [number | null];
      return `${code} ${stderr}`;
    }),
  );
  expect(ends).toEqual(["0 ", "0 ", "0 ", "0 "]);
  expect(reopened(directory, (checkpoints) => checkpoints.runs().size)).toBe(80);
});
