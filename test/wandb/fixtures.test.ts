/** Every fixture: each scalar that is sent is there, in rows that were sent once. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { sync } from "../../src/sync/engine/once.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT, pointsIn } from "./destination.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const names = readdirSync(FIXTURES).filter((name) => existsSync(path.join(FIXTURES, name, "runs")));

test.each(names)("%s", async (name) => {
  const stateDir = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-"));
  const server = await WandbServer.start();
  const backend = connect(server.uri);
  const checkpoints = Checkpoints.open(stateDir, "destination");
  try {
    const { error, runs } = await sync({
      logdirs: [path.join(FIXTURES, name, "runs")],
      backend,
      checkpoints,
      quarantine: { add: async () => "quarantine" },
      group: "run",
      restarts: "explicit",
      transform: { includeTags: [], excludeTags: [], nan: "keep" },
      attachSource: false,
      maxRecordBytes: 1 << 28,
      wantsRun: () => true,
      concurrency: 2,
      signal: new AbortController().signal,
    });
    expect([error, ...runs.map((run) => run.error)].filter((each) => each !== undefined)).toEqual([]);
    const tallies = runs.flatMap(({ tally }) => tally.kinds.get("scalars") ?? []);
    const points = server.runs(PROJECT).flatMap((run) => run.rows.flatMap(pointsIn));
    const obsolete = tallies.map(({ skipped }) => skipped.get("obsolete") ?? 0);
    expect(points).toHaveLength(tallies.reduce((all, { read }) => all + read, 0) - obsolete.reduce((a, b) => a + b, 0));
    expect(tallies.reduce((all, { sent }) => all + sent, 0)).toBe(points.length);
    for (const run of server.runs(PROJECT)) expect(faultsOf(run)).toEqual(NO_FAULTS);
  } finally {
    checkpoints.close();
    await backend.close();
    await server.stop();
    rmSync(stateDir, { recursive: true });
  }
});
