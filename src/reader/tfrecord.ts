/**
 * TFRecord: a growing file → records, from any offset.
 *
 *     uint64 length │ uint32 masked CRC-32C of length │ payload │ uint32 masked CRC-32C of payload      little-endian
 *
 * Both checksums are always checked. A record that is cut anywhere at the end of the file is one to wait for. Damage
 * elsewhere is passed over: reading goes on at the next place where a whole valid record stands.
 *
 * Source: tensorflow/core/lib/io/record_writer.h.
 */
import type { ByteSource } from "./byte-source.ts";
import { viewOf } from "./little-endian.ts";
import { maskedCrc, RunningCrc } from "./masked-crc.ts";

const HEADER = 12;
const FOOTER = 4;
/** What a record takes beside its payload, bytes. */
export const FRAME: number = HEADER + FOOTER;
const CHUNK = 1 << 19;
const FIRST_WINDOW = 1 << 12;
/**
 * How many times the bytes of a file may be checksummed in vain while the next record is looked for. Each header that is
 * right by its checksum costs a look at its whole payload, and a file may hold nothing but such headers.
 */
const MAX_VAIN = 8;

/** Records longer than this are skipped, unless another limit is given. Bytes. */
export const DEFAULT_MAX_RECORD_BYTES: number = 256 * 1024 * 1024;

/** Why bytes were passed over. */
export type LossReason =
  /** The length's checksum does not hold. */
  | "length-crc"
  /** The payload's checksum does not hold. */
  | "payload-crc"
  /** The length is right by its checksum but leads beyond the end of the file, and valid records follow before it. */
  | "length-beyond-file"
  /** A block of zeros with valid records behind it. */
  | "zeros"
  /** Longer than the limit, or made to become far larger once it is decoded. */
  | "too-large"
  /** Both checksums hold, but the payload is no `Event`. */
  | "not-an-event"
  /** No valid record from here to the end of the file. */
  | "damaged-tail";

/** A range of bytes that was passed over. */
export interface Loss {
  readonly start: number;
  readonly end: number;
  readonly reason: LossReason;
}

/** What stands between the last whole record and the end. */
export interface Tail {
  /**
   * `clean`: nothing. `incomplete`: the beginning of a record. `zeros`: zeros only, as a crash or a preallocating file
   * system leaves. `damaged`: bytes that are no record. In every case reading can go on from `start` when the file grows.
   */
  readonly state: "clean" | "incomplete" | "zeros" | "damaged";
  readonly start: number;
  readonly end: number;
}

export interface RecordReaderOptions {
  /** Byte offset to begin at: 0, or the `position` of an earlier reader. */
  readonly start?: number;
  /** Bytes from here on are not looked at. */
  readonly end: number;
  readonly maxRecordBytes?: number;
  /**
   * What is done at bytes that are no record: they are passed over (the default), or taken for the end of the file, since
   * in one that is being written they may still become a record.
   */
  readonly damage?: "pass" | "wait";
}

type Obstacle = "more" | "length-crc" | "payload-crc" | "too-large";

/**
 * Reads records one after the other. `next` only looks at what is in memory and makes no object, so that the loop over
 * millions of records stays in one function; `load` does what has to wait.
 *
 *     do while (reader.next()) use(reader.bytes, reader.payloadStart, reader.payloadEnd);
 *     while (await reader.load());
 */
export class RecordReader {
  /** The buffer that holds the current record; valid until the next call of `load`. */
  bytes: Uint8Array;
  /** The same buffer. */
  view: DataView;
  payloadStart = 0;
  payloadEnd = 0;
  /** File offset of the current record's header. */
  recordOffset = 0;
  /** What was passed over so far, in order. */
  readonly losses: Loss[] = [];

  readonly #source: ByteSource;
  readonly #end: number;
  readonly #maxRecordBytes: number;
  readonly #waits: boolean;
  /** File offset of `bytes[0]`. */
  #base: number;
  #at = 0;
  #filled = 0;
  #obstacle: Obstacle = "more";
  #tail: Tail | undefined;
  #ahead: Ahead | undefined;
  readonly #vain: VainBytes;

  constructor(source: ByteSource, options: RecordReaderOptions) {
    this.#source = source;
    this.#base = options.start ?? 0;
    this.#end = options.end;
    this.#maxRecordBytes = options.maxRecordBytes ?? DEFAULT_MAX_RECORD_BYTES;
    this.#waits = options.damage === "wait";
    this.#vain = { left: MAX_VAIN * (this.#end - this.#base) };
    this.bytes = new Uint8Array(Math.max(0, Math.min(CHUNK, this.#end - this.#base)));
    this.view = viewOf(this.bytes);
  }

  /** File offset behind the last record returned or passed over: where a later reader goes on. */
  get position(): number {
    return this.#base + this.#at;
  }

  /** How the end looks; undefined until `load` has returned false. */
  get tail(): Tail | undefined {
    return this.#tail;
  }

  /** Step to the next record in memory. False: call `load`. */
  next(): boolean {
    const view = this.view;
    const at = this.#at;
    if (this.#filled - at < HEADER + FOOTER) return this.#stop("more");
    const length = view.getUint32(at, true);
    if (view.getInt32(at + 4) !== 0) return this.#stop(headerHolds(view, at) ? "too-large" : "length-crc");
    if (view.getUint32(at + 8, true) !== lengthCrc(length, view, at)) return this.#stop("length-crc");
    if (length > this.#maxRecordBytes) return this.#stop("too-large");
    const start = at + HEADER;
    const end = start + length;
    if (end + FOOTER > this.#filled) return this.#stop("more");
    if (maskedCrc(view, start, end) !== view.getUint32(end, true)) return this.#stop("payload-crc");
    this.payloadStart = start;
    this.payloadEnd = end;
    this.recordOffset = this.#base + at;
    this.#at = end + FOOTER;
    return true;
  }

  /**
   * Do what `next` stopped for: read on, or pass over damage.
   *
   * @returns true if `next` may be called again, false at the end, where `tail` tells how it looks
   * @throws the source's error; `position` stays valid
   */
  async load(): Promise<boolean> {
    const position = this.position;
    switch (this.#obstacle) {
      case "more":
        if (this.#base + this.#filled < this.#end && (await this.#readOn())) return true;
        return this.#atEnd();
      case "length-crc":
        return this.#waits ? this.#finish("damaged") : this.#resync(position + 1, "length-crc");
      case "payload-crc": {
        if (this.#waits) return this.#finish("damaged");
        const next = position + HEADER + this.view.getUint32(this.#at, true) + FOOTER;
        // A writer that died within the record, and one that appended behind it: the length is right and leads into
        // the midst of what follows. So it is believed only where another record begins.
        if (!(await this.#headerStandsAt(next))) return this.#resync(position + HEADER, "payload-crc");
        this.#lose(next, "payload-crc");
        return true;
      }
      case "too-large": {
        const length = this.view.getUint32(this.#at, true) + this.view.getUint32(this.#at + 4, true) * 2 ** 32;
        const next = position + HEADER + length + FOOTER;
        if (next > this.#end) {
          return this.#waits ? this.#finish("incomplete") : this.#resync(position + HEADER, "length-beyond-file");
        }
        this.#lose(next, "too-large");
        return true;
      }
    }
  }

  /** Report the current record as one whose payload could not be used. */
  rejectPayload(reason: "not-an-event" | "too-large"): void {
    this.losses.push({ start: this.recordOffset, end: this.position, reason });
  }

  #stop(obstacle: Obstacle): false {
    this.#obstacle = obstacle;
    return false;
  }

  /** Put what follows behind what is left in the buffer; into a larger one where one record needs it. */
  async #readOn(): Promise<boolean> {
    const left = this.#filled - this.#at;
    // A shorter rest has not been checked by `next`: its length may be anything.
    const declared = left >= HEADER + FOOTER ? HEADER + this.view.getUint32(this.#at, true) + FOOTER : 0;
    const ahead = this.#ahead?.start === this.#base + this.#filled ? this.#ahead : undefined;
    this.#ahead = undefined;
    if (ahead !== undefined && left <= CHUNK && declared <= left + CHUNK) {
      const read = await ahead.read;
      ahead.bytes.set(this.bytes.subarray(this.#at, this.#filled), CHUNK - left);
      const spare = this.bytes;
      this.#hold(ahead.bytes, CHUNK - left, CHUNK + read);
      this.#readAhead(spare);
      return read > 0;
    }
    const remaining = this.#end - this.position;
    const wanted = Math.min(Math.max(CHUNK, declared), remaining);
    const fits = wanted <= this.bytes.length && this.bytes.length <= 4 * CHUNK;
    const bytes = fits ? this.bytes : new Uint8Array(wanted);
    bytes.set(this.bytes.subarray(this.#at, this.#filled));
    this.#hold(bytes, 0, left);
    if (ahead !== undefined && left + CHUNK <= bytes.length) {
      const read = await ahead.read;
      bytes.set(ahead.bytes.subarray(CHUNK, CHUNK + read), left);
      this.#filled += read;
    }
    const missing = Math.min(bytes.length, remaining) - this.#filled;
    this.#filled += await this.#source.read(bytes, this.#filled, missing, this.#base + this.#filled);
    if (declared <= CHUNK) this.#readAhead(undefined);
    return this.#filled > left;
  }

  /** Begin to read what follows the buffer, while that is looked at. @param spare a buffer that is no longer needed */
  #readAhead(spare: Uint8Array | undefined): void {
    const start = this.#base + this.#filled;
    const length = Math.min(CHUNK, this.#end - start);
    if (length <= 0) return;
    const bytes = spare?.length === 2 * CHUNK ? spare : new Uint8Array(2 * CHUNK);
    const read = this.#source.read(bytes, CHUNK, length, start);
    // It may never be asked for; where it is, it throws there.
    read.catch(() => undefined);
    this.#ahead = { start, bytes, read };
  }

  /** Have `bytes` for the buffer, with what is not yet used of the present one, and what follows it, in `[at, filled)`. */
  #hold(bytes: Uint8Array, at: number, filled: number): void {
    this.#base = this.position - at;
    this.#at = at;
    this.#filled = filled;
    if (bytes === this.bytes) return;
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  async #atEnd(): Promise<boolean> {
    const left = this.#filled - this.#at;
    if (left === 0) return this.#finish("clean");
    if (this.#waits)
      return this.#finish(left >= HEADER && !headerHolds(this.view, this.#at) ? "damaged" : "incomplete");
    if (left >= HEADER) {
      if (!headerHolds(this.view, this.#at)) return this.#resync(this.position + 1, "length-crc");
      // A length may be right by its checksum and still be nonsense: if whole records stand where its payload should
      // be, it is; otherwise the payload is still to come.
      return this.#resync(this.position + HEADER, "length-beyond-file");
    }
    const zeros = this.bytes.subarray(this.#at, this.#filled).every((byte) => byte === 0);
    return this.#finish(zeros ? "zeros" : "incomplete");
  }

  async #headerStandsAt(position: number): Promise<boolean> {
    const header = new Uint8Array(HEADER);
    const length = Math.min(HEADER, this.#end - position);
    return (await this.#source.read(header, 0, length, position)) === HEADER && headerHolds(viewOf(header), 0);
  }

  async #resync(from: number, reason: "length-crc" | "payload-crc" | "length-beyond-file"): Promise<boolean> {
    const { found, isZero } = await findRecord(this.#source, from, this.#end, this.#maxRecordBytes, this.#vain);
    // Then all that was passed over lies behind the first byte.
    const zeros = reason === "length-crc" && isZero && this.bytes[this.#at] === 0;
    if (found !== undefined) {
      this.#lose(found, zeros ? "zeros" : reason);
      return true;
    }
    if (reason === "length-beyond-file") return this.#finish("incomplete");
    return this.#finish(zeros ? "zeros" : "damaged");
  }

  #finish(state: Tail["state"]): false {
    this.#tail = { state, start: this.position, end: this.#end };
    return false;
  }

  #lose(end: number, reason: LossReason): void {
    this.losses.push({ start: this.position, end, reason });
    const at = end - this.#base;
    if (at <= this.#filled) {
      this.#at = at;
    } else {
      this.#base = end;
      this.#at = 0;
      this.#filled = 0;
    }
  }
}

/** The bytes from `start` on, on their way to `bytes[CHUNK]`: before it is room for what is left of the buffer till then. */
interface Ahead {
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly read: Promise<number>;
}

/** Bytes that may still be checksummed in vain. */
interface VainBytes {
  left: number;
}

/**
 * The first place in `[from, end)` where a whole record stands: 12 bytes whose length checksum holds, and a payload
 * whose checksum holds. Memory is bounded whatever the record's length.
 *
 * @param vain what payloads use up whose checksum does not hold. Bytes passed over add to it; while there is none, headers
 *   are passed over unseen. That takes far more right lengths with wrong payloads than any damage leaves
 * @returns its file offset, or undefined if there is none; and whether all bytes before it are zeros
 */
async function findRecord(
  source: ByteSource,
  from: number,
  end: number,
  maxRecordBytes: number,
  vain: VainBytes,
): Promise<{ readonly found: number | undefined; readonly isZero: boolean }> {
  // The next record is mostly near: a file with much damage would be read a window for every bit of it.
  let window = new Uint8Array(Math.max(0, Math.min(FIRST_WINDOW, end - from)));
  let passed = from;
  /** Where the first byte is that is not 0. */
  let nonZero = Infinity;
  for (let base = from; base + HEADER + FOOTER <= end; ) {
    const filled = await source.read(window, 0, Math.min(window.length, end - base), base);
    const view = viewOf(window);
    // Whole windows of zeros are what a crash leaves at the end of a file: no header can begin in one.
    const isStillZero = nonZero === Infinity;
    if (isStillZero) nonZero = base + firstNonZero(window, filled);
    const first = isStillZero ? Math.max(0, nonZero - base - HEADER + 1) : 0;
    if (nonZero === base + filled) nonZero = Infinity;
    for (let at = first; at + HEADER <= filled; at++) {
      if (!mayBeHeader(view, at) || !headerHolds(view, at)) continue;
      vain.left += MAX_VAIN * (base + at - passed);
      passed = base + at;
      if (vain.left <= 0) continue;
      const length = view.getUint32(at, true);
      if (length > maxRecordBytes || base + at + HEADER + length + FOOTER > end) continue;
      if (await payloadHolds(source, base + at + HEADER, length)) {
        return { found: base + at, isZero: nonZero >= base + at };
      }
      vain.left -= HEADER + length + FOOTER;
    }
    if (filled < window.length) break;
    base += window.length - HEADER + 1;
    if (window.length < CHUNK) window = new Uint8Array(Math.min(window.length * 4, CHUNK));
  }
  // Fewer bytes than a record has were not looked at.
  if (end - from < HEADER + FOOTER) {
    const filled = await source.read(window, 0, window.length, from);
    return { found: undefined, isZero: firstNonZero(window, filled) === filled };
  }
  return { found: undefined, isZero: nonZero === Infinity };
}

/** Index of the first byte that is not 0, `length` if there is none. */
function firstNonZero(bytes: Uint8Array, length: number): number {
  const zeros = Buffer.alloc(Math.min(length, FIRST_WINDOW));
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  for (let at = 0; at < length; at += zeros.length) {
    const end = Math.min(length, at + zeros.length);
    if (all.compare(zeros, 0, end - at, at, end) === 0) continue;
    while (all[at] === 0) at++;
    return at;
  }
  return length;
}

/** Cheap sieve before a checksum is computed: lengths beyond 4 GiB are none, and runs of zeros are no header. */
function mayBeHeader(view: DataView, at: number): boolean {
  return view.getInt32(at + 4) === 0 && view.getInt32(at + 8) !== 0;
}

async function payloadHolds(source: ByteSource, start: number, length: number): Promise<boolean> {
  const crc = new RunningCrc();
  const piece = new Uint8Array(Math.min(CHUNK, Math.max(length, FOOTER)));
  for (let done = 0; done < length; ) {
    const read = await source.read(piece, 0, Math.min(piece.length, length - done), start + done);
    if (read === 0) return false;
    crc.update(piece.subarray(0, read));
    done += read;
  }
  return (
    (await source.read(piece, 0, FOOTER, start + length)) === FOOTER &&
    viewOf(piece).getUint32(0, true) === crc.masked()
  );
}

function headerHolds(view: DataView, at: number): boolean {
  return maskedCrc(view, at, at + 8) === view.getUint32(at + 8, true);
}

/** Checksums of the lengths below 1024: most records of a file have one of a few short lengths. 0: not computed yet. */
const shortLengthCrcs = new Uint32Array(1024);

function lengthCrc(length: number, view: DataView, at: number): number {
  if (length >= shortLengthCrcs.length) return maskedCrc(view, at, at + 8);
  const known = shortLengthCrcs[length] as number;
  if (known !== 0) return known;
  const crc = maskedCrc(view, at, at + 8);
  shortLengthCrcs[length] = crc;
  return crc;
}
