/** What the backend needs of a Weights & Biases: the same few operations on a server and on an offline directory. */
import type { ContentRefused } from "../../net/refusal.ts";
import type { Upload } from "../../net/request.ts";

/** Where a run lies. */
export interface RunAddress {
  readonly entity: string;
  readonly project: string;
  /** Its id, as users see it. */
  readonly name: string;
}

/** What a server has of a run. */
export interface RunStatus {
  /** What GraphQL calls it. */
  readonly storageId: string;
  readonly displayName: string;
  /** Lines of its history. */
  readonly lines: number;
  /** Lines of what its machine did meanwhile. */
  readonly events: number;
  /** JSON. */
  readonly config: string;
  /** JSON: the last values. */
  readonly summary: string;
  /** As its page shows them. */
  readonly notes?: string | undefined;
}

/** A run in a listing. */
export interface ListedRun extends Pick<RunStatus, "lines" | "events" | "config"> {
  /** Its id, as users see it. */
  readonly name: string;
  /** `running`, `finished`, `failed`, `crashed` … */
  readonly state: string;
}

/** What is to be set; undefined: stays as it is. */
export interface RunFields {
  /** Undefined for a run that may not be there yet. */
  readonly storageId?: string | undefined;
  readonly displayName?: string | undefined;
  readonly config?: string | undefined;
  readonly group?: string | undefined;
  readonly jobType?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Of the first event, seconds since the Unix epoch; a server takes the time when the run is made. */
  readonly startTime?: number | undefined;
  /** Markdown, which its page shows. */
  readonly notes?: string | undefined;
  /** The version of the code, the repository's address, and the machine's name. */
  readonly commit?: string | undefined;
  readonly repo?: string | undefined;
  readonly host?: string | undefined;
}

export interface UpsertedRun extends RunAddress {
  readonly storageId: string;
  readonly displayName: string;
  /** Whether it was not there before. */
  readonly isNew: boolean;
}

/** A part of a run's stream. Sent again, it changes nothing: lines have numbers. */
export interface StreamPart {
  /** Number of the first line, and the lines. */
  readonly history?: { readonly offset: number; readonly lines: readonly string[] };
  /** The same of what its machine did meanwhile. */
  readonly events?: { readonly offset: number; readonly lines: readonly string[] };
  /** JSON: the whole summary. */
  readonly summary?: string;
  /** Paths of files whose upload is over. */
  readonly uploaded?: readonly string[];
  /** Given, the run is over. */
  readonly exitCode?: number;
}

/** A file for a run. */
export interface RunFile {
  /** Relative, its parts separated by `/`. */
  readonly path: string;
  readonly body: Uint8Array | Upload;
}

/**
 * A place for runs. Each method resolves once what it says is durable there. All may be repeated without effect: fields are
 * set, lines have numbers, files have paths. All throw `TraceletError`: `auth`, `unreachable`, `rejected`, `deleted`.
 */
export interface WandbStore {
  /** Bytes of lines in one `stream` at most. Fewer are stored whole or not at all. */
  readonly maxRequestBytes: number;
  /** The entity of runs that are given none; undefined if there is no default. */
  defaultEntity(): Promise<string | undefined>;
  /** Undefined if there is no such run, or if it was deleted. */
  status(address: RunAddress): Promise<RunStatus | undefined>;
  /** Those of a project that have one of these ids. */
  runsNamed(entity: string, project: string, names: readonly string[]): AsyncIterable<ListedRun>;
  /** All of a project, the ones that were made last first. */
  newestRuns(entity: string, project: string): AsyncIterable<ListedRun>;
  /**
   * Make a run, or set what is given of it.
   *
   * @param wasThere whether somebody who wants it made knows that it was there; where nobody is asked who would remember it
   * @throws TraceletError `deleted` if it was there and was deleted: W&B never gives its id out again
   */
  upsert(address: RunAddress, fields: RunFields, wasThere?: boolean): Promise<UpsertedRun>;
  /** The first lines of a run's history, in parts. @param count how many */
  rows(address: RunAddress, count: number): AsyncIterable<readonly string[]>;
  /** Append to a run; nothing given: the run is alive. @returns whether somebody has told it to stop, on the web page */
  stream(address: RunAddress, part: StreamPart): Promise<boolean>;
  /**
   * Store files of a run, side by side; one of the same path is replaced. The stream has to announce them afterwards.
   *
   * @returns the files that were refused for what they hold, by path
   */
  upload(address: RunAddress, files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>>;
  /** Where a user finds the runs of a project, or one of them; undefined if there is no such place. */
  location(entity: string, project: string, name?: string): string | undefined;
  close(): Promise<void>;
}
