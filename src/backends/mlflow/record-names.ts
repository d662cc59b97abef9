/** The run tags that tell whose a key is where that is not the name itself, and the labels of the user's. */

import { ContentRefused } from "../../net/refusal.ts";
import { asciiRecorded } from "./names.ts";
import { NOTHING } from "./parts.ts";
import { type MlflowStore } from "./store.ts";

/**
 * Store them as far as the database can. What it refuses as it is, is stored in ASCII; what it refuses even so has a key
 * that it cannot store, and with that none of the key's values: they are refused when they come.
 *
 * @throws the store's error, if that is no refusal
 */
export async function recordNames(
  store: MlflowStore,
  runId: string,
  names: ReadonlyMap<string, string>,
): Promise<void> {
  const takes = async (tags: ReadonlyMap<string, string>) => {
    try {
      await store.logBatch(runId, { ...NOTHING, tags });
      return true;
    } catch (error) {
      if (error instanceof ContentRefused) return false;
      throw error;
    }
  };
  const inHalves = async (tags: readonly (readonly [tag: string, name: string])[]): Promise<void> => {
    if (tags.length === 0 || (await takes(new Map(tags))) || tags.length === 1) return;
    const middle = tags.length >> 1;
    await inHalves(tags.slice(0, middle));
    await inHalves(tags.slice(middle));
  };
  if (names.size === 0 || (await takes(names))) return;
  await inHalves(Array.from(names, ([tag, name]) => [tag, asciiRecorded(name)] as const));
}
