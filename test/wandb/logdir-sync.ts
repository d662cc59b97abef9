/** A sync of a logdir by the engine, with a state of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "vitest";
import { type SyncOptions, sync } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import type { WandbServer } from "../support/wandb-server/server.ts";
import { connect } from "./destination.ts";

/** @param options what is not the default @throws AssertionError if a run fails */
export async function syncLogdir(
  logdir: string,
  server: WandbServer,
  options: Partial<SyncOptions> = {},
): Promise<SyncResult["runs"]> {
  const stateDir = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-"));
  const backend = connect(server.uri);
  const checkpoints = Checkpoints.open(stateDir, "destination");
  try {
    const { error, runs } = await sync({
      logdirs: [logdir],
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
      ...options,
    });
    expect([error, ...runs.map((run) => run.error)].filter((each) => each !== undefined)).toEqual([]);
    return runs;
  } finally {
    checkpoints.close();
    await backend.close();
    rmSync(stateDir, { recursive: true });
  }
}
