/**
 * CRC-32C, masked the way TFRecord masks it.
 *
 * Source: tensorflow/core/lib/hash/crc32c.h (mask: rotate right by 15 bits, add 0xa282ead8).
 */
import crc32c from "crc-32/crc32c.js";

/** From here on the library's own loop is the faster one; below, the view it needs costs more than the work. */
const LIBRARY_FROM = 2048;

/** Slicing-by-8 tables, made from the library's: entry 256 * k + b is the CRC of byte b followed by k zero bytes. */
const T = new Int32Array(8 * 256);
T.set(crc32c.table);
for (let i = 256; i < T.length; i++) {
  const previous = T[i - 256] as number;
  T[i] = (previous >>> 8) ^ (crc32c.table[previous & 255] as number);
}

/**
 * Masked CRC-32C of `bytes[start, end)`, without making a view of it: most records are some 40 bytes long, and an
 * allocation for each would cost more than the check.
 *
 * @returns an unsigned 32-bit integer
 */
export function maskedCrc(bytes: Uint8Array, start: number, end: number): number {
  if (end - start >= LIBRARY_FROM) return mask(crc32c.buf(bytes.subarray(start, end)));
  let c = -1;
  let i = start;
  for (const last = end - 8; i <= last; i += 8) {
    c ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    c =
      (T[1792 + (c & 255)] as number) ^
      (T[1536 + ((c >>> 8) & 255)] as number) ^
      (T[1280 + ((c >>> 16) & 255)] as number) ^
      (T[1024 + (c >>> 24)] as number) ^
      (T[768 + (bytes[i + 4] as number)] as number) ^
      (T[512 + (bytes[i + 5] as number)] as number) ^
      (T[256 + (bytes[i + 6] as number)] as number) ^
      (T[bytes[i + 7] as number] as number);
  }
  for (; i < end; i++) c = (c >>> 8) ^ (T[(c ^ (bytes[i] as number)) & 255] as number);
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
