// Follows a training for a while in which everything breaks that can, then compares what MLflow has with the files:
//   npm run soak -- --minutes 10 [--seed 1] [--runs 50] [--tags 2] [--rate 5] [--command 'SHELL']
// The command gets LOGDIR and the variables that tracelet reads; the default is `tracelet watch` of dist/. The seed
// decides which faults come in which order; when they hit is up to the machine.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Follower } from "./follower.mjs";
import { LatencyProbe, report } from "./latency-probe.mjs";
import { faultsInTurn } from "./soak-faults.mjs";
import { load } from "./typescript.mjs";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    runs: { type: "string", default: "50" },
    tags: { type: "string", default: "2" },
    rate: { type: "string", default: "5" },
    command: { type: "string", default: 'exec node dist/cli/main.js watch "$LOGDIR"' },
  },
});
const [{ FaultProxy }, { MlflowServer }, { LiveWriter }, { difference }, { Resent }, { seededRandom }] = await load(
  "test/e2e/support/fault-proxy.ts",
  "test/e2e/support/mlflow-server.ts",
  "test/e2e/support/live-writer.ts",
  "test/e2e/support/python.ts",
  "test/e2e/support/resent.ts",
  "test/support/seeded-random.ts",
);

const EXPERIMENT = "soak";
/** What a server takes to start on a machine with nothing else to do. */
const START_MS = 7000;
const WRITERS = 5;
const CALM_MS = 15_000;
/** How long the rest may take to arrive when the writers have ended. */
const DRAIN_MS = 600_000;
/** Nothing sent for so long: it has all arrived, or it never will. */
const QUIET_MS = 20_000;
/** Longer than tracelet pauses between attempts. */
const PAUSE_MS = 90_000;

const seed = Number(values.seed);
const random = seededRandom(seed);
const pick = (list) => list[Math.floor(random() * list.length)];
const nextFault = faultsInTurn(random);
const between = (low, high) => low + random() * (high - low);

const workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-soak-"));
const inside = (name) => path.join(workspace, name);
const logdir = inside("runs");
const kills = { tracelet: 0, server: 0, writer: 0 };

const database = inside("mlflow.db");
const starting = performance.now();
let server = await MlflowServer.start(database);
/** How many times as long as on a machine with nothing else to do everything takes here: what is waited for is scaled. */
const slowness = Math.max(1, (performance.now() - starting) / START_MS);
const { port, uri } = server;
const proxy = await FaultProxy.start(port, seed);
const resent = new Resent();
proxy.onRequest = resent.see;
const follower = new Follower(
  values.command,
  {
    LOGDIR: logdir,
    MLFLOW_TRACKING_URI: proxy.uri,
    MLFLOW_EXPERIMENT_NAME: EXPERIMENT,
    TRACELET_STATE_DIR: inside("state"),
    // Two minutes, MLflow's own, would leave room for a handful of unanswered requests only; but what a busy machine
    // takes for an answer is no fault.
    MLFLOW_HTTP_REQUEST_TIMEOUT: String(Math.ceil(5 * slowness)),
  },
  inside("log"),
);
const writers = Array.from({ length: WRITERS }, (_, i) => startWriter(i));
const probe = new LatencyProbe({ uri, experiment: EXPERIMENT, ledger: inside("ledger-0"), prefix: "writer-0/" });
const calmProbe = new LatencyProbe({ uri, experiment: EXPERIMENT, ledger: inside("ledger-calm"), prefix: "calm/" });
let interrupted = false;
process.on("SIGINT", () => {
  interrupted = true;
});

/** Each opens new files when it is started again, and goes on numbering. */
function startWriter(i, name = `writer-${i}`, ledger = `ledger-${i}`) {
  const runs = Math.ceil(Number(values.runs) / WRITERS);
  return new LiveWriter({
    logdir: path.join(logdir, name),
    ledger: inside(ledger),
    runs,
    tags: Number(values.tags),
    rate: Number(values.rate),
    // One of them tears its records.
    ...(i === 1 && { partial: 1 }),
  });
}

const DISASTERS = {
  "kill server": async () => {
    await server.stop();
    kills.server++;
    server = await MlflowServer.start(database, { port });
  },
  "kill writer": async () => {
    const i = Math.floor(random() * WRITERS);
    await writers[i].kill();
    kills.writer++;
    writers[i] = startWriter(i);
  },
  disconnect: async () => {
    await proxy.disconnect();
    await sleep(between(500, 8000));
    await proxy.reconnect();
  },
  "one fault": async () => {
    const fault = nextFault();
    proxy.inject({ fault, ...(random() < 0.3 ? {} : { requests: /log-batch$/ }), probability: between(0.2, 1) });
    await sleep(between(500, 6000));
    proxy.calm();
  },
  "a mix of faults": async () => {
    for (let i = 0; i < 5; i++) proxy.inject({ fault: nextFault(), probability: 0.08 });
    await sleep(between(2000, 10_000));
    proxy.calm();
  },
};
const OFTEN = ["disconnect", "kill writer", ...Array(6).fill("one fault"), "a mix of faults"];

/** It has to get on in lives of a few seconds, whatever else breaks. */
async function killTracelet(until) {
  while (Date.now() < until && !interrupted) {
    await sleep(slowness * between(700, 3500));
    await follower.kill();
    kills.tracelet++;
    follower.start();
  }
}

async function breakThings(until) {
  // A start takes the server a dozen seconds, so that it is killed by the clock and not by chance.
  let nextServerKill = Date.now() + slowness * 20_000;
  while (Date.now() < until && !interrupted) {
    await sleep(between(500, 5000));
    const serverTurn = Date.now() > nextServerKill;
    if (serverTurn) nextServerKill = Date.now() + slowness * (60_000 + between(0, 60_000));
    await DISASTERS[serverTurn ? "kill server" : pick(OFTEN)]();
  }
}

/** Until nothing has been sent for a while; for longer while the probes still wait for something. */
async function drained() {
  const end = Date.now() + slowness * DRAIN_MS;
  for (let sent = -1, since = Date.now(); Date.now() < end; await sleep(500)) {
    if (resent.sent !== sent) since = Date.now();
    sent = resent.sent;
    const quiet = probe.behind + calmProbe.behind > 0 ? PAUSE_MS : QUIET_MS;
    if (Date.now() - since > slowness * quiet) return;
  }
}

const start = Date.now();
try {
  follower.start();
  probe.start();
  const until = start + Number(values.minutes) * 60_000;
  await Promise.all([breakThings(until), killTracelet(until)]);

  // Nothing breaks any more: what is new has to arrive, from writers that were there and from one that was not.
  if (!follower.running) follower.start();
  calmProbe.start();
  const late = startWriter(WRITERS, "calm", "ledger-calm");
  await sleep(CALM_MS);
  const all = [...writers, late];
  await Promise.all(all.map((writer) => writer.stop()));
  await drained();
  const inOrder = await follower.stop();
  await Promise.all([probe.stop(), calmProbe.stop()]);

  const found = await difference(logdir, uri, EXPERIMENT);
  const flushed = all.reduce((sum, writer) => sum + writer.flushedPoints, 0);
  const failures = [
    found.lost > 0 && "points were lost",
    found.doubled > 0 && "points were doubled",
    found.extra > 0 && "points came from nowhere",
    found.points < flushed && "TensorBoard reads fewer points than were flushed",
    calmProbe.latencies.length === 0 && "no fresh point arrived when all was calm",
    probe.behind + calmProbe.behind > 0 && "MLflow's API does not show all that was flushed",
    kills.tracelet + kills.server === 0 && "nothing was killed",
    proxy.faults === 0 && "no fault was injected",
    resent.again === 0 && "nothing was sent again, so nothing was tried",
    !inOrder && "the command did not end at SIGTERM",
  ].filter(Boolean);

  const fired = [...proxy.fired].sort().map(([name, times]) => `${times} ${name}`);
  console.log(`seed                 ${seed}, ${Math.round((Date.now() - start) / 1000)} s`);
  console.log(`points               ${found.points} in the files, ${flushed} of them certainly flushed`);
  console.log(`                     ${resent.sent} sent, ${resent.again} of them again`);
  console.log(`lost ${found.lost}, doubled ${found.doubled}, extra ${found.extra}`);
  console.log(`kills                ${kills.tracelet} tracelet, ${kills.server} server, ${kills.writer} writer`);
  console.log(`ended by itself      ${follower.endedByItself} times`);
  console.log(
    `faults               ${proxy.faults}: ${fired.join(", ")}; ${proxy.unanswered} requests found no server`,
  );
  console.log(`resident memory      ${Math.round(follower.peakKib / 1024)} MiB at most`);
  console.log(`all the time\n${report(probe)}`);
  console.log(`when calm\n${report(calmProbe)}`);
  for (const example of found.examples) console.log(JSON.stringify(example));
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  process.exitCode = failures.length > 0 ? 1 : 0;
} finally {
  await Promise.all(writers.map((writer) => writer.kill()));
  await follower.kill();
  await proxy.stop();
  await server.stop();
  if (process.exitCode === 0) rmSync(workspace, { recursive: true, force: true });
  else console.log(`kept: ${workspace}, the command's output in its log`);
}
