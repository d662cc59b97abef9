/** What a TensorBoard run looks like in MLflow, and how it is found there again. */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import sharp from "sharp";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ArtifactStore } from "../../src/backends/artifacts/artifact.ts";
import { MlflowBackend, type MlflowBackendOptions } from "../../src/backends/mlflow/backend.ts";
import { DryRunStore } from "../../src/backends/mlflow/dry-run-store.ts";
import { isValidKey } from "../../src/backends/mlflow/names.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { type MlflowStore, type RunRecord } from "../../src/backends/mlflow/store.ts";
import { TraceletError } from "../../src/errors.ts";
import { ReplyLost } from "../../src/net/refusal.ts";
import type { Datum, HparamsDatum, HparamValue, TagMetadata } from "../../src/reader/datum.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import { type Database, openDatabase } from "../../src/sqlite.ts";
import type { Batch, RunDescription, RunHandle } from "../../src/sync/backend.ts";
import type { Note } from "../../src/sync/report/note.ts";
import { isLine } from "../../src/sync/run/past-choices.ts";
import { type FileMark, hashText } from "../../src/sync/source/fingerprint.ts";
import { ScriptedSource } from "../support/event-writer.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

/** An MLflow in a file, opened anew by each backend as by a new process. */
class Mlflow {
  readonly folder: string = temporaryDirectory();
  readonly file: string = path.join(this.folder, "mlflow.db");

  static create(): Mlflow {
    const mlflow = new Mlflow();
    onTestFinished(() => rmSync(mlflow.folder, { recursive: true, force: true }));
    return mlflow;
  }

  /** @param faults methods of the store that do otherwise; each is given the real one */
  backend(faults: Faults = () => ({}), options: Partial<MlflowBackendOptions> = {}): MlflowBackend {
    const real = SqliteStore.open(this.file);
    const overrides = faults(real);
    const store = new Proxy<MlflowStore>(real, {
      get(target, name) {
        const value: unknown = Reflect.get(overrides, name) ?? Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    return new MlflowBackend({
      store,
      experiment: "mnist",
      version: "1.2.3",
      keepsMarks: true,
      giveUpAfterMs: 1000,
      ...options,
    });
  }

  look<T>(work: (database: Database) => T): T {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    const result = work(database);
    database.close();
    return result;
  }

  /** `key step value` of every point, sorted. */
  points(): string[] {
    const rows = this.look((database) => database.prepare("SELECT key, step, value FROM metrics").all());
    return rows.map(({ key, step, value }) => `${key} ${step} ${value}`).sort();
  }

  /** The tag each metric key stands for, by key. */
  names(): Map<string, string> {
    const rows = this.look((database) =>
      database.prepare("SELECT key, value FROM tags WHERE key LIKE 'tracelet.tag.%'").all(),
    );
    return new Map(rows.map(({ key, value }) => [String(key).slice("tracelet.tag.".length), String(value)]));
  }

  params(): Record<string, string> {
    const rows = this.look((database) => database.prepare("SELECT key, value FROM params").all());
    return Object.fromEntries(rows.map(({ key, value }) => [String(key), String(value)]));
  }
}

type Faults = (real: MlflowStore) => Partial<MlflowStore>;

const MARK: FileMark = {
  key: "a".repeat(32),
  name: "events.tfevents",
  head: 100,
  offset: 0,
  from: 0,
  tail: "b".repeat(32),
};

function description(changes: Partial<RunDescription> = {}): RunDescription {
  return {
    name: changes.title ?? "train",
    title: changes.name ?? "train",
    source: "c".repeat(32),
    startTime: 1_700_000_000.9999,
    marks: [MARK],
    parentId: undefined,
    owns: async (marks) => marks.some(({ key }) => key === MARK.key),
    holds: async (marks) => marks.some(({ key }) => key === MARK.key),
    contradicts: async () => false,
    isOthers: async () => false,
    replaces: undefined,
    ...changes,
  };
}

interface Given {
  readonly scalars?: readonly (readonly [tag: string, step: number, value: number, wallTime?: number])[];
  readonly data?: readonly Datum[];
  readonly marks?: readonly FileMark[];
  readonly hparams?: Readonly<Record<string, HparamValue>>;
}

function batch({ scalars = [], data = [], marks = [MARK], hparams = {} }: Given): Batch {
  const columns = new RecordBatch(Math.max(1, scalars.length), new TagTable());
  for (const [tag, step, value, wallTime = 1.7e9] of scalars) {
    columns.push(columns.tagTable.ofName(tag), step, 0, wallTime, value, 0);
  }
  const parts = [{ file: "events.tfevents", firstScalar: 0, firstDatum: 0 }];
  const lines = data.filter(isLine);
  const segments = lines.length === 0 ? [] : [{ key: MARK.key, start: 0, part: "", data: lines }];
  return { scalars: columns, data, segments, parts, marks, hparams: new Map(Object.entries(hparams)) };
}

const METADATA: TagMetadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
const BASE = { tag: "t", step: 1n, wallTime: 1, offset: 0, metadata: METADATA };

function session(hparams: Readonly<Record<string, HparamValue>>): HparamsDatum {
  const rest = { groupName: "", modelUri: "", monitorUrl: "", startTime: 0 };
  return {
    ...BASE,
    kind: "hparams",
    record: { type: "session_start", hparams: new Map(Object.entries(hparams)), ...rest },
  };
}

async function record(mlflow: Mlflow, id: string): Promise<RunRecord> {
  const store = SqliteStore.open(mlflow.file);
  const run = await store.run(id);
  await store.close();
  if (run === undefined) throw new Error(`there is no run ${id}`);
  return run;
}

const codes = (notes: readonly Note[]) => notes.map(({ code }) => code);
const never = async (): Promise<never> => {
  throw new Error("must not be asked");
};

describe("a run", () => {
  test("is created with all that its page shows", async () => {
    const mlflow = Mlflow.create();
    const handle = await mlflow.backend().open(description(), undefined);
    expect(handle).toMatchObject({ created: true, marks: [MARK] });
    const run = await record(mlflow, handle.id);
    expect(run.status).toBe("RUNNING");
    expect(Object.fromEntries(run.tags)).toMatchObject({
      "mlflow.runName": "train",
      "mlflow.user": os.userInfo().username,
      "mlflow.source.name": "tracelet",
      "mlflow.source.type": "LOCAL",
      "mlflow.note.content": "TensorBoard run `train`, synced by tracelet 1.2.3.",
      "tracelet.run": "c".repeat(32),
    });
    const rows = mlflow.look((database) => database.prepare("SELECT name, start_time, end_time FROM runs").all());
    expect(rows).toEqual([{ name: "train", start_time: 1_700_000_000_999, end_time: null }]);
  });

  test("of a hostile name is shown harmless", async () => {
    const mlflow = Mlflow.create();
    const name = "a\u001b]0;x\u0007b\u202ec`[x](javascript:alert(1))";
    const handle = await mlflow.backend().open(description({ name }), undefined);
    const { tags } = await record(mlflow, handle.id);
    const shown = "a\\x1b]0;x\\x07b\\u202ec`[x](javascript:alert(1))";
    expect(tags.get("mlflow.runName")).toBe(shown);
    expect(tags.get("mlflow.note.content")).toBe(`TensorBoard run \`\`${shown}\`\`, synced by tracelet 1.2.3.`);
    const long = await mlflow
      .backend()
      .open(description({ name: "`".repeat(9000), source: "d".repeat(32) }), undefined);
    expect((await record(mlflow, long.id)).tags.get("mlflow.note.content")?.length).toBeLessThanOrEqual(5000);
  });

  test("says where its files lie", async () => {
    const mlflow = Mlflow.create();
    const origin = { host: "node-7", path: "/data/a b/train" };
    const handle = await mlflow.backend().open(description({ origin }), undefined);
    expect((await record(mlflow, handle.id)).tags.get("mlflow.note.content")).toBe(
      "TensorBoard run `train` from `/data/a b/train` on `node-7`, synced by tracelet 1.2.3.",
    );
  });

  test("of a hostile path and host is shown harmless, and its note fits a tag", async () => {
    const mlflow = Mlflow.create();
    const noteOf = async (changes: Partial<RunDescription>) => {
      const handle = await mlflow.backend().open(description(changes), undefined);
      return (await record(mlflow, handle.id)).tags.get("mlflow.note.content");
    };
    const origin = { host: "h\u0000`x", path: "/a\u001b]0;x\u0007\n# b\u202e`[x](javascript:alert(1))" };
    expect(await noteOf({ origin })).toBe(
      "TensorBoard run `train` from ``/a\\x1b]0;x\\x07\\x0a# b\\u202e`[x](javascript:alert(1))`` on ``h\\x00`x``, " +
        "synced by tracelet 1.2.3.",
    );
    const ticks = "`".repeat(9000);
    const longest = { name: ticks, source: "d".repeat(32), origin: { host: ticks, path: ticks } };
    expect((await noteOf(longest))?.length).toBeLessThanOrEqual(5000);
    // Of a long path the end tells runs apart.
    const long = `/${"d/".repeat(800)}run_7`;
    const note = await noteOf({ source: "e".repeat(32), origin: { host: "h", path: long } });
    expect(note).toBe(`TensorBoard run \`train\` from \`...${long.slice(-747)}\` on \`h\`, synced by tracelet 1.2.3.`);
  });

  test("is found again by one search, which would show another one of the same source", async () => {
    const mlflow = Mlflow.create();
    const { id } = await mlflow.backend().open(description(), undefined);
    const again = await mlflow.backend(() => ({ run: never })).open(description(), id);
    expect(again).toMatchObject({ id, created: false, marks: [MARK] });
  });

  test("is found again without its id, by name and content", async () => {
    const mlflow = Mlflow.create();
    const { id } = await mlflow.backend().open(description(), undefined);
    const backend = mlflow.backend();
    expect(await backend.open(description(), undefined)).toMatchObject({ id, created: false });
    expect(await backend.open(description(), "f".repeat(32))).toMatchObject({ id, created: false });
    const copy = description({ source: "d".repeat(32), isOthers: async () => true });
    expect((await backend.open(copy, undefined)).id).not.toBe(id);
    expect(
      (await backend.open(description({ owns: async () => false, holds: async () => false }), undefined)).id,
    ).not.toBe(id);
  });

  describe("whose source was renamed", () => {
    const before = description({ name: "exp/a", source: hashText("exp/a") });
    const after = description({ name: "exp/b", source: hashText("exp/b") });

    test.each(["its id", "its files"])("is the same, known by %s, and is called as it is now", async (by) => {
      const mlflow = Mlflow.create();
      const made = await mlflow.backend().open(before, undefined);
      await mlflow.backend().finish(made, "finished", 5);
      const backend = mlflow.backend();
      const renamed = await backend.open(after, by === "its id" ? made.id : undefined);
      expect(renamed).toMatchObject({ id: made.id, created: false, renamed: { before: "exp/a", now: "exp/b" } });
      const { tags, status } = await record(mlflow, made.id);
      expect(tags.get("mlflow.runName")).toBe("exp/b");
      expect(tags.get("tracelet.run")).toBe(after.source);
      expect(tags.get("mlflow.note.content")).toMatch(/^TensorBoard run `exp\/b`/);
      expect(mlflow.look((database) => database.prepare("SELECT name FROM runs").all())).toEqual([{ name: "exp/b" }]);
      // It is ended by whoever has opened it.
      expect(status).toBe("RUNNING");
      expect((await mlflow.backend().open(after, undefined)).renamed).toBeUndefined();
    });

    test("keeps the name that a user has given it", async () => {
      const mlflow = Mlflow.create();
      const { id } = await mlflow.backend().open(before, undefined);
      mlflow.look((database) =>
        database.exec(
          "UPDATE runs SET name = 'best'; UPDATE tags SET value = 'best' WHERE key IN ('mlflow.runName', 'mlflow.note.content')",
        ),
      );
      const renamed = await mlflow.backend().open(after, undefined);
      expect(renamed).toMatchObject({ id, renamed: { before: "best", now: "best" } });
      const { tags } = await record(mlflow, id);
      expect([tags.get("mlflow.runName"), tags.get("mlflow.note.content")]).toEqual(["best", "best"]);
    });

    test("and was the logdir itself keeps it, too", async () => {
      const mlflow = Mlflow.create();
      const root = description({ name: "exp", source: hashText(".") });
      for (const given of ["exp", "best"]) {
        const { id } = await mlflow.backend().open(root, undefined);
        mlflow.look((database) =>
          database.prepare("UPDATE tags SET value = ? WHERE key = 'mlflow.runName' AND run_uuid = ?").run(given, id),
        );
        const renamed = await mlflow.backend().open(after, id);
        expect(renamed.renamed).toEqual({ before: given, now: given === "exp" ? "exp/b" : "best" });
        mlflow.look((database) => database.exec("UPDATE runs SET lifecycle_stage = 'deleted'; DELETE FROM tags"));
      }
    });

    test("in a database that does not store every character of its name", async () => {
      const mlflow = Mlflow.create();
      const { id } = await mlflow.backend().open(before, undefined);
      const backend = mlflow.backend((real) => ({
        async renameRun(runId, name) {
          if (/[^ -~]/.test(name)) throw new ReplyLost("500");
          return real.renameRun(runId, name);
        },
      }));
      const renamed = await backend.open(description({ name: "exp/🙂", source: hashText("exp/🙂") }), id);
      expect(renamed.renamed?.now).toMatch(/^exp\/[ -~]+$/);
      expect(mlflow.look((database) => database.prepare("SELECT name FROM runs").get())).toEqual({
        name: renamed.renamed?.now,
      });
    });

    test("is known by its files to one of two that might be it", async () => {
      const mlflow = Mlflow.create();
      const { id } = await mlflow.backend().open(before, undefined);
      const backend = mlflow.backend();
      const both = await Promise.all([
        backend.open(after, undefined),
        backend.open(description({ name: "c", source: hashText("c") }), undefined),
      ]);
      expect(new Set(both.map((each) => each.id)).size).toBe(2);
      expect(both.map((each) => each.id)).toContain(id);
    });
  });

  test("is not looked for in an experiment that held none", async () => {
    const backend = Mlflow.create().backend(() => ({ runsByTag: never }));
    await backend.open(description(), undefined);
    await backend.open(description({ source: "d".repeat(32) }), undefined);
  });

  test("is found again by the one that created it, though its id was not kept", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const { id } = await backend.open(description(), undefined);
    // As after a first batch that was lost.
    expect(await backend.open(description(), undefined)).toMatchObject({ id, created: false });
    expect(
      await backend.open(description({ owns: async () => false, holds: async () => false }), undefined),
    ).toMatchObject({ created: true });
  });

  test("created, with the reply lost, is adopted; not created, is created", async () => {
    for (const lost of [0, 1, 2]) {
      const mlflow = Mlflow.create();
      let calls = 0;
      const backend = mlflow.backend((real) => ({
        async createRun(run) {
          calls++;
          if (calls === lost) await real.createRun(run);
          if (calls <= 2) throw new ReplyLost("gone");
          return real.createRun(run);
        },
      }));
      const handle = await backend.open(description(), undefined);
      expect(mlflow.look((database) => database.prepare("SELECT run_uuid FROM runs").all())).toEqual([
        { run_uuid: handle.id },
      ]);
      await backend.write(handle, batch({ scalars: [["loss", 1, 1]] }));
    }
  });

  test("that is never created is given up in the end", async () => {
    const createRun = async (): Promise<never> => {
      throw new ReplyLost("the connection was reset");
    };
    const backend = Mlflow.create().backend(() => ({ createRun }), { giveUpAfterMs: 20 });
    await expect(backend.open(description(), undefined)).rejects.toMatchObject({
      name: "TraceletError",
      code: "unreachable",
    });
  });

  test("that was deleted is an error that says how to get it back, an active one of the same source goes before it", async () => {
    const mlflow = Mlflow.create();
    const { id } = await mlflow.backend().open(description(), undefined);
    mlflow.look((database) => database.exec("UPDATE runs SET lifecycle_stage = 'deleted'"));
    for (const known of [id, undefined]) {
      const error = await mlflow
        .backend()
        .open(description(), known)
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TraceletError);
      expect(error).toMatchObject({ code: "deleted", hint: expect.stringContaining(`--run-id ${id}`) });
    }
    const elsewhere = description({ source: "d".repeat(32), isOthers: async () => true });
    const other = await mlflow.backend().open(elsewhere, undefined);
    mlflow.look((database) =>
      database.prepare("UPDATE tags SET value = ? WHERE value = ?").run(description().source, elsewhere.source),
    );
    expect((await mlflow.backend().open(description(), undefined)).id).toBe(other.id);
  });

  test("ends as it is said, when its last event was", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const handle = await backend.open(description(), undefined);
    const row = () => mlflow.look((database) => database.prepare("SELECT status, end_time FROM runs").get());
    await backend.finish(handle, "finished", 1_700_000_001.2345);
    expect(row()).toEqual({ status: "FINISHED", end_time: 1_700_000_001_234 });
    await backend.finish(handle, "failed", 1_700_000_002);
    expect(row()).toEqual({ status: "FAILED", end_time: 1_700_000_002_000 });
    const before = Date.now();
    await backend.finish(handle, "finished", -Infinity);
    expect(Number(row()?.["end_time"])).toBeGreaterThanOrEqual(before);
  });

  test("with more files than a request may hold tags", async () => {
    const mlflow = Mlflow.create();
    const marks = Array.from({ length: 300 }, (_, i) => ({ ...MARK, key: i.toString(16).padStart(32, "0") }));
    const backend = mlflow.backend((real) => ({
      createRun(run) {
        expect(run.tags.size).toBeLessThanOrEqual(100);
        return real.createRun(run);
      },
    }));
    const handle = await backend.open(description({ marks }), undefined);
    await backend.write(handle, batch({ marks }));
    expect((await mlflow.backend().open(description({ owns: async () => true }), handle.id)).marks).toHaveLength(300);
  });
});

describe("the experiment", () => {
  test("that is gone with a backup is made again", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    await backend.open(description(), undefined);
    mlflow.look((database) =>
      database.exec(
        "DELETE FROM tags; DELETE FROM runs; DELETE FROM experiment_tags; DELETE FROM experiments WHERE name = 'mnist'",
      ),
    );
    await expect(backend.open(description({ source: "d".repeat(32) }), undefined)).rejects.toBeInstanceOf(
      TraceletError,
    );
    expect((await backend.open(description({ source: "d".repeat(32) }), undefined)).created).toBe(true);
  });

  test("is asked for again where it could not be opened", async () => {
    let asked = 0;
    const backend = Mlflow.create().backend((real) => ({
      experimentByName: (name) => {
        if (++asked === 1) throw new TraceletError("unreachable", "not now");
        return real.experimentByName(name);
      },
    }));
    await expect(backend.open(description(), undefined)).rejects.toMatchObject({ message: "not now", endsAll: true });
    expect((await backend.open(description(), undefined)).created).toBe(true);
  });

  const kind = (mlflow: Mlflow) =>
    mlflow.look((database) =>
      database.prepare("SELECT value FROM experiment_tags WHERE key = 'mlflow.experimentKind'").get(),
    );

  test("is created as one of model training", async () => {
    const mlflow = Mlflow.create();
    await mlflow.backend().open(description(), undefined);
    expect(kind(mlflow)).toEqual({ value: "custom_model_development" });
  });

  test("that exists is marked so, unless somebody has said what it is", async () => {
    const mlflow = Mlflow.create();
    const store = SqliteStore.open(mlflow.file);
    const id = await store.createExperiment("mnist", new Map());
    await mlflow.backend().open(description(), undefined);
    expect(kind(mlflow)).toEqual({ value: "custom_model_development" });
    await store.setExperimentTag(id, "mlflow.experimentKind", "genai_development");
    await mlflow.backend().open(description(), undefined);
    expect(kind(mlflow)).toEqual({ value: "genai_development" });
    await store.close();
  });

  test("that was deleted is an error that says how to get it back", async () => {
    const mlflow = Mlflow.create();
    await mlflow.backend().open(description(), undefined);
    mlflow.look((database) => database.exec("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'mnist'"));
    await expect(mlflow.backend().open(description(), undefined)).rejects.toMatchObject({
      code: "deleted",
      message: expect.stringContaining('"mnist"'),
      hint: expect.stringContaining("mlflow experiments restore"),
    });
  });

  test("is opened once, for however many runs at once", async () => {
    let asked = 0;
    const backend = Mlflow.create().backend((real) => ({
      experimentByName(name) {
        asked++;
        return real.experimentByName(name);
      },
    }));
    await Promise.all(["a", "b", "c"].map((name) => backend.open(description({ name, source: name }), undefined)));
    expect(asked).toBe(1);
  });
});

describe("scalars", () => {
  test("are metrics, their times in ms by floor", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const handle = await backend.open(description(), undefined);
    const times = [0, 0.0019, 1_700_000_000.1234, 1_700_000_000.9999, 8.64e12];
    const scalars = times.map((time, i) => ["loss", i, 0.5, time] as const);
    const receipt = await backend.write(handle, batch({ scalars }));
    expect(receipt.notes).toEqual([]);
    expect(receipt.tally.kinds.get("scalars")).toMatchObject({ sent: 5, failed: 0 });
    const rows = mlflow.look((database) => database.prepare("SELECT timestamp FROM metrics ORDER BY step").all());
    expect(rows.map(({ timestamp }) => timestamp)).toEqual([0, 1, 1_700_000_000_123, 1_700_000_000_999, 8.64e15]);
  });

  test("whose time is none MLflow can store have 0, and it is said once", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const handle = await backend.open(description(), undefined);
    const times = [-1, Number.NaN, Infinity, -Infinity, 1e300];
    const scalars = times.map((time, i) => ["loss", i, 0.5, time] as const);
    expect(codes((await backend.write(handle, batch({ scalars }))).notes)).toEqual(["wall-time"]);
    expect(codes((await backend.write(handle, batch({ scalars }))).notes)).toEqual([]);
    const rows = mlflow.look((database) => database.prepare("SELECT DISTINCT timestamp FROM metrics").all());
    expect(rows).toEqual([{ timestamp: 0 }]);
  });

  test("sent again change nothing", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const handle = await backend.open(description(), undefined);
    const scalars = [
      ["loss", 1, 0.5],
      ["loss (b)", 1, 0.25],
      ["loss", 2, 0.125],
    ] as const;
    await backend.write(handle, batch({ scalars }));
    const points = mlflow.points();
    expect(points).toHaveLength(3);
    await backend.write(handle, batch({ scalars }));
    const reopened = mlflow.backend();
    await reopened.write(await reopened.open(description(), undefined), batch({ scalars: [...scalars].reverse() }));
    expect(mlflow.points()).toEqual(points);
  });

  test("with a tag that MLflow does not allow are renamed, it is said once, and the tag is kept", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const handle = await backend.open(description(), undefined);
    const tags = ["loss (train)", "a//b", "100%", "x".repeat(300), "..loss", ""];
    const { notes } = await backend.write(
      handle,
      batch({ scalars: [["fine", 1, 1], ...tags.map((tag) => [tag, 1, 1] as const)] }),
    );
    expect(codes(notes)).toEqual(tags.map(() => "renamed"));
    expect(notes[0]?.message).toContain('"loss (train)"');
    expect([...mlflow.names().values()].sort()).toEqual([...tags].sort());
    expect([...mlflow.names().keys()].every(isValidKey)).toBe(true);
    expect((await backend.write(handle, batch({ scalars: [["loss (train)", 2, 1]] }))).notes).toEqual([]);
  });

  test("that loggers of frameworks write keep a readable key, and what MLflow allows keeps its own", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const events = path.resolve(import.meta.dirname, "../../fixtures/odd-metric-names/runs/a");
    const scalars = new RecordBatch(1000, new TagTable());
    const bytes = readFileSync(path.join(events, readdirSync(events)[0] as string));
    const records = new RecordReader(new ScriptedSource(bytes), { start: 0, end: bytes.length });
    await new EventFileReader(records, new Map()).read(scalars);
    const handle = await backend.open(description(), undefined);
    await backend.write(handle, { ...batch({}), scalars });
    const keys = new Set(mlflow.points().map((point) => point.split(/ [0-2] /)[0] as string));
    expect([...keys]).toEqual(
      expect.arrayContaining([
        ...["Loss", "loss", "lr-Adam/pg1", "Verlust/größe", "pr\u00e9cision", "训练/损失"],
        ...["val/AR_100", "val/AR_1000", "metrics/mAP50_B_", "metrics/mAP50-95_B_", "gpu_id: 0/memory.used _MB_"],
        ...["loss/x", "a/_/b", "_", "loss_train", "pre_cision", "F1 score _", "loss_0.5_acc", "x".repeat(200)],
        // One of each two has it without.
        ...["timing_s_/gen", expect.stringMatching(/^timing_s_\/gen-[0-9a-f]{8}$/)],
        ...[expect.stringMatching(/^loss-[0-9a-f]{8}$/), expect.stringMatching(/^loss-[0-9a-f]{8}$/)],
      ]),
    );
    expect(keys.size).toBe(23);
    expect(mlflow.points()).toHaveLength(3 * 23);
    // Another machine, which reads them in another order.
    const again = mlflow.backend();
    const reversed = new RecordBatch(1000, new TagTable());
    for (let i = scalars.length - 1; i >= 0; i--) {
      const [id, step, value] = [scalars.tag[i] as number, Number(scalars.step[i]), scalars.value[i] as number];
      const tag = reversed.tagTable.ofName(scalars.tags[id] as string);
      reversed.push(tag, step, 0, scalars.wallTime[i] as number, value, 0);
    }
    const points = mlflow.points();
    await again.write(await again.open(description(), undefined), { ...batch({}), scalars: reversed });
    expect(mlflow.points()).toEqual(points);
  });

  test("keep their keys when the run is opened again, whatever the order of their tags", async () => {
    const literal = await renamed("loss (train)");
    const tags = ["loss (train)", literal, `${"x".repeat(6000)}1`, `${"x".repeat(6000)}2`, "..", "plain"];
    for (const first of [tags, [...tags].reverse()]) {
      const mlflow = Mlflow.create();
      for (const order of [first.slice(0, 3), [...first].reverse(), first]) {
        const backend = mlflow.backend();
        const handle = await backend.open(description(), undefined);
        await backend.write(handle, batch({ scalars: order.map((tag) => [tag, 1, tags.indexOf(tag)] as const) }));
      }
      expect(mlflow.points()).toHaveLength(tags.length);
      expect(new Set(mlflow.points().map((point) => point.split(" ").at(-1))).size).toBe(tags.length);
    }
  });

  test("keep their keys also when MLflow died between a batch's metrics and its tags", async () => {
    const literal = await renamed("loss (train)");
    for (const tags of [["loss (train)"], ["loss (train)", literal], [literal, "loss (train)"]]) {
      for (let dies = 1; dies <= 3; dies++) {
        const mlflow = Mlflow.create();
        let calls = 0;
        const mortal = mlflow.backend((real) => ({
          async logBatch(id, content) {
            if (++calls < dies) return real.logBatch(id, content);
            // Metrics are stored before tags, and these are not stored any more.
            if (calls === dies) await real.logBatch(id, { ...content, tags: new Map() });
            throw new TraceletError("unreachable", "died");
          },
        }));
        const scalars = tags.map((tag, i) => [tag, 1, i] as const);
        const handle = await mortal.open(description(), undefined);
        await mortal.write(handle, batch({ scalars })).catch(() => {});
        for (const order of [scalars, [...scalars].reverse()]) {
          const backend = mlflow.backend();
          await backend.write(await backend.open(description(), undefined), batch({ scalars: order }));
        }
        expect([dies, mlflow.points().map((point) => point.split(" ").at(-1))].flat().sort()).toEqual(
          [dies, ...tags.map((_, i) => String(i))].sort(),
        );
      }
    }
  });

  /** The key that MLflow has a tag's metric under. */
  async function renamed(tag: string): Promise<string> {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    await backend.write(await backend.open(description(), undefined), batch({ scalars: [[tag, 1, 1]] }));
    return mlflow.points()[0]?.split(" 1 ")[0] as string;
  }
});

describe("marks", () => {
  test("are told by the run as they were written", async () => {
    const mlflow = Mlflow.create();
    const backend = mlflow.backend();
    const handle = await backend.open(description(), undefined);
    const marks = [
      { ...MARK, offset: 500, from: 100 },
      { ...MARK, key: "e".repeat(32), name: '日本 " tfevents' },
    ];
    await backend.write(handle, batch({ scalars: [["loss", 1, 1]], marks }));
    expect((await mlflow.backend().open(description(), undefined)).marks).toEqual(marks);
  });

  test("are not told where the store keeps nothing", async () => {
    const backend = new MlflowBackend({
      store: new DryRunStore(),
      experiment: "x",
      version: "1",
      keepsMarks: false,
      giveUpAfterMs: 0,
    });
    expect((await backend.open(description(), "known")).marks).toBeUndefined();
    const created = await backend.open(description(), undefined);
    const receipt = await backend.write(created, batch({ scalars: [["loss (a)", 1, 1]], hparams: { lr: 0.1 } }));
    expect(codes(receipt.notes)).toEqual(["renamed"]);
    expect(receipt.tally.kinds.get("scalars")?.sent).toBe(1);
    await backend.finish(created, "finished", 1);
    await backend.close();
  });
});

describe("hyperparameters", () => {
  async function write(given: Given, mlflow = Mlflow.create()): Promise<{ mlflow: Mlflow; notes: readonly Note[] }> {
    const backend = mlflow.backend();
    const { notes } = await backend.write(await backend.open(description(), undefined), batch(given));
    return { mlflow, notes };
  }

  test("are params, as Python prints them", async () => {
    const { mlflow, notes } = await write({
      data: [session({ lr: 0.001, layers: 3, adam: true, name: "a b" })],
      hparams: { seed: 7n, momentum: 1e-5, nothing: null, sizes: [1n, 2n], "optimizer/name": "sgd" },
    });
    expect(notes).toEqual([]);
    expect(mlflow.params()).toEqual({
      lr: "0.001",
      layers: "3.0",
      adam: "True",
      name: "a b",
      seed: "7",
      momentum: "1e-05",
      nothing: "None",
      sizes: "[1, 2]",
      "optimizer/name": "sgd",
    });
  });

  test("of the records come before those of the file, and another value there changes nothing", async () => {
    const { mlflow, notes } = await write({
      data: [session({ layers: 3n, lr: 0.1 })],
      hparams: { layers: 3n, lr: 0.2 },
    });
    expect(codes(notes)).toEqual(["param-conflict"]);
    expect(mlflow.params()).toEqual({ layers: "3", lr: "0.1" });
  });

  test("that come again are nothing new; another value is said, and the first stays", async () => {
    const { mlflow } = await write({ hparams: { lr: 0.1, seed: 1n } });
    expect((await write({ data: [session({ lr: 0.1, seed: 1 })] }, mlflow)).notes).toEqual([]);
    const { notes } = await write({ data: [session({ lr: 0.2 }), session({ lr: 0.2 }), session({ seed: 2 })] }, mlflow);
    expect(codes(notes)).toEqual(["param-conflict", "param-conflict"]);
    expect(notes[0]?.message).toContain("0.1");
    expect(mlflow.params()).toEqual({ lr: "0.1", seed: "1" });
  });

  test("that are too long are cut, and it is said", async () => {
    const { mlflow, notes } = await write({ hparams: { fits: "🙂".repeat(6000), long: "🙂".repeat(6001) } });
    expect(codes(notes)).toEqual(["cut"]);
    expect([...(mlflow.params()["long"] ?? "")]).toHaveLength(6000);
    expect([...(mlflow.params()["fits"] ?? "")]).toHaveLength(6000);
    expect(codes((await write({ hparams: { long: "🙂".repeat(6001) } }, mlflow)).notes)).toEqual(["cut"]);
  });

  test("with odd names are renamed, and keep their names", async () => {
    const hparams = { "lr (a)": 0.1, "": 1n, "..": 2n, "half \ud83d": 3n, ["y".repeat(6000)]: 4n };
    const { mlflow, notes } = await write({ hparams });
    expect(codes(notes)).toEqual(Object.keys(hparams).map(() => "renamed"));
    const params = mlflow.params();
    expect(Object.keys(params).every(isValidKey)).toBe(true);
    expect(Object.values(params).sort()).toEqual(["0.1", "1", "2", "3", "4"]);
    await write({ hparams }, mlflow);
    expect(mlflow.params()).toEqual(params);
  });
});

describe("files that are larger than may be stored", () => {
  async function limited(maxArtifactBytes?: number) {
    const files = new Map<string, Uint8Array>();
    const store: ArtifactStore = {
      put: async ({ path, bytes }) => void files.set(path, bytes),
      putFile: never,
      get: async (path) => files.get(path),
      digest: never,
      list: never,
    };
    const mlflow = Mlflow.create();
    const backend = mlflow.backend(() => ({ artifacts: async () => store }), { maxArtifactBytes });
    return { files, mlflow, backend, handle: await backend.open(description(), undefined) };
  }
  const text = (tag: string, step: bigint, length: number): Datum => {
    return { ...BASE, tag, step, kind: "text", shape: [], strings: ["x".repeat(length)] };
  };
  const histogram = (tag: string): Datum => ({ ...BASE, tag, kind: "histograms", buckets: new Float64Array(3) });
  const written = async (backend: MlflowBackend, handle: RunHandle, data: readonly Datum[]) => {
    const receipt = await backend.write(handle, batch({ data }));
    const kinds = [...receipt.tally.kinds].map(([kind, { sent, skipped }]) => [
      kind,
      sent,
      Object.fromEntries(skipped),
    ]);
    return { kinds, notes: receipt.notes };
  };

  test("are left out with their values, counted, and said once a tag", async () => {
    const { files, backend, handle } = await limited(100);
    const data = [text("a", 1n, 100), text("a", 2n, 101), text("a", 3n, 102), text("b", 1n, 101), session({ lr: 1 })];
    const { kinds, notes } = await written(backend, handle, data);
    expect(kinds).toEqual([
      ["text", 1, { "max-artifact-size": 3 }],
      ["hparams", 1, {}],
    ]);
    // The index is what finds the others again, and has no limit.
    expect([...files.keys()]).toEqual(["text/a/1.md", "tracelet/index.json"]);
    expect(files.get("tracelet/index.json")?.length).toBeGreaterThan(100);
    expect(notes.map(({ code, message }) => [code, message])).toEqual([
      ["oversize", expect.stringMatching(/^text a: text\/a\/2\.md .* 101 bytes .*--max-artifact-size/)],
      ["oversize", expect.stringMatching(/^text b: /)],
    ]);
    expect((await written(backend, handle, [text("a", 4n, 200)])).notes).toEqual([]);
  });

  test("take all other files of their value with them, and all values of a file that several share", async () => {
    const png = await sharp({ create: { width: 300, height: 300, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    const image: Datum = { ...BASE, kind: "images", width: 1, height: 1, images: [{ bytes: png, format: "png" }] };
    const whole = await limited(png.length);
    await written(whole.backend, whole.handle, [image]);
    // The picture, a smaller thumbnail, and the index.
    expect(Array.from(whole.files.values(), ({ length }) => length <= png.length)).toEqual([true, true, true]);
    const { files, mlflow, backend, handle } = await limited(png.length - 1);
    const many = Array.from({ length: png.length }, (_, i) => histogram(`h${i}`));
    expect((await written(backend, handle, [image, ...many])).kinds).toEqual([
      ["images", 0, { "max-artifact-size": 1 }],
      ["histograms", 0, { "max-artifact-size": many.length }],
    ]);
    expect([...files.keys()]).toEqual(["tracelet/index.json"]);
    expect((await record(mlflow, handle.id)).tags.has("mlflow.loggedImages")).toBe(false);
  });

  test("may be pages, which is said", async () => {
    const { files, backend, handle } = await limited(100);
    const page = (tag: string, length: number) => ({ kind: "text", tag, html: "ä".repeat(length / 2) }) as const;
    async function* pages() {
      yield page("small", 100);
      yield page("large", 102);
    }
    const notes = await backend.attach(handle, pages());
    expect(notes.map(({ message }) => message)).toEqual([expect.stringMatching(/^page of text large: .* 102 bytes/)]);
    expect([...files.keys()]).toEqual(["text/small.html", "tracelet/index.json"]);
  });
});

test("what MLflow gets, and what nobody can decode, is told by kind", async () => {
  const backend = Mlflow.create().backend();
  const handle = await backend.open(description(), undefined);
  const data: Datum[] = [
    session({ lr: 1 }),
    { ...BASE, kind: "hparams", record: { type: "session_end", status: "success", endTime: 1 } },
    {
      ...BASE,
      kind: "hparams",
      record: { type: "experiment", timeCreated: 0, description: "", user: "", hparams: [], metrics: [] },
    },
    { ...BASE, kind: "unreadable", reason: "?", isEmpty: false },
    { ...BASE, kind: "tensors", tensor: null },
  ];
  const { tally } = await backend.write(handle, batch({ scalars: [["loss", 1, 1]], data }));
  const sums = [...tally.kinds].map(([kind, { sent, failed, skipped }]) => [
    kind,
    sent + failed + [...skipped.values()].reduce((sum, n) => sum + n, 0),
  ]);
  expect(Object.fromEntries(sums)).toEqual({ scalars: 1, hparams: 3, unreadable: 1, tensors: 1 });
  expect(tally.kinds.get("scalars")?.sent).toBe(1);
  expect(tally.kinds.get("hparams")?.sent).toBe(3);
  expect(tally.kinds.get("unreadable")?.sent).toBe(0);
});

test("values whose files later ones take are left out, also those of an earlier batch; the later ones are there", async () => {
  const mlflow = Mlflow.create();
  const backend = mlflow.backend();
  const handle = await backend.open(description(), undefined);
  const text = (tag: string, step: bigint, content: string): Datum => ({
    ...BASE,
    ...{ kind: "text", tag, step, shape: [], strings: [content] },
  });
  const layout: Datum = { ...BASE, kind: "custom_scalars", tag: "layout", categories: [] };
  const write = async (...data: Datum[]) => (await backend.write(handle, batch({ data }))).tally.kinds;
  const first = await write(text("a", 1n, "one"), text("a", 1n, "two"), text("b", 1n, "one"), layout);
  const same = "same-step";
  expect(first.get("text")).toMatchObject({ sent: 2, skipped: new Map([[same, 1]]) });
  expect(first.get("custom_scalars")).toMatchObject({ sent: 1, skipped: new Map() });
  const second = await write(text("a", 1n, "three"), text("a", 2n, "four"), { ...layout, step: 9n });
  expect(second.get("text")).toMatchObject({ sent: 1, skipped: new Map([[same, 1]]) });
  expect(second.get("custom_scalars")?.skipped).toEqual(new Map([["same-tag", 1]]));
  const store = SqliteStore.open(mlflow.file);
  const artifacts = await store.artifacts({ id: handle.id });
  const read = async (path: string) => Buffer.from((await artifacts.get(path)) ?? []).toString();
  expect([await read("text/a/1.md"), await read("text/a/2.md"), await read("text/b/1.md")]).toEqual([
    expect.stringContaining("three"),
    expect.stringContaining("four"),
    expect.stringContaining("one"),
  ]);
  await store.close();
});
