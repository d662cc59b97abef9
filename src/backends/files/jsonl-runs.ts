/**
 * Runs as files of JSON lines. A batch is appended with a line behind it, its mark, that says how far the file is by it:
 * where a process or the power ends in the midst of one, it has no whole mark, and is cut off when the run goes on.
 */
import { closeSync, fstatSync, fsync, fsyncSync, ftruncateSync, openSync, readSync, statSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { TraceletError } from "../../errors.ts";
import type { Batch } from "../../sync/backend.ts";
import type { Tally } from "../../sync/report/tally.ts";
import type { FileMark } from "../../sync/source/fingerprint.ts";
import { type OutputDirectory, syncAll, type Unsynced, writeAll } from "../output-directory.ts";
import { RowDigests } from "../row-digests.ts";
import { FORMAT, isOffset, jsonOfState, type RunState, stateOfJson } from "../run-state.ts";
import { datumLine, hparamsLine, scalarLines, tallyOf } from "./json-lines.ts";
import { Media } from "./media.ts";
import { CHUNK, lastIndexOf, lineAt, linesOf, readLines } from "./read-lines.ts";
import type { Addition, OpenRun, RunsOnDisk, SeenRun } from "./runs-on-disk.ts";

const ENDING = ".jsonl";
/** What a mark's line begins with: no line break is within a line, so that these bytes are found nowhere else. */
const MARK = '{"kind":"mark",';
/** Bytes. */
const MAX_HEADER = 64 * 1024;

export interface JsonlRun extends OpenRun {
  /** What is not durable yet; it is once a batch is acknowledged. */
  readonly unsynced: Unsynced;
  /** Where the last mark's line ends, bytes. */
  length: number;
  /** How many files' marks were told since all of them were. */
  told: number;
  /** Its lines, where one of them had to be looked for. */
  lines: RowDigests | undefined;
}

/** Where a file's last whole batch ends. */
interface End {
  readonly state: RunState;
  readonly length: number;
}

export class JsonlRuns implements RunsOnDisk<JsonlRun> {
  /** Some megabytes, so that making it durable is the smaller part. */
  readonly batchSize = 50_000;
  readonly #directory: OutputDirectory;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  idOf(pathOfRun: string, n: number): string {
    return `${pathOfRun}${n === 1 ? "" : `-${n}`}${ENDING}`;
  }

  list(): string[] {
    return this.#directory.list(ENDING);
  }

  look(id: string): SeenRun | undefined {
    return this.#directory.guard(id, () =>
      this.#read(id, "r", (handle, file) => {
        const { state, length } = endOf(handle, file);
        return { id, state, isWhole: fstatSync(handle).size === length };
      }),
    );
  }

  async open(id: string): Promise<JsonlRun | undefined> {
    const end = await this.#directory.exclusively(id, () =>
      this.#read(id, "r+", (handle, file) => {
        const found = endOf(handle, file);
        if (fstatSync(handle).size === found.length) return found;
        ftruncateSync(handle, found.length);
        fsyncSync(handle);
        return found;
      }),
    );
    return end && { id, ...end, unsynced: new Set(), told: Infinity, lines: undefined };
  }

  async create(id: string, state: RunState, startTime: number): Promise<JsonlRun | undefined> {
    const { name, source } = state;
    const time = Number.isFinite(startTime) ? startTime : null;
    const header = `${JSON.stringify({ kind: "run", format: FORMAT, name, source, start_time: time })}\n`;
    const start = Buffer.byteLength(header);
    const bytes = Buffer.from(header + markLine(start, Buffer.alloc(0), state, undefined));
    return this.#directory.exclusively(id, () => {
      // One that a power failure has left empty was never written to.
      if ((statSync(this.#directory.path(id), { throwIfNoEntry: false })?.size ?? 0) > 0) return undefined;
      const unsynced: Unsynced = new Set();
      this.#directory.place(id, bytes, unsynced);
      return { id, state, unsynced, length: bytes.length, told: 0, lines: undefined };
    });
  }

  async append(run: JsonlRun, { batch, next, isAllNew }: Addition): Promise<void> {
    const media = new Media(this.#directory);
    const keep = media.keep.bind(media);
    const { scalars, data, hparams } = batch;
    let lines: Buffer[] = [
      Buffer.from(scalarLines(scalars)),
      ...data.flatMap((datum) => asBuffer(datumLine(datum, keep)) ?? []),
    ];
    if (hparams.size > 0) lines.push(Buffer.from(hparamsLine(hparams)));
    if (!isAllNew && lines.some(({ length }) => length > 0)) lines = this.#without(run, lines);
    if (lines.length === 0 && batch.marks.length === 0) return;
    await media.write();
    await this.#put(run, Buffer.concat(lines), next);
  }

  tally(batch: Batch): Tally {
    return tallyOf(batch);
  }

  async tell(run: JsonlRun, next: RunState): Promise<void> {
    const { status, endTime } = next;
    const line = `${JSON.stringify({ kind: "status", status, end_time: endTime })}\n`;
    await this.#put(run, Buffer.from(status === run.state.status && endTime === run.state.endTime ? "" : line), next);
  }

  async #put(run: JsonlRun, bytes: Buffer, next: RunState): Promise<void> {
    const { id, length } = run;
    const changed = [...next.marks.values()].filter((mark) => run.state.marks.get(mark.key) !== mark);
    // All of them now and then, so that who opens the file does not have to read all of it.
    const isWhole = run.told + changed.length >= next.marks.size;
    const mark = Buffer.from(markLine(length, bytes, next, isWhole ? undefined : changed));
    const handle = await this.#directory.exclusively(id, () =>
      this.#appendTo(id, length, Buffer.concat([bytes, mark])),
    );
    try {
      await this.#directory.guarded(id, async () => {
        await Promise.all([promisify(fsync)(handle), syncAll(run.unsynced)]);
      });
    } finally {
      closeSync(handle);
    }
    run.state = next;
    run.length = length + bytes.length + mark.length;
    run.told = isWhole ? 0 : run.told + changed.length;
    if (run.lines !== undefined) for (const line of linesOf(bytes)) run.lines.add(line);
  }

  /** @returns the open file @throws the system's error; TraceletError if it is not as it was left */
  #appendTo(id: string, length: number, bytes: Uint8Array): number {
    const file = this.#directory.path(id);
    let handle: number;
    try {
      handle = openSync(file, "r+");
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
      throw new TraceletError("deleted", `${file} was removed while it was written`, { cause });
    }
    try {
      if (fstatSync(handle).size !== length)
        throw new TraceletError("overtaken", `another process has written to ${file}`, {
          hint: "run the same command to resume",
        });
      try {
        writeAll(handle, bytes, length);
      } catch (error) {
        ftruncateSync(handle, length);
        throw error;
      }
      return handle;
    } catch (error) {
      closeSync(handle);
      throw error;
    }
  }

  /** The lines that the run's file does not have yet. */
  #without(run: JsonlRun, bytes: readonly Buffer[]): Buffer[] {
    const known = (run.lines ??= this.#directory.guard(run.id, () => {
      const lines = new RowDigests();
      this.#read(run.id, "r", (handle) => {
        for (const line of readLines(handle, run.length)) lines.add(line);
      });
      return lines;
    }));
    return bytes.flatMap((each) => [...linesOf(each)].filter((line) => !known.has(line)));
  }

  /** @returns undefined if there is no such file, or nothing in it @throws the system's error, and what `work` throws */
  #read<T>(id: string, how: "r" | "r+", work: (handle: number, file: string) => T): T | undefined {
    const file = this.#directory.path(id);
    let handle: number;
    try {
      handle = openSync(file, how);
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
      throw error;
    }
    try {
      return fstatSync(handle).size === 0 ? undefined : work(handle, path.resolve(file));
    } finally {
      closeSync(handle);
    }
  }
}

/** @param start where the batch begins that it ends @param changed the marks that it changes; undefined: all are told */
function markLine(start: number, batch: Uint8Array, state: RunState, changed: readonly FileMark[] | undefined): string {
  const whole = changed === undefined ? { whole: true } : {};
  const json = JSON.stringify({
    start,
    crc32: crc32(batch),
    ...whole,
    ...jsonOfState(state, changed ?? state.marks.values()),
  });
  return `${MARK}${json.slice(1)}\n`;
}

/** Where a file's last whole batch ends, and the state that it has by it. @throws TraceletError if it is no such file */
function endOf(handle: number, file: string): End {
  const header = headerOf(handle, file);
  let mark = lastMark(handle, fstatSync(handle).size);
  // A power failure may have kept a mark, and not what stands before it.
  while (mark !== undefined && !isIntact(handle, mark)) mark = lastMark(handle, mark.at);
  if (mark === undefined) return { state: header.state, length: header.length };
  const { json, end } = mark;
  const state = stateOfJson(json);
  const marks = new Map(state.marks);
  for (let each = mark; each.json["whole"] !== true; ) {
    const before = lastMark(handle, each.start);
    if (before === undefined) break;
    for (const [key, older] of stateOfJson(before.json).marks) if (!marks.has(key)) marks.set(key, older);
    each = before;
  }
  return { state: { ...state, marks }, length: end };
}

/** @throws TraceletError `rejected` */
function headerOf(handle: number, file: string): { readonly state: RunState; readonly length: number } {
  const head = Buffer.alloc(Math.min(MAX_HEADER, fstatSync(handle).size));
  readSync(handle, head, 0, head.length, 0);
  const length = head.indexOf("\n") + 1;
  const json = parse(head.subarray(0, length));
  if (json?.["kind"] !== "run")
    throw new TraceletError("rejected", `${file} is no file of tracelet's`, {
      hint: "nothing is written over it: move it away, or give another --output",
    });
  if (json["format"] !== FORMAT)
    throw new TraceletError("rejected", `${file} is of format ${String(json["format"])}; this version has ${FORMAT}`, {
      hint: "use the version that has written it, or give another --output",
    });
  return { state: stateOfJson({ ...json, status: "running" }), length };
}

interface FoundMark {
  readonly json: Readonly<Record<string, unknown>>;
  /** Where the batch begins that it ends, where its line begins and where that ends, bytes. */
  readonly start: number;
  readonly at: number;
  readonly end: number;
}

/** The last mark of which all is before `end`. */
function lastMark(handle: number, end: number): FoundMark | undefined {
  for (let before = end; ; ) {
    const at = lastIndexOf(handle, `\n${MARK}`, before);
    if (at === undefined) return undefined;
    const line = lineAt(handle, at + 1, end);
    const json = line && parse(line);
    const start = json?.["start"];
    if (line !== undefined && json !== undefined && isOffset(start) && start <= at + 1)
      return { json, start, at: at + 1, end: at + 1 + line.length };
    before = at;
  }
}

function isIntact(handle: number, { json, start, at }: FoundMark): boolean {
  let sum = 0;
  for (let from = start; from < at; ) {
    const chunk = Buffer.alloc(Math.min(CHUNK, at - from));
    const read = readSync(handle, chunk, 0, chunk.length, from);
    if (read === 0) return false;
    sum = crc32(chunk.subarray(0, read), sum);
    from += read;
  }
  return sum === json["crc32"];
}

function asBuffer(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function parse(line: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(line).toString());
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
