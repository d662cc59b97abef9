/**
 * Runs as tables of comma-separated values (RFC 4180): a directory a run, with its scalars and its hyperparameters. How far
 * they are is told by a file beside them, which is replaced once a batch is durable: rows behind what it tells of are cut
 * off when the run goes on.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, statSync } from "node:fs";
import { TraceletError } from "../../errors.ts";
import type { Datum } from "../../reader/datum.ts";
import { type PythonValue, pythonText } from "../../reader/python-text.ts";
import type { Batch } from "../../sync/backend.ts";
import { Tally } from "../../sync/report/tally.ts";
import { type OutputDirectory, writeAll } from "./output-directory.ts";
import { FORMAT, isOffset, jsonOfState, newState, type RunState, stateOfJson } from "./run-state.ts";
import type { Addition, OpenRun, RunsOnDisk, SeenRun } from "./runs-on-disk.ts";

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

interface CsvRun extends OpenRun {
  readonly startTime: number | null;
  lengths: Lengths;
  /** Digests of its rows, where one of them had to be looked for. */
  rows: Set<string> | undefined;
}

export class CsvRuns implements RunsOnDisk<CsvRun> {
  readonly #directory: OutputDirectory;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  idOf(path: string, n: number): string {
    return `${path}${n === 1 ? "" : `-${n}`}/${STATE_FILE}`;
  }

  list(): string[] {
    return this.#directory.list(`/${STATE_FILE}`);
  }

  look(id: string): SeenRun | undefined {
    const run = this.#directory.guard(id, () => this.#read(id));
    if (run === undefined) return undefined;
    const sizes = this.#sizes(id);
    return { id, state: run.state, isWhole: NAMES.every((table) => sizes[table] === run.lengths[table]) };
  }

  open(id: string): CsvRun | undefined {
    return this.#directory.exclusively(id, () => {
      const run = this.#read(id);
      const sizes = run && this.#sizes(id);
      for (const table of NAMES) if (run && sizes && sizes[table] > run.lengths[table]) this.#cut(run, table);
      return run;
    });
  }

  create(id: string, state: RunState, startTime: number): CsvRun | undefined {
    const run: CsvRun = {
      id,
      state,
      startTime: Number.isFinite(startTime) ? startTime : null,
      lengths: EMPTY,
      rows: undefined,
    };
    return this.#directory.exclusively(id, () => {
      if (statSync(this.#directory.path(id), { throwIfNoEntry: false }) !== undefined) return undefined;
      for (const [table, size] of Object.entries(this.#sizes(id)))
        if (size > 0) throw notOurs(this.#directory.path(siblingOf(id, table as Table)));
      this.#place(run, state, EMPTY);
      return run;
    });
  }

  async append(run: CsvRun, { batch, next, isAllNew }: Addition): Promise<void> {
    const texts = { scalars: scalarRows(next.name, batch), hparams: hparamRows(next.name, batch) };
    const additions = isAllNew ? texts : this.#without(run, texts);
    if (batch.marks.length === 0 && NAMES.every((table) => additions[table].length === 0)) return;
    this.#put(run, additions, next);
  }

  async tell(run: CsvRun, next: RunState): Promise<void> {
    this.#put(run, { scalars: [], hparams: [] }, next);
  }

  tally(batch: Batch): Tally {
    return tallyOfTables(batch);
  }

  #put(run: CsvRun, rows: Readonly<Record<Table, readonly string[]>>, next: RunState): void {
    const { id } = run;
    this.#directory.exclusively(id, () => {
      const now = this.#read(id);
      if (now === undefined)
        throw new TraceletError("deleted", `${this.#directory.path(id)} was removed while it was written`);
      const sizes = this.#sizes(id);
      for (const table of NAMES) {
        if (now.lengths[table] !== run.lengths[table] || sizes[table] !== run.lengths[table])
          throw new TraceletError("overtaken", `another process has written beside ${this.#directory.path(id)}`, {
            hint: "the same command goes on behind what is there",
          });
      }
      const lengths = { ...run.lengths };
      for (const table of NAMES) lengths[table] += this.#add(run, table, rows[table]);
      this.#place(run, next, lengths);
      run.state = next;
      run.lengths = lengths;
    });
    if (run.rows === undefined) return;
    for (const table of NAMES) for (const row of rows[table]) run.rows.add(digestOf(table, row));
  }

  /** @returns by how many bytes the table is longer @throws the system's error */
  #add({ id, lengths }: CsvRun, table: Table, rows: readonly string[]): number {
    if (rows.length === 0) return 0;
    const length = lengths[table];
    const bytes = Buffer.from((length === 0 ? TABLES[table].header : "") + rows.join(""));
    const handle = openSync(this.#directory.path(siblingOf(id, table)), length === 0 ? "w" : "r+");
    try {
      writeAll(handle, bytes, length);
      fsyncSync(handle);
    } catch (error) {
      ftruncateSync(handle, length);
      throw error;
    } finally {
      closeSync(handle);
    }
    return bytes.length;
  }

  #place({ id, startTime }: CsvRun, state: RunState, lengths: Lengths): void {
    const json = {
      kind: "run",
      format: FORMAT,
      start_time: startTime,
      lengths,
      ...jsonOfState(state, state.marks.values()),
    };
    this.#directory.place(id, Buffer.from(`${JSON.stringify(json)}\n`));
  }

  #cut({ id, lengths }: CsvRun, table: Table): void {
    const handle = openSync(this.#directory.path(siblingOf(id, table)), "r+");
    try {
      ftruncateSync(handle, lengths[table]);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }

  #sizes(id: string): Record<Table, number> {
    const size = (table: Table) =>
      statSync(this.#directory.path(siblingOf(id, table)), { throwIfNoEntry: false })?.size ?? 0;
    return { scalars: size("scalars"), hparams: size("hparams") };
  }

  /** @throws the system's error; TraceletError `rejected` if it is no file of ours */
  #read(id: string): CsvRun | undefined {
    const file = this.#directory.path(id);
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
      throw error;
    }
    const json = parse(text);
    if (json?.["kind"] !== "run" || json["format"] !== FORMAT) throw notOurs(file);
    const told = json["lengths"] as Partial<Record<Table, unknown>> | undefined;
    const lengthOf = (table: Table) => (isOffset(told?.[table]) ? told[table] : 0);
    const lengths = { scalars: lengthOf("scalars"), hparams: lengthOf("hparams") };
    const startTime = typeof json["start_time"] === "number" ? json["start_time"] : null;
    const state = stateOfJson(json);
    const sizes = this.#sizes(id);
    // Rows are missing, and nobody knows whose they were.
    if (NAMES.some((table) => sizes[table] < lengths[table]))
      return { id, startTime, lengths: EMPTY, rows: undefined, state: newState(state.name, state.source, []) };
    return { id, startTime, lengths, rows: undefined, state };
  }

  /** The rows that its tables do not have yet. */
  #without(run: CsvRun, rows: Readonly<Record<Table, string[]>>): Readonly<Record<Table, string[]>> {
    if (NAMES.every((table) => rows[table].length === 0)) return rows;
    const known = this.#rowsOf(run);
    const fresh = (table: Table) => rows[table].filter((row) => !known.has(digestOf(table, row)));
    return { scalars: fresh("scalars"), hparams: fresh("hparams") };
  }

  #rowsOf(run: CsvRun): Set<string> {
    return (run.rows ??= this.#directory.guard(run.id, () => {
      const digests = new Set<string>();
      for (const table of NAMES) {
        if (run.lengths[table] === 0) continue;
        const text = readFileSync(this.#directory.path(siblingOf(run.id, table))).subarray(0, run.lengths[table]);
        for (const row of rowsOf(text.toString())) digests.add(digestOf(table, row));
      }
      return digests;
    }));
  }
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

function siblingOf(id: string, table: Table): string {
  return `${id.slice(0, -STATE_FILE.length)}${TABLES[table].file}`;
}

function scalarRows(run: string, { scalars }: Batch): string[] {
  const { length, tags, tag, step, wallTime, value } = scalars;
  const lead = `${quoted(run)},`;
  const names = new Map<number, string>();
  return Array.from({ length }, (_, i) => {
    const at = tag[i] as number;
    const name = names.get(at) ?? quoted(tags[at] as string);
    names.set(at, name);
    return `${lead}${name},${String(step[i])},${numberText(wallTime[i] as number)},${numberText(value[i] as number)}\r\n`;
  });
}

function hparamRows(run: string, { data, hparams }: Batch): string[] {
  const told = (datum: Datum): [string, PythonValue][] =>
    datum.kind === "hparams" && datum.record.type === "session_start" ? [...datum.record.hparams] : [];
  const all = [...data.flatMap(told), ...hparams];
  return all.map(([name, value]) => `${quoted(run)},${quoted(name)},${quoted(pythonText(value))}\r\n`);
}

function numberText(value: number): string {
  return Object.is(value, -0) ? "-0.0" : String(value);
}

function quoted(text: string): string {
  return /[",\r\n]|^\s|\s$|^$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A row goes on over a line break that is within quotes. */
function* rowsOf(text: string): Iterable<string> {
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isQuoted = !isQuoted;
    if (code !== LINE_FEED || isQuoted) continue;
    yield text.slice(start, at + 1);
    start = at + 1;
  }
}

const QUOTE = 0x22;
const LINE_FEED = 0x0a;

function digestOf(table: Table, row: string): string {
  return createHash("sha1").update(table).update(row).digest("base64");
}

function notOurs(file: string): TraceletError {
  return new TraceletError("rejected", `${file} is no file of tracelet's, or another version's`, {
    hint: "nothing is written over it: move it away, or give another --output",
  });
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
