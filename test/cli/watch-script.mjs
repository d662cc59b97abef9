// `tracelet watch` as it is built, over an engine that does what the variable SCRIPT says and writes what it is told to LOG.
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { buildProgram, splitTraining } from "../../dist/cli/program.js";
import { TraceletError } from "../../dist/errors.js";

const script = JSON.parse(process.env.SCRIPT ?? "{}");
const log = (...what) => appendFileSync(process.env.LOG, `${what.join(" ")}\n`);

const status = {
  ...{ runs: 0, liveRuns: 0, sent: 0, bytesSent: 0, bytesBehind: 0, oldestUnsentMs: 0, latencies: [], retries: 0 },
  ...{ quarantined: 0, obstacle: undefined, lastError: undefined, isCaughtUp: false },
  ...{ lookedAt: performance.now(), quietSince: performance.now() },
  ...script.status,
  // JSON knows no maps.
  skipped: new Map(),
};

async function engine(options) {
  const { logdirs, stop, finish, onStart, onEvent, trace } = options;
  if (script.logOptions) log(JSON.stringify({ ...options, trace: typeof trace, transform: undefined }));
  const ended = new Promise((resolve) => {
    finish.addEventListener("abort", () => {
      log("finish", finish.reason);
      if (script.deaf !== "finish")
        setTimeout(resolve, script.drainMs ?? 0, { code: script.code ?? 0, interrupted: false });
    });
    stop.addEventListener("abort", () => {
      log("stop");
      resolve({ code: script.code ?? 0, interrupted: true });
    });
  });
  if (script.refuse) throw new TraceletError(script.refuse, "it cannot be", { hint: "do otherwise" });
  for (const name of script.names ?? ["mlflow"]) onStart(status, name);
  log("start", logdirs.join(","));
  for (const { after, set, event, fail, crash, end, since } of script.steps ?? []) {
    await sleep(after ?? 0);
    // JSON has no undefined.
    for (const [key, value] of Object.entries(set ?? {})) status[key] = value ?? undefined;
    if (since !== undefined) status.quietSince = performance.now() + since;
    if (event) onEvent({ level: "info", ...event }, "mlflow");
    if (fail) throw new TraceletError(fail, "no more", { hint: "do otherwise" });
    if (crash === "rejects") throw new RangeError("oh no");
    if (crash)
      setImmediate(() => {
        throw new RangeError("oh no");
      });
    if (end !== undefined) return { code: end, interrupted: false };
  }
  const alive = setInterval(() => {}, 1000);
  return ended.finally(() => clearInterval(alive));
}

try {
  const { argv, training } = splitTraining(process.argv);
  await buildProgram(
    (code) => (process.exitCode = code),
    training,
    () => engine,
  ).parseAsync(argv);
} catch (error) {
  process.stderr.write(`error: ${error.message}; ${error.hint}\n`);
  process.exitCode = error.code === "usage" || error.exitCode !== undefined ? 2 : 1;
}
