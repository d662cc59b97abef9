/** A flat list of objects → runs, as TensorBoard's rule has it for directories: what an object store can say in one request. */
import { compareBytes, type DiscoveredRun, isRunFileName, runOf } from "./discover.ts";
import type { FileEntry, FileStore } from "./file-store.ts";

/** An object below a logdir. */
export interface ListedObject {
  /** Its key relative to the logdir, parts separated by `/`. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** ns since the Unix epoch. */
  readonly mtime: bigint;
  /** See `FileEntry`. */
  readonly token: string;
}

/** @param logdir without a `/` at its end: an object's path is this and its key @returns by name */
export function runsOf(store: FileStore, logdir: string, objects: Iterable<ListedObject>): DiscoveredRun[] {
  const directories = new Map<string, FileEntry[]>();
  for (const { key, ...entry } of objects) {
    const slash = key.lastIndexOf("/");
    const name = key.slice(slash + 1);
    if (!isRunFileName(name)) continue;
    const run = key.slice(0, Math.max(0, slash));
    const file = { store, path: `${logdir}/${key}`, name, ...entry };
    const files = directories.get(run);
    if (files === undefined) directories.set(run, [file]);
    else files.push(file);
  }
  const runs = Array.from(directories, ([name, files]) => {
    const directory = name === "" ? logdir : `${logdir}/${name}`;
    return runOf({ name, directory, logdir, realPath: undefined }, files);
  });
  return runs.filter((run) => run !== undefined).sort((a, b) => compareBytes(a.name, b.name));
}
