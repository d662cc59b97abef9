/** tracelet's requests to W&B, field by field with those that the official client sends for the same. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { fieldsOf, variablesOf } from "../support/wandb-server/document.ts";
import { API_KEY, type ReceivedRequest, WandbServer } from "../support/wandb-server/server.ts";
import { WandbClient } from "./support/wandb-client.ts";

const RUN = { entity: "ada", project: "p", name: "r" };

let workspace: string;
let theirs: WandbServer;
let ours: WandbServer;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-documents-"));
  [theirs, ours] = await Promise.all([WandbServer.start(), WandbServer.start()]);
  // Silent, it does not ask who it is.
  await new WandbClient(theirs.uri, workspace).script("log_numbers", ["p", "r", "0", "2"], { WANDB_SILENT: "false" });
  const access = readLogin(ours.uri, { WANDB_API_KEY: API_KEY }, "/nowhere");
  const api = new WandbApi({ base: ours.uri, access, giveUpAfterMs: 60_000 });
  await api.defaultEntity();
  await api.status(RUN);
  await api.upsert(RUN, { config: '{"_wandb":{"value":{"t":{}}}}' });
  await api.upload(RUN, [{ path: "media/a.txt", body: Buffer.from("a") }]);
  await api.stream(RUN, {
    history: { offset: 0, lines: ['{"x":0,"_step":0}'] },
    summary: '{"x":0}',
    uploaded: ["media/a.txt"],
  });
  await api.stream(RUN, { exitCode: 0 });
  await api.close();
});

afterAll(async () => {
  await theirs?.stop();
  await ours?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

test.each([
  // Whose address it is, is nobody's business here.
  ["Viewer", ["viewer > email"]],
  ["RunResumeStatus", []],
  ["UpsertBucket", []],
  ["CreateRunFiles", []],
])("%s asks for the same fields, with the same variables", (name, without) => {
  const [their] = theirs.operations(name);
  const [our] = ours.operations(name);
  const wanted = fieldsOf(their?.query ?? "").filter((field) => !without.includes(field));
  expect(fieldsOf(our?.query ?? "")).toEqual(wanted);
  expect(variablesOf(our?.query ?? "")).toEqual(variablesOf(their?.query ?? ""));
  expect(Object.keys(our?.variables ?? {}).sort()).toEqual(Object.keys(their?.variables ?? {}).sort());
});

test.each([
  ["POST", /^\/graphql$/],
  ["POST", /\/file_stream$/],
  ["PUT", /^\/storage\//],
] as const)("%s %s carries the same login and type of content", (method, address) => {
  const headers = (server: WandbServer) => {
    const is = (request: ReceivedRequest) => request.method === method && address.test(request.path);
    const { authorization, "content-type": type } = server.requests.find(is)?.headers ?? {};
    return { authorization, type };
  };
  expect(headers(ours)).toEqual(headers(theirs));
});

test("the stream has no field that the client's does not have", () => {
  const names = (server: WandbServer) => {
    const streams = server.streams.map((body) => JSON.parse(body) as { files?: object });
    return new Set(streams.flatMap((body) => [...Object.keys(body), ...Object.keys(body.files ?? {})]));
  };
  expect([...names(ours)].filter((name) => !names(theirs).has(name))).toEqual([]);
});
