/** What a service that is no MLflow needs of the client: its own headers, its own judgement of an answer, its own waits. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import { type Access, basicLogin, FixedAccess } from "../../src/net/access.ts";
import { HttpClient } from "../../src/net/client.ts";
import { Refusal } from "../../src/net/refusal.ts";
import type { RetryNotice } from "../../src/net/retries.ts";
import type { Service } from "../../src/net/service.ts";
import { FaultServer, json } from "../sync/fault-server.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const FAILED = { kind: "failed", isBusy: false, isThrottled: false, isNotDone: false } as const;

/** A service whose errors are `{"meta": {"code": …, "message": …}}`. */
const TRACKER: Service = {
  title: "a tracker",
  hints: {
    login: "set TRACKER_KEY",
    address: "check the address",
    givenAddress: "TRACKER_URL",
    authority: "set TRACKER_CA",
    clientCertificate: "set TRACKER_CERT",
  },
  readError(body, text) {
    const meta = body?.["meta"] as { code?: string; message?: string } | undefined;
    return { code: meta?.code ?? "", said: meta?.message ?? text };
  },
  judge({ status, error }) {
    if (status === 509) return { ...FAILED, isBusy: true, isThrottled: true };
    if (status === 409 && error.code === "CONFLICT") return FAILED;
    if (status === 401 && error.code === "EXPIRED") return { ...FAILED, isNotDone: true };
    if (error.code === "PUBLISHED") return { kind: "refused", what: "has published the run", hint: "use another run" };
    return undefined;
  },
};

const error = (status: number, code: string, headers = {}) => ({
  ...json({ meta: { code, message: `it is ${code}` } }, status),
  headers,
});

const ACCESS = new FixedAccess({
  login: basicLogin("api", "a-secret-key"),
  headers: { "x-tracker-client": "tracelet" },
  tls: {},
  proxies: { "http:": undefined, "https:": undefined },
  noProxy: "",
  requestTimeoutMs: 10_000,
  secrets: ["a-secret-key"],
});

async function start(access: Access = ACCESS, retryWhen: "always" | "throttled" = "always") {
  const server = await FaultServer.start();
  const notices: RetryNotice[] = [];
  let now = 0;
  const timing = {
    monotonic: () => now,
    wall: () => now,
    random: () => 0,
    sleep: async (ms: number) => void (now += ms),
  };
  const onRetry = (notice: RetryNotice) => notices.push(notice);
  const client = new HttpClient({ service: TRACKER, base: server.url, access, timing, onRetry, retryWhen });
  open.push(server, client);
  return { server, client, notices };
}

const READ = { method: "GET", path: "/run", retryLostReply: true } as const;

async function failure(promise: Promise<unknown>): Promise<TraceletError> {
  const found = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(found).toBeInstanceOf(TraceletError);
  return found as TraceletError;
}

describe("a service's own judgement", () => {
  test("comes before HTTP's", async () => {
    const { server, client, notices } = await start();
    server.script(error(509, "FULL"), error(409, "CONFLICT"));
    expect(await client.request(READ)).toEqual({});
    expect(notices.map(({ reason }) => reason)).toEqual([
      "HTTP 509 FULL: it is FULL",
      "HTTP 409 CONFLICT: it is CONFLICT",
    ]);
  });

  test("may be that the server only wants less, which is waited for where other failures are told", async () => {
    const { server, client } = await start(ACCESS, "throttled");
    server.script(error(509, "FULL"));
    expect(await client.request(READ)).toEqual({});
    server.script(error(409, "CONFLICT"));
    expect((await failure(client.request(READ))).code).toBe("unreachable");
  });

  test("may be a refusal, in the service's words and with its hints", async () => {
    const { server, client } = await start();
    server.script(error(400, "PUBLISHED"), error(409, "OTHER"), error(401, "BAD"));
    const published = await failure(client.request(READ));
    expect(published).toMatchObject({ code: "rejected", hint: "use another run" });
    expect(published).toBeInstanceOf(Refusal);
    expect((published as Refusal).is("PUBLISHED")).toBe(true);
    expect(published.message).toBe(`${server.url} has published the run: HTTP 400 PUBLISHED: it is PUBLISHED`);
    expect(await failure(client.request(READ))).toMatchObject({ code: "rejected" });
    expect(await failure(client.request(READ))).toMatchObject({ code: "auth", hint: "set TRACKER_KEY" });
  });

  test("a page that is none of its answers is another server's", async () => {
    const { server, client } = await start();
    server.script({ status: 200, body: "<html>", headers: { "content-type": "text/html" } });
    const { message, hint } = await failure(client.request(READ));
    expect([message, hint]).toEqual([
      `${server.url} answers with a web page: this is not a tracker`,
      "check the address",
    ]);
  });
});

describe("headers", () => {
  test("are the login and what the service wants beside it", async () => {
    const { server, client } = await start();
    await client.request(READ);
    expect(server.requests[0]?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from("api:a-secret-key").toString("base64")}`,
      "x-tracker-client": "tracelet",
    });
  });

  test("are asked for at each attempt, so that a token that has run out is replaced", async () => {
    let token = 0;
    const renewed: Access = {
      ...ACCESS,
      kind: "bearer",
      requestTimeoutMs: 10_000,
      noProxy: "",
      headers: () => ({ authorization: `Bearer ${++token}` }),
      tlsOptions: () => ({}),
      proxy: () => undefined,
      scrub: (text) => text,
      withoutLogin: (kind) => ACCESS.withoutLogin(kind),
    };
    const { server, client } = await start(renewed);
    server.script(error(401, "EXPIRED"));
    await client.request({ ...READ, retryLostReply: false });
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer 1", "Bearer 2"]);
  });

  test("with the login do not go to an object store", async () => {
    const { client } = await start();
    const store = await FaultServer.start();
    open.push(store);
    await client.elsewhere(store.url, "storage").upload({ ...READ, method: "PUT", body: Buffer.from("x") });
    expect(store.requests[0]?.headers).not.toHaveProperty("authorization");
    expect(store.requests[0]?.headers).not.toHaveProperty("x-tracker-client");
  });
});

describe("the server names a wait", () => {
  test.each([
    ["Retry-After", { "retry-after": "7" }, 7000],
    ["RateLimit-Reset, where nothing remains", { "ratelimit-remaining": "0", "ratelimit-reset": "9" }, 9000],
    ["nothing where some remains", { "ratelimit-remaining": "12", "ratelimit-reset": "9" }, 0],
    [
      "Retry-After before RateLimit-Reset",
      { "retry-after": "7", "ratelimit-remaining": "0", "ratelimit-reset": "9" },
      7000,
    ],
    ["no more than five minutes", { "ratelimit-remaining": "0", "ratelimit-reset": "9999" }, 300_000],
    ["nothing that is no number", { "ratelimit-remaining": "0", "ratelimit-reset": "soon" }, 0],
  ])("by %s", async (_, headers, delayMs) => {
    const { server, client, notices } = await start();
    server.script(error(429, "SLOW", headers));
    await client.request(READ);
    expect(notices.map((notice) => notice.delayMs)).toEqual([delayMs]);
  });
});

test("the room of HTTP speaks of no tracker", () => {
  const room = path.resolve(import.meta.dirname, "../../src/net");
  for (const name of readdirSync(room)) {
    const text = readFileSync(path.join(room, name), "utf8");
    expect([name, /mlflow|wandb|clearml/i.exec(text)?.[0]]).toEqual([name, undefined]);
    const imports = [...text.matchAll(/from "(\.\.\/[^"]+)"/g)].map(([, from]) => from);
    expect([name, imports.filter((from) => from !== "../errors.ts" && from !== "../pause.ts")]).toEqual([name, []]);
  }
});
