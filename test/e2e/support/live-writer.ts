/** A training that goes on while tracelet reads: TensorBoard's own writer in a process of its own, see live_writer.py. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NEW_PYTHON } from "./python.ts";

const SCRIPT = path.resolve(import.meta.dirname, "../python/live_writer.py");

export interface LiveWriterOptions {
  readonly logdir: string;
  /** Kept from one start to the next. */
  readonly ledger: string;
  readonly runs: number;
  /** Tags of each run. */
  readonly tags: number;
  /** Steps a second; each writes every tag of every run. */
  readonly rate: number;
  /** Between two flushes, s. */
  readonly flush?: number;
  /** After so many steps it ends by itself. */
  readonly steps?: number;
  /** Writes records in two parts with a pause of so many ms between; each is cut a byte later than the one before. */
  readonly partial?: number;
  /** What its directories' names begin with: `run-`, unless told otherwise. */
  readonly prefix?: string;
}

export class LiveWriter {
  readonly #options: LiveWriterOptions;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #flushesBefore: number;

  constructor(options: LiveWriterOptions) {
    this.#options = options;
    this.#flushesBefore = flushes(options.ledger);
    const { logdir, ledger, ...named } = options;
    const flags = Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#process = spawn(NEW_PYTHON, [SCRIPT, logdir, ledger, ...flags], { stdio: ["ignore", "ignore", "inherit"] });
    this.#ended = once(this.#process, "exit");
  }

  /** Points that are in the files for certain, of all writers that kept this ledger. */
  get flushedPoints(): number {
    const { ledger, runs, tags } = this.#options;
    return flushedSteps(ledger) * runs * tags;
  }

  /** When the last flush of any run began, ms since 1970. */
  get lastFlushAt(): number {
    const times = readLedger(this.#options.ledger).flatMap(({ at = {} }) => Object.values(at));
    return Math.max(...times.map(([, wallMs]) => wallMs));
  }

  /** Until it has flushed for the first time. */
  async started(): Promise<void> {
    while (flushes(this.#options.ledger) === this.#flushesBefore) {
      if (this.#process.exitCode !== null) throw new Error(`live_writer.py ended with ${this.#process.exitCode}`);
      await sleep(20);
    }
  }

  /** In order, after a last flush. */
  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#ended;
  }

  /** SIGKILL: what was not flushed may be there or not, and a record may be torn. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }

  /** Until it ends by itself. */
  async ended(): Promise<void> {
    await this.#ended;
    if (this.#process.exitCode !== 0) throw new Error(`live_writer.py ended with ${this.#process.exitCode}`);
  }
}

export interface LedgerLine {
  readonly intends?: number;
  readonly flushed?: number;
  /** By run: when its flush began. */
  readonly at?: { readonly [run: string]: readonly [monotonicMs: number, wallMs: number] };
}

/** The whole lines of a ledger. */
export function readLedger(file: string): LedgerLine[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as LedgerLine);
}

function flushes(ledger: string): number {
  return readLedger(ledger).filter(({ flushed }) => flushed !== undefined).length;
}

/** What was announced and never flushed, since the writer was killed, is not counted. */
function flushedSteps(ledger: string): number {
  let steps = 0;
  let first = 0;
  let announced = -1;
  for (const { intends, flushed } of readLedger(ledger)) {
    if (intends !== undefined) {
      first = announced + 1;
      announced = intends;
    }
    if (flushed !== undefined) steps += flushed - first + 1;
  }
  return steps;
}
