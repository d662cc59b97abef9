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

  /** Decode `view[start, end)`. False: it has another layout, and no field of this object means anything. */
  decode(view: DataView, start: number, end: number): boolean {
    // The shortest such event: wall time, and a summary of one value with a tag of one byte.
    if (end - start < 21 || view.getUint8(start) !== 0x09) return false;
    let at = start + 9;
    this.stepLow = 0;
    this.stepHigh = 0;
    if (view.getUint8(at) === 0x10) {
      at = this.#step(view, at + 1, end);
      if (at < 0) return false;
    }
    // The three lengths contain each other; tags are short enough for one byte each, and longer ones are rare.
    const tagLength = end - at - 11;
    if (tagLength < 1 || tagLength > 116) return false;
    if (view.getInt32(at, true) !== (0x0a_00_2a | ((tagLength + 9) << 8) | ((tagLength + 7) << 24))) return false;
    if (view.getUint16(at + 4, true) !== (0x0a | (tagLength << 8))) return false;
    const value = at + 6 + tagLength;
    if (view.getUint8(value) !== 0x15) return false;
    this.tagStart = at + 6;
    this.tagEnd = value;
    this.value = view.getFloat32(value + 1, true);
    this.wallTime = view.getFloat64(start + 1, true);
    return true;
  }

  /** @returns where the varint ends, or -1 if it does not end in time or is longer than the encoding of any int64 */
  #step(view: DataView, from: number, end: number): number {
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10 && from + i < end; i++) {
      const byte = view.getUint8(from + i);
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
