/** One logdir with the network and without it, in turns: the run is the same one, and an upload adds rows behind the server's. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { WandbBackend } from "../../src/backends/wandb/backend.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { EndedRuns } from "../../src/backends/wandb/offline/ended-runs.ts";
import { OfflineStore } from "../../src/backends/wandb/offline/offline-store.ts";
import { OnlineApi } from "../../src/backends/wandb/offline/online-api.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import type { Point } from "../../src/testing/event-file.ts";
import { curve, Place, RUNS } from "../../src/testing/place.ts";
import { offlineRuns } from "../support/wandb-log.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { PROJECT, pointsIn, pointsOf } from "./destination.ts";

let server: WandbServer;
let place: Place;
let root: string;
let isOnline: boolean;
let resendsDeleted: boolean;
beforeEach(async () => {
  server = await WandbServer.start();
  isOnline = resendsDeleted = false;
  place = new Place((folder) => {
    root = folder;
    const connect = () => {
      const output = new OutputDirectory(folder, "WANDB_DIR");
      const access = readLogin(server.uri, { WANDB_API_KEY: API_KEY }, "/nowhere");
      const store = isOnline
        ? new OnlineApi({ base: server.uri, access }, new EndedRuns(output))
        : new OfflineStore(output);
      const to = readPlace({ wandbProject: PROJECT, wandbEntity: undefined }, { WANDB_BASE_URL: server.uri });
      return new WandbBackend({ store, place: to, live: false, resendsDeleted });
    };
    const written = () =>
      new Map<string, Point[]>(offlineRuns(folder).map(({ name, rows }) => [name, rows.flatMap(pointsIn)]));
    return { connect, points: () => (isOnline ? pointsOf(server) : written()), keepsMarks: true };
  });
  place.fill();
});
afterEach(async () => {
  place.remove();
  await server.stop();
});

/** Each has a state of its own. */
const sync = (online: boolean) => {
  isOnline = online;
  return place.sync(online ? "online" : "offline");
};
const errorsOf = ({ runs }: Awaited<ReturnType<Place["sync"]>>) => runs.flatMap(({ error }) => error ?? []);
const idsIn = (folder: string) => offlineRuns(folder).map(({ directory }) => directory.slice(-16));

test("what was not uploaded is not sent over the network, too", async () => {
  await sync(false);
  const errors = errorsOf(await sync(true));
  expect(errors.map(({ code }) => code)).toEqual(["rejected", "rejected"]);
  expect(errors[0]?.hint).toContain("wandb sync");
  expect(server.runs(PROJECT).flatMap(({ rows }) => rows)).toEqual([]);
});

test("a run that went on over the network does not go on offline, but under another id if that is asked for", async () => {
  isOnline = true;
  await place.complete("online");
  // As if it had been written here first, and uploaded.
  const offline = new EndedRuns(new OutputDirectory(root, "WANDB_DIR"));
  const ids = server.runs(PROJECT).map(({ name }) => name);
  for (const name of ids) offline.begin({ entity: "", project: PROJECT, name });
  for (const run of RUNS) place.grow(run, curve("loss", 20, 30));
  await place.complete("online");
  for (const run of RUNS) place.grow(run, curve("loss", 30, 40));
  const errors = errorsOf(await sync(false));
  expect(errors.map(({ code }) => code)).toEqual(["deleted", "deleted"]);
  expect(errors[0]?.message).toContain("went on over the network");
  expect(offlineRuns(root)).toEqual([]);
  isOnline = true;
  await place.complete("online");
  resendsDeleted = true;
  isOnline = false;
  await place.complete("offline");
  expect(idsIn(root).filter((id) => ids.includes(id))).toEqual([]);
});

test("a run that was uploaded goes on offline as long as nothing was added to it", async () => {
  await sync(false);
  const before = offlineRuns(root);
  for (const { directory } of before)
    writeFileSync(path.join(directory, `run-${directory.slice(-16)}.wandb.synced`), "");
  for (const run of RUNS) place.grow(run, curve("loss", 20, 30));
  expect(errorsOf(await sync(false))).toEqual([]);
  expect(offlineRuns(root)).toHaveLength(4);
});
