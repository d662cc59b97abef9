/** `--metrics-port`: how a watch is doing, for Prometheus, and whether it works, for whoever would start it anew. */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { TraceletError } from "../errors.ts";
import type { WatchStatus } from "../sync/engine/watch-status.ts";

export interface WatchMetrics {
  /** Of the metrics. */
  readonly url: string;
  /** What there is to tell from here on. */
  start(status: WatchStatus): void;
  /** The watch has ended, the process has not: there is a training to wait for. */
  end(): void;
  close(): Promise<void>;
}

/** Without having looked at a file or sent anything for so long, a watch is stuck, ms. */
const STUCK_MS = 300_000;

/**
 * On 127.0.0.1 only.
 *
 * @param port 0 for any that is free
 * @throws TraceletError `usage` if it cannot be had
 */
export async function serveMetrics(port: number): Promise<WatchMetrics> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  let health: () => Health = () => ({ status: "starting" });
  const server = http.createServer((request, response) => void answer(request, response, registry, () => health()));
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new TraceletError("usage", `metrics: ${code === "EADDRINUSE" ? `port ${port} is in use` : message}`, {
      hint: "give another --metrics-port; 0 takes any that is free and says which",
      cause,
    });
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`,
    start(status) {
      registerStatus(registry, status);
      health = healthOf(status);
    },
    end() {
      health = () => ({ status: "ended" });
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A page of the web may have its name point here (DNS rebinding), but not without saying that name. */
const OWN_HOST = /^(127\.0\.0\.1|localhost)(:\d+)?$/i;

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  registry: Registry,
  health: () => Health,
): Promise<void> {
  const send = (code: number, type: string, text: string, headers: http.OutgoingHttpHeaders = {}) => {
    const safety = { "cache-control": "no-store", "x-content-type-options": "nosniff", connection: "close" };
    response.writeHead(code, {
      ...safety,
      "content-type": type,
      "content-length": Buffer.byteLength(text),
      ...headers,
    });
    response.end(request.method === "HEAD" ? undefined : text);
  };
  const refuse = (code: number, headers?: http.OutgoingHttpHeaders) =>
    send(code, "text/plain; charset=utf-8", `${http.STATUS_CODES[code]}\n`, headers);
  if (!OWN_HOST.test(request.headers.host ?? "")) return refuse(403);
  const [path] = (request.url ?? "").split("?");
  if (path !== "/metrics" && path !== "/healthz") return refuse(404);
  if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, { allow: "GET, HEAD" });
  if (path === "/metrics") return send(200, registry.contentType, await registry.metrics());
  const state = health();
  send(state.status === "stuck" ? 503 : 200, "application/json", `${JSON.stringify(state)}\n`);
}

interface Health {
  /** `degraded`: nothing can be sent at the moment, which starting tracelet anew would not change. */
  readonly status: "starting" | "ok" | "degraded" | "stuck" | "ended";
  /** s. */
  readonly sinceProgress?: number;
}

/** @returns judges by what has changed since it was last asked */
function healthOf(status: WatchStatus): () => Health {
  let sent = status.bytesSent;
  let sentAt = performance.now();
  return () => {
    const now = performance.now();
    if (status.bytesSent !== sent) sentAt = now;
    sent = status.bytesSent;
    const sinceMs = now - Math.max(sentAt, status.lookedAt);
    const sinceProgress = Math.round(sinceMs / 100) / 10;
    if (status.obstacle !== undefined) return { status: "degraded", sinceProgress };
    return { status: sinceMs >= STUCK_MS ? "stuck" : "ok", sinceProgress };
  };
}

/** Names, units and types as Prometheus' guidelines have them; no name of a run or path is ever in them. */
function registerStatus(registry: Registry, status: WatchStatus): void {
  const registers: Registry[] = [];
  const gauge = (name: string, help: string, value: () => number) =>
    registry.registerMetric(
      new Gauge({
        name: `tracelet_${name}`,
        help,
        registers,
        collect() {
          this.set(value());
        },
      }),
    );
  const counter = (name: string, help: string, value: () => number) =>
    registry.registerMetric(
      new Counter({
        name: `tracelet_${name}`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(value());
        },
      }),
    );
  gauge("runs", "Runs of the destination that the logdirs make.", () => status.runs);
  gauge("live_runs", "Runs that grew lately.", () => status.liveRuns);
  counter("values_sent_total", "Values that the destination has acknowledged.", () => status.sent);
  counter("bytes_sent_total", "Bytes of event files that the destination has acknowledged.", () => status.bytesSent);
  gauge("bytes_behind", "Bytes of event files that are not acknowledged yet.", () => status.bytesBehind);
  const oldest = () => status.oldestUnsentMs / 1000;
  gauge("oldest_unsent_seconds", "For how long the oldest of these have waited.", oldest);
  const heldUp = () => (status.obstacle === undefined ? 0 : 1);
  gauge("held_up", "1 while nothing can be sent, such as when the destination is down.", heldUp);
  counter("retries_total", "Times that something was tried again.", () => status.retries);
  counter("quarantined_total", "Values that the destination refuses.", () => status.quarantined);
  const latency = new Gauge({
    name: "tracelet_latency_seconds",
    help: "From seeing that files had grown to the acknowledgement, over the last rounds.",
    labelNames: ["quantile"],
    registers,
    collect() {
      const sorted = [...status.latencies].sort((a, b) => a - b);
      for (const quantile of sorted.length === 0 ? [] : [0.5, 0.9, 0.99]) {
        const rank = Math.ceil(quantile * sorted.length) - 1;
        this.set({ quantile }, (sorted[rank] as number) / 1000);
      }
    },
  });
  registry.registerMetric(latency);
}
