/** Artifacts that go through an MLflow server: what is asked of it, and what faults do. */
import { randomBytes } from "node:crypto";
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { ArtifactStore } from "../../../src/backends/artifacts/artifact.ts";
import { openArtifactStore } from "../../../src/backends/mlflow/artifact-stores/open.ts";
import { readCredentials } from "../../../src/backends/mlflow/credentials.ts";
import { MLFLOW } from "../../../src/backends/mlflow/service.ts";
import { TraceletError } from "../../../src/errors.ts";
import { HttpClient } from "../../../src/net/client.ts";
import { systemTiming } from "../../../src/net/timing.ts";
import { localFile } from "../../support/local-file.ts";
import { temporaryDirectory } from "../../support/logdirs.ts";
import { type Answer, type Fault, FaultServer, type Handler, html, json, refusal } from "../fault-server.ts";

const folder = temporaryDirectory();
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const DONE: Answer = { status: 200, body: "" };
const PROXIED = "mlflow-artifacts:/1/abc/artifacts";
const PUT_PATH = "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts";
const bytes = (text: string) => new TextEncoder().encode(text);
const fileAnswer = (body: string, type = "text/plain"): Answer => ({
  status: 200,
  headers: { "content-type": type, "content-length": String(Buffer.byteLength(body)) },
  body,
});

interface Options {
  readonly env?: Record<string, string>;
  readonly artifactUri?: string;
  readonly prefix?: string;
  readonly giveUpAfterMs?: number;
}

function clientOf(base: string, { env = {}, giveUpAfterMs }: Options = {}): HttpClient {
  const access = readCredentials(undefined, env, "/nonexistent");
  const timing = { ...systemTiming, sleep: async () => {} };
  const client = new HttpClient({ service: MLFLOW, base, access, timing, giveUpAfterMs });
  open.push(client);
  return client;
}

async function start(handler: Handler = () => DONE, options: Options = {}) {
  const server = await FaultServer.start(handler);
  open.push(server);
  const http = clientOf(server.url + (options.prefix ?? ""), options);
  const store = await openArtifactStore({
    artifactUri: options.artifactUri ?? PROXIED,
    tracking: { kind: "server", http, runId: "abc" },
  });
  return { server, http, store };
}

function sourceFile(content: Uint8Array): string {
  const file = path.join(folder, `${randomBytes(8).toString("hex")} ü.bin`);
  writeFileSync(file, content);
  return file;
}

async function failure(promise: Promise<unknown>): Promise<TraceletError> {
  const error = await promise.then(
    () => new Error("nothing was thrown"),
    (reason: unknown) => reason,
  );
  if (error instanceof TraceletError) return error;
  throw error;
}

const kinds = [
  ["proxied", PROXIED],
  ["written by the server", "/srv/mlruns/1/abc/artifacts"],
] as const;

describe.each(kinds)("%s", (_, artifactUri) => {
  const FAULTS: readonly (Fault | Answer)[] = [
    { kind: "reset-before" },
    { kind: "reset-after" },
    { kind: "garbage" },
    html(502),
    refusal(500, "INTERNAL_ERROR", "x"),
    html(503),
    html(429),
  ];

  test("bytes are sent again until they are acknowledged", async () => {
    const { server, http, store } = await start(undefined, { artifactUri });
    server.script(...FAULTS);
    await store.put({ path: "a/b.txt", bytes: bytes("content") });
    expect(http.retries).toBe(FAULTS.length);
    expect(new Set(server.requests.map(({ body }) => body))).toEqual(new Set(["", "content"]));
    expect(server.requests.at(-1)?.body).toBe("content");
  });

  test("a file is read again from its beginning for each attempt", async () => {
    const { server, http, store } = await start(undefined, { artifactUri });
    const content = "0123456789".repeat(100_000);
    server.script(...FAULTS);
    await store.putFile("a/b.txt", localFile(sourceFile(bytes(`${content}more`))), content.length);
    expect(http.retries).toBe(FAULTS.length);
    const { body, headers } = server.requests.at(-1) ?? {};
    expect(body === content).toBe(true);
    expect(headers).toMatchObject({
      "content-length": String(content.length),
      "content-type": "application/octet-stream",
    });
  });

  test("a file that is gone, or shorter than said", async () => {
    const { server, store } = await start(undefined, { artifactUri });
    const file = sourceFile(bytes("0123456789"));
    truncateSync(file, 5);
    expect((await failure(store.putFile("a", localFile(file), 10))).code).toBe("logdir");
    expect((await failure(store.putFile("a", localFile(`${file}.gone`), 10))).code).toBe("logdir");
    expect(server.requests.filter(({ body }) => body !== "")).toEqual([]);
  });

  test.each([
    [401, "auth"],
    [403, "auth"],
    [400, "rejected"],
    [413, "rejected"],
  ])("HTTP %d is %s, at once", async (status, code) => {
    const { server, store } = await start(() => refusal(status, "X", "no"), { artifactUri });
    expect((await failure(store.put({ path: "a", bytes: bytes("x") }))).code).toBe(code);
    expect(server.requests).toHaveLength(1);
  });

  test("a page to log in is no acknowledgement", async () => {
    const { store } = await start(() => html(200), { artifactUri });
    expect((await failure(store.put({ path: "a", bytes: bytes("x") }))).code).toBe("rejected");
  });

  test("a server that is away", async () => {
    const { server, store } = await start(undefined, { artifactUri, giveUpAfterMs: 100 });
    await server.close();
    open.splice(open.indexOf(server), 1);
    expect((await failure(store.put({ path: "a", bytes: bytes("x") }))).code).toBe("unreachable");
    expect((await failure(store.putFile("a", localFile(sourceFile(bytes("x"))), 1))).code).toBe("unreachable");
  });

  test.each(["", "../x", "a/../b", "/a", "a//b", "a#b", "a%20b", "a%2525b"])("the name %j is refused", async (name) => {
    const { server, store } = await start(undefined, { artifactUri });
    expect((await failure(store.put({ path: name, bytes: bytes("x") }))).code).toBe("rejected");
    expect(server.requests).toEqual([]);
  });

  test("a file that is cut off on the way is asked for again", async () => {
    const { server, store } = await start(() => fileAnswer("0123456789"), { artifactUri });
    server.script({ kind: "half" }, { kind: "reset-after" });
    expect(new TextDecoder().decode(await store.get("a"))).toBe("0123456789");
    expect(server.requests).toHaveLength(3);
    server.script({ kind: "half" }, { kind: "reset-after" });
    // printf 0123456789 | sha256sum
    const sha256 = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
    expect(await store.digest("a")).toEqual({ size: 10, sha256 });
    expect(server.requests).toHaveLength(6);
  });

  test.each([
    ["404", refusal(404, "RESOURCE_DOES_NOT_EXIST", "No such artifact")],
    ["a 500, as from an object store behind it", refusal(500, "INTERNAL_ERROR", "x")],
    ["a directory", json({ detail: "Artifact path refers to a directory, not a file" }, 400)],
  ])("no such file: %s", async (_name, answer) => {
    const listing = json({
      files: [
        { path: "b", is_dir: true },
        { path: "c", file_size: 5 },
      ],
    });
    const handler: Handler = ({ target }) => (/list|artifacts\?path/.test(target) ? listing : answer);
    const { store } = await start(handler, { artifactUri });
    expect(await store.get("a/b")).toBeUndefined();
  });

  test("a 500 for a file that is there is tried again", async () => {
    let left = 3;
    const listing = json({ files: [{ path: "a", file_size: 7 }] });
    const { store } = await start(
      ({ target }) => {
        if (/list|artifacts\?path/.test(target)) return listing;
        return left-- > 0 ? refusal(500, "INTERNAL_ERROR", "x") : fileAnswer("content");
      },
      { artifactUri },
    );
    expect(new TextDecoder().decode(await store.get("a"))).toBe("content");
  });

  test("a file without a length is compared with the listing", async () => {
    const files = [
      { path: "a", file_size: 7 },
      { path: "b", file_size: 8 },
    ];
    const { server, store } = await start(
      ({ target }) => (/list|artifacts\?path/.test(target) ? json({ files }) : { status: 200, body: "content" }),
      { artifactUri },
    );
    server.script({ status: 200, body: "cont" });
    expect(new TextDecoder().decode(await store.get("a"))).toBe("content");
    expect(await store.get("directory")).toBeUndefined();
    expect((await failure(store.get("b"))).code).toBe("unreachable");
    expect(await store.digest("a")).toMatchObject({ size: 7 });
    expect((await failure(store.digest("b"))).code).toBe("unreachable");
  });

  test("a web page is a file as any other", async () => {
    const page = fileAnswer("<!doctype html>", "text/html");
    const { store } = await start(() => page, { artifactUri });
    expect(new TextDecoder().decode(await store.get("a.html"))).toBe(page.body);
  });

  test("lists what is below", async () => {
    const listings: Record<string, unknown> = {
      d: {
        files: [
          { path: "d/e", is_dir: true },
          { path: "d/z.txt", is_dir: false, file_size: "12" },
        ],
      },
      "d/e": { files: [{ path: "empty ü.txt", is_dir: false }] },
    };
    const { store } = await start(
      ({ target }) => {
        const asked = new URL(target, "http://x").searchParams.get("path") ?? "";
        return json(listings[asked.replace("1/abc/artifacts/", "")] ?? {});
      },
      { artifactUri },
    );
    expect(await store.list("d")).toEqual([
      { path: "d/e/empty ü.txt", size: 0 },
      { path: "d/z.txt", size: 12 },
    ]);
    expect(await store.list("nothing")).toEqual([]);
  });
});

describe("addresses", () => {
  const target = async (artifactUri: string, name: string, options: Options = {}) => {
    const { server, store } = await start(undefined, { ...options, artifactUri });
    await store.put({ path: name, bytes: bytes("x") });
    return `${server.requests[0]?.method} ${server.requests[0]?.target}`;
  };

  test("every part is encoded", async () => {
    expect(await target(PROXIED, "a b/50%.+ü?&=;:@.txt")).toBe(
      `PUT ${PUT_PATH}/a%20b/50%25.%2B%C3%BC%3F%26%3D%3B%3A%40.txt`,
    );
    expect(await target("mlflow-artifacts:/my%20place/ü", "a")).toBe(
      "PUT /api/2.0/mlflow-artifacts/artifacts/my%20place/%C3%BC/a",
    );
  });

  test("the path of the tracking URI is kept", async () => {
    expect(await target(PROXIED, "a", { prefix: "/team" })).toBe(`PUT /team${PUT_PATH}/a`);
  });

  test("of a run on the server's disk", async () => {
    for (const uri of ["/srv/a", "file:///srv/a", "./mlruns/0/a"]) {
      expect(await target(uri, "d/a b.txt", { prefix: "/p" })).toBe(
        "POST /p/ajax-api/2.0/mlflow/upload-artifact?run_uuid=abc&path=d%2Fa+b.txt",
      );
    }
  });

  const env = { MLFLOW_TRACKING_USERNAME: "ann", MLFLOW_TRACKING_PASSWORD: "hidden" };

  test("another server on the same host gets the login, another host does not", async () => {
    const other = await FaultServer.start(() => DONE);
    open.push(other);
    for (const host of ["127.0.0.1", "localhost"]) {
      const { server, store } = await start(undefined, {
        env,
        artifactUri: `mlflow-artifacts://user:word@${host}:${other.port}/1/abc/artifacts`,
      });
      await store.put({ path: "a", bytes: bytes("x") });
      expect(server.requests).toEqual([]);
    }
    expect(other.requests.map(({ headers, target: path }) => [path, headers.authorization !== undefined])).toEqual([
      [`${PUT_PATH}/a`, true],
      [`${PUT_PATH}/a`, false],
    ]);
  });

  test.each(["gs://b/p", "wasbs://c@a.example/p", "hdfs://n/p", "dbfs:/p", "http://x/p", ""])(
    "%j is unsupported, and the way out is named",
    async (artifactUri) => {
      const error = await failure(start(undefined, { artifactUri }));
      expect(error.code).toBe("unsupported");
      expect(error.hint).toContain("--serve-artifacts");
    },
  );

  test.each([
    "mlflow-artifacts:/../../../api/2.0/x",
    "mlflow-artifacts:/1/../../x",
    "mlflow-artifacts:/1/./x",
    "mlflow-artifacts:/%2e%2e/%2E%2e/api",
    "mlflow-artifacts:/.%2e/x",
    "mlflow-artifacts:/..%2f..%2fapi",
    "mlflow-artifacts:/1%2f..%2f..%2fapi",
    "mlflow-artifacts:/%252e%252e/x",
    "mlflow-artifacts:/%25252e%25252e%25252fx",
    "mlflow-artifacts:/..\\..\\x",
    "mlflow-artifacts:/..%5c..%5cx",
    "mlflow-artifacts:/.\t./x",
    "mlflow-artifacts:/%00",
    `mlflow-artifacts:/%${"25".repeat(40)}41`,
    "mlflow-artifacts://127.0.0.1:5000/../x",
    "s3://bucket/../other/x",
    "s3://bucket/a/%2e%2e/%2e%2e/other",
  ])("%j leads out of the place for files: refused, and nothing is asked of anybody", async (artifactUri) => {
    const server = await FaultServer.start(() => DONE);
    open.push(server);
    const tracking = { kind: "server", http: clientOf(server.url), runId: "abc" } as const;
    const error = await failure(openArtifactStore({ artifactUri, tracking, env: {} }));
    expect([error.code, error.message]).toEqual(["rejected", expect.stringContaining("no place for files")]);
    expect(error.message).toContain(JSON.stringify(artifactUri.replace(/^[^:]*:(\/\/[^/]*)?/, "")).slice(1, 9));
    expect(server.requests).toEqual([]);
  });

  test.each(["mlflow-artifacts://a\\..\\b/x", "mlflow-artifacts://a b/x", "s3://../x", "s3:///x", "s3://a%2fb/x"])(
    "%j names no server or bucket",
    async (artifactUri) => {
      const error = await failure(start(undefined, { artifactUri }));
      expect(error.code).toBe("unsupported");
    },
  );

  test("dots and percent signs that lead nowhere stay", async () => {
    expect(await target("mlflow-artifacts:/..a/b../.../50%/100%25ab", "a")).toBe(
      "PUT /api/2.0/mlflow-artifacts/artifacts/..a/b../.../50%25/100%25ab/a",
    );
  });

  test("a server that keeps artifacts is needed for a database's proxied runs", async () => {
    const error = await failure(openArtifactStore({ artifactUri: PROXIED, tracking: { kind: "database", folder } }));
    expect([error.code, error.hint]).toEqual(["unsupported", expect.stringContaining("--serve-artifacts")]);
  });
});

test.each(kinds)("%s: directories within directories without end are not listed for ever", async (_, artifactUri) => {
  const { store } = await start(() => json({ files: [{ path: "d".repeat(200), is_dir: true }] }), { artifactUri });
  const error = await failure(store.list(""));
  expect([error.code, error.message]).toEqual(["rejected", expect.stringContaining("more artifacts")]);
});

test.each(kinds)("%s: a file that is larger than what is taken counts as none", async (_, artifactUri) => {
  const { store } = await start(() => fileAnswer("0123456789"), { artifactUri });
  expect(await store.get("a", 9)).toBeUndefined();
  expect(Buffer.from((await store.get("a", 10)) ?? []).toString()).toBe("0123456789");
  const unsaid = { status: 200, headers: { "content-type": "text/plain" }, body: "0123456789" };
  const other = await start(() => unsaid, { artifactUri });
  expect(await other.store.get("a", 9)).toBeUndefined();
});

test("a server that does not serve artifacts says so at once", async () => {
  const { server, store } = await start(() => json({ detail: "Artifact serving is disabled." }, 503));
  const error = await failure(store.put({ path: "a", bytes: bytes("x") }));
  expect([error.code, error.hint]).toEqual(["rejected", expect.stringContaining("--serve-artifacts")]);
  expect(server.requests).toHaveLength(1);
});

test("what is too large, or empty, for a run on the server's disk is not sent", async () => {
  const { server, store } = await start(undefined, { artifactUri: "/srv/a" });
  const file = sourceFile(bytes("x"));
  for (const size of [10 * 1024 * 1024 + 1, 0]) {
    const error = await failure(store.putFile("a", localFile(file), size));
    expect([error.code, error.hint]).toEqual(["rejected", expect.stringContaining("--serve-artifacts")]);
  }
  expect(server.requests).toEqual([]);
});

test("an upload may take longer than the time limit, as long as it goes on; one that stands still may not", async () => {
  const stand = new Set<string>();
  const server = createServer((request, response) => {
    request.on("data", () => {
      request.pause();
      if (!stand.has(request.url ?? "")) setTimeout(() => request.resume(), 5);
    });
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const http = clientOf(url, { env: { MLFLOW_HTTP_REQUEST_TIMEOUT: "1" }, giveUpAfterMs: 1 });
  const store = await openArtifactStore({ artifactUri: PROXIED, tracking: { kind: "server", http, runId: "abc" } });
  const size = 40 * 1024 * 1024;
  const file = sourceFile(randomBytes(size));
  const begin = performance.now();
  await store.putFile("slow", localFile(file), size);
  expect(performance.now() - begin).toBeGreaterThan(3000);
  expect(http.retries).toBe(0);
  stand.add(`${PUT_PATH}/still`);
  expect((await failure(store.putFile("still", localFile(file), size))).code).toBe("unreachable");
});

/** An offer of five parts, each like this. */
function offered(credential: unknown): Answer {
  const number = (part_number: number) =>
    typeof credential === "object" && credential !== null ? { ...credential, part_number } : credential;
  return json({ upload_id: "u", credentials: [1, 2, 3, 4, 5].map(number) });
}

const OFFERS: readonly (readonly [string, unknown])[] = [
  ["no object", null],
  ["a text", "x"],
  ["no address", {}],
  ["a file's address", { url: "file:///etc/passwd" }],
  ["an address without a host", { url: "data:,x" }],
  ["an address that is none", { url: "http://" }],
  ["headers that are none", { url: "http://127.0.0.1:1/", headers: { a: 5 } }],
  ["headers of two lines", { url: "http://127.0.0.1:1/", headers: { a: "b\r\nauthorization: c" } }],
  ["a name of two lines", { url: "http://127.0.0.1:1/", headers: { "a\r\nb": "c" } }],
  ["a length", { url: "http://127.0.0.1:1/", headers: { "Content-Length": "1" } }],
  ["a way to send", { url: "http://127.0.0.1:1/", headers: { "transfer-encoding": "chunked" } }],
  ["another host's name", { url: "http://127.0.0.1:1/", headers: { host: "other" } }],
];

describe("in parts", () => {
  const SIZE = 70 * 1024 * 1024;
  const content = Buffer.alloc(SIZE, "tracelet ");
  let file: string;

  /** An MLflow over an object store that is imitated as well. */
  async function startBoth(storage: (part: number) => Answer, mlflow: Partial<Record<string, Answer>> = {}) {
    file ??= sourceFile(content);
    const parts = new Map<number, number>();
    const bucket = await FaultServer.start(({ target, body }) => {
      const number = Number(new URL(target, "http://x").searchParams.get("partNumber"));
      parts.set(number, Buffer.byteLength(body));
      return storage(number);
    });
    open.push(bucket);
    const both = await start(
      ({ method, target, body }) => {
        if (method === "PUT") return DONE;
        const call = /mpu\/(\w+)/.exec(target)?.[1] ?? "";
        if (mlflow[call]) return mlflow[call];
        if (call !== "create") return json({});
        const { num_parts: n } = JSON.parse(body) as { num_parts: number };
        const credentials = Array.from({ length: n }, (_, i) => ({
          url: `${bucket.url}/b/k?partNumber=${i + 1}&X-Amz-Signature=geheim%2F${i}`,
          part_number: i + 1,
          headers: { "x-ms-blob-type": "BlockBlob" },
        }));
        return json({ upload_id: "u", credentials });
      },
      { env: { MLFLOW_TRACKING_USERNAME: "ann", MLFLOW_TRACKING_PASSWORD: "hidden" } },
    );
    const asked = () =>
      both.server.requests.map(({ method, target }) => `${method} ${target.split("/artifacts/").at(-1)}`);
    return { ...both, bucket, parts, asked };
  }
  const etag = (part: number): Answer => ({ status: 200, headers: { etag: `"e${part}"` }, body: "" });

  test("where the server offers it; the store gets neither login nor more than its part", async () => {
    const { server, bucket, parts, store } = await startBoth(etag);
    bucket.script({ kind: "reset-before" }, html(503));
    await store.putFile("d/large.bin", localFile(file), SIZE);
    expect([...parts.values()].reduce((a, b) => a + b)).toBe(SIZE);
    expect(bucket.requests.map(({ headers }) => headers.authorization)).toEqual(bucket.requests.map(() => undefined));
    expect(bucket.requests.at(-1)?.headers["x-ms-blob-type"]).toBe("BlockBlob");
    expect(bucket.requests.at(-1)?.target).toMatch(/X-Amz-Signature=geheim%2F\d$/);
    expect(server.requests.map(({ target }) => target)).toEqual([
      "/api/2.0/mlflow-artifacts/mpu/create/1/abc/artifacts/d",
      "/api/2.0/mlflow-artifacts/mpu/complete/1/abc/artifacts/d",
    ]);
    expect(JSON.parse(server.requests[1]?.body ?? "")).toMatchObject({
      path: "large.bin",
      upload_id: "u",
      parts: Array.from({ length: 5 }, (_, i) => ({ part_number: i + 1, etag: `"e${i + 1}"` })),
    });
  });

  test("not where it cannot: the file goes through the server, which is not asked again", async () => {
    const { server, store } = await startBoth(etag, { create: refusal(501, "NOT_IMPLEMENTED", "no") });
    await store.putFile("large.bin", localFile(file), SIZE);
    await store.putFile("large2.bin", localFile(file), SIZE);
    expect(server.requests.map(({ method, headers }) => [method, headers["content-length"]])).toEqual([
      ["POST", expect.anything()],
      ["PUT", String(SIZE)],
      ["PUT", String(SIZE)],
    ]);
  });

  test.each<readonly [string, (part: number) => Answer, Partial<Record<string, Answer>>]>([
    ["a part is refused", () => html(403), {}],
    ["the last step fails", etag, { complete: refusal(500, "INTERNAL_ERROR", "x") }],
    ["the offer makes no sense", etag, { create: json({ upload_id: "u", credentials: [] }) }],
    ...OFFERS.map(([what, offer]) => [what, etag, { create: offered(offer) }] as const),
  ])("%s: given up, and through the server", async (_, storage, mlflow: Partial<Record<string, Answer>>) => {
    const { server, store } = await startBoth(storage, mlflow);
    await store.putFile("large.bin", localFile(file), SIZE);
    const methods = server.requests.map(({ method, target }) => /mpu\/(\w+)/.exec(target)?.[1] ?? method);
    expect(methods.slice(-2)).toEqual(["abort", "PUT"]);
  });

  test("a file that has become shorter is no reason to try in another way", async () => {
    const { store, server } = await startBoth(etag);
    const short = sourceFile(content.subarray(0, SIZE - 5));
    expect((await failure(store.putFile("large.bin", localFile(short), SIZE))).code).toBe("logdir");
    expect(server.requests.filter(({ method }) => method === "PUT")).toEqual([]);
  });
});

test("memory: a large file is never held", async () => {
  const size = 200 * 1024 * 1024;
  const file = sourceFile(new Uint8Array());
  truncateSync(file, size);
  let received = 0;
  const server = createServer((request, response) => {
    request.on("data", (chunk: Buffer) => (received += chunk.length));
    request.on("end", () => response.writeHead(request.method === "PUT" ? 200 : 501).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({ close: async () => void server.close() });
  const http = clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const store: ArtifactStore = await openArtifactStore({
    artifactUri: PROXIED,
    tracking: { kind: "server", http, runId: "abc" },
  });
  const before = process.memoryUsage().rss;
  let most = before;
  let going = true;
  const watch = (async () => {
    for (; going; await sleep(5)) most = Math.max(most, process.memoryUsage().rss);
  })();
  await store.putFile("large", localFile(file), size);
  going = false;
  await watch;
  expect(received).toBeGreaterThanOrEqual(size);
  expect(most - before).toBeLessThan(120 * 1024 * 1024);
});

describe("a server that leads elsewhere", () => {
  test.each([301, 302, 303, 307, 308])("HTTP %d: neither login nor file nor answer goes there", async (status) => {
    const other = await FaultServer.start();
    open.push(other);
    const env = { MLFLOW_TRACKING_TOKEN: "CANARY", MLFLOW_WORKSPACE: "CANARY" };
    const { store } = await start(({ target }) => html(status, { location: other.url + target }), { env });
    const file = sourceFile(bytes("CANARY"));
    for (const request of [
      () => store.put({ path: "a", bytes: bytes("CANARY") }),
      () => store.putFile("a", localFile(file), 6),
      () => store.get("a"),
      () => store.list(""),
    ]) {
      const error = await failure(request());
      expect(error).toMatchObject({ code: "rejected" });
      expect(error.message).toContain("does not follow");
      expect(`${error.message} ${error.hint}`).not.toContain("CANARY");
    }
    expect(other.requests).toEqual([]);
  });
});
