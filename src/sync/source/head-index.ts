/** Files by the hashes of their beginnings, so that one is found again without being compared with each of thousands. */
import type { EventFileEntry } from "../../reader/discover.ts";
import { useFile } from "../../reader/file-store.ts";
import { type FileMark, HEAD_BYTES, hashHead, headHash } from "./fingerprint.ts";

/** Hash of the first `length` bytes of a file; undefined if there are fewer. */
export type HashOf = (length: number) => Promise<string | undefined>;

interface Placed<T> {
  readonly file: T;
  readonly at: number;
}

export class HeadIndex<T extends Pick<FileMark, "key" | "head">> {
  /** By how many bytes name the file, and by their hash: in their order. Most runs have one or two lengths. */
  readonly #files = new Map<number, Map<string, Placed<T>[]>>();

  constructor(files: readonly T[]) {
    for (const [at, file] of files.entries()) {
      const heads = this.#files.get(file.head) ?? new Map<string, Placed<T>[]>();
      this.#files.set(file.head, heads);
      const hash = headHash(file.key);
      const alike = heads.get(hash);
      if (alike === undefined) heads.set(hash, [{ file, at }]);
      else alike.push({ file, at });
    }
  }

  /** The first of those that begin as the file does. @throws what `hashOf` throws */
  async first(hashOf: HashOf): Promise<T | undefined> {
    return (await this.#alike(hashOf))?.[0]?.file;
  }

  /** The same; it is in the index no longer. */
  async take(hashOf: HashOf): Promise<T | undefined> {
    return (await this.#alike(hashOf))?.shift()?.file;
  }

  async #alike(hashOf: HashOf): Promise<Placed<T>[] | undefined> {
    let first: Placed<T>[] | undefined;
    for (const [length, heads] of this.#files) {
      const hash = await hashOf(length);
      const found = hash === undefined ? undefined : heads.get(hash);
      const at = found?.[0]?.at;
      if (at !== undefined && at < (first?.[0]?.at ?? Infinity)) first = found;
    }
    return first;
  }
}

/** The beginnings of files of which each may be compared with many others: it is read once. */
export class FileHeads {
  readonly #heads = new Map<EventFileEntry, Promise<Uint8Array | undefined>>();

  /** Read the beginning of a file. @throws its store's error; whoever asks for its hash after that is told that there is none */
  async read(entry: EventFileEntry): Promise<void> {
    const reading = readHead(entry);
    this.#heads.set(
      entry,
      reading.catch(() => undefined),
    );
    await reading;
  }

  /** Hash of the first `length` bytes; undefined if there are fewer, or the file cannot be read. */
  async hash(entry: EventFileEntry, length: number): Promise<string | undefined> {
    let reading = this.#heads.get(entry);
    if (reading === undefined) this.#heads.set(entry, (reading = readHead(entry).catch(() => undefined)));
    const head = await reading;
    if (head === undefined) return undefined;
    const read = async (into: Uint8Array, at: number, wanted: number, from: number) => {
      const part = head.subarray(from, from + wanted);
      into.set(part, at);
      return part.length;
    };
    return hashHead({ read }, length);
  }
}

function readHead(file: EventFileEntry): Promise<Uint8Array> {
  return useFile(file, async (source) => {
    const bytes = new Uint8Array(HEAD_BYTES);
    return bytes.subarray(0, await source.read(bytes, 0, bytes.length, 0));
  });
}
