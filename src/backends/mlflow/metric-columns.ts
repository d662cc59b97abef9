/** Choosing and ordering among the points of a batch. */
import type { MetricColumns } from "./store.ts";

/** Some of the points, by their indexes. */
export function pick({ keys, key, step, timestamp, value }: MetricColumns, points: ArrayLike<number>): MetricColumns {
  const length = points.length;
  return {
    keys,
    key: Int32Array.from(points, (i) => key[i] as number),
    step: BigInt64Array.from(points, (i) => step[i] as bigint),
    timestamp: Float64Array.from(points, (i) => timestamp[i] as number),
    value: Float64Array.from(points, (i) => value[i] as number),
    length,
  };
}

/** Indices of the points grouped by key, in their order within each; the first `from` of them stay where they are. */
export function orderByKey({ keys, key, length }: MetricColumns, from = 0): Int32Array {
  // How many points each key has, then where they begin, then where the next of them belongs.
  const places = new Int32Array(keys.length + 1);
  places[0] = from;
  for (let i = from; i < length; i++) {
    const next = (key[i] as number) + 1;
    places[next] = (places[next] as number) + 1;
  }
  for (let id = 1; id < keys.length; id++) places[id] = (places[id] as number) + (places[id - 1] as number);
  const order = new Int32Array(length);
  for (let i = 0; i < from; i++) order[i] = i;
  for (let i = from; i < length; i++) {
    const id = key[i] as number;
    const place = places[id] as number;
    order[place] = i;
    places[id] = place + 1;
  }
  return order;
}
