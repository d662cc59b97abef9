/**
 * Wall time: seconds as a double → nanoseconds since the Unix epoch as an int64.
 *
 * From 2^23 s (April 1970) on, doubles are more than 1 ns apart: each has a nanosecond of its own, and is the double that is
 * nearest to it. Before that, and if it is not a time between the years 1677 and 2262, only the double itself is exact.
 */

/** Seconds that fit into an int64 of nanoseconds, whatever their fraction is. */
const MAX_SECONDS = 9_223_372_035;
const BILLION = 1e9;
const WORD = 2 ** 32;
const HALF = 2 ** 16;

/**
 * Put the nearest nanosecond, as its low and its high word. No BigInt is made: there may be millions of them.
 *
 * @returns false if there is none; then nothing is put
 */
export function putNanoseconds(seconds: number, words: Int32Array, index: number): boolean {
  if (!(seconds >= -MAX_SECONDS && seconds <= MAX_SECONDS)) return false;
  const whole = Math.floor(seconds);
  const rest = Math.round((seconds - whole) * BILLION);
  // The product has up to 63 bits: it is made of two that doubles hold.
  const upper = Math.floor(whole / HALF);
  const product = upper * BILLION;
  const carried = Math.floor(product / HALF);
  const lower = (product - carried * HALF) * HALF + (whole - upper * HALF) * BILLION + rest;
  words[2 * index] = lower % WORD;
  words[2 * index + 1] = carried + Math.floor(lower / WORD);
  return true;
}

const one = new BigInt64Array(1);
const oneWords = new Int32Array(one.buffer);

/** The nearest nanosecond; null if there is none. */
export function nanosecondsOf(seconds: number): bigint | null {
  return putNanoseconds(seconds, oneWords, 0) ? (one[0] as bigint) : null;
}
