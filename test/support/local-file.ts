/** A file of this machine, as who reads it is given it. */
import type { FileRef } from "../../src/reader/file-store.ts";
import type { FsPath } from "../../src/reader/fs-path.ts";
import { localFiles } from "../../src/reader/local-files.ts";

export function localFile(path: FsPath): FileRef {
  return { store: localFiles, path };
}
