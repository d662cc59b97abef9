/** A batch's data → the files that show them. One line a kind; what has none here is not sent. */
import type { Datum, Kind } from "../../../reader/datum.ts";
import type { Line, Segment } from "../../../sync/backend.ts";
import type { MediaContext } from "../../artifacts/context.ts";
import {
  type Encoded,
  type Encoder,
  each,
  encodeKinds,
  FILE_ENCODERS,
  MESH_ENCODER,
  only,
} from "../../artifacts/encode.ts";
import { encodeAudio } from "./audio.ts";
import { encodeHistograms } from "./histograms.ts";
import { encodeImages } from "./images.ts";
import { encodePrCurves } from "./pr-curves.ts";
import { encodeText } from "./text.ts";

const ENCODERS: ReadonlyMap<Kind, Encoder> = new Map<Kind, Encoder>([
  ["images", each("images", (datum, context) => encodeImages(datum, context))],
  ["audio", each("audio", encodeAudio)],
  ["text", each("text", encodeText)],
  MESH_ENCODER,
  ...FILE_ENCODERS,
]);

/** Kinds whose values are lines of their segments. */
const LINES = {
  histograms: (data: readonly Line[], name: string) => encodeHistograms(only("histograms", data), name),
  pr_curves: (data: readonly Line[], name: string) => encodePrCurves(only("pr_curves", data), name),
} as const;

/** Whether values of a kind become files. */
export function isEncoded(kind: Kind): boolean {
  return ENCODERS.has(kind) || kind in LINES;
}

/** The files of a batch's data, kind by kind, made as they are asked for: not all of them are held at once. */
export async function* encodeData(
  data: readonly Datum[],
  segments: readonly Segment[],
  context: MediaContext,
): AsyncGenerator<readonly [Kind, readonly Encoded[]]> {
  const fresh = new Set(data);
  for (const kind of ["histograms", "pr_curves"] as const) {
    for (const segment of segments) {
      const lines = segment.data.filter((line) => line.kind === kind);
      if (lines.length === 0) continue;
      // Those of earlier batches have been counted with them.
      yield [
        kind,
        [{ data: lines.filter((line) => fresh.has(line)), artifacts: [LINES[kind](lines, nameOf(segment))] }],
      ];
    }
  }
  yield* encodeKinds(ENCODERS, data, context);
}

/** Safe as a part of a path, and as short as it can be read. */
function nameOf({ key, start, part }: Segment): string {
  return `${shortKey(key)}-${start}${part === "" ? "" : `-${part}`}`;
}

/** Of files that begin alike each has a number. */
function shortKey(key: string): string {
  const [hash = "", number] = key.split(".");
  return hash.slice(0, 8) + (number === undefined ? "" : `.${number}`);
}
