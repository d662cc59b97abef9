/**
 * Is the destination still as it was left? It may have been restored from a backup, emptied or replaced, and runs may have
 * been deleted. So the destination is asked; the local state is not trusted.
 */
import { TraceletError } from "../../errors.ts";
import type { Backend } from "../backend.ts";
import { hashText } from "../source/fingerprint.ts";
import type { Checkpoints } from "../state/checkpoints.ts";
import type { StoredRun } from "../state/stored-run.ts";

export interface Surveying {
  readonly backend: Backend;
  readonly checkpoints: Checkpoints;
  /** What is remembered of the destination's runs, by name; those that have changed there are marked as not `done`. */
  readonly stored: ReadonlyMap<string, readonly StoredRun[]>;
}

/** Ask the destination. @returns the runs that have changed there @throws TraceletError */
export async function survey(surveying: Surveying): Promise<ReadonlySet<StoredRun>> {
  const { backend, checkpoints, stored } = surveying;
  const runs = [...stored.values()].flat().filter(({ remoteId }) => remoteId !== undefined);
  if (runs.length === 0) return new Set();
  const lost = await settle(surveying);
  const known = runs.map(({ name, remoteId, files, done, isConfirmed }) => {
    return { id: remoteId as string, source: hashText(name), marks: files, isDone: done, isConfirmed };
  });
  const before = checkpoints.memory();
  const { changes, memory } = await backend.survey(known, before);
  const changed = runs.filter(({ remoteId }) => changes.has(remoteId as string));
  checkpoints.reopen(changed);
  if (memory !== undefined && memory !== before) checkpoints.remember(memory);
  return new Set([...lost, ...changed]);
}

/** Find out whether another machine has created runs for the same sources. @returns the runs to continue in those */
export async function settle({ backend, checkpoints, stored }: Surveying): Promise<readonly StoredRun[]> {
  const ids = await backend.settle();
  if (ids.size === 0) return [];
  const lost = [...stored.values()].flat().filter(({ remoteId }) => remoteId !== undefined && ids.has(remoteId));
  checkpoints.reopen(lost);
  return lost;
}

/** Leave something at the destination by which the next survey recognizes it, if anything was sent since the last time. */
export async function confirm({ backend, checkpoints, stored }: Surveying): Promise<void> {
  const runs = [...stored.values()]
    .flat()
    .filter(({ remoteId, isConfirmed }) => remoteId !== undefined && !isConfirmed);
  if (runs.length === 0) return;
  // Whatever is saved of a run from here on is newer than this.
  for (const run of runs) run.isConfirmed = true;
  try {
    const memory = await backend.confirm(checkpoints.memory());
    if (memory === undefined) return;
    checkpoints.remember(
      memory,
      runs.filter(({ isConfirmed }) => isConfirmed),
    );
  } catch (error) {
    for (const run of runs) run.isConfirmed = false;
    // Everything is sent; the next survey looks more closely.
    if (!(error instanceof TraceletError) || error.code === "state") throw error;
  }
}
