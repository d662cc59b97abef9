/** One run, until its files are read to the end: what is done about it, and in which order. */
import type { TraceletError } from "../../errors.ts";
import { displayPath } from "../../reader/discover.ts";
import type { RunHandle } from "../backend.ts";
import type { FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import type { GroupFile, RunGroup } from "../source/run-group.ts";
import { spokenName } from "../source/titles.ts";
import type { StoredFile, StoredRun } from "../state/stored-run.ts";
import { Transform } from "../transform/transform.ts";
import { Attachments } from "./attachments.ts";
import { attachPages, fillHoles } from "./care.ts";
import { catchUp, linesOf, type PastFiles } from "./catch-up.ts";
import { lookAhead, openRun, Undecided } from "./opening.ts";
import { Pump } from "./pump.ts";
import { narrowed } from "./run-choices.ts";
import type { RunSyncContext } from "./run-context.ts";
import { lookBack } from "./run-metrics.ts";
import { apartNotes, emptyNote, missingMetricNote, noGoalNote } from "./run-notes.ts";
import { partsOf, type RunResult, withPath } from "./run-result.ts";
import { RunWork } from "./run-work.ts";
import { Segments } from "./segments.ts";
import { RETRY_MS, type SourceFile } from "./source-file.ts";

/**
 * One run while it is being synced: what is new in its files is read, transformed, written and remembered. An error leaves
 * it unusable: what comes next begins with the checkpoints.
 */
export class RunSession {
  readonly #work: RunWork;
  /** What was known of its files when it began. */
  readonly #before: readonly StoredFile[];
  readonly #attachments: Attachments;
  readonly #past: PastFiles;
  readonly #segments: Segments;
  readonly #pump: Pump;
  #handle: RunHandle | undefined;
  /** How many records of its files describe not a run, but the experiment that runs are in. */
  #experiments = 0;
  /** Whether it was said that there are values without content. */
  #hasToldEmpty = false;
  /** Whether it was said that expressions lack metrics. */
  #hasToldMissing = false;
  /** Since when some of its files are missing from it, ms of `performance.now()`. */
  #lacksSince: number | undefined;

  constructor(group: RunGroup, stored: StoredRun, files: SourceFile[], context: RunSyncContext) {
    const work = new RunWork(group, stored, files, context);
    this.#work = work;
    this.#before = stored.files;
    this.#attachments = new Attachments(group, stored, context);
    this.#past = {
      choices: work.choices,
      files: () => work.files,
      findObsolete: (policy, first) => work.findObsolete(first, policy),
      metadata: (member) => work.metadata(member),
    };
    this.#segments = new Segments(async (file, start, end) => {
      const lines = await linesOf(this.#past, file, start, end);
      return lines.map((line) => work.tags?.rename(line, file.member) ?? line);
    });
    this.#pump = new Pump(work, this.#segments);
    stored.folds = new Map(group.members.flatMap(({ path, fold }) => (fold === undefined ? [] : [[path, fold]])));
  }

  /** What there is to say of it. */
  get notes(): Note[] {
    return this.#work.news.notes;
  }

  /** Whether it is what is remembered of this run that it goes on with. */
  /** Whether it is what is remembered of this run that it goes on with. */
  isOf(stored: StoredRun): boolean {
    return this.#work.stored === stored;
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
      group.files.length === this.#work.files.length &&
      group.members.length === this.#work.group.members.length &&
      this.#work.files.every((file, index) => {
        const entry = group.files[index] as GroupFile;
        const { path, fold, prefix } = file.member;
        const { member } = entry;
        const isSameMember = member.path === path && member.fold?.by === fold?.by && member.prefix === prefix;
        return entry.name === file.entry.name && isSameMember && file.follow(entry);
      });
    if (isSame) this.#work.group = group;
    return isSame;
  }

  /** Some of the run's files could not even be opened; it is to be opened anew a while later. */
  lacks(problems: readonly FileProblem[]): void {
    this.#work.news.problems.push(...problems);
    if (problems.length > 0) this.#lacksSince = performance.now();
  }

  /** How long until something is to be looked at again though nothing happens to the files, ms; undefined: for ever. */
  get waitsFor(): number | undefined {
    const waits = [...this.#work.files, ...this.#work.unreadable].flatMap(
      (file) => file.waitsFor(this.#work.context.patienceMs) ?? [],
    );
    if (this.#lacksSince !== undefined) waits.push(Math.max(0, this.#lacksSince + RETRY_MS - performance.now()));
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** How many bytes of the files have been read and acknowledged. */
  get bytesRead(): number {
    return this.#work.files.reduce((sum, { start }) => sum + start, 0);
  }

  /** Whether there are pages to be drawn, or holes to be looked at again. */
  get needsCare(): boolean {
    return this.#work.stored.pagesDue || this.#work.files.some(({ holes }) => holes.length > 0);
  }

  /** Draw the pages of a run that goes on, and look at its holes again. @throws TraceletError */
  async care(): Promise<void> {
    const handle = this.#handle as RunHandle;
    this.#work.requireGoingOn();
    await fillHoles(this.#work, this.#pump, this.#segments);
    await attachPages(this.#work, handle);
    this.#pump.save(false);
  }

  /** End a run whose files are there no longer; can be done again after an error, too. @throws TraceletError */
  async leave(): Promise<void> {
    if (this.#handle === undefined) return;
    await this.#finish(this.#handle);
  }

  /** What has become of values, and what there is to say, since the last time this was asked; and all damage. */
  takeNews(): ReturnType<RunWork["news"]["take"]> & Pick<RunResult, "losses"> {
    const { losses } = this.result("sent");
    return { ...this.#work.news.take(), losses };
  }

  /** Whether the run's own session has said that it is over, since the last time this was asked. */
  takeSessionEnd(): boolean {
    const hasEnded = this.#pump.hasEnded;
    this.#pump.hasEnded = false;
    return hasEnded;
  }

  /**
   * Send what is there.
   *
   * @returns `empty`: there is nothing yet. `unchanged`: nothing new, and all before is sent. `sent`: all of it is
   * @throws TraceletError
   */
  async advance(): Promise<"empty" | "unchanged" | "sent" | "interrupted"> {
    if (this.#work.context.signal.aborted) return "interrupted";
    const anyValue = this.#handle !== undefined || (await this.#lookAhead());
    await this.#work.hparams.read(this.#work.group.members, this.#work.news.notes, this.#work.news.problems);
    const { remoteId, done } = this.#work.stored;
    if (this.#handle === undefined) this.#work.news.problems.push(...(await this.#attachments.look(this.#work.group)));
    const anyFile = this.#attachments.hasEmbeddings || (remoteId !== undefined && this.#attachments.isSourceDue);
    if (!anyValue && !anyFile && !this.#work.hparams.isDue) {
      if (remoteId === undefined && !this.#mustBeThere()) {
        this.#pump.rememberBarren();
        this.#work.news.tally.read("hparams", this.#experiments);
        this.#work.news.tally.skipped("hparams", "experiment-level", this.#experiments);
        return "empty";
      }
      // Of a live file something may be waiting to become a record.
      if (remoteId !== undefined && done && this.#isAllSent() && !this.#work.files.some((file) => file.mayHaveFilled)) {
        this.#work.context.onOpen(this.#work.group, remoteId);
        this.#pump.save(true);
        return "unchanged";
      }
    }
    this.#work.requireGoingOn();
    try {
      if (this.#handle === undefined) await this.#open();
    } catch (error) {
      if (!(error instanceof Undecided)) throw error;
      this.lacks(error.problems);
      return "empty";
    }
    // A directory's files are there only to tell it by. Those of a run that was not asked for are sent when it is.
    if (this.#work.group.isDirectory) {
      if (this.#work.group.members.length === 0) for (const file of this.#work.files) file.settle();
      this.#pump.save(false);
    } else {
      await this.#catchUp();
      if (!(await this.#send())) return "interrupted";
    }
    return "sent";
  }

  async #lookAhead(): Promise<boolean> {
    const { anyValue, experiments } = await lookAhead(this.#work);
    this.#experiments += experiments;
    return anyValue;
  }

  async #open(): Promise<RunHandle> {
    return openRun(this.#work, this.#before, this.#attachments, (handle) => {
      this.#handle = handle;
      this.#pump.open(handle);
    });
  }

  #isAllSent(): boolean {
    return this.#work.files.every(({ isSettled }) => isSettled) && this.#work.choices.hasAll(this.#work.files);
  }

  /** Give a run that all has been sent of its files, its pages and its end. @throws TraceletError */
  async finish(): Promise<"sent" | "interrupted"> {
    const handle = this.#handle as RunHandle;
    this.#work.requireGoingOn();
    if (this.#work.context.isLive) this.#work.news.problems.push(...(await this.#attachments.look(this.#work.group)));
    await fillHoles(this.#work, this.#pump, this.#segments);
    await attachPages(this.#work, handle);
    if (!(await this.#attachFiles(handle))) return "interrupted";
    if (handle.created && !this.#pump.hasScalars) this.#work.news.notes.push(...apartNotes(this.#work.group));
    if (!this.#hasToldMissing) {
      const notes = (this.#work.metrics?.missing() ?? []).map(missingMetricNote);
      this.#hasToldMissing = notes.length > 0;
      this.#work.news.notes.push(...notes);
    }
    await this.#finish(handle);
    this.#pump.save(true);
    return "sent";
  }

  /** What an attempt that is given up has brought about; the rest is read again by the next one. */
  givenUp(): Pick<RunResult, "tally" | "notes"> & { readonly unsettledBytes: number } {
    const { settled, unsettledBytes, notes } = this.#work.news;
    return { tally: settled, notes, unsettledBytes };
  }

  result(outcome: RunResult["outcome"], error?: TraceletError): RunResult {
    return {
      name: this.#work.group.title ?? this.#work.group.name,
      parts: partsOf(this.#work.group),
      outcome,
      remoteId: this.#work.stored.remoteId,
      error,
      tally: this.#work.news.tally,
      notes: this.#work.news.notes,
      problems: this.#work.news.problems,
      losses: this.#work.files.flatMap((file) => withPath(displayPath(file.entry.path), file.allLosses())),
      waiting: [
        ...this.#work.files.flatMap(({ entry, tail }) => {
          const waits = tail?.state === "incomplete" || tail?.state === "zeros";
          return waits ? withPath(displayPath(entry.path), [tail]) : [];
        }),
        ...this.#attachments.waiting(),
      ],
    };
  }

  /** Whether it is needed at the destination though it has no values: others are nested in it. */
  #mustBeThere(): boolean {
    return this.#work.group.isParent && this.#work.files.some(({ key }) => key !== undefined);
  }

  /** Send what is let in now of what has been read before. */
  async #catchUp(): Promise<void> {
    if (this.#work.choices.hasAll(this.#work.files)) return;
    const stale = await catchUp(this.#past, {
      newBatch: () => this.#pump.newBatch(),
      send: (file, batch, segments) => this.#pump.sendAgain(file, batch, segments),
      failed: (file, error) => this.#work.isProblemOf(file, error),
    });
    if (stale > 0) this.#work.news.notes.push(narrowed(spokenName(this.#work.group), stale));
  }

  /** @returns false if it was interrupted */
  async #send(): Promise<boolean> {
    const { signal, patienceMs } = this.#work.context;
    if (this.#work.mustLookBack) await lookBack(this.#work);
    const obsolete = await this.#work.findObsolete(({ start }) => start);
    const transform = new Transform(
      this.#work.context.transform,
      this.#work.context.restarts,
      obsolete,
      this.#work.trace,
    );
    const batch = this.#pump.newBatch();
    const keys = this.#work.keys();
    for (const [index, file] of this.#work.files.entries()) {
      if (file.isRead) continue;
      const metrics = this.#work.metrics?.of(file);
      if (metrics?.isBroken === true) continue;
      // Whether its mark is behind all that the batch holds of it.
      let isMarked = true;
      try {
        const damage = file.damage(patienceMs);
        const open = await file.open(this.#work.metadata(file.member), file.start, file.entry.size, damage);
        try {
          if (!(await file.isAsRead(open.source))) throw new SourceChanged(displayPath(file.entry.path));
          for (let more = true; more; ) {
            isMarked = false;
            more = await this.#pump.read(open, index, batch, transform, metrics);
            if (batch.full || (more && batch.empty)) {
              await file.moveTo(open, keys);
              isMarked = true;
              await this.#pump.flush(batch);
            }
            if (signal.aborted) {
              this.#pump.count(batch, (kind, n) => this.#work.news.tally.skipped(kind, "interrupted", n));
              return false;
            }
          }
          await file.moveTo(open, keys);
          isMarked = true;
          file.ended(open.reader.records.tail, damage);
          await file.tellFormat(open.source, this.#work.news.notes);
        } finally {
          await open.close();
        }
      } catch (error) {
        this.#work.isProblemOf(file, error);
        metrics?.breakOff();
        if (!isMarked) this.#pump.takeBack(batch, file);
      }
    }
    if (transform.firstEmpty !== undefined && !this.#hasToldEmpty) {
      this.#hasToldEmpty = true;
      this.#work.news.notes.push(emptyNote(transform.firstEmpty));
    }
    this.#work.news.notes.push(...(this.#work.metrics?.takeUndecided() ?? []).map(noGoalNote));
    // Also where nothing was new but bytes without values: a mark that lags behind looks like a destination that does.
    await this.#pump.flush(batch, true);
    return true;
  }

  /** @returns false if it was interrupted */
  async #attachFiles(handle: RunHandle): Promise<boolean> {
    const { backend, signal } = this.#work.context;
    const { tally, notes, problems } = this.#work.news;
    try {
      return await this.#attachments.send({ backend, handle, signal, tally, notes, problems });
    } finally {
      // Files may be large: what was sent before an error is not sent again.
      this.#pump.save(false);
    }
  }

  async #finish(handle: RunHandle): Promise<void> {
    const { backend, failedSince = Number.POSITIVE_INFINITY } = this.#work.context;
    const { status, lastWallTime } = this.#work.stored;
    await backend.finish(handle, lastWallTime >= failedSince ? "failed" : status, lastWallTime);
    this.#work.context.onReached?.();
  }
}

/** A file holds other bytes than those that were read of it: who goes on has to begin with the checkpoints. */
export class SourceChanged extends Error {
  override readonly name = "SourceChanged";
}
