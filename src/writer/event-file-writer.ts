/**
 * An event file while it is written. What is written is gathered for a moment and then handed to the system in one call,
 * whole records only: it is there when the process dies, and whoever follows the file never waits long.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import { eventRecord, type SummaryValue, versionRecord, type WriteStep } from "./event-record.ts";

/** How long a record is held back at most, ms; no longer than this either when the process is killed. */
const HOLD_MS = 500;
/** How much is held back at most, bytes: an append of this size takes some 20 µs. */
const HOLD_BYTES = 64 * 1024;
/** How much is held back while the disk takes nothing, bytes. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** How often that is tried again, ms. */
const RETRY_MS = 5000;

export class EventFileWriter {
  readonly path: string;
  #handle: number | undefined;
  #held: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Why the disk has taken nothing lately. */
  #trouble: TraceletError | undefined;
  /** Records that were given up since. */
  #lost = 0;

  /**
   * Make the file, and its directory.
   *
   * @throws TraceletError `logdir` if it cannot be made, or is there already
   */
  constructor(file: string) {
    this.path = path.resolve(file);
    try {
      mkdirSync(path.dirname(this.path), { recursive: true });
      this.#handle = openSync(this.path, "ax");
    } catch (cause) {
      throw new TraceletError("logdir", `cannot make the event file ${this.path}: ${(cause as Error).message}`, {
        hint: "give a directory that you can write to",
        cause,
      });
    }
    if (OPEN.size === 0) process.once("exit", closeAll);
    OPEN.add(this);
    this.#hold(versionRecord(Date.now() / 1000));
    this.#writeOut();
  }

  /**
   * Write the values of one step. A disk that takes nothing, because it is full perhaps, ends no training: there is a
   * warning of the process, and it is tried again.
   *
   * @param wallTime seconds since the Unix epoch
   * @throws TraceletError `usage` if the step is no int64 or the file is closed
   */
  write(values: readonly SummaryValue[], step: WriteStep = 0, wallTime: number = Date.now() / 1000): void {
    if (this.#handle === undefined) {
      throw new TraceletError("usage", `${this.path} is closed, and nothing more can be written to it`);
    }
    const record = eventRecord(values, step, wallTime);
    if (this.#trouble !== undefined && this.#bytes + record.length > MAX_HELD_BYTES) this.#lost++;
    else this.#hold(record);
    if (this.#bytes >= HOLD_BYTES && this.#trouble === undefined) this.#tryToWriteOut();
    else this.#timer ??= setTimeout(() => this.#tryToWriteOut(), HOLD_MS).unref();
  }

  /** Hand what is held back to the system, of all writers of this process, as far as it takes it. */
  static writeAllOut(): void {
    for (const writer of OPEN) writer.#tryToWriteOut();
  }

  /** Hand all to the disk. @throws TraceletError `logdir` if it cannot be written */
  flush(): void {
    this.#writeOut();
    if (this.#handle !== undefined) fsyncSync(this.#handle);
  }

  /** Write what is left, and close the file; a second time does nothing. @throws TraceletError `logdir` */
  close(): void {
    if (this.#handle === undefined) return;
    try {
      this.#writeOut();
    } finally {
      closeSync(this.#handle);
      this.#handle = undefined;
      OPEN.delete(this);
      if (OPEN.size === 0) process.off("exit", closeAll);
    }
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#bytes += bytes.length;
  }

  #tryToWriteOut(): void {
    try {
      this.#writeOut();
    } catch (error) {
      if (!(error instanceof TraceletError)) throw error;
      if (this.#trouble === undefined) process.emitWarning(`${error.message}; it is tried again`, "TraceletWarning");
      this.#trouble = error;
      this.#timer = setTimeout(() => this.#tryToWriteOut(), RETRY_MS).unref();
    }
  }

  /** @throws TraceletError `logdir`; what was not written stays held back */
  #writeOut(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#handle === undefined || this.#bytes === 0) return;
    let bytes = Buffer.concat(this.#held);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(writeSync(this.#handle, bytes));
    } catch (cause) {
      throw new TraceletError("logdir", `cannot write ${this.path}: ${(cause as Error).message}`, { cause });
    } finally {
      this.#held = bytes.length === 0 ? [] : [bytes];
      this.#bytes = bytes.length;
    }
    if (this.#lost > 0) {
      const message = `${this.path} lacks ${this.#lost} records, for which there was no room while the disk took nothing`;
      process.emitWarning(message, "TraceletWarning");
    }
    this.#trouble = undefined;
    this.#lost = 0;
  }
}

/** Nobody closes a writer in a program that ends by itself. */
const OPEN = new Set<EventFileWriter>();

function closeAll(): void {
  for (const writer of OPEN) {
    try {
      writer.close();
    } catch (error) {
      // Whatever the program's exit code was to be, it stays.
      console.error((error as Error).message);
    }
  }
}
