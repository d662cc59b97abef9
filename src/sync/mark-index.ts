/** A destination's marks of one run, so that each file finds its own without looking at all of them. */
import type { ByteSource } from "../reader/byte-source.ts";
import { type FileMark, hashHead, headHash } from "./fingerprint.ts";

interface Placed {
  readonly mark: FileMark;
  readonly at: number;
}

export class MarkIndex {
  readonly #byKey = new Map<string, FileMark>();
  readonly #byName = new Map<string, FileMark[]>();
  /** By how many bytes name the file, and by their hash: the first of the marks. Most runs have one or two lengths. */
  readonly #byHead = new Map<number, Map<string, Placed>>();

  constructor(marks: readonly FileMark[]) {
    for (const [at, mark] of marks.entries()) {
      if (!this.#byKey.has(mark.key)) this.#byKey.set(mark.key, mark);
      const sameName = this.#byName.get(mark.name);
      if (sameName === undefined) this.#byName.set(mark.name, [mark]);
      else sameName.push(mark);
      const heads = this.#byHead.get(mark.head) ?? new Map<string, Placed>();
      this.#byHead.set(mark.head, heads);
      const hash = headHash(mark.key);
      if (!heads.has(hash)) heads.set(hash, { mark, at });
    }
  }

  /** The mark of a file that is known by its key. */
  withKey(key: string): FileMark | undefined {
    return this.#byKey.get(key);
  }

  /** The mark of the file whose bytes these are: one of its name first, else the first of all. @throws the source's error */
  async of(source: ByteSource, name: string): Promise<FileMark | undefined> {
    for (const mark of this.#byName.get(name) ?? []) {
      if ((await hashHead(source, mark.head)) === headHash(mark.key)) return mark;
    }
    let first: Placed | undefined;
    for (const [length, heads] of this.#byHead) {
      const hash = await hashHead(source, length);
      const found = hash === undefined ? undefined : heads.get(hash);
      if (found !== undefined && (first === undefined || found.at < first.at)) first = found;
    }
    return first?.mark;
  }
}
