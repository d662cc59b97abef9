/** Watches on the directories of a tree: hints that something in them has changed. */
import { displayPath, type FsPath } from "../../reader/discover.ts";
import { chokidarWatch, type DirectoryWatch, type Listener, ownWatch } from "./directory-watch.ts";
import { silentFileSystem } from "./file-systems.ts";
import { type WatchNote, watchLimitNote } from "./watch-notes.ts";
import type { WatchedDirectory } from "./watched-directory.ts";

export interface EventsOptions {
  /** For notes. */
  readonly pollMs: number;
  /** The most directories that chokidar watches; in a larger tree it watches none. */
  readonly chokidarLimit: number;
  /** `entry` is the `entryKey` of what has changed, undefined where the system does not say. */
  readonly onEvent: (directory: WatchedDirectory, type: "rename" | "change", entry: string | undefined) => void;
  readonly onNote: (note: WatchNote) => void;
}

/**
 * Up to this many directories chokidar takes at most 30 MB and 100 ms more than watches of our own, as measured by
 * bench/watch-events.mjs; the figures are in docs/watching.md.
 */
export const CHOKIDAR_LIMIT = 100;
/** On each event chokidar lists the directory and stats every entry; directories with more entries are watched without it. */
const CHOKIDAR_ENTRIES = 20;

/**
 * One watch for each directory, none for files. Our own looks walk the tree, whichever watches are used: chokidar would
 * follow links in circles, and miss retargeted links and recreated logdirs.
 */
export class DirectoryEvents {
  readonly #options: EventsOptions;
  /** By device: the name of a file system that does not report all changes. */
  readonly #silent = new Map<bigint, string | undefined>();
  readonly #limited = new Set<string>();
  /** Directories that changed without an event. */
  readonly #deaf = new WeakSet<WatchedDirectory>();
  /** Directories that chokidar watches, or is about to. */
  readonly #byChokidar = new Set<WatchedDirectory>();
  #usesChokidar: boolean;
  #hasMissed = false;

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#usesChokidar = options.chokidarLimit > 0;
  }

  /**
   * Watch what is now at a directory's path. If that is impossible, the directory has no watch afterwards.
   *
   * @param device the `st_dev` of the directory
   */
  async open(directory: WatchedDirectory, device: bigint): Promise<void> {
    const isSilent = this.#deaf.has(directory) || (await this.#isSilent(directory.path, device));
    if (isSilent || !directory.attached) return this.close(directory);
    directory.watchIsStale = false;
    const { path, entries } = directory;
    const suits = this.#usesChokidar && typeof path === "string" && entries <= CHOKIDAR_ENTRIES;
    if (suits) await this.#openChokidar(directory, path);
    else this.#openOwn(directory);
  }

  close(directory: WatchedDirectory): void {
    directory.watch?.close();
    directory.watch = undefined;
    this.#byChokidar.delete(directory);
  }

  /** The directory has been listed: if it has many entries, chokidar no longer watches it. */
  listed(directory: WatchedDirectory): void {
    if (directory.watch?.byChokidar && directory.entries > CHOKIDAR_ENTRIES) this.#openOwn(directory);
  }

  /** A change was found that no event had announced. */
  missed(directory: WatchedDirectory): void {
    this.#deaf.add(directory);
    this.close(directory);
    if (this.#hasMissed) return;
    this.#hasMissed = true;
    this.#options.onNote({
      kind: "missed-event",
      path: displayPath(directory.path),
      pollMs: this.#options.pollMs,
    });
  }

  async #openChokidar(directory: WatchedDirectory, path: string): Promise<void> {
    // chokidar shares one watch between all requests for a path, and the present one may be on a directory that is gone. The
    // look that follows finds what happens before the new one is in place.
    this.close(directory);
    this.#byChokidar.add(directory);
    if (this.#byChokidar.size > this.#options.chokidarLimit) {
      this.#leaveChokidar();
      return this.#openOwn(directory);
    }
    let watch: DirectoryWatch | undefined;
    try {
      watch = await chokidarWatch(path, this.#listener(directory));
    } catch (error) {
      this.#byChokidar.delete(directory);
      return this.#noteLimit(error);
    }
    if (watch === undefined) this.#leaveChokidar();
    // The directory may have left the tree meanwhile, or the tree may have outgrown chokidar.
    if (this.#byChokidar.has(directory)) {
      directory.watch = watch;
      return;
    }
    watch?.close();
    if (directory.attached) this.#openOwn(directory);
  }

  /** Watches of our own take over for good. */
  #leaveChokidar(): void {
    this.#usesChokidar = false;
    const directories = [...this.#byChokidar];
    this.#byChokidar.clear();
    for (const directory of directories) if (directory.watch !== undefined) this.#openOwn(directory);
  }

  #openOwn(directory: WatchedDirectory): void {
    const before = directory.watch;
    this.#byChokidar.delete(directory);
    try {
      directory.watch = ownWatch(directory.path, this.#listener(directory));
    } catch (error) {
      directory.watch = undefined;
      this.#noteLimit(error);
    }
    // Not before, or changes in between would be missed.
    before?.close();
  }

  #listener(directory: WatchedDirectory): Listener {
    return {
      heard: (type, entry) => this.#options.onEvent(directory, type, entry),
      lost: () => this.close(directory),
    };
  }

  /** The look that follows finds any other reason (the directory is gone, or unreadable). */
  #noteLimit(error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    if ((code !== "ENOSPC" && code !== "EMFILE") || this.#limited.has(code)) return;
    this.#limited.add(code);
    this.#options.onNote(watchLimitNote(code, this.#options.pollMs));
  }

  async #isSilent(fsPath: FsPath, device: bigint): Promise<boolean> {
    if (!this.#silent.has(device)) {
      // An unknown one may report changes all the same.
      const fileSystem = await silentFileSystem(fsPath).catch(() => undefined);
      // Another look may have asked meanwhile.
      const isNews = !this.#silent.has(device);
      this.#silent.set(device, fileSystem);
      if (isNews && fileSystem !== undefined) {
        const path = displayPath(fsPath);
        this.#options.onNote({ kind: "silent-file-system", path, fileSystem, pollMs: this.#options.pollMs });
      }
    }
    return this.#silent.get(device) !== undefined;
  }
}
