/**
 * The file that tells how far a run's files are: JSON lines, of which the first holds the whole state and each further one
 * what a batch has changed. A line is appended once what it tells of is durable; one that is cut off counts as not written.
 *
 * Writing the whole state each time would cost the square of the number of event files.
 */
import { type BigIntStats, closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { TraceletError } from "../../errors.ts";
import { type OutputDirectory, type Unsynced, writeAll } from "../output-directory.ts";
import { FORMAT, jsonOfState, type RunState, stateOfJson } from "../run-state.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What a state file tells. */
export interface ToldState {
  readonly state: RunState;
  /** Seconds since the Unix epoch. */
  readonly startTime: number | null;
  /** What the format adds: the last line counts. */
  readonly fields: Fields;
  readonly log: Log;
}

/** How a state file was left. */
export interface Log {
  /** Inode, modification time and size. */
  readonly stamp: string;
  /** Where its last whole line ends, bytes. */
  readonly length: number;
  /** Of its first line, bytes. */
  readonly whole: number;
}

/** A further line is appended as long as all of them are at most this multiple of the whole state. */
const MAX_CHANGES = 2;
/** Below this many bytes the file is not worth replacing. */
const MIN_LENGTH = 16 * 1024;

export class StateFiles {
  readonly #directory: OutputDirectory;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  /** @returns undefined if it is not there @throws the system's error; TraceletError `rejected` if it is not tracelet's */
  read(id: string): ToldState | undefined {
    const file = this.#directory.path(id);
    let handle: number;
    try {
      handle = openSync(file, "r");
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
      throw error;
    }
    let bytes: Buffer;
    let stamp: string;
    try {
      stamp = stampOf(fstatSync(handle, { bigint: true }));
      bytes = readFileSync(handle);
    } finally {
      closeSync(handle);
    }
    // A power failure has left its name, and it was never told of anything.
    if (bytes.length === 0) return undefined;
    const lines = linesOf(bytes);
    const [first, ...changes] = lines;
    if (first?.json["kind"] !== "run" || first.json["format"] !== FORMAT) throw notOurs(file);
    const startTime = typeof first.json["start_time"] === "number" ? first.json["start_time"] : null;
    const marks = new Map(stateOfJson(first.json).marks);
    for (const { json } of changes) for (const [key, mark] of stateOfJson(json).marks) marks.set(key, mark);
    const fields = (changes.at(-1) ?? first).json;
    const length = lines.reduce((sum, line) => sum + line.length, 0);
    const log = { stamp, length, whole: first.length };
    return { state: { ...stateOfJson(fields), marks }, startTime, fields, log };
  }

  /**
   * Put a new file in its place, or the whole state in the place of many lines.
   *
   * @param unsynced as for `OutputDirectory.place`
   * @throws the system's error
   */
  place(id: string, state: RunState, startTime: number | null, fields: Fields, unsynced?: Unsynced): Log {
    const told = jsonOfState(state, state.marks.values());
    const bytes = lineOf({ kind: "run", format: FORMAT, start_time: startTime, ...fields, ...told });
    this.#directory.place(id, bytes, unsynced);
    return { stamp: this.#stamp(id), length: bytes.length, whole: bytes.length };
  }

  /**
   * Tell what a batch has changed.
   *
   * @param unsynced as for `OutputDirectory.place`
   * @throws the system's error; TraceletError `overtaken` or `deleted` as for `require`
   */
  change(id: string, told: Omit<ToldState, "fields">, next: RunState, fields: Fields, unsynced?: Unsynced): Log {
    const { state, startTime, log } = told;
    this.require(id, log);
    const changed = [...next.marks.values()].filter((mark) => state.marks.get(mark.key) !== mark);
    const line = lineOf({ ...fields, ...jsonOfState(next, changed) });
    const length = log.length + line.length;
    if (length > MIN_LENGTH && length - log.whole > MAX_CHANGES * log.whole)
      return this.place(id, next, startTime, fields, unsynced);
    const handle = openSync(this.#directory.path(id), "r+");
    try {
      ftruncateSync(handle, log.length);
      writeAll(handle, line, log.length);
      unsynced?.add(this.#directory.path(id));
      if (unsynced === undefined) fsyncSync(handle);
      return { stamp: stampOf(fstatSync(handle, { bigint: true })), length, whole: log.whole };
    } catch (error) {
      ftruncateSync(handle, log.length);
      throw error;
    } finally {
      closeSync(handle);
    }
  }

  /** @throws TraceletError `overtaken` or `deleted` if it is not as it was left */
  require(id: string, { stamp }: Log): void {
    const file = this.#directory.path(id);
    let now: string;
    try {
      now = this.#stamp(id);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
      throw new TraceletError("deleted", `${file} was removed while it was written`, { cause });
    }
    if (now === stamp) return;
    throw new TraceletError("overtaken", `another process has written beside ${file}`, {
      hint: "run the same command to resume",
    });
  }

  #stamp(id: string): string {
    const handle = openSync(this.#directory.path(id), "r");
    try {
      return stampOf(fstatSync(handle, { bigint: true }));
    } finally {
      closeSync(handle);
    }
  }
}

/** A file, or what it tells, that this version has not written. */
export function notOurs(file: string): TraceletError {
  return new TraceletError("rejected", `${file} was not written by tracelet, or by another version of it`, {
    hint: "nothing is written over it: move it away, or give another --output",
  });
}

function stampOf({ ino, mtimeNs, size }: BigIntStats): string {
  return `${ino} ${mtimeNs} ${size}`;
}

function lineOf(json: object): Buffer {
  return Buffer.from(`${JSON.stringify(json)}\n`);
}

/** The whole lines up to the first that is none. */
function linesOf(bytes: Buffer): { readonly json: Fields; readonly length: number }[] {
  const lines: { json: Fields; length: number }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf("\n", at) + 1;
    const json = end === 0 ? undefined : parse(bytes.subarray(at, end));
    if (json === undefined) break;
    lines.push({ json, length: end - at });
    at = end;
  }
  return lines;
}

function parse(line: Uint8Array): Fields | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(line).toString());
    return typeof json === "object" && json !== null ? (json as Fields) : undefined;
  } catch {
    return undefined;
  }
}
