/** One run: read → transform → batch → write → checkpoint, until its files are read to the end. */
import { TraceletError } from "../errors.ts";
import type { Datum, HparamValue, Kind, TagMetadata } from "../reader/datum.ts";
import { type DiscoveredRun, displayPath } from "../reader/discover.ts";
import { readHparamsFile } from "../reader/hparams-file.ts";
import { RecordBatch } from "../reader/record-batch.ts";
import { findObsolete, type Obsolete, type RestartPolicy } from "../reader/restarts.ts";
import { TagTable } from "../reader/tag-table.ts";
import type { Loss, Tail } from "../reader/tfrecord.ts";
import type { Backend, Note, RunHandle } from "./backend.ts";
import type { Checkpoints, StoredFile, StoredRun } from "./checkpoints.ts";
import { type Projector, readProjector } from "./embeddings.ts";
import { atStart, type FileMark, hashText } from "./fingerprint.ts";
import { type FileProblem, isUnchanged, matchRun, problemOf, stampOf } from "./match.ts";
import type { Progress } from "./progress.ts";
import type { ReadAgain } from "./run-pages.ts";
import { type Attaching, attachEmbeddings, attachSource, isSourceAttached, sourceFilesOf } from "./source-artifacts.ts";
import { type OpenFile, SourceFile } from "./source-file.ts";
import { Tally } from "./tally.ts";
import { describeDatum, describeScalar, Transform, type TransformOptions } from "./transform.ts";

/** What the sync of one run needs from outside. */
export interface RunSyncContext {
  readonly backend: Backend;
  readonly checkpoints: Checkpoints;
  readonly restarts: RestartPolicy;
  readonly transform: TransformOptions;
  /** Whether the source's own files are sent, too. */
  readonly attachSource: boolean;
  /** Bytes. */
  readonly maxRecordBytes: number;
  /** Aborted: finish the batch under way, keep the checkpoint, stop. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Told what becomes of every value. */
  readonly trace?: (line: string) => void;
}

/** How the sync of one run ended. */
export interface RunResult {
  readonly name: string;
  /**
   * `unchanged`: nothing new since the last time. `empty`: no values yet. `sent`: all that is there is sent.
   * `failed`: see `error`. `interrupted`: stopped on request, to be continued.
   */
  readonly outcome: "unchanged" | "empty" | "sent" | "failed" | "interrupted";
  /** The destination's name of the run, if it has one. */
  readonly remoteId: string | undefined;
  readonly error: TraceletError | undefined;
  readonly tally: Tally;
  readonly notes: readonly Note[];
  readonly problems: readonly FileProblem[];
  /** What was passed over, now and before. */
  readonly losses: readonly (Loss & { readonly path: string })[];
  /** Files whose last record is not complete, or that end in zeros. */
  readonly waiting: readonly (Tail & { readonly path: string })[];
}

/**
 * Bring the destination up to what the run's files hold now.
 *
 * @param candidates the stored runs of this name; one that is made is added
 * @returns how it ended; what the destination refused is in `error`, what the file system refused in `problems`
 */
export async function syncRun(
  run: DiscoveredRun,
  candidates: StoredRun[],
  context: RunSyncContext,
): Promise<RunResult> {
  const unchanged = candidates.find((stored) => isUnchanged(run, stored));
  if (unchanged !== undefined && (await hasAllFiles(run, unchanged, context))) return unchangedResult(run, unchanged);
  const match = await matchRun(run, candidates);
  const files = match.files.map((file) => new SourceFile(file, context.maxRecordBytes));
  const stored = match.stored ?? newRun(run.name);
  const job = new RunSync(run, stored, files, context);
  job.problems.push(...match.problems);
  job.notes.push(...match.notes);
  const outcome = await job.execute();
  if (match.stored === undefined && stored.remoteId !== undefined) candidates.push(stored);
  return job.result(outcome);
}

/** Kinds that are drawn on pages. */
const PAGE_KINDS: ReadonlySet<Kind> = new Set<Kind>(["histograms", "text", "pr_curves", "graphs", "custom_scalars"]);

/** Whether the destination has the embeddings, and the source's own files where they are wanted, as they are now. */
async function hasAllFiles(run: DiscoveredRun, stored: StoredRun, context: RunSyncContext): Promise<boolean> {
  if (context.attachSource && !isSourceAttached(sourceFilesOf(run, ""), stored.attached)) return false;
  return (await readProjector(run, stored.projectorFile)).state === "unchanged";
}

type Outcome = RunResult["outcome"] | TraceletError;

class RunSync {
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];
  readonly #run: DiscoveredRun;
  readonly #stored: StoredRun;
  readonly #context: RunSyncContext;
  readonly #tally = new Tally();
  readonly #metadata: Map<string, TagMetadata>;
  #files: SourceFile[];
  #savedMetadata: number;
  /** The offsets that the destination has been told, by the marks' keys. */
  readonly #written = new Map<string, number>();
  /** Hyperparameters from `hparams.yaml` that are still to be sent. */
  #hparams: ReadonlyMap<string, HparamValue> = new Map();
  /** Stamp of the `hparams.yaml` that they are from. */
  #hparamsStamp: string | undefined;
  #projector: Projector = { state: "unchanged", stamp: undefined };

  constructor(run: DiscoveredRun, stored: StoredRun, files: SourceFile[], context: RunSyncContext) {
    this.#run = run;
    this.#stored = stored;
    this.#files = files;
    this.#context = context;
    this.#metadata = context.checkpoints.metadata(stored);
    this.#savedMetadata = this.#metadata.size;
    this.#hparamsStamp = stored.hparamsFile;
  }

  async execute(): Promise<Outcome> {
    const { backend, signal } = this.#context;
    if (signal.aborted) return "interrupted";
    const anyValue = await this.#lookAhead();
    await this.#readHparams();
    const { remoteId, done } = this.#stored;
    await this.#readProjector(this.#stored.projectorFile);
    const anyFile = this.#projector.state === "changed" || (remoteId !== undefined && this.#isSourceDue());
    if (!anyValue && !anyFile && this.#hparams.size === 0 && (done || remoteId === undefined)) {
      if (remoteId === undefined) return "empty";
      this.#save(true);
      return "unchanged";
    }
    try {
      const handle = await backend.open(this.#describe(), remoteId);
      if (remoteId !== undefined && handle.id !== remoteId) {
        const message = `${this.#run.name} is no longer at its destination as ${remoteId}; it was sent again as ${handle.id}`;
        this.notes.push({ code: "recreated", message });
      }
      if (handle.created) {
        this.#stored.attached.clear();
        if (this.#projector.state === "unchanged") await this.#readProjector(undefined);
      }
      this.#stored.remoteId = handle.id;
      if (handle.marks !== undefined) await this.#eachFile((file) => file.resume(handle.marks as readonly FileMark[]));
      await this.#relearn();
      if (!(await this.#send(handle, await this.#findObsolete()))) return "interrupted";
      await this.#attachPages(handle);
      if (!(await this.#attachFiles(handle))) return "interrupted";
      await backend.finish(handle, this.#stored.status, this.#stored.lastWallTime);
      this.#save(true);
      return "sent";
    } catch (error) {
      if (!(error instanceof TraceletError)) throw error;
      return signal.aborted ? "interrupted" : error;
    }
  }

  result(outcome: Outcome): RunResult {
    const error = outcome instanceof TraceletError ? outcome : undefined;
    return {
      name: this.#run.name,
      outcome: outcome instanceof TraceletError ? "failed" : outcome,
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
        ...this.#unfinishedProjector(),
      ],
    };
  }

  #unfinishedProjector(): RunResult["waiting"] {
    const { projectorFile } = this.#run;
    if (projectorFile === undefined || this.#projector.state !== "unfinished") return [];
    return [{ path: displayPath(projectorFile.path), state: "incomplete", start: 0, end: projectorFile.size }];
  }

  /** Read up to the first new value of each file: is there any, and by which bytes can the file be told? */
  async #lookAhead(): Promise<boolean> {
    let anyValue = false;
    await this.#eachFile(async (file) => {
      if (anyValue && file.key !== undefined) return;
      const batch = new RecordBatch(1, new TagTable());
      const open = await file.open(new Map(this.#metadata));
      try {
        await open.reader.read(batch);
        const { records, firstWallTime } = open.reader;
        this.#stored.firstWallTime ??= firstWallTime;
        file.tail = records.tail;
        await file.name(open.source, records.position, this.#files);
        if (!batch.empty) anyValue = true;
        // Nobody may come this way again: where no value is new, nothing is sent.
        else file.learn(open.reader);
      } finally {
        await open.close();
      }
    });
    return anyValue;
  }

  #describe(): Parameters<Backend["open"]>[0] {
    const { name, directory } = this.#run;
    return {
      name: name === "." ? displayPath(directory).replace(/^.*\//, "") || "/" : name,
      source: hashText(name),
      startTime: this.#stored.firstWallTime ?? Number.NaN,
      marks: this.#marks().map(atStart),
      owns: async (marks) => (await matchRun(this.#run, [asStored(name, marks)])).stored !== undefined,
    };
  }

  async #readHparams(): Promise<void> {
    const { hparamsFile } = this.#run;
    const stamp = hparamsFile && stampOf(hparamsFile);
    if (hparamsFile !== undefined && stamp !== this.#hparamsStamp) {
      try {
        this.#hparams = await readHparamsFile(hparamsFile);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        this.problems.push({ path: displayPath(hparamsFile.path), code: code ?? message });
        return;
      }
    }
    this.#hparamsStamp = stamp;
  }

  async #readProjector(known: string | undefined): Promise<void> {
    this.#projector = await readProjector(this.#run, known);
    if (this.#projector.state === "problem") this.problems.push(this.#projector.problem);
    if (this.#projector.state !== "changed") this.#stored.projectorFile = this.#projector.stamp;
  }

  #isSourceDue(): boolean {
    return this.#context.attachSource && !isSourceAttached(sourceFilesOf(this.#run, ""), this.#stored.attached);
  }

  /** Read again, without sending, what the destination has but this machine has forgotten. */
  async #relearn(): Promise<void> {
    await this.#eachFile(async (file) => {
      const range = file.unknownRange;
      if (range === undefined) return;
      const reader = await file.readAgain(this.#metadata, range, (batch) => {
        for (const datum of batch.data) this.#saw(datum);
      });
      file.learn(reader);
      this.#sawWallTime(reader.lastWallTime);
    });
  }

  async #findObsolete(): Promise<Obsolete> {
    let current: SourceFile | undefined;
    const scans = this.#files.map((file) => ({
      start: file.start,
      size: file.entry.size,
      restartStep: file.restartStep,
      open: () => {
        current = file;
        return file.open(new Map(this.#metadata));
      },
    }));
    try {
      return await findObsolete(scans, this.#context.restarts);
    } catch (error) {
      if (current === undefined) throw error;
      this.#leaveOut(current, error);
      return this.#findObsolete();
    }
  }

  /** @returns false if it was interrupted */
  async #send(handle: RunHandle, obsolete: Obsolete): Promise<boolean> {
    const { signal } = this.#context;
    const trace = this.#trace();
    const transform = new Transform(this.#context.transform, obsolete, trace);
    const batch = new RecordBatch(this.#context.backend.batchSize, new TagTable());
    for (const [index, file] of this.#files.entries()) {
      try {
        const open = await file.open(this.#metadata);
        try {
          for (let more = true; more; ) {
            more = await this.#read(open, index, batch, transform);
            if (batch.full || (more && batch.empty)) {
              await file.moveTo(open, this.#files);
              await this.#flush(handle, batch);
            }
            if (signal.aborted) {
              this.#count(batch, (kind, n) => this.#tally.leftOut(kind, "interrupted", n));
              return false;
            }
          }
          await file.moveTo(open, this.#files);
          file.tail = open.reader.records.tail;
        } finally {
          await open.close();
        }
      } catch (error) {
        this.#isProblemOf(file, error);
      }
    }
    await this.#flush(handle, batch);
    return true;
  }

  /** Draw the pages anew if there is more to be seen on them. */
  async #attachPages(handle: RunHandle): Promise<void> {
    if (!this.#stored.pagesDue) return;
    for (const file of this.#files) file.start = 0;
    const obsolete = await this.#findObsolete();
    const readAgain: ReadAgain = async (take) => {
      const transform = new Transform(this.#context.transform, obsolete);
      for (const [index, file] of this.#files.entries()) {
        try {
          await file.readAgain(new Map(this.#metadata), { start: 0, end: file.entry.size }, (batch) => {
            transform.apply(batch, { file: index, firstScalar: 0, firstDatum: 0 }, new Tally());
            take(batch);
          });
        } catch (error) {
          this.#isProblemOf(file, error);
        }
      }
    };
    // Loaded for those runs only that have something to draw.
    const { makePages } = await import("./run-pages.ts");
    await this.#context.backend.attach(handle, makePages(readAgain));
    this.#stored.pagesDue = false;
  }

  /** @returns false if it was interrupted */
  async #attachFiles(handle: RunHandle): Promise<boolean> {
    const { backend, signal } = this.#context;
    const { notes, problems } = this;
    const attaching: Attaching = { backend, handle, signal, tally: this.#tally, notes, problems };
    const { attached } = this.#stored;
    const projector = this.#projector;
    try {
      if (projector.state === "changed" && (await attachEmbeddings(projector.embeddings, "", attaching)))
        this.#stored.projectorFile = projector.stamp;
      return !this.#isSourceDue() || (await attachSource(sourceFilesOf(this.#run, ""), attached, attaching));
    } finally {
      // Files may be large: what was sent before an error is not sent again.
      this.#save(false);
    }
  }

  async #read(open: OpenFile, file: number, batch: RecordBatch, transform: Transform): Promise<boolean> {
    const { reader } = open;
    const origin = { file, firstScalar: batch.length, firstDatum: batch.data.length };
    const before = reader.records.position;
    try {
      return await reader.read(batch);
    } finally {
      transform.apply(batch, origin, this.#tally);
      this.#sawWallTime(reader.lastWallTime);
      this.#context.progress.bytes += reader.records.position - before;
    }
  }

  /** Send what is in the batch, then remember how far that is: to the places that the files were moved to. */
  async #flush(handle: RunHandle, batch: RecordBatch): Promise<void> {
    if (!batch.empty || this.#hparams.size > 0) await this.#write(handle, batch);
    for (const datum of batch.data) this.#saw(datum);
    this.#hparams = new Map();
    this.#save(false);
    batch.clear();
  }

  async #write(handle: RunHandle, batch: RecordBatch): Promise<void> {
    const { backend, progress } = this.#context;
    try {
      const { data } = batch;
      const marks = this.#marks().filter(({ key, offset }) => this.#written.get(key) !== offset);
      const receipt = await backend.write(handle, { scalars: batch, data, marks, hparams: this.#hparams });
      for (const { key, offset } of marks) this.#written.set(key, offset);
      this.#tally.add(receipt.tally);
      this.notes.push(...receipt.notes);
      progress.values += batch.length + data.length;
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

  #count(batch: RecordBatch, as: (kind: Kind, n: number) => void): void {
    as("scalars", batch.length);
    for (const datum of batch.data) as(datum.kind, 1);
  }

  #trace(): ((line: string) => void) | undefined {
    const { trace } = this.#context;
    return trace && ((line) => trace(`${this.#run.name}: ${line}`));
  }

  #marks(): FileMark[] {
    return this.#files.flatMap((file) => file.mark() ?? []);
  }

  /** @param done whether all that is there is sent */
  #save(done: boolean): void {
    this.#stored.done = done;
    if (this.#hparams.size === 0) this.#stored.hparamsFile = this.#hparamsStamp;
    const files = this.#files.flatMap((file) => file.checkpoint() ?? []);
    this.#stored.files = files;
    const learnt = [...this.#metadata].slice(this.#savedMetadata);
    this.#context.checkpoints.save(this.#stored, learnt);
    this.#savedMetadata = this.#metadata.size;
  }

  /** Remember what a value that the destination has means for its run. */
  #saw(datum: Datum): void {
    if (PAGE_KINDS.has(datum.kind)) this.#stored.pagesDue = true;
    if (datum.kind !== "hparams") return;
    if (datum.record.type === "session_start") this.#stored.status = "finished";
    if (datum.record.type === "session_end") {
      this.#stored.status = datum.record.status === "failure" ? "failed" : "finished";
    }
  }

  #sawWallTime(wallTime: number): void {
    if (wallTime > this.#stored.lastWallTime) this.#stored.lastWallTime = wallTime;
  }

  /** Do something with each file; one that cannot be read any more is left out from here on. */
  async #eachFile(work: (file: SourceFile) => Promise<void>): Promise<void> {
    for (const file of [...this.#files]) {
      try {
        await work(file);
      } catch (error) {
        this.#leaveOut(file, error);
      }
    }
  }

  #leaveOut(file: SourceFile, error: unknown): void {
    this.#isProblemOf(file, error);
    this.#files = this.#files.filter((other) => other !== file);
  }

  /** Note what the file system says of a file; throw on whatever else it is. */
  #isProblemOf(file: SourceFile, error: unknown): void {
    if (!(error instanceof Error) || !("syscall" in error || (error as NodeJS.ErrnoException).code === "EINVAL"))
      throw error;
    this.problems.push(problemOf(file.entry, error));
  }
}

function newRun(name: string): StoredRun {
  return {
    id: undefined,
    name,
    remoteId: undefined,
    done: false,
    pagesDue: false,
    status: "finished",
    firstWallTime: undefined,
    lastWallTime: -Infinity,
    hparamsFile: undefined,
    projectorFile: undefined,
    attached: new Map(),
    files: [],
  };
}

/** What a destination remembers, in the form of what this machine would. */
function asStored(name: string, marks: readonly FileMark[]): StoredRun {
  const files = marks.map((mark): StoredFile => ({ ...mark, stamp: "", restartStep: undefined, losses: [] }));
  return { ...newRun(name), files };
}

function unchangedResult(run: DiscoveredRun, stored: StoredRun): RunResult {
  return {
    name: run.name,
    outcome: "unchanged",
    remoteId: stored.remoteId,
    error: undefined,
    tally: new Tally(),
    notes: [],
    problems: [],
    losses: run.files.flatMap((entry) => {
      const file = stored.files.find(({ name }) => name === entry.name);
      return withPath(displayPath(entry.path), file?.losses ?? []);
    }),
    waiting: [],
  };
}

function withPath<T extends object>(path: string, items: readonly T[]): (T & { readonly path: string })[] {
  return items.map((item) => ({ ...item, path }));
}
