/** A destination's marks of one run, so that each file finds its own without looking at all of them. */
import type { ByteSource } from "../../reader/byte-source.ts";
import { type FileMark, hashHead, headHash } from "./fingerprint.ts";
import { HeadIndex } from "./head-index.ts";

export class MarkIndex {
  readonly #byKey = new Map<string, FileMark>();
  readonly #byName = new Map<string, FileMark[]>();
  readonly #byHead: HeadIndex<FileMark>;

  constructor(marks: readonly FileMark[]) {
    this.#byHead = new HeadIndex(marks);
    for (const mark of marks) {
      if (!this.#byKey.has(mark.key)) this.#byKey.set(mark.key, mark);
      const sameName = this.#byName.get(mark.name);
      if (sameName === undefined) this.#byName.set(mark.name, [mark]);
      else sameName.push(mark);
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
    return this.#byHead.first((length) => hashHead(source, length));
  }
}
