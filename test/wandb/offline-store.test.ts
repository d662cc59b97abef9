/** What the offline store writes, read by an implementation of its own. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { readMode } from "../../src/backends/wandb/mode.ts";
import { fieldsOf } from "../../src/backends/wandb/offline/json-fields.ts";
import { FILE_HEADER, framed } from "../../src/backends/wandb/offline/log-frames.ts";
import { OfflineStore } from "../../src/backends/wandb/offline/offline-store.ts";
import { wandbDirectory } from "../../src/backends/wandb/offline/run-directories.ts";
import { offlineRuns, payloadsOf, recordsOf } from "../support/wandb-log.ts";

const ADDRESS = { entity: "", project: "p", name: "abc" };
const M = [
  { "1": "global_step", "6": [3], "7": [] },
  { "1": "loss", "5": 1, "6": [1, 3], "7": [1, 5], "8": 1 },
];
const configOf = (values: object, own: object = {}) =>
  JSON.stringify({
    ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, { value }])),
    _wandb: { value: { ...own, m: M } },
  });

let root: string;
let store: OfflineStore;
const open = () => new OfflineStore(new OutputDirectory(root, "WANDB_DIR"));
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "tracelet-offline-"));
  store = open();
});
afterEach(async () => {
  await store.close();
  rmSync(root, { recursive: true, force: true });
});

const line = (n: number) => `{"loss":${n / 4},"_step":${n}}`;
const event = (n: number) => `{"_wandb":true,"_timestamp":${100 + n},"_runtime":${n},"system.cpu":${n}}`;
/** As W&B's client leaves what it has uploaded. */
const upload = () => {
  for (const { directory } of offlineRuns(root)) writeFileSync(path.join(directory, "run-abc.wandb.synced"), "");
};

describe("a run", () => {
  test("is what was set, whoever reads it", async () => {
    const config = configOf({ lr: 0.1, opt: { name: "adam", beta: 1 } }, { e: { a: { python: "3.12" } } });
    const given = { displayName: "run", tags: ["a", "b"], group: "g", startTime: 100.5, config };
    expect(await store.upsert(ADDRESS, given)).toMatchObject({ isNew: true });
    expect(await store.upsert(ADDRESS, { displayName: "called otherwise" })).toMatchObject({ isNew: false });
    for (const each of [store, open()]) {
      const status = await each.status(ADDRESS);
      expect(status).toMatchObject({ displayName: "called otherwise", lines: 0, events: 0, summary: "{}" });
      const { _wandb: own, ...rest } = JSON.parse(status?.config ?? "");
      expect(rest).toEqual({ lr: { value: 0.1 }, opt: { value: { name: "adam", beta: 1 } } });
      expect(own.value).toEqual({ e: { a: { python: "3.12" } }, m: M, t: {} });
    }
    expect(await store.status({ ...ADDRESS, entity: "somebody" })).toBeUndefined();
    expect(await store.status({ ...ADDRESS, project: "another" })).toBeUndefined();
  });

  test("has no more of an object than it has now: W&B's client merges objects", async () => {
    await store.upsert(ADDRESS, { config: configOf({ opt: { name: "adam", beta: { one: 1, two: 2 } }, gone: 1 }) });
    await store.upsert(ADDRESS, { config: configOf({ opt: { name: "sgd", beta: { one: 1 } } }) });
    const [log = ""] = readdirSync(root).filter((name) => name.startsWith("offline-run-"));
    const records = recordsOf(readFileSync(path.join(root, log, "run-abc.wandb")));
    expect(
      records
        .flatMap(({ config }) => config?.remove ?? [])
        .map(({ key, nestedKey }) => (nestedKey?.length ? nestedKey : key)),
    ).toEqual(["gone", ["opt", "beta", "two"]]);
  });

  test("has lines once: those that are sent again replace the ones that are there", async () => {
    await store.upsert(ADDRESS, { config: configOf({}) });
    await store.stream(ADDRESS, { history: { offset: 0, lines: [line(0), line(1), line(2)] } });
    await store.stream(ADDRESS, { history: { offset: 1, lines: ['{"loss":9,"_step":1}'] }, summary: '{"loss":9}' });
    expect(offlineRuns(root)[0]?.rows).toEqual([JSON.parse(line(0)), { loss: 9, _step: 1 }]);
    expect(await store.status(ADDRESS)).toMatchObject({ lines: 2, summary: '{"loss":9}' });
    const rows: string[] = [];
    for await (const lines of store.rows(ADDRESS, 2)) rows.push(...lines);
    expect(rows).toEqual([line(0), '{"loss":9,"_step":1}']);
    await expect(store.stream(ADDRESS, { history: { offset: 5, lines: [line(5)] } })).rejects.toThrow(/2 rows/);
  });
});

test("once it was uploaded, system metrics are there from the first on, and files go along", async () => {
  await store.upsert(ADDRESS, { config: configOf({}), startTime: 100 });
  await store.stream(ADDRESS, { events: { offset: 0, lines: [event(0), event(1)] } });
  await store.upload(ADDRESS, [{ path: "media/a b.txt", body: Buffer.from("text") }]);
  upload();
  await store.stream(ADDRESS, { events: { offset: 1, lines: [event(1), event(2)] }, uploaded: ["media/a b.txt"] });
  const [first, second] = offlineRuns(root);
  expect(first?.kinds.filter((kind) => kind === "stats")).toHaveLength(2);
  expect(second?.kinds.filter((kind) => kind === "stats")).toHaveLength(3);
  expect(readFileSync(path.join(second?.directory ?? "", "files/media/a b.txt"), "utf8")).toBe("text");
  expect(await open().status(ADDRESS)).toMatchObject({ events: 3 });
});

test("a file and a directory of one name: the second is refused, and others are stored", async () => {
  await store.upsert(ADDRESS, { config: configOf({}) });
  const body = Buffer.from("text");
  expect(await store.upload(ADDRESS, [{ path: "a", body }])).toEqual(new Map());
  for (const paths of [["a/b", "c/d"], ["a/b/c"], ["c"]]) {
    const refused = await store.upload(
      ADDRESS,
      paths.map((each) => ({ path: each, body })),
    );
    expect([...refused.keys()]).toEqual(paths.slice(0, 1));
  }
  const files = path.join(offlineRuns(root)[0]?.directory ?? "", "files");
  expect(readdirSync(files, { recursive: true }).sort()).toEqual(["a", "c", path.join("c", "d")]);
});

test("an append that was cut short is completed by who comes next", async () => {
  await store.upsert(ADDRESS, { config: configOf({}) });
  const directory = offlineRuns(root)[0]?.directory ?? "";
  const log = path.join(directory, "run-abc.wandb");
  const before = readFileSync(log);
  // What is pending is written before the log, and removed after it.
  const pending = path.join(directory, ".tracelet-pending");
  mkdirSync(pending);
  await expect(store.stream(ADDRESS, { history: { offset: 0, lines: [line(0), line(1)] } })).rejects.toThrow(
    "cannot write",
  );
  expect(readFileSync(log)).toEqual(before);
  rmSync(pending, { recursive: true });
  await store.stream(ADDRESS, { history: { offset: 0, lines: [line(0), line(1)] } });
  const after = readFileSync(log);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(before.length));
  for (const cut of [before.length, before.length + 9, after.length - 1]) {
    const bytes = after.subarray(before.length);
    head.writeUInt32LE(crc32(bytes), 8);
    writeFileSync(pending, Buffer.concat([head, bytes]));
    writeFileSync(log, after.subarray(0, cut));
    const next = open();
    expect(await next.status(ADDRESS)).toMatchObject({ lines: 2 });
    const read: string[] = [];
    for await (const lines of next.rows(ADDRESS, 2)) read.push(...lines);
    expect(read).toEqual([line(0), line(1)]);
    // Who only looks leaves it as it is.
    expect(readFileSync(log)).toEqual(after.subarray(0, cut));
    expect(existsSync(pending)).toBe(true);
    await next.stream(ADDRESS, { history: { offset: 2, lines: [line(2)] } });
    expect(readFileSync(log).subarray(0, after.length)).toEqual(after);
    expect(offlineRuns(root)[0]?.rows).toEqual([0, 1, 2].map((n) => JSON.parse(line(n))));
    expect(existsSync(pending)).toBe(false);
  }
});

test("records of any size are framed as another reader takes them, wherever they begin", () => {
  const size = fc.oneof(fc.nat(40), fc.integer({ min: 32_700, max: 32_800 }), fc.nat(100_000));
  fc.assert(
    fc.property(fc.array(fc.array(size, { minLength: 1, maxLength: 6 }), { maxLength: 4 }), (appends) => {
      let file = FILE_HEADER;
      const all = appends.map((sizes) => sizes.map((length, i) => Buffer.alloc(length, i + 1)));
      for (const records of all) file = Buffer.concat([file, framed(records, file.length)]);
      expect(payloadsOf(file).map((each) => each.length)).toEqual(all.flat().map((each) => each.length));
    }),
    { numRuns: 60 },
  );
});

test("fields of an object are those that JSON has", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), (object) => {
      const fields = fieldsOf(JSON.stringify(object)).map(([key, value]) => [key, JSON.parse(value) as unknown]);
      expect(fields).toEqual(Object.entries(JSON.parse(JSON.stringify(object)) as object));
    }),
    { numRuns: 30 },
  );
  expect(fieldsOf('{"a":NaN,"b":-Infinity,"c":-0.0}')).toEqual([
    ["a", "NaN"],
    ["b", "-Infinity"],
    ["c", "-0.0"],
  ]);
});

test("modes are those of W&B's client, as far as they mean something here", () => {
  expect([undefined, "", "online", "run"].map(readMode)).toEqual(["online", "online", "online", "online"]);
  expect(["offline", "dryrun"].map(readMode)).toEqual(["offline", "offline"]);
  for (const mode of ["disabled", "shared", "ofline", "toString"]) expect(() => readMode(mode)).toThrow(mode);
});

test("directories lie where W&B's client puts them", () => {
  expect(wandbDirectory({}, root)).toBe(path.join(root, "wandb"));
  expect(wandbDirectory({ WANDB_DIR: "logs" }, root)).toBe(path.join(root, "logs", "wandb"));
  mkdirSync(path.join(root, ".wandb"));
  expect(wandbDirectory({}, root)).toBe(path.join(root, ".wandb"));
});
