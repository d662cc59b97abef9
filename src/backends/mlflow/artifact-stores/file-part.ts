/** A part of a file of this machine, streamed. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { TraceletError } from "../../../errors.ts";
import { NO_LINK } from "../../../reader/file-links.ts";
import type { OpenUpload, Upload } from "../http-request.ts";

const CHUNK_BYTES = 256 * 1024;

export class FilePart implements Upload {
  readonly size: number;
  readonly #file: string | Buffer;
  readonly #start: number;

  constructor(file: string | Buffer, start: number, size: number) {
    this.#file = file;
    this.#start = start;
    this.size = size;
  }

  /** @throws TraceletError `logdir` if it cannot be read; so does the iterator, also where the file is shorter */
  async open(): Promise<OpenUpload> {
    const handle = await open(this.#file, constants.O_RDONLY | NO_LINK).catch((error: unknown) => {
      throw this.#unreadable(error);
    });
    return { [Symbol.asyncIterator]: () => this.#chunks(handle), close: () => handle.close() };
  }

  async *#chunks(handle: FileHandle): AsyncGenerator<Uint8Array> {
    const end = this.#start + this.size;
    for (let at = this.#start; at < end; ) {
      // A new one each time: who takes a chunk may keep it for a while.
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at).catch((error: unknown) => {
        throw this.#unreadable(error);
      });
      if (bytesRead === 0) {
        throw new TraceletError("logdir", `${this.#file} is shorter than it was: ${at} bytes instead of ${end}`);
      }
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  }

  #unreadable(cause: unknown): TraceletError {
    return new TraceletError("logdir", `cannot read ${this.#file}: ${(cause as Error).message}`, { cause });
  }
}
