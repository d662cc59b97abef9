/** The points of one metric that still count, in the order they were written: what a window looks back on. */

/**
 * How many points back a restart may go. One that goes further begins the series anew. Bounds memory: 28 bytes a point, up to
 * twice as many points.
 */
export const MAX_HISTORY = 10_000;

export class Series {
  /** Points kept; entry i of each column is one of them. */
  length = 0;
  values: Float64Array<ArrayBuffer> = new Float64Array(FIRST_ROOM);
  /** Seconds since the Unix epoch. */
  wallTimes: Float64Array<ArrayBuffer> = new Float64Array(FIRST_ROOM);
  /** What was computed up to each point, for those who go on from there; see `Compute.columns`. */
  readonly running: Float64Array<ArrayBuffer>[];
  #steps: BigInt64Array<ArrayBuffer> = new BigInt64Array(FIRST_ROOM);
  /** The same, as words: storing these makes no BigInt. */
  #stepWords: Int32Array<ArrayBuffer> = new Int32Array(this.#steps.buffer);

  /** @param columns how many there are of `running` */
  constructor(columns: number) {
    this.running = Array.from({ length: columns }, () => new Float64Array(FIRST_ROOM));
  }

  push(stepLow: number, stepHigh: number, wallTime: number, value: number): void {
    if (this.length === this.values.length) this.#makeRoom();
    const i = this.length++;
    this.#stepWords[2 * i] = stepLow;
    this.#stepWords[2 * i + 1] = stepHigh;
    this.wallTimes[i] = wallTime;
    this.values[i] = value;
  }

  /**
   * Drop the points at `step` and above.
   *
   * @returns the greatest step that was dropped, if any was; the points from `from` on have moved up
   */
  rewind(step: bigint): { readonly from: number; readonly greatest: bigint | undefined } {
    let from = 0;
    while (from < this.length && this.stepOf(from) < step) from++;
    let greatest: bigint | undefined;
    let to = from;
    for (let i = from; i < this.length; i++) {
      const each = this.stepOf(i);
      if (each < step) this.#move(i, to++);
      else if (greatest === undefined || each > greatest) greatest = each;
    }
    this.length = to;
    return { from, greatest };
  }

  stepOf(i: number): bigint {
    return this.#steps[i] as bigint;
  }

  /** The step of the last point. */
  get lastStep(): bigint | undefined {
    return this.length === 0 ? undefined : this.stepOf(this.length - 1);
  }

  /** Whether it has a point that was written before `wallTime`. */
  isBegunBefore(wallTime: number): boolean {
    return this.length > 0 && (this.wallTimes[0] as number) < wallTime;
  }

  /** The points before the first that was written at `wallTime` or later. */
  writtenBefore(wallTime: number): Series {
    const copy = new Series(this.running.length);
    copy.values = this.values.slice();
    copy.wallTimes = this.wallTimes.slice();
    copy.#steps = this.#steps.slice();
    copy.#stepWords = new Int32Array(copy.#steps.buffer);
    for (const [i, column] of this.running.entries()) copy.running[i] = column.slice();
    // Where no time is known, nothing is: what is taken over must not depend on how far the other file has been read.
    while (copy.length < this.length && (copy.wallTimes[copy.length] as number) < wallTime) copy.length++;
    return copy;
  }

  #move(from: number, to: number): void {
    this.#steps[to] = this.#steps[from] as bigint;
    this.values[to] = this.values[from] as number;
    this.wallTimes[to] = this.wallTimes[from] as number;
  }

  #makeRoom(): void {
    if (this.length === 2 * MAX_HISTORY) {
      for (const column of this.#columns()) column.copyWithin(0, MAX_HISTORY);
      this.length = MAX_HISTORY;
      return;
    }
    const room = Math.min(2 * this.length, 2 * MAX_HISTORY);
    const grown = (column: Float64Array) => {
      const larger = new Float64Array(room);
      larger.set(column);
      return larger;
    };
    this.values = grown(this.values);
    this.wallTimes = grown(this.wallTimes);
    for (const [i, column] of this.running.entries()) this.running[i] = grown(column);
    const steps = new BigInt64Array(room);
    steps.set(this.#steps);
    this.#steps = steps;
    this.#stepWords = new Int32Array(steps.buffer);
  }

  #columns(): (Float64Array | BigInt64Array)[] {
    return [this.values, this.wallTimes, this.#steps, ...this.running];
  }
}

const FIRST_ROOM = 64;
