/** The experiment that runs go into: what it is called, and what its name tells of the database. */

import { fitted, storableName } from "../storable-text.ts";
import { inOtherCase } from "./collation.ts";
import type { ExperimentRecord, MlflowStore } from "./store.ts";

/** Of experiments.name. Source: mlflow/store/tracking/dbmodels/models.py. SQLite stores more, PostgreSQL refuses it. */
const MAX_NAME = 256;

/** What an experiment is called where the name it is asked for does not fit its column. */
export function experimentName(asked: string): string {
  return fitted(storableName(asked), MAX_NAME);
}

export async function findExperiment(store: MlflowStore, asked: string): Promise<ExperimentRecord | undefined> {
  const name = experimentName(asked);
  // Versions before 0.2 gave SQLite any name as it was.
  const before = name === asked ? undefined : await store.experimentByName(asked);
  return before ?? store.experimentByName(name);
}

/**
 * Whether the database takes names for one that differ in their case; where nothing tells, it is taken to do so.
 *
 * All columns of a database compare alike unless somebody saw to it, and it is experiments that can be asked for by name.
 */
export async function foldsNames(store: MlflowStore, asked: string): Promise<boolean> {
  for (const name of [experimentName(asked), "Default"]) {
    const other = inOtherCase(name);
    const found = other === undefined ? undefined : await store.experimentByName(name);
    if (other !== undefined && found !== undefined) return (await store.experimentByName(other))?.id === found.id;
  }
  return true;
}
