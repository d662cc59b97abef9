/** Watches on directories: hints that something in them has changed. */
import { watch } from "node:fs";
import { displayPath, type FsPath } from "../../reader/discover.ts";
import { silentFileSystem } from "./file-systems.ts";
import { type WatchNote, watchLimitNote } from "./watch-notes.ts";
import { entryKey, type WatchedDirectory } from "./watched-directory.ts";

export interface EventsOptions {
  /** To name in notes. */
  readonly pollMs: number;
  /** `entry` is the `entryKey` of what has changed, undefined where the system does not say. */
  readonly onEvent: (directory: WatchedDirectory, type: "rename" | "change", entry: string | undefined) => void;
  readonly onNote: (note: WatchNote) => void;
}

/**
 * One `fs.watch` for each directory, none for files: of 10,000 runs that is 10,000 inotify watches and 21 MB.
 *
 * The tree is walked by our own looks, not by a library. chokidar 5 takes 118 MB for the same, does not see a link that
 * leads elsewhere or a logdir that comes back, and walks links that lead back without end. `fs.watch`'s `recursive` takes
 * twice the watches, since it puts one on every file, and does not follow links.
 */
export class DirectoryEvents {
  readonly #options: EventsOptions;
  /** By device: the name of a file system that does not tell of all changes. */
  readonly #silent = new Map<bigint, string | undefined>();
  readonly #limited = new Set<string>();
  /** Directories that changed without an event. */
  readonly #deaf = new WeakSet<WatchedDirectory>();
  #hasMissed = false;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  /**
   * Watch a directory, or watch what is now at its path. Where that cannot be, it has no watch afterwards.
   *
   * @param device the `st_dev` of the directory
   */
  async open(directory: WatchedDirectory, device: bigint): Promise<void> {
    const silent = this.#deaf.has(directory) || (await this.#isSilent(directory.path, device));
    if (silent || !directory.attached) return this.close(directory);
    const before = directory.watch;
    directory.watchIsStale = false;
    directory.watch = this.#watch(directory);
    // Only now: what happens in between would be missed.
    before?.close();
  }

  close(directory: WatchedDirectory): void {
    directory.watch?.close();
    directory.watch = undefined;
  }

  /** A change was found of which no event has told. */
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

  #watch(directory: WatchedDirectory): WatchedDirectory["watch"] {
    try {
      const watcher = watch(directory.path, { persistent: false, encoding: "buffer" }, (type, name) =>
        this.#options.onEvent(directory, type, name === null ? undefined : entryKey(name)),
      );
      watcher.on("error", () => {
        if (directory.watch === watcher) this.close(directory);
      });
      return watcher;
    } catch (error) {
      // All else (it is gone, it is unreadable) the look that follows will find out.
      const { code } = error as NodeJS.ErrnoException;
      if ((code === "ENOSPC" || code === "EMFILE") && !this.#limited.has(code)) {
        this.#limited.add(code);
        this.#options.onNote(watchLimitNote(code, this.#options.pollMs));
      }
      return undefined;
    }
  }

  async #isSilent(fsPath: FsPath, device: bigint): Promise<boolean> {
    if (!this.#silent.has(device)) {
      // One that cannot say what it is may tell of changes all the same.
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
