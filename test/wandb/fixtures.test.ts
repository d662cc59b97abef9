/** Every fixture: each scalar that is sent is there, in rows that were sent once. */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { WandbServer } from "../support/wandb-server/server.ts";
import { faultsOf, NO_FAULTS, PROJECT, pointsIn } from "./destination.ts";
import { syncLogdir } from "./logdir-sync.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const names = readdirSync(FIXTURES).filter((name) => existsSync(path.join(FIXTURES, name, "runs")));

test.each(names)("%s", async (name) => {
  const server = await WandbServer.start();
  try {
    const runs = await syncLogdir(path.join(FIXTURES, name, "runs"), server);
    const tallies = runs.flatMap(({ tally }) => tally.kinds.get("scalars") ?? []);
    const points = server.runs(PROJECT).flatMap((run) => run.rows.flatMap(pointsIn));
    const obsolete = tallies.map(({ skipped }) => skipped.get("obsolete") ?? 0);
    expect(points).toHaveLength(tallies.reduce((all, { read }) => all + read, 0) - obsolete.reduce((a, b) => a + b, 0));
    expect(tallies.reduce((all, { sent }) => all + sent, 0)).toBe(points.length);
    for (const run of server.runs(PROJECT)) expect(faultsOf(run)).toEqual(NO_FAULTS);
  } finally {
    await server.stop();
  }
});
