/** Whether a file looks as it did. */
import type { EventFileEntry } from "../../reader/discover.ts";

/** Everything that changes when a file changes. Equal stamps: nothing to do; different ones: look at the content. */
export function stampOf(entry: EventFileEntry): string {
  return entry.store.stampOf(entry);
}
