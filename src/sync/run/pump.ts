/** The values of a run on their way: read → transform → batch → limit → write → checkpoint. */
import type { Datum, Kind } from "../../reader/datum.ts";
import { displayPath } from "../../reader/discover.ts";
import { RecordBatch } from "../../reader/record-batch.ts";
import { TagTable } from "../../reader/tag-table.ts";
import type { Batch, BatchPart, Line, Refuse, RunHandle, Segment } from "../backend.ts";
import { apartOf, type FileMark } from "../source/fingerprint.ts";
import { isRecorded } from "../source/run-group.ts";
import { titleOf } from "../source/titles.ts";
import type { Finding } from "../state/barren-files.ts";
import { Limits } from "../transform/limits.ts";
import type { FileMetrics } from "../transform/metrics/derivation.ts";
import { describeDatum, describeScalar, type Transform } from "../transform/transform.ts";
import { NamedFiles } from "./named-files.ts";
import { isLine } from "./past-choices.ts";
import type { RunWork } from "./run-work.ts";
import type { Segments } from "./segments.ts";
import type { OpenFile, SourceFile } from "./source-file.ts";

export class Pump {
  /** Whether the run's own hyperparameter session, not one of a part that was folded into it, has said that it is over. */
  hasEnded = false;
  /** Whether there was any scalar in what was read. */
  hasScalars = false;
  readonly #work: RunWork;
  readonly #segments: Segments;
  readonly #limits: Limits;
  readonly #namedFiles: NamedFiles;
  /** The same for as long as the run is open: its handle knows tags by their numbers. */
  readonly #tagTable = new TagTable();
  #handle: RunHandle | undefined;
  /** What the destination has been told, by the marks' keys. */
  readonly #written = new Map<string, string>();
  /** Which files the values of the batch are of. */
  #parts: BatchPart[] = [];
  /** The same files, part by part. */
  #sources: SourceFile[] = [];

  constructor(work: RunWork, segments: Segments) {
    this.#work = work;
    this.#segments = segments;
    this.#limits = new Limits(work.context.limits ?? {}, work.trace);
    this.#namedFiles = new NamedFiles({ passes: work.context.passesNamedFiles ?? false });
  }

  /** What is written from now on goes there. */
  open(handle: RunHandle): void {
    this.#handle = handle;
    for (const mark of handle.marks ?? []) this.#written.set(mark.key, told(mark));
  }

  /** What an earlier one held and was not sent is no part of it. */
  newBatch(): RecordBatch {
    this.#parts = [];
    this.#sources = [];
    return new RecordBatch(this.#work.context.backend.batchSize, this.#tagTable);
  }

  /** @param metrics what is computed of the file's scalars, up to where it is read from */
  async read(
    { reader }: OpenFile,
    file: number,
    batch: RecordBatch,
    transform: Transform,
    metrics: FileMetrics | undefined,
  ): Promise<boolean> {
    const from = this.#work.files[file] as SourceFile;
    const { counts } = from;
    const path = displayPath(from.entry.path);
    if (this.#parts.at(-1)?.file !== path) {
      this.#parts.push({ file: path, firstScalar: batch.length, firstDatum: batch.data.length });
      this.#sources.push(from);
    }
    const origin = { file, firstScalar: batch.length, firstDatum: batch.data.length, counts, metrics };
    const before = reader.records.position;
    try {
      return await reader.read(batch);
    } finally {
      this.hasScalars ||= batch.length > origin.firstScalar;
      transform.apply(batch, origin, this.#work.news.tally);
      this.#work.tags?.apply(batch, origin, from.member);
      if (from.member.fold === undefined) this.hasEnded ||= batch.data.slice(origin.firstDatum).some(isSessionEnd);
      // When a run ended is told by what it wrote.
      if (!isRecorded(from.member)) this.#work.memory.sawWallTime(reader.lastWallTime);
      const read = reader.records.position - before;
      this.#work.context.progress.bytes += read;
      this.#work.news.unsettledBytes += read;
    }
  }

  /** Drop what the batch holds of the file that was read last; no mark says that it is there, so it would come twice. */
  takeBack(batch: RecordBatch, file: SourceFile): void {
    const part = this.#parts.at(-1);
    if (part === undefined || this.#sources.at(-1) !== file) return;
    const { tally } = this.#work.news;
    tally.failed("scalars", batch.length - part.firstScalar);
    for (const { kind } of batch.data.slice(part.firstDatum)) tally.failed(kind, 1);
    batch.truncate(part.firstScalar, part.firstDatum);
    this.#parts.pop();
    this.#sources.pop();
  }

  /**
   * Send what is in the batch, then remember how far that is: to the places that the files were moved to.
   *
   * @param isLast whether all files have been read: then what only `hparams.yaml` has is sent, too, and the destination
   *   told of these places even if nothing is in it
   */
  async flush(
    batch: RecordBatch,
    isLast = false,
    segmentsOf: (lines: readonly Line[]) => Promise<readonly Segment[]> = () => this.#following(batch.data),
  ): Promise<void> {
    await this.#limit(batch);
    const data = this.#work.hparams.saw(batch.data);
    const hparams =
      isLast && this.#work.hparams.isDue ? this.#work.hparams.rest(this.#work.news.notes) : new Map<string, never>();
    const tells = isLast && this.#handle?.marks !== undefined && this.#newMarks().length > 0;
    if (!batch.empty || hparams.size > 0 || tells) {
      await this.#write(batch, { data, hparams, segments: await segmentsOf(batch.data.filter(isLine)) });
    }
    for (const datum of batch.data) this.#work.memory.saw(datum);
    if (isLast) this.#work.hparams.sent();
    this.#work.news.settle();
    this.save(false);
    batch.clear();
    this.#parts = [];
    this.#sources = [];
  }

  async sendAgain(file: SourceFile, batch: RecordBatch, segments: readonly Segment[]): Promise<void> {
    this.#work.requireGoingOn();
    this.count(batch, (kind, n) => this.#work.news.tally.read(kind, n));
    this.#parts = [{ file: displayPath(file.entry.path), firstScalar: 0, firstDatum: 0 }];
    this.#sources = [file];
    const { member } = file;
    const renamed = new Map<Datum, Datum>();
    const rename = <D extends Datum>(datum: D): D => {
      const known = (renamed.get(datum) as D | undefined) ?? this.#work.tags?.rename(datum, member) ?? datum;
      renamed.set(datum, known);
      return known;
    };
    this.#work.tags?.apply(batch, { firstScalar: 0, firstDatum: batch.data.length }, member);
    batch.data.splice(0, batch.data.length, ...batch.data.map(rename));
    const whole = segments.map((segment) => ({ ...segment, data: segment.data.map(rename) }));
    await this.flush(batch, false, async () => whole);
    this.#work.requireGoingOn();
  }

  /** The segments that a batch's values go on with. */
  async #following(data: readonly Datum[]): Promise<Segment[]> {
    const segments: Segment[] = [];
    for (const [index, { firstDatum }] of this.#parts.entries()) {
      const lines = data.slice(firstDatum, this.#parts[index + 1]?.firstDatum).filter(isLine);
      if (lines.length > 0)
        segments.push(...(await this.#segments.following(this.#sources[index] as SourceFile, lines)));
    }
    return segments;
  }

  /** Leave out what is too large or may not be read, and keep whose the rest is. */
  async #limit(batch: RecordBatch): Promise<void> {
    const all = batch.data.splice(0);
    const parts = this.#parts;
    this.#parts = [];
    for (const [index, part] of parts.entries()) {
      const of = { data: all.slice(part.firstDatum, parts[index + 1]?.firstDatum) };
      const { tally, notes } = this.#work.news;
      await this.#limits.apply(of, tally, notes);
      await this.#namedFiles.apply(of, (this.#sources[index] as SourceFile).member, tally, notes);
      this.#parts.push({ ...part, firstDatum: batch.data.length });
      for (const datum of of.data) batch.data.push(datum);
    }
  }

  async #write(batch: RecordBatch, rest: Pick<Batch, "data" | "hparams" | "segments">): Promise<void> {
    const { backend, progress, quarantine } = this.#work.context;
    let refused = 0;
    const refuse: Refuse | undefined =
      quarantine &&
      (async (values) => {
        refused += values.length;
        return quarantine.add(titleOf(this.#work.group), this.#handle?.id ?? "", values);
      });
    try {
      const marks = this.#newMarks();
      const parts = this.#parts.map((part, index) => ({ ...part, key: this.#sources[index]?.key }));
      const choice = this.#work.choices.toTell(marks);
      const receipt = await backend.write(
        this.#handle as RunHandle,
        { scalars: batch, parts, marks, choice, ...rest },
        refuse,
      );
      this.#work.context.onReached?.();
      this.#work.stored.cursor = receipt.cursor;
      for (const mark of marks) this.#written.set(mark.key, told(mark));
      if (choice !== undefined) this.#work.choices.told();
      this.#work.news.tally.add(receipt.tally);
      this.#work.news.refused += refused;
      this.#work.news.notes.push(...receipt.notes);
      progress.values += batch.length + batch.data.length;
    } catch (error) {
      const interrupted = this.#work.context.signal.aborted;
      this.count(batch, (kind, n) =>
        interrupted ? this.#work.news.tally.skipped(kind, "interrupted", n) : this.#work.news.tally.failed(kind, n),
      );
      throw error;
    }
    const { trace } = this.#work;
    if (trace === undefined) return;
    for (let i = 0; i < batch.length; i++) trace(`${describeScalar(batch, i)}: written`);
    for (const datum of batch.data) trace(`${describeDatum(datum)}: written, where the destination takes its kind`);
  }

  count(batch: RecordBatch, as: (kind: Kind, n: number) => void): void {
    as("scalars", batch.length);
    for (const datum of batch.data) as(datum.kind, 1);
  }

  marks(): FileMark[] {
    return this.#work.files.flatMap((file) => {
      const mark = file.mark();
      return mark === undefined ? [] : [{ ...mark, ...apartOf(this.#work.tags?.apart(file.member)) }];
    });
  }

  /** Those that the destination does not have. */
  #newMarks(): FileMark[] {
    return this.marks().filter((mark) => this.#written.get(mark.key) !== told(mark));
  }

  /** @param done whether all that is there is sent */
  save(done: boolean): void {
    if (!this.#work.hparams.isDue) this.#work.stored.hparamsFiles = this.#work.hparams.stamps;
    const keepsMarks = this.#handle === undefined || this.#handle.marks !== undefined;
    this.#work.choices.remember(this.#work.files);
    this.#work.memory.save(done, this.#work.files, keepsMarks);
    if (done) this.rememberBarren();
  }

  /** What was read and holds nothing to send is not read again; nor are its hyperparameters while it has no run. */
  rememberBarren(): void {
    const found = this.#work.files.map(({ entry, barren }): Finding => [entry.path, barren]);
    const stamps = this.#work.stored.remoteId === undefined ? this.#work.hparams.stamps : NO_STAMPS;
    for (const { path, run } of this.#work.group.members) {
      const stamp = stamps.get(path);
      if (run.hparamsFile === undefined || stamp === undefined) continue;
      found.push([run.hparamsFile.path, { stamp, state: "clean", format: undefined }]);
    }
    this.#work.context.checkpoints.saveBarren(found);
  }
}

/** What of a mark changes. */
function told({ offset, choice, tail, waypoints }: FileMark): string {
  return `${offset} ${choice} ${tail} ${waypoints?.join("")}`;
}

function isSessionEnd(datum: Datum): boolean {
  return datum.kind === "hparams" && datum.record.type === "session_end";
}

const NO_STAMPS: ReadonlyMap<string, string> = new Map();
