/** What the file system has refused. */
import { displayPath, type EventFileEntry } from "../../reader/discover.ts";
import { isVanishedTemporary } from "../../reader/temporary-name.ts";

/** A file that could not be read. */
export interface FileProblem {
  readonly path: string;
  /** The system's code, such as `EACCES`. */
  readonly code: string;
}

/** That a file cannot be read; none where that is as it should be. */
export function problemsOf(entry: EventFileEntry, error: unknown): FileProblem[] {
  if (isVanishedTemporary(entry.name, error)) return [];
  return [{ path: displayPath(entry.path), code: (error as NodeJS.ErrnoException).code ?? String(error) }];
}
