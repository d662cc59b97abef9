import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { MLFLOW } from "../../src/backends/mlflow/service.ts";
import { TraceletError } from "../../src/errors.ts";
import { Secret } from "../../src/net/access.ts";
import { HttpClient } from "../../src/net/client.ts";
import { ReplyLost } from "../../src/net/refusal.ts";
import type { HttpRequest } from "../../src/net/request.ts";
import { type RetryNotice } from "../../src/net/retries.ts";
import { systemTiming } from "../../src/net/timing.ts";
import { type Answer, type Fault, FaultServer, html, json, refusal } from "./fault-server.ts";

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0);
const NO_HOME = "/nonexistent";
const READ: HttpRequest = { method: "GET", path: "/api/x", retryLostReply: true };
const CREATE: HttpRequest = { method: "POST", path: "/api/create", body: "{}", retryLostReply: false };

/** A clock that only sleeping moves. */
class FakeTiming {
  now = 0;
  readonly slept: number[] = [];
  /** Happens while the client sleeps. */
  meanwhile: () => Promise<void> | void = () => {};
  chance = 0.5;
  monotonic = (): number => this.now;
  wall = (): number => NOW + this.now;
  random = (): number => this.chance;
  sleep = async (ms: number): Promise<void> => {
    this.slept.push(ms);
    this.now += ms;
    await this.meanwhile();
  };
}

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function serve(...script: readonly (Fault | Answer)[]): Promise<FaultServer> {
  const server = (await FaultServer.start()).script(...script);
  open.push(server);
  return server;
}

interface ClientOptions {
  readonly env?: Record<string, string>;
  readonly giveUpAfterMs?: number;
  readonly retryWhen?: "always" | "throttled";
  readonly signal?: AbortSignal;
  readonly stopGraceMs?: number;
  readonly timing?: FakeTiming | typeof systemTiming;
}

function clientOf(base: string, { env = {}, timing = new FakeTiming(), ...options }: ClientOptions = {}) {
  const notices: RetryNotice[] = [];
  const access = readCredentials(undefined, env, NO_HOME);
  const onRetry = (notice: RetryNotice) => notices.push(notice);
  const client = new HttpClient({ service: MLFLOW, base, access, timing, onRetry, ...options });
  open.push(client);
  return { client, notices, timing: timing as FakeTiming };
}

/** The error that a promise ends in. */
async function failure(promise: Promise<unknown>): Promise<TraceletError> {
  const error = await promise.then(
    () => new Error("nothing was thrown"),
    (reason: unknown) => reason,
  );
  if (error instanceof TraceletError) return error;
  throw error;
}

const half: Fault = { kind: "half" };
const garbage: Fault = { kind: "garbage" };
const resetBefore: Fault = { kind: "reset-before" };
const resetAfter: Fault = { kind: "reset-after" };
const poolLimit = refusal(400, "BAD_REQUEST", "QueuePool limit of size 5 overflow 10 reached");

const RETRIED: readonly (readonly [string, Fault | Answer])[] = [
  ["a reset before", resetBefore],
  ["a reset after", resetAfter],
  ["half an answer", half],
  ["a garbled answer", garbage],
  ["an empty 200", { status: 200, body: "" }],
  ["a damaged 200", { status: 200, body: '{"run": {"in' }],
  ["408", html(408)],
  ["429", html(429)],
  ["500", refusal(500, "INTERNAL_ERROR", "x")],
  ["502", html(502)],
  ["503", html(503)],
  ["504", html(504)],
  ["no connection to the database", poolLimit],
];

describe("what is tried again", () => {
  test.each(RETRIED)("%s", async (_, fault) => {
    const server = await serve(fault, json({ ok: 1 }));
    const { client, notices } = clientOf(server.url);
    expect(await client.request(READ)).toEqual({ ok: 1 });
    expect(server.requests).toHaveLength(2);
    expect(client.retries).toBe(1);
    expect(notices).toEqual([{ reason: expect.stringMatching(/\w{3}/), delayMs: 250, attempt: 1 }]);
  });

  test.each([
    ["a refusal", refusal(400, "INVALID_PARAMETER_VALUE", "no"), /HTTP 400 INVALID_PARAMETER_VALUE: no$/],
    ["a missing thing", refusal(404, "RESOURCE_DOES_NOT_EXIST", "no run"), /HTTP 404/],
    ["FastAPI's refusal", json({ detail: [{ msg: "field required" }] }, 422), /HTTP 422.*field required/],
    ["a body that is too large", html(413), /HTTP 413/],
    ["a web page", html(200), /this is not an MLflow server/],
    ["a page that is not there", html(404), /HTTP 404: a web page/],
    ["JSON that is no object", json([1]), /this is not an MLflow server/],
    ["some text", { status: 200, body: "OK" }, /this is not an MLflow server/],
    ["compressed JSON", json({}, 200, { "content-encoding": "gzip" }), /compresses/],
    ["workspaces switched off", refusal(500, "FEATURE_DISABLED", "no workspaces"), /no workspaces/],
  ] as const)("but not %s", async (_, answer, message) => {
    const server = await serve(answer.body === "{}" ? { ...answer, body: "\x1f\x8b" } : answer);
    const error = await failure(clientOf(server.url).client.request(READ));
    expect(error).toMatchObject({ code: "rejected", message: expect.stringMatching(message) });
    expect(server.requests).toHaveLength(1);
  });

  test("a server that is not there yet", async () => {
    const gone = await FaultServer.start();
    const { url, port } = gone;
    await gone.close();
    const { client, timing, notices } = clientOf(url);
    timing.meanwhile = async () => {
      if (timing.slept.length === 2) open.push(await FaultServer.start(() => json({ up: 1 }), port));
    };
    expect(await client.request(CREATE)).toEqual({ up: 1 });
    expect(notices.map(({ reason }) => reason)).toEqual(Array(2).fill(`connect ECONNREFUSED 127.0.0.1:${port}`));
  });
});

describe("pauses", () => {
  test("double up to 30 s, each a random part of that", async () => {
    const server = await serve(...Array<Answer>(9).fill(html(502)));
    const { client, timing } = clientOf(server.url);
    timing.chance = 0.999_999;
    await client.request(READ);
    expect(timing.slept.map(Math.round)).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  });

  test.each([
    ["7", 7000],
    ["0", 250],
    ["999999", 300_000],
    ["Sat, 21 Nov 2026 12:00:09 GMT", 9000],
    ["Saturday, 21-Nov-26 12:00:09 GMT", 250],
    ["Sat, 21 Nov 2026 11:00:00 GMT", 250],
    ["Sat, 21 Nov 2099 11:00:00 GMT", 300_000],
    ["-5", 250],
    ["1.5", 250],
    ["soon", 250],
    ["", 250],
  ])("after Retry-After: %s", async (value, ms) => {
    const server = await serve(html(429, { "retry-after": value }));
    const { client, timing } = clientOf(server.url);
    await client.request(READ);
    expect(timing.slept).toEqual([ms]);
  });
});

describe("giving up", () => {
  const down = Array<Answer>(999).fill(html(502));

  test("after the time given, with the last reason", async () => {
    const server = await serve(...down);
    const { client, timing, notices } = clientOf(server.url, { giveUpAfterMs: 60_000 });
    const error = await failure(client.request(READ));
    expect(error.code).toBe("unreachable");
    expect(error.message).toBe(
      `no useful answer from ${server.url} for 60 s, ${notices.length + 1} attempts: HTTP 502: a web page`,
    );
    expect(timing.now).toBe(60_000);
  });

  test("a long wait that the server asks for ends with the time given", async () => {
    const server = await serve(...Array<Answer>(9).fill(html(503, { "retry-after": "300" })));
    const { client, timing } = clientOf(server.url, { giveUpAfterMs: 10_000 });
    expect(await failure(client.request(READ))).toMatchObject({ code: "unreachable" });
    expect(timing.slept).toEqual([10_000]);
  });

  test("time without requests does not count", async () => {
    const server = await serve(json({}), html(502));
    const { client, timing } = clientOf(server.url, { giveUpAfterMs: 60_000 });
    await client.request(READ);
    timing.now += 3_600_000;
    expect(await client.request(READ)).toEqual({});
  });

  test("not while the server is only busy and others get through", async () => {
    let refusals = 5;
    const server = await FaultServer.start(({ target }) =>
      target === "/busy" && refusals-- > 0 ? html(429, { "retry-after": "40" }) : json({}),
    );
    open.push(server);
    const { client, timing } = clientOf(server.url, { giveUpAfterMs: 60_000 });
    timing.meanwhile = async () => void (await client.request(READ));
    expect(await client.request({ ...READ, path: "/busy" })).toEqual({});
    expect(timing.now).toBe(200_000);
  });

  test("when one request fails all the time, although others get through", async () => {
    const server = await FaultServer.start(({ target }) => (target === "/bad" ? html(500) : json({})));
    open.push(server);
    const { client, timing } = clientOf(server.url, { giveUpAfterMs: 60_000 });
    timing.meanwhile = async () => void (await client.request(READ));
    expect(await failure(client.request({ ...READ, path: "/bad" }))).toMatchObject({ code: "unreachable" });
    expect(timing.now).toBe(60_000);
  });
});

describe("a request that must not be carried out twice", () => {
  test.each(RETRIED.filter(([name]) => !["429", "no connection to the database"].includes(name)))(
    "is not sent again after %s",
    async (_, fault) => {
      const server = await serve(fault);
      const { client, timing } = clientOf(server.url);
      await expect(client.request(CREATE)).rejects.toBeInstanceOf(ReplyLost);
      expect(server.requests).toHaveLength(1);
      expect(timing.slept).toEqual([250]);
    },
  );

  test.each([
    ["429", html(429)],
    ["503 with a time", html(503, { "retry-after": "1" })],
    ["no connection to the database", poolLimit],
  ])("is sent again after %s", async (_, answer) => {
    const server = await serve(answer, json({ made: 1 }));
    expect(await clientOf(server.url).client.request(CREATE)).toEqual({ made: 1 });
    expect(server.requests).toHaveLength(2);
  });

  test("pauses grow from one lost reply to the next", async () => {
    const server = await serve(resetAfter, html(500), html(504), json({}), resetAfter);
    const { client, timing } = clientOf(server.url);
    for (let i = 0; i < 5; i++) await client.request(CREATE).catch(() => {});
    expect(timing.slept).toEqual([250, 500, 1000, 250]);
  });
});

describe("for one that looks again itself", () => {
  test.each(RETRIED.filter(([name]) => name !== "429"))("%s is told at once", async (_, fault) => {
    const server = await serve(fault, json({ ok: 1 }));
    const { client, timing } = clientOf(server.url, { retryWhen: "throttled" });
    const error = await failure(client.request(READ));
    expect(error).toMatchObject({ code: "unreachable", retryAfterMs: undefined });
    expect(error.message).toContain(`no useful answer from ${server.url}: `);
    expect(server.requests).toHaveLength(1);
    expect(timing.slept).toEqual([]);
    expect(await client.request(READ)).toEqual({ ok: 1 });
  });

  test("so is a server that is not there, also where a request must not be carried out twice", async () => {
    const gone = await FaultServer.start();
    const { url } = gone;
    await gone.close();
    for (const request of [READ, CREATE]) {
      const { client, timing } = clientOf(url, { retryWhen: "throttled" });
      expect((await failure(client.request(request))).message).toContain("ECONNREFUSED");
      expect(timing.slept).toEqual([]);
    }
  });

  test("with the time that the server names", async () => {
    const server = await serve(html(503, { "retry-after": "40" }), html(503, { "retry-after": "soon" }));
    const { client } = clientOf(server.url, { retryWhen: "throttled" });
    expect(await failure(client.request(READ))).toMatchObject({ code: "unreachable", retryAfterMs: 40_000 });
    expect(await failure(client.request(READ))).toMatchObject({ code: "unreachable", retryAfterMs: undefined });
  });

  test("429 is waited for, and given up in the end", async () => {
    const server = await serve(html(429, { "retry-after": "7" }), json({ ok: 1 }), ...Array<Answer>(9).fill(html(429)));
    const { client, timing } = clientOf(server.url, { retryWhen: "throttled", giveUpAfterMs: 1000 });
    expect(await client.request(READ)).toEqual({ ok: 1 });
    expect(timing.slept).toEqual([1000]);
    timing.now += 60_000;
    expect(await failure(client.request(READ))).toMatchObject({ code: "unreachable" });
  });

  test("a reply that is lost is one, whose request may have been carried out", async () => {
    const server = await serve(resetAfter, json({ made: 1 }));
    const { client, timing } = clientOf(server.url, { retryWhen: "throttled" });
    await expect(client.request(CREATE)).rejects.toBeInstanceOf(ReplyLost);
    expect(timing.slept).toEqual([250]);
    expect(await client.request(CREATE)).toEqual({ made: 1 });
  });

  test("an upload is not begun again, its source closed; nor is one at another address", async () => {
    const server = await serve(html(502), resetBefore, html(429), { status: 200, body: "" });
    const { client } = clientOf(server.url, { retryWhen: "throttled" });
    let opened = 0;
    let closed = 0;
    const body = {
      size: 1,
      open: async () => {
        opened++;
        return {
          async *[Symbol.asyncIterator]() {
            yield new Uint8Array(1);
          },
          close: async () => void closed++,
        };
      },
    };
    const upload: HttpRequest = { method: "PUT", path: "/file", body, retryLostReply: true };
    expect(await failure(client.upload(upload))).toMatchObject({ code: "unreachable" });
    expect(await failure(client.elsewhere(server.url, "storage").upload(upload))).toMatchObject({
      code: "unreachable",
    });
    expect([server.requests.length, opened, closed]).toEqual([2, 2, 2]);
    await client.upload(upload);
    expect([server.requests.length, opened, closed]).toEqual([4, 4, 4]);
  });
});

describe("redirects are not followed", () => {
  test.each([301, 302, 303, 307, 308])("%d", async (status) => {
    const other = await serve();
    const server = await serve(html(status, { location: `${other.url}/new/api/create?token=t` }));
    const { client } = clientOf(server.url, { env: { MLFLOW_TRACKING_TOKEN: "CANARY" } });
    const error = await failure(client.request(CREATE));
    expect(error).toMatchObject({ code: "rejected", hint: `give ${other.url}/new as the tracking URI` });
    expect(error.message).toContain(`to ${other.url};`);
    expect(other.requests).toHaveLength(0);
  });

  test.each([
    ["https://u:CANARY@login.example/?next=CANARY", "to https://login.example;"],
    ["::", ""],
    ["", ""],
  ])("to %s", async (location, named) => {
    const server = await serve(html(302, { location }));
    const error = await failure(clientOf(server.url).client.request(READ));
    expect(error.message).toContain(named);
    expect(error.message + error.hint).not.toContain("CANARY");
  });
});

describe("limits", () => {
  test("an answer of more than 32 MiB is not read to its end", async () => {
    const server = await serve({ kind: "flood", bytes: 2 ** 31 });
    const error = await failure(clientOf(server.url).client.request(READ));
    expect(error).toMatchObject({ code: "rejected", message: expect.stringContaining("32 MiB") });
  });

  test("silence and an answer that trickles end at the time limit", async () => {
    const server = await serve({ kind: "silence" }, { kind: "trickle", everyMs: 100 }, json({ ok: 1 }));
    const { client, notices } = clientOf(server.url, { env: { MLFLOW_HTTP_REQUEST_TIMEOUT: "1" } });
    expect(await client.request(READ)).toEqual({ ok: 1 });
    expect(notices.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/Headers Timeout|takes too long/),
      "the answer takes too long",
    ]);
  });

  test("what a server says is cut, and cannot write to the terminal", async () => {
    const server = await serve(refusal(400, "BAD\u001b[31m", `a\u001b[2J\r\n\u202eb${"x".repeat(9999)}`));
    const { message } = await failure(clientOf(server.url).client.request(READ));
    expect(message).toMatch(/BAD \[31m: a \[2J bx{20}/);
    expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(message.length).toBeLessThan(700);
  });
});

test("what a database says is shown without the statement and its parameters", async () => {
  const said = [
    "(psycopg2.errors.StringDataRightTruncation) value too long for type character varying(250)",
    "",
    "[SQL: INSERT INTO runs (run_uuid, name) VALUES (%(run_uuid)s, %(name)s)]",
    "[parameters: {'name': 'xxx'}]",
    "(Background on this error at: https://sqlalche.me/e/20/9h9h)",
  ];
  const server = await serve(refusal(400, "BAD_REQUEST", said.join("\n")));
  const { message } = await failure(clientOf(server.url).client.request(READ));
  expect(message).toMatch(
    /: HTTP 400 BAD_REQUEST: \(psycopg2\.\w+\.\w+\) value too long for type character varying\(250\)$/,
  );
});

describe("JSON that is made to break what reads it", () => {
  const deep = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`;

  test.each([200, 400, 500])("nested a million deep, with HTTP %d", async (status) => {
    const server = await serve({ status, headers: { "content-type": "application/json" }, body: `{"detail":${deep}}` });
    const { client } = clientOf(server.url, { giveUpAfterMs: 0 });
    const outcome = await client.request(READ).catch((error: unknown) => error);
    if (status !== 200) expect(outcome).toBeInstanceOf(TraceletError);
  });

  test("names that objects have of themselves", async () => {
    const body =
      '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, "error_code": "toString"}';
    const server = await serve({ status: 200, body }, { status: 400, body });
    const { client } = clientOf(server.url);
    expect(Object.keys(await client.request(READ))).toEqual(["__proto__", "constructor", "error_code"]);
    await failure(client.request(READ));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("cookies are not kept", async () => {
    const server = await serve({ status: 200, headers: { "set-cookie": "session=1; Path=/" }, body: "{}" }, json({}));
    const { client } = clientOf(server.url);
    await client.request(READ);
    await client.request(READ);
    expect(server.requests.map(({ headers }) => headers.cookie)).toEqual([undefined, undefined]);
  });
});

describe("abort", () => {
  test("lets a request that is under way end", async () => {
    let answer = () => {};
    const server = await FaultServer.start(async () => {
      await new Promise<void>((resolve) => (answer = resolve));
      return json({ done: 1 });
    });
    open.push(server);
    const abort = new AbortController();
    const { client } = clientOf(server.url, { signal: abort.signal });
    const pending = client.request(READ);
    while (server.requests.length === 0) await new Promise(setImmediate);
    abort.abort();
    answer();
    await expect(pending).resolves.toEqual({ done: 1 });
  });

  test("ends a request that is under way and goes on for too long", async () => {
    const server = await serve({ kind: "silence" });
    const abort = new AbortController();
    const { client } = clientOf(server.url, { signal: abort.signal, stopGraceMs: 0 });
    const pending = client.request(READ);
    while (server.requests.length === 0) await new Promise(setImmediate);
    const reason = new Error("stop");
    abort.abort(reason);
    await expect(pending).rejects.toBe(reason);
    while (server.ended === 0) await new Promise(setImmediate);
    await expect(client.request(READ)).rejects.toBe(reason);
    expect(server.requests).toHaveLength(1);
  });

  test("ends a pause", async () => {
    const server = await serve(html(503, { "retry-after": "60" }));
    const abort = new AbortController();
    const { client } = clientOf(server.url, { signal: abort.signal, timing: systemTiming });
    const pending = client.request(READ);
    setTimeout(() => abort.abort(), 20);
    const error: unknown = await pending.catch((reason: unknown) => reason);
    expect(error).toBe(abort.signal.reason);
  });
});

describe("who asks", () => {
  const bothLogins = {
    MLFLOW_TRACKING_USERNAME: "me",
    MLFLOW_TRACKING_PASSWORD: "pä",
    MLFLOW_TRACKING_TOKEN: "tok",
    MLFLOW_WORKSPACE: " team ",
  };

  test("headers", async () => {
    const server = await serve();
    await clientOf(server.url, { env: bothLogins }).client.request({ ...CREATE, query: { a: "b c&" } });
    const { headers, target } = server.requests[0] ?? {};
    expect(target).toBe("/api/create?a=b+c%26");
    expect(headers).toMatchObject({
      authorization: `Basic ${Buffer.from("me:pä").toString("base64")}`,
      "x-mlflow-workspace": "team",
      "content-type": "application/json",
    });
    expect(headers).not.toHaveProperty("accept-encoding");
  });

  test("the precedence of MLflow's client", () => {
    const home = mkdtempSync(join(tmpdir(), "tracelet-home-"));
    onTestFinished(() => rmSync(home, { recursive: true }));
    mkdirSync(join(home, ".mlflow"));
    const lines =
      "# mine\n[other]\nmlflow_tracking_password = no\n[mlflow]\nMLFLOW_TRACKING_USERNAME: file\nmlflow_tracking_password=p%%=1\n";
    writeFileSync(join(home, ".mlflow", "credentials"), lines);
    const sent = (env: Record<string, string>, login?: { username: Secret; password: Secret }) => {
      const [kind, value] = (readCredentials(login, env, home).headers()["authorization"] ?? "").split(" ");
      return kind === "Basic" ? Buffer.from(value ?? "", "base64").toString() : value;
    };
    expect(sent({})).toBe("file:p%=1");
    expect(sent({ MLFLOW_TRACKING_USERNAME: "env", MLFLOW_TRACKING_TOKEN: "tok" })).toBe("env:p%=1");
    expect(sent(bothLogins, { username: new Secret("u"), password: new Secret("") })).toBe("u:");
    expect(readCredentials(undefined, { MLFLOW_TRACKING_TOKEN: "tok\n" }, NO_HOME).headers()).toEqual({
      authorization: "Bearer tok",
    });
  });

  test.each([
    [{ MLFLOW_TRACKING_INSECURE_TLS: "yes" }, "usage"],
    [{ MLFLOW_TRACKING_INSECURE_TLS: "1", MLFLOW_TRACKING_SERVER_CERT_PATH: "/x" }, "usage"],
    [{ MLFLOW_TRACKING_SERVER_CERT_PATH: "/nonexistent" }, "usage"],
    [{ MLFLOW_TRACKING_CLIENT_CERT_PATH: "package.json" }, "usage"],
    [{ MLFLOW_HTTP_REQUEST_TIMEOUT: "0" }, "usage"],
    [{ MLFLOW_TRACKING_TOKEN: "CANARY\r\nx: y" }, "usage"],
    [{ MLFLOW_TRACKING_AWS_SIGV4: "true" }, "unsupported"],
    [{ MLFLOW_TRACKING_AUTH: "kubernetes" }, "unsupported"],
  ])("%j is refused", async (env, code) => {
    const error = await failure(Promise.resolve().then(() => readCredentials(undefined, env, NO_HOME)));
    expect(error.code).toBe(code);
    expect(inspect(error)).not.toContain("CANARY");
  });

  test("what weakens or wastes a setting is warned of", () => {
    const warnings = (env: Record<string, string>) => readCredentials(undefined, env, NO_HOME).warnings;
    expect(warnings({ MLFLOW_TRACKING_INSECURE_TLS: "True" })).toEqual([expect.stringContaining("INSECURE_TLS")]);
    expect(warnings({ MLFLOW_TRACKING_USERNAME: "me" })).toEqual([expect.stringContaining("PASSWORD")]);
    expect(warnings({ ...bothLogins, MLFLOW_TRACKING_INSECURE_TLS: "false" })).toEqual([]);
  });

  test.each([401, 403])("%d names the variables to set", async (status) => {
    const server = await serve({ status, body: "You are not authenticated." });
    const error = await failure(clientOf(server.url).client.request(READ));
    expect(error).toMatchObject({ code: "auth", hint: expect.stringContaining("MLFLOW_TRACKING_TOKEN") });
    expect(error.message).toContain("no credentials were sent");
  });

  test("a name that the server does not go by is no matter of credentials", async () => {
    const server = await serve({ status: 403, body: "Invalid Host header - possible DNS rebinding attack detected" });
    const error = await failure(clientOf(server.url).client.request(READ));
    expect(error).toMatchObject({ code: "rejected", hint: expect.stringContaining(`--allowed-hosts 127.0.0.1`) });
  });
});

describe("a proxy", () => {
  const proxied = (proxy: FaultServer, more = {}) => ({
    env: { HTTP_PROXY: proxy.url.replace("//", "//u:CANARY@"), ...more },
  });

  test("is asked in plain, with its own login", async () => {
    const proxy = await serve(json({ by: "proxy" }));
    const { client } = clientOf("http://mlflow.example:5000", proxied(proxy));
    expect(await client.request(READ)).toEqual({ by: "proxy" });
    expect(proxy.requests[0]?.target).toBe("http://mlflow.example:5000/api/x");
    expect(proxy.requests[0]?.headers["proxy-authorization"]).toBe(`Basic ${btoa("u:CANARY")}`);
  });

  test("may be given without its scheme", async () => {
    const proxy = await serve(json({ by: "proxy" }));
    const { client } = clientOf("http://mlflow.example", { env: { http_proxy: `127.0.0.1:${proxy.port}` } });
    expect(await client.request(READ)).toEqual({ by: "proxy" });
  });

  test("is not asked for hosts in NO_PROXY", async () => {
    const proxy = await serve();
    const server = await serve(json({ by: "server" }));
    const { client } = clientOf(server.url, proxied(proxy, { NO_PROXY: "localhost,127.0.0.1" }));
    expect(await client.request(READ)).toEqual({ by: "server" });
  });

  test("that wants a login says so", async () => {
    const proxy = await serve(html(407));
    const error = await failure(clientOf("http://mlflow.example", proxied(proxy)).client.request(READ));
    expect(error).toMatchObject({ code: "auth", message: expect.stringContaining("proxy") });
    expect(inspect(error)).not.toContain("CANARY");
  });

  test("whose address is none is refused without repeating it", async () => {
    const made = Promise.resolve().then(() => clientOf("http://h", { env: { HTTP_PROXY: "http://u:CANARY@:x" } }));
    const error = await failure(made);
    expect(error.code).toBe("usage");
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("CANARY");
  });
});

test("no error, and no object, shows a credential that a server repeats", async () => {
  const env = {
    MLFLOW_TRACKING_USERNAME: "me",
    MLFLOW_TRACKING_PASSWORD: "CANARY /1",
    MLFLOW_TRACKING_TOKEN: "CANARY2",
  };
  const header = Buffer.from("me:CANARY /1").toString("base64");
  const echo = `you sent CANARY /1, CANARY%20%2F1, ${header} and CANARY2`;
  for (const fault of [
    refusal(400, echo, echo),
    { status: 401, body: echo },
    { status: 403, body: echo },
    refusal(500, "INTERNAL_ERROR", echo),
    html(302, { location: `https://CANARY2.example/${encodeURIComponent("CANARY /1")}/api/x` }),
    resetAfter,
    garbage,
  ]) {
    const server = await serve(...Array<Fault | Answer>(3).fill(fault));
    const { client, notices } = clientOf(server.url, { env, giveUpAfterMs: 300 });
    const error = await failure(client.request(READ));
    const access = readCredentials(undefined, env, NO_HOME);
    const shown = [error, client, access, notices].map((each) => inspect(each, { depth: 20, showHidden: true }));
    const all = [...shown, JSON.stringify([error, client, access]), error.stack, error.hint, `${error}`].join("\n");
    expect(all).not.toMatch(/canary/i);
    expect(all).not.toContain(header);
  }
});

test("frequent requests move to the kind of connection that answers faster", async () => {
  let slow = "kept";
  // By a clock that only answers move: how busy the machine is does not count.
  let now = 0;
  const server = await FaultServer.start(({ nthOfConnection }) => {
    now += nthOfConnection > 1 === (slow === "kept") ? 25 : 1;
    return json({});
  });
  open.push(server);
  const { client } = clientOf(server.url, {
    timing: { ...systemTiming, monotonic: () => now, random: () => 0.5 },
  });
  const kinds = async () => {
    server.requests.length = 0;
    for (let i = 0; i < 24; i++) await client.request({ ...READ, frequent: true });
    return server.requests.slice(12).filter(({ nthOfConnection }) => nthOfConnection > 1).length;
  };
  expect(await kinds()).toBe(0);
  slow = "fresh";
  expect(await kinds()).toBe(12);
});
