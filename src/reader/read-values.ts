/** Every value of a logdir or event file, one by one. */
import { TraceletError } from "../errors.ts";
import { FileSource } from "./byte-source.ts";
import type { Datum, TagMetadata } from "./datum.ts";
import { type DiscoveredRun, discover, displayPath } from "./discover.ts";
import { EventFileReader } from "./event-file.ts";
import { RecordBatch } from "./record-batch.ts";
import { TagTable } from "./tag-table.ts";
import { DEFAULT_MAX_RECORD_BYTES, RecordReader } from "./tfrecord.ts";

/** A number where that is exact, up to 2^53; a bigint beyond. */
export type Step = number | bigint;

export interface ScalarValue {
  readonly kind: "scalars";
  /** TensorBoard's name of the run; `.` for the logdir itself. */
  readonly run: string;
  readonly tag: string;
  readonly step: Step;
  /** Seconds since the Unix epoch, as written. */
  readonly wallTime: number;
  readonly value: number;
}

/** What is no scalar: an image, a histogram, hyperparameters, …; `kind` tells them apart. */
export type OtherValue = OfRun<Datum>;

type OfRun<One> = One extends Datum ? Omit<One, "step"> & { readonly run: string; readonly step: Step } : never;

export type Value = ScalarValue | OtherValue;

/** Something that cannot be read. */
export interface ReadProblem {
  readonly path: string;
  /** Of the bytes that are no record, in the file; undefined if the file as such cannot be read. */
  readonly start: number | undefined;
  readonly end: number | undefined;
  /** `checksum`, `not-an-event`, … or the system's code, such as `EACCES`. */
  readonly reason: string;
}

export interface ReadOptions {
  /** Skip records larger than this, bytes; 256 MiB if left out. */
  readonly maxRecordBytes?: number;
  /** Told of what cannot be read, which is skipped. Left out: the reading throws at the end of the file. */
  readonly onProblem?: (problem: ReadProblem) => void;
}

/** Scalars at a time. */
const BATCH = 4096;

/**
 * The values in the order they were written in, run by run and file by file. What a restarted job made obsolete is among
 * them. A record that is not finished yet is not.
 *
 * @param path a logdir or an event file
 * @throws TraceletError `logdir` if it cannot be read, or if something in it cannot and there is no `onProblem`
 */
export async function* readValues(path: string, options: ReadOptions = {}): AsyncGenerator<Value, void, void> {
  const { onProblem = refuse } = options;
  const { runs, problems } = discoverOrThrow(path);
  for (const run of runs) yield* valuesOf(run, { ...options, onProblem });
  for (const { path: place, code } of problems)
    onProblem({ path: place, start: undefined, end: undefined, reason: code });
}

async function* valuesOf(
  { name: run, files }: DiscoveredRun,
  { onProblem, maxRecordBytes = DEFAULT_MAX_RECORD_BYTES }: ReadOptions & Required<Pick<ReadOptions, "onProblem">>,
): AsyncGenerator<Value, void, void> {
  const metadata = new Map<string, TagMetadata>();
  const batch = new RecordBatch(BATCH, new TagTable());
  for (const { path, size } of files) {
    const where = displayPath(path);
    let source: FileSource;
    try {
      source = await FileSource.open(path);
    } catch (error) {
      onProblem({ path: where, start: undefined, end: undefined, reason: codeOf(error) });
      continue;
    }
    try {
      const records = new RecordReader(source, { end: size, maxRecordBytes });
      const reader = new EventFileReader(records, metadata);
      for (let more = true; more; ) {
        let failure: unknown;
        more = await reader.read(batch).catch((error: unknown) => {
          failure = error;
          return false;
        });
        yield* inOrder(run, batch);
        batch.clear();
        if (failure !== undefined)
          onProblem({ path: where, start: undefined, end: undefined, reason: codeOf(failure) });
      }
      for (const { start, end, reason } of records.losses) onProblem({ path: where, start, end, reason });
      const { tail } = records;
      if (tail?.state === "damaged")
        onProblem({ path: where, start: tail.start, end: tail.end, reason: "damaged end" });
    } finally {
      await source.close();
    }
  }
}

/** Scalars and others of a batch, by where their records are. */
function* inOrder(run: string, batch: RecordBatch): Generator<Value, void, void> {
  let next = 0;
  const others = (before: number) => {
    const from = next;
    while ((batch.data[next]?.offset ?? Infinity) < before) next++;
    return batch.data.slice(from, next).map((datum) => ({ ...datum, run, step: exact(datum.step) }) as OtherValue);
  };
  for (let i = 0; i < batch.length; i++) {
    yield* others(batch.offset[i] as number);
    yield {
      kind: "scalars",
      run,
      tag: batch.tags[batch.tag[i] as number] as string,
      step: exact(batch.step[i] as bigint),
      wallTime: batch.wallTime[i] as number,
      value: batch.value[i] as number,
    };
  }
  yield* others(Infinity);
}

function exact(step: bigint): Step {
  const number = Number(step);
  return Number.isSafeInteger(number) ? number : step;
}

function discoverOrThrow(path: string): ReturnType<typeof discover> {
  try {
    return discover(path);
  } catch (cause) {
    throw new TraceletError("logdir", `cannot read ${path}: ${codeOf(cause)}`, {
      hint: "give a logdir or an event file",
      cause,
    });
  }
}

function refuse({ path, start, end, reason }: ReadProblem): never {
  const which = start === undefined ? "" : `bytes ${start} to ${end} of `;
  throw new TraceletError("logdir", `${which}${path} cannot be read: ${reason}`, {
    hint: "onProblem is told of it, and it is skipped",
  });
}

function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
