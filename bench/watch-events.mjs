// What chokidar costs beside watches of our own, by the size of the tree: node bench/watch-events.mjs [ROUNDS]
// Needs `node scripts/build.mjs`. Each figure is the median of processes that take turns.
import { fork } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const DIRECTORIES = (process.env.DIRECTORIES ?? "100 150 200 500 1000 2000").split(" ").filter(Boolean).map(Number);
const ENTRIES = [10, 100, 500, 2000];
const SECONDS = 3;
const SOURCES = { own: 0, chokidar: Number.POSITIVE_INFINITY };
const FILE = "events.out.tfevents.1700000000.bench.1.0";

if (process.send) await watchAndReport();
else await measure(Number(process.argv[2] ?? 5));

/** In a process of its own, so that its memory and CPU are those of watching alone. */
async function watchAndReport() {
  const [root, source, growing] = process.argv.slice(2);
  const { watchRuns } = await import("../dist/sync/tree/watcher.js");
  const end = new AbortController();
  const options = { events: true, pollMs: 1000, rescanMs: 600_000, onNote: (note) => console.error(note) };
  let isMeasured = false;
  const busy = process.cpuUsage();
  const began = performance.now();
  const latencies = [];
  let appendedAt;
  for await (const { complete } of watchRuns({
    ...options,
    logdirs: [root],
    chokidarLimit: SOURCES[source],
    signal: end.signal,
  })) {
    if (appendedAt !== undefined) latencies.push(performance.now() - appendedAt);
    if (!complete || isMeasured) continue;
    isMeasured = true;
    const ms = performance.now() - began;
    const { user, system } = process.cpuUsage(busy);
    void (async () => {
      await setTimeout(500);
      globalThis.gc();
      const { rss } = process.memoryUsage();
      const cpuMs = growing && (await cpuWhileGrowing(growing, () => (appendedAt = performance.now())));
      const [seenMs] = latencies.sort((a, b) => a - b).slice(latencies.length / 2);
      process.send({ ms, startMs: (user + system) / 1000, rss, cpuMs, seenMs });
      end.abort();
    })();
  }
  process.disconnect();
}

/** Per second, for ten appends a second, in ms. */
async function cpuWhileGrowing(file, appended) {
  const before = process.cpuUsage();
  for (let i = 0; i < SECONDS * 10; i++) {
    appendFileSync(file, "x");
    appended();
    await setTimeout(100);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / SECONDS;
}

async function measure(rounds) {
  const world = mkdtempSync(path.join(os.tmpdir(), "tracelet-bench-"));
  try {
    for (const directories of DIRECTORIES) {
      const root = path.join(world, "directories");
      for (let i = 0; i < directories; i++) {
        mkdirSync(path.join(root, `run-${i}`), { recursive: true });
        writeFileSync(path.join(root, `run-${i}`, FILE), "x");
      }
      await compare(`${directories} directories`, rounds, root);
      rmSync(root, { recursive: true });
    }
    for (const entries of ENTRIES) {
      const root = path.join(world, "entries");
      mkdirSync(root);
      for (let i = 0; i < entries; i++) writeFileSync(path.join(root, `checkpoint-${i}`), "x");
      writeFileSync(path.join(root, FILE), "x");
      await compare(`one directory of ${entries} entries`, rounds, root, path.join(root, FILE));
      rmSync(root, { recursive: true });
    }
  } finally {
    rmSync(world, { recursive: true, force: true });
  }
}

async function compare(what, rounds, root, growing) {
  const taken = { own: [], chokidar: [] };
  for (let round = 0; round < rounds; round++) {
    for (const source of Object.keys(SOURCES)) taken[source].push(await once(root, source, growing));
  }
  const median = (source, value) => taken[source].map(value).sort((a, b) => a - b)[Math.floor(rounds / 2)];
  const both = (value, digits = 0) =>
    `${median("own", value).toFixed(digits)} → ${median("chokidar", value).toFixed(digits)}`;
  console.log(
    `${what}: all seen after ${both(({ ms }) => ms)} ms, ${both(({ startMs }) => startMs)} ms of CPU, ${both(({ rss }) => rss / 1e6)} MB` +
      (growing === undefined
        ? ""
        : `, ${both(({ cpuMs }) => cpuMs, 1)} ms of CPU a second while a file grows, ` +
          `an append seen after ${both(({ seenMs }) => seenMs, 1)} ms (p50)`),
  );
}

function once(root, source, growing) {
  const args = [root, source, ...(growing === undefined ? [] : [growing])];
  const child = fork(fileURLToPath(import.meta.url), args, { execArgv: ["--expose-gc"] });
  return new Promise((resolve, reject) => {
    let answer;
    child.on("message", (message) => {
      answer = message;
    });
    child.on("exit", () => (answer === undefined ? reject(new Error("no answer")) : resolve(answer)));
  });
}
