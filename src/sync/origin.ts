/** Where a run's files lie, for whoever finds the run at its destination. */
import os from "node:os";
import path from "node:path";
import { displayPath, type FsPath, realPathOf } from "../reader/discover.ts";
import type { Origin } from "./backend.ts";

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
