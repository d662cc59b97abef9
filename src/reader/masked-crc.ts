/**
 * CRC-32C, masked the way TFRecord masks it.
 *
 * Source: tensorflow/core/lib/hash/crc32c.h (mask: rotate right by 15 bits, add 0xa282ead8).
 */
import crc32c from "crc-32/crc32c.js";

/** From here on the library's own loop is as fast; below, the array it needs costs more than the work. Bytes. */
const LIBRARY_FROM = 16_384;

/** Slicing-by-16 tables, made from the library's: entry 256 * k + b is the CRC of byte b followed by k zero bytes. */
const T = new Int32Array(16 * 256);
T.set(crc32c.table);
for (let i = 256; i < T.length; i++) {
  const previous = T[i - 256] as number;
  T[i] = (previous >>> 8) ^ (crc32c.table[previous & 255] as number);
}

/**
 * Masked CRC-32C of `view[start, end)`, without making an array of it: most records are some 40 bytes long, and an
 * allocation for each would cost more than the check.
 *
 * @returns an unsigned 32-bit integer
 */
export function maskedCrc(view: DataView, start: number, end: number): number {
  if (end - start >= LIBRARY_FROM) {
    return mask(crc32c.buf(new Uint8Array(view.buffer, view.byteOffset + start, end - start)));
  }
  let c = -1;
  let i = start;
  for (const last = end - 16; i <= last; i += 16) {
    c ^= view.getInt32(i, true);
    const d = view.getInt32(i + 4, true);
    const e = view.getInt32(i + 8, true);
    const f = view.getInt32(i + 12, true);
    c =
      (T[3840 + (c & 255)] as number) ^
      (T[3584 + ((c >>> 8) & 255)] as number) ^
      (T[3328 + ((c >>> 16) & 255)] as number) ^
      (T[3072 + (c >>> 24)] as number) ^
      (T[2816 + (d & 255)] as number) ^
      (T[2560 + ((d >>> 8) & 255)] as number) ^
      (T[2304 + ((d >>> 16) & 255)] as number) ^
      (T[2048 + (d >>> 24)] as number) ^
      (T[1792 + (e & 255)] as number) ^
      (T[1536 + ((e >>> 8) & 255)] as number) ^
      (T[1280 + ((e >>> 16) & 255)] as number) ^
      (T[1024 + (e >>> 24)] as number) ^
      (T[768 + (f & 255)] as number) ^
      (T[512 + ((f >>> 8) & 255)] as number) ^
      (T[256 + ((f >>> 16) & 255)] as number) ^
      (T[f >>> 24] as number);
  }
  for (const last = end - 4; i <= last; i += 4) {
    c ^= view.getInt32(i, true);
    c =
      (T[768 + (c & 255)] as number) ^
      (T[512 + ((c >>> 8) & 255)] as number) ^
      (T[256 + ((c >>> 16) & 255)] as number) ^
      (T[c >>> 24] as number);
  }
  for (; i < end; i++) c = (c >>> 8) ^ (T[(c ^ view.getUint8(i)) & 255] as number);
  return mask(~c);
}

/** A CRC-32C that is fed piece by piece, for payloads too large to hold. */
export class RunningCrc {
  #crc = 0;

  update(bytes: Uint8Array): void {
    this.#crc = crc32c.buf(bytes, this.#crc);
  }

  /** Masked CRC-32C of all bytes so far, as an unsigned 32-bit integer. */
  masked(): number {
    return mask(this.#crc);
  }
}

function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
