/** A watch on one directory: by chokidar, or by `fs.watch` itself. */
import { watch as watchDirectory } from "node:fs";
import type { FsPath } from "../../reader/discover.ts";
import { entryKey } from "./entry-key.ts";

export interface DirectoryWatch {
  /** Whether chokidar holds it. */
  readonly byChokidar: boolean;
  close(): void;
}

/** Who is told of what the system reports. */
export interface Listener {
  /** `entry` is the `entryKey` of what has changed, undefined where the system does not say. */
  readonly heard: (type: "rename" | "change", entry: string | undefined) => void;
  /** The watch reports nothing from now on. */
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
 * The same by chokidar: an instance a directory that never descends, so that links cannot loop, and that ignores every
 * entry, so that files take no watches. What it hands on of the directory itself (`raw`) is all that is needed. Its
 * `change` would lose the second of two writes within 50 ms.
 *
 * @returns once it is in place; undefined where `CHOKIDAR_USEPOLLING` makes chokidar poll: it would see no write to a file
 * @throws the system's error
 */
export async function chokidarWatch(path: string, { heard, lost }: Listener): Promise<DirectoryWatch | undefined> {
  // `sync` has no use for it, and starting must not take longer for those who do not watch.
  const { FSWatcher } = await import("chokidar");
  // Whatever lies in the directory has a longer path.
  const ignored = (candidate: string) => candidate.length > path.length;
  const watcher = new FSWatcher({ depth: 0, ignored, ignoreInitial: true, atomic: false });
  if (watcher.options.usePolling) return undefined;
  const close = () => {
    void watcher.close();
    // It drops its listeners, and may still have an error to emit that nobody would catch.
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

/** chokidar decodes names as UTF-8: one that is not is some entry or other. */
function keyOf(entry: unknown): string | undefined {
  return typeof entry === "string" && !entry.includes("\ufffd") ? entry : undefined;
}
