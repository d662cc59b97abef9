/** Which rows or lines a run has: 96 bits of a digest each, so that ten million fit into memory. */
import { createHash } from "node:crypto";

const WORDS = 3;
const FIRST_SLOTS = 1024;

/** Takes a row's text or bytes, in parts. */
export type RowParts = readonly (string | Uint8Array)[];

export class RowDigests {
  #slots = new Int32Array(FIRST_SLOTS * WORDS);
  #count = 0;

  has(...row: RowParts): boolean {
    return this.#isAt(this.#find(digestOf(row)));
  }

  add(...row: RowParts): void {
    this.#put(digestOf(row));
  }

  #put(words: Int32Array): void {
    const at = this.#find(words);
    if (this.#isAt(at)) return;
    this.#slots.set(words, at);
    if (++this.#count * WORDS * 2 <= this.#slots.length) return;
    const before = this.#slots;
    this.#slots = new Int32Array(before.length * 2);
    for (let from = 0; from < before.length; from += WORDS) {
      const moved = before.subarray(from, from + WORDS);
      if (moved[0] !== 0) this.#slots.set(moved, this.#find(moved));
    }
  }

  #isAt(at: number): boolean {
    return this.#slots[at] !== 0;
  }

  /** Where it is, or would be. */
  #find(words: Int32Array): number {
    const slots = this.#slots;
    const count = slots.length / WORDS;
    for (let slot = ((words[1] as number) >>> 0) % count; ; slot = (slot + 1) % count) {
      const at = slot * WORDS;
      const first = slots[at];
      if (first === 0) return at;
      if (first === words[0] && slots[at + 1] === words[1] && slots[at + 2] === words[2]) return at;
    }
  }
}

/** Its first word is never 0: that is an empty slot. */
function digestOf(row: RowParts): Int32Array {
  const hash = createHash("sha1");
  for (const part of row) hash.update(part);
  const digest = hash.digest();
  return Int32Array.of(digest.readInt32LE(0) || 1, digest.readInt32LE(4), digest.readInt32LE(8));
}
