/** Event files in the shape of torch's `SummaryWriter`: what TensorBoard and `tracelet watch` read. */
import os from "node:os";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import { eventFileName } from "../reader/event-file-name.ts";
import { isBelow } from "../reader/fs-path.ts";
import { EventFileWriter } from "./event-file-writer.ts";
import type { SummaryValue, WriteStep } from "./event-record.ts";
import { type Histogram, histogramOf } from "./histogram.ts";
import { hparamsValues, type WriteHparam } from "./hparams-values.ts";
import type { Pixels } from "./png.ts";
import { audioValue, doubleValue, histogramValue, imageValue, scalarValue, textValue } from "./values.ts";

export interface WriteOptions {
  /** Seconds since the Unix epoch; now if left out. */
  readonly wallTime?: number;
}

export interface SummaryWriterOptions {
  /** Behind the names of event files. */
  readonly filenameSuffix?: string;
}

/** Hz, as torch has it. */
const SAMPLE_RATE = 44_100;

/**
 * Writes values for TensorBoard. Values are in the file half a second later at most, and when the process ends; all methods
 * return at once.
 */
export class SummaryWriter {
  /** Where its event files are. */
  readonly logDir: string;
  readonly #suffix: string;
  readonly #own: EventFileWriter;
  /** Of the curves of `addScalars`, by their directories. */
  readonly #curves = new Map<string, EventFileWriter>();

  /**
   * @param logDir made if it is missing; left out: `runs/<date and time>_<host>` in the working directory, as torch has it
   * @throws TraceletError `logdir` if it cannot be made
   */
  constructor(logDir: string = defaultLogDir(), { filenameSuffix = "" }: SummaryWriterOptions = {}) {
    this.logDir = path.resolve(logDir);
    this.#suffix = filenameSuffix;
    this.#own = this.#newFile(this.logDir);
  }

  /** A number, as a float32; with `doublePrecision` exactly, which TensorBoard shows only with `--load_fast=false`. */
  addScalar(
    tag: string,
    value: number,
    step: WriteStep = 0,
    options: WriteOptions & { readonly doublePrecision?: boolean } = {},
  ): void {
    const number = numberOf(tag, value);
    this.#write(options.doublePrecision ? doubleValue(tag, number) : scalarValue(tag, number), step, options);
  }

  /** Several curves in one chart: each in a directory of its own, `<logDir>/<mainTag>_<name>`, under the main tag. */
  addScalars(
    mainTag: string,
    values: Readonly<Record<string, number>>,
    step: WriteStep = 0,
    { wallTime = now() }: WriteOptions = {},
  ): void {
    for (const [name, value] of Object.entries(values)) {
      const directory = path.join(this.logDir, `${mainTag.replaceAll("/", "_")}_${name}`);
      if (!isBelow(this.logDir, directory)) {
        throw new TraceletError("usage", `the curve ${JSON.stringify(name)} is named so that it would lie elsewhere`);
      }
      let curve = this.#curves.get(directory);
      if (curve === undefined) {
        curve = this.#newFile(directory);
        this.#curves.set(directory, curve);
      }
      curve.write([scalarValue(mainTag, numberOf(mainTag, value))], step, wallTime);
    }
  }

  /** The distribution of numbers, in TensorBoard's default bins; or buckets, as they are. */
  addHistogram(
    tag: string,
    values: ArrayLike<number> | Histogram,
    step: WriteStep = 0,
    options: WriteOptions = {},
  ): void {
    const histogram = "bucketLimits" in values ? values : histogramOf(values);
    this.#write(histogramValue(tag, histogram), step, options);
  }

  /** A picture: the bytes of a PNG, JPEG or GIF, or pixels, which become a PNG. */
  addImage(tag: string, image: Uint8Array | Pixels, step: WriteStep = 0, options: WriteOptions = {}): void {
    this.#write(imageValue(tag, image), step, options);
  }

  /** Markdown, under the tag `<tag>/text_summary`, as torch has it. */
  addText(tag: string, text: string, step: WriteStep = 0, options: WriteOptions = {}): void {
    this.#write(textValue(`${tag}/text_summary`, text), step, options);
  }

  /** A sound, mono. @param samples from -1 to 1 */
  addAudio(
    tag: string,
    samples: ArrayLike<number>,
    step: WriteStep = 0,
    { sampleRate = SAMPLE_RATE, ...options }: WriteOptions & { readonly sampleRate?: number } = {},
  ): void {
    this.#write(audioValue(tag, samples, sampleRate), step, options);
  }

  /**
   * Hyperparameters and the metrics they led to, in a directory of their own.
   *
   * @param runName of that directory; the time, in seconds, if left out
   */
  addHparams(
    hparams: Readonly<Record<string, WriteHparam>>,
    metrics: Readonly<Record<string, number>> = {},
    { runName = String(now()), step = 0, wallTime = now() }: WriteOptions & { runName?: string; step?: WriteStep } = {},
  ): void {
    const directory = path.join(this.logDir, runName);
    if (!isBelow(this.logDir, directory)) {
      throw new TraceletError("usage", `the run name ${JSON.stringify(runName)} leads out of ${this.logDir}`);
    }
    const file = this.#newFile(directory);
    for (const value of hparamsValues(hparams, Object.keys(metrics))) file.write([value], 0, wallTime);
    for (const [tag, value] of Object.entries(metrics)) {
      file.write([scalarValue(tag, numberOf(tag, value))], step, wallTime);
    }
    file.close();
  }

  /** Have all that was written on the disk. @throws TraceletError `logdir` if it cannot be written */
  flush(): void {
    for (const file of [this.#own, ...this.#curves.values()]) file.flush();
  }

  /** Write what is left, and close the files. @throws TraceletError `logdir` if it cannot be written */
  close(): void {
    for (const file of [this.#own, ...this.#curves.values()]) file.close();
  }

  #write(value: SummaryValue, step: WriteStep, { wallTime = now() }: WriteOptions): void {
    this.#own.write([value], step, wallTime);
  }

  #newFile(directory: string): EventFileWriter {
    return new EventFileWriter(path.join(directory, eventFileName(this.#suffix)));
  }
}

/** `runs/Nov27_15-12-02_host`. */
function defaultLogDir(): string {
  const [, month, day, , time] = new Date().toString().split(" ") as [string, string, string, string, string];
  return path.join("runs", `${month}${day}_${time.replaceAll(":", "-")}_${os.hostname()}`);
}

function now(): number {
  return Date.now() / 1000;
}

/** From plain JavaScript anything may come. */
function numberOf(tag: string, value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  throw new TraceletError("usage", `the value of ${JSON.stringify(tag)} is no number but ${typeof value}`);
}
