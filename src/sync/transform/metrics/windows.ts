/** What is computed of a metric's points, one after the other. */
import type { Goal } from "../../../reader/datum.ts";
import type { Series } from "./series.ts";

/** The points of one metric that a point looks back on. */
export interface Line {
  readonly series: Series;
  /** The greatest step that a restart has taken back, until a point goes beyond it. */
  takenBack: bigint | undefined;
}

export interface Compute {
  /** Of how many values the metrics consist that it makes. */
  readonly out: Float64Array;
  /** Columns of the series that it keeps for itself. */
  readonly columns: number;
  /** Take the last point of the series. @returns whether `out` holds what comes of it */
  next(line: Line): boolean;
  /** The points from `from` on have moved up: go over them once more. */
  again?(series: Series, from: number): void;
}

/** Of the last so many points, the newest included. */
export function windowed(kind: "mean" | "min" | "max", points: number): Compute {
  const out = new Float64Array(1);
  return {
    out,
    columns: 0,
    next({ series: { values, length } }) {
      if (length < points) return false;
      // Summed anew for each point, oldest first: a running sum would depend on all that came before.
      let result = values[length - points] as number;
      for (let i = length - points + 1; i < length; i++) {
        const value = values[i] as number;
        result = kind === "mean" ? result + value : kind === "min" ? Math.min(result, value) : Math.max(result, value);
      }
      out[0] = kind === "mean" ? result / points : result;
      return true;
    },
  };
}

/**
 * An exponential moving average from the first point on, freed of the bias to its beginning; what is not finite stays itself.
 *
 * Source: `classicSmoothing` of tensorboard/webapp/widgets/line_chart_v2.
 *
 * @param column the first of its two
 */
export function ema(weight: number, column: number): Compute {
  const out = new Float64Array(1);
  const step = ({ values, running }: Series, i: number) => {
    const [sums, counts] = [running[column] as Float64Array, running[column + 1] as Float64Array];
    const value = values[i] as number;
    const [sum, count] = i === 0 ? [0, 0] : [sums[i - 1] as number, counts[i - 1] as number];
    const counted = Number.isFinite(value);
    sums[i] = counted ? sum * weight + (1 - weight) * value : sum;
    counts[i] = counted ? count + 1 : count;
    out[0] = counted ? (sums[i] as number) / (1 - weight ** (counts[i] as number)) : value;
  };
  return {
    out,
    columns: 2,
    next({ series }) {
      step(series, series.length - 1);
      return true;
    },
    again(series, from) {
      for (let i = from; i < series.length; i++) step(series, i);
    },
  };
}

/**
 * The best value so far and its step, each time it is bettered. Where a restart has taken points back, it is told again once
 * the training is beyond them: what stands last at the destination is then right.
 *
 * @param column the first of its two
 */
export function best(goal: Goal, column: number): Compute {
  const out = new Float64Array(2);
  /** @returns whether it is better than all before */
  const step = (series: Series, i: number) => {
    const [values, steps] = [series.running[column] as Float64Array, series.running[column + 1] as Float64Array];
    const value = series.values[i] as number;
    const before = i === 0 ? Number.NaN : (values[i - 1] as number);
    const isBetter = Number.isNaN(before) ? !Number.isNaN(value) : goal === "min" ? value < before : value > before;
    values[i] = isBetter ? value : before;
    steps[i] = isBetter ? Number(series.stepOf(i)) : ((i === 0 ? 0 : steps[i - 1]) as number);
    return isBetter;
  };
  return {
    out,
    columns: 2,
    next({ series, takenBack }) {
      const i = series.length - 1;
      const isBetter = step(series, i);
      const [value, at] = [series.running[column]?.[i] as number, series.running[column + 1]?.[i] as number];
      out[0] = value;
      out[1] = at;
      return isBetter || (takenBack !== undefined && series.stepOf(i) > takenBack && !Number.isNaN(value));
    },
    again(series, from) {
      for (let i = from; i < series.length; i++) step(series, i);
    },
  };
}
