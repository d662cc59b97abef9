/** One event file while its run is being synced: where reading stands, and the mark that says so. */
import { FileSource } from "../reader/byte-source.ts";
import type { TagMetadata } from "../reader/datum.ts";
import { EventFileReader } from "../reader/event-file.ts";
import { RecordBatch } from "../reader/record-batch.ts";
import { TagTable } from "../reader/tag-table.ts";
import { type Loss, RecordReader, type Tail } from "../reader/tfrecord.ts";
import type { StoredFile } from "./checkpoints.ts";
import { type FileMark, hashHead, hashTail, headHash, headLength, NO_TAIL } from "./fingerprint.ts";
import type { Member } from "./groups.ts";
import { type MatchedFile, stampOf } from "./match.ts";

export class SourceFile {
  readonly entry: MatchedFile["entry"];
  /** Which of the run's members it is of. */
  readonly member: Member;
  /** Where reading begins. */
  start: number;
  restartStep: bigint | undefined;
  /** How the end of the file looked; undefined until it was reached. */
  tail: Tail | undefined;
  readonly #maxRecordBytes: number;
  #stored: StoredFile | undefined;
  #losses: Loss[];
  #head: { readonly length: number; readonly key: string } | undefined;
  /** The place that was last acknowledged, and the one before it. */
  #offset: number;
  #from: number;
  #tailHash: string;

  constructor({ entry, stored }: MatchedFile, maxRecordBytes: number) {
    this.entry = entry;
    this.member = entry.member;
    this.#maxRecordBytes = maxRecordBytes;
    this.#stored = stored;
    this.start = stored?.offset ?? 0;
    this.restartStep = stored?.restartStep;
    // What was passed over behind the offset was the end of the file then; it is looked at again.
    this.#losses = stored?.losses.filter((loss) => loss.end <= stored.offset) ?? [];
    this.#head = stored && { length: stored.head, key: stored.key };
    this.#offset = this.start;
    this.#from = stored?.from ?? 0;
    this.#tailHash = stored?.tail ?? NO_TAIL;
  }

  /** The mark's key, once a place behind a record has been reached; see `name`. */
  get key(): string | undefined {
    return this.#head?.key;
  }

  /** Open the file for reading, from `start` to its end unless told otherwise. @throws the system's error */
  async open(
    metadata: Map<string, TagMetadata>,
    start: number = this.start,
    end: number = this.entry.size,
  ): Promise<OpenFile> {
    const source = await FileSource.open(this.entry.path);
    const records = new RecordReader(source, { start, end, maxRecordBytes: this.#maxRecordBytes });
    return { reader: new EventFileReader(records, metadata), source, close: () => source.close() };
  }

  /**
   * Read all values from `start` to `end` and hand them on, batch by batch, without sending them.
   *
   * @returns the reader, for what it has learnt beside values
   * @throws the system's error
   */
  async readAgain(
    metadata: Map<string, TagMetadata>,
    { start, end }: { readonly start: number; readonly end: number },
    take: (batch: RecordBatch) => void,
  ): Promise<EventFileReader> {
    const { reader, close } = await this.open(metadata, start, end);
    try {
      const batch = new RecordBatch(4096, new TagTable());
      for (let more = true; more; batch.clear()) {
        more = await reader.read(batch);
        take(batch);
      }
      return reader;
    } finally {
      await close();
    }
  }

  /** Give the file its key from what stands before `offset`, unlike those of the run's other files. */
  async name(source: FileSource, offset: number, others: readonly SourceFile[]): Promise<void> {
    if (this.#head !== undefined || offset === 0) return;
    const length = headLength(offset);
    const hash = await hashHead(source, length);
    if (hash === undefined) return;
    let key = hash;
    for (let n = 2; others.some((other) => other !== this && other.key === key); n++) key = `${hash}.${n}`;
    this.#head = { length, key };
  }

  /**
   * Take over what the destination says of this file, and go to where sending has to begin.
   *
   * A destination's mark may lag behind what it has by one batch, but never lead. So sending goes on at the lower of
   * the local checkpoint and the mark; but not before the batch that brought the destination to its mark, since all
   * before that had been acknowledged.
   */
  async resume(marks: readonly FileMark[]): Promise<void> {
    await FileSource.use(this.entry.path, async (source) => {
      const mark = await this.#markAmong(marks, source);
      const holds = mark !== undefined && (await hashTail(source, mark.offset)) === mark.tail;
      const local = this.#stored?.offset ?? Infinity;
      this.start = !holds ? 0 : local >= mark.offset ? mark.offset : Math.max(local, mark.from);
      if (holds) this.#head = { length: mark.head, key: mark.key };
      // The next batch of the run carries this file's mark even if it holds nothing of the file.
      this.#offset = this.start;
      this.#from = holds ? Math.min(mark.from, this.start) : 0;
      this.#tailHash = (await hashTail(source, this.start)) ?? "";
    });
  }

  /** What has to be read again without being sent, because nobody remembers what was learnt from it. */
  get unknownRange(): { readonly start: number; readonly end: number } | undefined {
    const known = this.#stored?.offset ?? 0;
    return known < this.start ? { start: known, end: this.start } : undefined;
  }

  /** Note that all the reader has read is passed on. @param others the run's files */
  async moveTo({ reader, source }: OpenFile, others: readonly SourceFile[]): Promise<void> {
    const { position } = reader.records;
    if (position === this.#offset) return;
    await this.name(source, position, others);
    this.#from = Math.min(this.#offset, position);
    this.#offset = position;
    this.#tailHash = (await hashTail(source, position)) ?? "";
    this.learn(reader);
  }

  /** Take over what the reader has learnt beside values. */
  learn({ records, restartStep }: EventFileReader): void {
    const known = this.#losses[this.#losses.length - 1]?.end ?? 0;
    this.#losses.push(...records.losses.filter((loss) => loss.start >= known));
    if (restartStep !== undefined && (this.restartStep === undefined || restartStep < this.restartStep)) {
      this.restartStep = restartStep;
    }
  }

  /** Nothing is to be read of it: it counts as looked at. */
  settle(): void {
    this.tail = { state: "clean", start: this.entry.size, end: this.entry.size };
  }

  /** The place reached; undefined while the file has no key. */
  mark(): FileMark | undefined {
    if (this.#head === undefined) return undefined;
    return {
      key: this.#head.key,
      name: this.entry.name,
      head: this.#head.length,
      offset: this.#offset,
      from: this.#from,
      tail: this.#tailHash,
    };
  }

  /** What is to be remembered of the file. */
  checkpoint(): StoredFile | undefined {
    const mark = this.mark();
    if (mark === undefined) return undefined;
    // Only a file that was read to its end can be told by its stamp not to have changed.
    const stamp = this.tail === undefined ? "" : stampOf(this.entry);
    return { ...mark, stamp, restartStep: this.restartStep, losses: this.allLosses() };
  }

  /** What was passed over, and an end of the file that holds no record. */
  allLosses(): Loss[] {
    if (this.tail?.state !== "damaged") return this.#losses;
    return [...this.#losses, { start: this.tail.start, end: this.tail.end, reason: "damaged-tail" }];
  }

  async #markAmong(marks: readonly FileMark[], source: FileSource): Promise<FileMark | undefined> {
    if (this.#stored !== undefined) return marks.find((mark) => mark.key === this.#stored?.key);
    const sameName = marks.filter(({ name }) => name === this.entry.name);
    for (const mark of new Set([...sameName, ...marks])) {
      if ((await hashHead(source, mark.head)) === headHash(mark.key)) return mark;
    }
    return undefined;
  }
}

export interface OpenFile {
  readonly reader: EventFileReader;
  readonly source: FileSource;
  close(): Promise<void>;
}
