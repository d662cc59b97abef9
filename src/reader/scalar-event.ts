/**
 * How a scalar is written.
 *
 * `v1`: as `simple_value`. `v2`: as a float tensor of no dimensions; whether that is a scalar, what was said of its tag
 * before tells. `v2-scalars`: the same, and says itself that it is of the plugin `scalars` and nothing else.
 */
export type ScalarForm = "v1" | "v2" | "v2-scalars";

/**
 * The fast path: an `Event` that holds one scalar and nothing else, which is what a training writes by the million.
 *
 * Exactly one layout of each form is taken, the one common writers produce (fields in order, none twice, none unknown);
 * anything else is left to the generated decoder. `test/reader/scalar-event.test.ts` holds the two equal.
 *
 *     09 <wall_time: 8>  [10 <step: varint>]  2a <len> { 0a <len> { 0a <len> <tag>  …
 *     v1          15 <simple_value: 4>                                                                    torch, tensorboardX
 *     v2          42 0a { 08 01 (DT_FLOAT)  12 00 (no dimensions)  22 04 <tensor_content: 4> }               TensorFlow 2
 *     v2-scalars  the same, 4a 0b { 0a 09 { 0a 07 "scalars" } }
 */
export class ScalarEvent {
  form: ScalarForm = "v1";
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
    // The three lengths contain each other; all are short enough for one byte each, and longer ones are rare.
    const length = end - at - 4;
    if (length < 8 || length > 123) return false;
    if (view.getInt32(at, true) !== (0x0a_00_2a | ((length + 2) << 8) | (length << 24))) return false;
    if (view.getUint8(at + 4) !== 0x0a) return false;
    const tagLength = view.getUint8(at + 5);
    const value = at + 6 + tagLength;
    if (tagLength === 0 || value >= end) return false;
    switch (end - value) {
      case V1_LENGTH:
        if (view.getUint8(value) !== 0x15) return false;
        this.form = "v1";
        this.value = view.getFloat32(value + 1, true);
        break;
      case V2_LENGTH:
        if (!isFloat(view, value)) return false;
        this.form = "v2";
        this.value = view.getFloat32(value + 8, true);
        break;
      case V2_LENGTH + METADATA_LENGTH:
        if (!isFloat(view, value) || !saysScalars(view, value + V2_LENGTH)) return false;
        this.form = "v2-scalars";
        this.value = view.getFloat32(value + 8, true);
        break;
      default:
        return false;
    }
    this.tagStart = at + 6;
    this.tagEnd = value;
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

/** What follows the tag, in bytes. */
const V1_LENGTH = 5;
const V2_LENGTH = 12;
const METADATA_LENGTH = 13;

/** Whether a float tensor of no dimensions stands at `at`, up to its four bytes of content. */
function isFloat(view: DataView, at: number): boolean {
  return view.getInt32(at) === 0x42_0a_08_01 && view.getInt32(at + 4) === 0x12_00_22_04;
}

/** Whether metadata stands at `at` that names the plugin `scalars` and has nothing else. */
function saysScalars(view: DataView, at: number): boolean {
  return (
    view.getInt32(at) === 0x4a_0b_0a_09 &&
    view.getInt32(at + 4) === 0x0a_07_73_63 &&
    view.getInt32(at + 8) === 0x61_6c_61_72 &&
    view.getUint8(at + 12) === 0x73
  );
}
