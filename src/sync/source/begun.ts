/** When event files were begun, and which of them count where only those are wanted that were begun since some time. */
import { type DiscoveredRun, displayPath, type EventFileEntry, type FsPath } from "../../reader/discover.ts";
import { EventFileReader } from "../../reader/event-file.ts";
import { secondOf } from "../../reader/event-file-name.ts";
import { useFile } from "../../reader/file-store.ts";
import { RecordBatch } from "../../reader/record-batch.ts";
import { TagTable } from "../../reader/tag-table.ts";
import { RecordReader } from "../../reader/tfrecord.ts";
import { wholeMs } from "../../whole-ms.ts";
import type { Grouping } from "./groups.ts";
import { sessionOf } from "./session.ts";

/** How far into a file its first event is looked for, bytes. */
const LOOKED_AT = 1 << 20;
/** A file that was last written so long before is older for sure, whatever its clock; ms. */
const CLOCKS_DIFFER = 24 * 3_600_000;
export interface BegunSinceOptions extends Pick<Grouping, "since" | "group" | "logdirs" | "isOfOthers" | "isOwn"> {
  /** They know which files are of other sessions. */
  readonly checkpoints: {
    isOthers(session: string, path: FsPath, decide: (() => boolean) | undefined): boolean;
  };
}

/** Leaves out the files that were begun before a time. It reads each file's beginning once. */
export class BegunSince {
  /** Paths of those that were left out. */
  readonly earlier: Set<string> = new Set();
  /** Paths of those that are of other sessions. */
  readonly others: Set<string> = new Set();
  /** Paths of those begun before that the session itself has written to since. */
  readonly goingOn: Set<string> = new Set();
  readonly #since: number;
  readonly #isOwn: NonNullable<Grouping["isOwn"]>;
  readonly #isOthers: (file: EventFileEntry, begun: number) => boolean;
  /** When files were begun, ms since the Unix epoch; by path. */
  readonly #known = new Map<string, { readonly file: EventFileEntry; readonly begun: number }>();

  constructor({ since, group, logdirs, isOfOthers, isOwn = () => false, checkpoints }: BegunSinceOptions) {
    this.#isOwn = isOwn;
    this.#since = since ?? -Infinity;
    const name = group === "logdir" ? sessionOf(logdirs, since).name : undefined;
    this.#isOthers = (file, begun) => {
      const decide = isOfOthers && (() => isOfOthers(displayPath(file.path), begun));
      return name !== undefined && checkpoints.isOthers(name, file.path, decide);
    };
  }

  /**
   * The runs with only the files that were begun since then, in any whole millisecond that is not before. A file that holds no
   * whole event yet is left out as well, until it does, and is not counted.
   *
   * @param counts whether what is left out of a run is counted, by its name
   */
  async of(runs: readonly DiscoveredRun[], counts: (name: string) => boolean): Promise<DiscoveredRun[]> {
    const left: DiscoveredRun[] = [];
    for (const run of runs) {
      const files: EventFileEntry[] = [];
      const isCounted = counts(run.name);
      for (const file of run.files) if (await this.#isWanted(file, isCounted)) files.push(file);
      if (files.length > 0) left.push(files.length === run.files.length ? run : { ...run, files });
    }
    return left;
  }

  async #isWanted(file: EventFileEntry, isCounted: boolean): Promise<boolean> {
    const isOld = file.mtime > 0n && Number(file.mtime / 1_000_000n) < this.#since - CLOCKS_DIFFER;
    const begun = isOld ? -Infinity : await this.#begun(file);
    if (begun === undefined) return false;
    const path = displayPath(file.path);
    const isOthers = begun >= this.#since && this.#isOthers(file, begun);
    if (isCounted && begun < this.#since) {
      this.earlier.add(path);
      if (Number(file.mtime / 1_000_000n) > this.#since && this.#isOwn(path)) this.goingOn.add(path);
    }
    if (isCounted && isOthers) this.others.add(path);
    return begun >= this.#since && !isOthers;
  }

  async #begun(file: EventFileEntry): Promise<number | undefined> {
    const key = displayPath(file.path);
    const known = this.#known.get(key);
    if (known !== undefined && file.store.isSameFile(known.file, file)) return known.begun;
    const begun = await firstWallTime(file).catch(() => Number.NaN);
    if (begun === undefined) return undefined;
    const time = Number.isFinite(begun) && begun > 0 ? wholeMs(begun) : timeOfName(file);
    this.#known.set(key, { file, begun: time });
    return time;
  }
}

/** In seconds since the Unix epoch; undefined if nothing is written yet, NaN if it cannot be told. */
export async function firstWallTime(file: EventFileEntry): Promise<number | undefined> {
  return useFile(file, async (source) => {
    const records = new RecordReader(source, { end: Math.min(file.size, LOOKED_AT), maxRecordBytes: LOOKED_AT });
    const reader = new EventFileReader(records, new Map());
    await reader.read(new RecordBatch(1, new TagTable()));
    const isUnfinished = records.tail?.state !== "damaged" && records.losses.length === 0 && file.size < LOOKED_AT;
    return reader.firstWallTime ?? (isUnfinished ? undefined : Number.NaN);
  });
}

/** Of a file that does not tell when it was begun: the second in its name, or else when it was last written. */
function timeOfName({ name, mtime }: EventFileEntry): number {
  const seconds = secondOf(name);
  // The end of that second: no file is left out that may have been begun since.
  return seconds === undefined ? Number(mtime / 1_000_000n) : seconds * 1000 + 999;
}

/** What is said of files that were left out. @param more ` more` if others were told of before */
export function earlierText(files: number, more = ""): string {
  return files === 1
    ? `1${more} event file was begun before --since, and is skipped`
    : `${files}${more} event files were begun before --since, and are skipped`;
}

/** What is said of one that the session itself goes on with. @param file its path */
export function goingOnText(file: string): string {
  return `nothing that is written to ${file} is sent: it was begun before --since, so its writer was made too early`;
}

/** The same of files that are of other sessions. */
export function othersText(files: number, more = ""): string {
  return files === 1
    ? `1${more} event file is of another process, and is left alone`
    : `${files}${more} event files are of other processes, and are left alone`;
}
