/**
 * W&B's official client runs scripts against our W&B server, unchanged, and all that they log arrives: which is why the
 * server can stand for the real one in other tests. What is expected is what the scripts say they logged.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRow, parseExtended, type Row } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { WandbClient } from "./support/wandb-client.ts";

interface Logged {
  readonly rows: readonly Row[];
  /** SHA-256 of the files of each key. */
  readonly media: { readonly [key: string]: readonly string[] };
  /** The same of files that were saved, by their names. */
  readonly saved: { readonly [file: string]: string };
}

interface ReadBack {
  readonly [id: string]: {
    readonly name: string;
    readonly state: string;
    readonly config: Row;
    readonly summary: Row;
    readonly rows: readonly Row[];
    readonly byKey: { readonly [key: string]: readonly unknown[] };
    readonly files: { readonly [file: string]: readonly [size: number, sha256: string] };
  };
}

const PROJECT = "demo";
const FILE_STREAM = /file_stream$/;

let workspace: string;
let server: WandbServer;
let client: WandbClient;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-"));
  server = await WandbServer.start({ path: "/hosted", uploadHeaders: ["X-Signed: yes"] });
  client = new WandbClient(server.uri, path.join(workspace, "client"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

/** A client with a folder of its own. */
function another(name: string, uri = server.uri): WandbClient {
  return new WandbClient(uri, path.join(workspace, name));
}

/** All that the script logged is there, and nothing that a careful client does not do. */
function expectLogged(run: StoredRun, { rows, media, saved }: Logged): void {
  expect(run.oddities).toEqual([]);
  expect(run.history).toMatchObject({ count: rows.length, gaps: [], changed: 0 });
  expect(run.rows).toMatchObject(rows.map((row, step) => ({ ...row, _step: step })));
  expect(run.filesMissing).toEqual([]);
  expect([...run.announced].sort()).toEqual([...run.files.keys()].sort());
  const last = run.rows.at(-1) ?? {};
  for (const [key, digests] of Object.entries(media)) {
    const value = last[key];
    if (!isRow(value)) throw new Error(`${key} was not logged`);
    const files = (value["filenames"] ?? [value["path"]]) as readonly string[];
    expect(files.map((file) => run.files.get(file)?.sha256)).toEqual(digests);
    if (digests.length === 1) expect(value).toMatchObject({ sha256: digests[0] });
  }
  for (const [file, sha256] of Object.entries(saved)) expect(run.files.get(file)).toMatchObject({ sha256 });
  expect(run.fields).toMatchObject({
    displayName: "first",
    group: "g",
    jobType: "train",
    notes: "note",
    tags: ["a", "b"],
  });
  expect(run.config).toMatchObject({ lr: 0.1, opt: { name: "adam", betas: [0.9, 0.999] } });
  expectDefined((run.config["_wandb"] as Row)["m"] as readonly Row[]);
  expect(run.summary).toMatchObject({ ...rows[4], loss: { min: 0.2 }, ...rows[5] });
  expect(run.events.lines.map((line) => (JSON.parse(line) as Row)["_wandb"])).not.toContain(false);
  expect(run.output.lines.join("\n")).toContain("a line of output");
}

/** MetricRecords, their fields by their numbers: name, glob, step metric, options, summary. They come in any order. */
function expectDefined(metrics: readonly Row[]): void {
  const epoch = metrics.findIndex((metric) => metric["1"] === "epoch") + 1;
  expect(metrics).toHaveLength(3);
  expect(metrics).toEqual(
    expect.arrayContaining([
      { 1: "epoch", 6: [3], 7: [] },
      { 1: "loss", 6: [3], 7: [1] },
      { 2: "val/*", 5: epoch, 6: [1], 7: [] },
    ]),
  );
}

// They wait most of the time.
describe.concurrent("what the official client logs arrives", () => {
  test("numbers, definitions of metrics, all media, saved files and output; a table as an artifact, too", async () => {
    const logged = (await client.script("log_natively", [PROJECT, "native"])) as Logged;
    const run = server.run(PROJECT, "native");
    expectLogged(run, logged);
    expect([run.state(Date.now()), run.exitCode]).toEqual(["finished", 0]);
    expect(run.history).toMatchObject({ repeated: 0 });
    const table = run.rows.at(-1)?.["table"] as { readonly path: string };
    expect(table).toMatchObject({ _type: "table-file", nrows: 2, ncols: 2 });
    expect(JSON.parse(run.files.get(table.path)?.bytes.toString() ?? "")).toMatchObject({
      columns: ["a", "b"],
      data: [
        [1, "x"],
        [2, "y"],
      ],
    });
    const artifacts = server.account.artifacts.all.filter((artifact) => artifact.run === "native");
    expect(artifacts).toMatchObject([{ type: "run_table", isCommitted: true }]);
  });

  test("a script that fails is a failed run, with all that it had logged", async () => {
    const { code, stdout } = await another("failing").attempt("log_natively", [PROJECT, "failing", "fail"]);
    expect(code).toBe(1);
    const run = server.run(PROJECT, "failing");
    expectLogged(run, parseExtended(stdout) as unknown as Logged);
    expect([run.state(Date.now()), run.exitCode]).toEqual(["failed", 1]);
    expect(run.output.lines.join("\n")).toContain("RuntimeError: as it was told to");
  });

  test("a run that is resumed goes on at its next line and step", async () => {
    await client.script("log_numbers", [PROJECT, "resumed", "0", "3"]);
    await another("elsewhere").script("log_numbers", [PROJECT, "resumed", "3", "7"]);
    const run = server.run(PROJECT, "resumed");
    expect(run.rows).toMatchObject([0, 1, 2, 3, 4, 5, 6].map((x) => ({ x, _step: x })));
    expect(run.history).toMatchObject({ gaps: [], repeated: 0, changed: 0 });
    expect(run.state(Date.now())).toBe("finished");
    const upserts = server.operations("UpsertBucket").map(({ variables }) => variables ?? {});
    const begun = upserts.filter(({ name, program }) => name === "resumed" && program !== null);
    expect(begun.map(({ id }) => id)).toEqual([null, run.storageId]);
  });

  test("event files, with sync_tensorboard=True", async () => {
    const logdir = path.join(workspace, "logdir");
    const { loss, pixels } = (await client.script("sync_tensorboard", [PROJECT, "tensorboard", logdir])) as {
      loss: readonly number[];
      pixels: readonly (readonly (readonly number[])[])[];
    };
    const run = server.run(PROJECT, "tensorboard");
    expect(run.oddities).toEqual([]);
    expect(run.filesMissing).toEqual([]);
    const times = run.rows.map((row) => [row["global_step"], row["_timestamp"]]);
    expect(times).toEqual([0, 1, 2, 3, 4, 5].map((index) => [index * 10, 1.7e9 + index]));
    // The shortest text of a float.
    expect(run.rows.slice(0, 4).map((row) => Math.fround(Number(row["loss"])))).toEqual(loss);
    const image = run.rows[4]?.["image"] as Row;
    expect(image).toMatchObject({ _type: "images/separated", count: 1, format: "png", width: 5, height: 4 });
    const [file = ""] = image["filenames"] as readonly string[];
    const raw = await sharp(run.files.get(file)?.bytes).raw().toBuffer();
    expect([...raw]).toEqual(pixels.flat(2));
    const { values, bins } = (run.rows[5]?.["histogram"] ?? {}) as Row;
    expect((values as readonly number[]).reduce((sum, value) => sum + value, 0)).toBe(10);
    expect(bins).toHaveLength((values as readonly number[]).length + 1);
  });

  test("what was logged offline, with `wandb sync`", async () => {
    const offline = another("offline");
    const logged = (await offline.script("log_natively", [PROJECT, "offline"], { WANDB_MODE: "offline" })) as Logged;
    expect(server.runs(PROJECT).map((run) => run.name)).not.toContain("offline");
    expect(await offline.syncOffline()).toMatchObject({ code: 0 });
    const run = server.run(PROJECT, "offline");
    expectLogged(run, logged);
    expect(run.state(Date.now())).toBe("finished");
  });

  test("through lost answers, cut ones, refusals and a limit of requests: each line once", async () => {
    const limited = await WandbServer.start({ rateLimit: { requests: 1, windowMs: 500 } });
    const proxy = await FaultProxy.start(limited.port);
    proxy.inject(
      { requests: FILE_STREAM, fault: { kind: "reset-after" }, times: 1 },
      {
        requests: FILE_STREAM,
        fault: { kind: "answer", answer: { status: 500, body: "" }, carriedOut: true },
        times: 1,
      },
      { requests: /^PUT /, fault: { kind: "half" }, times: 1 },
      {
        requests: /graphql$/,
        body: /UpsertBucket/,
        fault: { kind: "answer", answer: { status: 409, body: "" } },
        times: 1,
      },
    );
    const logged = (await another("faults", proxy.uri).script("log_natively", [PROJECT, "faults"])) as Logged;
    const run = limited.run(PROJECT, "faults");
    expectLogged(run, logged);
    expect(proxy.faults).toBe(4);
    expect(run.history.repeated + run.events.repeated).toBeGreaterThan(0);
    await proxy.stop();
    await limited.stop();
  });
});

describe.concurrent("what the official client is refused", () => {
  test("a key that nobody has", async () => {
    const key = { WANDB_API_KEY: [...API_KEY].reverse().join("") };
    const { code, stderr } = await another("stranger").attempt("log_numbers", [PROJECT, "stranger", "0", "1"], key);
    expect(code).toBe(1);
    expect(stderr).toMatch(/401|not logged in|API key/);
    expect(server.runs(PROJECT).map((run) => run.name)).not.toContain("stranger");
  });

  test("an entity that is not there", async () => {
    const env = { WANDB_ENTITY: "nobody" };
    const { code, stderr } = await another("nobody").attempt("log_numbers", [PROJECT, "nobody", "0", "1"], env);
    expect(code).toBe(1);
    expect(stderr).toContain("entity nobody not found during upsertBucket");
  });
});

test("W&B's public API reads all of it back", async () => {
  const logged = (await client.script("log_natively", ["read", "whole"])) as Logged;
  await client.script("log_numbers", ["read", "numbers", "0", "5"]);
  const read = (await client.script("read_back", ["read", path.join(workspace, "downloads")])) as ReadBack;
  expect(Object.keys(read).sort()).toEqual(["numbers", "whole"]);
  for (const run of server.runs("read")) {
    const { rows, config, summary, files } = read[run.name] ?? {};
    expect(rows).toEqual(run.rows);
    expect(summary).toEqual(run.summary);
    const { _wandb, ...own } = run.config;
    expect(config).toEqual(own);
    expect(files).toEqual(
      Object.fromEntries(
        [...run.files].map(([name, { bytes }]) => [
          name,
          [bytes.length, createHash("sha256").update(bytes).digest("hex")],
        ]),
      ),
    );
  }
  expect(read["whole"]).toMatchObject({ name: "first", state: "finished", rows: logged.rows });
  expect(read["whole"]?.byKey).toMatchObject({ loss: logged.rows.slice(0, 5).map((row) => row["loss"]) });
  expect(read["numbers"]?.byKey).toEqual({ x: [0, 1, 2, 3, 4] });
});
