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
import { FILE_HEADER, framed, readRecords } from "./log-frames.ts";
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

/** All of a new file. */
export function newLog(records: readonly LogRecord[]): Buffer {
  const header: LogRecord = { header: { versionInfo: { producer: `tracelet ${VERSION}`, minConsumer: MIN_SERVER } } };
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
  /** Tells whether somebody else has changed the file. */
  #stamp = "";

  readonly #isKept: boolean;

  /** @param isKept whether it stands for a directory that is gone */
  constructor(directory: string, file: string, isKept = false) {
    this.directory = directory;
    this.#file = file;
    this.#isKept = isKept;
  }

  get content(): RunContent {
    return this.#content;
  }

  /** Whether W&B's client uploads it, or has done so: what is appended from then on may never be. */
  get isUploaded(): boolean {
    return this.#isKept || existsSync(`${this.#file}.syncstate`) || existsSync(`${this.#file}.synced`);
  }

  /** Take in what is there, if it was not written by this. @throws the system's error */
  refresh(): void {
    if (this.#stamp !== "" && stampOf(this.#file) === this.#stamp) return;
    this.#withFile((handle) => {
      const end = this.#replay(handle);
      const rest = this.#pendingAfter(end);
      // A record that is not whole was being written when its process ended.
      if (fstatSync(handle).size > end) ftruncateSync(handle, end);
      if (rest !== undefined) {
        writeAll(handle, rest, end);
        this.#replay(handle);
      }
      fdatasyncSync(handle);
    });
    rmSync(path.join(this.directory, PENDING), { force: true });
  }

  /** @returns where the last whole record ends */
  #replay(handle: number): number {
    this.#content = new RunContent();
    this.#number = 0;
    this.#size = FILE_HEADER.length;
    this.#exitStart = undefined;
    for (const { start, end, data } of readRecords(handle)) {
      this.#number++;
      this.#exitStart = this.#content.read(data) ? start : undefined;
      this.#size = end;
    }
    return this.#size;
  }

  /** What of an append that was cut short is still to be written. */
  #pendingAfter(end: number): Buffer | undefined {
    const file = path.join(this.directory, PENDING);
    if (!existsSync(file)) return undefined;
    const pending = readFileSync(file);
    if (pending.length <= PENDING_HEADER) return undefined;
    const start = Number(pending.readBigUInt64LE(0));
    const bytes = pending.subarray(PENDING_HEADER);
    if (pending.readUInt32LE(8) !== crc32(bytes) || end < start || end >= start + bytes.length) return undefined;
    return bytes.subarray(end - start);
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
    if (records.length > 1) {
      const header = Buffer.alloc(PENDING_HEADER);
      header.writeBigUInt64LE(BigInt(start), 0);
      header.writeUInt32LE(crc32(bytes), 8);
      writeFileSync(pending, Buffer.concat([header, bytes]));
    }
    this.#withFile((handle) => {
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
    this.#withFile((handle) => ftruncateSync(handle, start));
    this.#content.reopen();
    this.#size = start;
    this.#number--;
    this.#exitStart = undefined;
  }

  /** Cut off the history from a line on; what the run is otherwise stays. @param line its number */
  cutAt(line: number): void {
    const before = this.#content;
    const { config, summary } = before.status();
    this.#withFile((handle) => {
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
      for (const { data } of readRecords(handle)) {
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
    this.#withFile((handle) => {
      for (const { data } of readRecords(handle)) {
        if (isHistory(data)) continue;
        const { stats } = decoded(data);
        if (stats) found.push({ stats });
      }
    });
    return found;
  }

  #withFile(work: (handle: number) => void): void {
    const handle = openSync(this.#file, "r+");
    try {
      work(handle);
    } finally {
      closeSync(handle);
    }
    this.#stamp = stampOf(this.#file);
  }
}

function stampOf(file: string): string {
  const { ino, size, mtimeNs } = statSync(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
