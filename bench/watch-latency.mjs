// From a writer's flush to a point that MLflow's API shows, while a command follows a live logdir:
//   node bench/watch-latency.mjs [--seconds 60] [--runs 10] [--tags 5] [--rate 5] [--flush 1] [--command 'SHELL']
// The command gets LOGDIR and the variables that tracelet reads; the default is `tracelet watch` of dist/.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Follower } from "./follower.mjs";
import { LatencyProbe, report } from "./latency-probe.mjs";
import { load } from "./typescript.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    runs: { type: "string", default: "10" },
    tags: { type: "string", default: "5" },
    rate: { type: "string", default: "5" },
    flush: { type: "string", default: "1" },
    command: { type: "string", default: 'exec node dist/cli/main.js watch "$LOGDIR"' },
  },
});
const [{ MlflowServer }, { LiveWriter }, { difference }] = await load(
  "test/e2e/support/mlflow-server.ts",
  "test/e2e/support/live-writer.ts",
  "test/e2e/support/python.ts",
);

const workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-latency-"));
const inside = (name) => path.join(workspace, name);
const [logdir, ledger] = [inside("runs"), inside("ledger")];
const server = await MlflowServer.start(inside("mlflow.db"));
const follower = new Follower(
  values.command,
  {
    LOGDIR: logdir,
    MLFLOW_TRACKING_URI: server.uri,
    MLFLOW_EXPERIMENT_NAME: "latency",
    TRACELET_STATE_DIR: inside("state"),
  },
  inside("log"),
);
const [runs, tags, rate, flush] = [values.runs, values.tags, values.rate, values.flush].map(Number);
const writer = new LiveWriter({ logdir, ledger, runs, tags, rate, flush });
const probe = new LatencyProbe({ uri: server.uri, experiment: "latency", ledger });
try {
  follower.start();
  probe.start();
  await sleep(Number(values.seconds) * 1000);
  await writer.stop();
  for (let waited = 0; probe.behind > 0 && waited < 60; waited++) await sleep(1000);
  const inOrder = await follower.stop();
  await probe.stop();
  const { points, lost, doubled, extra } = await difference(logdir, server.uri, "latency");
  console.log(`${points} points of ${runs} runs; lost ${lost}, doubled ${doubled}, extra ${extra}`);
  console.log(report(probe));
  console.log(`resident memory      ${Math.round(follower.peakKib / 1024)} MiB at most`);
  if (!inOrder) console.log("the command did not end at SIGTERM");
  if (follower.endedByItself > 0) console.log(`the command ended by itself, see ${inside("log")}`);
  process.exitCode = lost + doubled + extra + probe.behind > 0 ? 1 : 0;
} finally {
  await writer.kill();
  await follower.kill();
  await server.stop();
  if (process.exitCode === 0) rmSync(workspace, { recursive: true, force: true });
  else console.log(`kept: ${workspace}`);
}
