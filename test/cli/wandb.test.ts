/** `--backend wandb`, as it is typed for the first time. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { API_KEY, WandbServer, type WandbServerOptions } from "../support/wandb-server/server.ts";
import { curve, fileOf } from "../sync/world.ts";
import { type Machine, machineWithRun, ROOT } from "./tracelet.ts";

async function begin(
  env: Readonly<Record<string, string>> = { WANDB_API_KEY: API_KEY },
  options: WandbServerOptions = {},
): Promise<{ readonly machine: Machine; readonly server: WandbServer }> {
  const server = await WandbServer.start(options);
  onTestFinished(() => server.stop());
  const machine = machineWithRun();
  machine.env = { WANDB_BASE_URL: server.uri, ...env };
  return { machine, server };
}

const TO_WANDB = ["sync", "runs", "--backend", "wandb"] as const;

describe("who is not let in is told what to do", () => {
  test.each([
    [
      "no key",
      {},
      "there is no W&B API key for {host}\n  run `wandb login --relogin --host {uri}`, or set WANDB_API_KEY",
    ],
    [
      "a key that is none",
      { WANDB_API_KEY: "abc" },
      "these have 40 characters or more, and it has 3\n  run `wandb login",
    ],
    [
      "a wrong key",
      { WANDB_API_KEY: "w".repeat(40) },
      "{uri} does not allow Viewer (an API key was sent): HTTP 401: user is not logged in; run `wandb login --relogin --host {uri}`, or set WANDB_API_KEY, which goes first, to a key from {uri}/authorize\n",
    ],
  ])("%s", async (_name, env, said) => {
    const { machine, server } = await begin(env);
    const { code, stderr } = await machine.run(...TO_WANDB);
    const expected = said.replaceAll("{uri}", server.uri).replaceAll("{host}", new URL(server.uri).host);
    expect([code, stderr]).toEqual([1, expect.stringContaining(expected)]);
    expect(stderr).not.toContain("wwww");
  });
});

describe("a place that cannot be", () => {
  test("an entity that is not there: said once, however many runs there are", async () => {
    const { machine } = await begin();
    for (const run of ["b", "c"]) machine.logdir.write(run, fileOf(curve("loss", 0, run === "b" ? 3 : 5)));
    const { code, stderr } = await machine.run(...TO_WANDB, "--wandb-entity", "nobody");
    expect(code).toBe(1);
    expect(stderr.match(/entity nobody not found.*; check --wandb-entity/g)).toHaveLength(1);
  });

  test("an address where no W&B is, or nothing", async () => {
    const { machine, server } = await begin();
    machine.env = { ...machine.env, WANDB_BASE_URL: `${server.uri}/lab` };
    const elsewhere = await machine.run(...TO_WANDB);
    expect([elsewhere.code, elsewhere.stderr]).toEqual([
      1,
      expect.stringMatching(/HTTP 404: .*; check WANDB_BASE_URL/),
    ]);
    machine.env = { ...machine.env, WANDB_BASE_URL: "http://127.0.0.1:9" };
    const nowhere = await machine.run(...TO_WANDB, "--give-up-after", "10ms");
    expect([nowhere.code, nowhere.stderr]).toEqual([
      1,
      expect.stringContaining("no useful answer from http://127.0.0.1:9"),
    ]);
    machine.env = { ...machine.env, WANDB_BASE_URL: "https://wandb.ai" };
    expect(await machine.run(...TO_WANDB)).toMatchObject({ code: 2, stderr: expect.stringContaining("web page") });
  });

  test("a project with a name that W&B does not take is called otherwise, and that is said", async () => {
    const { machine, server } = await begin({ WANDB_API_KEY: API_KEY, WANDB_NAME: "mine" });
    const { code, stderr } = await machine.run(...TO_WANDB, "--experiment", "cats/dogs");
    expect([code, server.runs("cats-dogs").length]).toEqual([0, 1]);
    expect(stderr.split("\n").slice(0, 3)).toEqual([
      'W&B takes no project called "cats/dogs"; it is called "cats-dogs" there (dogs of cats is --wandb-entity cats --wandb-project dogs)',
      "WANDB_NAME is ignored: runs are called as in TensorBoard, or as --run-name says",
      `sending to ${server.uri}/ada/cats-dogs`,
    ]);
  });
});

test("where it goes is said first, and of each run in --json; a second time nothing is sent", async () => {
  const { machine, server } = await begin({ WANDB_API_KEY: API_KEY, WANDB_TAGS: "a,b", WANDB_NOTES: "why" });
  const first = await machine.sync("--backend", "wandb", "--wandb-project", "p");
  const [run] = server.runs("p");
  const page = `${server.uri}/ada/p`;
  expect(first.stderr.split("\n")[0]).toBe(`sending to ${page}`);
  expect(first).toMatchObject({ code: 0, location: page, runs: [{ location: `${page}/runs/${run?.name}` }] });
  expect([run?.rows.length, run?.exitCode, run?.state(Date.now())]).toEqual([20, 0, "finished"]);
  expect(run?.fields).toMatchObject({ displayName: "train", tags: ["a", "b"], notes: "why" });
  const before = server.requests.length;
  const again = await machine.sync("--backend", "wandb", "--wandb-project", "p");
  expect(again).toMatchObject({
    code: 0,
    location: page,
    runs: [{ outcome: "unchanged", location: page + `/runs/${run?.name}` }],
  });
  expect(server.requests.slice(before).filter(({ path }) => path !== "/graphql")).toEqual([]);
  const status = await machine.run("status", "runs");
  expect(status.stdout).toContain(`wandb ${server.uri} p\n`);
  expect(status.stdout).toMatch(new RegExp(`train +done .* ${run?.name}`));
  expect(await machine.run("forget", "runs", "--backend", "wandb")).toMatchObject({ code: 0 });
  expect(await machine.sync("--backend", "wandb", "--wandb-project", "p")).toMatchObject({ code: 0 });
  expect([server.runs("p").length, run?.rows.length]).toEqual([1, 20]);
});

test("a dry run needs no key, and asks nobody", async () => {
  const { machine, server } = await begin({});
  const { code, stderr } = await machine.run(...TO_WANDB, "--dry-run", "--wandb-project", "a:b");
  expect([code, stderr]).toEqual([0, expect.stringMatching(/called "a-b" there[^]*1 run: 1 to send/)]);
  expect(server.requests).toEqual([]);
});

test("`wandb login --host` is enough: the key in netrc, the server in the settings", async () => {
  const { machine, server } = await begin({});
  machine.env = {};
  const home = path.join(machine.root, "home");
  mkdirSync(path.join(home, ".config/wandb"), { recursive: true });
  writeFileSync(path.join(home, ".config/wandb/settings"), `[default]\nbase_url = ${server.uri}\n\n`);
  writeFileSync(
    path.join(home, ".netrc"),
    `machine ${new URL(server.uri).host}\n  login user\n  password ${API_KEY}\n`,
  );
  expect(await machine.run(...TO_WANDB)).toMatchObject({ code: 0 });
  expect(server.runs("uncategorized")).toHaveLength(1);
});

test("a project that a Python script names counts more than WANDB_PROJECT", async () => {
  const { machine, server } = await begin();
  const script = [
    "import tracelet_sync as tracelet",
    'tracelet.start_logging("x", project="said", backend="wandb").log_metric("loss", 0.5, 1)',
    "print(tracelet.stop_logging())",
  ];
  const env = { ...process.env, ...machine.env, WANDB_PROJECT: "env", PYTHONPATH: path.join(ROOT, "python") };
  const state = { HOME: machine.root, XDG_STATE_HOME: path.join(machine.root, "state") };
  const python = process.env["TRACELET_TEST_PYTHON"] ?? "python3";
  const options = { cwd: machine.root, env: { ...env, ...state } };
  const { stdout } = await promisify(execFile)(python, ["-c", script.join("\n")], options);
  expect([stdout, server.runs("said").map(({ rows }) => rows.length), server.runs("env")]).toEqual(["True\n", [1], []]);
});

test("options are in the help, in the configuration, and refused where they mean nothing", async () => {
  const { machine } = await begin();
  const { stdout } = await machine.run("sync", "--help");
  expect(stdout).toMatch(/\nWeights & Biases:\n +--wandb-project <name>/);
  machine.env = { ...machine.env, WANDB_PROJECT: "from-env" };
  const config = await machine.run("config", "--json", "--wandb-entity", "team");
  expect(JSON.parse(config.stdout)).toMatchObject({
    options: {
      wandbProject: { value: "from-env", from: "environment", variable: "WANDB_PROJECT" },
      wandbEntity: { value: "team", from: "flag" },
    },
  });
  const refused = await machine.run("sync", "runs", "--wandb-project", "p");
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringMatching(
      /an option of Weights & Biases, and this is --backend mlflow\n +drop it, or add --backend wandb/,
    ),
  ]);
  const both = await machine.run("sync", "runs", "--backend", "jsonl", "--output", "o", "--experiment", "e");
  expect(both.stderr).toContain("an option of MLflow and Weights & Biases, and this is --backend jsonl");
});
