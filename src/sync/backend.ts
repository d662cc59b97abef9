/** The way out: what every destination has to keep. */

import type { Datum, HistogramDatum, Kind, PrCurveDatum, ScalarColumns } from "../reader/datum.ts";
import type { FileRef } from "../reader/file-store.ts";
import type { PythonValue } from "../reader/python-text.ts";
import type { FileProblem } from "./report/file-problem.ts";
import type { Note } from "./report/note.ts";
import type { Tally } from "./report/tally.ts";
import type { FoundEmbedding } from "./source/embeddings.ts";
import type { FileMark } from "./source/fingerprint.ts";
import type { Origin } from "./source/origin.ts";

/** A run of the source, as a destination has to know it. */
export interface RunDescription {
  /** What it is to be called: as the user wants it, or else its `title`. */
  readonly name: string;
  /** TensorBoard's name of the run; for the logdir itself, its directory's name. */
  readonly title: string;
  /** Identifies the run's name within its logdir. Two runs may share it; whose files they are tells them apart. */
  readonly source: string;
  /** Wall time of the first event, in seconds since the Unix epoch; may be NaN. */
  readonly startTime: number;
  /** Where its files lie; undefined if the destination is not to be told. */
  readonly origin?: Origin | undefined;
  /** The destination's name of the run that it is a part of, where runs are nested. */
  readonly parentId: string | undefined;
  /** The files as they are known when the run is first opened, at offset 0. */
  readonly marks: readonly FileMark[];
  /** The destination's name of a run that was here before this one: its files held other data. */
  readonly replaces: string | undefined;
  /** Whether a run of the destination, with the source that it says to be of, is that of another run of the logdirs. */
  isOthers(run: {
    readonly id: string;
    readonly source: string;
    readonly marks: readonly FileMark[];
  }): Promise<boolean>;
  /** Whether files that a destination remembers are files of this run: they begin alike, and go on alike as far as both go. */
  owns(marks: readonly FileMark[]): Promise<boolean>;
  /**
   * Whether files of a run of the destination begin as files of this run do, and go on in another way. If that run says to
   * be of another source, a file that is shorter here counts, too: a copy from before the rest was written is no rename.
   */
  contradicts(run: { readonly source: string | undefined; readonly marks: readonly FileMark[] }): Promise<boolean>;
  /** Whether all that a destination remembers to have of files is in this run's. */
  holds(marks: readonly FileMark[]): Promise<boolean>;
}

/** A run of the destination. */
export interface RunHandle {
  /** The destination's own name for it. */
  readonly id: string;
  /** How far the destination has each file; undefined where the destination cannot tell. */
  readonly marks: readonly FileMark[] | undefined;
  /** The texts of choices that it keeps, by id; somebody else may have written them. */
  readonly choices?: ReadonlyMap<string, string> | undefined;
  /** The text of the choice that it was last sent under, as far as it is told. */
  readonly choice?: string | undefined;
  /** True if `open` made it. */
  readonly created: boolean;
  /** If its source was called otherwise when it was last opened: what it was called here, and what it is called now. */
  readonly renamed?: { readonly before: string; readonly now: string } | undefined;
  /** If the user wants it to be called otherwise than when it was last opened: what it was called here, and is now. */
  readonly called?: { readonly before: string; readonly now: string } | undefined;
}

/** Where the values of an event file begin in a batch; they end where the next part begins. */
export interface BatchPart {
  /** Path of the event file, to be shown. */
  readonly file: string;
  /** The key of the file's mark, where it is known. */
  readonly key?: string | undefined;
  readonly firstScalar: number;
  readonly firstDatum: number;
}

/**
 * A stretch of an event file, whose histograms and curves lie together at the destination. Where it begins depends on
 * nothing but the file, so that whoever sends it, in whatever batches, leaves the same there.
 */
export interface Segment {
  /** The key of the file's mark. */
  readonly key: string;
  /** Bytes. */
  readonly start: number;
  /** Tells it from the file's own segments where it holds what was sent beside them; empty for those. */
  readonly part: string;
  /** All of it up to now, in the file's order: one that was written before is replaced. */
  readonly data: readonly Line[];
}

/** A value that is a line of its segment. */
export type Line = HistogramDatum | PrCurveDatum;

/** Values of one run, and the places in its files that they bring it to. */
export interface Batch {
  readonly scalars: ScalarColumns;
  readonly data: readonly Datum[];
  /** Those that the histograms and curves of `data` belong to. */
  readonly segments: readonly Segment[];
  /** Which files its values are of. */
  readonly parts: readonly BatchPart[];
  readonly marks: readonly FileMark[];
  /** The choice that the marks name, where it is to be kept with them. */
  readonly choice?: { readonly id: string; readonly text: string } | undefined;
  /** Hyperparameters that only a file beside the event files has, by name. */
  readonly hparams: ReadonlyMap<string, PythonValue>;
}

/**
 * Keeps values that a destination refuses for good. Resolves once they are durable.
 *
 * @returns the file that they are in
 * @throws TraceletError `state`
 */
export type Refuse = (values: readonly RefusedValue[]) => Promise<string>;

/** What a destination has to say of a batch. */
export interface Receipt {
  /** Where the destination stands by it, for `open`: saved together with the places that the batch brings the files to. */
  readonly cursor?: string | undefined;
  /** What was sent and skipped of the batch; together, all of it. */
  readonly tally: Tally;
  /** Things a user should know: a name that was changed, a value that was cut. Each is given once a run. */
  readonly notes: readonly Note[];
}

/** A value that was refused. */
export interface RefusedValue {
  readonly kind: Kind;
  readonly tag: string;
  /** Undefined for a hyperparameter. */
  readonly step: bigint | undefined;
  /** Seconds since the Unix epoch, as written. Undefined for a hyperparameter of a file of its own. */
  readonly wallTime: number | undefined;
  /** A scalar, or a hyperparameter's text; undefined for what is too large to be repeated. */
  readonly value: number | string | undefined;
  /** The event file; undefined for a hyperparameter of a file of its own. */
  readonly file: string | undefined;
  /** Byte offset of its record in the event file. */
  readonly offset: number | undefined;
  /** What the destination said, without credentials. */
  readonly reason: string;
}

/** Takes what a destination refuses. */
export interface Quarantine {
  /**
   * Resolves once the values are kept durably.
   *
   * @param run TensorBoard's name of the run
   * @param remoteId the destination's
   * @returns the file that they are in
   * @throws TraceletError `state`
   */
  add(run: string, remoteId: string, values: readonly RefusedValue[]): Promise<string>;
}

/** A self-contained HTML page that draws all values of one tag. */
export interface Page {
  readonly kind: Kind;
  readonly tag: string;
  readonly html: string;
}

/** A file of the source. */
export interface SourceFileArtifact {
  readonly kind: "source_files";
  /** Its name within the destination's run, its parts separated by `/`. */
  readonly path: string;
  readonly file: FileRef;
  /** How many of its bytes; it may have grown since. */
  readonly size: number;
}

/** All embeddings of a run, with the files that they are made of. */
export interface EmbeddingArtifacts {
  readonly kind: "embeddings";
  /** Path of the run within the destination's; empty where they are the same. */
  readonly member: string;
  readonly embeddings: readonly FoundEmbedding[];
}

export type SourceArtifact = SourceFileArtifact | EmbeddingArtifacts;

/** What a destination has to say of files of the source. */
export interface FilesReceipt extends Receipt {
  /** Files that could not be read whole; they have failed. */
  readonly problems: readonly FileProblem[];
  /** False if the same another time may bring more. */
  readonly complete: boolean;
}

export type FinalStatus = "finished" | "failed";

/** A run as this machine left it at the destination. */
export interface KnownRun {
  /** The destination's own name for it. */
  readonly id: string;
  /** The run of the source, as in `RunDescription`. */
  readonly source: string;
  /** How far each of its files was acknowledged. */
  readonly marks: readonly FileMark[];
  /** Whether it was ended, and nothing was left to be done. */
  readonly isDone: boolean;
  /** False if something was sent to it since the last `confirm`. */
  readonly isConfirmed: boolean;
}

/** A run as this machine left it at another destination, which calls it by the same id. */
export interface RunElsewhere extends Pick<KnownRun, "marks" | "isDone"> {
  /** As the state names it. */
  readonly destination: string;
}

/** How a run is no longer as it was left. `behind`: the destination has less of it, or does not show that it is over. `gone`: as if it had never been there. */
export type RunChange = "behind" | "deleted" | "gone";

/** What a look at a destination has brought to light. */
export interface Survey {
  /** The runs that are not as they were left, by id. */
  readonly changes: ReadonlyMap<string, RunChange>;
  /** What is to be given to the next one. */
  readonly memory: string | undefined;
}

/**
 * One destination. Batches of one run are written one after the other, of several runs at once.
 *
 * All methods throw `TraceletError`; `auth` and `unreachable` mean that no run can be written at the moment.
 */
export interface Backend {
  /** How many scalars one batch should hold. */
  readonly batchSize: number;
  /** The largest file that is stored, bytes; undefined: any. */
  readonly maxFileBytes?: number | undefined;
  /**
   * Find out whether the destination still is as it was left, or was restored from a backup, emptied or replaced, or has had
   * runs removed. Costs little where nothing has changed.
   *
   * @param memory what the last `survey` or `confirm` has returned; undefined if there was none
   * @throws TraceletError `deleted` if the whole of it was deleted
   */
  survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey>;
  /**
   * Look whether others have made runs of the same sources at the same time. Of each source one run counts, the same for all
   * who look; the others are deleted. Who goes on with a source that has lost its run opens it again.
   *
   * @returns the ids of runs that `open` has made and that do not count
   */
  settle(): Promise<ReadonlySet<string>>;
  /**
   * Leave something by which the next `survey` knows the destination again. To be called when all that was sent is
   * acknowledged.
   *
   * @param memory as for `survey`
   * @returns what is to be given to the next `survey`; undefined where that needs nothing
   */
  confirm(memory: string | undefined): Promise<string | undefined>;
  /**
   * Find the run, or create it. Idempotent, also over a lost reply and from another machine. One whose source was called
   * otherwise before is found by its files, and is called as it is now.
   *
   * @param knownId what an earlier `open` returned for the run
   * @param cursor what the last receipt of it that was saved held; one that keeps no marks of its own goes back to there
   */
  open(run: RunDescription, knownId: string | undefined, cursor: string | undefined): Promise<RunHandle>;
  /**
   * Resolves once the batch is durable, its marks not before its values. Writing the same batch again changes nothing.
   *
   * @param refuse takes the values that the destination refuses for good, before the marks move past them; left out: a
   *   refusal is an error of the run
   */
  write(run: RunHandle, batch: Batch, refuse?: Refuse): Promise<Receipt>;
  /** Show a run that was finished as one that is running. */
  resume(run: RunHandle): Promise<void>;
  /**
   * Store pages; one of the same kind and tag is replaced. A destination that has no place for them stores none.
   *
   * @returns what a user should know of those that were not stored
   */
  attach(run: RunHandle, pages: AsyncIterable<Page>): Promise<readonly Note[]>;
  /**
   * Store files of the source as they are, streamed; what is there under their name is replaced. A file that cannot be read
   * is a problem of the receipt, and ends nothing.
   */
  attachFiles(run: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt>;
  /** @param endTime wall time of the last event, in seconds since the Unix epoch; -Infinity if there is none */
  finish(run: RunHandle, status: FinalStatus, endTime: number): Promise<void>;
  /** Where a person finds the result; undefined before anything was opened, or where there is no such place. */
  location(): string | undefined;
  /** The same for one run; left out where runs have no places of their own. @param id the destination's own name for it */
  runLocation?(id: string): string | undefined;
  close(): Promise<void>;
}
