import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Agent, request } from "undici";
import { bound, line } from "../lines.mjs";
import { median } from "../measure.mjs";
import { serverOnSqlite } from "../mlflow-servers.mjs";
import { root } from "../typescript.mjs";

/** Batches of one metric, of each contender. */
const BATCHES = 200;

export async function run(context) {
  const server = await serverOnSqlite(context);
  const store = await storeOf(server.uri);
  const kept = new Agent({ connections: 1 });
  const fresh = new Agent({ connections: 1, pipelining: 0 });
  try {
    const experiment = await store.createExperiment("live", new Map());
    const started = { experimentId: experiment, startTime: Date.now(), user: "bench", tags: new Map() };
    const runId = await store.createRun({ ...started, name: "live" });
    const contenders = {
      ours: (step) => store.logBatch(runId, { metrics: oneMetric("ours", step), params: new Map(), tags: new Map() }),
      kept: (step) => bare(server.uri, runId, "kept", step, kept),
      fresh: (step) => bare(server.uri, runId, "fresh", step, fresh),
    };
    const took = { ours: [], kept: [], fresh: [] };
    for (let step = 0; step < BATCHES; step++) {
      for (const [name, send] of Object.entries(contenders)) {
        const began = performance.now();
        await send(step);
        took[name].push(performance.now() - began);
      }
    }
    context.complete({ points: await server.points("live") }, 3 * BATCHES);
    const [ours, onKept, onFresh] = [took.ours, took.kept, took.fresh].map(median);
    const others = `bare requests: kept connection ${onKept.toFixed(1)} ms, fresh ${onFresh.toFixed(1)} ms`;
    const peer = { wall: Math.min(onKept, onFresh) };
    const what = "a live batch of one metric, acknowledged (p50)";
    const worst = `p99 ${[...took.ours].sort((a, b) => a - b)[Math.floor(0.99 * BATCHES)].toFixed(1)} ms`;
    const goal = bound(15, "≤ 15 ms");
    return [
      line({ what, beside: "bare request", unit: "ms", ours: { wall: ours }, peer, goal, notes: [worst, others] }),
    ];
  } finally {
    await Promise.all([store.close(), kept.close(), fresh.close()]);
    await server.stop();
  }
}

/** The client that `sync` and `watch` send with. */
async function storeOf(address) {
  const dist = (file) => import(pathToFileURL(path.join(root, "dist/sync/backends/mlflow", file)).href);
  const { RestStore } = await dist("rest-store.js");
  const { readCredentials } = await dist("credentials.js");
  const { resolveTrackingUri } = await dist("tracking-uri.js");
  const uri = resolveTrackingUri(address, {}, root);
  return new RestStore({ uri, credentials: readCredentials(undefined, {}, os.homedir()), live: true });
}

function oneMetric(key, step) {
  return {
    keys: [key],
    key: Int32Array.of(0),
    step: BigInt64Array.of(BigInt(step)),
    timestamp: Float64Array.of(Date.now()),
    value: Float64Array.of(step),
    length: 1,
  };
}

async function bare(uri, runId, key, step, dispatcher) {
  const metrics = [{ key, value: step, timestamp: Date.now(), step }];
  const answer = await request(`${uri}/api/2.0/mlflow/runs/log-batch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ run_id: runId, metrics }),
    dispatcher,
  });
  await answer.body.dump();
  if (answer.statusCode !== 200) throw new Error(`log-batch: HTTP ${answer.statusCode}`);
}
