/** What one request takes of a batch. */
import type { Content } from "./bisect.ts";
import { orderByKey, pick } from "./metric-columns.ts";
import type { MetricColumns } from "./store.ts";

export const NO_METRICS: MetricColumns = {
  keys: [],
  key: new Int32Array(),
  step: new BigInt64Array(),
  timestamp: new Float64Array(),
  value: new Float64Array(),
  length: 0,
};

export const NOTHING: Content = { metrics: NO_METRICS, params: new Map() };

/** What one request takes of a batch. */
export interface Part {
  readonly content: Content;
  /** Indexes of its metrics in the batch; undefined if it is all of it. */
  readonly points: Int32Array | undefined;
}

/** A remainder that is worth no request of its own beside those of the others. */
const SMALL_PART = 1 / 8;

/**
 * The params and metrics in parts that may be stored in any order; the last is small, unless it is the only one.
 *
 * Each part holds few keys: MLflow takes three times as long for a thousand points of as many keys, and where requests share
 * none, no one waits for another's row of a key's latest value.
 *
 * @param asTheyCome how many of the metrics stay at the beginning
 */
export function partsOf({ metrics, params }: Content, size: number, asTheyCome: number): Part[] {
  if (metrics.length <= size) return [{ content: { metrics, params }, points: undefined }];
  const order = orderByKey(metrics, asTheyCome);
  const parts: Part[] = [];
  for (let from = 0; from < order.length; from += size) {
    const points = order.subarray(from, from + size);
    parts.push({ content: { metrics: pick(metrics, points), params: from === 0 ? params : NOTHING.params }, points });
  }
  if (order.length % size > size * SMALL_PART || order.length % size === 0)
    parts.push({ content: NOTHING, points: order.subarray(0, 0) });
  return parts;
}
