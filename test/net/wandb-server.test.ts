/** The W&B server of the tests refuses and counts: the official client, which test/e2e runs against it, never tries these. */
import { afterEach, describe, expect, test } from "vitest";
import { fieldsOf, variablesOf } from "../support/wandb-server/document.ts";
import { parseExtended } from "../support/wandb-server/extended-json.ts";
import { API_KEY, WandbServer, type WandbServerOptions } from "../support/wandb-server/server.ts";

const KEY = { authorization: `Basic ${Buffer.from(`api:${API_KEY}`).toString("base64")}` };
const UPSERT =
  'mutation M($name: String) { upsertBucket(input: {name: $name, modelName: "p"}) { bucket { id } inserted } }';
const FILES =
  'mutation M($files: [String!]!) { createRunFiles(input: {entityName: "ada", projectName: "p", runName: "r", files: $files}) { uploadHeaders files { uploadUrl } } }';

let server: WandbServer;
let clock = 0;

afterEach(async () => server.stop());

/** A server with a run `r` in `p`. */
async function begin(options: WandbServerOptions = {}): Promise<void> {
  clock = 1e12;
  server = await WandbServer.start({ now: () => clock, ...options });
  await graphql(UPSERT, { name: "r" });
}

async function graphql(query: string, variables: object): Promise<{ status: number; body: unknown }> {
  const body = JSON.stringify({ query, variables });
  const answer = await fetch(`${server.uri}/graphql`, { method: "POST", headers: KEY, body });
  return { status: answer.status, body: await answer.json() };
}

async function stream(fields: object | string, run = "r"): Promise<Response> {
  const body = typeof fields === "string" ? fields : JSON.stringify(fields);
  return fetch(`${server.uri}/files/ada/p/${run}/file_stream`, { method: "POST", headers: KEY, body });
}

function rows(offset: number, ...content: readonly string[]): object {
  return { files: { "wandb-history.jsonl": { offset, content } } };
}

async function uploadUrl(file: string): Promise<string> {
  const { body } = await graphql(FILES, { files: [file] });
  return (body as { data: { createRunFiles: { files: [{ uploadUrl: string }] } } }).data.createRunFiles.files[0]
    .uploadUrl;
}

describe("GraphQL", () => {
  test("unknown fields, wrong variables and no key", async () => {
    await begin();
    expect(await graphql("query { viewer { id shoeSize } }", {})).toMatchObject({ status: 400 });
    expect(await graphql(UPSERT, { name: 5 })).toMatchObject({ status: 400 });
    const answer = await fetch(`${server.uri}/graphql`, { method: "POST", body: "{}" });
    expect(answer.status).toBe(401);
  });

  test("the id of a deleted run is never free again", async () => {
    await begin();
    const { storageId } = server.run("p", "r");
    const remove = "mutation M($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }";
    expect(await graphql(remove, { id: storageId })).toMatchObject({ status: 200 });
    expect(await graphql(UPSERT, { name: "r" })).toMatchObject({
      status: 409,
      body: {
        errors: [
          { message: "run ada/p/r was previously created and deleted; try a new run name", path: ["upsertBucket"] },
        ],
        data: { upsertBucket: null },
      },
    });
    expect((await stream({})).status).toBe(404);
  });

  test("file names that lead elsewhere", async () => {
    await begin();
    for (const file of ["../x", "/x", "a//b"])
      expect(await graphql(FILES, { files: [file] })).toMatchObject({ status: 400 });
  });
});

describe("file streams", () => {
  test("a line again replaces the old one, and is counted; a gap is an oddity", async () => {
    await begin();
    await stream(rows(0, '{"a":1}', '{"a":2}'));
    await stream(rows(1, '{"a":2}', '{"a":3}'));
    expect(server.run("p", "r").history).toMatchObject({ count: 3, repeated: 1, changed: 0 });
    await stream(rows(2, '{"a":4}'));
    await stream(rows(4, '{"a":NaN}'));
    const { history, oddities, rows: kept } = server.run("p", "r");
    expect(history).toMatchObject({ count: 5, repeated: 1, changed: 1, gaps: [3] });
    expect(kept).toEqual([{ a: 1 }, { a: 2 }, { a: 4 }, { a: Number.NaN }]);
    expect(oddities).toEqual(["a gap in wandb-history.jsonl before line 4"]);
  });

  test.each([
    ["no JSON", "{"],
    ["a line that is no object", rows(0, "5")],
    ["a negative offset", rows(-1, "{}")],
    ["a file that is not streamed", { files: { "config.yaml": { offset: 0, content: ["a"] } } }],
    ["an unknown field", { done: true }],
    ["complete without an exit code", { complete: true }],
  ])("refuses %s, and nothing of it is kept", async (_what, fields) => {
    await begin();
    expect((await stream(fields)).status).toBe(400);
    expect(server.run("p", "r").history.count).toBe(0);
  });

  test("running, crashed without a heartbeat, finished or failed by the exit code, and running again", async () => {
    await begin();
    const run = server.run("p", "r");
    expect(run.state(clock)).toBe("running");
    clock += 6 * 60_000;
    expect(run.state(clock)).toBe("crashed");
    await stream({});
    expect(run.state(clock)).toBe("running");
    await stream({ complete: true, exitcode: 0 });
    expect(run.state(clock)).toBe("finished");
    await stream({ complete: true, exitcode: 3 });
    expect(run.state(clock)).toBe("failed");
    await stream({});
    expect(run.state(clock)).toBe("running");
  });

  test("a limit of requests says when it ends", async () => {
    await begin({ rateLimit: { requests: 1, windowMs: 4000 } });
    expect((await stream({})).headers.get("ratelimit-remaining")).toBe("0");
    clock += 1000;
    const { status, headers } = await stream(rows(0, "{}"));
    expect([status, headers.get("ratelimit-remaining"), headers.get("ratelimit-reset")]).toEqual([429, "0", "3"]);
    expect(server.run("p", "r").history.count).toBe(0);
    clock += 3000;
    expect((await stream(rows(0, "{}"))).status).toBe(200);
  });
});

describe("uploads", () => {
  test("need the signature, its headers and no key", async () => {
    await begin({ uploadHeaders: ["X-Signed: yes"] });
    const url = await uploadUrl("a/b c.txt");
    const put = async (to: string, headers: { [name: string]: string }) =>
      (await fetch(to, { method: "PUT", headers, body: "bytes" })).status;
    expect(await put(url, {})).toBe(403);
    expect(await put(`${url}0`, { "x-signed": "yes" })).toBe(403);
    expect(await put(url, { "x-signed": "yes", ...KEY })).toBe(400);
    expect(server.run("p", "r").files.size).toBe(0);
    expect(await put(url, { "x-signed": "yes" })).toBe(200);
    expect(await put(url, { "x-signed": "yes" })).toBe(200);
    expect(server.run("p", "r").files.get("a/b c.txt")).toMatchObject({ bytes: Buffer.from("bytes"), times: 2 });
  });

  test("may lie at an address without a host, below the server's own path", async () => {
    await begin({ path: "/hosted", relativeUploads: true });
    const url = await uploadUrl("a");
    expect(url).toMatch(/^\/hosted\/storage\//);
    expect((await fetch(new URL(url, server.uri), { method: "PUT", body: "bytes" })).status).toBe(200);
    expect((await fetch(new URL("/graphql", server.uri), { method: "POST", headers: KEY, body: "{}" })).status).toBe(
      404,
    );
  });

  test("announced before they are there are an oddity", async () => {
    await begin();
    await stream({ uploaded: ["a"] });
    expect(server.run("p", "r").oddities).toEqual(["a was announced before it was uploaded"]);
  });
});

test("JSON as W&B's client writes it", () => {
  const text =
    '{"a":NaN,"b":[-Infinity,1e16],"c":9223372036854775807,"d":0.12345678901234567,"e":"NaN 12345678901234567"}';
  expect(parseExtended(text)).toEqual({
    a: Number.NaN,
    b: [-Infinity, 1e16],
    c: 9223372036854775807n,
    d: 0.12345678901234567,
    e: "NaN 12345678901234567",
  });
  expect(() => parseExtended('{"a":nan}')).toThrow(SyntaxError);
});

test("what a GraphQL document asks for, however it is written", () => {
  const document = `mutation M ($id: String, $files: [String!]!) {
    createRunFiles(input: {runName: $id, files: $files}) { ...Files }
  }
  fragment Files on CreateRunFilesPayload { runID files { name } }`;
  expect(variablesOf(document)).toEqual(["files: [String!]!", "id: String"]);
  const root = "createRunFiles(input: files,runName)";
  expect(fieldsOf(document)).toEqual([root, `${root} > files`, `${root} > files > name`, `${root} > runID`]);
});
