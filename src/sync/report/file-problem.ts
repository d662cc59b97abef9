/** Files that could not be read. */
import { displayPath, type EventFileEntry } from "../../reader/discover.ts";
import type { FileRef, FileTrouble } from "../../reader/file-store.ts";
import { isVanishedTemporary } from "../../reader/temporary-name.ts";

/**
 * Why a file that the store hands out is still of no use. `malformed`: it does not hold what its name says. `shorter`: it has
 * lost bytes since it was found. `path-encoding`: its path is not UTF-8, which what it names would need.
 */
export type OwnProblem = "malformed" | "shorter" | "path-encoding";

/** A file that could not be read. */
export interface FileProblem {
  readonly path: string;
  /** The store's word for it, such as `EACCES`; where the store is not to blame, one of `OwnProblem`. */
  readonly code: string;
  /** What the reader said of the content, in words; undefined where the code says all. */
  readonly detail?: string | undefined;
  /** What that means; undefined where it is not the store that said so. */
  readonly kind?: FileTrouble["kind"] | undefined;
}

/** That a file cannot be read; none where that is as it should be. */
export function problemsOf(entry: EventFileEntry, error: unknown): FileProblem[] {
  if (isVanishedTemporary(entry, error)) return [];
  return [problemOf(entry, error, "malformed")];
}

/** The same of any error. @param own what it means if the store does not know it */
export function problemOf({ store, path }: FileRef, error: unknown, own: OwnProblem): FileProblem {
  const trouble = store.judge(error);
  if (trouble !== undefined) return { path: displayPath(path), ...trouble };
  return { path: displayPath(path), code: own, detail: (error as Error).message };
}
