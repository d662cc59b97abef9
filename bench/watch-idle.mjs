// What watching a large tree costs, and how soon an append is seen: node bench/watch-idle.mjs [RUNS] [LIVE] [SECONDS]
// Needs `node scripts/build.mjs`. Prints a line for events and one for polling every second; 20 live runs grow each second.
import { fork } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const [runs = 10_000, live = 20, seconds = 60] = process.argv.slice(2, 5).map(Number);
const FILE = "events.out.tfevents.1700000000.bench.1.0";
const fileOf = (root, run) => path.join(root, `run-${String(run).padStart(5, "0")}`, FILE);

if (process.send) await watchAndReport();
else await measure();

/** In a process of its own, so that its memory and CPU are those of watching alone. */
async function watchAndReport() {
  const [root, mode] = process.argv.slice(5);
  const { watchRuns } = await import("../dist/sync/tree/watcher.js");
  const end = new AbortController();
  let busy = process.cpuUsage();
  // It wakes the process so often that its cost would be most of what is measured, so it has a time of its own.
  const delay = monitorEventLoopDelay({ resolution: 5 });
  process.on("message", (message) => {
    const { user, system } = process.cpuUsage(busy);
    process.send({
      about: message,
      cpuMs: (user + system) / 1000,
      rss: process.memoryUsage().rss,
      worst: delay.max / 1e6 - 5,
    });
    delay.reset();
    if (message === "start of pauses") delay.enable();
    else delay.disable();
    busy = process.cpuUsage();
    if (message === "end") end.abort();
  });
  const onNote = (note) => console.error(note);
  const options = { logdirs: [root], events: mode === "events", pollMs: 1000, rescanMs: 60_000, signal: end.signal };
  let isComplete = false;
  for await (const { changed, complete } of watchRuns({ ...options, onNote })) {
    if (isComplete) process.send({ about: "seen", runs: changed.map((run) => [run.name, run.files[0].size]) });
    else if (complete) process.send({ about: "complete" });
    isComplete ||= complete;
  }
  process.disconnect();
}

async function measure() {
  const root = mkdtempSync(path.join(os.tmpdir(), "tracelet-bench-"));
  try {
    const longAgo = Date.now() / 1000 - 30 * 86_400;
    for (let run = 0; run < runs; run++) {
      const file = fileOf(root, run);
      mkdirSync(path.dirname(file));
      writeFileSync(file, "x");
      utimesSync(file, longAgo, longAgo);
      utimesSync(path.dirname(file), longAgo, longAgo);
    }
    for (const mode of ["events", "polling"]) await measureMode(root, mode);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function measureMode(root, mode) {
  const began = performance.now();
  const child = fork(fileURLToPath(import.meta.url), [runs, live, seconds, root, mode].map(String));
  const answers = new Map();
  const written = new Map();
  const latencies = [];
  child.on("message", (message) => {
    if (message.about !== "seen") return answers.get(message.about)?.(message);
    for (const [name, size] of message.runs) {
      for (const [key, at] of written) {
        const [run, length] = key.split(":");
        if (run !== name || Number(length) > size) continue;
        latencies.push(performance.now() - at);
        written.delete(key);
      }
    }
  });
  const answer = (about) => new Promise((resolve) => answers.set(about, resolve));
  const ask = (about) => {
    const answered = answer(about);
    child.send(about);
    return answered;
  };
  await answer("complete");
  const ready = performance.now() - began;
  await setTimeout(2000);
  await ask("start of idle");
  await setTimeout(seconds * 1000);
  const idle = await ask("end of idle");
  await ask("start of pauses");
  await setTimeout(seconds * 1000);
  const { worst } = await ask("end of pauses");
  const sizes = Array.from({ length: live }, () => 1);
  for (const run of sizes.keys()) writeFileSync(fileOf(root, run), "x");
  // A run that was cold is seen at the rescan; from then on it is live.
  await setTimeout(mode === "events" ? 1000 : 65_000);
  await ask("start of live");
  for (let second = 0; second < seconds; second++) {
    for (const run of sizes.keys()) {
      sizes[run]++;
      written.set(`run-${String(run).padStart(5, "0")}:${sizes[run]}`, performance.now());
      appendFileSync(fileOf(root, run), "x");
      await setTimeout(1000 / live);
    }
  }
  await setTimeout(2000);
  const growing = await ask("end of live");
  child.send("end");
  latencies.sort((a, b) => a - b);
  const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))]?.toFixed(1);
  const percent = (cpuMs, over) => `${(cpuMs / over / 10).toFixed(2)} %`;
  console.log(
    `${mode}: ${runs} runs seen in ${ready.toFixed(0)} ms; idle: ${(idle.rss / 1e6).toFixed(0)} MB, ` +
      `${percent(idle.cpuMs, seconds)} of a core, longest pause ${worst.toFixed(0)} ms; ` +
      `${live} growing: ${(growing.rss / 1e6).toFixed(0)} MB, ${percent(growing.cpuMs, seconds + 2)}, ` +
      `seen after ${at(0.5)} ms (p50), ${at(0.99)} ms (p99), ` +
      `${latencies.length} of ${seconds * live}`,
  );
}
