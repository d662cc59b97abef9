import type { Datum, Kind, ScalarColumns } from "./datum.ts";
import type { TagTable } from "./tag-table.ts";

/** Bytes of data other than scalars that a batch holds before it counts as full. */
const DATA_BYTES = 8 * 1024 * 1024;
/**
 * What becomes a file of its own at a destination, which takes as long as so many bytes do: a thousand of them are a batch,
 * however small they are, so that whoever is told to stop can end one.
 */
const FILE_BYTES = 8 * 1024;
const FILE_KINDS: ReadonlySet<Kind> = new Set<Kind>(["images", "audio", "mesh", "tensors", "text"]);

/** Scalars there is room for at first: of thousands of runs most may hold a few. */
const FIRST_ROOM = 64;

/** A `SessionLog START`: a writer that goes on after a crash. */
export interface SessionStart {
  /** Byte offset of its record. */
  readonly offset: number;
  /** What it writes anew: this step and all above. */
  readonly step: bigint;
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
}

/**
 * Values on their way from the reader to a destination: scalars in columns, the rest as objects. It is filled up to
 * `capacity` scalars, then emptied and filled again; an event that holds many values may exceed the capacity.
 */
export class RecordBatch implements ScalarColumns {
  readonly capacity: number;
  readonly tagTable: TagTable;
  tag: Int32Array;
  step: BigInt64Array;
  /** The steps again, as pairs of low and high words: storing or comparing these makes no BigInt. */
  stepWords: Int32Array;
  wallTime: Float64Array;
  value: Float64Array;
  offset: Float64Array;
  length = 0;
  /** Records of more bytes than this are told in `large`. */
  readonly tellsLarger: number;
  /** Sizes of such records that values of it came in, in bytes, by their offsets. */
  readonly large: Map<number, number> = new Map();
  readonly data: Datum[] = [];
  /** Those that were read with the values, in the file's order. */
  readonly sessionStarts: SessionStart[] = [];
  /** When the first event was written that was read of the file that the last values are of, seconds since the Unix epoch. */
  began: number | undefined;
  #dataBytes = 0;

  constructor(capacity: number, tagTable: TagTable, tellsLarger: number = Infinity) {
    this.capacity = capacity;
    this.tellsLarger = tellsLarger;
    this.tagTable = tagTable;
    const room = Math.min(capacity, FIRST_ROOM);
    this.tag = new Int32Array(room);
    this.step = new BigInt64Array(room);
    this.wallTime = new Float64Array(room);
    this.value = new Float64Array(room);
    this.offset = new Float64Array(room);
    this.stepWords = new Int32Array(this.step.buffer);
  }

  get tags(): readonly string[] {
    return this.tagTable.names;
  }

  get full(): boolean {
    return this.length >= this.capacity || this.#dataBytes >= DATA_BYTES;
  }

  get empty(): boolean {
    return this.length === 0 && this.data.length === 0;
  }

  push(tag: number, stepLow: number, stepHigh: number, wallTime: number, value: number, offset: number): void {
    const i = this.length;
    if (i === this.tag.length) this.#grow();
    this.tag[i] = tag;
    this.stepWords[2 * i] = stepLow;
    this.stepWords[2 * i + 1] = stepHigh;
    this.wallTime[i] = wallTime;
    this.value[i] = value;
    this.offset[i] = offset;
    this.length = i + 1;
  }

  /** @param bytes size of the record it came in, for the bound on memory */
  pushDatum(datum: Datum, bytes: number): void {
    this.data.push(datum);
    this.#dataBytes += Math.max(bytes, FILE_KINDS.has(datum.kind) ? FILE_BYTES : 0);
  }

  /** Keep only the scalars from `start` on for which `keep(index)` holds, and all before. */
  filterScalars(start: number, keep: (index: number) => boolean): void {
    let to = start;
    for (let i = start; i < this.length; i++) {
      if (!keep(i)) continue;
      if (to !== i) {
        this.tag[to] = this.tag[i] as number;
        this.stepWords[2 * to] = this.stepWords[2 * i] as number;
        this.stepWords[2 * to + 1] = this.stepWords[2 * i + 1] as number;
        this.wallTime[to] = this.wallTime[i] as number;
        this.value[to] = this.value[i] as number;
        this.offset[to] = this.offset[i] as number;
      }
      to++;
    }
    this.length = to;
  }

  /** Keep only the first so many of each. */
  truncate(scalars: number, data: number): void {
    this.length = scalars;
    this.data.length = data;
  }

  /** The same values again, to be filtered by themselves. */
  copy(): RecordBatch {
    const copy = new RecordBatch(this.capacity, this.tagTable);
    for (let i = 0; i < this.length; i++) copy.pushFrom(this, i);
    for (const datum of this.data) copy.data.push(datum);
    copy.sessionStarts.push(...this.sessionStarts);
    copy.began = this.began;
    return copy;
  }

  /** Add a scalar of another batch with the same tag table. */
  pushFrom({ tag, stepWords, wallTime, value, offset }: RecordBatch, i: number): void {
    const [low, high] = [stepWords[2 * i] as number, stepWords[2 * i + 1] as number];
    this.push(tag[i] as number, low, high, wallTime[i] as number, value[i] as number, offset[i] as number);
  }

  clear(): void {
    this.length = 0;
    this.data.length = 0;
    this.sessionStarts.length = 0;
    this.large.clear();
    this.#dataBytes = 0;
  }

  #grow(): void {
    const capacity = this.tag.length * 2;
    const { tag, step, wallTime, value, offset } = this;
    (this.tag = new Int32Array(capacity)).set(tag);
    (this.step = new BigInt64Array(capacity)).set(step);
    (this.wallTime = new Float64Array(capacity)).set(wallTime);
    (this.value = new Float64Array(capacity)).set(value);
    (this.offset = new Float64Array(capacity)).set(offset);
    this.stepWords = new Int32Array(this.step.buffer);
  }
}
