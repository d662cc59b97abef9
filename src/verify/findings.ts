/** What verify finds of one run: how much was compared, and what is not the same. */
import { type ItemSet, membersOf, type Unmatched, unmatched, without } from "./items.ts";

/** What is compared. `lines`: of histograms and curves, whose files hold a line a value. */
export type What = "runs" | "points" | "params" | "tags" | "files" | "lines";

export interface Counts {
  /** How many the source has. */
  compared: number;
  /** The source has it, the destination does not. */
  missing: number;
  /** The destination has it, the source does not. */
  extra: number;
  /** Both have it, and not the same. */
  different: number;
  /** The destination has it more often than the source. A destination that keeps equal ones once has none. */
  doubled: number;
  /** The destination has it as an earlier choice of the run let it in, and the source under this one does not: no difference. */
  earlier: number;
}

/** A point, in the form that the destination has it. */
export interface Point {
  readonly step: bigint;
  readonly value: number;
  /** ms since the Unix epoch. */
  readonly timestamp?: number;
  /** Seconds since the Unix epoch, as written. */
  readonly wallTime?: number;
}

/** A point that is not on both sides; where both sides have one at its step, both. */
export interface PointDifference {
  readonly source: Point | undefined;
  readonly there: Point | undefined;
}

/** Points of one metric, or lines of one folder. */
export interface SeriesDifference {
  readonly what: "points" | "lines";
  /** Metric key, or the pattern of the files. */
  readonly name: string;
  missing: number;
  extra: number;
  different: number;
  doubled: number;
  /** The first of them; none of lines. */
  readonly points: PointDifference[];
}

export interface OneDifference {
  readonly what: "runs" | "params" | "tags" | "files";
  readonly name: string;
  readonly state: "missing" | "extra" | "different";
  /** What the source has, and what is there: in words, where there are some. */
  readonly source?: string;
  readonly there?: string;
}

export type Difference = SeriesDifference | OneDifference;

/** Of a run, as many differences are named; the rest is only counted. */
const MAX_NAMED = 200;
/** Of a metric, as many points. */
const MAX_POINTS = 10;

export class Findings {
  readonly counts: Readonly<Record<What, Counts>> = {
    runs: none(),
    points: none(),
    params: none(),
    tags: none(),
    files: none(),
    lines: none(),
  };
  readonly differences: Difference[] = [];

  /** Differences of which it is to be found out whether an earlier choice has caused them: see `holdBack`. */
  readonly pending: OneDifference[] = [];
  readonly #pointOf: (words: Int32Array) => Point;
  readonly #keepsEqual: boolean;
  readonly #isSame: (source: Point, there: Point) => boolean;
  #holdsBack = false;
  #isElsewhere: (what: What, name: string) => boolean = () => false;

  /**
   * @param pointOf the point that an item's words stand for
   * @param keepsEqual whether the destination keeps what is given to it twice
   * @param isSame whether two unequal points of a step are the same all the same
   */
  constructor(
    pointOf: (words: Int32Array) => Point,
    keepsEqual = false,
    isSame: (source: Point, there: Point) => boolean = () => false,
  ) {
    this.#pointOf = pointOf;
    this.#isSame = isSame;
    this.#keepsEqual = keepsEqual;
  }

  get equal(): boolean {
    return Object.values(this.counts).every(
      ({ missing, extra, different, doubled }) => missing + extra + different + doubled === 0,
    );
  }

  /** From here on, what is extra is no difference where this holds: another machine has the source of it. */
  passOver(isElsewhere: (what: What, name: string) => boolean): void {
    this.#isElsewhere = isElsewhere;
  }

  /** From here on, params and files that are extra or different are pending. */
  holdBack(): void {
    this.#holdsBack = true;
  }

  /** Count what is pending. @param isEarlier whether it was sent so under an earlier choice */
  settle(isEarlier: (difference: OneDifference) => boolean): void {
    this.#holdsBack = false;
    for (const difference of this.pending.splice(0)) {
      if (isEarlier(difference)) this.counts[difference.what].earlier++;
      else this.add(difference);
    }
  }

  compared(what: What, count: number): void {
    this.counts[what].compared += count;
  }

  add(difference: OneDifference): void {
    const { what, state, name } = difference;
    if (state === "extra" && this.#isElsewhere(what, name)) return;
    if (this.#holdsBack && (what === "params" || what === "files") && state !== "missing") {
      this.pending.push(difference);
      return;
    }
    this.counts[difference.what][difference.state]++;
    if (this.differences.length < MAX_NAMED) this.differences.push(difference);
  }

  /** Note that all of a series is missing, or all of it is extra. */
  addWhole(what: "points" | "lines", name: string, state: "missing" | "extra", count: number): void {
    if (state === "extra" && this.#isElsewhere(what, name)) return;
    this.#series(what, name)[state] += count;
    this.counts[what][state] += count;
  }

  /**
   * Compare what is held of both sides of a series, or of a part of it.
   *
   * @param earlier what earlier choices let in beside the source
   */
  addSets(what: "points" | "lines", name: string, source: ItemSet, there: ItemSet, earlier?: ItemSet): void {
    let series: SeriesDifference | undefined;
    const once = what === "points" && !this.#keepsEqual;
    const isKnown = this.#keepsEqual ? membersOf(source) : () => false;
    let [expected, found] = [source, there];
    if (earlier !== undefined) {
      const rest = without(there, source, once);
      [expected, found] = [without(source, there, once), without(rest, earlier, once)];
      this.counts[what].earlier += rest.length - found.length;
    }
    for (const pair of unmatched(expected, found, once)) {
      if (what === "points" && this.#isSamePair(pair)) continue;
      const state = stateOf(pair, isKnown);
      if (state === "extra" && this.#isElsewhere(what, name)) continue;
      series ??= this.#series(what, name);
      series[state]++;
      this.counts[what][state]++;
      if (what === "points" && series.points.length < MAX_POINTS) series.points.push(this.#shown(pair));
    }
  }

  #isSamePair({ source, there }: Unmatched): boolean {
    return source !== undefined && there !== undefined && this.#isSame(this.#pointOf(source), this.#pointOf(there));
  }

  #shown({ source, there }: Unmatched): PointDifference {
    return { source: source && this.#pointOf(source), there: there && this.#pointOf(there) };
  }

  #series(what: "points" | "lines", name: string): SeriesDifference {
    const known = this.differences.find((each) => each.what === what && each.name === name);
    if (known !== undefined) return known as SeriesDifference;
    const series: SeriesDifference = { what, name, missing: 0, extra: 0, different: 0, doubled: 0, points: [] };
    if (this.differences.length < MAX_NAMED) this.differences.push(series);
    return series;
  }
}

function none(): Counts {
  return { compared: 0, missing: 0, extra: 0, different: 0, doubled: 0, earlier: 0 };
}

function stateOf(
  { source, there }: Unmatched,
  isKnown: (words: Int32Array) => boolean,
): "missing" | "extra" | "different" | "doubled" {
  if (there === undefined) return "missing";
  if (source !== undefined) return "different";
  return isKnown(there) ? "doubled" : "extra";
}
