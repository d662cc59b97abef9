/** Logs that other programs write to the same `wandb/` directory, which is W&B's client's own, are only read. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { FILE_HEADER, framed } from "../../src/backends/wandb/offline/log-frames.ts";
import { OfflineStore } from "../../src/backends/wandb/offline/offline-store.ts";
import { wandb_internal } from "../../src/backends/wandb/offline/proto/wandb.js";

const ADDRESS = { entity: "", project: "p", name: "0123456789abcdef" };
const DIRECTORY = `offline-run-20260101_000000-${ADDRESS.name}`;

let root: string;
let store: OfflineStore;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "tracelet-offline-"));
  store = new OfflineStore(new OutputDirectory(root, "WANDB_DIR"), () => new Date(2026, 5, 1));
});
afterEach(async () => {
  await store.close();
  rmSync(root, { recursive: true, force: true });
});

/** As W&B's client writes one: of the run that is asked for, and with its config, which scripts copy from one run to another. */
function nativeLog(): Buffer {
  const { Record } = wandb_internal;
  const config = { update: [{ key: "tracelet", valueJson: "{}" }] };
  const records = [
    { header: { versionInfo: { producer: "0.31.0", minConsumer: "0.31.0" } } },
    { run: { runId: ADDRESS.name, project: ADDRESS.project, config } },
    ...Array.from({ length: 9000 }, (_, num) => ({ history: { item: [{ key: "x", valueJson: "1" }], step: { num } } })),
  ];
  const data = records.map((record, i) => Record.encode({ num: i + 1, ...record }).finish());
  return Buffer.concat([FILE_HEADER, framed(data, FILE_HEADER.length)]);
}

const flipped = (bytes: Buffer, at: number) => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
};

test.each<[string, (log: Buffer) => Buffer]>([
  ["being written", (log) => log.subarray(0, log.length - 5)],
  ["cut short in its first record", (log) => log.subarray(0, 20)],
  ["of a format to come", (log) => flipped(log, 6)],
  ["damaged", (log) => flipped(log, log.length >> 1)],
  ["empty", () => Buffer.alloc(0)],
])("a log that is %s", async (_what, change) => {
  const directory = path.join(root, DIRECTORY);
  const file = path.join(directory, `run-${ADDRESS.name}.wandb`);
  const bytes = change(nativeLog());
  mkdirSync(directory);
  writeFileSync(file, bytes);
  // What is left of an append there belongs to nobody.
  writeFileSync(path.join(directory, ".tracelet-pending"), "text");
  const listed: string[] = [];
  for await (const { name } of store.newestRuns("", "p")) listed.push(name);
  expect(listed).toEqual([]);
  expect(await store.status(ADDRESS)).toBeUndefined();
  expect(await store.upsert(ADDRESS, { displayName: "run", config: "{}" })).toMatchObject({ isNew: true });
  await store.stream(ADDRESS, { history: { offset: 0, lines: ['{"x":1,"_step":0}'] }, exitCode: 0 });
  expect(await store.status(ADDRESS)).toMatchObject({ displayName: "run", lines: 1 });
  expect(readFileSync(file)).toEqual(bytes);
  expect(readFileSync(path.join(directory, ".tracelet-pending"), "utf8")).toBe("text");
});
