/** What must not be seen is nowhere: not in what is printed, not in the state, not among the processes. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Answer, FaultServer, html, json, type RecordedRequest, refusal } from "../sync/fault-server.ts";
import { ended, type Machine, machineWithRun } from "./tracelet.ts";

const TOKEN = "CANARY-token/+~";
const PASSWORD = "CANARY-pass word";
const FORMS = [
  /canary/i,
  new RegExp(Buffer.from(`me:${PASSWORD}`).toString("base64").slice(0, 16)),
  new RegExp(Buffer.from(TOKEN).toString("base64").slice(0, 16)),
];

const open: FaultServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

/** Every file below a directory. */
function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

function expectSecretNowhere(machine: Machine, texts: readonly string[]): void {
  const stored = files(path.join(machine.root, "home")).map((file) => readFileSync(file, "latin1"));
  for (const form of FORMS) for (const text of [...texts, ...stored]) expect(text).not.toMatch(form);
}

/** What commands print, and what other users see of them while they run. */
async function saidBy(machine: Machine, commands: readonly (readonly string[])[]): Promise<string[]> {
  const texts: string[] = [];
  for (const args of commands) {
    const child = machine.start(...args);
    texts.push(readFileSync(`/proc/${child.pid}/cmdline`, "latin1"));
    const { stdout, stderr } = await ended(child);
    texts.push(stdout, stderr);
  }
  return texts;
}

/** As much of MLflow as a sync of scalars takes. */
const mlflow = (): Answer =>
  json({
    experiment_id: "1",
    experiment: { experiment_id: "1", name: "Default", lifecycle_stage: "active", tags: [] },
    runs: [],
    run: { info: { run_id: "abc", status: "RUNNING", lifecycle_stage: "active" }, data: {} },
  });

/** Tells all that it was told. */
const echo = ({ headers, target, body }: RecordedRequest) =>
  `${JSON.stringify(headers)} ${decodeURIComponent(target)} ${body}`;

const SERVERS: Readonly<Record<string, (request: RecordedRequest) => Answer>> = {
  "that is one": mlflow,
  "that repeats what it was sent, with HTTP 400": (request) => refusal(400, "INVALID_PARAMETER_VALUE", echo(request)),
  "that repeats what it was sent, with HTTP 401": (request) => ({ status: 401, body: echo(request) }),
  "that repeats what it was sent, with HTTP 500": (request) => refusal(500, "INTERNAL_ERROR", echo(request)),
  "that repeats what it was sent, with HTTP 200": (request) => ({ status: 200, body: echo(request) }),
  "that redirects": (request) => html(307, { location: `http://127.0.0.1:1/?${encodeURIComponent(echo(request))}` }),
};

const LOGINS = [
  ["a token", { MLFLOW_TRACKING_TOKEN: TOKEN }],
  ["a password", { MLFLOW_TRACKING_USERNAME: "me", MLFLOW_TRACKING_PASSWORD: PASSWORD }],
] as const;

test.each(Object.keys(SERVERS).flatMap((server) => LOGINS.map(([what, env]) => [server, what, env] as const)))(
  "a server %s, given %s",
  async (name, _, env) => {
    const server = await FaultServer.start(SERVERS[name]);
    open.push(server);
    const machine = machineWithRun();
    machine.env = { ...env, TRACELET_TRACKING_URI: server.url, TRACELET_GIVE_UP_AFTER: "1s" };
    const texts = await saidBy(machine, [
      ["sync", "runs", "-v", "--log-level", "debug"],
      ["sync", "runs", "--json"],
      ["sync", "runs", "--dry-run", "-v", "--log-level", "debug"],
      ["status", "runs"],
      ["status", "runs", "--json"],
    ]);
    expect(server.requests.length).toBeGreaterThan(0);
    if (name === "that is one") expect(server.requests.some(({ target }) => target.endsWith("/log-batch"))).toBe(true);
    expect(server.requests.every(({ headers }) => headers.authorization !== undefined)).toBe(true);
    expectSecretNowhere(machine, texts);
  },
);

test.each(LOGINS)("commands that ask no server, given %s", async (_, env) => {
  const server = await FaultServer.start(mlflow);
  open.push(server);
  const machine = machineWithRun();
  machine.env = { ...env, TRACELET_TRACKING_URI: server.url };
  const texts = await saidBy(machine, [["inspect", "runs", "--json"], ["sync", "nowhere"], ["--help"]]);
  expect(server.requests).toEqual([]);
  expectSecretNowhere(machine, texts);
});

test("a login in the address is not kept in the state, nor printed", async () => {
  const server = await FaultServer.start(mlflow);
  open.push(server);
  const machine = machineWithRun();
  machine.env = {
    TRACELET_GIVE_UP_AFTER: "1s",
    TRACELET_TRACKING_URI: server.url.replace("//", `//me:${encodeURIComponent(PASSWORD)}@`),
  };
  const texts: string[] = [];
  for (const args of [
    ["sync", "runs", "-v"],
    ["sync", "runs", "--json"],
    ["status", "runs"],
  ]) {
    const { stdout, stderr } = await machine.run(...args);
    texts.push(stdout, stderr);
  }
  expect(server.requests.some(({ target }) => target.endsWith("/log-batch"))).toBe(true);
  expectSecretNowhere(machine, texts);
});

test("the state is its owner's alone, whatever the umask", async () => {
  const machine = machineWithRun();
  const before = process.umask(0);
  try {
    expect((await machine.run("sync", "runs")).code).toBe(0);
  } finally {
    process.umask(before);
  }
  const mode = (file: string) => (statSync(file).mode & 0o777).toString(8);
  expect(mode(machine.state)).toBe("700");
  const kept = files(machine.state);
  expect(kept.length).toBeGreaterThan(2);
  expect(kept.map((file) => [file, mode(file)])).toEqual(kept.map((file) => [file, "600"]));
});
