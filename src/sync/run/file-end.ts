/** The end of an event file as it was last seen: clean, damaged, or bytes that may still become a record. */
import type { ByteSource } from "../../reader/byte-source.ts";
import { displayPath, type EventFileEntry } from "../../reader/discover.ts";
import { ageOf } from "../../reader/file-age.ts";
import { FORMAT_BYTES, formatOf } from "../../reader/file-format.ts";
import type { Loss, Tail } from "../../reader/tfrecord.ts";
import type { Note } from "../report/note.ts";
import { stampOf } from "../source/stamp.ts";
import type { BarrenFile } from "../state/barren-files.ts";

export class FileEnd {
  /** Undefined until it is reached. */
  #tail: Tail | undefined;
  /** The file's stamp when nothing was left to do. */
  #settledStamp: string | undefined;
  /** What the file is, if it is not an event file. */
  #format: string | undefined;
  /** Bytes that are not a record but may become one: where, and since when, in ms of `performance.now()`. */
  #suspect: { readonly at: number; readonly since: number; readonly isPassed: boolean } | undefined;

  /** @param barren what is remembered of a file that holds nothing to send */
  constructor(size: number, barren: BarrenFile | undefined) {
    if (barren === undefined) return;
    this.#tail = { state: barren.state, start: 0, end: size };
    this.#settledStamp = barren.stamp;
    this.#format = barren.format;
  }

  get tail(): Tail | undefined {
    return this.#tail;
  }

  /** Since when bytes are waited for to become a record, in ms of `performance.now()`; undefined if none are. */
  get waitingSince(): number | undefined {
    return this.#suspect?.isPassed === false ? this.#suspect.since : undefined;
  }

  /** What was skipped there because it is not a record. */
  get loss(): Loss | undefined {
    if (this.#tail?.state !== "damaged" || this.waitingSince !== undefined) return undefined;
    if (this.#format !== undefined && this.#tail.start === 0) return undefined;
    return { start: this.#tail.start, end: this.#tail.end, reason: "damaged-tail" };
  }

  /** What to do about bytes that are not a record. @param patienceMs how long they may still become one */
  damage({ mtime }: EventFileEntry, patienceMs: number): "pass" | "wait" {
    // An old file is not being written. Where clocks differ, what appears in its damage is found later.
    if (patienceMs === 0 || ageOf(mtime) > patienceMs) return "pass";
    return this.#suspect !== undefined && performance.now() - this.#suspect.since >= patienceMs ? "pass" : "wait";
  }

  /** Note what it looked like; undefined if it was not reached. */
  looked(entry: EventFileEntry, tail: Tail | undefined, damage: "pass" | "wait"): void {
    this.#tail = tail;
    if (tail === undefined) return;
    this.#settledStamp = tail.state === "clean" || damage === "pass" ? stampOf(entry) : undefined;
    if (tail.state === "clean") {
      this.#suspect = undefined;
      return;
    }
    // This includes the beginning of a record: its writer may have died, and another have continued after it.
    const since = this.#suspect?.at === tail.start ? this.#suspect.since : performance.now();
    this.#suspect = { at: tail.start, since, isPassed: damage === "pass" };
  }

  /** Count all of the file as read, without reading it. */
  settle(entry: EventFileEntry): void {
    this.#settledStamp = stampOf(entry);
    this.#tail = { state: "clean", start: entry.size, end: entry.size };
  }

  /** Whether nothing is left to do until the file changes. */
  isSettled(entry: EventFileEntry): boolean {
    return this.#settledStamp === stampOf(entry);
  }

  /** What to remember of a file without a record that was read to this end, so that it is not read again. */
  barren(entry: EventFileEntry): BarrenFile | undefined {
    if (this.#tail === undefined || !this.isSettled(entry)) return undefined;
    return { stamp: stampOf(entry), state: this.#tail.state, format: this.#format };
  }

  /** Find out what a file without a single record is, so that it does not count as damaged. */
  async tellFormat({ path }: EventFileEntry, source: ByteSource, notes: Note[]): Promise<void> {
    if (this.#tail?.state !== "damaged" || this.#tail.start > 0 || this.#format !== undefined) return;
    const head = new Uint8Array(FORMAT_BYTES);
    this.#format = formatOf(head.subarray(0, await source.read(head, 0, FORMAT_BYTES, 0)));
    if (this.#format === undefined) return;
    notes.push({ code: "not-an-event-file", message: `${displayPath(path)} is not an event file: ${this.#format}` });
  }
}
