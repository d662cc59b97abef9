/**
 * Runs as Parquet: scalars and histograms of all runs are a data set each, a directory a run in it, a part a batch. What
 * else a run has are JSON lines. Which parts and how many of the lines count is told by the run's state file, once all of a
 * batch is durable: anything else is removed when the run goes on.
 *
 *     scalars/<run>/part-0.parquet …     histograms/<run>/part-0.parquet …
 *     runs/<run>/values.jsonl            runs/<run>/parquet.json (the state)
 */
import path from "node:path";
import type { Batch } from "../../sync/backend.ts";
import type { Tally } from "../../sync/report/tally.ts";
import { type OutputDirectory, syncAll, type Unsynced } from "../output-directory.ts";
import { RowDigests } from "../row-digests.ts";
import { newState, type RunState } from "../run-state.ts";
import { appendTo, cutTo, sizeOf } from "./appended-file.ts";
import { tallyOf } from "./json-lines.ts";
import { Media } from "./media.ts";
import { type Content, contentOf, EMPTY, jsonOfContent, type OfTables, TABLES, type Table } from "./parquet/content.ts";
import { histogramPart, histogramsOf } from "./parquet/histogram-part.ts";
import { dueParts, type Part, PartFiles } from "./parquet/part-files.ts";
import { addLine, addRows, NO_ROWS, type Rows, rowsOf, rowsWithout, sizeOfRows } from "./parquet/run-rows.ts";
import { joinedScalars, scalarPart, scalarsOf } from "./parquet/scalar-part.ts";
import { linesUpTo } from "./read-lines.ts";
import type { Addition, OpenRun, RunsOnDisk, SeenRun } from "./runs-on-disk.ts";
import { type Log, notOurs, StateFiles } from "./state-file.ts";

const STATE_FILE = "parquet.json";
export interface ParquetRun extends OpenRun {
  readonly startTime: number | null;
  log: Log;
  /** What is not durable yet; it is once a batch is acknowledged. */
  readonly unsynced: Unsynced;
  content: Content;
  /** Its rows and lines, where one of them had to be looked for. */
  rows: RowDigests | undefined;
}

export class ParquetRuns implements RunsOnDisk<ParquetRun> {
  /** A part of some megabytes; in memory, ten. */
  readonly batchSize = 250_000;
  readonly #directory: OutputDirectory;
  readonly #states: StateFiles;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
    this.#states = new StateFiles(directory);
  }

  /**
   * Readers of directories take `lr=0.1` for the value of a column, and pass over names that begin with `_`. The name itself
   * is in each row.
   */
  idOf(pathOfRun: string, n: number): string {
    const safe = pathOfRun.replaceAll("=", "_").replace(/(^|\/)_/g, "$1run_");
    return `runs/${safe}${n === 1 ? "" : `-${n}`}/${STATE_FILE}`;
  }

  list(): string[] {
    return this.#directory.list(`/${STATE_FILE}`);
  }

  look(id: string): SeenRun | undefined {
    return this.#directory.guard(id, () => {
      const run = this.#read(id);
      if (run === undefined) return undefined;
      const { parts, length, merge } = run.content;
      const isWhole =
        merge === undefined &&
        sizeOf(this.#linesFile(id)) === length &&
        TABLES.every((table) => !this.#parts(id, table).hasOthers(parts[table]));
      return { id, state: run.state, isWhole };
    });
  }

  async open(id: string): Promise<ParquetRun | undefined> {
    return this.#directory.exclusively(id, () => {
      const run = this.#read(id);
      if (run === undefined) return undefined;
      this.#finishMerge(run);
      this.#removeSurplus(run);
      return run;
    });
  }

  async create(id: string, state: RunState, startTime: number): Promise<ParquetRun | undefined> {
    const start = Number.isFinite(startTime) ? startTime : null;
    return this.#directory.exclusively(id, () => {
      if (sizeOf(this.#directory.path(id)) > 0) return undefined;
      if (sizeOf(this.#linesFile(id)) > 0) throw notOurs(this.#linesFile(id));
      for (const table of TABLES)
        if (this.#parts(id, table).hasOthers([])) throw notOurs(this.#directory.path(tableFolder(id, table)));
      const unsynced: Unsynced = new Set();
      const log = this.#states.place(id, state, start, jsonOfContent(EMPTY), unsynced);
      return { id, state, startTime: start, log, unsynced, content: EMPTY, rows: undefined };
    });
  }

  async append(run: ParquetRun, { batch, next, isAllNew }: Addition): Promise<void> {
    const media = new Media(this.#directory);
    const all = rowsOf(next.name, batch, media);
    const rows = isAllNew ? all : await this.#without(run, all);
    if (batch.marks.length === 0 && sizeOfRows(rows) === 0) return;
    await media.write();
    await this.#put(run, rows, next);
    for (const table of TABLES) await this.#merge(run, table, false);
  }

  tally(batch: Batch): Tally {
    return tallyOf(batch);
  }

  async tell(run: ParquetRun, next: RunState): Promise<void> {
    if (next.status !== "running") for (const table of TABLES) await this.#merge(run, table, true);
    await this.#put(run, NO_ROWS, next);
  }

  async #put(run: ParquetRun, rows: Rows, next: RunState): Promise<void> {
    const { id, content, unsynced } = run;
    const { scalars, histograms, lines } = rows;
    const files: OfTables<Uint8Array | undefined> = {
      scalars: scalars.length > 0 ? scalarPart(next.name, scalars) : undefined,
      histograms: histograms.length > 0 ? histogramPart(next.name, histograms) : undefined,
    };
    const text = Buffer.concat(lines);
    const numbers = { scalars: nextNumber(content.parts.scalars), histograms: nextNumber(content.parts.histograms) };
    const written = new Map<Table, string>();
    for (const table of TABLES) {
      const bytes = files[table];
      if (bytes === undefined) continue;
      written.set(table, await this.#parts(id, table).write(numbers[table], bytes, unsynced));
    }
    await this.#directory.exclusively(id, () => {
      this.#states.require(id, run.log);
      const parts = { ...content.parts };
      const since = { ...content.since };
      try {
        for (const table of TABLES) {
          const number = numbers[table];
          if (next.name !== run.state.name) since[table] = number;
          const [file, bytes = 0] = [written.get(table), files[table]?.length];
          if (file === undefined) continue;
          parts[table] = [...parts[table], this.#parts(id, table).put(number, file, bytes, unsynced)];
        }
        if (content.length === 0 && text.length > 0) unsynced.add(path.dirname(this.#linesFile(id)));
        const length = appendTo(this.#linesFile(id), content.length, text);
        this.#tell(run, next, { parts, since, length, merge: undefined }, unsynced);
      } catch (error) {
        this.#removeSurplus(run);
        throw error;
      }
    });
    await this.#directory.guarded(id, () => syncAll(unsynced));
    if (run.rows !== undefined) addRows(run.rows, rows);
  }

  /** What is there and does not count: a batch that was not written whole. @throws the system's error */
  #removeSurplus({ id, content: { parts, length } }: ParquetRun): void {
    for (const table of TABLES) this.#parts(id, table).removeOthers(parts[table]);
    cutTo(this.#linesFile(id), length);
  }

  #tell(run: ParquetRun, next: RunState, content: Content, unsynced?: Unsynced): void {
    run.log = this.#states.change(run.id, run, next, jsonOfContent(content), unsynced);
    run.state = next;
    run.content = content;
  }

  /** Make small parts one, if they are due. */
  async #merge(run: ParquetRun, table: Table, isOver: boolean): Promise<void> {
    const { id, content } = run;
    const due = dueParts(content.parts[table], content.since[table], isOver);
    const first = due[0];
    if (first === undefined) return;
    const files = this.#parts(id, table);
    const read = <T>(decode: (bytes: Uint8Array) => Promise<T>) =>
      Promise.all(due.map(({ number }) => files.read(number, decode)));
    const bytes =
      table === "scalars"
        ? scalarPart(run.state.name, joinedScalars(await read(scalarsOf)))
        : histogramPart(run.state.name, (await read(histogramsOf)).flat());
    await this.#directory.exclusively(id, () => {
      this.#states.require(id, run.log);
      files.prepare(first.number, bytes);
      this.#tell(run, run.state, {
        ...content,
        merge: { table, parts: due, by: { number: first.number, bytes: bytes.length } },
      });
      this.#finishMerge(run);
    });
  }

  #finishMerge(run: ParquetRun): void {
    const { merge, parts } = run.content;
    if (merge === undefined) return;
    const { table, by } = merge;
    this.#parts(run.id, table).replace(merge.parts, by);
    const kept = parts[table].filter(({ number }) => number < by.number);
    this.#tell(run, run.state, { ...run.content, parts: { ...parts, [table]: [...kept, by] }, merge: undefined });
  }

  #parts(id: string, table: Table): PartFiles {
    return new PartFiles(this.#directory, tableFolder(id, table));
  }

  #linesFile(id: string): string {
    return this.#directory.path(`${id.slice(0, -STATE_FILE.length)}values.jsonl`);
  }

  /** @throws the system's error; TraceletError `rejected` if it is no file of ours */
  #read(id: string): ParquetRun | undefined {
    const told = this.#states.read(id);
    if (told === undefined) return undefined;
    const { state, startTime, fields, log } = told;
    const content = contentOf(fields);
    const shared = { id, startTime, log, unsynced: new Set<string>(), rows: undefined };
    if (this.#isThere(id, content)) return { ...shared, state, content };
    // Rows are missing, and nobody knows whose they were.
    return { ...shared, state: newState(state.name, state.source, []), content: EMPTY };
  }

  #isThere(id: string, { parts, length, merge }: Content): boolean {
    if (sizeOf(this.#linesFile(id)) < length) return false;
    return TABLES.every((table) => {
      const files = this.#parts(id, table);
      const replaced = merge?.table === table ? new Set(merge.parts.map(({ number }) => number)) : undefined;
      if (merge?.table === table && !files.isPrepared(merge.by) && !files.has(merge.by)) return false;
      return parts[table].every((part) => replaced?.has(part.number) === true || files.has(part));
    });
  }

  /** What the run does not have yet. */
  async #without(run: ParquetRun, rows: Rows): Promise<Rows> {
    if (sizeOfRows(rows) === 0) return rows;
    run.rows ??= await this.#directory.guarded(run.id, () => this.#rowsThere(run));
    return rowsWithout(run.rows, rows);
  }

  async #rowsThere({ id, content: { parts, length } }: ParquetRun): Promise<RowDigests> {
    const known = new RowDigests();
    const [scalars, histograms] = [this.#parts(id, "scalars"), this.#parts(id, "histograms")];
    for (const { number } of parts.scalars)
      addRows(known, { ...NO_ROWS, scalars: await scalars.read(number, scalarsOf) });
    for (const { number } of parts.histograms)
      addRows(known, { ...NO_ROWS, histograms: await histograms.read(number, histogramsOf) });
    for (const line of linesUpTo(this.#linesFile(id), length)) addLine(known, line);
    return known;
  }
}

function nextNumber(parts: readonly Part[]): number {
  return (parts.at(-1)?.number ?? -1) + 1;
}

/** Where the parts of a run's table lie. @param id of the run */
export function tableFolder(id: string, table: Table): string {
  return `${table}/${id.slice("runs/".length, -STATE_FILE.length - 1)}`;
}
