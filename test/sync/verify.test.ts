/** A look at an MLflow database in which something is not as it was sent. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { LocalStore } from "../../src/backends/mlflow/artifact-stores/local.ts";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import type { MlflowStore } from "../../src/backends/mlflow/store.ts";
import { TraceletError } from "../../src/errors.ts";
import type { Kind } from "../../src/reader/datum.ts";
import { type Database, openDatabase, type SqlValue } from "../../src/sqlite.ts";
import { type SyncOptions, sync } from "../../src/sync/engine/once.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import type { TransformOptions } from "../../src/sync/transform/transform.ts";
import { type Difference, Findings } from "../../src/verify/findings.ts";
import { ArtifactCheck } from "../../src/verify/mlflow/artifact-check.ts";
import { pointOf } from "../../src/verify/mlflow/points.ts";
import { type VerifyOptions, verify } from "../../src/verify/mlflow/verify.ts";
import type { VerifiedRun, VerifyResult } from "../../src/verify/result.ts";
import { event, eventFile, imageEvent, scalarEvent, sessionStart, textEvent } from "../support/event-writer.ts";
import { localFile } from "../support/local-file.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { curve, fileOf, interleaved, records, version } from "./world.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

type Chosen = Pick<
  SyncOptions,
  "group" | "attachSource" | "restarts" | "transform" | "maxRecordBytes" | "wantsRun" | "concurrency" | "signal"
>;

class Place {
  readonly root: string = temporaryDirectory();
  readonly logdir: Logdir = new Logdir(path.join(this.root, "runs"));
  readonly file: string = path.join(this.root, "mlflow", "mlflow.db");
  readonly stateDir: string = path.join(this.root, "state");

  static create(): Place {
    const place = new Place();
    onTestFinished(() => rmSync(place.root, { recursive: true, force: true }));
    return place;
  }

  chosen(): Chosen {
    return {
      group: "run",
      restarts: "explicit",
      attachSource: false,
      transform: { includeTags: [], excludeTags: [], nan: "keep" },
      maxRecordBytes: 1 << 20,
      wantsRun: () => true,
      concurrency: 2,
      signal: new AbortController().signal,
    };
  }

  async sync(options: Partial<SyncOptions> = {}): Promise<void> {
    const backend = new MlflowBackend({
      store: SqliteStore.open(this.file),
      experiment: "mnist",
      version: "1.2.3",
      keepsMarks: true,
      giveUpAfterMs: 1000,
    });
    const checkpoints = Checkpoints.open(this.stateDir, "mlflow");
    try {
      const all = { logdirs: [this.logdir.root], backend, checkpoints, ...this.chosen(), ...options };
      const { runs } = await sync(all);
      expect(runs.flatMap(({ error }) => error ?? [])).toEqual([]);
    } finally {
      checkpoints.close();
      await backend.close();
    }
  }

  async verify(options: Partial<VerifyOptions> = {}): Promise<VerifyResult> {
    const store = options.store ?? SqliteStore.open(this.file, { readOnly: true });
    const all = { logdirs: [this.logdir.root], experiment: "mnist", version: "1.2.3", ...this.chosen() };
    try {
      return await verify({ ...all, ...options, store });
    } finally {
      await store.close();
    }
  }

  look<T>(work: (database: Database) => T): T {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    try {
      return work(database);
    } finally {
      database.close();
    }
  }

  change(sql: string, ...values: SqlValue[]): void {
    this.look((database) => database.prepare(sql).run(...values));
  }

  /** The folder of the only run's files. */
  artifacts(): string {
    return String(this.look((database) => database.prepare("SELECT artifact_uri FROM runs").get()?.["artifact_uri"]));
  }
}

const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

function histogramEvent(tag: string, step: number): Uint8Array {
  const histo = {
    min: 0,
    max: step + 1,
    num: 3,
    sum: step,
    sumSquares: step,
    bucketLimit: [1, step + 2],
    bucket: [1, 2],
  };
  return event({ wallTime: 1.7e9 + step, step, summary: { value: [{ tag, histo }] } });
}

/** A place to which a run of each kind was sent. */
async function placeWithRun(): Promise<Place> {
  const place = Place.create();
  const { logdir } = place;
  const media = [0, 1, 2].flatMap((step) => [
    imageEvent("picture", step, PNG),
    textEvent("notes", step, `step ${step}`),
    histogramEvent("weights", step),
  ]);
  const points = records(interleaved(curve("loss", 0, 10), curve("acc%", 0, 10)));
  logdir.write("train", Buffer.concat([version(), points, eventFile(...media)]));
  logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\nname: first\n"));
  await place.sync();
  return place;
}

const outcomes = ({ runs }: VerifyResult) => Object.fromEntries(runs.map(({ name, outcome }) => [name, outcome]));

function only({ runs }: VerifyResult): VerifiedRun {
  expect(runs).toHaveLength(1);
  return runs[0] as VerifiedRun;
}

/** The only run differs, in this alone. */
async function expectDifferences(place: Place, differences: readonly object[]): Promise<void> {
  const run = only(await place.verify());
  expect(run.findings.differences).toMatchObject(differences);
  expect(run.findings.differences).toHaveLength(differences.length);
  expect([run.error, run.outcome]).toEqual([undefined, "different"]);
}

/** Every file below a directory, with its content and time of change. */
function snapshot(directory: string): Map<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return [file, `${statSync(file).mtimeMs} ${readFileSync(file).toString("base64")}`];
    }),
  );
}

describe("after a sync", () => {
  test("all is equal, and nothing is written anywhere", async () => {
    const place = await placeWithRun();
    const before = snapshot(place.root);
    const result = await place.verify();
    const { findings, outcome, remoteId } = only(result);
    expect(outcome).toBe("equal");
    expect(findings.differences).toEqual([]);
    expect(place.look((database) => database.prepare("SELECT run_uuid FROM runs").all())).toEqual([
      { run_uuid: remoteId },
    ]);
    const compared = Object.fromEntries(Object.entries(findings.counts).map(([what, each]) => [what, each.compared]));
    // 3 images with their thumbnails, 3 texts, 2 pages and the index; the tags are acc%'s own name and that of images.
    expect(compared).toEqual({ runs: 1, points: 20, params: 2, tags: 2, files: 12, lines: 3 });
    expect(snapshot(place.root)).toEqual(before);
  });

  test("in several steps, by several processes, all is equal", async () => {
    const place = Place.create();
    const { logdir } = place;
    logdir.write("train", fileOf(curve("loss", 0, 5)));
    for (let step = 0; step < 6; step++) {
      const more = [textEvent("notes", step, `step ${step}`), histogramEvent("weights", step)];
      logdir.append("train", Buffer.concat([records(curve("loss", 5 + step, 6 + step)), eventFile(...more)]));
      if (step === 3) rmSync(place.stateDir, { recursive: true });
      await place.sync();
    }
    expect(
      readdirSync(path.join(place.artifacts(), "histograms")).filter((name) => name.endsWith(".jsonl")),
    ).toHaveLength(1);
    const { findings } = only(await place.verify());
    expect([findings.differences, findings.counts.lines.compared]).toEqual([[], 6]);
  });

  test("values that no database can hold as they are", async () => {
    const place = Place.create();
    const values = [Number.NaN, Infinity, -Infinity, -0, 0, 1e-45, 3.4028234663852886e38];
    place.logdir.write("train", eventFile(...values.map((value, i) => scalarEvent("loss", i, value))));
    await place.sync();
    expect(only(await place.verify())).toMatchObject({ outcome: "equal" });
  });

  test("points that the source has twice are there once", async () => {
    const place = Place.create();
    place.logdir.write("train", fileOf([...curve("loss", 0, 5), ...curve("loss", 0, 5), ...curve("loss", 3, 9)]));
    await place.sync({ restarts: "keep" });
    expect(only(await place.verify({ restarts: "keep" }))).toMatchObject({ outcome: "equal" });
    expect(only(await place.verify({ restarts: "keep", itemsHeld: 3 }))).toMatchObject({ outcome: "equal" });
  });

  test("of two texts of one step the later one counts", async () => {
    const place = Place.create();
    const texts = [textEvent("notes", 1, "first"), textEvent("notes", 1, "second")];
    place.logdir.write("train", eventFile(texts[0] as Uint8Array));
    await place.sync();
    place.logdir.append("train", eventFile(texts[1] as Uint8Array));
    await place.sync();
    expect(only(await place.verify())).toMatchObject({ outcome: "equal" });
    writeFileSync(path.join(place.artifacts(), "text/notes/1.md"), "first");
    await expectDifferences(place, [{ what: "files", name: "text/notes/1.md", state: "different" }]);
  });

  test("what options left out is not expected with the same options", async () => {
    const place = await placeWithRun();
    const options = { transform: { includeTags: [], excludeTags: ["lo*"], nan: "keep" } } as const;
    expect(only(await place.verify(options)).findings.differences).toMatchObject([
      { what: "points", name: "loss", extra: 10 },
    ]);
    const other = Place.create();
    other.logdir.write("train", place.logdir.read("train"));
    await other.sync(options);
    expect(only(await other.verify(options))).toMatchObject({ outcome: "equal" });
  });

  test("what an earlier choice sent is told apart from what nobody did: params, files, and in several steps", async () => {
    const place = await placeWithRun();
    const all = place.chosen().transform;
    const choices = [
      { ...all, excludeTags: ["lo*"] },
      { ...all, excludeTags: ["no*"], excludeKinds: new Set<Kind>(["histograms"]) },
      { ...all, excludeKinds: new Set<Kind>(["hparams", "images", "text"]), excludeTags: ["acc*"] },
    ];
    for (const transform of choices) await place.sync({ transform });
    const transform = choices[2] as TransformOptions;
    const run = only(await place.verify({ transform }));
    expect([run.outcome, run.findings.differences]).toEqual(["equal", []]);
    const { points, params, files, lines } = run.findings.counts;
    // Images with their thumbnails, texts and the page of these.
    expect([points, params, files, lines].map(({ earlier }) => earlier)).toEqual([10, 2, 10, 0]);
    expect(run.findings.counts.points).toMatchObject({ compared: 10 });
    place.change("UPDATE params SET value = 'other' WHERE key = 'name'");
    place.change("UPDATE metrics SET value = 7 WHERE key LIKE 'acc%' AND step = 3");
    writeFileSync(path.join(place.artifacts(), "text/notes/1.md"), "another");
    writeFileSync(path.join(place.artifacts(), "text/notes/7.md"), "step 7");
    const named = only(await place.verify({ transform })).findings;
    expect(named.differences.map(({ what, name }) => `${what} ${name}`).sort()).toEqual([
      "files text/notes/1.md",
      "files text/notes/7.md",
      "params name",
      "points acc_",
    ]);
    expect([named.counts.points, named.counts.params, named.counts.files]).toMatchObject([
      { extra: 1, earlier: 9 },
      { extra: 1, earlier: 1 },
      { extra: 2, earlier: 9 },
    ]);
    // Under another choice than that of the last sync, what is there beside it is extra.
    expect(only(await place.verify({ transform: choices[0] as TransformOptions })).outcome).toBe("different");
  });

  test("event files given one by one: points of one of them are not all", async () => {
    const place = Place.create();
    const folder = path.join(FIXTURES, "glob-of-event-files/runs/exp");
    const files = readdirSync(folder).map((name) => path.join(folder, name));
    expect(files).toHaveLength(3);
    // As a version did that kept only the last file of those in one directory.
    await place.sync({ logdirs: files.slice(-1) });
    const lossy = only(await place.verify({ logdirs: files }));
    expect([lossy.outcome, lossy.findings.counts.points]).toMatchObject(["different", { compared: 15, missing: 10 }]);
    await place.sync({ logdirs: files });
    const whole = only(await place.verify({ logdirs: files }));
    expect([whole.outcome, whole.findings.counts.points]).toMatchObject(["equal", { compared: 15, missing: 0 }]);
    const less = only(await place.verify({ logdirs: files.slice(-1) }));
    expect([less.outcome, less.findings.counts.points]).toMatchObject(["different", { compared: 5, extra: 10 }]);
  });

  test("copies of a run in two logdirs are one run there", async () => {
    const place = Place.create();
    const other = new Logdir(path.join(place.root, "copy"));
    place.logdir.write("train", fileOf(curve("loss", 0, 5)));
    other.write("train", fileOf(curve("loss", 0, 9)));
    place.logdir.write("same", fileOf(curve("loss", 0, 5), 1));
    place.logdir.rsyncTo(other);
    other.write("train", fileOf(curve("loss", 0, 9)));
    const logdirs = [place.logdir.root, other.root];
    await place.sync({ logdirs });
    const { runs } = await place.verify({ logdirs });
    expect(runs.map(({ name, outcome }) => `${name} ${outcome}`).sort()).toEqual([
      "copy/same copy",
      "copy/train copy",
      "runs/same equal",
      "runs/train equal",
    ]);
  });
});

describe("what is not the same is named", () => {
  test("of a run of several logdirs that have the same name", async () => {
    const place = Place.create();
    const logdirs = ["a/logs", "b/logs"].map((name) => new Logdir(path.join(place.root, name)));
    for (const [n, logdir] of logdirs.entries()) logdir.write("tfevents.1", fileOf(curve("loss", n, n + 5), n));
    const roots = logdirs.map(({ root }) => root);
    await place.sync({ logdirs: roots });
    place.change("DELETE FROM metrics WHERE step = 0");
    const { runs } = await place.verify({ logdirs: roots });
    expect(runs.map(({ name, outcome }) => [name, outcome])).toEqual([
      ["a/logs", "different"],
      ["b/logs", "equal"],
    ]);
    expect(runs[0]?.findings.differences).toMatchObject([
      { what: "points", name: "loss", missing: 1, extra: 0, points: [{ source: { step: 0n }, there: undefined }] },
    ]);
  });

  test("of a run whose directory was renamed and not synced since: its name, and nothing else", async () => {
    const place = await placeWithRun();
    place.logdir.rename("train", "other");
    const run = only(await place.verify());
    expect([run.outcome, run.findings.differences]).toEqual([
      "different",
      [
        {
          what: "runs",
          name: "its name, which the next sync changes,",
          state: "different",
          source: "other",
          there: "train",
        },
      ],
    ]);
    await place.sync({ tellsOrigin: true });
    expect(only(await place.verify())).toMatchObject({ name: "other", outcome: "equal" });
  });

  test("of a run of which each logdir has a copy", async () => {
    const place = Place.create();
    const logdirs = ["a/logs", "b/logs"].map((name) => new Logdir(path.join(place.root, name)));
    const [one, other] = logdirs as [Logdir, Logdir];
    one.write("train/tfevents.1", fileOf(curve("loss", 0, 9)));
    one.rsyncTo(other);
    other.write("train/tfevents.2", fileOf(curve("loss", 9, 12), 1));
    one.write("train/tfevents.3", fileOf(curve("loss", 20, 22), 2));
    const roots = logdirs.map(({ root }) => root);
    await place.sync({ logdirs: roots });
    expect(place.look((database) => database.prepare("SELECT run_uuid FROM runs").all())).toHaveLength(1);
    place.change("DELETE FROM metrics WHERE step = 3");
    const { runs } = await place.verify({ logdirs: roots });
    expect(runs[0]?.findings.differences).toMatchObject([{ what: "points", name: "loss", missing: 1, extra: 0 }]);
  });

  test("of a run that has parts, and of one of several trials", async () => {
    const place = Place.create();
    await place.sync({ logdirs: [path.join(FIXTURES, "torch/runs")] });
    place.change("DELETE FROM metrics WHERE key = 'losses/train' AND step = 2");
    const trials = "SELECT run_uuid FROM runs WHERE name = 'hparams/by time/1700000010.0'";
    place.change(`DELETE FROM metrics WHERE run_uuid IN (${trials})`);
    const { runs } = await place.verify({ logdirs: [path.join(FIXTURES, "torch/runs")] });
    const different = runs.filter(({ outcome }) => outcome === "different");
    expect(different.map(({ name, outcome, error }) => [name, outcome, error])).toEqual([
      ["scalars", "different", undefined],
      ["hparams/by time/1700000010.0", "different", undefined],
    ]);
    expect(different[0]?.findings.differences).toMatchObject([
      { what: "points", name: "losses/train", missing: 1, extra: 0, different: 0 },
    ]);
  });
});

describe("a point", () => {
  const one = { timestamp: 1_700_000_005_250, value: 1.25 };

  test("that was deleted", async () => {
    const place = await placeWithRun();
    place.change("DELETE FROM metrics WHERE key = 'loss' AND step = 5");
    const points = [{ source: { step: 5n, ...one }, there: undefined }];
    await expectDifferences(place, [{ what: "points", name: "loss", missing: 1, extra: 0, different: 0, points }]);
  });

  test("whose value is its neighbour", async () => {
    const place = await placeWithRun();
    const value = 1.25 + 2 ** -52;
    place.change("UPDATE metrics SET value = ? WHERE key = 'loss' AND step = 5", value);
    const points = [{ source: { step: 5n, ...one }, there: { step: 5n, ...one, value } }];
    await expectDifferences(place, [{ what: "points", name: "loss", missing: 0, extra: 0, different: 1, points }]);
  });

  test("whose time is another", async () => {
    const place = await placeWithRun();
    place.change("UPDATE metrics SET timestamp = timestamp + 1 WHERE key = 'loss' AND step = 5");
    const points = [{ source: { step: 5n, ...one }, there: { step: 5n, timestamp: one.timestamp + 1, value: 1.25 } }];
    await expectDifferences(place, [{ what: "points", name: "loss", different: 1, points }]);
  });

  test("that is NaN instead of 0", async () => {
    const place = await placeWithRun();
    place.change("UPDATE metrics SET is_nan = 1 WHERE key = 'loss' AND step = 0");
    await expectDifferences(place, [{ what: "points", name: "loss", different: 1 }]);
  });

  test("that is too many, also beyond 2^53", async () => {
    const place = await placeWithRun();
    place.change(
      `INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
       SELECT key, value, timestamp, run_uuid, 9007199254740993, 0 FROM metrics WHERE key = 'loss' AND step = 5`,
    );
    const points = [{ source: undefined, there: { step: 2n ** 53n + 1n, ...one } }];
    await expectDifferences(place, [{ what: "points", name: "loss", missing: 0, extra: 1, different: 0, points }]);
  });

  test("of a renamed metric is found under its key", async () => {
    const place = await placeWithRun();
    place.change("DELETE FROM metrics WHERE key = 'acc_' AND step < 3");
    await expectDifferences(place, [{ what: "points", name: "acc_", missing: 3 }]);
  });

  test("of a metric that is not there at all, or not in the source", async () => {
    const place = await placeWithRun();
    place.change("UPDATE metrics SET key = 'other' WHERE key = 'loss'");
    place.change("UPDATE latest_metrics SET key = 'other' WHERE key = 'loss'");
    await expectDifferences(place, [
      { what: "points", name: "loss", missing: 10, extra: 0 },
      { what: "points", name: "other", missing: 0, extra: 10 },
    ]);
  });

  test("among many is found part by part", async () => {
    const place = Place.create();
    place.logdir.write("a", fileOf(interleaved(curve("loss", 0, 500), curve("lr", 0, 300))));
    place.logdir.write("b", fileOf(curve("loss", 0, 400), 1));
    await place.sync();
    place.change("DELETE FROM metrics WHERE step % 7 = 3");
    place.change("UPDATE metrics SET value = value + 1 WHERE step % 10 = 5");
    for (const itemsHeld of [17, 100, 450, 1e6]) {
      const { runs } = await place.verify({ itemsHeld });
      const counts = runs.flatMap(({ name, findings }) =>
        findings.differences.map((each) => {
          const { missing, different, extra } = each as Difference & {
            missing: number;
            different: number;
            extra: number;
          };
          return [name, each.name, missing, different, extra];
        }),
      );
      expect(counts.sort()).toEqual([
        ["a", "loss", 71, 43, 0],
        ["a", "lr", 43, 26, 0],
        ["b", "loss", 57, 34, 0],
      ]);
    }
  });
});

describe("params, tags and the run itself", () => {
  test.each([
    ["UPDATE params SET value = '0.2' WHERE key = 'lr'", "params", "lr", "different"],
    ["DELETE FROM params WHERE key = 'name'", "params", "name", "missing"],
    [
      "INSERT INTO params (key, value, run_uuid) SELECT 'more', '1', run_uuid FROM params LIMIT 1",
      "params",
      "more",
      "extra",
    ],
    ["DELETE FROM tags WHERE key = 'mlflow.loggedImages'", "tags", "mlflow.loggedImages", "missing"],
    ["UPDATE runs SET status = 'FAILED'", "runs", "status", "different"],
  ])("%s", async (sql, what, name, state) => {
    const place = await placeWithRun();
    place.change(sql);
    await expectDifferences(place, [{ what, name, state }]);
  });

  test("a tag that somebody else has set is none of ours", async () => {
    const place = await placeWithRun();
    place.change("INSERT INTO tags (key, value, run_uuid) SELECT 'mine', '1', run_uuid FROM runs");
    expect(only(await place.verify())).toMatchObject({ outcome: "equal" });
  });

  test("a deleted run", async () => {
    const place = await placeWithRun();
    place.change("UPDATE runs SET lifecycle_stage = 'deleted'");
    const run = only(await place.verify());
    expect(run).toMatchObject({ outcome: "failed", error: { code: "deleted" } });
    expect(run.error?.hint).toContain("mlflow runs restore");
  });

  test("a run that was not sent yet, beside one that was; a run of others is not looked at", async () => {
    const place = Place.create();
    place.logdir.write("a", fileOf(curve("loss", 0, 5)));
    await place.sync();
    place.logdir.rename("a", "elsewhere");
    const foreign = new Logdir(path.join(place.root, "foreign"));
    renameSync(path.join(place.logdir.root, "elsewhere"), path.join(foreign.root, "a"));
    place.logdir.write("b", fileOf(curve("loss", 0, 7), 1));
    await place.sync();
    place.logdir.write("c", fileOf(curve("loss", 0, 9), 2));
    place.logdir.write("d/hparams.yaml", Buffer.from("lr: 1\n"));
    place.logdir.write("d", version());
    const result = await place.verify();
    expect(outcomes(result)).toEqual({ b: "equal", c: "missing", d: "missing" });
    const counts = result.runs.map(({ findings }) => [findings.counts.points.missing, findings.counts.params.missing]);
    expect(counts).toEqual([
      [0, 0],
      [9, 0],
      [0, 1],
    ]);
  });

  test("an experiment that is not there", async () => {
    const place = await placeWithRun();
    const result = await place.verify({ experiment: "other" });
    const { findings } = only(result);
    expect(outcomes(result)).toEqual({ train: "missing" });
    expect([findings.counts.points.missing, findings.counts.files.missing, findings.counts.lines.missing]).toEqual([
      20, 12, 3,
    ]);
    expect(place.look((database) => database.prepare("SELECT count(*) AS n FROM experiments").get())).toEqual({ n: 2 });
  });

  test("a database that is not there is not made", async () => {
    const place = Place.create();
    place.logdir.write("a", fileOf(curve("loss", 0, 5)));
    await expect(place.verify()).rejects.toMatchObject({
      code: "rejected",
      message: expect.stringContaining("there is no"),
    });
    expect(readdirSync(place.root)).toEqual(["runs"]);
  });

  test("what the source has more than was sent is missing", async () => {
    const place = await placeWithRun();
    place.logdir.append("train", records(curve("loss", 10, 13)));
    await expectDifferences(place, [{ what: "points", name: "loss", missing: 3, extra: 0, different: 0 }]);
  });

  test("what a restart made obsolete after it had been sent is extra", async () => {
    const place = Place.create();
    place.logdir.write("train", fileOf(curve("loss", 0, 10)));
    await place.sync();
    place.logdir.append("train", Buffer.concat([eventFile(sessionStart(8)), records(curve("loss", 10, 12))]));
    await place.sync();
    await expectDifferences(place, [{ what: "points", name: "loss", missing: 0, extra: 2, different: 0 }]);
  });
});

describe("a file", () => {
  const image = (place: Place, pattern: RegExp) => {
    const name = readdirSync(path.join(place.artifacts(), "images")).find((each) => pattern.test(each));
    return `images/${name}`;
  };
  const find = { original: /\+step\+1\+.*[0-9a-f]\.png$/, thumbnail: /\+step\+1\+.*compressed/ };

  test.each(["original", "thumbnail"] as const)("that is not there: an image's %s", async (which) => {
    const place = await placeWithRun();
    const name = image(place, find[which]);
    rmSync(path.join(place.artifacts(), name));
    await expectDifferences(place, [{ what: "files", name: expect.stringContaining("+step+1+"), state: "missing" }]);
  });

  test("of which a byte is another", async () => {
    const place = await placeWithRun();
    const name = image(place, find.original);
    const bytes = readFileSync(path.join(place.artifacts(), name));
    bytes[30] = (bytes[30] as number) ^ 1;
    writeFileSync(path.join(place.artifacts(), name), bytes);
    await expectDifferences(place, [{ what: "files", name, state: "different", source: /^SHA-256 / }]);
  });

  test("that is longer", async () => {
    const place = await placeWithRun();
    writeFileSync(path.join(place.artifacts(), "text/notes/2.md"), "step 2!");
    const words = { source: "6 bytes", there: "7 bytes" };
    await expectDifferences(place, [{ what: "files", name: "text/notes/2.md", state: "different", ...words }]);
  });

  test("that is too many", async () => {
    const place = await placeWithRun();
    mkdirSync(path.join(place.artifacts(), "models"));
    writeFileSync(path.join(place.artifacts(), "models/model.pkl"), "");
    await expectDifferences(place, [{ what: "files", name: "models/model.pkl", state: "extra" }]);
  });

  test("a thumbnail that another sharp has made is none the worse; an empty one is", async () => {
    const place = await placeWithRun();
    const name = image(place, find.thumbnail);
    writeFileSync(path.join(place.artifacts(), name), "another picture");
    expect(only(await place.verify())).toMatchObject({ outcome: "equal" });
    writeFileSync(path.join(place.artifacts(), name), "");
    await expectDifferences(place, [{ what: "files", name, state: "different" }]);
  });

  test("a page of this tracelet has to be the same, of another it has to be there", async () => {
    const place = await placeWithRun();
    const page = path.join(place.artifacts(), "histograms/weights.html");
    const html = readFileSync(page, "utf8");
    writeFileSync(page, html.replace("weights", "weighed"));
    await expectDifferences(place, [{ what: "files", name: "histograms/weights.html", state: "different" }]);
    writeFileSync(page, html.replace(/content="tracelet [^"]*"/, 'content="tracelet 0.0.9"').replace("weights", "w"));
    expect(only(await place.verify())).toMatchObject({ outcome: "equal" });
    rmSync(page);
    await expectDifferences(place, [{ what: "files", name: "histograms/weights.html", state: "missing" }]);
  });

  test("a histogram's line that is another", async () => {
    const place = await placeWithRun();
    const folder = path.join(place.artifacts(), "histograms");
    const name = readdirSync(folder).find((each) => each.endsWith(".jsonl")) as string;
    const text = readFileSync(path.join(folder, name), "utf8");
    writeFileSync(path.join(folder, "0-0.jsonl"), text);
    await expectDifferences(place, [{ what: "lines", name: "histograms", missing: 0, extra: 3, different: 0 }]);
    rmSync(path.join(folder, "0-0.jsonl"));
    writeFileSync(path.join(folder, name), text.replace('"step":1', '"step":7'));
    await expectDifferences(place, [{ what: "lines", name: "histograms", missing: 1, extra: 1, different: 0 }]);
    rmSync(path.join(folder, name));
    await expectDifferences(place, [{ what: "lines", name: "histograms", missing: 3, extra: 0, different: 0 }]);
  });

  test("an index that lacks an entry", async () => {
    const place = await placeWithRun();
    const index = path.join(place.artifacts(), "tracelet/index.json");
    const entries = JSON.parse(readFileSync(index, "utf8")) as { tag: string }[];
    writeFileSync(index, JSON.stringify([...entries, { kind: "text", tag: "of another time", path: "text/x" }]));
    expect(only(await place.verify())).toMatchObject({ outcome: "equal" });
    writeFileSync(index, JSON.stringify(entries.filter(({ tag }) => tag !== "notes")));
    await expectDifferences(place, [{ what: "files", name: "tracelet/index.json", state: "different" }]);
  });
});

test("a file that was sent as it is is compared by its digest", async () => {
  const place = Place.create();
  const there = new LocalStore(path.join(place.root, "artifacts"));
  const file = path.join(place.root, "tensors.tsv");
  writeFileSync(file, "0123456789");
  for (const name of ["same", "longer", "other"]) await there.putFile(name, localFile(file), 8);
  await there.put({ path: "other", bytes: Buffer.from("0123456_") });
  const findings = new Findings(pointOf);
  const check = new ArtifactCheck(there, findings, () => {});
  for (const name of ["same", "other", "missing"]) await check.putFile(name, localFile(file), 8);
  await check.putFile("longer", localFile(file), 9);
  await check.finish();
  const states = findings.differences.map((each) => [each.name, (each as { state?: string }).state]);
  expect(states.sort()).toEqual([
    ["longer", "different"],
    ["missing", "missing"],
    ["other", "different"],
  ]);
});

describe("what cannot be read", () => {
  /** A store of which some methods do otherwise. */
  function storeWith(place: Place, overrides: Partial<MlflowStore>): MlflowStore {
    return new Proxy<MlflowStore>(SqliteStore.open(place.file, { readOnly: true }), {
      get(target, name) {
        const value: unknown = Reflect.get(overrides, name) ?? Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  test("there: the run is not called equal", async () => {
    const place = await placeWithRun();
    for (const code of ["rejected", "unreachable"] as const) {
      const store = storeWith(place, {
        metricHistory() {
          throw new TraceletError(code, "no");
        },
      });
      const result = await place.verify({ store });
      expect(outcomes(result)).toEqual({ train: "failed" });
      expect(result.error?.code).toBe(code === "unreachable" ? code : undefined);
    }
  });

  test("there the second time: neither", async () => {
    const place = await placeWithRun();
    place.change("DELETE FROM metrics WHERE key = 'loss' AND step = 5");
    let asked = 0;
    const real = SqliteStore.open(place.file, { readOnly: true });
    const store = storeWith(place, {
      metricHistory(id, key) {
        if (++asked > 2) throw new TraceletError("unreachable", "gone");
        return real.metricHistory(id, key);
      },
    });
    const result = await place.verify({ store });
    await real.close();
    expect(outcomes(result)).toEqual({ train: "failed" });
    expect(result.error?.code).toBe("unreachable");
  });

  test("an interruption leaves it open", async () => {
    const place = await placeWithRun();
    const stop = new AbortController();
    const real = SqliteStore.open(place.file, { readOnly: true });
    const store = storeWith(place, {
      metricHistory(id, key) {
        stop.abort(new TraceletError("interrupted", "interrupted"));
        return real.metricHistory(id, key);
      },
    });
    const result = await place.verify({ store, signal: stop.signal });
    await real.close();
    expect([outcomes(result), result.interrupted]).toEqual([{ train: "interrupted" }, true]);
  });

  test("a source that changes in between is said to", async () => {
    const place = await placeWithRun();
    cpSync(place.logdir.root, path.join(place.root, "kept"), { recursive: true });
    place.change("DELETE FROM metrics WHERE key = 'loss' AND step = 5");
    const real = SqliteStore.open(place.file, { readOnly: true });
    const store = storeWith(place, {
      metricHistory(id, key) {
        rmSync(path.join(place.logdir.root, "train"), { recursive: true, force: true });
        return real.metricHistory(id, key);
      },
    });
    const run = only(await place.verify({ store }));
    await real.close();
    expect(run).toMatchObject({ outcome: "failed", error: { code: "logdir" } });
  });
});
