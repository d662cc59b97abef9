/** Runs and batches by hand, of one event file, for tests that need no logdir. */
import type { Datum, DatumBase } from "../../src/reader/datum.ts";
import type { Batch, RunDescription } from "../../src/sync/backend.ts";
import type { FileMark } from "../../src/sync/source/fingerprint.ts";

/** Wall time of what is in them, seconds. */
export const TIME = 1_700_000_000;

export function markAt(offset: number): FileMark {
  return { key: "k", name: "events", head: 10, offset, from: 0, tail: `t${offset}` };
}

export function description(given: Partial<RunDescription> = {}): RunDescription {
  return {
    name: "train",
    title: "train",
    source: "s",
    startTime: TIME,
    parentId: undefined,
    marks: [markAt(0)],
    replaces: undefined,
    isOthers: async () => false,
    owns: async () => true,
    contradicts: async () => false,
    holds: async () => true,
    ...given,
  };
}

/** Values of one step each. */
export function batch(
  offset: number,
  values: readonly (readonly [tag: string, step: bigint, value: number])[],
  data: readonly Datum[] = [],
): Batch {
  const tags = [...new Set(values.map(([tag]) => tag))];
  return {
    scalars: {
      tags,
      tag: Int32Array.from(values, ([tag]) => tags.indexOf(tag)),
      step: BigInt64Array.from(values, ([, step]) => step),
      wallTime: Float64Array.from(values, () => TIME + 1),
      value: Float64Array.from(values, ([, , value]) => value),
      offset: Float64Array.from(values, (_, i) => i),
      length: values.length,
    },
    data,
    segments: [],
    parts: [{ file: "events", firstScalar: 0, firstDatum: 0 }],
    marks: [markAt(offset)],
    hparams: new Map(),
  };
}

/** What every value has. */
export function base(tag: string, step: bigint, offset = 0): DatumBase {
  const metadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
  return { tag, step, wallTime: TIME + 1, offset, metadata };
}
