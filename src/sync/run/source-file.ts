/** One event file while its run is synced: how far it has been read, and the mark that records it. */
import type { ByteSource } from "../../reader/byte-source.ts";
import type { TagMetadata } from "../../reader/datum.ts";
import { EventFileReader } from "../../reader/event-file.ts";
import { useFile } from "../../reader/file-store.ts";
import { RecordBatch } from "../../reader/record-batch.ts";
import { TagTable } from "../../reader/tag-table.ts";
import { FRAME, type Loss, RecordReader, type Tail } from "../../reader/tfrecord.ts";
import type { Note } from "../report/note.ts";
import {
  type FileMark,
  hashHead,
  hashTail,
  headLength,
  MAX_CHOICES,
  NO_TAIL,
  waypointsTo,
} from "../source/fingerprint.ts";
import type { MarkIndex } from "../source/mark-index.ts";
import type { Member } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";
import type { BarrenFile } from "../state/barren-files.ts";
import type { StoredFile } from "../state/stored-run.ts";
import { SeriesCounts } from "../transform/series-counts.ts";
import { FileEnd } from "./file-end.ts";
import { type MatchedFile } from "./match.ts";
import type { RecordSizes } from "./past-choices.ts";

/** How long to wait before an unreadable file is tried again, ms. */
export const RETRY_MS = 10_000;

export class SourceFile {
  entry: MatchedFile["entry"];
  /** The member of the run that it belongs to. */
  readonly member: Member;
  /** Where reading begins. */
  start: number;
  restartStep: bigint | undefined;
  /** The steps of each series so far, counted up to where the file has been read. */
  counts: SeriesCounts;
  /** Where reading began when the run was opened; everything after it has passed through this session. */
  begun: number;
  /** Where its segments begin. */
  base: number;
  /** Id of the choice under which everything up to the place reached was sent; undefined if unknown. */
  choice: string | undefined;
  /** For each earlier choice, by id: the offset up to which everything it lets in has been sent. */
  until: Readonly<Record<string, number>>;
  readonly #maxRecordBytes: number;
  /** The same, up to `#offset`. */
  #countsThere: string;
  #stored: StoredFile | undefined;
  #losses: Loss[];
  #head: { readonly length: number; readonly key: string } | undefined;
  /** The place that was last acknowledged, and the one before it. */
  #offset: number;
  #from: number;
  #tailHash: string;
  #waypoints: readonly string[];
  /** Whether it had known damage when it was opened. */
  readonly #hadHoles: boolean;
  /** Its stamp when it was last read to its end. */
  #readStamp: string | undefined;
  /** When it could last not be read, in ms of `performance.now()`. */
  #failedAt: number | undefined;
  readonly #end: FileEnd;

  /** @param barren what is remembered of a file that holds nothing to send */
  constructor({ entry, stored }: MatchedFile, maxRecordBytes: number, barren?: BarrenFile) {
    this.entry = entry;
    this.member = entry.member;
    this.#maxRecordBytes = maxRecordBytes;
    this.#countsThere = stored?.counts ?? NO_COUNTS;
    this.counts = countsOf(this.#countsThere);
    this.#stored = stored;
    this.start = this.begun = stored?.offset ?? 0;
    this.base = stored === undefined ? 0 : (stored.base ?? stored.offset);
    this.choice = stored?.choice;
    this.until = stored?.until ?? {};
    this.restartStep = stored?.restartStep;
    // Damage beyond the offset was the end of the file then; it is read again.
    this.#losses = stored?.losses.filter((loss) => loss.end <= stored.offset) ?? [];
    this.#hadHoles = this.holes.length > 0;
    this.#head = stored && { length: stored.head, key: stored.key };
    this.#offset = this.start;
    this.#from = stored?.from ?? 0;
    this.#tailHash = stored?.tail ?? NO_TAIL;
    this.#waypoints = stored?.waypoints ?? [];
    this.#end = new FileEnd(entry.size, barren);
  }

  /** The mark's key, once the end of a record has been reached; see `name`. */
  get key(): string | undefined {
    return this.#head?.key;
  }

  /** What the end of the file looked like; undefined until it is reached. */
  get tail(): Tail | undefined {
    return this.#end.tail;
  }

  /** Open the file for reading, from `start` to its end unless told otherwise. @throws its store's error */
  async open(
    metadata: Map<string, TagMetadata>,
    start: number = this.start,
    end: number = this.entry.size,
    damage: "pass" | "wait" = "pass",
    maxRecordBytes: number = this.#maxRecordBytes,
  ): Promise<OpenFile> {
    const source = await this.entry.store.open(this.entry);
    const records = new RecordReader(source, { start, end, maxRecordBytes, damage });
    return { reader: new EventFileReader(records, metadata), source, close: () => source.close() };
  }

  /**
   * Read all values from `start` to `end` and hand them on, batch by batch, without sending them.
   *
   * @returns the reader, for what it has learnt beside values
   * @throws its store's error
   */
  async readAgain(
    metadata: Map<string, TagMetadata>,
    { start, end }: { readonly start: number; readonly end: number },
    take: (batch: RecordBatch) => void | Promise<void>,
    tagTable: TagTable = new TagTable(),
    sizes?: RecordSizes,
  ): Promise<EventFileReader> {
    const { reader, close } = await this.open(metadata, start, end, "pass", sizes?.maxRecordBytes);
    try {
      const batch = new RecordBatch(4096, tagTable, sizes?.tellsLarger);
      for (let more = true; more; batch.clear()) {
        more = await reader.read(batch);
        await take(batch);
      }
      return reader;
    } finally {
      await close();
    }
  }

  /** Derive the file's key from the bytes before `offset`. @param taken keys of the run's other files; its own is added */
  async name(source: ByteSource, offset: number, taken: Set<string>): Promise<void> {
    if (this.#head !== undefined || offset === 0) return;
    const length = headLength(offset);
    const hash = await hashHead(source, length);
    if (hash === undefined) return;
    let key = hash;
    for (let n = 2; taken.has(key); n++) key = `${hash}.${n}`;
    taken.add(key);
    this.#head = { length, key };
  }

  /**
   * Go to where the destination says that sending has to begin.
   *
   * Its mark may lag behind what it has by one batch, but never lead: everything before the mark was acknowledged, and
   * nothing after it is known to be there, whatever the local checkpoint says.
   */
  async resume(marks: MarkIndex): Promise<void> {
    await useFile(this.entry, async (source) => {
      const { name } = this.entry;
      const mark = this.#stored ? marks.withKey(this.#stored.key) : await marks.of(source, name);
      const holds = mark !== undefined && (await hashTail(source, mark.offset)) === mark.tail;
      this.start = this.begun = holds ? mark.offset : 0;
      this.base = holds ? (mark.base ?? mark.offset) : 0;
      this.choice = holds ? mark.choice : undefined;
      this.until = (holds && mark.until) || {};
      if (holds) this.#head = { length: mark.head, key: mark.key };
      // The run's next batch carries this file's mark even if it holds none of its values.
      this.#offset = this.start;
      this.#from = holds ? Math.min(mark.from, this.start) : 0;
      this.#tailHash = (await hashTail(source, this.start)) ?? "";
      this.#waypoints = (holds && mark.waypoints) || [];
    });
  }

  /** The part that has to be read again, without sending it, because what was learnt from it is forgotten. */
  get unknownRange(): { readonly start: number; readonly end: number } | undefined {
    const known = this.#stored?.offset ?? 0;
    return known < this.start ? { start: known, end: this.start } : undefined;
  }

  /** Whether its counts are not those at the place where sending begins, under the choice that it was sent under to there. */
  get needsRecount(): boolean {
    const isElsewhere = this.start !== (this.#stored?.offset ?? 0);
    return isElsewhere || (this.start > 0 && this.choice !== this.#stored?.choice);
  }

  /** Note that everything a choice lets in, up to the place reached, has been sent. @param choice its id */
  caughtUp(choice: string): void {
    const until: Record<string, number> = this.start > 0 ? { ...this.until } : {};
    delete until[choice];
    if (this.choice !== undefined && this.choice !== choice && this.start > 0) until[this.choice] = this.start;
    const latest = Object.entries(until).sort(([, a], [, b]) => b - a);
    this.until = Object.fromEntries(latest.slice(0, MAX_CHOICES));
    this.choice = choice;
  }

  /** Update which records before the start are skipped for their size. */
  passedOver(losses: readonly Loss[]): void {
    const isLarge = ({ start, end, reason }: Loss) =>
      reason === "too-large" && end - start - FRAME > this.#maxRecordBytes;
    const still = new Set(losses.flatMap(({ start, reason }) => (reason === "too-large" ? [start] : [])));
    this.#losses = this.#losses.filter((loss) => loss.reason !== "too-large" || isLarge(loss) || still.has(loss.start));
  }

  /** Take over counts from the beginning of the file to the start. */
  recounted(counts: SeriesCounts): void {
    this.counts = counts;
    this.#countsThere = JSON.stringify(counts);
  }

  /** Note that everything the reader has read was passed on. @param taken as for `name` */
  async moveTo({ reader, source }: OpenFile, taken: Set<string>): Promise<void> {
    const { position } = reader.records;
    if (position === this.#offset) return;
    await this.name(source, position, taken);
    const tailHash = (await hashTail(source, position)) ?? "";
    const waypoints = await waypointsTo(source, position, { offset: this.#offset, waypoints: this.#waypoints });
    // All at once: an offset with the hashes of another place would look like another file.
    this.#from = Math.min(this.#offset, position);
    this.#offset = position;
    this.#tailHash = tailHash;
    this.#waypoints = waypoints;
    this.#countsThere = JSON.stringify(this.counts);
    this.learn(reader);
  }

  /** Take over what the reader has learnt besides values. */
  learn({ records, restartStep }: EventFileReader): void {
    const known = this.#losses[this.#losses.length - 1]?.end ?? 0;
    this.#losses.push(...records.losses.filter((loss) => loss.start >= known));
    if (restartStep !== undefined && (this.restartStep === undefined || restartStep < this.restartStep)) {
      this.restartStep = restartStep;
    }
  }

  /**
   * Take over the file's current entry.
   *
   * @returns false if it cannot be the same file, grown
   */
  follow(entry: MatchedFile["entry"]): boolean {
    if (!entry.store.isSameFile(this.entry, entry) || entry.size < Math.max(this.start, this.#offset)) return false;
    this.entry = entry;
    return true;
  }

  /** Whether the bytes before the place reached are unchanged. @throws its store's error */
  async isAsRead(source: ByteSource): Promise<boolean> {
    return (await hashTail(source, this.#offset)) === this.#tailHash;
  }

  /** Whether it has been read to its present end, and nothing in it may still become a record. */
  get isRead(): boolean {
    if (this.barren !== undefined) return true;
    return this.#readStamp === stampOf(this.entry) && this.#end.waitingSince === undefined;
  }

  /** What to do about bytes that are not a record. @param patienceMs how long they may still become one */
  damage(patienceMs: number): "pass" | "wait" {
    return this.#end.damage(this.entry, patienceMs);
  }

  /** How long until bytes that are not a record count as damage, or the file is tried again, ms; undefined if neither is due. */
  waitsFor(patienceMs: number): number | undefined {
    const since = this.#end.waitingSince;
    if (this.#failedAt !== undefined) return Math.max(0, this.#failedAt + RETRY_MS - performance.now());
    return since === undefined ? undefined : Math.max(0, since + patienceMs - performance.now());
  }

  /** Note that it was read to its end, and what that looked like; reading goes on from there. */
  ended(tail: Tail | undefined, damage: "pass" | "wait"): void {
    this.start = this.#offset;
    this.#readStamp = stampOf(this.entry);
    this.#failedAt = undefined;
    this.looked(tail, damage);
  }

  /** Note that it cannot be read now; it will be read again from the place reached. */
  failed(): void {
    this.start = this.#offset;
    this.counts = countsOf(this.#countsThere);
    this.#failedAt = performance.now();
  }

  /** Whether nothing is left to do until it changes. */
  get isSettled(): boolean {
    return this.#end.isSettled(this.entry);
  }

  /** Whether its damage may have been filled since the last look. */
  get mayHaveFilled(): boolean {
    return this.#hadHoles && this.#stored?.stamp !== stampOf(this.entry);
  }

  /** What to remember of a file that was read to its end and holds no record, so that it is not read again. */
  get barren(): BarrenFile | undefined {
    return this.#head === undefined ? this.#end.barren(this.entry) : undefined;
  }

  /** Note what its end looked like; undefined if it was not reached. */
  looked(tail: Tail | undefined, damage: "pass" | "wait"): void {
    this.#end.looked(this.entry, tail, damage);
  }

  /** Find out what a file without a single record is, so that it does not count as damaged. */
  async tellFormat(source: ByteSource, notes: Note[]): Promise<void> {
    await this.#end.tellFormat(this.entry, source, notes);
  }

  /** Damage that was skipped and may have become records since. */
  get holes(): readonly Loss[] {
    return this.#losses.filter(({ reason }) => reason !== "too-large" && reason !== "not-an-event");
  }

  /** Note which parts of a hole are still damaged. */
  async filled(source: ByteSource, hole: Loss, rest: readonly Loss[]): Promise<void> {
    const at = this.#losses.indexOf(hole);
    this.#losses.splice(at, 1, ...rest);
    // The hashes may cover it.
    this.#tailHash = (await hashTail(source, this.#offset)) ?? "";
    this.#waypoints = await waypointsTo(source, this.#offset, { offset: 0, waypoints: [] });
  }

  /** Count it as read, without reading it. */
  settle(): void {
    this.#end.settle(this.entry);
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
      ...(this.#waypoints.length > 0 && { waypoints: this.#waypoints }),
      base: this.base,
      choice: this.choice,
      ...(Object.keys(this.until).length > 0 && { until: this.until }),
    };
  }

  /** What is to be remembered of the file. */
  checkpoint(): StoredFile | undefined {
    const mark = this.mark();
    if (mark === undefined) return undefined;
    // Only where nothing is left to do may an equal stamp mean that nothing has changed.
    const stamp = this.isSettled ? stampOf(this.entry) : "";
    return { ...mark, stamp, restartStep: this.restartStep, losses: this.allLosses(), counts: this.#countsThere };
  }

  /** What was skipped, including an end of the file that is not a record. */
  allLosses(): Loss[] {
    const { loss } = this.#end;
    return loss === undefined ? this.#losses : [...this.#losses, loss];
  }
}

export interface OpenFile {
  readonly reader: EventFileReader;
  readonly source: ByteSource;
  close(): Promise<void>;
}

const NO_COUNTS = "[]";

function countsOf(text: string): SeriesCounts {
  return SeriesCounts.from(JSON.parse(text) as ReturnType<SeriesCounts["toJSON"]>);
}
