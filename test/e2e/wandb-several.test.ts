/**
 * The fixtures to MLflow, whose client reads them back, and to a W&B server in one command, of which the one is away for the
 * first half: both have the same points then.
 */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WandbServer } from "../support/wandb-server/server.ts";
import { freePort } from "./support/mlflow-server.ts";
import { byTag, readMlflow } from "./support/python.ts";
import { toWandb } from "./support/wandb-destination.ts";
import { pointsOf, type TwinPoints } from "./support/wandb-twin.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const NAME = "several";

let workspace: string;
/** MLflow's own database. A server before it would take minutes for as many small runs. */
let mlflow: string;
let wandb: WandbServer | undefined;

beforeAll(() => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-several-"));
  mkdirSync(path.join(workspace, "runs"));
  mlflow = `sqlite:///${path.join(workspace, "mlflow.db")}`;
});

afterAll(async () => {
  await wandb?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

interface SeveralJson {
  readonly destinations: readonly { readonly backend: string; readonly outcome: string }[];
}

/** @param uri of the W&B server @returns how it went, by destination */
async function sync(uri: string): Promise<{ [backend: string]: string }> {
  const { stdout, stderr } = await toWandb({ uri }, [
    ...["sync", path.join(workspace, "runs"), "--backend", "mlflow,wandb", "--json", "--only", "scalars"],
    ...["--tracking-uri", mlflow, "--experiment", NAME, "--wandb-project", NAME],
    ...["--state-dir", path.join(workspace, "state"), "--give-up-after", "1s"],
  ]);
  if (stdout === "") throw new Error(stderr);
  const { destinations } = JSON.parse(stdout) as SeveralJson;
  return Object.fromEntries(destinations.map(({ backend, outcome }) => [backend, outcome]));
}

/** Each `step value` of each tag once, as MLflow's databases hold them: there, equal ones are one. */
function steps(points: readonly (readonly [step: string, value: number])[]): string[] {
  const stored = (value: number) => Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value)) + 0;
  return [...new Set(points.map(([step, value]) => `${step} ${stored(value)}`))].sort();
}

/** MLflow has no place for all characters of a tag: those tags are told by their digest. */
function tagOf(name: string): string {
  const digest = /sha256:[0-9a-f]{64}$/.exec(name)?.[0];
  if (digest !== undefined) return digest;
  return /[\p{Cc}\p{Cf}]/u.test(name) ? `sha256:${createHash("sha256").update(name).digest("hex")}` : name;
}

function ofWandb(points: TwinPoints): { [tag: string]: string[] } {
  return Object.fromEntries(
    Object.entries(points).map(([tag, all]) => [
      tagOf(tag),
      steps(all.map(({ step, value }) => [step, Number(value)])),
    ]),
  );
}

test("both have the same points, also where W&B was away for the first half", async () => {
  const names = readdirSync(FIXTURES).filter((name) => existsSync(path.join(FIXTURES, name, "runs")));
  const [first, second] = [names.filter((_, i) => i % 2 === 0), names.filter((_, i) => i % 2 === 1)];
  const add = (some: readonly string[]) => {
    for (const name of some)
      cpSync(path.join(FIXTURES, name, "runs"), path.join(workspace, "runs", name), { recursive: true });
  };
  add(first);
  const port = await freePort();
  const away = await sync(`http://127.0.0.1:${port}`);
  expect(away["wandb"]).toBe("failed");
  const before = (await readMlflow(mlflow, NAME)).runs.length;
  expect(before).toBeGreaterThan(first.length);

  wandb = await WandbServer.start({ port });
  add(second);
  await sync(wandb.uri);
  // Nothing is sent again.
  const requests = wandb.operations("UpsertBucket").length;
  await sync(wandb.uri);
  expect(wandb.operations("UpsertBucket")).toHaveLength(requests);

  const { runs } = await readMlflow(mlflow, NAME);
  const inMlflow = Object.fromEntries(
    runs.map((run) => [
      run.name,
      Object.fromEntries(
        Object.entries(byTag(run)).map(([tag, points]) => [
          tagOf(tag),
          steps(points.map(([step, , value]) => [step, Number(value)])),
        ]),
      ),
    ]),
  );
  const inWandb = Object.fromEntries(wandb.runs(NAME).map((run) => [run.fields.displayName, ofWandb(pointsOf(run))]));
  expect(Object.keys(inWandb).sort()).toEqual(Object.keys(inMlflow).sort());
  for (const [run, tags] of Object.entries(inMlflow)) expect([run, inWandb[run]]).toEqual([run, tags]);
});
