/** Weights & Biases, from a program. */
import { rmSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openWandb } from "../../src/backends/wandb/index.ts";
import { sync } from "../../src/index.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { curve, fileOf, records } from "../sync/world.ts";

let root: string;
let logdir: Logdir;
let server: WandbServer;

beforeEach(async () => {
  root = temporaryDirectory();
  logdir = new Logdir(path.join(root, "runs"));
  logdir.write("train", fileOf(curve("loss", 0, 10)));
  server = await WandbServer.start();
  vi.stubEnv("WANDB_BASE_URL", server.uri);
  vi.stubEnv("WANDB_API_KEY", API_KEY);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
  rmSync(root, { recursive: true });
});

test("one call sends, and tells where", async () => {
  const notes: string[] = [];
  const stateDir = path.join(root, "state");
  const call = { logdirs: logdir.root, backend: "wandb", experiment: "mnist", stateDir } as const;
  const { ok, destinations } = await sync({ ...call, onNote: (note) => notes.push(note) });
  const location = `${server.uri}/ada/mnist`;
  expect([ok, notes]).toEqual([true, [`sending to ${location}`]]);
  expect(destinations).toMatchObject([{ destination: "wandb", location, runs: [{ outcome: "sent" }] }]);
  expect(server.runs("mnist")[0]?.rows).toHaveLength(10);
  await expect(sync({ ...call, backend: "jsonl", output: root })).rejects.toMatchObject({
    code: "usage",
    message: "experiment is an option of MLflow and Weights & Biases, and this is backend jsonl",
  });
});

test("a destination that is opened once is sent to several times", async () => {
  const destination = openWandb({ wandbProject: "p" });
  const call = { logdirs: logdir.root, destination, stateDir: path.join(root, "state") };
  expect(await sync(call)).toMatchObject({ ok: true });
  logdir.append("train", records(curve("loss", 10, 13)));
  expect(await sync(call)).toMatchObject({ ok: true, destinations: [{ location: `${server.uri}/ada/p` }] });
  await destination.backend.close();
  expect(server.runs("p")[0]?.rows).toHaveLength(13);
  vi.stubEnv("WANDB_API_KEY", "short");
  expect(() => openWandb()).toThrow(expect.objectContaining({ code: "auth" }));
});
