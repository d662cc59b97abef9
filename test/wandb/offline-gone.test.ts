/** Offline directories that were moved, removed or damaged: no row is written under an id that may have it already. */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { WandbBackend } from "../../src/backends/wandb/backend.ts";
import { OfflineStore } from "../../src/backends/wandb/offline/offline-store.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import { curve, Place, RUNS } from "../../src/testing/place.ts";
import { offlineRuns } from "../support/wandb-log.ts";
import { PROJECT, pointsIn } from "./destination.ts";

let root: string;
let place: Place;
let resendsDeleted: boolean;
let wandbEntity: string | undefined;
beforeEach(() => {
  resendsDeleted = false;
  wandbEntity = undefined;
  place = new Place((folder) => {
    root = folder;
    const connect = () =>
      new WandbBackend({
        store: new OfflineStore(new OutputDirectory(folder, "WANDB_DIR")),
        place: readPlace({ wandbProject: PROJECT, wandbEntity }, {}),
        live: false,
        resendsDeleted,
      });
    const points = () => new Map(offlineRuns(folder).map(({ name, rows }) => [name, rows.flatMap(pointsIn)]));
    return { connect, points, keepsMarks: true };
  });
  place.fill();
});
afterEach(() => place.remove());

const [run = ""] = RUNS;
const idOf = (directory: string) => path.basename(directory).slice("offline-run-YYYYMMDD_HHMMSS-".length);
const idsIn = (folder: string) => offlineRuns(folder).map(({ directory }) => idOf(directory));
const errorsOf = ({ runs }: Awaited<ReturnType<Place["sync"]>>) => runs.flatMap(({ error }) => error ?? []);
/** All points of a run in its newest directory. */
const newest = (name: string) => offlineRuns(root).findLast((each) => each.name === name);

describe.each(["moved", "removed"])("the whole directory was %s", (how) => {
  const clear = (to: string) => {
    if (how === "moved") renameSync(root, to);
    else rmSync(root, { recursive: true });
  };

  test("the runs are not written again under their ids, but under new ones if that is asked for", async () => {
    await place.complete();
    const used = idsIn(root);
    clear(`${root}-1`);
    for (const name of RUNS) place.grow(name, curve("loss", 20, 30));
    expect(errorsOf(await place.sync()).map(({ code }) => code)).toEqual(["deleted", "deleted"]);
    expect(offlineRuns(root)).toEqual([]);
    resendsDeleted = true;
    for (const folder of [2, 3]) {
      await place.complete();
      const ids = idsIn(root);
      expect(ids.filter((id) => used.includes(id))).toEqual([]);
      used.push(...ids);
      clear(`${root}-${folder}`);
    }
  });
});

describe("a log that is damaged", () => {
  const damage = (isUploaded: boolean) => {
    const { directory } = newest(run) ?? { directory: "" };
    const file = path.join(directory, `run-${idOf(directory)}.wandb`);
    if (isUploaded) writeFileSync(`${file}.synced`, "");
    const whole = readFileSync(file);
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    writeFileSync(file, bytes);
    return { file, bytes, whole };
  };

  test.each([true, false])("uploaded: %s: it is named, and stays as it is", async (isUploaded) => {
    await place.complete();
    const before = readdirSync(root).sort();
    const { file, bytes, whole } = damage(isUploaded);
    place.grow(run, curve("loss", 20, 30));
    for (const state of ["state", "another"]) {
      const [error, ...others] = errorsOf(await place.sync(state));
      expect(others).toEqual([]);
      expect(error).toMatchObject({ code: "deleted", message: expect.stringContaining(file) });
      expect(error?.hint).toContain("--resend-deleted");
    }
    expect(readFileSync(file)).toEqual(bytes);
    expect(readdirSync(root).sort()).toEqual(before);
    writeFileSync(file, whole);
    if (!isUploaded) await place.complete();
    else expect(errorsOf(await place.sync())).toEqual([]);
  });

  test("all of the run can be written as a new one", async () => {
    await place.complete();
    const { file, bytes, whole } = damage(false);
    resendsDeleted = true;
    expect(errorsOf(await place.sync())).toEqual([]);
    expect(readFileSync(file)).toEqual(bytes);
    writeFileSync(file, whole);
    const written = offlineRuns(root).filter(({ name }) => name === run);
    expect(written.map(({ rows }) => rows)).toEqual([written[0]?.rows, written[0]?.rows]);
    expect(new Set(written.map(({ directory }) => idOf(directory))).size).toBe(2);
  });
});

describe("an entity that is given later", () => {
  test("may be that of who uploads: nothing is written before it is told", async () => {
    await place.complete();
    const before = idsIn(root);
    wandbEntity = "team";
    const [error] = errorsOf(await place.sync("another"));
    expect(error).toMatchObject({
      code: "deleted",
      message: expect.stringContaining("no entity, not for the entity team"),
    });
    expect(idsIn(root)).toEqual(before);
    resendsDeleted = true;
    expect(errorsOf(await place.sync("another"))).toEqual([]);
    expect(new Set(idsIn(root)).size).toBe(4);
  });

  test("instead of another one, is another place", async () => {
    wandbEntity = "team";
    await place.complete();
    wandbEntity = "other";
    expect(errorsOf(await place.sync("another"))).toEqual([]);
    expect(offlineRuns(root)).toHaveLength(4);
  });

  test("also where the directories were moved away", async () => {
    wandbEntity = "team";
    await place.complete();
    for (const { directory } of offlineRuns(root)) rmSync(directory, { recursive: true });
    wandbEntity = undefined;
    const [error] = errorsOf(await place.sync("another"));
    expect(error?.message).toContain("the entity team, not for no entity");
    wandbEntity = "team";
    place.grow(run, curve("loss", 20, 30));
    expect(errorsOf(await place.sync())).toEqual([]);
    expect(newest(run)?.rows[0]?.["_step"]).toBeGreaterThan(0);
  });
});
