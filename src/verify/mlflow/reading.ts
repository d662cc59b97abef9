/** One reading of the source for a verification: every value passes through the engine and the backend, and is sent nowhere. */
import os from "node:os";
import { MlflowBackend } from "../../backends/mlflow/backend.ts";
import type { MlflowStore } from "../../backends/mlflow/store.ts";
import { type SyncOptions, sync } from "../../sync/engine/once.ts";
import type { SyncResult } from "../../sync/engine/sync-result.ts";
import { Checkpoints } from "../../sync/state/checkpoints.ts";
import type { Choice } from "../../sync/transform/choice.ts";
import { type Expectations, VerifyStore } from "./store.ts";

export interface VerifyOptions extends Omit<SyncOptions, "backend" | "checkpoints" | "onRun" | "trace"> {
  /** Only read; not closed. */
  readonly store: MlflowStore;
  readonly experiment: string;
  /** Version of tracelet, for the pages. */
  readonly version: string;
  /** The largest file that was to be stored, bytes; left out: any. */
  readonly maxArtifactBytes?: number | undefined;
  /** Items of either side that are held at once, 24 bytes each. Default 750,000. */
  readonly itemsHeld?: number | undefined;
}

/** What the source holds now. @param expectations told all that would be sent */
export async function readSource(
  { store, experiment, version, maxArtifactBytes, ...options }: VerifyOptions,
  expectations: Expectations,
): Promise<{ result: SyncResult; location: string | undefined }> {
  const backend = new MlflowBackend({
    store: new VerifyStore(store, expectations),
    experiment,
    version,
    keepsMarks: false,
    giveUpAfterMs: 0,
    maxArtifactBytes,
  });
  // No state can be there: it is empty, and kept nowhere.
  const checkpoints = Checkpoints.open(os.devNull, "", { readOnly: true });
  try {
    return {
      result: await sync({ ...options, passesNamedFiles: true, backend, checkpoints }),
      location: backend.location(),
    };
  } finally {
    checkpoints.close();
  }
}

/** The same options with another choice. */
export function withChoice(
  options: VerifyOptions,
  { restarts, transform, limits, maxFileBytes, maxRecordBytes }: Choice,
): VerifyOptions {
  return { ...options, restarts, transform, limits, maxArtifactBytes: maxFileBytes, maxRecordBytes };
}

/** Whether a run of the destination is one of these, by its name in a reading's result. */
export function runsOf(
  runs: SyncResult["runs"],
  wanted: Iterable<{ readonly id: string }>,
): NonNullable<SyncOptions["wantsGroup"]> {
  const ids = new Set(Array.from(wanted, ({ id }) => id));
  // Copies in several logdirs are one run there.
  const names = new Set(runs.flatMap(({ remoteId = "", name }) => (ids.has(remoteId) ? [name] : [])));
  return (name) => names.has(name);
}
