/** Which values become values of rows, beside scalars. Loads nothing: a run of scalars needs only to know that it has none. */
import type { Datum, Kind } from "../../../reader/datum.ts";

export const MEDIA_KINDS: ReadonlySet<Kind> = new Set<Kind>([
  "audio",
  "histograms",
  "images",
  "mesh",
  "pr_curves",
  "text",
]);

/** Whether a value holds nothing that could be shown. */
export function isEmpty(datum: Datum): boolean {
  switch (datum.kind) {
    case "histograms":
      return datum.buckets.length === 0;
    case "images":
      return datum.images.length === 0;
    case "audio":
      return datum.clips.length === 0;
    case "pr_curves":
      return datum.numThresholds === 0;
    default:
      return false;
  }
}
