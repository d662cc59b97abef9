/** Runs in offline directories: what every destination keeps, whenever the process ends, and what W&B's client has uploaded. */
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { WandbBackend } from "../../src/backends/wandb/backend.ts";
import { OfflineStore } from "../../src/backends/wandb/offline/offline-store.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import type { Point } from "../../src/testing/event-file.ts";
import { curve, Place, RUNS } from "../../src/testing/place.ts";
import { describeContract } from "../contract/describe-contract.ts";
import { offlineRuns } from "../support/wandb-log.ts";
import { PROJECT, pointsIn } from "./destination.ts";

function connect(root: string): WandbBackend {
  const place = readPlace({ wandbProject: PROJECT, wandbEntity: undefined }, {});
  return new WandbBackend({ store: new OfflineStore(new OutputDirectory(root, "WANDB_DIR")), place, live: false });
}

function pointsOf(root: string): Map<string, Point[]> {
  const points = new Map<string, Point[]>();
  for (const { name, rows } of existsSync(root) ? offlineRuns(root) : [])
    points.set(name, [...(points.get(name) ?? []), ...rows.flatMap(pointsIn)]);
  return points;
}

const destination = (root: string) => ({
  connect: () => connect(root),
  points: () => pointsOf(root),
  keepsMarks: true,
});

describeContract("Weights & Biases, offline", destination);

let root: string;
let place: Place;
beforeEach(() => {
  place = new Place((folder) => {
    root = folder;
    return destination(folder);
  });
  place.fill();
});
afterEach(() => place.remove());

const logOf = (run: string): string => {
  const { directory } = offlineRuns(root).findLast(({ name }) => name === run) ?? { directory: "" };
  return path.join(directory, readdirSync(directory).find((name) => name.endsWith(".wandb")) ?? "");
};
/** As W&B's client leaves a directory that it has uploaded. */
const upload = (run: string) => {
  const log = logOf(run);
  writeFileSync(`${log}.syncstate`, '{"starting_step":0}');
  writeFileSync(`${log}.synced`, "");
  return readFileSync(log);
};

test("a run is one directory, which ends with its exit record, also where it grew", async () => {
  await place.complete();
  for (const run of RUNS) place.grow(run, curve("loss", 20, 30));
  await place.complete();
  const runs = offlineRuns(root);
  expect(runs).toHaveLength(RUNS.length);
  for (const { rows, exitCodes, kinds } of runs) {
    expect(rows.map(({ _step }) => _step)).toEqual(rows.map((_row, line) => line));
    expect(exitCodes).toEqual([0]);
    expect(kinds.slice(0, 2)).toEqual(["header", "run"]);
    expect(kinds.at(-1)).toBe("exit");
  }
});

describe("a process that ended", () => {
  const [run = ""] = RUNS;

  test("while it appended: whatever of it is there, nothing is lost or doubled", { timeout: 120_000 }, async () => {
    await place.complete();
    const log = logOf(run);
    const whole = readFileSync(log);
    // The header of the file and the record of the run were there in one.
    const first = whole.length - 2600;
    for (let size = whole.length - 1; size > first; size -= 131) {
      truncateSync(log, size);
      rmSync(place.stateDir("state"), { recursive: true, force: true });
      await place.complete();
      expect(offlineRuns(root).map(({ exitCodes }) => exitCodes)).toEqual([[0], [0]]);
      writeFileSync(log, whole);
    }
  });

  test("with other bytes behind the last record", async () => {
    await place.complete();
    appendFileSync(logOf(run), Buffer.alloc(40_000, 7));
    place.grow(run, curve("loss", 20, 30));
    await place.complete();
  });
});

describe("a run that grows after its directory was uploaded", () => {
  const [run = ""] = RUNS;

  test("goes on in another directory, and the first one is left as it is", async () => {
    await place.complete();
    const rowsBefore = offlineRuns(root).find(({ name }) => name === run)?.rows.length;
    upload(run);
    place.grow(run, curve("loss", 20, 30));
    await place.complete();
    const [first, second, ...others] = offlineRuns(root).filter(({ name }) => name === run);
    expect(others).toEqual([]);
    expect(first?.rows).toHaveLength(rowsBefore ?? 0);
    expect(second?.rows.map(({ _step }) => _step)).toEqual(Array.from({ length: 10 }, (_, i) => (rowsBefore ?? 0) + i));
    expect(second?.exitCodes).toEqual([0]);
    expect(path.basename(second?.directory ?? "") > path.basename(first?.directory ?? "")).toBe(true);
  });

  test("makes no directory where there is nothing new", async () => {
    await place.complete();
    upload(run);
    await place.complete();
    rmSync(place.stateDir("state"), { recursive: true, force: true });
    await place.complete();
    expect(offlineRuns(root).filter(({ name }) => name === run)).toHaveLength(1);
  });

  test("goes on where it ended, also if the directory was cleared", async () => {
    await place.complete();
    const [before] = offlineRuns(root).filter(({ name }) => name === run);
    rmSync(before?.directory ?? "", { recursive: true });
    place.grow(run, curve("loss", 20, 30));
    expect(await place.sync()).toMatchObject({ runs: [{ error: undefined }, { error: undefined }] });
    const [after, ...others] = offlineRuns(root).filter(({ name }) => name === run);
    expect(others).toEqual([]);
    const lines = before?.rows.length ?? 0;
    expect(after?.rows.map(({ _step }) => _step)).toEqual(Array.from({ length: 10 }, (_, i) => lines + i));
  });
});

test("a directory that is gone from under a run that has not ended: nothing is written twice, and it is told", async () => {
  const [run = ""] = RUNS;
  await place.complete();
  const [before] = offlineRuns(root).filter(({ name }) => name === run);
  const id = path.basename(before?.directory ?? "").slice("offline-run-YYYYMMDD_HHMMSS-".length);
  // As it is while it runs.
  rmSync(path.join(root, ".tracelet", id, `run-${id}.wandb`));
  rmSync(before?.directory ?? "", { recursive: true });
  place.grow(run, curve("loss", 20, 30));
  const { runs } = await place.sync();
  expect(runs.flatMap(({ error }) => error?.code ?? [])).toEqual(["deleted"]);
  expect(offlineRuns(root).map(({ name }) => name)).toEqual(RUNS.filter((name) => name !== run));
});
