/** A run whose source is called otherwise now, or that the user wants to be called otherwise: the same run, under the new name. */
import { TraceletError } from "../../errors.ts";
import { ContentRefused, ReplyLost } from "../../net/refusal.ts";
import type { RunDescription, RunHandle } from "../../sync/backend.ts";
import { hashText } from "../../sync/source/fingerprint.ts";
import { isOwnNote, noteOf } from "../run-note.ts";
import { asciiName, isAscii } from "../storable-text.ts";
import { NAME_TAG, NOTE_TAG, RUN_TAG, runName, SOURCE_TAG } from "./new-run.ts";
import { NOTHING } from "./parts.ts";
import { type MlflowStore, type RunRecord } from "./store.ts";

const SHOWN_NAME_TAG = "mlflow.runName";

/**
 * Give a run the name that its source has now, or that is asked for; one that a user has given it at MLflow stays.
 *
 * @param version of tracelet
 * @returns what it was called until now, and what it is called from now on: `renamed` if its source was called otherwise,
 *   `called` if only another name is asked for
 */
export async function followName(
  store: MlflowStore,
  { id, tags }: RunRecord,
  run: RunDescription,
  version: string,
): Promise<Pick<RunHandle, "renamed" | "called">> {
  const source = tags.get(RUN_TAG);
  const asked = tags.get(NAME_TAG);
  const wanted = runName(run);
  const isMoved = source !== undefined && source !== run.source;
  const isAsked = run.name !== run.title || asked !== undefined;
  const isRenamed = isAsked && asked !== wanted && asked !== asciiName(wanted);
  if (source === undefined || !(isMoved || isRenamed)) return {};
  const before = tags.get(SHOWN_NAME_TAG) ?? "";
  const isOwn = before === asked || isOurs(before, source, tags.get(NOTE_TAG) ?? "");
  const now = isOwn && before !== wanted ? await rename(store, id, wanted) : before;
  // Also where the user's own stays: it was asked for once.
  if (isAsked) await putTag(store, id, NAME_TAG, isOwn ? now : wanted);
  const names = { before, now };
  if (!isMoved) return { called: names };
  // What a user has written there stays, too.
  if (isOwnNote(tags.get(NOTE_TAG) ?? "")) await putTag(store, id, NOTE_TAG, noteOf(run, version));
  // Last: until it is there, the run is renamed again.
  const own = new Map([
    [SOURCE_TAG, tags.get(SOURCE_TAG) ?? source],
    [RUN_TAG, run.source],
  ]);
  await store.logBatch(id, { ...NOTHING, tags: own });
  return { renamed: names };
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

async function putTag(store: MlflowStore, id: string, key: string, value: string): Promise<void> {
  const put = (text: string) => store.logBatch(id, { ...NOTHING, tags: new Map([[key, text]]) });
  await put(value).catch((error: unknown) => {
    if (isAscii(value) || !(error instanceof ContentRefused)) throw error;
    return put(asciiName(value));
  });
}

function asError(error: unknown): unknown {
  if (!(error instanceof ReplyLost)) return error;
  return new TraceletError("unreachable", `MLflow does not rename a run: ${error.message}`, { cause: error });
}
