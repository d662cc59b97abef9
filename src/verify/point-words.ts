/** A point as files have it ↔ the words that stand for it, bit for bit. There is one NaN: text has no more. */
import type { Point } from "./findings.ts";

const steps = new BigInt64Array(1);
const stepWords = new Int32Array(steps.buffer);
const doubles = new Float64Array(2);
const doubleWords = new Int32Array(doubles.buffer);
const item = new Int32Array(6);

/** Step, wall time and value, each the high word first. They are others at the next call. */
export function pointWords(step: bigint, wallTime: number, value: number): Int32Array {
  steps[0] = step;
  doubles[0] = Number.isNaN(wallTime) ? Number.NaN : wallTime;
  doubles[1] = Number.isNaN(value) ? Number.NaN : value;
  item[0] = stepWords[1] as number;
  item[1] = stepWords[0] as number;
  for (let i = 0; i < 4; i++) item[2 + i] = doubleWords[i ^ 1] as number;
  return item;
}

/** The point that `words` stand for. */
export function pointOf(words: Int32Array): Point {
  stepWords[1] = words[0] as number;
  stepWords[0] = words[1] as number;
  for (let i = 0; i < 4; i++) doubleWords[i ^ 1] = words[2 + i] as number;
  return { step: steps[0] as bigint, wallTime: doubles[0] as number, value: doubles[1] as number };
}
