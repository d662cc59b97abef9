/**
 * Two great sets compared without holding them. An item is six 32-bit words: a point's step, time and value, or 192 bits
 * of a line's digest. What is summed up of a set does not depend on its order; only where two sums differ are the items
 * themselves looked at.
 */
import { createHash, randomBytes } from "node:crypto";

const WORDS = 6;

/** Nobody can make two sets that look alike, since nobody knows these. */
const seeds: Int32Array = new Int32Array(new Uint8Array(randomBytes(8)).buffer);

/** Takes items one by one. The words are the caller's, and are others at the next call. */
export type TakeItem = (words: Int32Array) => void;

const item = new Int32Array(WORDS);

/** The words of a value that is compared by its digest. They are others at the next call. */
export function digestWords(bytes: Uint8Array | string): Int32Array {
  const digest = createHash("sha256").update(bytes).digest();
  for (let word = 0; word < WORDS; word++) item[word] = digest.readInt32LE(4 * word);
  return item;
}

/** Hand on the lines of a file, as words. */
export function eachLine(bytes: Uint8Array, take: TakeItem): void {
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const line = bytes.subarray(at, end < 0 ? bytes.length : end);
    take(digestWords(line));
    at += line.length + 1;
  }
}

/** How many items there are, and what 64 bits can say of them all, whatever their order. */
export class Sum {
  count = 0;
  #a = 0;
  #b = 0;

  add(words: Int32Array): void {
    let a = seeds[0] as number;
    let b = seeds[1] as number;
    for (let i = 0; i < WORDS; i++) {
      const word = words[i] as number;
      a = Math.imul(a ^ word, 0x9e3779b1);
      a ^= a >>> 15;
      b = Math.imul((b + word) | 0, 0x85ebca6b);
      b ^= b >>> 13;
    }
    a = Math.imul(a ^ (a >>> 16), 0x2c1b3c6d);
    b = Math.imul(b ^ (b >>> 16), 0x297a2d39);
    this.#a = (this.#a + (a ^ (a >>> 12))) | 0;
    this.#b = (this.#b + (b ^ (b >>> 15))) | 0;
    this.count++;
  }

  equals(other: Sum): boolean {
    return this.count === other.count && this.#a === other.#a && this.#b === other.#b;
  }
}

/** Which of `parts` parts an item belongs to: points of one step to the same. */
export function partOf(words: Int32Array, parts: number): number {
  let hash = Math.imul((words[0] as number) ^ (seeds[0] as number), 0x9e3779b1) ^ (words[1] as number);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) >>> 0) % parts;
}

/** Items held, 24 bytes each. */
export class ItemSet {
  #words: Int32Array;
  #length = 0;

  /** @param expected how many there will be, about */
  constructor(expected: number) {
    this.#words = new Int32Array(Math.max(16, Math.ceil(expected)) * WORDS);
  }

  add(words: Int32Array): void {
    const at = this.#length++ * WORDS;
    if (at === this.#words.length) {
      const larger = new Int32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words.set(words, at);
  }

  get length(): number {
    return this.#length;
  }

  at(index: number): Int32Array {
    return this.#words.subarray(index * WORDS, (index + 1) * WORDS);
  }

  /** The items' indices, by step, time and value. @param once of equal ones the first only */
  sorted(once: boolean): Uint32Array {
    const order = new Uint32Array(this.#length).map((_, i) => i);
    order.sort((a, b) => compareAt(this.#words, a, this.#words, b));
    if (!once) return order;
    let kept = 0;
    for (const index of order) {
      if (kept === 0 || this.compare(order[kept - 1] as number, this, index) !== 0) order[kept++] = index;
    }
    return order.subarray(0, kept);
  }

  compare(index: number, other: ItemSet, otherIndex: number): number {
    return compareAt(this.#words, index, other.#words, otherIndex);
  }

  isSameStep(index: number, other: ItemSet, otherIndex: number): boolean {
    const [a, b] = [index * WORDS, otherIndex * WORDS];
    return this.#words[a] === other.#words[b] && this.#words[a + 1] === other.#words[b + 1];
  }
}

function compareAt(a: Int32Array, i: number, b: Int32Array, j: number): number {
  const high = (a[i * WORDS] as number) - (b[j * WORDS] as number);
  if (high !== 0) return high;
  for (let word = 1; word < WORDS; word++) {
    const difference = ((a[i * WORDS + word] as number) >>> 0) - ((b[j * WORDS + word] as number) >>> 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** An item of one set that the other does not have; of two with the same step, both. */
export interface Unmatched {
  readonly source: Int32Array | undefined;
  readonly there: Int32Array | undefined;
}

/**
 * Every item that only one of the sets has, in their order. What is at the same step on both sides comes as a pair.
 *
 * @param once whether an item that is there several times counts as one, as a point does
 */
export function* unmatched(source: ItemSet, there: ItemSet, once = true): Generator<Unmatched> {
  const [onlySource, onlyThere] = differing(source, there, once);
  for (let i = 0, j = 0; i < onlySource.length || j < onlyThere.length; ) {
    const [a, b] = [onlySource[i], onlyThere[j]];
    if (a !== undefined && b !== undefined && source.isSameStep(a, there, b)) {
      yield { source: source.at(a), there: there.at(b) };
      i++;
      j++;
    } else if (b === undefined || (a !== undefined && source.compare(a, there, b) < 0)) {
      yield { source: source.at(a as number), there: undefined };
      i++;
    } else {
      yield { source: undefined, there: there.at(b) };
      j++;
    }
  }
}

/** Tells whether an item is in a set. */
export function membersOf(set: ItemSet): (words: Int32Array) => boolean {
  const order = set.sorted(true);
  return (words) => {
    const one = new ItemSet(1);
    one.add(words);
    let [low, high] = [0, order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (set.compare(order[middle] as number, one, 0) < 0) low = middle + 1;
      else high = middle;
    }
    const found = order[low];
    return found !== undefined && set.compare(found, one, 0) === 0;
  };
}

/** What a set has and another has not. @param once as for `unmatched` */
export function without(set: ItemSet, other: ItemSet, once: boolean): ItemSet {
  const [rest] = differing(set, other, once);
  const items = new ItemSet(rest.length);
  for (const index of rest) items.add(set.at(index));
  return items;
}

/** The indices of what only the one has, and of what only the other has. */
function differing(source: ItemSet, there: ItemSet, once: boolean): readonly [Uint32Array, Uint32Array] {
  const [a, b] = [source.sorted(once), there.sorted(once)];
  let [i, j, keptA, keptB] = [0, 0, 0, 0];
  while (i < a.length || j < b.length) {
    const [inA, inB] = [a[i], b[j]];
    const order = inA === undefined ? 1 : inB === undefined ? -1 : source.compare(inA, there, inB);
    // What is kept stands before what is looked at.
    if (order < 0) a[keptA++] = inA as number;
    if (order > 0) b[keptB++] = inB as number;
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return [a.subarray(0, keptA), b.subarray(0, keptB)];
}
