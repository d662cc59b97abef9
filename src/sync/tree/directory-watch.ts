/** A watch on one directory: by chokidar, or by `fs.watch` itself. */
import { watch as watchDirectory } from "node:fs";
import type { FsPath } from "../../reader/discover.ts";
import { entryKey } from "./entry-key.ts";

export interface DirectoryWatch {
  /** Whether chokidar holds it. */
  readonly byChokidar: boolean;
  close(): void;
}

/** Receives what the system reports. */
export interface Listener {
  /** `entry` is the `entryKey` of what has changed, undefined where the system does not say. */
  readonly heard: (type: "rename" | "change", entry: string | undefined) => void;
  /** The watch has failed and reports nothing from now on. */
  readonly lost: () => void;
}

/** One inotify watch for the directory, none for its files. @throws the system's error */
export function ownWatch(path: FsPath, { heard, lost }: Listener): DirectoryWatch {
  const watcher = watchDirectory(path, { persistent: false, encoding: "buffer" }, (type, name) =>
    heard(type, name === null ? undefined : entryKey(name)),
  );
  watcher.on("error", lost);
  return { byChokidar: false, close: () => watcher.close() };
}

/**
 * The same by chokidar: one instance for each directory. It never descends, so links cannot loop, and ignores all entries, so
 * files take no watches. Its `raw` events for the directory itself are all we need; its `change` events would lose the second
 * of two writes within 50 ms.
 *
 * @returns when the watch is in place; undefined if `CHOKIDAR_USEPOLLING` makes chokidar poll, since it would then miss appends
 * @throws the system's error
 */
export async function chokidarWatch(path: string, { heard, lost }: Listener): Promise<DirectoryWatch | undefined> {
  // Only here, so that commands that do not watch start as fast as without it.
  const { FSWatcher } = await import("chokidar");
  // Everything in the directory has a longer path.
  const ignored = (candidate: string) => candidate.length > path.length;
  const watcher = new FSWatcher({ depth: 0, ignored, ignoreInitial: true, atomic: false });
  if (watcher.options.usePolling) return undefined;
  const close = () => {
    void watcher.close();
    // Closing removes all listeners, but an error may still be emitted, which would then be uncaught.
    watcher.on("error", () => {});
  };
  return new Promise((resolve, reject) => {
    watcher.on("raw", (type: string, entry: unknown) => heard(type === "rename" ? type : "change", keyOf(entry)));
    watcher.on("error", (error) => {
      close();
      lost();
      reject(error);
    });
    watcher.on("ready", () => resolve({ byChokidar: true, close }));
    watcher.add(path);
  });
}

/** chokidar decodes names as UTF-8; a name that is not UTF-8 could be any entry. */
function keyOf(entry: unknown): string | undefined {
  return typeof entry === "string" && !entry.includes("\ufffd") ? entry : undefined;
}
