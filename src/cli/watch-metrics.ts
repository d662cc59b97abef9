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
  /** What there is to tell from here on. @param name of the destination */
  start(status: WatchStatus, name: string): void;
  /** Nothing more is sent to that destination. */
  ended(name: string): void;
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
  const statuses = new Map<string, WatchStatus>();
  const healths = new Map<string, () => Health>();
  let health = () => (healths.size === 0 ? { status: "starting" as const } : worstHealth(healths));
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
    start(status, name) {
      if (statuses.size === 0) registerStatuses(registry, statuses);
      statuses.set(name, status);
      healths.set(name, healthOf(status));
    },
    ended(name) {
      healths.set(name, () => ({ status: "ended" }));
    },
    end() {
      health = () => ({ status: "ended" as const });
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
  /** Each of several. */
  readonly destinations?: Readonly<Record<string, Health>>;
}

/** The first one that any is in, is that of the whole. */
const WORST_FIRST = ["stuck", "degraded", "ok", "ended"] as const;

/** Of several destinations each is told, too. */
function worstHealth(healths: ReadonlyMap<string, () => Health>): Health {
  const all = Array.from(healths, ([name, health]) => [name, health()] as const);
  const worst = WORST_FIRST.map((status) => all.find(([, health]) => health.status === status)).find(Boolean);
  const [, health] = worst ?? (all[0] as (typeof all)[number]);
  return all.length === 1 ? health : { ...health, destinations: Object.fromEntries(all) };
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
function registerStatuses(registry: Registry, statuses: ReadonlyMap<string, WatchStatus>): void {
  const registers: Registry[] = [];
  const gauge = (name: string, help: string, value: (status: WatchStatus) => number) =>
    registry.registerMetric(
      new Gauge({
        name: `tracelet_${name}`,
        help,
        labelNames: ["destination"],
        registers,
        collect() {
          for (const [destination, status] of statuses) this.set({ destination }, value(status));
        },
      }),
    );
  const counter = (name: string, help: string, value: (status: WatchStatus) => number) =>
    registry.registerMetric(
      new Counter({
        name: `tracelet_${name}`,
        help,
        labelNames: ["destination"],
        registers,
        collect() {
          this.reset();
          for (const [destination, status] of statuses) this.inc({ destination }, value(status));
        },
      }),
    );
  gauge("runs", "Runs of the destination that the logdirs make.", ({ runs }) => runs);
  gauge("live_runs", "Runs that grew lately.", ({ liveRuns }) => liveRuns);
  counter("values_sent_total", "Values that the destination has acknowledged.", ({ sent }) => sent);
  const sentBytes = "Bytes of event files that the destination has acknowledged.";
  counter("bytes_sent_total", sentBytes, ({ bytesSent }) => bytesSent);
  gauge("bytes_behind", "Bytes of event files that are not acknowledged yet.", ({ bytesBehind }) => bytesBehind);
  const oldest = "For how long the oldest of these have waited.";
  gauge("oldest_unsent_seconds", oldest, ({ oldestUnsentMs }) => oldestUnsentMs / 1000);
  const heldUp = "1 while nothing can be sent, such as when the destination is down.";
  gauge("held_up", heldUp, ({ obstacle }) => (obstacle === undefined ? 0 : 1));
  counter("retries_total", "Times that something was tried again.", ({ retries }) => retries);
  counter("quarantined_total", "Values that the destination refuses.", ({ quarantined }) => quarantined);
  const skipped = new Counter({
    name: "tracelet_skipped_total",
    help: "Values that were not sent, by reason.",
    labelNames: ["destination", "reason"],
    registers,
    collect() {
      this.reset();
      for (const [destination, status] of statuses)
        for (const [reason, count] of status.skipped) this.inc({ destination, reason }, count);
    },
  });
  registry.registerMetric(skipped);
  const latency = new Gauge({
    name: "tracelet_latency_seconds",
    help: "From seeing that files had grown to the acknowledgement, over the last rounds.",
    labelNames: ["destination", "quantile"],
    registers,
    collect() {
      for (const [destination, { latencies }] of statuses) {
        const sorted = [...latencies].sort((a, b) => a - b);
        for (const quantile of sorted.length === 0 ? [] : [0.5, 0.9, 0.99]) {
          const rank = Math.ceil(quantile * sorted.length) - 1;
          this.set({ destination, quantile }, (sorted[rank] as number) / 1000);
        }
      }
    },
  });
  registry.registerMetric(latency);
}
