/**
 * Is the destination still as it was left? It may have been restored from a backup, emptied or replaced, and runs may have
 * been deleted: what is there is asked, not believed.
 */
import { TraceletError } from "../../errors.ts";
import type { Backend } from "../backend.ts";
import { hashText } from "../source/fingerprint.ts";
import type { Checkpoints } from "../state/checkpoints.ts";
import type { StoredRun } from "../state/stored-run.ts";

export interface Surveying {
  readonly backend: Backend;
  readonly checkpoints: Checkpoints;
  /** What is remembered of the destination's runs, by name; those that are not as they were left are `done` no longer. */
  readonly stored: ReadonlyMap<string, readonly StoredRun[]>;
}

/** Ask the destination. @returns the runs that are not as they were left @throws TraceletError */
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

/** Find out whether others have made runs of the same sources. @returns the runs that have to go on in another's */
export async function settle({ backend, checkpoints, stored }: Surveying): Promise<readonly StoredRun[]> {
  const ids = await backend.settle();
  if (ids.size === 0) return [];
  const lost = [...stored.values()].flat().filter(({ remoteId }) => remoteId !== undefined && ids.has(remoteId));
  checkpoints.reopen(lost);
  return lost;
}

/** Leave the destination something to be known again by, if anything was sent since that was last done. */
export async function confirm({ backend, checkpoints, stored }: Surveying): Promise<void> {
  const runs = [...stored.values()]
    .flat()
    .filter(({ remoteId, isConfirmed }) => remoteId !== undefined && !isConfirmed);
  if (runs.length === 0) return;
  // What is saved of a run from here on is later than what is left now.
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
    // All is sent; the next survey takes a closer look.
    if (!(error instanceof TraceletError) || error.code === "state") throw error;
  }
}
