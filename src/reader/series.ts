/** Values → series: how many of each tag and kind, and their ranges. */
import type { Kind } from "./datum.ts";
import type { RecordBatch } from "./record-batch.ts";

/** One series of values. */
export interface SeriesSummary {
  readonly tag: string;
  readonly kind: Kind;
  /** Plugin the writer named; empty for plain scalars. */
  plugin: string;
  count: number;
  firstStep: bigint;
  lastStep: bigint;
  /** Seconds since the Unix epoch; NaN if no value has a finite one. */
  firstWallTime: number;
  lastWallTime: number;
}

/**
 * What is known of each tag, in columns by the tag's number. It sees every point of a logdir: with a BigInt for each step
 * and an object for each tag, this would take longer than reading them.
 */
export class ScalarTotals {
  #counts = new Float64Array(32);
  /** For each tag the least and the greatest step, as low and high words. */
  #steps = new Int32Array(4 * 32);
  /** For each tag the least and the greatest finite wall time; NaN before the first. */
  #wallTimes = new Float64Array(2 * 32).fill(Number.NaN);

  /** Count all scalars of `batch`. All batches are of one tag table. */
  add(batch: RecordBatch): void {
    if (batch.tags.length > this.#counts.length) this.#grow(batch.tags.length);
    const [counts, steps, wallTimes] = [this.#counts, this.#steps, this.#wallTimes];
    const { tag, stepWords, wallTime, length } = batch;
    for (let i = 0; i < length; i++) {
      const id = tag[i] as number;
      const low = stepWords[2 * i] as number;
      const high = stepWords[2 * i + 1] as number;
      const first = 4 * id;
      const last = first + 2;
      const isNew = counts[id] === 0;
      counts[id] = (counts[id] as number) + 1;
      if (isNew || isLess(low, high, steps[first] as number, steps[first + 1] as number)) {
        steps[first] = low;
        steps[first + 1] = high;
      }
      if (isNew || isLess(steps[last] as number, steps[last + 1] as number, low, high)) {
        steps[last] = low;
        steps[last + 1] = high;
      }
      const time = wallTime[i] as number;
      if (time - time !== 0) continue; // not finite
      if (!((wallTimes[2 * id] as number) <= time)) wallTimes[2 * id] = time;
      if (!((wallTimes[2 * id + 1] as number) >= time)) wallTimes[2 * id + 1] = time;
    }
  }

  /** What was counted, by first appearance of the tag. */
  series(tags: readonly string[]): SeriesSummary[] {
    const steps = new BigInt64Array(this.#steps.buffer);
    return tags.map((tag, id) => ({
      tag,
      kind: "scalars",
      plugin: "",
      count: this.#counts[id] as number,
      firstStep: steps[2 * id] as bigint,
      lastStep: steps[2 * id + 1] as bigint,
      firstWallTime: this.#wallTimes[2 * id] as number,
      lastWallTime: this.#wallTimes[2 * id + 1] as number,
    }));
  }

  #grow(tags: number): void {
    const capacity = Math.max(tags, 2 * this.#counts.length);
    const [counts, steps, wallTimes] = [this.#counts, this.#steps, this.#wallTimes];
    (this.#counts = new Float64Array(capacity)).set(counts);
    (this.#steps = new Int32Array(4 * capacity)).set(steps);
    (this.#wallTimes = new Float64Array(2 * capacity).fill(Number.NaN)).set(wallTimes);
  }
}

/** Whether one int64 is less than another; the high words are signed, the low ones are not. */
function isLess(low: number, high: number, otherLow: number, otherHigh: number): boolean {
  return high < otherHigh || (high === otherHigh && low >>> 0 < otherLow >>> 0);
}

/** Count all of `batch` that is no scalar. */
export function addData(batch: RecordBatch, series: Map<string, SeriesSummary>): void {
  for (const { kind, tag, step, wallTime, metadata } of batch.data) {
    const key = `${kind}\0${tag}`;
    const known = series.get(key);
    if (known === undefined) series.set(key, seriesOf(tag, kind, metadata.plugin, step, wallTime));
    else add(known, step, wallTime);
  }
}

function seriesOf(tag: string, kind: Kind, plugin: string, step: bigint, wallTime: number): SeriesSummary {
  const time = Number.isFinite(wallTime) ? wallTime : Number.NaN;
  return { tag, kind, plugin, count: 1, firstStep: step, lastStep: step, firstWallTime: time, lastWallTime: time };
}

function add(series: SeriesSummary, step: bigint, wallTime: number): void {
  series.count++;
  if (step < series.firstStep) series.firstStep = step;
  if (step > series.lastStep) series.lastStep = step;
  if (!Number.isFinite(wallTime)) return;
  if (!(series.firstWallTime <= wallTime)) series.firstWallTime = wallTime;
  if (!(series.lastWallTime >= wallTime)) series.lastWallTime = wallTime;
}
