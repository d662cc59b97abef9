/** A part of a file of the source, streamed: a body for `src/net`. */
import { TraceletError } from "../../errors.ts";
import type { FileRef, OpenFile } from "../../reader/file-store.ts";
import { displayPath } from "../../reader/fs-path.ts";

const CHUNK_BYTES = 256 * 1024;

export class FilePart {
  readonly size: number;
  readonly #file: FileRef;
  readonly #start: number;

  constructor(file: FileRef, start: number, size: number) {
    this.#file = file;
    this.#start = start;
    this.size = size;
  }

  /** @throws TraceletError `logdir` if it cannot be read; so does the iterator, also where the file is shorter */
  async open(): Promise<AsyncIterable<Uint8Array> & { close(): Promise<void> }> {
    const source = await this.#file.store.open(this.#file).catch((error: unknown) => {
      throw this.#unreadable(error);
    });
    return { [Symbol.asyncIterator]: () => this.#chunks(source), close: () => source.close() };
  }

  async *#chunks(source: OpenFile): AsyncGenerator<Uint8Array> {
    const end = this.#start + this.size;
    for (let at = this.#start; at < end; ) {
      // A new one each time: who takes a chunk may keep it for a while.
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
      const read = await source.read(chunk, 0, chunk.length, at).catch((error: unknown) => {
        throw this.#unreadable(error);
      });
      if (read === 0)
        throw new TraceletError("logdir", `${this.#name} is shorter than it was: ${at} bytes instead of ${end}`);
      at += read;
      yield chunk.subarray(0, read);
    }
  }

  get #name(): string {
    return displayPath(this.#file.path);
  }

  #unreadable(cause: unknown): TraceletError {
    return new TraceletError("logdir", `cannot read ${this.#name}: ${(cause as Error).message}`, { cause });
  }
}

/** The same, for those who ask for one. */
export function partOf(file: FileRef, start: number, size: number): FilePart {
  return new FilePart(file, start, size);
}
