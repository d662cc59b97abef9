/** What is said of a batch: how many of its values were stored, and which were not. */
import { TraceletError } from "../../errors.ts";
import type { Datum } from "../../reader/datum.ts";
import type { Batch, FilesReceipt, Refuse, RefusedValue, SourceArtifact } from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import { Tally } from "../../sync/report/tally.ts";
import type { Written } from "../artifacts/run-artifacts.ts";
import { isEmpty, MEDIA_KINDS } from "./media/media-kinds.ts";
import type { SentMedia } from "./media/run-media.ts";
import { keyOf } from "./names.ts";
import type { RefusedParam } from "./params.ts";

/** Characters of a tag in a message. */
const MAX_SHOWN = 200;
/** The web page has doubles. */
const LARGEST_SHOWN = BigInt(Number.MAX_SAFE_INTEGER);

/** What was not stored of a batch. */
export interface Unstored extends Pick<SentMedia, "refused" | "tooLarge"> {
  /** Why W&B does not take them, by their index. */
  readonly refusedScalars: ReadonlyMap<number, string>;
  readonly refusedParams: readonly RefusedParam[];
  /** Values, of this batch or an earlier one, whose files others of this batch have taken, as skipped. */
  readonly replaced: Tally;
}

const NOTHING: Unstored = {
  refused: new Map(),
  tooLarge: new Set(),
  refusedScalars: new Map(),
  refusedParams: [],
  replaced: new Tally(),
};

/** What was not stored of a batch's media, its files, and the rest. */
export function unstoredOf(
  media: SentMedia,
  files: Written,
  refusedScalars: Unstored["refusedScalars"],
  refusedParams: Unstored["refusedParams"],
): Unstored {
  const refusedFiles = Array.from(files.refused, ([datum, { reason }]) => [datum, reason] as const);
  return {
    refused: new Map([...media.refused, ...refusedFiles]),
    tooLarge: new Set([...media.tooLarge, ...files.tooLarge]),
    refusedScalars,
    refusedParams,
    replaced: files.replaced,
  };
}

/** @param unstored left out: all is stored that W&B has a place for */
export function tallyOf({ scalars, data }: Batch, unstored: Unstored = NOTHING): Tally {
  const { refused, tooLarge, refusedScalars, refusedParams, replaced } = unstored;
  const lackParams = new Set(refusedParams.map((param) => param.datum));
  const tally = new Tally();
  tally.sent("scalars", scalars.length - refusedScalars.size);
  tally.skipped("scalars", "refused", refusedScalars.size);
  tally.add(replaced);
  const displaced = new Map(Array.from(replaced.kinds, ([kind, { skipped }]) => [kind, sum(skipped.values())]));
  for (const datum of data) {
    const left = displaced.get(datum.kind) ?? 0;
    if (datum.kind === "unreadable") tally.skipped(datum.kind, "undecodable", 1);
    else if (refused.has(datum) || lackParams.has(datum)) tally.skipped(datum.kind, "refused", 1);
    else if (tooLarge.has(datum)) tally.skipped(datum.kind, "max-artifact-size", 1);
    else if (isEmpty(datum)) tally.skipped(datum.kind, "empty", 1);
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

/** What would become of files of the source that can all be read. */
export function filesReceiptOf(artifact: SourceArtifact): FilesReceipt {
  const tally = new Tally();
  if (artifact.kind === "source_files") tally.sent(artifact.kind, 1);
  else {
    for (const { files, missing } of artifact.embeddings) {
      const lacks = missing.find(({ role }) => role === "tensors")?.reason;
      if (files.some(({ role }) => role === "tensors")) tally.sent(artifact.kind, 1);
      else tally.skipped(artifact.kind, lacks ?? "in-checkpoint", 1);
    }
  }
  return { tally, notes: [], problems: [], complete: true };
}

/** For the quarantine. */
export function refusedValues(
  { scalars, data, parts }: Batch,
  { refused, refusedScalars, refusedParams }: Unstored,
): RefusedValue[] {
  const fileOf = (datum: Datum) => {
    const at = data.indexOf(datum);
    return parts.findLast(({ firstDatum }) => firstDatum <= at)?.file;
  };
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
    return { kind, tag, step, wallTime, value: undefined, file: fileOf(datum), offset, reason };
  });
  const ofParams = refusedParams.map(
    ({ name, datum, reason }): RefusedValue => ({
      kind: "hparams",
      tag: name,
      step: undefined,
      wallTime: datum?.wallTime,
      value: undefined,
      file: datum && fileOf(datum),
      offset: datum?.offset,
      reason,
    }),
  );
  return [...ofScalars, ...ofData, ...ofParams];
}

/**
 * Keep what W&B does not take.
 *
 * @throws TraceletError `rejected` if there is no place for it
 */
export async function setAside(values: readonly RefusedValue[], refuse: Refuse | undefined): Promise<Note> {
  const [{ kind, tag, step, reason }] = values as [RefusedValue];
  const at = step === undefined ? "" : ` at step ${step}`;
  const first = `${kind} ${JSON.stringify(tag.slice(0, MAX_SHOWN))}${at}: ${reason}`;
  if (refuse === undefined) throw new TraceletError("rejected", `W&B does not take a value: ${first}`);
  const file = await refuse(values);
  const message = `values that W&B does not take are set aside, and not sent again, in ${file} (the first: ${first})`;
  return { code: "quarantined", message };
}

/** What of a batch is stored otherwise than the source has it. */
export function notesOf({ scalars: { tags, step, length }, data }: Batch): Note[] {
  const mediaTags = data.flatMap((datum) => {
    if (datum.kind === "mesh") return datum.mesh;
    return MEDIA_KINDS.has(datum.kind) ? datum.tag : [];
  });
  const isRenamed = (tag: string) => keyOf(tag) !== tag;
  const renamed = new Set([...tags.filter(isRenamed), ...mediaTags.filter(isRenamed)]);
  const notes = Array.from(renamed, (tag): Note => {
    const message = `W&B has a meaning of its own for ${JSON.stringify(tag)}; it is stored as ${JSON.stringify(keyOf(tag))}`;
    return { code: "renamed", message };
  });
  const isLarge = (each: bigint) => each > LARGEST_SHOWN || each < -LARGEST_SHOWN;
  if (step.subarray(0, length).some(isLarge) || data.some((datum) => isLarge(datum.step))) {
    const message = "steps beyond 2^53 are sent as they are, and rounded on W&B's web page";
    notes.push({ code: "rounded", message });
  }
  return notes;
}
