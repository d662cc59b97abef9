// What `--track-system` costs: CPU of one sample, its helper processes included, and how long it holds up the event loop.
//
// node bench/system-metrics.mjs [samples]; after npm run build, on Linux.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { Machine } from "../dist/recorder/machine.js";
import { NvidiaSmi } from "../dist/recorder/nvidia-smi.js";

const SAMPLES = Number(process.argv[2] ?? 30);
const INTERVAL_S = 10;
/** Of /proc/self/stat: user and system time of this process and of its children that have ended, in ticks of 10 ms. */
const cpuMs = () => {
  const fields = readFileSync("/proc/self/stat", "utf8").replace(/.*\) /, "").split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
};

const before = cpuMs();
const machine = new Machine();
const gpus = new NvidiaSmi((message) => console.log(message));
const sample = () => Promise.all([machine.sample(), gpus.sample()]);
await sample();
console.log(`first sample, the library loaded: ${cpuMs() - before} ms of CPU`);

const delay = monitorEventLoopDelay({ resolution: 1 });
await pause(600);
const start = cpuMs();
let held = 0;
for (let i = 0; i < SAMPLES; i++) {
  delay.enable();
  await sample();
  delay.disable();
  held = Math.max(held, delay.max / 1e6);
  delay.reset();
  // The library answers anew only after half a second.
  await pause(600);
}
const each = (cpuMs() - start) / SAMPLES;
console.log(
  `${each.toFixed(1)} ms of CPU a sample: ${(each / INTERVAL_S / 10).toFixed(2)} % of a core every ${INTERVAL_S} s`,
);
console.log(`the event loop is held up for ${held.toFixed(0)} ms at most`);
