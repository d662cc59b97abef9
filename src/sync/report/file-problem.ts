/** Files that could not be read. */
import { displayPath, type EventFileEntry } from "../../reader/discover.ts";
import type { FileTrouble } from "../../reader/file-store.ts";
import { isVanishedTemporary } from "../../reader/temporary-name.ts";

/** A file that could not be read. */
export interface FileProblem {
  readonly path: string;
  /** The store's word for it, such as `EACCES`. */
  readonly code: string;
  /** What that means; undefined where it is not the store that said so. */
  readonly kind?: FileTrouble["kind"] | undefined;
}

/** That a file cannot be read; none where that is as it should be. */
export function problemsOf(entry: EventFileEntry, error: unknown): FileProblem[] {
  if (isVanishedTemporary(entry, error)) return [];
  const trouble = entry.store.judge(error);
  return [{ path: displayPath(entry.path), code: trouble?.code ?? String(error), kind: trouble?.kind }];
}
