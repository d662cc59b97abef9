/**
 * Distinct tags of a run, numbered in the order they are first seen. Tags are looked up by their bytes: decoding a
 * string for every point would cost more than all the rest of reading it.
 */
export class TagTable {
  readonly names: string[] = [];
  readonly #ids = new Map<string, number>();
  /** The tags' bytes, one behind the other; tag `id` ends at `#ends[id]`. */
  #arena = new DataView(new ArrayBuffer(512));
  #ends = new Int32Array(32);
  /** Open addressing, slot → id + 1. */
  #slots = new Int32Array(128);
  /** Which tag came after tag `id` the last time: writers log the same tags in the same order again and again. */
  #successors = new Int32Array(32);
  #last = 0;

  /** The number of `tag`. */
  ofName(tag: string): number {
    return this.#ids.get(tag) ?? this.#add(tag, Buffer.from(tag));
  }

  /** The number of the tag whose UTF-8 bytes are `view[start, end)`; -1 if they are no valid UTF-8. */
  ofBytes(view: DataView, start: number, end: number): number {
    const known = this.knownBytes(view, start, end);
    if (known >= 0) return known;
    const id = this.#addBytes(view, start, end);
    if (id >= 0) this.#follow(id);
    return id;
  }

  /** The number of the tag whose UTF-8 bytes are `view[start, end)`; -1 if it has none yet. */
  knownBytes(view: DataView, start: number, end: number): number {
    if (this.names.length === 0) return -1;
    const guess = this.#successors[this.#last] as number;
    if (this.#is(guess, view, start, end)) {
      this.#last = guess;
      return guess;
    }
    let slot = hash(view, start, end) & (this.#slots.length - 1);
    let id = (this.#slots[slot] as number) - 1;
    while (id >= 0 && !this.#is(id, view, start, end)) {
      slot = (slot + 1) & (this.#slots.length - 1);
      id = (this.#slots[slot] as number) - 1;
    }
    if (id >= 0) this.#follow(id);
    return id;
  }

  #follow(id: number): void {
    this.#successors[this.#last] = id;
    this.#last = id;
  }

  #is(id: number, view: DataView, start: number, end: number): boolean {
    let at = id === 0 ? 0 : (this.#ends[id - 1] as number);
    if ((this.#ends[id] as number) - at !== end - start) return false;
    const arena = this.#arena;
    let i = start;
    for (const last = end - 4; i <= last; i += 4, at += 4) if (view.getInt32(i) !== arena.getInt32(at)) return false;
    for (; i < end; i++, at++) if (view.getUint8(i) !== arena.getUint8(at)) return false;
    return true;
  }

  #addBytes(view: DataView, start: number, end: number): number {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + start, end - start);
    try {
      return this.#add(utf8.decode(bytes), bytes);
    } catch {
      return -1;
    }
  }

  #add(tag: string, encoded: Uint8Array): number {
    const id = this.names.length;
    const start = id === 0 ? 0 : (this.#ends[id - 1] as number);
    const end = start + encoded.length;
    const { byteLength, buffer } = this.#arena;
    if (end > byteLength) {
      this.#arena = new DataView(grown(new Uint8Array(buffer), Math.max(end, byteLength * 2)).buffer);
    }
    if (id >= this.#ends.length) {
      this.#ends = grown(this.#ends, id * 2);
      this.#successors = grown(this.#successors, id * 2);
    }
    new Uint8Array(this.#arena.buffer).set(encoded, start);
    this.#ends[id] = end;
    this.names.push(tag);
    this.#ids.set(tag, id);
    if (id * 2 >= this.#slots.length) {
      this.#slots = new Int32Array(this.#slots.length * 4);
      for (let other = 0; other < id; other++) this.#place(other);
    }
    this.#place(id);
    return id;
  }

  #place(id: number): void {
    const start = id === 0 ? 0 : (this.#ends[id - 1] as number);
    let slot = hash(this.#arena, start, this.#ends[id] as number) & (this.#slots.length - 1);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (this.#slots.length - 1);
    this.#slots[slot] = id + 1;
  }
}

// ignoreBOM: a tag that begins with U+FEFF keeps it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** FNV-1a, folded so that the low bits used as a slot depend on all of it. */
function hash(view: DataView, start: number, end: number): number {
  let h = 0x811c9dc5;
  for (let i = start; i < end; i++) h = Math.imul(h ^ view.getUint8(i), 0x01000193);
  return h ^ (h >>> 15);
}

function grown<T extends Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(array: T, length: number): T {
  const larger = new (array.constructor as new (length: number) => T)(length);
  larger.set(array);
  return larger;
}
