/** Seconds → whole milliseconds, which times of an option and of an event file are compared in. */

/** Wall times are doubles: those of a millisecond's beginning may lie just below it. Of a millisecond. */
const ROUNDING = 0.001;

/** The whole milliseconds of a time in seconds, both since the Unix epoch. */
export function wholeMs(seconds: number): number {
  return Math.floor(seconds * 1000 + ROUNDING);
}
