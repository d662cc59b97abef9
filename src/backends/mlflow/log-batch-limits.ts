/** How much one `log-batch` may hold: MLflow's limits, or less where the server, or a proxy before it, shows smaller ones. */
import type { LogBatchPart } from "./log-batch-body.ts";
import type { MetricColumns } from "./store.ts";

/** MLflow's limits; a request beyond them is refused as a whole. */
const MAX_ENTITIES = 1000;
const MAX_PARAMS = 100;
const MAX_TAGS = 100;
/** Kept free of metrics, so that the caller's tags fit into the same request. */
const ROOM_FOR_TAGS = 10;

export type KeyValue = readonly [key: string, value: string];

interface Part extends LogBatchPart {
  readonly params: readonly KeyValue[];
  readonly tags: readonly KeyValue[];
  /** How many metrics, params and tags it holds together. */
  readonly size: number;
}

export class LogBatchLimits {
  /** Metrics, params and tags of one request. */
  #entities = MAX_ENTITIES;

  /** How many metrics a caller should hand over at once. */
  get batchSize(): number {
    return this.#entities - Math.min(ROOM_FOR_TAGS, this.#entities >> 1);
  }

  /**
   * What is sent next of what is left: params, then metrics, and tags only where nothing else remains for later.
   *
   * @param from first metric that is left @param atMost metrics
   */
  next(
    metrics: MetricColumns,
    { from, atMost }: { readonly from: number; readonly atMost: number },
    params: readonly KeyValue[],
    tags: readonly KeyValue[],
  ): Part {
    const someParams = params.slice(0, Math.min(MAX_PARAMS, this.#entities));
    const to = Math.min(metrics.length, from + Math.min(atMost, this.#entities - someParams.length));
    const room = Math.min(MAX_TAGS, this.#entities - someParams.length - (to - from));
    const onlyTags = someParams.length === 0 && to === from;
    const last = someParams.length === params.length && to === metrics.length && tags.length <= room;
    const someTags = onlyTags || last ? tags.slice(0, room) : [];
    const size = someParams.length + (to - from) + someTags.length;
    return { metrics, from, to, params: someParams, tags: someTags, size };
  }

  /** A request of this size was too large. */
  lower(size: number): void {
    this.#entities = Math.min(this.#entities, size >> 1);
  }

  /** @returns goes back to the limits of this moment, where something else than the number was too large */
  remember(): () => void {
    const before = this.#entities;
    return () => {
      this.#entities = before;
    };
  }
}
