/** The reader's only door to storage. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { NO_LINK } from "./file-links.ts";
import { displayPath, type FsPath } from "./fs-path.ts";
import { MAX_SMALL, recentFiles } from "./recent-files.ts";

/** Bytes that can be read at any position; what is before the end never changes, the end may move. */
export interface ByteSource {
  /**
   * Read `length` bytes at `position` into `into` at `at`.
   *
   * @returns how many bytes were read: fewer than `length` only at the end
   * @throws the system's error
   */
  read(into: Uint8Array, at: number, length: number, position: number): Promise<number>;
}

/** What `fstat` says of a file: it tells it from any other, and from what it was before a change. */
export interface JudgedFile {
  readonly dev: bigint;
  readonly ino: bigint;
  /** Bytes. */
  readonly size: bigint;
  /** Modification time, ns since the Unix epoch. */
  readonly mtimeNs: bigint;
}

// O_NONBLOCK: opening a FIFO that lies where an event file was would otherwise wait for ever.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | NO_LINK;

function notAFile(fsPath: FsPath): Error {
  return Object.assign(new Error(`not a regular file: ${displayPath(fsPath)}`), { code: "EINVAL" });
}

/** A directory of the path may have become a link since, which `NO_LINK` does not see. */
function requireJudged(fsPath: FsPath, now: JudgedFile, judged: JudgedFile | undefined): void {
  if (judged === undefined) return;
  const { dev, ino, size, mtimeNs } = judged;
  if (now.dev === dev && now.ino === ino && now.size === size && now.mtimeNs === mtimeNs) return;
  throw Object.assign(new Error(`changed after it was checked: ${displayPath(fsPath)}`), { code: "EINVAL" });
}

/** A file, open for reading only; of a small one all is in memory. */
export class FileSource implements ByteSource {
  readonly #content: FileHandle | Uint8Array;

  private constructor(content: FileHandle | Uint8Array) {
    this.#content = content;
  }

  /**
   * @param judged the only file that may be opened, where it matters which one it is
   * @throws the system's error, or `EINVAL` if the path is no regular file (any more), or not the one that was judged
   */
  static async open(fsPath: FsPath, judged?: JudgedFile): Promise<FileSource> {
    const found = lstatSync(fsPath, { bigint: true });
    const known = recentFiles.bytesOf(fsPath, found);
    if (known !== undefined) {
      requireJudged(fsPath, found, judged);
      return new FileSource(known);
    }
    const handle = await open(fsPath, FLAGS);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw notAFile(fsPath);
      requireJudged(fsPath, stats, judged);
      if (stats.size > MAX_SMALL) return new FileSource(handle);
      const bytes = new Uint8Array(Number(stats.size));
      const filled = await readFrom(handle, bytes, 0, bytes.length, 0);
      recentFiles.add(fsPath, stats, bytes.subarray(0, filled));
      await handle.close();
      return new FileSource(bytes.subarray(0, filled));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Open a file for as long as `work` takes. @throws what `open` throws, and what `work` throws */
  static async use<T>(fsPath: FsPath, work: (source: FileSource) => Promise<T>): Promise<T> {
    const source = await FileSource.open(fsPath);
    try {
      return await work(source);
    } finally {
      await source.close();
    }
  }

  async read(into: Uint8Array, at: number, length: number, position: number): Promise<number> {
    if (!(this.#content instanceof Uint8Array)) return readFrom(this.#content, into, at, length, position);
    const part = this.#content.subarray(position, position + length);
    into.set(part, at);
    return part.length;
  }

  async close(): Promise<void> {
    if (!(this.#content instanceof Uint8Array)) await this.#content.close();
  }
}

async function readFrom(
  handle: FileHandle,
  into: Uint8Array,
  at: number,
  length: number,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(into, at + done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/**
 * The first bytes of a small file, all in memory. Read without leaving the thread, which for thousands of them takes a
 * fraction of the time; nothing else can be done meanwhile.
 */
export class SmallFile implements ByteSource {
  readonly bytes: Uint8Array;

  /**
   * @param size how many of its bytes are wanted
   * @throws the system's error, or `EINVAL` if the path is no regular file (any more)
   */
  constructor(fsPath: FsPath, size: number) {
    const file = openSync(fsPath, FLAGS);
    try {
      if (!fstatSync(file).isFile()) throw notAFile(fsPath);
      const bytes = new Uint8Array(size);
      let filled = 0;
      for (let read = -1; read !== 0 && filled < size; filled += read) {
        read = readSync(file, bytes, filled, size - filled, filled);
      }
      this.bytes = bytes.subarray(0, filled);
    } finally {
      closeSync(file);
    }
  }

  read(into: Uint8Array, at: number, length: number, position: number): Promise<number> {
    const part = this.bytes.subarray(position, position + length);
    into.set(part, at);
    return Promise.resolve(part.length);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
