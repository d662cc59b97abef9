/**
 * The framing of a `.wandb` file: 7 bytes of its own, then LevelDB's log format.
 *
 *     ":W&B" u16 0xBEE1 u8 version | chunk chunk … , never across a border of 32 KiB
 *     chunk: u32 CRC-32 of type and data | u16 length | u8 type (1 whole, 2 first, 3 middle, 4 last) | data
 *
 * Numbers are little-endian. Less than 7 bytes before a border are zeros.
 *
 * Source: core/pkg/leveldb/record.go of wandb, https://github.com/google/leveldb/blob/main/doc/log_format.md
 */
import { readSync } from "node:fs";
import { crc32 } from "node:zlib";

const BLOCK = 32 * 1024;
const CHUNK_HEADER = 7;
const [WHOLE, FIRST, MIDDLE, LAST] = [1, 2, 3, 4] as const;
const CRC_OF_TYPE = [0, 1, 2, 3, 4].map((type) => crc32(Uint8Array.of(type)));
/** Bytes read at once. */
const PIECE = 32 * BLOCK;

/** What a file begins with. */
export const FILE_HEADER: Buffer = Buffer.from([...Buffer.from(":W&B"), 0xe1, 0xbe, 0]);

/** Records as they stand in a file. @param start where they begin, bytes */
export function framed(records: readonly Uint8Array[], start: number): Buffer {
  let size = 0;
  // Each border adds a header and its padding at most.
  for (const record of records) size += record.length + CHUNK_HEADER * (3 + 2 * Math.ceil(record.length / BLOCK));
  const bytes = Buffer.alloc(size);
  let at = 0;
  for (const record of records) {
    for (let done = 0, isFirst = true, isLast = false; !isLast; isFirst = false) {
      const left = BLOCK - ((start + at) % BLOCK);
      if (left < CHUNK_HEADER) at += left;
      const room = (left < CHUNK_HEADER ? BLOCK : left) - CHUNK_HEADER;
      const data = record.subarray(done, done + room);
      done += data.length;
      isLast = done === record.length;
      const type = isFirst ? (isLast ? WHOLE : FIRST) : isLast ? LAST : MIDDLE;
      bytes.writeUInt32LE(checksum(data, CRC_OF_TYPE[type] as number), at);
      bytes.writeUInt16LE(data.length, at + 4);
      bytes[at + 6] = type;
      bytes.set(data, at + CHUNK_HEADER);
      at += CHUNK_HEADER + data.length;
    }
  }
  return bytes.subarray(0, at);
}

export interface FramedRecord {
  /** Bytes of the file. */
  readonly start: number;
  readonly end: number;
  /** Valid until the next one is read. */
  readonly data: Uint8Array;
}

/** Bytes that belong behind a place of a file, instead of what stands there. */
export interface Continuation {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * The records of an open file, up to the first that is not whole.
 *
 * @param rest read as if it had been written already
 * @throws the system's error
 */
export function* readRecords(handle: number, rest?: Continuation): Generator<FramedRecord> {
  const piece = Buffer.allocUnsafe(PIECE);
  const parts: Buffer[] = [];
  let start = 0;
  for (let base = 0; ; base += PIECE) {
    const length = readPiece(handle, piece, base, rest);
    let at = 0;
    if (base === 0) {
      if (length < FILE_HEADER.length || !piece.subarray(0, FILE_HEADER.length).equals(FILE_HEADER)) return;
      at = FILE_HEADER.length;
    }
    while (at < length) {
      const left = BLOCK - (at % BLOCK);
      if (left < CHUNK_HEADER) {
        at += left;
        continue;
      }
      const chunk = readChunk(piece, at, length);
      if (chunk === undefined) return;
      const { type, data } = chunk;
      const begins = type === WHOLE || type === FIRST;
      if (begins !== (parts.length === 0)) return;
      if (begins) start = base + at;
      at += CHUNK_HEADER + data.length;
      const isLast = type === WHOLE || type === LAST;
      if (!isLast) parts.push(Buffer.from(data));
      else {
        yield { start, end: base + at, data: parts.length === 0 ? data : Buffer.concat([...parts, data]) };
        parts.length = 0;
      }
    }
    if (length < PIECE) return;
  }
}

function readChunk(
  piece: Buffer,
  at: number,
  length: number,
): { readonly type: number; readonly data: Buffer } | undefined {
  if (at + CHUNK_HEADER > length) return undefined;
  const type = piece[at + 6] as number;
  const end = at + CHUNK_HEADER + piece.readUInt16LE(at + 4);
  const crcOfType = type === 0 ? undefined : CRC_OF_TYPE[type];
  if (crcOfType === undefined || end > length || Math.floor((end - 1) / BLOCK) > Math.floor(at / BLOCK))
    return undefined;
  const data = piece.subarray(at + CHUNK_HEADER, end);
  return checksum(data, crcOfType) === piece.readUInt32LE(at) ? { type, data } : undefined;
}

/** Node's has another result for no data: 0. */
function checksum(data: Uint8Array, crcOfType: number): number {
  return data.length === 0 ? crcOfType : crc32(data, crcOfType);
}

/**
 * What stands behind the last whole record: nothing; the beginning of a record, which was being written; bytes that are no
 * record; or such bytes with whole records behind them.
 */
export type Tail = "none" | "short" | "broken" | "damaged";

/** @param end of the last whole record @throws the system's error */
export function tailOf(handle: number, end: number): Tail {
  const block = Buffer.allocUnsafe(BLOCK);
  // Chunks that are whole can begin a record that is not.
  let isContiguous = true;
  let tail: Tail = "none";
  for (let base = end - (end % BLOCK); ; base += BLOCK) {
    const length = readPiece(handle, block, base);
    for (let at = Math.max(0, end - base); at < length && BLOCK - at >= CHUNK_HEADER; ) {
      if (tail === "none") tail = "short";
      const chunk = readChunk(block, at, length);
      const type = block[at + 6];
      if (chunk !== undefined && (type === WHOLE || type === LAST)) return "damaged";
      if (isContiguous && chunk === undefined) {
        isContiguous = false;
        if (!isCutShort(block, at, length)) tail = "broken";
      }
      at += isContiguous && chunk !== undefined ? CHUNK_HEADER + chunk.data.length : 1;
    }
    if (length < BLOCK) return tail;
  }
}

function isCutShort(block: Buffer, at: number, length: number): boolean {
  if (at + CHUNK_HEADER > length) return true;
  const type = block[at + 6] as number;
  const end = at + CHUNK_HEADER + block.readUInt16LE(at + 4);
  return type >= WHOLE && type <= LAST && end > length && end <= BLOCK;
}

function readPiece(handle: number, piece: Buffer, at: number, rest?: Continuation): number {
  const limit = rest === undefined ? piece.length : Math.min(piece.length, Math.max(0, rest.start - at));
  let length = 0;
  while (length < limit) {
    const read = readSync(handle, piece, length, limit - length, at + length);
    if (read === 0) return length;
    length += read;
  }
  if (rest === undefined || length === piece.length) return length;
  const from = at + length - rest.start;
  const part = rest.bytes.subarray(from, from + piece.length - length);
  piece.set(part, length);
  return length + part.length;
}
