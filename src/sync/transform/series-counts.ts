/** How many steps the series of an event file have had: what `every` and `maxSteps` of the transform go by. */
import type { Datum } from "../../reader/datum.ts";
import { seriesOf } from "../../reader/restarts.ts";

interface SeriesCount {
  /** Of all values so far, those of one step in a row counted once. */
  steps: number;
  lastStep: bigint;
}

/**
 * One for each event file, from its start on, and as far as its offset: so a step's number depends on nothing but what
 * the file holds before it, in whatever order the files of a run are read and however often. What comes behind may make
 * steps obsolete, but does not change their numbers; a restart begins again at 0.
 */
export class SeriesCounts {
  readonly #series = new Map<string, SeriesCount>();

  /** What `toJSON` gave. */
  static from(rows: readonly (readonly [series: string, steps: number, lastStep: string])[]): SeriesCounts {
    const counts = new SeriesCounts();
    for (const [series, steps, lastStep] of rows) counts.#series.set(series, { steps, lastStep: BigInt(lastStep) });
    return counts;
  }

  /** The file's writer was restarted. */
  restart(): void {
    this.#series.clear();
  }

  /**
   * The number of the value's step in its series, from 0 on. Must be asked for each value once, in the file's order.
   *
   * @param restartsBack whether a step that goes back is a restart of its series
   */
  number(datum: Datum, restartsBack = false): number {
    const { step } = datum;
    // A mesh's tensors have a tag each, and are nothing without each other.
    const name = datum.kind === "mesh" ? `mesh\0${datum.mesh}` : seriesOf(datum);
    const count = this.#series.get(name);
    if (count === undefined || (restartsBack && step < count.lastStep)) {
      this.#series.set(name, { steps: 1, lastStep: step });
      return 0;
    }
    if (step !== count.lastStep) {
      count.steps++;
      count.lastStep = step;
    }
    return count.steps - 1;
  }

  toJSON(): [series: string, steps: number, lastStep: string][] {
    return Array.from(this.#series, ([series, { steps, lastStep }]) => [series, steps, String(lastStep)]);
  }
}
