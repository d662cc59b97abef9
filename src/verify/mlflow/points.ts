/** A point of a metric ↔ the words that stand for it. */
import type { MetricColumns } from "../../backends/mlflow/store.ts";
import type { Point } from "../findings.ts";

/** As MLflow has it. */
export type MetricPoint = Point & { readonly timestamp: number };

const float = new Float64Array(1);
const floatWords = new Int32Array(float.buffer);
const item = new Int32Array(6);

/**
 * The words of a point: step, time, value, each the high word first. The value is taken as MLflow's databases hold it: an
 * infinity is the greatest double, -0 is 0, and there is one NaN.
 */
export function pointAt({ step, timestamp, value }: MetricColumns, i: number): Int32Array {
  const stepWords = new Int32Array(step.buffer, step.byteOffset + 8 * i, 2);
  const time = timestamp[i] as number;
  float[0] = storedValue(value[i] as number);
  item[0] = stepWords[1] as number;
  item[1] = stepWords[0] as number;
  item[2] = Math.floor(time / 2 ** 32);
  item[3] = time;
  item[4] = floatWords[1] as number;
  item[5] = floatWords[0] as number;
  return item;
}

function storedValue(value: number): number {
  if (Number.isNaN(value)) return Number.NaN;
  return Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value)) + 0;
}

/** The point that `words` stand for. */
export function pointOf(words: Int32Array): MetricPoint {
  const [stepHigh, stepLow, timeHigh, timeLow, valueHigh, valueLow] = words as unknown as Six;
  floatWords[1] = valueHigh;
  floatWords[0] = valueLow;
  return {
    step: (BigInt(stepHigh) << 32n) | BigInt(stepLow >>> 0),
    timestamp: (timeHigh >>> 0) * 2 ** 32 + (timeLow >>> 0),
    value: float[0] as number,
  };
}

type Six = readonly [number, number, number, number, number, number];
