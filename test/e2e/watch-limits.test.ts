/** Where the system allows no more watches; it has to be asked in a user namespace, where limits can be set. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
const EVENT_FILE = "events.out.tfevents.1700000000.host.1.0";
const LIMITS = "/proc/sys/user";
const canLimit = spawnSync("unshare", ["-Ur", "sh", "-c", `echo 5 > ${LIMITS}/max_inotify_watches`]).status === 0;

/** Follows a logdir, appends to each of its runs once all are seen, and prints what it has noted and which it saw grow. */
const SCRIPT = `
import { appendFileSync } from "node:fs";
import path from "node:path";
const [root, module] = process.argv.slice(1);
const { watchRuns } = await import(module);
const end = new AbortController();
const notes = [];
const grown = new Set();
let runs;
const options = { logdirs: [root], events: true, pollMs: 100, rescanMs: 600000, signal: end.signal };
for await (const { changed, complete } of watchRuns({ ...options, onNote: (note) => notes.push(note) })) {
  for (const run of changed) if (run.files[0].size > 1) grown.add(run.name);
  if (complete && !runs) {
    runs = 20;
    for (let i = 0; i < runs; i++) appendFileSync(path.join(root, "run-" + i, "${EVENT_FILE}"), "more");
  }
  if (grown.size === runs) end.abort();
}
console.log(JSON.stringify({ notes, grown: grown.size }));
`;

let logdir: string;

beforeEach(() => {
  logdir = mkdtempSync(path.join(os.tmpdir(), "tracelet-limits-"));
  for (let i = 0; i < 20; i++) {
    mkdirSync(path.join(logdir, `run-${i}`));
    writeFileSync(path.join(logdir, `run-${i}`, EVENT_FILE), "1");
  }
});

afterEach(() => rmSync(logdir, { recursive: true, force: true }));

function watchWith(setting: string, value: number): unknown {
  const node = [
    process.execPath,
    "--input-type=module",
    "-e",
    SCRIPT,
    logdir,
    path.join(ROOT, "dist/sync/tree/watcher.js"),
  ];
  const limited = `echo ${value} > ${LIMITS}/${setting} && exec "$@"`;
  const output = execFileSync("unshare", ["-Ur", "sh", "-c", limited, "sh", ...node], { encoding: "utf8" });
  return JSON.parse(output);
}

test.skipIf(!canLimit)("of watches: one note with what to set, and the rest is polled", () => {
  expect(watchWith("max_inotify_watches", 5)).toEqual({
    notes: [{ kind: "watch-limit", sysctl: "user.max_inotify_watches", current: 5, suggested: 1_048_576, pollMs: 100 }],
    grown: 20,
  });
});

test.skipIf(!canLimit)("of inotify instances", () => {
  expect(watchWith("max_inotify_instances", 0)).toEqual({
    notes: [{ kind: "watch-limit", sysctl: "user.max_inotify_instances", current: 0, suggested: 1024, pollMs: 100 }],
    grown: 20,
  });
});
