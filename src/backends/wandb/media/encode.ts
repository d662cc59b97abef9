/** A value → files and values of rows. One line a kind. */
import type { Datum } from "../../../reader/datum.ts";
import { encodeAudio } from "./audio.ts";
import type { Encoded, Unstorable } from "./encoded.ts";
import { encodeHistogram } from "./histograms.ts";
import { encodeImages } from "./images.ts";
import { encodePrCurve } from "./pr-curves.ts";
import { encodeText } from "./text.ts";

/** Undefined for a kind that becomes no value of a row. */
export function encode(datum: Datum): Encoded | Unstorable | undefined {
  switch (datum.kind) {
    case "histograms":
      return encodeHistogram(datum);
    case "images":
      return encodeImages(datum);
    case "audio":
      return encodeAudio(datum);
    case "text":
      return encodeText(datum);
    case "pr_curves":
      return encodePrCurve(datum);
    default:
      return undefined;
  }
}
