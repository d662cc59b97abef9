/** Watches on the directories of a tree: hints that something in them has changed. */
import { displayPath, type FsPath } from "../../reader/discover.ts";
import { chokidarWatch, type DirectoryWatch, type Listener, ownWatch } from "./directory-watch.ts";
import { silentFileSystem } from "./file-systems.ts";
import { type WatchNote, watchLimitNote } from "./watch-notes.ts";
import type { WatchedDirectory } from "./watched-directory.ts";

export interface EventsOptions {
  /** To name in notes. */
  readonly pollMs: number;
  /** How many directories chokidar watches at most; in a larger tree it watches none. */
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
 * One watch for each directory, none for files. Our own looks walk the tree, whichever watches are used: a library that
 * walks it follows links in circles, and does not see a link that leads elsewhere or a logdir that comes back.
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
   * Watch a directory, or watch what is now at its path. Where that cannot be, it has no watch afterwards.
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

  /** The directory has been listed: one with many entries is left to chokidar no longer. */
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
    // chokidar shares one watch among all who ask for a path, and this one may be on a directory that is gone. What happens
    // until the new one is in place is found by the look that follows.
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
    // It may have left the tree meanwhile, or the tree may have grown.
    if (this.#byChokidar.has(directory)) {
      directory.watch = watch;
      return;
    }
    watch?.close();
    if (directory.attached) this.#openOwn(directory);
  }

  /** The tree is too large for it: watches of our own take over. */
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
    // Only now: what happens in between would be missed.
    before?.close();
  }

  #listener(directory: WatchedDirectory): Listener {
    return {
      heard: (type, entry) => this.#options.onEvent(directory, type, entry),
      lost: () => this.close(directory),
    };
  }

  /** Whatever else refuses a watch (it is gone, it is unreadable), the look that follows finds out. */
  #noteLimit(error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    if ((code !== "ENOSPC" && code !== "EMFILE") || this.#limited.has(code)) return;
    this.#limited.add(code);
    this.#options.onNote(watchLimitNote(code, this.#options.pollMs));
  }

  async #isSilent(fsPath: FsPath, device: bigint): Promise<boolean> {
    if (!this.#silent.has(device)) {
      // One that cannot say what it is may report changes all the same.
      const fileSystem = await silentFileSystem(fsPath).catch(() => undefined);
      // Another look may have asked at the same time.
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
