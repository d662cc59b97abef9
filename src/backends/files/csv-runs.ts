/**
 * Runs as tables of comma-separated values (RFC 4180): a directory a run, with its scalars and its hyperparameters. How far
 * they are is told by a file beside them, once a batch is durable: rows behind what it tells of are cut off when the run
 * goes on.
 */
import path from "node:path";
import { type Datum, holdsHparams } from "../../reader/datum.ts";
import { type PythonValue, pythonText } from "../../reader/python-text.ts";
import type { Batch } from "../../sync/backend.ts";
import { Tally } from "../../sync/report/tally.ts";
import { type OutputDirectory, syncAll, type Unsynced } from "../output-directory.ts";
import { RowDigests } from "../row-digests.ts";
import { isOffset, newState, type RunState } from "../run-state.ts";
import { appendTo, cutTo, sizeOf } from "./appended-file.ts";
import { csvRows } from "./csv-rows.ts";
import type { Addition, OpenRun, RunsOnDisk, SeenRun } from "./runs-on-disk.ts";
import { type Log, notOurs, StateFiles, type ToldState } from "./state-file.ts";

const STATE_FILE = "tracelet.json";
const TABLES = {
  scalars: { file: "scalars.csv", header: "run,tag,step,wall_time,value\r\n" },
  hparams: { file: "hparams.csv", header: "run,name,value\r\n" },
} as const;

type Table = keyof typeof TABLES;
const NAMES: readonly Table[] = ["scalars", "hparams"];
/** How much of each is whole, bytes; 0: it is not there. */
type Lengths = Readonly<Record<Table, number>>;
const EMPTY: Lengths = { scalars: 0, hparams: 0 };

export interface CsvRun extends OpenRun {
  readonly startTime: number | null;
  log: Log;
  /** What is not durable yet; it is once a batch is acknowledged. */
  readonly unsynced: Unsynced;
  lengths: Lengths;
  /** Its rows, where one of them had to be looked for. */
  rows: RowDigests | undefined;
}

export class CsvRuns implements RunsOnDisk<CsvRun> {
  /** Some megabytes, so that making it durable is the smaller part. */
  readonly batchSize = 50_000;
  readonly #directory: OutputDirectory;
  readonly #states: StateFiles;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
    this.#states = new StateFiles(directory);
  }

  idOf(pathOfRun: string, n: number): string {
    return `${pathOfRun}${n === 1 ? "" : `-${n}`}/${STATE_FILE}`;
  }

  list(): string[] {
    return this.#directory.list(`/${STATE_FILE}`);
  }

  look(id: string): SeenRun | undefined {
    const run = this.#directory.guard(id, () => this.#read(id));
    return (
      run && { id, state: run.state, isWhole: NAMES.every((table) => this.#size(id, table) === run.lengths[table]) }
    );
  }

  async open(id: string): Promise<CsvRun | undefined> {
    return this.#directory.exclusively(id, () => {
      const run = this.#read(id);
      if (run !== undefined) this.#removeSurplus(run);
      return run;
    });
  }

  async create(id: string, state: RunState, startTime: number): Promise<CsvRun | undefined> {
    const start = Number.isFinite(startTime) ? startTime : null;
    return this.#directory.exclusively(id, () => {
      if (sizeOf(this.#directory.path(id)) > 0) return undefined;
      for (const table of NAMES) if (this.#size(id, table) > 0) throw notOurs(this.#file(id, table));
      const unsynced: Unsynced = new Set();
      const log = this.#states.place(id, state, start, { lengths: EMPTY }, unsynced);
      return { id, state, startTime: start, log, unsynced, lengths: EMPTY, rows: undefined };
    });
  }

  async append(run: CsvRun, { batch, next, isAllNew }: Addition): Promise<void> {
    const scalars = scalarRows(next.name, batch);
    const hparams = hparamRows(next.name, batch);
    // One by one only where rows are compared with those of the file.
    const isOneText = isAllNew && run.rows === undefined;
    const rows = { scalars: isOneText ? oneText(scalars) : [...scalars], hparams };
    const additions = isAllNew ? rows : this.#without(run, rows);
    if (batch.marks.length === 0 && NAMES.every((table) => additions[table].length === 0)) return;
    await this.#put(run, additions, next);
  }

  async tell(run: CsvRun, next: RunState): Promise<void> {
    await this.#put(run, { scalars: [], hparams: [] }, next);
  }

  tally(batch: Batch): Tally {
    return tallyOfTables(batch);
  }

  async #put(run: CsvRun, rows: Readonly<Record<Table, readonly string[]>>, next: RunState): Promise<void> {
    const { id, lengths, unsynced } = run;
    await this.#directory.exclusively(id, () => {
      this.#states.require(id, run.log);
      const longer = { scalars: 0, hparams: 0 };
      try {
        for (const table of NAMES) {
          const header = lengths[table] === 0 && rows[table].length > 0 ? TABLES[table].header : "";
          if (lengths[table] === 0 && rows[table].length > 0) unsynced.add(path.dirname(this.#file(id, table)));
          longer[table] = appendTo(this.#file(id, table), lengths[table], Buffer.from(header + rows[table].join("")));
        }
        run.log = this.#states.change(id, run, next, { lengths: longer }, unsynced);
      } catch (error) {
        this.#removeSurplus(run);
        throw error;
      }
      run.state = next;
      run.lengths = longer;
    });
    await this.#directory.guarded(id, () => syncAll(unsynced));
    for (const table of NAMES) for (const row of rows[table]) run.rows?.add(table, withoutRun(row));
  }

  /** Rows that do not count: of a batch that was not written whole. @throws the system's error */
  #removeSurplus({ id, lengths }: CsvRun): void {
    for (const table of NAMES) cutTo(this.#file(id, table), lengths[table]);
  }

  #file(id: string, table: Table): string {
    return this.#directory.path(`${id.slice(0, -STATE_FILE.length)}${TABLES[table].file}`);
  }

  #size(id: string, table: Table): number {
    return sizeOf(this.#file(id, table));
  }

  /** @throws the system's error; TraceletError `rejected` if it is no file of ours */
  #read(id: string): CsvRun | undefined {
    const told = this.#states.read(id);
    if (told === undefined) return undefined;
    const { state, startTime, log } = told;
    const lengths = lengthsOf(told);
    const shared = { id, startTime, log, unsynced: new Set<string>(), rows: undefined };
    // Rows are missing, and nobody knows whose they were.
    if (NAMES.some((table) => this.#size(id, table) < lengths[table]))
      return { ...shared, lengths: EMPTY, state: newState(state.name, state.source, []) };
    return { ...shared, lengths, state };
  }

  /** The rows that its tables do not have yet. */
  #without(run: CsvRun, rows: Readonly<Record<Table, string[]>>): Readonly<Record<Table, string[]>> {
    if (NAMES.every((table) => rows[table].length === 0)) return rows;
    const known = (run.rows ??= this.#directory.guard(run.id, () => this.#rowsOf(run)));
    const fresh = (table: Table) => rows[table].filter((row) => !known.has(table, withoutRun(row)));
    return { scalars: fresh("scalars"), hparams: fresh("hparams") };
  }

  #rowsOf({ id, lengths }: CsvRun): RowDigests {
    const rows = new RowDigests();
    for (const table of NAMES) {
      if (lengths[table] === 0) continue;
      for (const row of csvRows(this.#file(id, table), lengths[table])) rows.add(table, withoutRun(row));
    }
    return rows;
  }
}

function lengthsOf({ fields }: ToldState): Lengths {
  const told = fields["lengths"] as Partial<Record<Table, unknown>> | undefined;
  const lengthOf = (table: Table) => (isOffset(told?.[table]) ? told[table] : 0);
  return { scalars: lengthOf("scalars"), hparams: lengthOf("hparams") };
}

/** Scalars have a row, and so have hyperparameters; all else is skipped. */
export function tallyOfTables({ scalars, data }: Batch): Tally {
  const tally = new Tally();
  tally.sent("scalars", scalars.length);
  for (const datum of data) {
    if (datum.kind === "unreadable") tally.skipped(datum.kind, "undecodable", 1);
    else if (datum.kind === "hparams" && datum.record.type !== "experiment") tally.sent(datum.kind, 1);
    else tally.skipped(datum.kind, "unsupported-kind", 1);
  }
  return tally;
}

function* scalarRows(run: string, { scalars }: Batch): Generator<string> {
  const { length, tags, tag, step, wallTime, value } = scalars;
  const lead = `${quoted(run)},`;
  const heads = new Map<number, string>();
  let last: bigint | undefined;
  let stepText = "";
  for (let i = 0; i < length; i++) {
    const at = tag[i] as number;
    let head = heads.get(at);
    if (head === undefined) {
      head = `${lead}${quoted(tags[at] as string)},`;
      heads.set(at, head);
    }
    // Most writers log all metrics of a step one after the other.
    if (step[i] !== last) {
      last = step[i] as bigint;
      stepText = String(last);
    }
    yield `${head}${stepText},${numberText(wallTime[i] as number)},${numberText(value[i] as number)}\r\n`;
  }
}

/** Rows as one text; none where there are none. */
function oneText(rows: Iterable<string>): string[] {
  let text = "";
  for (const row of rows) text += row;
  return text === "" ? [] : [text];
}

function hparamRows(run: string, batch: Batch): string[] {
  return hparamsOf(batch).map(([name, value]) => `${quoted(run)},${quoted(name)},${quoted(pythonText(value))}\r\n`);
}

/** The hyperparameters of a batch, each time one is told. */
export function hparamsOf({ data, hparams }: Batch): [name: string, value: PythonValue][] {
  const told = (datum: Datum): [string, PythonValue][] =>
    datum.kind === "hparams" && holdsHparams(datum.record) ? [...datum.record.hparams] : [];
  return [...data.flatMap(told), ...hparams];
}

/** A run may have had another name when its rows were written. */
function withoutRun(row: string): string {
  return row.replace(/^(?:"(?:[^"]|"")*"|[^,]*),/, "");
}

function numberText(value: number): string {
  return Object.is(value, -0) ? "-0.0" : String(value);
}

function quoted(text: string): string {
  return /[",\r\n]|^\s|\s$|^$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
