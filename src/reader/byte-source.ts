/** The reader's only door to storage. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { displayPath, type FsPath } from "./discover.ts";

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

/** A file, open for reading only. */
export class FileSource implements ByteSource {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * @throws the system's error, or `EINVAL` if the path is no regular file (any more)
   */
  static async open(fsPath: FsPath): Promise<FileSource> {
    // O_NONBLOCK: opening a FIFO that lies where an event file was would otherwise wait for ever.
    const handle = await open(fsPath, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await handle.stat()).isFile()) return new FileSource(handle);
    await handle.close();
    throw Object.assign(new Error(`not a regular file: ${displayPath(fsPath)}`), { code: "EINVAL" });
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
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#handle.read(into, at + done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
