/** States that earlier versions left behind, and one that a later version has. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Database, openDatabase, type SqlRow } from "../../src/sqlite.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { migrate, VERSION } from "../../src/sync/state/migrations.ts";
import type { StoredRun } from "../../src/sync/state/stored-run.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

const STATES = path.join(import.meta.dirname, "states");
const VERSIONS = [
  ["0.1.0", 2],
  ["version-7", 7],
] as const;
const destinationOf = (name: string) => `mlflow sqlite:/tmp/upgrade/${name}/mlflow.db Default`;

/** A state directory with what a version left. */
function stateOf(name: string): string {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(path.join(directory, "state.db"), gunzipSync(readFileSync(path.join(STATES, name, "state.db.gz"))));
  return directory;
}

function look<T>(directory: string, work: (database: Database) => T): T {
  const database = openDatabase(path.join(directory, "state.db"), { busyTimeout: 0, mustExist: true });
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** What is in the file, as the version that wrote it has it: rows of each table, in order. */
function rowsOf(directory: string): Record<"run" | "file" | "tag" | "claim", SqlRow[]> {
  return look(directory, (database) => {
    const all = (table: string, order: string) => database.prepare(`SELECT * FROM ${table} ORDER BY ${order}`).all();
    return {
      run: all("run", "id"),
      file: all("file", "id"),
      tag: all("tag", "run, member, tag"),
      claim: all("claim", "run, name"),
    };
  });
}

/** The same, from what this version reads. Columns that are younger than the file are missing. */
function rowsRead(checkpoints: Checkpoints, before: ReturnType<typeof rowsOf>): ReturnType<typeof rowsOf> {
  const runs = [...checkpoints.runs().values()].flat().sort((a, b) => (a.id as number) - (b.id as number));
  const json = (map: ReadonlyMap<string, unknown>) => JSON.stringify([...map]);
  const only = (row: SqlRow, like: SqlRow | undefined): SqlRow =>
    Object.fromEntries(Object.entries(row).filter(([column]) => like !== undefined && column in like));
  const destination = String(before.run[0]?.["destination"]);
  const runRow = (run: StoredRun): SqlRow => ({
    id: run.id as number,
    destination,
    name: run.name,
    remote_id: run.remoteId ?? null,
    done: run.done ? 1 : 0,
    pages_due: run.pagesDue ? 1 : 0,
    status: run.status,
    first_wall_time: run.firstWallTime ?? null,
    last_wall_time: run.lastWallTime === -Infinity ? null : run.lastWallTime,
    hparams_files: json(run.hparamsFiles),
    folds: json(run.folds),
    projector_files: json(run.projectorFiles),
    attached: json(run.attached),
    confirmed: run.isConfirmed ? 1 : 0,
    choice: run.choice ?? null,
    choices: json(run.choices),
    directory: run.directory ? Buffer.from(run.directory) : null,
    cursor: run.cursor ?? null,
  });
  const fileRows = runs.flatMap((run) =>
    run.files.map(
      (file): SqlRow => ({
        run: run.id as number,
        key: file.key,
        name: file.name,
        head: file.head,
        offset: file.offset,
        from: file.from,
        tail: file.tail,
        stamp: file.stamp,
        restart_step: file.restartStep === undefined ? null : String(file.restartStep),
        losses: JSON.stringify(file.losses),
        counts: file.counts,
        base: file.base ?? null,
        choice: file.choice ?? null,
        until: file.until === undefined ? null : JSON.stringify(file.until),
        waypoints: file.waypoints?.join(" ") ?? null,
      }),
    ),
  );
  const members = new Set(before.tag.map((row) => String(row["member"])));
  const tagRows = runs.flatMap((run) =>
    [...members].sort().flatMap((member) =>
      [...checkpoints.metadata(run, member)].map(
        ([tag, each]): SqlRow => ({
          run: run.id as number,
          member,
          tag,
          plugin: each.plugin,
          display_name: each.displayName,
          description: each.description,
          data_class: each.dataClass,
          content: Uint8Array.from(each.content),
        }),
      ),
    ),
  );
  const claimRows = runs.flatMap((run) =>
    [...checkpoints.claims(run)].map(([name, owner]): SqlRow => ({ run: run.id as number, name, owner })),
  );
  return {
    run: runs.map((run) => only(runRow(run), before.run[0])),
    file: fileRows.map((row) => only(row, before.file[0])),
    tag: tagRows,
    claim: claimRows,
  };
}

const plain = (rows: ReturnType<typeof rowsOf>) => ({
  run: rows.run.map((row) => ({
    ...row,
    ...("directory" in row && { directory: Buffer.from((row["directory"] ?? []) as Uint8Array).toString() }),
  })),
  // The number of a row is nobody's business.
  file: rows.file.map((row) => ({ ...row, id: undefined })).sort(byText),
  tag: rows.tag
    .map((row) => ({ ...row, content: Buffer.from(row["content"] as Uint8Array).toString("hex") }))
    .sort(byText),
  claim: rows.claim.map((row) => ({ ...row })).sort(byText),
});

function byText(a: object, b: object): number {
  return JSON.stringify(Object.entries(a).sort()) < JSON.stringify(Object.entries(b).sort()) ? -1 : 1;
}

describe.each(VERSIONS)("a state of %s", (name, version) => {
  test("keeps every row", () => {
    const directory = stateOf(name);
    const before = rowsOf(directory);
    expect(before.run.length).toBeGreaterThan(20);
    expect(before.file.some((row) => row["losses"] !== "[]" || row["restart_step"] !== null)).toBe(true);
    const checkpoints = Checkpoints.open(directory, destinationOf(name));
    expect(checkpoints.loss).toBeUndefined();
    expect(plain(rowsRead(checkpoints, before))).toEqual(plain(before));
    checkpoints.close();
    expect(look(directory, (database) => database.prepare("PRAGMA user_version").get())).toEqual({
      user_version: VERSION,
    });
  });

  test("that has been through any version between is the same", () => {
    const read = (directory: string) => {
      const checkpoints = Checkpoints.open(directory, destinationOf(name));
      const all = [
        checkpoints.runs(),
        checkpoints.memory(),
        [...checkpoints.runs().values()].flat().map((run) => checkpoints.metadata(run, "")),
      ];
      checkpoints.close();
      return all;
    };
    const direct = read(stateOf(name));
    for (let between = version + 1; between <= VERSION; between++) {
      const directory = stateOf(name);
      look(directory, (database) => database.transaction(() => migrate(database, between)));
      expect(look(directory, (database) => database.prepare("PRAGMA user_version").get())).toEqual({
        user_version: between,
      });
      expect(read(directory)).toEqual(direct);
    }
  });

  test("is read by one who only reads, and the directory stays as it is", () => {
    const directory = stateOf(name);
    const before = rowsOf(directory);
    const files = () => readdirSync(directory).map((file) => [file, readFileSync(path.join(directory, file))]);
    look(directory, (database) => database.prepare("SELECT count(*) FROM run").get());
    const left = files();
    const checkpoints = Checkpoints.open(directory, destinationOf(name), { readOnly: true });
    expect(plain(rowsRead(checkpoints, before))).toEqual(plain(before));
    expect(files()).toEqual(left);
    checkpoints.close();
    expect(files()).toEqual(left);
  });

  test("what a process that died had left in its log is read too", () => {
    const [directory, dead] = [stateOf(name), temporaryDirectory()];
    onTestFinished(() => rmSync(dead, { recursive: true, force: true }));
    look(directory, (database) => {
      database.exec("PRAGMA journal_mode = WAL; UPDATE file SET offset = 77");
      mkdirSync(dead, { recursive: true });
      for (const part of ["", "-wal"])
        copyFileSync(path.join(directory, `state.db${part}`), path.join(dead, `state.db${part}`));
    });
    for (const readOnly of [true, false]) {
      const checkpoints = Checkpoints.open(dead, destinationOf(name), { readOnly });
      const offsets = [...checkpoints.runs().values()].flat().flatMap(({ files }) => files.map(({ offset }) => offset));
      checkpoints.close();
      expect(new Set(offsets)).toEqual(new Set([77]));
    }
  });
});

test("what was remembered of a file without values is still remembered", () => {
  const directory = stateOf("version-7");
  const row = look(directory, (database) => database.prepare("SELECT * FROM barren").get());
  const checkpoints = Checkpoints.open(directory, destinationOf("version-7"));
  const found = checkpoints.barren(String(row?.["path"]), () => String(row?.["stamp"]));
  checkpoints.close();
  expect(found).toEqual({ stamp: row?.["stamp"], state: "zeros", format: undefined });
});

test("a state from before the first release is refused, and left as it is", () => {
  const directory = stateOf("0.1.0");
  look(directory, (database) => database.exec("PRAGMA user_version = 1"));
  const before = rowsOf(directory);
  for (const readOnly of [true, false]) {
    expect(() => Checkpoints.open(directory, "here", { readOnly })).toThrow(
      expect.objectContaining({
        code: "state",
        message: expect.stringContaining("from before 0.1.0"),
        hint: expect.stringContaining("found again at the destination"),
      }),
    );
  }
  expect(rowsOf(directory)).toEqual(before);
});

test("a state that a newer version wrote names both versions", () => {
  const directory = stateOf("0.1.0");
  look(directory, (database) => database.exec("PRAGMA user_version = 99"));
  for (const readOnly of [true, false]) {
    expect(() => Checkpoints.open(directory, "here", { readOnly })).toThrow(
      expect.objectContaining({
        code: "state",
        message: expect.stringMatching(new RegExp(`newer tracelet.*99.*${VERSION}`)),
        hint: expect.stringContaining("--state-dir"),
      }),
    );
  }
});
