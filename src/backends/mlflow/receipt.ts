/** What is said of a batch: how many of its values were stored, and which were refused. */
import type { TraceletError } from "../../errors.ts";
import type { ContentRefused } from "../../net/refusal.ts";
import type { Datum } from "../../reader/datum.ts";
import type { Batch, BatchPart, RefusedValue } from "../../sync/backend.ts";
import { Tally } from "../../sync/report/tally.ts";
import type { Written } from "../artifacts/run-artifacts.ts";
import type { Refused } from "./bisect.ts";
import type { Param } from "./run.ts";

interface Fate {
  /** Why files could not be stored at all. */
  readonly obstacle: TraceletError | undefined;
  readonly written: Written;
  readonly refused: Refused;
  /** By their keys. */
  readonly params: ReadonlyMap<string, Param>;
}

export function tallyOf(batch: Batch, { obstacle, written, refused, params }: Fate): Tally {
  const tally = new Tally();
  tally.sent("scalars", batch.scalars.length - refused.metrics.size);
  tally.skipped("scalars", "refused", refused.metrics.size);
  const refusedData = new Set<Datum | undefined>(written.refused.keys());
  for (const key of refused.params.keys()) refusedData.add(params.get(key)?.datum);
  tally.add(written.replaced);
  const displaced = new Map(Array.from(written.replaced.kinds, ([kind, { skipped }]) => [kind, sum(skipped.values())]));
  for (const datum of batch.data) {
    const isTag = datum.kind === "run_tags" || datum.kind === "metric_info";
    const isFile = !(isTag || (datum.kind === "hparams" && datum.record.type !== "experiment"));
    const left = displaced.get(datum.kind) ?? 0;
    if (datum.kind === "unreadable") tally.skipped(datum.kind, "undecodable", 1);
    else if (obstacle !== undefined && isFile) tally.skipped(datum.kind, "no-file-storage", 1);
    else if (refusedData.has(datum)) tally.skipped(datum.kind, "refused", 1);
    else if (written.tooLarge.has(datum)) tally.skipped(datum.kind, "max-artifact-size", 1);
    // In the place of one that was counted as sent.
    else if (left > 0) displaced.set(datum.kind, left - 1);
    else tally.sent(datum.kind, 1);
  }
  return tally;
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

export function refusedScalars(
  { scalars, parts }: Batch,
  refused: ReadonlyMap<number, ContentRefused>,
): RefusedValue[] {
  return Array.from(refused, ([i, { reason }]) => ({
    kind: "scalars",
    tag: scalars.tags[scalars.tag[i] as number] as string,
    step: scalars.step[i] as bigint,
    wallTime: scalars.wallTime[i] as number,
    value: scalars.value[i] as number,
    file: parts.findLast(({ firstScalar }) => firstScalar <= i)?.file,
    offset: scalars.offset[i] as number,
    reason,
  }));
}

export function refusedParams(
  batch: Batch,
  params: ReadonlyMap<string, Param>,
  refused: ReadonlyMap<string, ContentRefused>,
): RefusedValue[] {
  return Array.from(refused, ([key, { reason }]) => {
    const { name, text, datum } = params.get(key) as Param;
    const file = datum && fileOf(batch, datum);
    return {
      kind: "hparams",
      tag: name,
      step: undefined,
      wallTime: datum?.wallTime,
      value: text,
      file,
      offset: datum?.offset,
      reason,
    };
  });
}

export function refusedData(batch: Batch, refused: ReadonlyMap<Datum, ContentRefused>): RefusedValue[] {
  return Array.from(refused, ([datum, { reason }]) => {
    const { kind, tag, step, wallTime, offset } = datum;
    return { kind, tag, step, wallTime, value: undefined, file: fileOf(batch, datum), offset, reason };
  });
}

function fileOf(
  { data, parts }: { data: Batch["data"]; parts: readonly BatchPart[] },
  datum: Datum,
): string | undefined {
  const at = data.indexOf(datum);
  return parts.findLast(({ firstDatum }) => firstDatum <= at)?.file;
}
