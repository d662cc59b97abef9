/** What an entry of a directory is known by. */
import { isUtf8 } from "node:buffer";
import path from "node:path";
import type { FsPath } from "../../reader/discover.ts";

/** The base name of a path, also where that is not UTF-8. */
export function entryKey(fsPath: FsPath): string {
  if (typeof fsPath === "string") return path.basename(fsPath);
  const name = fsPath.subarray(fsPath.lastIndexOf(0x2f) + 1);
  // No name in UTF-8 begins with a zero byte.
  return isUtf8(name) ? name.toString() : `\0${name.toString("latin1")}`;
}
