/** A run whose source is called otherwise now: the same run, under the new name. */
import { TraceletError } from "../../errors.ts";
import { ContentRefused, ReplyLost } from "../../net/refusal.ts";
import type { RunDescription } from "../../sync/backend.ts";
import { hashText } from "../../sync/source/fingerprint.ts";
import { NOTE_TAG, noteOf, RUN_TAG, runName, SOURCE_TAG } from "./new-run.ts";
import { NOTHING } from "./parts.ts";
import { asciiName, isAscii } from "./storable-text.ts";
import { type MlflowStore, type RunRecord } from "./store.ts";

const NAME_TAG = "mlflow.runName";
const OWN_NOTE = /^TensorBoard run `.*, synced by tracelet \S+$/s;

/**
 * Give a run the name that its source has now; one that a user has given stays.
 *
 * @param version of tracelet
 * @returns what it was called until now, and what it is called from now on; undefined if its source has its name still
 */
export async function followName(
  store: MlflowStore,
  { id, tags }: RunRecord,
  run: RunDescription,
  version: string,
): Promise<{ readonly before: string; readonly now: string } | undefined> {
  const source = tags.get(RUN_TAG);
  if (source === undefined || source === run.source) return undefined;
  const before = tags.get(NAME_TAG) ?? "";
  const now = isOurs(before, source, tags.get(NOTE_TAG) ?? "") ? await rename(store, id, runName(run)) : before;
  // What a user has written there stays, too.
  if (OWN_NOTE.test(tags.get(NOTE_TAG) ?? "")) await putNote(store, id, noteOf(run, version));
  // Last: until it is there, the run is renamed again.
  const own = new Map([
    [SOURCE_TAG, tags.get(SOURCE_TAG) ?? source],
    [RUN_TAG, run.source],
  ]);
  await store.logBatch(id, { ...NOTHING, tags: own });
  return { before, now };
}

/**
 * Whether a name is one that tracelet gave for this source: the one in the run's note, or its path, perhaps with more of the
 * path before it.
 */
function isOurs(name: string, source: string, note: string): boolean {
  const noted = /^TensorBoard run (`+) ?(.*?) ?\1[ ,]/s.exec(note)?.[2];
  if (noted !== undefined && noted === name) return true;
  const parts = name.split("/");
  return parts.some((_, i) => hashText(parts.slice(i).join("/")) === source);
}

async function rename(store: MlflowStore, id: string, name: string): Promise<string> {
  try {
    await store.renameRun(id, name);
    return name;
  } catch (error) {
    // A database that does not store every character refuses it, or breaks off.
    if (isAscii(name) || !(error instanceof ContentRefused || error instanceof ReplyLost)) throw asError(error);
  }
  const ascii = asciiName(name);
  await store.renameRun(id, ascii).catch((error: unknown) => {
    throw asError(error);
  });
  return ascii;
}

async function putNote(store: MlflowStore, id: string, note: string): Promise<void> {
  const put = (text: string) => store.logBatch(id, { ...NOTHING, tags: new Map([[NOTE_TAG, text]]) });
  await put(note).catch((error: unknown) => {
    if (isAscii(note) || !(error instanceof ContentRefused)) throw error;
    return put(asciiName(note));
  });
}

function asError(error: unknown): unknown {
  if (!(error instanceof ReplyLost)) return error;
  return new TraceletError("unreachable", `MLflow does not rename a run: ${error.message}`, { cause: error });
}
