/** What is said of a batch: how many of its values were stored, and which were not. */
import type { Datum } from "../../reader/datum.ts";
import type { Batch, RefusedValue } from "../../sync/backend.ts";
import { Tally } from "../../sync/report/tally.ts";
import { isEmpty, MEDIA_KINDS } from "./media/media-kinds.ts";
import type { SentMedia } from "./media/run-media.ts";

/** What was not stored of a batch. */
export interface Unstored extends Pick<SentMedia, "refused" | "tooLarge"> {
  /** Why W&B does not take them, by their index. */
  readonly refusedScalars: ReadonlyMap<number, string>;
}

const NOTHING: Unstored = { refused: new Map(), tooLarge: new Set(), refusedScalars: new Map() };

/** @param unstored left out: all is stored that W&B has a place for */
export function tallyOf({ scalars, data }: Batch, { refused, tooLarge, refusedScalars }: Unstored = NOTHING): Tally {
  const tally = new Tally();
  tally.sent("scalars", scalars.length - refusedScalars.size);
  tally.skipped("scalars", "refused", refusedScalars.size);
  for (const datum of data) {
    if (datum.kind === "unreadable") tally.skipped(datum.kind, "undecodable", 1);
    else if (refused.has(datum)) tally.skipped(datum.kind, "refused", 1);
    else if (tooLarge.has(datum)) tally.skipped(datum.kind, "max-artifact-size", 1);
    else if (isEmpty(datum)) tally.skipped(datum.kind, "empty", 1);
    else if (isStored(datum)) tally.sent(datum.kind, 1);
    else tally.skipped(datum.kind, "unsupported-kind", 1);
  }
  return tally;
}

/** Whether it becomes a value of a row, or a part of the run's config or fields. */
function isStored(datum: Datum): boolean {
  if (datum.kind === "hparams") return datum.record.type !== "experiment";
  return MEDIA_KINDS.has(datum.kind) || datum.kind === "run_tags" || datum.kind === "metric_info";
}

/** For the quarantine. */
export function refusedValues({ scalars, data, parts }: Batch, { refused, refusedScalars }: Unstored): RefusedValue[] {
  const ofScalars = Array.from(
    refusedScalars,
    ([i, reason]): RefusedValue => ({
      kind: "scalars",
      tag: scalars.tags[scalars.tag[i] as number] as string,
      step: scalars.step[i] as bigint,
      wallTime: scalars.wallTime[i] as number,
      value: scalars.value[i] as number,
      file: parts.findLast(({ firstScalar }) => firstScalar <= i)?.file,
      offset: scalars.offset[i] as number,
      reason,
    }),
  );
  const ofData = Array.from(refused, ([datum, reason]): RefusedValue => {
    const { kind, tag, step, wallTime, offset } = datum;
    const at = data.indexOf(datum);
    const file = parts.findLast(({ firstDatum }) => firstDatum <= at)?.file;
    return { kind, tag, step, wallTime, value: undefined, file, offset, reason };
  });
  return [...ofScalars, ...ofData];
}
