// How long it takes from a writer's flush until MLflow's API shows the point: polls the history of a few live metrics.
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Runs that are looked at: each costs the server a request a round, so few. */
const RUNS = 5;
const TAG = "live/tag-0";

export class LatencyProbe {
  /** One for each flush that was seen to arrive, ms. The poll's own duration and interval are part of it. */
  latencies = [];
  /** What the server took for each poll, ms. */
  requests = [];
  /** Polls that got no answer, or none that helps; the last one's message. */
  failures = 0;
  lastFailure = "";
  #api;
  #experiment;
  #prefix;
  #ledger;
  #everyMs;
  #pending = new Map();
  #runs = new Map();
  #offset = 0;
  #stopping = new AbortController();
  #done;

  /** @param prefix what stands before the ledger's run names in MLflow's */
  constructor({ uri, experiment, ledger, prefix = "", everyMs = 100 }) {
    this.#api = `${uri}/api/2.0/mlflow`;
    this.#experiment = experiment;
    this.#prefix = prefix;
    this.#ledger = ledger;
    this.#everyMs = everyMs;
  }

  start() {
    this.#done = this.#poll();
  }

  async stop() {
    this.#stopping.abort();
    await this.#done;
  }

  /** Flushes that have not been seen to arrive. */
  get behind() {
    return [...this.#pending.values()].reduce((sum, flushes) => sum + flushes.length, 0);
  }

  async #poll() {
    while (!this.#stopping.signal.aborted) {
      this.#readLedger();
      for (const [run, flushes] of this.#pending) {
        if (flushes.length === 0) continue;
        // A server that is away is no reason to stop: the wait for it is what is measured.
        await this.#look(run, flushes).catch((error) => {
          this.failures++;
          this.lastFailure = error.message;
        });
      }
      await sleep(this.#everyMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  #readLedger() {
    if (!existsSync(this.#ledger)) return;
    const file = openSync(this.#ledger, "r");
    const chunk = Buffer.alloc(1 << 20);
    const length = readSync(file, chunk, 0, chunk.length, this.#offset);
    closeSync(file);
    const whole = chunk.subarray(0, chunk.subarray(0, length).lastIndexOf("\n") + 1);
    this.#offset += whole.length;
    for (const line of whole.toString().split("\n").slice(0, -1)) {
      const { flushed, at = {} } = JSON.parse(line);
      for (const [run, [monotonicMs]] of Object.entries(at).slice(0, RUNS)) {
        if (!this.#pending.has(run)) this.#pending.set(run, []);
        this.#pending.get(run).push({ step: flushed, at: monotonicMs });
      }
    }
  }

  async #look(run, flushes) {
    const known = this.#runs.get(run) ?? (await this.#find(this.#prefix + run));
    if (known === undefined) return;
    this.#runs.set(run, known);
    const start = performance.now();
    // MLflow's own kind of page token, so that a long history is not read again and again.
    const token = Buffer.from(JSON.stringify({ offset: known.seen })).toString("base64");
    const page = {
      run_id: known.id,
      metric_key: TAG,
      max_results: "1000",
      ...(known.seen > 0 && { page_token: token }),
    };
    const { metrics = [] } = await this.#ask(`metrics/get-history?${new URLSearchParams(page)}`);
    this.requests.push(performance.now() - start);
    const now = monotonicMs();
    known.seen += metrics.length;
    for (const { step } of metrics) known.step = Math.max(known.step, Number(step));
    while (flushes.length > 0 && flushes[0].step <= known.step) this.latencies.push(now - flushes.shift().at);
  }

  async #find(name) {
    const byName = `experiments/get-by-name?${new URLSearchParams({ experiment_name: this.#experiment })}`;
    const { experiment } = await this.#ask(byName);
    const filter = `attributes.run_name = '${name}'`;
    const { runs = [] } = await this.#ask("runs/search", { experiment_ids: [experiment.experiment_id], filter });
    return runs.length === 0 ? undefined : { id: runs[0].info.run_id, seen: 0, step: -1 };
  }

  async #ask(path, body) {
    const answer = await fetch(`${this.#api}/${path}`, {
      signal: AbortSignal.timeout(10_000),
      ...(body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
    return answer.json();
  }
}

/** Linux' CLOCK_MONOTONIC, which Python's time.monotonic() is too. */
function monotonicMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The lines of a report, each with its name. */
export function report(probe) {
  const failed = probe.failures > 0 ? `, ${probe.failures} failed, the last with: ${probe.lastFailure}` : "";
  return [
    `flush to readable    ${percentiles(probe.latencies)}, ${probe.behind} never`,
    `the server's answer  ${percentiles(probe.requests)}${failed}`,
  ].join("\n");
}

/** `p50 812 ms, p99 1903 ms, max 2110 ms (240)` */
function percentiles(values) {
  if (values.length === 0) return "none";
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))])} ms`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} (${sorted.length})`;
}
