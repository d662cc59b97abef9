/** Where a run's files lie, for whoever finds the run at its destination. */
import { realpathSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { displayPath, type FsPath, realPathOf } from "../../reader/discover.ts";

/** Where a run's files lie. Both may hold any character. */
export interface Origin {
  /** This machine's name. */
  readonly host: string;
  /** Of the run's directory: absolute, without links. */
  readonly path: string;
}

export function originOf(directory: FsPath): Origin {
  return { host: os.hostname(), path: displayPath(pathOf(directory)) };
}

/** As it was given where it is gone meanwhile. */
function pathOf(directory: FsPath): FsPath {
  try {
    return realPathOf(directory);
  } catch {
    return typeof directory === "string" ? path.resolve(directory) : directory;
  }
}

/** Where a directory really lies: the bytes of the path; undefined if it is there no longer. */
export function placeOf(directory: FsPath): Uint8Array | undefined {
  try {
    return realpathSync(directory, "buffer");
  } catch {
    return undefined;
  }
}
