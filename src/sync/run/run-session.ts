/** One run: read → transform → batch → write → checkpoint, until its files are read to the end. */
import { realpathSync } from "node:fs";
import type { TraceletError } from "../../errors.ts";
import type { Datum, Kind } from "../../reader/datum.ts";
import { displayPath } from "../../reader/discover.ts";
import { RecordBatch } from "../../reader/record-batch.ts";
import { NOTHING_OBSOLETE, type Obsolete, type RestartPolicy } from "../../reader/restarts.ts";
import { TagTable } from "../../reader/tag-table.ts";
import type {
  Backend,
  Batch,
  BatchPart,
  Line,
  Quarantine,
  Refuse,
  RunDescription,
  RunHandle,
  Segment,
} from "../backend.ts";
import { type FileProblem, problemsOf } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import type { Progress } from "../report/progress.ts";
import { Tally } from "../report/tally.ts";
import { atStart, type FileMark, hashText } from "../source/fingerprint.ts";
import { MarkIndex } from "../source/mark-index.ts";
import { originOf } from "../source/origin.ts";
import type { GroupFile, Member, RunGroup } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";
import { titleOf } from "../source/titles.ts";
import type { Finding } from "../state/barren-files.ts";
import type { Checkpoints } from "../state/checkpoints.ts";
import type { StoredFile, StoredRun } from "../state/stored-run.ts";
import { type LimitOptions, Limits } from "../transform/limits.ts";
import { SeriesCounts } from "../transform/series-counts.ts";
import { describeDatum, describeScalar, Transform, type TransformOptions } from "../transform/transform.ts";
import { catchUp, linesOf, type PastFiles } from "./catch-up.ts";
import { requireGoingOn, whileGoingOn } from "./interruption.ts";
import { matchRun } from "./match.ts";
import { findObsoleteOf, ScanFailed } from "./member-restarts.ts";
import { MemberTags } from "./member-tags.ts";
import type { OtherRuns } from "./other-runs.ts";
import { isLine } from "./past-choices.ts";
import { narrowed, RunChoices } from "./run-choices.ts";
import { RunFiles } from "./run-files.ts";
import { RunHparams } from "./run-hparams.ts";
import { RunMemory } from "./run-memory.ts";
import { apartNotes, emptyNote } from "./run-notes.ts";
import type { ReadAgain } from "./run-pages.ts";
import { partsOf, type RunResult, withPath } from "./run-result.ts";
import { Segments } from "./segments.ts";
import { type OpenFile, RETRY_MS, type SourceFile } from "./source-file.ts";

/** What a session needs from outside. */
export interface RunSyncContext {
  /** Keeps what the destination refuses; left out: a refusal is an error of the run. */
  readonly quarantine?: Quarantine | undefined;
  readonly backend: Backend;
  readonly checkpoints: Checkpoints;
  readonly restarts: RestartPolicy;
  readonly transform: TransformOptions;
  /** Whether the source's own files are sent, too. */
  readonly attachSource: boolean;
  /** Sizes of images and clips; left out: any. */
  readonly limits?: LimitOptions;
  /** Bytes. */
  readonly maxRecordBytes: number;
  /** Aborted: finish the batch under way, keep the checkpoint, stop. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** How long bytes that are no record are read again before they count as damage, ms. 0: they count at once. */
  readonly patienceMs: number;
  /** Whether the run is shown as running while it is open. */
  readonly isLive: boolean;
  /** Whether the destination is told where a run's files lie. */
  readonly tellsOrigin?: boolean;
  /** The destination's name of the run in whose place this one is. */
  readonly replaces?: string | undefined;
  /** Told what becomes of every value. */
  readonly trace?: (line: string) => void;
  /** The destination's name of the run that a group is nested in, if it has one. @throws TraceletError if it failed */
  readonly parentId: (parent: RunGroup) => Promise<string | undefined>;
  readonly others: OtherRuns;
  /** Told the destination's name of a group's run as soon as it is known. */
  readonly onOpen: (group: RunGroup, remoteId: string) => void;
  /** Told whenever the destination has done something. */
  readonly onReached?: () => void;
}

/**
 * One run while it is being synced: what is new in its files is read, transformed, written and remembered. An error leaves
 * it unusable: what comes next begins with the checkpoints.
 */
export class RunSession {
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];
  #group: RunGroup;
  readonly #stored: StoredRun;
  /** What was known of its files when it began. */
  readonly #before: readonly StoredFile[];
  readonly #context: RunSyncContext;
  #tally = new Tally();
  readonly #limits: Limits;
  readonly #runFiles: RunFiles;
  readonly #memory: RunMemory;
  /** Undefined where the tags' own names will do. */
  readonly #tags: MemberTags | undefined;
  #files: SourceFile[];
  /** Those that could not be read. */
  readonly #leftOut: SourceFile[] = [];
  /** What the destination has been told, by the marks' keys. */
  readonly #written = new Map<string, string>();
  /** The same for as long as the run is open: its handle knows tags by their numbers. */
  readonly #tagTable = new TagTable();
  #handle: RunHandle | undefined;
  /** Which files the values of the batch are of. */
  #parts: BatchPart[] = [];
  /** The same files, part by part. */
  #sources: SourceFile[] = [];
  readonly #choices: RunChoices;
  readonly #past: PastFiles;
  readonly #segments: Segments;
  /** Whether its own hyperparameter session, not one of a part that was folded into it, has said that it is over. */
  #hasEnded = false;
  /** Whether there was any scalar in what it has read. */
  #hasScalars = false;
  /** How many records of its files describe not a run, but the experiment that runs are in. */
  #experiments = 0;
  /** Whether it was said that there are values without content. */
  #hasToldEmpty = false;
  /** Since when some of its files are missing from it, ms of `performance.now()`. */
  #lacksSince: number | undefined;
  readonly #hparams: RunHparams;

  constructor(group: RunGroup, stored: StoredRun, files: SourceFile[], context: RunSyncContext) {
    this.#group = group;
    this.#stored = stored;
    this.#before = stored.files;
    this.#files = files;
    this.#context = context;
    this.#limits = new Limits(context.limits ?? {}, this.#trace());
    this.#runFiles = new RunFiles(group, stored, context);
    this.#memory = new RunMemory(stored, context.checkpoints);
    const plain = group.members.every(({ path }) => path === "");
    this.#tags = plain ? undefined : new MemberTags(this.#memory.claims, this.notes);
    this.#hparams = new RunHparams(this.#hparamsStamps(stored));
    this.#choices = new RunChoices(context, stored);
    this.#choices.adopt(files);
    this.#past = {
      choices: this.#choices,
      files: () => this.#files,
      findObsolete: (policy, first) => this.#findObsolete(first, policy),
      metadata: ({ path }) => this.#memory.metadata(path),
    };
    this.#segments = new Segments(async (file, start, end) => {
      const lines = await linesOf(this.#past, file, start, end);
      return lines.map((line) => this.#tags?.rename(line, file.member) ?? line);
    });
    stored.folds = new Map(group.members.flatMap(({ path, fold }) => (fold === undefined ? [] : [[path, fold]])));
  }

  /** Whether it is what is remembered of this run that it goes on with. */
  isOf(stored: StoredRun): boolean {
    return this.#stored === stored;
  }

  /** The destination's name of the run, once it is open. */
  get remoteId(): string | undefined {
    return this.#handle?.id;
  }

  /**
   * Take over how the run's files look now.
   *
   * @returns false if more has happened to them than that they grew; then the run has to be opened anew
   */
  follow(group: RunGroup): boolean {
    const isSame =
      group.files.length === this.#files.length &&
      group.members.length === this.#group.members.length &&
      this.#files.every((file, index) => {
        const entry = group.files[index] as GroupFile;
        const { path, fold, prefix } = file.member;
        const { member } = entry;
        const isSameMember = member.path === path && member.fold?.by === fold?.by && member.prefix === prefix;
        return entry.name === file.entry.name && isSameMember && file.follow(entry);
      });
    if (isSame) this.#group = group;
    return isSame;
  }

  /** Some of the run's files could not even be opened; it is to be opened anew a while later. */
  lacks(problems: readonly FileProblem[]): void {
    this.problems.push(...problems);
    if (problems.length > 0) this.#lacksSince = performance.now();
  }

  /** How long until something is to be looked at again though nothing happens to the files, ms; undefined: for ever. */
  get waitsFor(): number | undefined {
    const waits = [...this.#files, ...this.#leftOut].flatMap((file) => file.waitsFor(this.#context.patienceMs) ?? []);
    if (this.#lacksSince !== undefined) waits.push(Math.max(0, this.#lacksSince + RETRY_MS - performance.now()));
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** How many bytes of the files have been read and acknowledged. */
  get bytesRead(): number {
    return this.#files.reduce((sum, { start }) => sum + start, 0);
  }

  /** Whether there are pages to be drawn, or holes to be looked at again. */
  get needsCare(): boolean {
    return this.#stored.pagesDue || this.#files.some(({ holes }) => holes.length > 0);
  }

  /** Draw the pages of a run that goes on, and look at its holes again. @throws TraceletError */
  async care(): Promise<void> {
    const handle = this.#handle as RunHandle;
    this.#requireGoingOn();
    await this.#fillHoles(handle);
    await this.#attachPages(handle);
    this.#save(false);
  }

  /** End a run whose files are there no longer; can be done again after an error, too. @throws TraceletError */
  async leave(): Promise<void> {
    if (this.#handle === undefined) return;
    await this.#finish(this.#handle);
  }

  /** What has become of values, and what there is to say, since the last time this was asked; and all damage. */
  takeNews(): Pick<RunResult, "tally" | "notes" | "problems" | "losses"> {
    const { losses } = this.result("sent");
    const news = { tally: this.#tally, notes: [...this.notes], problems: [...this.problems], losses };
    this.#tally = new Tally();
    this.notes.length = 0;
    this.problems.length = 0;
    return news;
  }

  /** Whether the run's own session has said that it is over, since the last time this was asked. */
  takeSessionEnd(): boolean {
    const hasEnded = this.#hasEnded;
    this.#hasEnded = false;
    return hasEnded;
  }

  /**
   * Send what is there.
   *
   * @returns `empty`: there is nothing yet. `unchanged`: nothing new, and all before is sent. `sent`: all of it is
   * @throws TraceletError
   */
  async advance(): Promise<"empty" | "unchanged" | "sent" | "interrupted"> {
    if (this.#context.signal.aborted) return "interrupted";
    const anyValue = this.#handle !== undefined || (await this.#lookAhead());
    await this.#hparams.read(this.#group.members, this.notes, this.problems);
    const { remoteId, done } = this.#stored;
    if (this.#handle === undefined) this.problems.push(...(await this.#runFiles.look(this.#group)));
    const anyFile = this.#runFiles.hasEmbeddings || (remoteId !== undefined && this.#runFiles.isSourceDue);
    if (!anyValue && !anyFile && !this.#hparams.isDue) {
      if (remoteId === undefined && !this.#mustBeThere()) {
        this.#rememberBarren();
        this.#tally.read("hparams", this.#experiments);
        this.#tally.leftOut("hparams", "of an experiment, not of a run", this.#experiments);
        return "empty";
      }
      // Of a live file something may be waiting to become a record.
      if (remoteId !== undefined && done && this.#isAllSent()) {
        this.#context.onOpen(this.#group, remoteId);
        this.#save(true);
        return "unchanged";
      }
    }
    this.#requireGoingOn();
    const handle = this.#handle ?? (await this.#open());
    // A directory's files are there only to tell it by.
    if (this.#group.isDirectory) for (const file of this.#files) file.settle();
    else {
      await this.#catchUp(handle);
      if (!(await this.#send(handle))) return "interrupted";
    }
    return "sent";
  }

  /** Of the `hparams.yaml` files that were sent, and of those in which there was nothing to send. */
  #hparamsStamps({ hparamsFiles }: StoredRun): ReadonlyMap<string, string> {
    const stamps = new Map(hparamsFiles);
    for (const { path, run } of this.#group.members) {
      const stamp = run.hparamsFile && stampOf(run.hparamsFile);
      if (stamp === undefined || run.hparamsFile === undefined) continue;
      if (this.#context.checkpoints.barren(run.hparamsFile.path, stamp) !== undefined) stamps.set(path, stamp);
    }
    return stamps;
  }

  #isAllSent(): boolean {
    return this.#files.every(({ isSettled }) => isSettled) && this.#choices.hasAll(this.#files);
  }

  /** Give a run that all has been sent of its files, its pages and its end. @throws TraceletError */
  async finish(): Promise<"sent" | "interrupted"> {
    const handle = this.#handle as RunHandle;
    this.#requireGoingOn();
    if (this.#context.isLive) this.problems.push(...(await this.#runFiles.look(this.#group)));
    await this.#fillHoles(handle);
    await this.#attachPages(handle);
    if (!(await this.#attachFiles(handle))) return "interrupted";
    if (handle.created && !this.#hasScalars) this.notes.push(...apartNotes(this.#group));
    await this.#finish(handle);
    this.#save(true);
    return "sent";
  }

  result(outcome: RunResult["outcome"], error?: TraceletError): RunResult {
    return {
      name: this.#group.title ?? this.#group.name,
      parts: partsOf(this.#group),
      outcome,
      remoteId: this.#stored.remoteId,
      error,
      tally: this.#tally,
      notes: this.notes,
      problems: this.problems,
      losses: this.#files.flatMap((file) => withPath(displayPath(file.entry.path), file.allLosses())),
      waiting: [
        ...this.#files.flatMap(({ entry, tail }) => {
          const waits = tail?.state === "incomplete" || tail?.state === "zeros";
          return waits ? withPath(displayPath(entry.path), [tail]) : [];
        }),
        ...this.#runFiles.waiting(),
      ],
    };
  }

  /** Read up to the first new value of each file: is there any, and by which bytes can the file be told? */
  async #lookAhead(): Promise<boolean> {
    let anyValue = false;
    const countsAlone = this.#group.isAlone || this.#stored.remoteId !== undefined;
    const keys = this.#keys();
    await this.#eachFile(async (file) => {
      if (file.barren !== undefined || (anyValue && file.key !== undefined)) return;
      const batch = new RecordBatch(1, new TagTable());
      const damage = file.damage(this.#context.patienceMs);
      const metadata = new Map(this.#memory.metadata(file.member.path));
      const open = await file.open(metadata, file.start, file.entry.size, damage);
      try {
        await open.reader.read(batch);
        const { records, firstWallTime } = open.reader;
        this.#stored.firstWallTime ??= firstWallTime;
        file.looked(records.tail, damage);
        await file.tellFormat(open.source, this.notes);
        await file.name(open.source, records.position, keys);
        this.#experiments += batch.data.filter(isExperiment).length;
        if (batch.length > 0 || batch.data.some((datum) => countsAlone || !isExperiment(datum))) anyValue = true;
        // Nobody may come this way again: where no value is new, nothing is sent.
        else file.learn(open.reader);
      } finally {
        await open.close();
      }
    });
    return anyValue;
  }

  /** Those that the run's files have. */
  #keys(): Set<string> {
    return new Set(this.#files.flatMap(({ key }) => key ?? []));
  }

  /** Whether it is needed at the destination though it has no values: others are nested in it. */
  #mustBeThere(): boolean {
    return this.#group.isParent && this.#files.some(({ key }) => key !== undefined);
  }

  async #open(): Promise<RunHandle> {
    const { backend, onOpen, parentId } = this.#context;
    const { remoteId } = this.#stored;
    const { parent } = this.#group;
    const handle = await backend.open(this.#describe(parent && (await parentId(parent))), remoteId);
    this.#context.onReached?.();
    this.#handle = handle;
    if (remoteId !== undefined && handle.id !== remoteId) {
      const became = handle.created ? "it was sent again as" : "it goes on in";
      const message = `${this.#group.name} is no longer at its destination as ${remoteId}; ${became} ${handle.id}`;
      this.notes.push({ code: "recreated", message });
    }
    if (handle.renamed !== undefined) this.notes.push(movedNote(this.#group.name, handle.renamed));
    if (handle.created) await this.#runFiles.startOver();
    this.#stored.directory = placeOf(this.#group);
    this.#stored.remoteId = handle.id;
    onOpen(this.#group, handle.id);
    if (this.#context.isLive && !handle.created) await backend.resume(handle);
    if (handle.marks !== undefined) {
      const marks = new MarkIndex(handle.marks);
      await this.#eachFile(async (file) => {
        if (file.barren === undefined) await file.resume(marks);
      });
    }
    for (const mark of handle.marks ?? []) this.#written.set(mark.key, told(mark));
    this.#choices.opened(handle);
    this.#choices.adopt(this.#files);
    await this.#relearn();
    return handle;
  }

  #describe(parentId: string | undefined): RunDescription {
    const remembered = (marks: readonly FileMark[]) => asStored(this.#group.name, marks, this.#before);
    const { name } = this.#group;
    return {
      name: titleOf(this.#group),
      source: hashText(name),
      startTime: this.#stored.firstWallTime ?? Number.NaN,
      origin: this.#context.tellsOrigin === true ? originOf(this.#group.directory) : undefined,
      parentId,
      marks: this.#marks().map(atStart),
      replaces: this.#context.replaces,
      isOthers: (run) => this.#context.others.own(name, run),
      owns: async (marks) => (await matchRun(this.#group, [remembered(marks)])).stored !== undefined,
      contradicts: async (marks) => (await matchRun(this.#group, [remembered(marks)])).isOther,
      holds: async (marks) => {
        const { files, notes } = await matchRun(this.#group, [remembered(marks)]);
        return notes.length === 0 && files.filter(({ stored }) => stored !== undefined).length === marks.length;
      },
    };
  }

  /** Read again, without sending, what the destination has but this machine has forgotten. */
  async #relearn(): Promise<void> {
    await this.#eachFile(async (file) => {
      const range = file.unknownRange;
      if (range === undefined) return;
      const reader = await file.readAgain(this.#memory.metadata(file.member.path), range, (batch) => {
        this.#requireGoingOn();
        this.#tags?.apply(batch, START, file.member);
        for (const datum of batch.data) this.#memory.saw(datum);
        this.#hparams.saw(batch.data);
      });
      file.learn(reader);
      this.#memory.sawWallTime(reader.lastWallTime);
    });
    await this.#recount();
  }

  /** Count again what was counted as far as another place than the one where sending begins. */
  async #recount(): Promise<void> {
    const { every, maxSteps } = this.#context.transform;
    if (every === undefined && maxSteps === undefined) return;
    if (!this.#files.some((file) => file.needsRecount)) return;
    const obsolete = await this.#findObsolete(() => 0);
    const transform = new Transform(this.#context.transform, obsolete);
    for (const [index, file] of this.#files.entries()) {
      const counts = new SeriesCounts();
      try {
        const metadata = new Map(this.#memory.metadata(file.member.path));
        await file.readAgain(metadata, { start: 0, end: file.start }, (batch) => {
          this.#requireGoingOn();
          transform.apply(batch, { file: index, ...START, counts }, new Tally());
        });
        file.recounted(counts);
      } catch (error) {
        this.#isProblemOf(file, error);
      }
    }
  }

  async #findObsolete(
    startOf: (file: SourceFile) => number,
    policy: RestartPolicy = this.#context.restarts,
  ): Promise<Obsolete> {
    const metadataOf = ({ path }: Member) => this.#memory.metadata(path);
    const begin = (file: SourceFile) => {
      this.#requireGoingOn();
      return file.barren === undefined ? startOf(file) : file.entry.size;
    };
    try {
      return await findObsoleteOf(this.#files, policy, begin, metadataOf);
    } catch (error) {
      if (!(error instanceof ScanFailed)) throw error;
      this.#leaveOut(error.file, error.cause);
      return this.#findObsolete(startOf, policy);
    }
  }

  /** Send what is let in now of what has been read before. */
  async #catchUp(handle: RunHandle): Promise<void> {
    if (this.#choices.hasAll(this.#files)) return;
    const stale = await catchUp(this.#past, {
      newBatch: () => this.#newBatch(),
      send: (file, batch, segments) => this.#sendAgain(handle, file, batch, segments),
      failed: (file, error) => this.#isProblemOf(file, error),
    });
    if (stale > 0) this.notes.push(narrowed(this.#group.name, stale));
  }

  async #sendAgain(
    handle: RunHandle,
    file: SourceFile,
    batch: RecordBatch,
    segments: readonly Segment[],
  ): Promise<void> {
    this.#requireGoingOn();
    this.#count(batch, (kind, n) => this.#tally.read(kind, n));
    this.#parts = [{ file: displayPath(file.entry.path), firstScalar: 0, firstDatum: 0 }];
    this.#sources = [file];
    const { member } = file;
    const renamed = new Map<Datum, Datum>();
    const rename = <D extends Datum>(datum: D): D => {
      const known = (renamed.get(datum) as D | undefined) ?? this.#tags?.rename(datum, member) ?? datum;
      renamed.set(datum, known);
      return known;
    };
    this.#tags?.apply(batch, { firstScalar: 0, firstDatum: batch.data.length }, member);
    batch.data.splice(0, batch.data.length, ...batch.data.map(rename));
    const whole = segments.map((segment) => ({ ...segment, data: segment.data.map(rename) }));
    await this.#flush(handle, batch, false, async () => whole);
    this.#requireGoingOn();
  }

  /** @returns false if it was interrupted */
  async #send(handle: RunHandle): Promise<boolean> {
    const { signal, patienceMs } = this.#context;
    const obsolete = await this.#findObsolete(({ start }) => start);
    const trace = this.#trace();
    const transform = new Transform(this.#context.transform, obsolete, trace);
    const batch = this.#newBatch();
    const keys = this.#keys();
    for (const [index, file] of this.#files.entries()) {
      if (file.isRead) continue;
      try {
        const damage = file.damage(patienceMs);
        const open = await file.open(this.#memory.metadata(file.member.path), file.start, file.entry.size, damage);
        try {
          if (!(await file.isAsRead(open.source))) throw new SourceChanged(displayPath(file.entry.path));
          for (let more = true; more; ) {
            more = await this.#read(open, index, batch, transform);
            if (batch.full || (more && batch.empty)) {
              await file.moveTo(open, keys);
              await this.#flush(handle, batch);
            }
            if (signal.aborted) {
              this.#count(batch, (kind, n) => this.#tally.leftOut(kind, "interrupted", n));
              return false;
            }
          }
          await file.moveTo(open, keys);
          file.ended(open.reader.records.tail, damage);
          await file.tellFormat(open.source, this.notes);
        } finally {
          await open.close();
        }
      } catch (error) {
        this.#isProblemOf(file, error);
      }
    }
    if (transform.firstEmpty !== undefined && !this.#hasToldEmpty) {
      this.#hasToldEmpty = true;
      this.notes.push(emptyNote(transform.firstEmpty));
    }
    // Also where nothing was new but bytes without values: a mark that lags behind looks like a destination that does.
    await this.#flush(handle, batch, true);
    return true;
  }

  /** Send what has appeared in the damage that was passed over: blocks may arrive in another order than they were written. */
  async #fillHoles(handle: RunHandle): Promise<void> {
    if (this.#files.every(({ holes }) => holes.length === 0)) return;
    const transform = new Transform(this.#context.transform, NOTHING_OBSOLETE, this.#trace());
    const batch = this.#newBatch();
    for (const [index, file] of this.#files.entries()) {
      for (const hole of [...file.holes]) {
        try {
          const open = await file.open(this.#memory.metadata(file.member.path), hole.start, hole.end);
          try {
            for (let more = true; more; ) {
              more = await this.#read(open, index, batch, transform);
              await this.#flush(handle, batch, false, (lines) => this.#segments.filled(file, lines, file.start));
              this.#requireGoingOn();
            }
            const { losses, tail } = open.reader.records;
            const rest = tail === undefined || tail.state === "clean" ? [] : [{ ...tail, reason: hole.reason }];
            await file.filled(open.source, hole, [...losses, ...rest]);
          } finally {
            await open.close();
          }
        } catch (error) {
          this.#isProblemOf(file, error);
        }
      }
    }
    // What was filled may be part of what the destination knows a file by.
    await this.#flush(handle, batch, true);
  }

  /** Draw the pages anew if there is more to be seen on them. */
  async #attachPages(handle: RunHandle): Promise<void> {
    if (!this.#stored.pagesDue) return;
    const obsolete = await this.#findObsolete(() => 0);
    const readAgain: ReadAgain = async (take) => {
      const transform = new Transform(this.#context.transform, obsolete);
      for (const [index, file] of this.#files.entries()) {
        if (file.barren !== undefined) continue;
        try {
          const metadata = new Map(this.#memory.metadata(file.member.path));
          const counts = new SeriesCounts();
          await file.readAgain(metadata, { start: 0, end: file.entry.size }, (batch) => {
            this.#requireGoingOn();
            transform.apply(batch, { file: index, ...START, counts }, new Tally());
            this.#tags?.apply(batch, START, file.member);
            take(batch);
          });
        } catch (error) {
          this.#isProblemOf(file, error);
        }
      }
    };
    // Loaded for those runs only that have something to draw.
    const { makePages } = await import("./run-pages.ts");
    const pages = whileGoingOn(makePages(readAgain), this.#context.signal);
    this.notes.push(...(await this.#context.backend.attach(handle, pages)));
    this.#context.onReached?.();
    this.#stored.pagesDue = false;
  }

  /** @returns false if it was interrupted */
  async #attachFiles(handle: RunHandle): Promise<boolean> {
    const { backend, signal } = this.#context;
    const { notes, problems } = this;
    try {
      return await this.#runFiles.send({ backend, handle, signal, tally: this.#tally, notes, problems });
    } finally {
      // Files may be large: what was sent before an error is not sent again.
      this.#save(false);
    }
  }

  async #finish(handle: RunHandle): Promise<void> {
    await this.#context.backend.finish(handle, this.#stored.status, this.#stored.lastWallTime);
    this.#context.onReached?.();
  }

  /** What an earlier one held and was not sent is no part of it. */
  #newBatch(): RecordBatch {
    this.#parts = [];
    this.#sources = [];
    return new RecordBatch(this.#context.backend.batchSize, this.#tagTable);
  }

  async #read({ reader }: OpenFile, file: number, batch: RecordBatch, transform: Transform): Promise<boolean> {
    const from = this.#files[file] as SourceFile;
    const { counts } = from;
    const path = displayPath(from.entry.path);
    if (this.#parts.at(-1)?.file !== path) {
      this.#parts.push({ file: path, firstScalar: batch.length, firstDatum: batch.data.length });
      this.#sources.push(from);
    }
    const origin = { file, firstScalar: batch.length, firstDatum: batch.data.length, counts };
    const before = reader.records.position;
    try {
      return await reader.read(batch);
    } finally {
      this.#hasScalars ||= batch.length > origin.firstScalar;
      transform.apply(batch, origin, this.#tally);
      this.#tags?.apply(batch, origin, from.member);
      if (from.member.fold === undefined) this.#hasEnded ||= batch.data.slice(origin.firstDatum).some(isSessionEnd);
      this.#memory.sawWallTime(reader.lastWallTime);
      this.#context.progress.bytes += reader.records.position - before;
    }
  }

  /**
   * Send what is in the batch, then remember how far that is: to the places that the files were moved to.
   *
   * @param isLast whether all files have been read: then what only `hparams.yaml` has is sent, too, and the destination
   *   told of these places even if nothing is in it
   */
  async #flush(
    handle: RunHandle,
    batch: RecordBatch,
    isLast = false,
    segmentsOf: (lines: readonly Line[]) => Promise<readonly Segment[]> = () => this.#following(batch.data),
  ): Promise<void> {
    await this.#limit(batch);
    const data = this.#hparams.saw(batch.data);
    const hparams = isLast && this.#hparams.isDue ? this.#hparams.rest(this.notes) : new Map<string, never>();
    const tells = isLast && handle.marks !== undefined && this.#newMarks().length > 0;
    if (!batch.empty || hparams.size > 0 || tells) {
      await this.#write(handle, batch, { data, hparams, segments: await segmentsOf(batch.data.filter(isLine)) });
    }
    for (const datum of batch.data) this.#memory.saw(datum);
    if (isLast) this.#hparams.sent();
    this.#save(false);
    batch.clear();
    this.#parts = [];
    this.#sources = [];
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

  /** Leave out what is too large, and keep whose the rest is. */
  async #limit(batch: RecordBatch): Promise<void> {
    const all = batch.data.splice(0);
    const parts = this.#parts;
    this.#parts = [];
    for (const [index, part] of parts.entries()) {
      const of = { data: all.slice(part.firstDatum, parts[index + 1]?.firstDatum) };
      await this.#limits.apply(of, this.#tally, this.notes);
      this.#parts.push({ ...part, firstDatum: batch.data.length });
      for (const datum of of.data) batch.data.push(datum);
    }
  }

  async #write(
    handle: RunHandle,
    batch: RecordBatch,
    rest: Pick<Batch, "data" | "hparams" | "segments">,
  ): Promise<void> {
    const { backend, progress } = this.#context;
    try {
      const marks = this.#newMarks();
      const parts = this.#parts;
      const choice = this.#choices.toTell(marks);
      const receipt = await backend.write(handle, { scalars: batch, parts, marks, choice, ...rest }, this.#refuse);
      this.#context.onReached?.();
      for (const mark of marks) this.#written.set(mark.key, told(mark));
      if (choice !== undefined) this.#choices.told();
      this.#tally.add(receipt.tally);
      this.notes.push(...receipt.notes);
      progress.values += batch.length + batch.data.length;
    } catch (error) {
      const interrupted = this.#context.signal.aborted;
      this.#count(batch, (kind, n) =>
        interrupted ? this.#tally.leftOut(kind, "interrupted", n) : this.#tally.failed(kind, n),
      );
      throw error;
    }
    const trace = this.#trace();
    if (trace === undefined) return;
    for (let i = 0; i < batch.length; i++) trace(`${describeScalar(batch, i)}: written`);
    for (const datum of batch.data) trace(`${describeDatum(datum)}: written, where the destination takes its kind`);
  }

  /** Keeps what the destination refuses of the run. */
  get #refuse(): Refuse | undefined {
    const { quarantine } = this.#context;
    return quarantine && ((values) => quarantine.add(titleOf(this.#group), this.#handle?.id ?? "", values));
  }

  #count(batch: RecordBatch, as: (kind: Kind, n: number) => void): void {
    as("scalars", batch.length);
    for (const datum of batch.data) as(datum.kind, 1);
  }

  #trace(): ((line: string) => void) | undefined {
    const { trace } = this.#context;
    return trace && ((line) => trace(`${this.#group.name}: ${line}`));
  }

  #marks(): FileMark[] {
    return this.#files.flatMap((file) => file.mark() ?? []);
  }

  /** Those that the destination does not have. */
  #newMarks(): FileMark[] {
    return this.#marks().filter((mark) => this.#written.get(mark.key) !== told(mark));
  }

  /** @param done whether all that is there is sent */
  #save(done: boolean): void {
    if (!this.#hparams.isDue) this.#stored.hparamsFiles = this.#hparams.stamps;
    const keepsMarks = this.#handle === undefined || this.#handle.marks !== undefined;
    this.#choices.remember(this.#files);
    this.#memory.save(done, this.#files, keepsMarks);
    if (done) this.#rememberBarren();
  }

  /** What was read and holds nothing to send is not read again; nor are its hyperparameters while it has no run. */
  #rememberBarren(): void {
    const found = this.#files.map(({ entry, barren }): Finding => [entry.path, barren]);
    const stamps = this.#stored.remoteId === undefined ? this.#hparams.stamps : NO_STAMPS;
    for (const { path, run } of this.#group.members) {
      const stamp = stamps.get(path);
      if (run.hparamsFile === undefined || stamp === undefined) continue;
      found.push([run.hparamsFile.path, { stamp, state: "clean", format: undefined }]);
    }
    this.#context.checkpoints.saveBarren(found);
  }

  /** Do something with each file; one that cannot be read any more is left out from here on. */
  async #eachFile(work: (file: SourceFile) => Promise<void>): Promise<void> {
    for (const file of [...this.#files]) {
      this.#requireGoingOn();
      try {
        await work(file);
      } catch (error) {
        this.#leaveOut(file, error);
      }
    }
  }

  /** @throws TraceletError `interrupted`: nothing new is to be begun */
  #requireGoingOn(): void {
    requireGoingOn(this.#context.signal);
  }

  #leaveOut(file: SourceFile, error: unknown): void {
    this.#isProblemOf(file, error);
    this.#files = this.#files.filter((other) => other !== file);
    this.#leftOut.push(file);
  }

  /** Note what the file system says of a file; throw on whatever else it is. */
  #isProblemOf(file: SourceFile, error: unknown): void {
    if (!(error instanceof Error) || !("syscall" in error || (error as NodeJS.ErrnoException).code === "EINVAL"))
      throw error;
    file.failed();
    this.problems.push(...problemsOf(file.entry, error));
  }
}

/** A file holds other bytes than those that were read of it: who goes on has to begin with the checkpoints. */
export class SourceChanged extends Error {
  override readonly name = "SourceChanged";
}

/** Where the run really lies; undefined if that cannot be told, since it is there no longer. */
function placeOf({ directory }: RunGroup): Uint8Array | undefined {
  try {
    return realpathSync(directory, "buffer");
  } catch {
    return undefined;
  }
}

function movedNote(name: string, { before, now }: NonNullable<RunHandle["renamed"]>): Note {
  const called = now === before ? `keeps its name there, ${now}` : `is called ${now} there instead of ${before}`;
  return {
    code: "moved",
    message: `${name} was sent before, from another directory or under another root; its run ${called}`,
  };
}

/** What of a mark changes. */
function told({ offset, choice, tail }: FileMark): string {
  return `${offset} ${choice} ${tail}`;
}

/** Whether it is about the runs beside or below; by itself it makes no run. */
function isExperiment(datum: Datum): boolean {
  return datum.kind === "hparams" && datum.record.type === "experiment";
}

function isSessionEnd(datum: Datum): boolean {
  return datum.kind === "hparams" && datum.record.type === "session_end";
}

const NO_STAMPS: ReadonlyMap<string, string> = new Map();

/** The whole of a batch. */
const START = { firstScalar: 0, firstDatum: 0 };

/** What is known of a run that was never sent. */
export function newRun(name: string): StoredRun {
  return {
    id: undefined,
    name,
    directory: undefined,
    remoteId: undefined,
    done: false,
    isConfirmed: false,
    pagesDue: false,
    status: "finished",
    firstWallTime: undefined,
    lastWallTime: -Infinity,
    hparamsFiles: new Map(),
    folds: new Map(),
    projectorFiles: new Map(),
    attached: new Map(),
    choice: undefined,
    choices: new Map(),
    files: [],
  };
}

/** What a destination remembers, in the form of what this machine would. @param before what this machine knows of the files */
function asStored(name: string, marks: readonly FileMark[], before: readonly StoredFile[]): StoredRun {
  const losses = new Map(before.map((file) => [file.key, file.losses]));
  const files = marks.map(
    (mark): StoredFile => ({
      ...mark,
      stamp: "",
      restartStep: undefined,
      losses: losses.get(mark.key) ?? [],
      counts: "[]",
    }),
  );
  return { ...newRun(name), files };
}
