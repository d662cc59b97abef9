/** tracelet's own records on their way: params, labels and files, to an MLflow database and to files. */
import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { CsvRuns } from "../../src/backends/files/csv-runs.ts";
import { JsonlRuns } from "../../src/backends/files/jsonl-runs.ts";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { openDatabase } from "../../src/sqlite.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { verify } from "../../src/verify/mlflow/verify.ts";
import { Output } from "../files/output.ts";
import {
  eventFile,
  hparamsEvent,
  ownRecord,
  scalarEvent,
  sessionStart,
  versionEvent,
} from "../support/event-writer.ts";
import { codes, only, World } from "./world.ts";

/** A world whose runs go to an MLflow database. */
class Database {
  readonly world: World = World.create();
  readonly file: string = path.join(this.world.root, "mlflow", "mlflow.db");

  async sync(options: Partial<SyncOptions> = {}): Promise<SyncResult> {
    const backend = this.#open();
    try {
      const result = await this.world.sync({ backend, ...options });
      expect(result.runs.flatMap(({ error }) => error ?? [])).toEqual([]);
      return result;
    } finally {
      await backend.close();
    }
  }

  async verify() {
    const store = SqliteStore.open(this.file, { readOnly: true });
    try {
      return await verify({
        store,
        logdirs: [this.world.logdir.root],
        experiment: "mnist",
        version: "1.2.3",
        group: "run",
        restarts: "explicit",
        attachSource: false,
        transform: { includeTags: [], excludeTags: [], nan: "keep" },
        maxRecordBytes: 1 << 20,
        wantsRun: () => true,
        concurrency: 2,
        signal: new AbortController().signal,
      });
    } finally {
      await store.close();
    }
  }

  /** Of the only run: names and texts. */
  pairs(table: "params" | "tags"): Record<string, string> {
    const rows = this.#look(`SELECT key, value FROM ${table} ORDER BY key`);
    const own = rows.filter(({ key }) => table === "params" || !/^(?:mlflow|tracelet)\./.test(String(key)));
    return Object.fromEntries(own.map(({ key, value }) => [key, String(value)]));
  }

  /** A file among the run's artifacts. */
  artifact(name: string): Buffer | undefined {
    const uri = String(this.#look("SELECT artifact_uri FROM runs")[0]?.["artifact_uri"]);
    const file = path.join(uri.startsWith("file:") ? new URL(uri).pathname : uri, name);
    return existsSync(file) ? readFileSync(file) : undefined;
  }

  #look(sql: string) {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    try {
      return database.prepare(sql).all();
    } finally {
      database.close();
    }
  }

  #open(): MlflowBackend {
    mkdirSync(path.dirname(this.file), { recursive: true });
    const store = SqliteStore.open(this.file);
    return new MlflowBackend({ store, experiment: "mnist", version: "1.2.3", keepsMarks: true, giveUpAfterMs: 1000 });
  }
}

function artifact(name: string, bytes: string): Uint8Array {
  return ownRecord("artifact", bytes, { tag: `tracelet/artifact/${name}`, path: name });
}

/** A record that names a file instead of holding its bytes. @param key signs it */
function reference(name: string, file: string, key?: string): Uint8Array {
  const { size, mtimeMs } = statSync(file);
  const mtime = Math.floor(mtimeMs);
  const text = [name, file, size, mtime].join("\n");
  const mac = key === undefined ? {} : { mac: createHmac("sha256", key).update(text).digest("hex") };
  return ownRecord("artifact", "", { tag: `tracelet/artifact/${name}`, path: name, file, size, mtime, ...mac });
}

describe("MLflow", () => {
  test("params, labels and files arrive, and verify finds them so", async () => {
    const mlflow = new Database();
    const records = [
      ownRecord("params", '{"lr":0.1,"epochs":10,"name":"sgd"}'),
      ownRecord("tags", '{"team":"vision","a note":"x\\ny"}'),
      artifact("plots/roc.svg", "<svg/>"),
      artifact("Model.pt", "weights"),
    ];
    mlflow.world.logdir.write("train", eventFile(versionEvent(), ...records, scalarEvent("loss", 1, 2)));
    const result = await mlflow.sync();
    expect(codes(result)).toEqual([]);
    expect(mlflow.pairs("params")).toEqual({ lr: "0.1", epochs: "10", name: "sgd" });
    expect(mlflow.pairs("tags")).toEqual({ team: "vision", "a note": "x\ny" });
    expect(mlflow.artifact("plots/roc.svg")?.toString()).toBe("<svg/>");
    expect(mlflow.artifact("Model.pt")?.toString()).toBe("weights");
    const kinds = only(result).tally.kinds;
    expect(kinds.get("hparams")?.sent).toBe(1);
    expect(kinds.get("run_tags")?.sent).toBe(1);
    expect(kinds.get("artifacts")?.sent).toBe(2);
    expect((await mlflow.verify()).runs.map(({ findings }) => findings.differences)).toEqual([[]]);
  });

  test("a param that changes is refused and said; a label and a file are replaced", async () => {
    const mlflow = new Database();
    const first = [ownRecord("params", '{"lr":0.1}'), ownRecord("tags", '{"stage":"a"}'), artifact("m.txt", "one")];
    const later = [
      ownRecord("params", '{"lr":0.2,"wd":1}'),
      ownRecord("tags", '{"stage":"b"}'),
      artifact("m.txt", "two"),
    ];
    mlflow.world.logdir.write("train", eventFile(versionEvent(), ...first));
    await mlflow.sync();
    mlflow.world.logdir.append("train", eventFile(...later));
    const result = await mlflow.sync();
    expect(only(result).notes.map(({ message }) => message)).toEqual([
      'param "lr" stays 0.1: MLflow changes no param, and a later value is 0.2',
    ]);
    expect(mlflow.pairs("params")).toEqual({ lr: "0.1", wd: "1" });
    expect(mlflow.pairs("tags")).toEqual({ stage: "b" });
    expect(mlflow.artifact("m.txt")?.toString()).toBe("two");
  });

  test("names that are tracelet's own, or that MLflow refuses, are changed, and said", async () => {
    const mlflow = new Database();
    const tags = { "tracelet.run": "x", "mlflow.parentRunId": "y", "a?b": "1", "a*b": "2", "mlflow.user": "me" };
    mlflow.world.logdir.write(
      "train",
      eventFile(
        versionEvent(),
        ownRecord("tags", JSON.stringify(tags)),
        artifact("tracelet/index.json", "mine"),
        artifact("Images/a.png", "mine"),
        artifact("a:b?.txt", "mine"),
        scalarEvent("a", 1, 2),
      ),
    );
    const result = await mlflow.sync();
    expect(codes(result)).toEqual(Array.from({ length: 7 }, () => "renamed"));
    expect(Object.values(mlflow.pairs("tags")).sort()).toEqual(["1", "2", "x", "y"]);
    expect(mlflow.artifact("artifacts/tracelet/index.json")?.toString()).toBe("mine");
    expect(mlflow.artifact("artifacts/Images/a.png")?.toString()).toBe("mine");
    expect((await mlflow.verify()).runs.map(({ findings }) => findings.differences)).toEqual([[]]);
  });

  test("no restart makes them obsolete, and the kinds can be left out", async () => {
    const mlflow = new Database();
    const records = [ownRecord("params", '{"a":1}'), ownRecord("params", '{"b":2}'), artifact("x", "y")];
    mlflow.world.logdir.write("train", eventFile(versionEvent(), ...records, sessionStart(0), hparamsEvent({ c: 3 })));
    await mlflow.sync({ restarts: "any" });
    expect(mlflow.pairs("params")).toEqual({ a: "1", b: "2", c: "3.0" });

    const without = new Database();
    without.world.logdir.write("train", eventFile(versionEvent(), ...records, scalarEvent("loss", 1, 2)));
    const excludeKinds = new Set(["hparams", "artifacts"] as const);
    const result = await without.sync({ transform: { includeTags: [], excludeTags: [], nan: "keep", excludeKinds } });
    expect(without.pairs("params")).toEqual({});
    expect(only(result).tally.kinds.get("artifacts")?.skipped.get("excluded")).toBe(1);
    // What is let in now is sent.
    await without.sync();
    expect(without.pairs("params")).toEqual({ a: "1", b: "2" });
    expect(without.artifact("x")?.toString()).toBe("y");
  });
});

describe("files that records name", () => {
  test("in the logdir they are sent; outside only with the session's key; never what has changed", async () => {
    const mlflow = new Database();
    const { root, logdir } = mlflow.world;
    const [inside, outside, changed] = ["runs/big.bin", "secret", "runs/changed"].map((name) =>
      path.join(root, name),
    ) as [string, string, string];
    logdir.write("train", eventFile(versionEvent(), scalarEvent("loss", 1, 2)));
    for (const file of [inside, outside, changed]) writeFileSync(file, `in ${path.basename(file)}`);
    const link = path.join(root, "runs/link");
    symlinkSync(outside, link);
    const records = [
      reference("inside", inside),
      reference("outside", outside),
      reference("outside-signed", outside, "the session's"),
      reference("outside-forged", outside, "another's"),
      reference("link", link),
      reference("dots", `${root}/runs/../secret`),
      reference("changed", changed),
      ownRecord("artifact", "", { tag: "t", path: "gone", file: path.join(root, "runs/gone"), size: 1, mtime: 1 }),
      ownRecord("artifact", "", { tag: "u", path: "device", file: "/dev/zero", size: 0, mtime: 0 }),
    ];
    utimesSync(changed, 1, 1);
    logdir.append("train", eventFile(...records));
    vi.stubEnv("TRACELET_SESSION_KEY", "the session's");
    onTestFinished(() => void vi.unstubAllEnvs());
    const result = await mlflow.sync();
    expect(mlflow.artifact("inside")?.toString()).toBe("in big.bin");
    expect(mlflow.artifact("outside-signed")?.toString()).toBe("in secret");
    for (const name of ["outside", "outside-forged", "link", "dots", "changed", "gone", "device"])
      expect(mlflow.artifact(name), name).toBeUndefined();
    const { sent, skipped } = only(result).tally.kinds.get("artifacts") ?? {};
    expect(sent).toBe(2);
    expect(Object.fromEntries(skipped ?? [])).toEqual({ "outside-logdir": 5, changed: 1, "not-found": 1 });
    expect(codes(result)).toEqual(Array.from({ length: 7 }, () => "artifacts"));
    // Without the key, and though one is gone by now: what was sent is there, what was not is missing.
    vi.unstubAllEnvs();
    rmSync(inside);
    const [verified] = (await mlflow.verify()).runs;
    expect(verified?.findings.differences.map((found) => [found.name, "state" in found && found.state])).toEqual(
      ["outside", "outside-forged", "link", "dots", "changed", "gone", "device"].map((name) => [name, "missing"]),
    );
  });

  test("JSON lines have a copy of it beside them", async () => {
    const output = new Output((directory) => new JsonlRuns(directory));
    const file = path.join(output.world.root, "runs/big.bin");
    output.world.logdir.write("train", eventFile(versionEvent()));
    writeFileSync(file, "large");
    output.world.logdir.append("train", eventFile(reference("a/big.bin", file)));
    expect((await output.sync()).error).toBeUndefined();
    const line = readFileSync(output.file("train.jsonl"), "utf8")
      .split("\n")
      .find((each) => each.includes('"artifacts"'));
    const { path: medium, bytes, artifact: name } = JSON.parse(line as string) as Record<string, string>;
    expect([name, bytes]).toEqual(["a/big.bin", 5]);
    expect(readFileSync(output.file(medium as string), "utf8")).toBe("large");
  });
});

test("members of one run keep their files and metrics apart, and share its params and labels", async () => {
  const output = new Output((directory) => new JsonlRuns(directory));
  for (const [i, member] of ["a", "b"].entries()) {
    const metric = ownRecord("metric", '{"tag":"loss"}', { tag: "tracelet/metric/loss" });
    const shared = [ownRecord("params", `{"p${i}":1}`), ownRecord("tags", `{"t${i}":"x"}`)];
    const records = [...shared, artifact("m.txt", member), metric, scalarEvent("loss", i, i)];
    output.world.logdir.write(`train/${member}`, eventFile(versionEvent(), ...records));
  }
  expect((await output.sync({ group: "parent" })).error).toBeUndefined();
  const lines = readFileSync(output.file("train.jsonl"), "utf8").trimEnd().split("\n");
  const values = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(
    values.flatMap(({ kind, artifact, metric }) =>
      kind === "artifacts" || kind === "metric_info" ? [artifact ?? metric] : [],
    ),
  ).toEqual(["a/m.txt", "a/loss", "b/m.txt", "b/loss"]);
  expect(values.flatMap(({ kind, tag }) => (kind === "hparams" || kind === "run_tags" ? [tag] : []))).toEqual(
    Array.from({ length: 2 }, () => ["tracelet/params", "tracelet/tags"]).flat(),
  );
});

test("without the state, and what is let in later: nothing is there twice", async () => {
  const records = [
    ownRecord("params", '{"lr":0.1}'),
    ownRecord("tags", '{"stage":"a"}'),
    artifact("a.txt", "one"),
    ownRecord("tags", '{"stage":"b"}'),
    artifact("a.txt", "two"),
  ];
  const excludeKinds = new Set(["run_tags", "artifacts"] as const);
  const transform = { includeTags: [], excludeTags: [], nan: "keep", excludeKinds } as const;

  const output = new Output((directory) => new JsonlRuns(directory));
  output.world.logdir.write("train", eventFile(versionEvent(), ...records));
  const kinds = () => {
    const lines = readFileSync(output.file("train.jsonl"), "utf8").trimEnd().split("\n");
    return lines
      .map((line) => (JSON.parse(line) as { kind: string }).kind)
      .filter((kind) => !["run", "mark", "status"].includes(kind));
  };
  await output.sync({ transform });
  expect(kinds()).toEqual(["hparams"]);
  for (let time = 0; time < 2; time++) {
    expect((await output.sync()).error).toBeUndefined();
    expect(kinds().sort()).toEqual(["artifacts", "artifacts", "hparams", "run_tags", "run_tags"]);
    output.world.loseState();
  }

  const mlflow = new Database();
  mlflow.world.logdir.write("train", eventFile(versionEvent(), ...records));
  await mlflow.sync({ transform });
  for (let time = 0; time < 2; time++) {
    await mlflow.sync();
    expect(mlflow.pairs("tags")).toEqual({ stage: "b" });
    expect(mlflow.artifact("a.txt")?.toString()).toBe("two");
    mlflow.world.loseState();
  }
  expect((await mlflow.verify()).runs.map(({ findings }) => findings.differences)).toEqual([[]]);
});

test("JSON lines and tables", async () => {
  const records = [
    ownRecord("params", '{"lr":0.1,"n":3}'),
    ownRecord("tags", '{"team":"vision"}'),
    artifact("a.txt", "text"),
    ownRecord("metric", '{"tag":"loss","type":"loss","metadata":{"unit":"nats"}}', { tag: "tracelet/metric/loss" }),
  ];
  const output = new Output((directory) => new JsonlRuns(directory));
  output.world.logdir.write("train", eventFile(versionEvent(), ...records));
  expect((await output.sync()).error).toBeUndefined();
  const lines = readFileSync(output.file("train.jsonl"), "utf8").trimEnd().split("\n");
  const values = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const lead = { step: 0, wall_time: 1_700_000_000.25 };
  expect(values.filter(({ kind }) => !["run", "mark", "status"].includes(String(kind)))).toEqual([
    { kind: "hparams", tag: "tracelet/params", ...lead, type: "params", hparams: { lr: 0.1, n: 3 } },
    { kind: "run_tags", tag: "tracelet/tags", ...lead, tags: { team: "vision" } },
    {
      kind: "artifacts",
      tag: "tracelet/artifact/a.txt",
      ...lead,
      artifact: "a.txt",
      path: expect.stringMatching(/^media\/[0-9a-f]{64}\.txt$/),
      bytes: 4,
    },
    {
      kind: "metric_info",
      tag: "tracelet/metric/loss",
      ...lead,
      metric: "loss",
      type: "loss",
      metadata: { unit: "nats" },
    },
  ]);

  const tables = new Output((directory) => new CsvRuns(directory));
  tables.world.logdir.write("train", eventFile(versionEvent(), ...records));
  const result = await tables.sync();
  expect(readFileSync(tables.file("train/hparams.csv"), "utf8")).toBe(
    "run,name,value\r\ntrain,lr,0.1\r\ntrain,n,3\r\n",
  );
  expect(only(result).tally.kinds.get("artifacts")?.skipped.get("unsupported-kind")).toBe(1);
});
