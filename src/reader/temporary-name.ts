/** Files that are only there until a copy is whole. */
import type { FileEntry } from "./file-store.ts";

/**
 * Files that whoever copies a log keeps only until the copy is whole, and which may be gone at any time: rsync's
 * `.events.out.tfevents.1.host.AbC123`, rclone's `….partial`, a browser's `….crdownload`. What they held is in the file that
 * they became.
 */
const TEMPORARY = /^\..*\.[A-Za-z0-9]{6}$|^\.~tmp~|\.(?:tmp|part|partial|filepart|crdownload|download|~tmp~)$/s;

/** Whether a file's name says that it is only there until a copy is whole. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name.replace(/.*\//s, ""));
}

/** Whether it is no problem that a file could not be read: it was there only until a copy was whole. */
export function isVanishedTemporary({ store, name }: FileEntry, error: unknown): boolean {
  return isTemporaryName(name) && store.judge(error)?.kind === "gone";
}
