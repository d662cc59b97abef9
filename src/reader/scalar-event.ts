import { readUint32 } from "./little-endian.ts";

/**
 * The fast path: an `Event` that holds one V1 scalar and nothing else, which is what a training writes by the million.
 *
 * Exactly one layout is taken, the one every common writer produces (fields in order, none twice, none unknown);
 * anything else is left to the generated decoder. `test/reader/scalar-event.test.ts` holds the two equal.
 *
 *     09 <wall_time: 8>  [10 <step: varint>]  2a <len> { 0a <len> { 0a <len> <tag>  15 <simple_value: 4> } }
 */
export class ScalarEvent {
  /** Seconds since the Unix epoch. */
  wallTime = 0;
  /** Low and high 32 bits of the int64 step. */
  stepLow = 0;
  stepHigh = 0;
  tagStart = 0;
  tagEnd = 0;
  value = 0;

  readonly #float = new Float32Array(1);
  readonly #double = new Float64Array(1);
  readonly #bits = new Uint32Array(this.#double.buffer);
  readonly #floatBits = new Uint32Array(this.#float.buffer);

  /** Decode `bytes[start, end)`. False: it has another layout, and no field of this object means anything. */
  decode(bytes: Uint8Array, start: number, end: number): boolean {
    // The shortest such event: wall time, and a summary of one value with a tag of one byte.
    if (end - start < 21 || bytes[start] !== 0x09) return false;
    let at = start + 9;
    this.stepLow = 0;
    this.stepHigh = 0;
    if (bytes[at] === 0x10) {
      at = this.#step(bytes, at + 1, end);
      if (at < 0) return false;
    }
    // The three lengths contain each other; tags are short enough for one byte each, and longer ones are rare.
    const tagLength = end - at - 11;
    if (tagLength < 1 || tagLength > 116) return false;
    if (bytes[at] !== 0x2a || bytes[at + 1] !== tagLength + 9) return false;
    if (bytes[at + 2] !== 0x0a || bytes[at + 3] !== tagLength + 7) return false;
    if (bytes[at + 4] !== 0x0a || bytes[at + 5] !== tagLength) return false;
    const value = at + 6 + tagLength;
    if (bytes[value] !== 0x15) return false;
    this.tagStart = at + 6;
    this.tagEnd = value;
    this.#floatBits[0] = readUint32(bytes, value + 1);
    this.value = this.#float[0] as number;
    this.#bits[0] = readUint32(bytes, start + 1);
    this.#bits[1] = readUint32(bytes, start + 5);
    this.wallTime = this.#double[0] as number;
    return true;
  }

  /** @returns where the varint ends, or -1 if it does not end in time or is longer than the encoding of any int64 */
  #step(bytes: Uint8Array, from: number, end: number): number {
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10 && from + i < end; i++) {
      const byte = bytes[from + i] as number;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) {
        this.stepLow = low | 0;
        this.stepHigh = high | 0;
        return from + i + 1;
      }
    }
    return -1;
  }
}
