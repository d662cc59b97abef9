/** Each place that a run's files can be in, written by tracelet's stores and read back by MLflow's own client. */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ArtifactStore } from "../../src/backends/artifacts/artifact.ts";
import { openArtifactStore } from "../../src/backends/mlflow/artifact-stores/open.ts";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { RestStore } from "../../src/backends/mlflow/rest-store.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import type { MlflowStore } from "../../src/backends/mlflow/store.ts";
import { type HttpTrackingUri, resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { localFile } from "../support/local-file.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { MotoServer } from "./support/moto-server.ts";
import { OLD_PYTHON, readArtifacts } from "./support/python.ts";

const NAMES = [
  "a.txt",
  "images/loss~x+step+1+timestamp+2+u.png",
  "ü 日本/🙂 b/c.json",
  "50%.txt",
  "a&b=c;d,e!(f)[g]'h'.html",
];
/** More than the 10 MB that a server takes for files on its own disk, and than a part of S3's. */
const LARGE = 20 * 1024 * 1024 + 7;
const MIB = 1024 * 1024;

let workspace: string;
let moto: MotoServer;
let local: MlflowServer;
let overS3: MlflowServer;
let old: MlflowServer;
let proxy: FaultProxy;
let large: string;
const content = randomBytes(LARGE);
const environment = { ...process.env };

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-artifacts-"));
  large = path.join(workspace, "large ü.bin");
  writeFileSync(large, content);
  const database = (name: string) => path.join(mkdtempSync(path.join(workspace, name)), "mlflow.db");
  moto = await MotoServer.start();
  await moto.createBucket("bucket");
  Object.assign(process.env, moto.env);
  [local, overS3, old] = await Promise.all([
    MlflowServer.start(database("local")),
    MlflowServer.start(database("s3"), { artifacts: "s3://bucket/root", env: moto.env }),
    MlflowServer.start(database("old"), { executable: OLD_PYTHON }),
  ]);
  proxy = await FaultProxy.start(local.port);
});

afterAll(async () => {
  process.env = environment;
  await proxy?.stop();
  await Promise.all([local?.stop(), overS3?.stop(), old?.stop(), moto?.stop()]);
  rmSync(workspace, { recursive: true, force: true });
});

function rest(uri: string): RestStore {
  const credentials = readCredentials(undefined, {}, "/nonexistent");
  return new RestStore({
    uri: resolveTrackingUri(uri, {}, "/") as HttpTrackingUri,
    credentials,
    giveUpAfterMs: 30_000,
  });
}

let count = 0;
async function newRun(store: MlflowStore, experimentId?: string): Promise<{ id: string; artifacts: ArtifactStore }> {
  const NONE = new Map<string, string>();
  const experiment = experimentId ?? (await store.createExperiment(`artifacts ${++count} ${Date.now()}`, NONE));
  const id = await store.createRun({ experimentId: experiment, name: "r", startTime: 1, user: "u", tags: NONE });
  const record = await store.run(id);
  if (record === undefined) throw new Error("the run is not there");
  const stores = [await store.artifacts({ id }), await store.artifacts({ id, artifactUri: record.artifactUri })];
  expect(stores[0]?.constructor).toBe(stores[1]?.constructor);
  return { id, artifacts: stores[0] as ArtifactStore };
}

/** An experiment whose files are elsewhere than the server would put them. */
async function experimentAt(uri: string, location: string): Promise<string> {
  const answer = await fetch(`${uri}/api/2.0/mlflow/experiments/create`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: `at ${location} ${++count}`, artifact_location: location }),
  });
  const { experiment_id: id, message } = (await answer.json()) as { experiment_id?: string; message?: string };
  if (id === undefined) throw new Error(message);
  return id;
}

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

interface Place {
  readonly uri: string;
  readonly run: { readonly id: string; readonly artifacts: ArtifactStore };
  readonly largest?: number;
  readonly executable?: string;
}

const PLACES: { [name: string]: () => Promise<Place> } = {
  "proxied, on the server's disk": async () => ({ uri: local.uri, run: await newRun(rest(local.uri)) }),
  "proxied, in S3": async () => ({ uri: overS3.uri, run: await newRun(rest(overS3.uri)) }),
  "proxied, by MLflow 2.0": async () => ({ uri: old.uri, run: await newRun(rest(old.uri)), executable: OLD_PYTHON }),
  "on the server's disk": async () => ({
    uri: local.uri,
    run: await newRun(rest(local.uri), await experimentAt(local.uri, path.join(workspace, "plain"))),
    largest: 10 * MIB,
  }),
  "on the server's disk, by a file: URI": async () => ({
    uri: local.uri,
    run: await newRun(rest(local.uri), await experimentAt(local.uri, `file://${workspace}/as%20uri`)),
    largest: 10 * MIB,
  }),
  "in S3, with a server": async () => ({
    uri: local.uri,
    run: await newRun(rest(local.uri), await experimentAt(local.uri, "s3://bucket/a place/x")),
  }),
  "beside a database": async () => {
    const file = path.join(workspace, "50%25 ü#x", "mlflow.db");
    return { uri: `sqlite:///${file.replaceAll("%", "%25")}`, run: await newRun(SqliteStore.open(file)) };
  },
};

test.each([
  "mlflow-artifacts:/../../../api/2.0/x",
  "mlflow-artifacts:/%2e%2e/%2e%2e/api/2.0/x",
  "mlflow-artifacts:/a%252f..%252f..%252fb",
])("%j, which a server gives out, is refused before anything is asked there", async (location) => {
  for (const { uri } of [local, old]) {
    const experiment = await experimentAt(uri, location).catch((refusal: unknown) => String(refusal));
    // A newer MLflow may refuse to make it.
    if (!/^\d+$/.test(experiment)) continue;
    await expect(newRun(rest(uri), experiment)).rejects.toMatchObject({
      code: "rejected",
      message: expect.stringContaining("no place for files"),
    });
  }
  expect(await experimentAt(old.uri, location)).toMatch(/^\d+$/);
});

describe.each(Object.keys(PLACES))("%s", (name) => {
  test("MLflow's client finds what was written, and so does the store", async () => {
    const { uri, run, largest = LARGE, executable } = await (PLACES[name] as () => Promise<Place>)();
    const { artifacts } = run;
    const expected: { [path: string]: [number, string] } = {};
    for (const each of NAMES) {
      const bytes = randomBytes(1000);
      await artifacts.put({ path: each, bytes: randomBytes(2000) });
      await artifacts.put({ path: each, bytes });
      expected[each] = [bytes.length, digest(bytes)];
    }
    for (const [each, size] of [
      ["large.bin", largest],
      ["d/small.bin", 12_345],
    ] as const) {
      await artifacts.putFile(each, localFile(large), size);
      expected[each] = [size, digest(content.subarray(0, size))];
    }
    expect(await readArtifacts(uri, run.id, moto.env, executable)).toEqual(expected);

    const listed = await artifacts.list("");
    expect(Object.fromEntries(listed.map((each) => [each.path, each.size]))).toEqual(
      Object.fromEntries(Object.entries(expected).map(([each, [size]]) => [each, size])),
    );
    expect(await artifacts.list("d")).toEqual([{ path: "d/small.bin", size: 12_345 }]);
    expect(await artifacts.list("nothing")).toEqual([]);
    for (const each of Object.keys(expected)) {
      const bytes = await artifacts.get(each);
      expect([each, bytes && digest(bytes)]).toEqual([each, expected[each]?.[1]]);
      const [size, sha256] = expected[each] as [number, string];
      expect([each, await artifacts.digest(each)]).toEqual([each, { size, sha256 }]);
    }
    for (const none of ["none.txt", "none/none.txt", "d"]) {
      expect([none, await artifacts.get(none)]).toEqual([none, undefined]);
      expect([none, await artifacts.digest(none)]).toEqual([none, undefined]);
    }
  });
});

test("an empty file is one", async () => {
  for (const place of Object.values(PLACES)) {
    const { run, largest } = await place();
    const put = run.artifacts.put({ path: "empty.txt", bytes: new Uint8Array() });
    if (largest !== undefined) {
      await expect(put).rejects.toMatchObject({ code: "rejected" });
      continue;
    }
    await put;
    await run.artifacts.putFile("empty too.txt", localFile(large), 0);
    expect(await run.artifacts.list("")).toEqual([
      { path: "empty too.txt", size: 0 },
      { path: "empty.txt", size: 0 },
    ]);
    expect((await run.artifacts.get("empty.txt"))?.length).toBe(0);
  }
});

test("lost requests and replies leave one whole file", async () => {
  for (const experiment of [undefined, await experimentAt(local.uri, path.join(workspace, "faults"))]) {
    const run = await newRun(rest(proxy.uri), experiment);
    proxy.reset();
    proxy.inject(
      { fault: { kind: "reset-after" }, requests: /^(?!GET)/, nth: (n) => n === 2 },
      { fault: { kind: "reset-before" }, requests: /^(?!GET)/, nth: (n) => n <= 3 },
    );
    await run.artifacts.put({ path: "a.txt", bytes: content.subarray(0, 1000) });
    await run.artifacts.putFile("b.bin", localFile(large), 5 * MIB);
    expect(proxy.faults).toBe(3);
    expect(await readArtifacts(local.uri, run.id)).toEqual({
      "a.txt": [1000, digest(content.subarray(0, 1000))],
      "b.bin": [5 * MIB, digest(content.subarray(0, 5 * MIB))],
    });
  }
});

test("a large file behind a server goes to its object store in parts", async () => {
  const size = 100 * MIB + 1;
  const file = path.join(workspace, "huge.bin");
  const handle = openSync(file, "w");
  ftruncateSync(handle, size);
  writeSync(handle, content, 0, LARGE, 50 * MIB);
  closeSync(handle);
  const hash = createHash("sha256");
  hash
    .update(Buffer.alloc(50 * MIB))
    .update(content)
    .update(Buffer.alloc(size - 50 * MIB - LARGE));
  const expected = { "d/huge ü.bin": [size, hash.digest("hex")] };
  for (const [server, uploads] of [
    [overS3, ["POST create", "POST complete"]],
    [local, ["POST create", "PUT"]],
  ] as const) {
    const between = await FaultProxy.start(server.port);
    const run = await newRun(rest(between.uri));
    between.requests.length = 0;
    await run.artifacts.putFile("d/huge ü.bin", localFile(file), size);
    const shown = between.requests.map(({ method, path }) =>
      `${method} ${path}`.replace(/ .*mpu\/(\w+).*/, " $1").replace(/ \/.*/, ""),
    );
    expect(shown).toEqual(uploads);
    expect(await readArtifacts(server.uri, run.id, moto.env)).toEqual(expected);
    await between.stop();
  }
});

describe("S3 itself", () => {
  const open = (artifactUri: string, env: { [name: string]: string } = {}) =>
    openArtifactStore({
      artifactUri,
      tracking: { kind: "database", folder: workspace, patience: { giveUpAfterMs: 500 } },
      env: { ...moto.env, ...env },
    });
  const bytes = new Uint8Array([1]);

  test("no such bucket", async () => {
    const store = await open("s3://nobodys/x");
    const rejected = { name: "TraceletError", code: "rejected", message: expect.stringContaining("NoSuchBucket") };
    await expect(store.put({ path: "a", bytes })).rejects.toMatchObject(rejected);
    await expect(store.putFile("a", localFile(large), LARGE)).rejects.toMatchObject(rejected);
    await expect(store.get("a")).rejects.toMatchObject(rejected);
    await expect(store.list("")).rejects.toMatchObject(rejected);
  });

  test("nobody there", async () => {
    const store = await open("s3://bucket/x", { MLFLOW_S3_ENDPOINT_URL: "http://127.0.0.1:9" });
    const unreachable = { name: "TraceletError", code: "unreachable" };
    await expect(store.put({ path: "a", bytes })).rejects.toMatchObject(unreachable);
    await expect(store.putFile("a", localFile(large), LARGE)).rejects.toMatchObject(unreachable);
  });

  test("no credentials", async () => {
    const names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] as const;
    for (const each of names) delete process.env[each];
    Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: "true", HOME: workspace });
    const store = await open("s3://bucket/x");
    await expect(store.put({ path: "a", bytes })).rejects.toMatchObject({ name: "TraceletError", code: "auth" });
    Object.assign(process.env, moto.env, { HOME: environment["HOME"] });
  });

  test("more files than one page of a listing, at the root of a bucket, and names as they are", async () => {
    await moto.createBucket("another");
    const store = await open("s3://another");
    const names = [...Array.from({ length: 1010 }, (_, i) => `d/${i}`), "a#b%20c", "e"].sort();
    for (let i = 0; i < names.length; i += 50) {
      await Promise.all(names.slice(i, i + 50).map((each) => store.put({ path: each, bytes })));
    }
    expect((await store.list("")).map((each) => each.path)).toEqual(names);
    expect(await store.list("d/1")).toEqual([]);
    expect((await store.list("d")).length).toBe(1010);
    expect(await store.get("a#b%20c")).toEqual(Buffer.from(bytes));
  });

  test("a file that has become shorter", async () => {
    const store = await open("s3://bucket/short");
    for (const size of [LARGE + 1, 5 * LARGE]) {
      await expect(store.putFile("a", localFile(large), size)).rejects.toMatchObject({ code: "logdir" });
    }
    expect(await store.list("")).toEqual([]);
  });
});
