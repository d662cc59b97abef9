/** A run as it is created: its name, its note, and the tags by which it is found again. */
import { randomUUID } from "node:crypto";
import os from "node:os";
import type { RunDescription } from "../../sync/backend.ts";
import { noteOf } from "../run-note.ts";
import { asciiName, fitted, isAscii, storableName } from "../storable-text.ts";
import { tagOfMark } from "./marks.ts";
import type { NewRun } from "./store.ts";
import { milliseconds } from "./wall-time.ts";

export const PARENT_TAG = "mlflow.parentRunId";
export const RUN_TAG = "tracelet.run";
/** The first `RUN_TAG` of a run that was renamed: its images are known by it for ever. */
export const SOURCE_TAG = "tracelet.source";
/** What it was called because the user asked for it, as long as it is not called by its source. */
export const NAME_TAG = "tracelet.name";
/** When it was made, in ms by its maker's clock, and something that no other has: who comes first counts. */
export const CREATED_TAG = "tracelet.created";
/** On a run whose files hold other data now: the run that these became. */
export const REPLACED_TAG = "tracelet.replaced_by";
/** On a run that was deleted because there was another one of its source: which one. */
export const DUPLICATE_TAG = "tracelet.duplicate_of";

export const NOTE_TAG = "mlflow.note.content";
/** The longest tag that every MLflow stores whole. */
const MAX_NOTE = 5000;
// Source: mlflow/store/tracking/dbmodels/models.py. SQLite stores more, PostgreSQL refuses it.
const MAX_NAME = 250;
const MAX_USER = 256;
/** MLflow takes 100 tags with a run. */
const MAX_MARKS = 50;

/** @param version of tracelet */
export function newRun(run: RunDescription, experimentId: string, version: string): NewRun {
  const user = fitted(storableName(userName()), MAX_USER);
  return {
    experimentId,
    name: runName(run),
    startTime: milliseconds(run.startTime),
    user,
    tags: new Map([
      ["mlflow.user", user],
      ["mlflow.source.name", "tracelet"],
      ["mlflow.source.type", "LOCAL"],
      [NOTE_TAG, noteOf(run, version)],
      [RUN_TAG, run.source],
      [CREATED_TAG, `${String(Date.now()).padStart(15, "0")} ${randomUUID()}`],
      ...(run.name === run.title ? [] : [[NAME_TAG, runName(run)] as const]),
      ...(run.parentId === undefined ? [] : [[PARENT_TAG, run.parentId] as const]),
      ...run.marks.slice(0, MAX_MARKS).map(tagOfMark),
    ]),
  };
}

/** What MLflow calls the run. */
export function runName({ name }: RunDescription): string {
  return fitted(storableName(name), MAX_NAME);
}

/** What is said on a run that is set aside for another one of the same source. @param tags that it has */
export function duplicateTags(tags: ReadonlyMap<string, string>, duplicateOf: string): ReadonlyMap<string, string> {
  const note = `Deleted as a duplicate: what was written to it is in run ${duplicateOf}.`;
  return new Map([
    [DUPLICATE_TAG, duplicateOf],
    [NOTE_TAG, fitted(`${note} ${tags.get(NOTE_TAG) ?? ""}`, MAX_NOTE)],
  ]);
}

/** The same run for a database that does not store every character. */
export function inAscii(run: NewRun): NewRun {
  // Some characters are many letters.
  const tags = new Map(Array.from(run.tags, ([key, value]) => [key, fitted(asciiName(value), MAX_NOTE)]));
  return { ...run, name: fitted(asciiName(run.name), MAX_NAME), user: fitted(asciiName(run.user), MAX_USER), tags };
}

/** Whether every database stores all of it. */
export function isInAscii({ name, user, tags }: NewRun): boolean {
  return [name, user, ...tags.values()].every(isAscii);
}

/** A container may run as a user that the system has no name for. */
function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return process.env["USER"] ?? "unknown";
  }
}
