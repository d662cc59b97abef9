/** Each fault does what its name says, seen from a client that knows nothing of it and from the server behind. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import os from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { Client } from "undici";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventFile, scalarEvent, versionEvent } from "../support/event-writer.ts";
import type { Fault } from "../support/faults.ts";
import { FaultServer, json } from "../sync/fault-server.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { tracelet } from "./support/tracelet.ts";

const BODY = JSON.stringify({ text: "x".repeat(1000) });
const PATH = "/api/2.0/mlflow/runs/log-batch";

let server: FaultServer;
let proxy: FaultProxy;

beforeAll(async () => {
  server = await FaultServer.start(() => ({ ...json({}), body: BODY }));
  proxy = await FaultProxy.start(server.port);
});

afterEach(() => {
  proxy.reset();
  server.requests.length = 0;
});

afterAll(async () => {
  await proxy?.stop();
  await server?.close();
});

interface Seen {
  readonly status: number;
  readonly headers: { readonly [name: string]: unknown };
  readonly bytes: Buffer;
  /** What ended it before its end. */
  readonly error: string | undefined;
}

/** One request on a connection of its own. */
async function ask(timeoutMs = 10_000): Promise<Seen> {
  const client = new Client(proxy.uri);
  const chunks: Buffer[] = [];
  let seen: Omit<Seen, "bytes"> = { status: 0, headers: {}, error: undefined };
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { statusCode, headers, body } = await client.request({
      method: "POST",
      path: `${PATH}?a=b`,
      body: "{}",
      signal,
    });
    seen = { ...seen, status: statusCode, headers };
    for await (const chunk of body) chunks.push(chunk as Buffer);
  } catch (error) {
    const { code, name, message } = error as NodeJS.ErrnoException;
    seen = { ...seen, error: `${name} ${code} ${message}` };
  } finally {
    await client.destroy();
  }
  return { ...seen, bytes: Buffer.concat(chunks) };
}

/** What arrives on the wire, headers and all. */
async function askRaw(): Promise<string> {
  const { port } = new URL(proxy.uri);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(`POST ${PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}`);
  let text = "";
  try {
    for await (const chunk of socket) text += String(chunk);
  } catch (error) {
    text += `[${(error as NodeJS.ErrnoException).code}]`;
  }
  return text;
}

async function askWith(fault: Fault, timeoutMs?: number): Promise<Seen> {
  proxy.inject({ fault });
  const seen = await ask(timeoutMs);
  expect(proxy.faults).toBe(1);
  return seen;
}

const reached = () => server.requests.length;
const WHOLE = { status: 200, error: undefined, bytes: Buffer.from(BODY) };

test("without a fault it is not there", async () => {
  expect(await ask()).toMatchObject(WHOLE);
  expect(server.requests).toMatchObject([{ method: "POST", target: `${PATH}?a=b`, body: "{}" }]);
  expect(proxy.faults).toBe(0);
  expect(proxy.requests).toEqual([{ at: expect.any(Number), method: "POST", path: PATH, fault: undefined }]);
  expect(Math.abs(Date.now() - (proxy.requests[0]?.at ?? 0))).toBeLessThan(10_000);
});

test("delay: on the way there and on the way back", async () => {
  proxy.inject({ fault: { kind: "delay", beforeMs: 300 }, times: 1 }, { fault: { kind: "delay", afterMs: 300 } });
  for (const expected of [0, 2]) {
    const start = performance.now();
    const answer = ask();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(reached()).toBe(expected);
    expect(await answer).toMatchObject(WHOLE);
    expect(performance.now() - start).toBeGreaterThan(295);
  }
  expect([...proxy.fired]).toEqual([["delay", 2]]);
});

test.each([
  ["reset-before", 0, "ECONNRESET", 0],
  ["reset-after", 1, "ECONNRESET", 0],
  ["reset-middle", 1, "ECONNRESET", 506],
  ["half", 1, "UND_ERR_SOCKET", 506],
  ["truncated-chunks", 1, "UND_ERR_SOCKET", 519],
  ["garbage", 1, "HTTPParserError", 0],
] as const)("%s", async (kind, carriedOut, error, bytes) => {
  const seen = await askWith({ kind });
  expect([reached(), seen.error, seen.bytes.length]).toEqual([carriedOut, expect.stringContaining(error), bytes]);
  proxy.calm();
  expect(await ask()).toMatchObject(WHOLE);
});

test("on the wire: how the answer is cut", async () => {
  const wire = async (kind: "half" | "truncated-chunks" | "reset-middle" | "garbage") => {
    proxy.reset();
    proxy.inject({ fault: { kind } });
    return askRaw();
  };
  expect(await wire("half")).toMatch(/^HTTP\/1.1 200 .*content-length: 1012\r\n.*\r\n\r\n\{"text":"x{497}$/is);
  expect(await wire("truncated-chunks")).toMatch(
    /chunked\r\n.*\r\n\r\n1fa\r\n\{"text":"x{497}\r\n400\r\nof 1024 bytes$/is,
  );
  expect(await wire("reset-middle")).toMatch(/content-length: 1012\r\n.*x{497}\[ECONNRESET\]$/is);
  expect(await wire("garbage")).not.toMatch(/^HTTP/);
});

test.each([
  ["black-hole", 0],
  ["silence", 1],
] as const)("%s: no answer, and the connection stays", async (kind, carriedOut) => {
  expect((await askWith({ kind }, 400)).error).toContain("TimeoutError");
  expect(reached()).toBe(carriedOut);
});

test("slow: the whole answer, a byte at a time; trickle: never the whole", async () => {
  const start = performance.now();
  expect(await askWith({ kind: "slow", everyMs: 1 })).toMatchObject(WHOLE);
  expect(performance.now() - start).toBeGreaterThan(BODY.length);
  proxy.reset();
  const seen = await askWith({ kind: "trickle", everyMs: 20 }, 500);
  expect(seen.error).toContain("TimeoutError");
  expect(seen.bytes.length).toBeGreaterThan(3);
});

test("a gzip bomb and a flood", async () => {
  const bomb = await askWith({ kind: "gzip-bomb", mebibytes: 50 });
  expect(bomb.headers["content-encoding"]).toBe("gzip");
  expect(bomb.bytes.length).toBeLessThan(100_000);
  expect(gunzipSync(bomb.bytes).length).toBe(50 * 1024 * 1024);
  proxy.reset();
  expect((await askWith({ kind: "flood", bytes: 10_000_000 })).bytes.length).toBeGreaterThanOrEqual(10_000_000);
});

test.each<[{ status: number; headers?: { [name: string]: string }; carriedOut?: boolean }]>([
  [{ status: 429, headers: { "retry-after": "2" } }],
  [{ status: 429, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } }],
  [{ status: 500 }],
  [{ status: 502, carriedOut: true }],
  [{ status: 503 }],
  [{ status: 504, carriedOut: true }],
  [{ status: 401 }],
  [{ status: 403 }],
])("an answer of its own: %o", async ({ status, headers = {}, carriedOut = false }) => {
  const seen = await askWith({ kind: "answer", answer: { status, headers, body: "no" }, carriedOut });
  expect(seen).toMatchObject({ status, headers, error: undefined, bytes: Buffer.from("no") });
  expect(reached()).toBe(Number(carriedOut));
  expect([...proxy.fired.keys()]).toEqual([`answer ${status}${carriedOut ? ", carried out" : ""}`]);
});

test("nobody listens for a while", async () => {
  await proxy.disconnect();
  expect((await ask()).error).toContain("ECONNREFUSED");
  await proxy.reconnect();
  expect(await ask()).toMatchObject(WHOLE);
  expect(reached()).toBe(1);
});

test("a server that is away is told apart from a fault", async () => {
  const gone = await FaultServer.start();
  const between = await FaultProxy.start(gone.port);
  await gone.close();
  await expect(fetch(between.uri)).rejects.toThrow();
  expect([between.unanswered, between.faults]).toEqual([1, 0]);
  await between.stop();
});

test("a rule for what the body holds", async () => {
  const fault: Fault = { kind: "answer", answer: { status: 400, body: "" } };
  proxy.inject({ fault, body: /poison/, times: 1 }, { fault, body: /^\{\}$/, requests: /^GET / });
  expect(await ask()).toMatchObject(WHOLE);
  const send = async (body: string) => (await fetch(proxy.uri, { method: "POST", body })).status;
  expect([await send("the poison in it"), await send("the poison in it")]).toEqual([400, 200]);
});

test("rules: which requests, which of them, how often, with which probability", async () => {
  const status = (code: number): Fault => ({ kind: "answer", answer: { status: code, body: "" } });
  const statuses = async (times: number) => {
    const seen: number[] = [];
    for (let i = 0; i < times; i++) seen.push((await ask()).status);
    return seen;
  };
  proxy.inject(
    { fault: status(500), requests: /^GET / },
    { fault: status(501), requests: /log-batch$/, nth: (n) => n % 3 === 1, times: 2 },
    { fault: status(502), nth: (n) => n >= 4 },
  );
  expect(await statuses(7)).toEqual([501, 200, 200, 501, 502, 502, 502]);
  const shares = await Promise.all(
    [1, 1, 2].map(async (seed) => {
      const seeded = await FaultProxy.start(server.port, seed);
      seeded.inject({ fault: status(503), probability: 0.3 });
      const seen: number[] = [];
      for (let i = 0; i < 200; i++) seen.push((await fetch(seeded.uri)).status);
      await seeded.stop();
      return seen.map((code) => (code === 503 ? "!" : ".")).join("");
    }),
  );
  expect(shares[0]).toBe(shares[1]);
  expect(shares[0]).not.toBe(shares[2]);
  expect(shares[0]?.replaceAll(".", "").length).toBeGreaterThan(40);
  expect(shares[0]?.replaceAll(".", "").length).toBeLessThan(80);
});

test.each([301, 302, 307, 308])("a redirect (%i) to another host: tracelet asks nothing there", async (status) => {
  const workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-redirect-"));
  const other = await FaultServer.start(() => json({}));
  try {
    writeFileSync(path.join(workspace, "events.out.tfevents.1.x"), eventFile(versionEvent(), scalarEvent("a", 1, 1)));
    const location = `http://localhost:${other.port}${PATH}`;
    proxy.inject({ fault: { kind: "answer", answer: { status, headers: { location }, body: "" } } });
    // The redirect leads there: a client that follows it does arrive.
    await fetch(proxy.uri);
    expect(other.requests).toHaveLength(1);
    proxy.requests.length = 0;
    const args = [workspace, "--tracking-uri", proxy.uri, "--state-dir", path.join(workspace, "state")];
    const ended = await tracelet(["sync", ...args], { env: { MLFLOW_TRACKING_TOKEN: "canary" } });
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toContain(`redirects (HTTP ${status})`);
    expect(proxy.requests.length).toBeGreaterThan(0);
    expect(other.requests).toHaveLength(1);
  } finally {
    await other.close();
    rmSync(workspace, { recursive: true, force: true });
  }
});
