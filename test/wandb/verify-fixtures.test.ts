/** Every fixture, sent with all that is in it, is there as it was sent: verify finds no difference, and tells one that is made. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import { WandbReader } from "../../src/backends/wandb/reader.ts";
import { sync } from "../../src/sync/engine/once.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { verifyWandb } from "../../src/verify/wandb/verify.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { connect, PROJECT } from "./destination.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const names = readdirSync(FIXTURES).filter((name) => existsSync(path.join(FIXTURES, name, "runs")));

test.each(names)("%s", async (name) => {
  const stateDir = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-verify-"));
  const server = await WandbServer.start();
  const source = {
    logdirs: [path.join(FIXTURES, name, "runs")],
    quarantine: { add: async () => "quarantine" },
    group: "run",
    restarts: "explicit",
    transform: { includeTags: [], excludeTags: [], nan: "keep" },
    attachSource: true,
    maxRecordBytes: 1 << 28,
    wantsRun: () => true,
    concurrency: 2,
    signal: new AbortController().signal,
  } as const;
  const backend = connect(server.uri);
  const checkpoints = Checkpoints.open(stateDir, "destination");
  const base = server.uri;
  const store = new WandbApi({ base, access: readLogin(base, { WANDB_API_KEY: API_KEY }, "/nowhere") });
  const verify = () =>
    verifyWandb({
      ...source,
      ...{ store, reader: new WandbReader(store) },
      place: readPlace({ wandbProject: PROJECT, wandbEntity: undefined }, { WANDB_BASE_URL: base }),
    });
  try {
    await sync({ ...source, backend, checkpoints });
    const { runs } = await verify();
    for (const run of runs) {
      expect([run.name, run.error, run.findings.differences]).toEqual([run.name, undefined, []]);
      expect(["equal", "empty", "copy"]).toContain(run.outcome);
    }
    for (const { files } of server.runs(PROJECT)) {
      const [file, kept] = [...files].find(([path]) => path.startsWith("media/")) ?? [];
      if (file !== undefined && kept !== undefined) files.set(file, { ...kept, md5: "another" });
    }
    const changed = server
      .runs(PROJECT)
      .some(({ files }) => [...files.keys()].some((path) => path.startsWith("media/")));
    const after = await verify();
    expect(after.runs.some(({ outcome }) => outcome === "different")).toBe(changed);
  } finally {
    checkpoints.close();
    await backend.close();
    await store.close();
    await server.stop();
    rmSync(stateDir, { recursive: true });
  }
});
