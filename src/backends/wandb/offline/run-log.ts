/** A run's `.wandb` file: read once, then only appended to. */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { crc32 } from "node:zlib";
import { VERSION } from "../../../version.ts";
import { writeAll } from "../../output-directory.ts";
import { type Continuation, FILE_HEADER, framed, readRecords, type Tail, tailOf } from "./log-frames.ts";
import { decoded, encoded, isHistory, type LogRecord, lineOf } from "./records.ts";
import { RunContent } from "./run-content.ts";

/** The least version of a server that takes these records, as W&B's client says. */
const MIN_SERVER = "0.70.0";
/** What is being appended: whoever finds it goes on with it. */
const PENDING = ".tracelet-pending";
/** Lines that are handed on together. */
const LINES_AT_ONCE = 10_000;
/** Of the place where it begins, and of the CRC-32 of the rest. */
const PENDING_HEADER = 12;

/** What the producer of a log begins with that tracelet has made. */
const PRODUCER = "tracelet ";

/** All of a new file. */
export function newLog(records: readonly LogRecord[]): Buffer {
  const header: LogRecord = { header: { versionInfo: { producer: PRODUCER + VERSION, minConsumer: MIN_SERVER } } };
  const data = [header, ...records].map((record, i) => encoded(record, i + 1));
  return Buffer.concat([FILE_HEADER, framed(data, FILE_HEADER.length)]);
}

export class RunLog {
  /** The run's directory. */
  readonly directory: string;
  readonly #file: string;
  #content = new RunContent();
  /** Of the records read or written last. */
  #number = 0;
  /** Bytes. */
  #size = 0;
  /** Where the exit record begins, if it is the last one. */
  #exitStart: number | undefined;
  /** What of an append that was cut short is not in the file yet. */
  #rest: Continuation | undefined;
  #tail: Tail = "none";
  #isOwn = false;
  /** Tells whether somebody else has changed the file. */
  #stamp = "";

  readonly #isKept: boolean;

  /** @param isKept whether it stands for a directory that is gone */
  constructor(directory: string, file: string, isKept = false) {
    this.directory = directory;
    this.#file = file;
    this.#isKept = isKept;
  }

  get file(): string {
    return this.#file;
  }

  get content(): RunContent {
    return this.#content;
  }

  /** Whether tracelet has made it: W&B's client and others have theirs beside it, which are only read, and no further than that. */
  get isOwn(): boolean {
    return this.#isOwn;
  }

  /** Whether records are lost that were whole once. Nobody can tell then what an upload has taken, or will. */
  get isDamaged(): boolean {
    return this.#tail === "damaged" || (this.#tail === "broken" && this.isUploaded);
  }

  /** Whether W&B's client uploads it, or has done so: what is appended from then on may never be. */
  get isUploaded(): boolean {
    return this.#isKept || existsSync(`${this.#file}.syncstate`) || existsSync(`${this.#file}.synced`);
  }

  /** Take in what is there, if it was not written by this. The file stays as it is. @throws the system's error */
  refresh(): void {
    if (this.#stamp !== "" && stampOf(this.#file) === this.#stamp) return;
    this.#stamp = stampOf(this.#file);
    this.#rest = undefined;
    this.#tail = "none";
    this.#reading((handle) => {
      this.#replay(handle);
      if (!this.#isOwn) return;
      this.#rest = this.#pendingOf(handle);
      if (this.#rest === undefined) this.#tail = tailOf(handle, this.#size);
      else this.#replay(handle);
    });
  }

  #replay(handle: number): void {
    this.#content = new RunContent();
    this.#isOwn = false;
    this.#number = 0;
    this.#size = FILE_HEADER.length;
    this.#exitStart = undefined;
    for (const { start, end, data } of readRecords(handle, this.#rest)) {
      if (this.#number === 0) this.#isOwn = isOwn(data);
      if (!this.#isOwn) return;
      this.#number++;
      this.#exitStart = this.#content.read(data) ? start : undefined;
      this.#size = end;
    }
  }

  /** What of an append that was cut short is still to be written, if it tells all that stands behind the last whole record. */
  #pendingOf(handle: number): Continuation | undefined {
    const file = path.join(this.directory, PENDING);
    if (!existsSync(file)) return undefined;
    const pending = readFileSync(file);
    if (pending.length <= PENDING_HEADER) return undefined;
    const start = Number(pending.readBigUInt64LE(0));
    const bytes = pending.subarray(PENDING_HEADER);
    const end = this.#size;
    if (pending.readUInt32LE(8) !== crc32(bytes) || end < start || end >= start + bytes.length) return undefined;
    return fstatSync(handle).size > start + bytes.length
      ? undefined
      : { start: end, bytes: bytes.subarray(end - start) };
  }

  /** Bring the file to what was read of it: complete an append, or cut off what was being written when its process ended. */
  #settle(handle: number): void {
    if (this.isDamaged) throw new Error(`${this.#file} is damaged`);
    const rest = this.#rest;
    if (rest !== undefined) {
      ftruncateSync(handle, rest.start);
      writeAll(handle, rest.bytes, rest.start);
    } else if (this.#tail !== "none") ftruncateSync(handle, this.#size);
    if (rest !== undefined || this.#tail !== "none") fdatasyncSync(handle);
    rmSync(path.join(this.directory, PENDING), { force: true });
    this.#rest = undefined;
    this.#tail = "none";
  }

  /**
   * Append records, all of them or none: if the process ends meanwhile, the next one completes it.
   *
   * @param isDurable false: a power failure may take them back, with what is appended later
   * @throws the system's error
   */
  append(records: readonly LogRecord[], isDurable = true): void {
    if (records.length === 0) return;
    const start = this.#size;
    const data = records.map((record, i) => encoded(record, this.#number + 1 + i));
    const bytes = framed(data, start);
    const pending = path.join(this.directory, PENDING);
    this.#writing((handle) => {
      if (records.length > 1) {
        const header = Buffer.alloc(PENDING_HEADER);
        header.writeBigUInt64LE(BigInt(start), 0);
        header.writeUInt32LE(crc32(bytes), 8);
        writeFileSync(pending, Buffer.concat([header, bytes]));
      }
      writeAll(handle, bytes, start);
      if (isDurable) fdatasyncSync(handle);
    });
    if (records.length > 1) rmSync(pending, { force: true });
    for (const record of records) this.#content.apply(record);
    this.#number += records.length;
    this.#size += bytes.length;
    this.#exitStart = undefined;
  }

  /** The run is over. */
  end(exitCode: number): void {
    const start = this.#size;
    this.append([{ exit: { exitCode } }]);
    this.#exitStart = start;
  }

  /** Cut the exit record off: the run goes on, and W&B's client takes nothing that comes after one. */
  reopen(): void {
    const start = this.#exitStart;
    if (start === undefined) return;
    this.#writing((handle) => ftruncateSync(handle, start));
    this.#content.reopen();
    this.#size = start;
    this.#number--;
    this.#exitStart = undefined;
  }

  /** Cut off the history from a line on; what the run is otherwise stays. @param line its number */
  cutAt(line: number): void {
    const before = this.#content;
    const { config, summary } = before.status();
    this.#writing((handle) => {
      let left = line - before.firstLine;
      for (const { start, data } of readRecords(handle)) {
        if (!isHistory(data) || left-- > 0) continue;
        ftruncateSync(handle, start);
        break;
      }
      this.#replay(handle);
    });
    const { run } = before;
    const after = this.#content;
    this.append([...(run ? [{ run }] : []), ...after.changesTo({ config }), ...after.summaryTo(summary)]);
  }

  /** Its part of the history, some lines at a time. @throws the system's error */
  *lines(): Generator<string[]> {
    const handle = openSync(this.#file, "r");
    try {
      let lines: string[] = [];
      for (const { data } of readRecords(handle, this.#rest)) {
        if (!isHistory(data)) continue;
        lines.push(lineOf(decoded(data).history ?? {}));
        if (lines.length < LINES_AT_ONCE) continue;
        yield lines;
        lines = [];
      }
      if (lines.length > 0) yield lines;
    } finally {
      closeSync(handle);
    }
  }

  /** What another directory begins with in which the run goes on. @throws the system's error */
  continued(): LogRecord[] {
    const { run, lines } = this.#content;
    const { seconds, nanos } = run?.startTime ?? {};
    // `wandb sync` uploads the directories of a run in this order.
    const startTime = { seconds: seconds ?? 0, nanos: (nanos ?? 0) + 1000 };
    // Lines of system metrics are counted from each directory's beginning when they are uploaded.
    return [...this.#content.asNew({ firstLine: lines, startTime }), ...this.#events()];
  }

  #events(): LogRecord[] {
    const found: LogRecord[] = [];
    this.#reading((handle) => {
      for (const { data } of readRecords(handle, this.#rest)) {
        if (isHistory(data)) continue;
        const { stats } = decoded(data);
        if (stats) found.push({ stats });
      }
    });
    return found;
  }

  #reading(work: (handle: number) => void): void {
    const handle = openSync(this.#file, "r");
    try {
      work(handle);
    } finally {
      closeSync(handle);
    }
  }

  #writing(work: (handle: number) => void): void {
    const handle = openSync(this.#file, "r+");
    // What fails is read again.
    this.#stamp = "";
    try {
      this.#settle(handle);
      work(handle);
    } finally {
      closeSync(handle);
    }
    this.#stamp = stampOf(this.#file);
  }
}

/** @param data of a log's first record */
function isOwn(data: Uint8Array): boolean {
  return !isHistory(data) && decoded(data).header?.versionInfo?.producer?.startsWith(PRODUCER) === true;
}

function stampOf(file: string): string {
  const { ino, size, mtimeNs } = statSync(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
