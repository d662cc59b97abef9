/**
 * Points of NaN that are there twice, or already.
 *
 * MLflow passes over a point that it has, so that a batch can be sent again. Older ones do not know a NaN again, which
 * equals nothing: they try to store it a second time, and refuse the whole request when their database does not let them.
 *
 * Source: `_log_metrics` of mlflow/store/tracking/sqlalchemy_store.py; fixed by mlflow/mlflow#24683.
 */
import { pick } from "./metric-columns.ts";
import type { MetricColumns } from "./store.ts";

/**
 * The points without each NaN that an older MLflow would refuse.
 *
 * @param from first of the points of the request that was refused; those before it are kept as they are
 * @param to behind the last of them
 * @param history all that the run has of a key
 * @returns undefined if there is none, so that the refusal had another reason
 */
export async function withoutRepeatedNans(
  metrics: MetricColumns,
  from: number,
  to: number,
  history: (key: string) => AsyncIterable<MetricColumns>,
): Promise<MetricColumns | undefined> {
  const nans: number[] = [];
  for (let i = from; i < to; i++) if (Number.isNaN(metrics.value[i])) nans.push(i);
  const ours = new Set(nans.map((i) => identity(metrics.key[i] as number, metrics, i)));
  const seen = new Set<string>();
  const see = (point: string) => ours.has(point) && seen.add(point);
  for (const id of new Set(nans.map((i) => metrics.key[i] as number))) {
    for await (const there of history(metrics.keys[id] as string)) {
      for (let i = 0; i < there.length; i++) if (Number.isNaN(there.value[i])) see(identity(id, there, i));
    }
  }
  const repeated = new Set(
    nans.filter((i) => seen.size === seen.add(identity(metrics.key[i] as number, metrics, i)).size),
  );
  if (repeated.size === 0) return undefined;
  return pick(
    metrics,
    Array.from({ length: metrics.length }, (_, i) => i).filter((i) => !repeated.has(i)),
  );
}

function identity(key: number, { step, timestamp }: MetricColumns, i: number): string {
  return `${key} ${step[i]} ${timestamp[i]}`;
}
