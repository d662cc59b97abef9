/** What a watch tells over HTTP. */
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { serveMetrics, type WatchMetrics } from "../../src/cli/watch-metrics.ts";
import type { WatchStatus } from "../../src/sync/engine/watch-status.ts";
import { ended } from "./tracelet.ts";
import { Watch } from "./watch-script.ts";

function statusOf(more: Partial<WatchStatus> = {}): { -readonly [K in keyof WatchStatus]: WatchStatus[K] } {
  return {
    ...{ runs: 12, liveRuns: 3, sent: 4567, bytesSent: 89_000, bytesBehind: 17, oldestUnsentMs: 1500, retries: 5 },
    ...{ latencies: Array.from({ length: 100 }, (_, i) => 100 - i), quarantined: 2, obstacle: undefined },
    skipped: new Map([
      ["obsolete", 7],
      ["refused", 2],
    ]),
    ...{ lastError: "secret-run-name", isCaughtUp: false, lookedAt: performance.now(), quietSince: 0 },
    ...more,
  };
}

async function serving(status?: WatchStatus): Promise<WatchMetrics> {
  const metrics = await serveMetrics(0);
  onTestFinished(() => metrics.close());
  if (status !== undefined) metrics.start(status, "mlflow");
  return metrics;
}

interface Answer {
  readonly code: number | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

async function ask(metrics: WatchMetrics, path: string, options: http.RequestOptions = {}): Promise<Answer> {
  const request = http.request(new URL(path, metrics.url), options).end();
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const part of response) text += String(part);
  return { code: response.statusCode, headers: response.headers, text };
}

/** Samples by name and labels, as the text format has them: https://prometheus.io/docs/instrumenting/exposition_formats/ */
function samples(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

describe("/metrics", () => {
  test("tells how it is now, and of the process", async () => {
    const status = statusOf();
    const metrics = await serving(status);
    const { code, headers, text } = await ask(metrics, "/metrics");
    expect([code, headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    const told = samples(text);
    const expected = {
      'tracelet_runs{destination="mlflow"}': 12,
      'tracelet_live_runs{destination="mlflow"}': 3,
      'tracelet_values_sent_total{destination="mlflow"}': 4567,
      'tracelet_bytes_sent_total{destination="mlflow"}': 89_000,
      'tracelet_bytes_behind{destination="mlflow"}': 17,
      'tracelet_oldest_unsent_seconds{destination="mlflow"}': 1.5,
      'tracelet_held_up{destination="mlflow"}': 0,
      'tracelet_retries_total{destination="mlflow"}': 5,
      'tracelet_quarantined_total{destination="mlflow"}': 2,
      'tracelet_skipped_total{destination="mlflow",reason="obsolete"}': 7,
      'tracelet_skipped_total{destination="mlflow",reason="refused"}': 2,
      'tracelet_latency_seconds{destination="mlflow",quantile="0.5"}': 0.05,
      'tracelet_latency_seconds{destination="mlflow",quantile="0.9"}': 0.09,
      'tracelet_latency_seconds{destination="mlflow",quantile="0.99"}': 0.099,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, told.get(name)]).toEqual([name, value]);
    expect(told.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(text).toContain("# TYPE tracelet_values_sent_total counter\n");
    expect(text).not.toContain("secret");
    Object.assign(status, { sent: 5000, obstacle: "down", latencies: [] });
    const later = samples((await ask(metrics, "/metrics")).text);
    expect([
      later.get('tracelet_values_sent_total{destination="mlflow"}'),
      later.get('tracelet_held_up{destination="mlflow"}'),
    ]).toEqual([5000, 1]);
  });

  test("tells each of several destinations by itself", async () => {
    const metrics = await serving(statusOf());
    metrics.start(statusOf({ sent: 3, obstacle: "down", latencies: [] }), "jsonl");
    const told = samples((await ask(metrics, "/metrics")).text);
    const of = (name: string, destination: string) => told.get(`tracelet_${name}{destination="${destination}"}`);
    expect([of("values_sent_total", "mlflow"), of("values_sent_total", "jsonl")]).toEqual([4567, 3]);
    expect([of("held_up", "mlflow"), of("held_up", "jsonl")]).toEqual([0, 1]);
  });

  test("is there before the watch has begun", async () => {
    const { code, text } = await ask(await serving(), "/metrics");
    expect([code, text.includes("tracelet_"), text.includes("process_")]).toEqual([200, false, true]);
  });
});

describe("/healthz", () => {
  const health = async (metrics: WatchMetrics) => {
    const { code, text } = await ask(metrics, "/healthz");
    return [code, (JSON.parse(text) as { status: string }).status];
  };

  test("is 200 while a new start would not help, and 503 when the watch is stuck", async () => {
    const metrics = await serving();
    expect(await health(metrics)).toEqual([200, "starting"]);
    const status = statusOf();
    metrics.start(status, "mlflow");
    expect(await health(metrics)).toEqual([200, "ok"]);
    status.obstacle = "down";
    expect(await health(metrics)).toEqual([200, "degraded"]);
    status.obstacle = undefined;
    const now = performance.now();
    const clock = vi.spyOn(performance, "now").mockReturnValue(now + 301_000);
    onTestFinished(() => clock.mockRestore());
    expect(await health(metrics)).toEqual([503, "stuck"]);
    status.bytesSent++;
    expect(await health(metrics)).toEqual([200, "ok"]);
    clock.mockReturnValue(now + 900_000);
    expect(await health(metrics)).toEqual([503, "stuck"]);
    status.lookedAt = now + 899_000;
    expect(await health(metrics)).toEqual([200, "ok"]);
    clock.mockReturnValue(now + 2_000_000);
    metrics.end();
    expect(await health(metrics)).toEqual([200, "ended"]);
  });
});

test("/healthz is that of the destination that is worst, and tells each", async () => {
  const metrics = await serving();
  const [one, other] = [statusOf(), statusOf()];
  metrics.start(one, "mlflow");
  metrics.start(other, "jsonl");
  const health = async () => {
    const { code, text } = await ask(metrics, "/healthz");
    const { status, destinations } = JSON.parse(text) as {
      status: string;
      destinations: Record<string, { status: string }>;
    };
    return [code, status, destinations["mlflow"]?.status, destinations["jsonl"]?.status];
  };
  expect(await health()).toEqual([200, "ok", "ok", "ok"]);
  one.obstacle = "down";
  expect(await health()).toEqual([200, "degraded", "degraded", "ok"]);
  const clock = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 301_000);
  onTestFinished(() => clock.mockRestore());
  expect(await health()).toEqual([503, "stuck", "degraded", "stuck"]);
  metrics.ended("jsonl");
  expect(await health()).toEqual([200, "degraded", "degraded", "ended"]);
});

describe("a request", () => {
  test("that has another name for this machine is refused, whatever it asks for", async () => {
    const metrics = await serving(statusOf());
    for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "127.0.0.1@evil", "x127.0.0.1"])
      for (const path of ["/metrics", "/healthz"])
        expect([host, (await ask(metrics, path, { headers: { host } })).code]).toEqual([host, 403]);
    for (const host of ["localhost", "LOCALHOST:9999", "127.0.0.1"])
      expect([host, (await ask(metrics, "/metrics", { headers: { host } })).code]).toEqual([host, 200]);
  });

  test("may only read, and only what there is", async () => {
    const metrics = await serving(statusOf());
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"])
      expect((await ask(metrics, "/metrics", { method })).code).toBe(405);
    for (const path of ["/", "/metrics/", "/metricsx", "/..%2fmetrics"])
      expect((await ask(metrics, path)).code).toBe(404);
    const head = await ask(metrics, "/metrics", { method: "HEAD" });
    expect([head.code, head.text, Number(head.headers["content-length"]) > 0]).toEqual([200, "", true]);
    expect((await ask(metrics, "/healthz?now")).code).toBe(200);
  });
});

describe("--metrics-port", () => {
  test("0 takes one and says so; it is gone with the watch, also with somebody connected", async () => {
    const watch = Watch.create();
    const child = watch.start({ status: { runs: 7 } }, "runs", "--metrics-port", "0", "--json");
    const end = ended(child);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const url = /http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(String(line));
    await watch.until("log", "start");
    const text = await (await fetch((url as RegExpExecArray)[0])).text();
    expect(samples(text).get('tracelet_runs{destination="mlflow"}')).toBe(7);
    const idle = net.connect(Number(url?.[1]), "127.0.0.1").on("error", () => {});
    await once(idle, "connect");
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ code: 143 });
    await expect(fetch((url as RegExpExecArray)[0])).rejects.toThrow();
  });

  test("that is in use, or none, is a usage error", async () => {
    const server = net.createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const watch = Watch.create();
    const end = await watch.run({}, "runs", "--metrics-port", String(port));
    expect(end).toMatchObject({ code: 2, stderr: expect.stringContaining(`port ${port} is in use; give another`) });
    for (const wrong of ["-1", "65536", "http", "1.5", ""])
      expect([wrong, (await watch.run({}, "runs", `--metrics-port=${wrong}`)).code]).toEqual([wrong, 2]);
    expect(watch.read("log")).toBe("");
  });
});
