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

export class EventFileWriter {
  readonly path: string;
  #handle: number | undefined;
  #held: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

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
   * Write the values of one step.
   *
   * @param wallTime seconds since the Unix epoch
   * @throws TraceletError `usage` if the step is no int64 or the file is closed; `logdir` if it cannot be written
   */
  write(values: readonly SummaryValue[], step: WriteStep = 0, wallTime: number = Date.now() / 1000): void {
    if (this.#handle === undefined) {
      throw new TraceletError("usage", `${this.path} is closed, and nothing more can be written to it`);
    }
    this.#hold(eventRecord(values, step, wallTime));
    if (this.#bytes >= HOLD_BYTES) this.#writeOut();
    else this.#timer ??= setTimeout(() => this.#writeOut(), HOLD_MS).unref();
  }

  /** Hand what is held back to the system, of all writers of this process. @throws TraceletError `logdir` if one cannot be written */
  static writeAllOut(): void {
    for (const writer of OPEN) writer.#writeOut();
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

  #writeOut(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#handle === undefined || this.#bytes === 0) return;
    const bytes = Buffer.concat(this.#held);
    this.#held = [];
    this.#bytes = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#handle, bytes, at);
    } catch (cause) {
      throw new TraceletError("logdir", `cannot write ${this.path}: ${(cause as Error).message}`, { cause });
    }
  }
}

/** Nobody closes a writer in a program that ends by itself. */
const OPEN = new Set<EventFileWriter>();

function closeAll(): void {
  for (const writer of OPEN) writer.close();
}
