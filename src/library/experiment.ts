/** What a program logs by hand: an event file of its own in the log directory, which the watch follows like any other. */
import { createHmac } from "node:crypto";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import type { HparamValue } from "../reader/datum.ts";
import { eventFileName } from "../reader/event-file-name.ts";
import { EventFileWriter } from "../writer/event-file-writer.ts";
import type { SummaryValue, WriteStep } from "../writer/event-record.ts";
import { type Histogram, histogramOf } from "../writer/histogram.ts";
import {
  artifactFileValue,
  artifactValue,
  metricValue,
  type ParamValue,
  paramsValue,
  tagsValue,
} from "../writer/own-records.ts";
import type { Pixels } from "../writer/png.ts";
import { audioValue, doubleValue, histogramValue, imageValue, textValue } from "../writer/values.ts";

/** Params, which may be nested: `{ optimizer: { lr: 0.1 } }` is the param `optimizer/lr`. */
export type Params = { readonly [name: string]: ParamValue | readonly unknown[] | Params | undefined };

/** What is known of a metric beside its value. */
export interface MetricAbout {
  /** `loss`, `accuracy`, …. */
  readonly type?: string;
  readonly step?: WriteStep;
  readonly metadata?: { readonly [name: string]: HparamValue };
}

/** Larger files are not copied into the event file, which would hold up the event loop: they are sent from where they are. Bytes. */
const MAX_COPIED = 16 * 1024 * 1024;
/** Params or labels of one record. */
const MAX_NAMES = 1000;
const SAMPLE_RATE = 44_100;

/**
 * What `startLogging` returns. Without a step, each name counts its own from 0. All methods but `logArtifact` return at
 * once; what they log is on its way half a second later.
 *
 * They throw `TraceletError` `usage` for what cannot be logged, and once logging was stopped; the first of them `logdir` if
 * no file can be made in the log directory.
 */
export class Experiment {
  /** What the run is called at the destination. */
  readonly name: string;
  /** The directory that is followed; what is logged by hand is in it, too. */
  readonly logDir: string;
  readonly #key: string;
  readonly #steps = new Map<string, number>();
  readonly #reading = new Set<Promise<void>>();
  #file: EventFileWriter | undefined;
  #isClosed = false;

  /** @param key signs files that are sent from where they are */
  constructor(name: string, logDir: string, key: string) {
    this.name = name;
    this.logDir = logDir;
    this.#key = key;
  }

  /** A number, exactly. */
  logMetric(name: string, value: number, step?: WriteStep): void {
    if (typeof value !== "number") throw new TraceletError("usage", `the value of ${name} is no number`);
    this.#write(doubleValue(name, value), this.#step(name, step));
  }

  /** A number with what it is, and anything else that is known of it. */
  logEnhancedMetric(name: string, value: number, { type, step, metadata = {} }: MetricAbout = {}): void {
    const at = this.#step(name, step);
    // First, so that it is known when the value comes.
    this.#write(metricValue(name, type, metadata, at), at);
    this.logMetric(name, value, at);
  }

  /** Hyperparameters. A param that was logged before keeps its value, as in MLflow. */
  logParams(params: Params): void {
    for (const some of chunks(flattened(params))) this.#write(paramsValue(some), 0);
  }

  /** Labels of the run; one that was set before is replaced. */
  setTags(tags: Readonly<Record<string, string | number | boolean>>): void {
    const entries = Object.entries(tags).map(([name, text]) => [name, String(text)] as const);
    for (const some of chunks(entries)) this.#write(tagsValue(some), 0);
  }

  /** Markdown. */
  logText(name: string, text: string, step?: WriteStep): void {
    this.#write(textValue(name, text), this.#step(name, step));
  }

  /** The bytes of a PNG, JPEG or GIF, or pixels. */
  logImage(name: string, image: Uint8Array | Pixels, step?: WriteStep): void {
    this.#write(imageValue(name, image), this.#step(name, step));
  }

  /** Numbers, or buckets as they are. */
  logHistogram(name: string, values: ArrayLike<number> | Histogram, step?: WriteStep): void {
    const histogram = "bucketLimits" in values ? values : histogramOf(values);
    this.#write(histogramValue(name, histogram), this.#step(name, step));
  }

  /** A sound, mono. @param samples from -1 to 1 @param sampleRate Hz */
  logAudio(name: string, samples: ArrayLike<number>, sampleRate: number = SAMPLE_RATE, step?: WriteStep): void {
    this.#write(audioValue(name, samples, sampleRate), this.#step(name, step));
  }

  /**
   * A file, or all files of a directory. One of more than 16 MiB is not copied: it has to stay as it is until it is sent.
   *
   * @param artifactPath its path at the destination, or with a `/` at the end the directory there
   * @returns resolves once it is written to the event file
   * @throws TraceletError `usage` if it cannot be read
   */
  async logArtifact(file: string, artifactPath = ""): Promise<void> {
    this.#requireOpen();
    const base = path.basename(path.resolve(file));
    const target = artifactPath === "" || artifactPath.endsWith("/") ? artifactPath + base : artifactPath;
    const work = this.#logFiles(file, target);
    this.#reading.add(work);
    try {
      await work;
    } catch (cause) {
      if (cause instanceof TraceletError) throw cause;
      throw new TraceletError("usage", `cannot read the artifact ${file}: ${(cause as Error).message}`, { cause });
    } finally {
      this.#reading.delete(work);
    }
  }

  /** Bytes as an artifact. @param artifactPath its path at the destination */
  logArtifactBytes(bytes: Uint8Array, artifactPath: string): void {
    this.#write(artifactValue(artifactPath, bytes), 0);
  }

  /** Write what is left; nothing can be logged from then on. For `stopLogging`. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#reading);
    this.#isClosed = true;
    this.#file?.close();
  }

  async #logFiles(file: string, target: string): Promise<void> {
    const stats = await stat(file, { bigint: true });
    if (stats.isDirectory()) {
      const names = await readdir(file);
      for (const name of names.sort()) await this.#logFiles(path.join(file, name), `${target}/${name}`);
      return;
    }
    const size = Number(stats.size);
    if (size <= MAX_COPIED) {
      this.#write(artifactValue(target, await readFile(file)), 0);
      return;
    }
    const large = { file: await realpath(file), size, mtime: Number(stats.mtimeNs / 1_000_000n) };
    const sign = (text: string) => createHmac("sha256", this.#key).update(text).digest("hex");
    this.#write(artifactFileValue(target, large, sign), 0);
  }

  #step(name: string, step: WriteStep | undefined): WriteStep {
    if (step !== undefined) return step;
    const next = this.#steps.get(name) ?? 0;
    this.#steps.set(name, next + 1);
    return next;
  }

  #write(value: SummaryValue, step: WriteStep): void {
    this.#requireOpen();
    this.#file ??= new EventFileWriter(path.join(this.logDir, eventFileName(".tracelet")));
    this.#file.write([value], step);
  }

  #requireOpen(): void {
    if (!this.#isClosed) return;
    throw new TraceletError("usage", `logging to ${JSON.stringify(this.name)} was stopped`, {
      hint: "startLogging begins another run",
    });
  }
}

type Entry = readonly [name: string, value: ParamValue];

function flattened(params: Params, before = ""): Entry[] {
  return Object.entries(params).flatMap(([key, value]): Entry[] => {
    const name = before + key;
    if (value === undefined) return [];
    if (typeof value !== "object" || value === null) return [[name, value]];
    if (Array.isArray(value)) return [[name, JSON.stringify(value)]];
    const inner = flattened(value as Params, `${name}/`);
    return inner.length === 0 ? [[name, "{}"]] : inner;
  });
}

function* chunks<V>(entries: readonly (readonly [string, V])[]): Generator<Record<string, V>> {
  for (let at = 0; at < entries.length; at += MAX_NAMES) yield Object.fromEntries(entries.slice(at, at + MAX_NAMES));
}
