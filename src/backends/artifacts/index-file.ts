/** The file that tells which tag each path stands for. */
import { readableJson } from "../../encode/json.ts";
import type { ArtifactStore } from "./artifact.ts";
import type { ArtifactEntry } from "./artifact-paths.ts";

export const INDEX = "tracelet/index.json";
/** Bytes: a hundred thousand tags. A larger index is not ours: it is held in memory. */
const MAX_INDEX = 64 * 1024 * 1024;

/** Paths come from the tags alone, so what an earlier process wrote is completed, never contradicted. */
export async function writeIndex(store: ArtifactStore, entries: readonly ArtifactEntry[]): Promise<void> {
  const before = await store.get(INDEX, MAX_INDEX);
  const known = before === undefined ? [] : entriesOf(before);
  const all = new Map([...known, ...entries].map((entry) => [entry.path, entry]));
  await store.put({ path: INDEX, bytes: readableJson(Array.from(all.values(), (entry) => ({ ...entry }))) });
}

/** What an index says; nothing where somebody else has put something there that is none. */
function entriesOf(index: Uint8Array): ArtifactEntry[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(index).toString());
    return Array.isArray(value) ? value.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is ArtifactEntry {
  const { kind, tag, path } = (value ?? {}) as Record<string, unknown>;
  return [kind, tag, path].every((text) => typeof text === "string");
}
