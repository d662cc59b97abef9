/** A batch's data → the files that show them. One line a kind; what has none here is not sent. */
import type { Datum, Kind } from "../../../reader/datum.ts";
import type { Line, Segment } from "../../../sync/backend.ts";
import type { Artifact, FileArtifact } from "../artifacts.ts";
import { encodeAudio } from "./audio.ts";
import type { MediaContext } from "./context.ts";
import { encodeCustomScalars } from "./custom-scalars.ts";
import { encodeGraphs } from "./graphs.ts";
import { encodeHistograms } from "./histograms.ts";
import { encodeHparams } from "./hparams.ts";
import { encodeImages } from "./images.ts";
import { encodeLogged } from "./logged.ts";
import { encodeMesh, meshesOf } from "./mesh.ts";
import { encodePrCurves } from "./pr-curves.ts";
import { encodeTensor } from "./tensors.ts";
import { encodeText } from "./text.ts";

/** The files that show a value, or several that share them: stored all together or not at all. */
export interface Encoded {
  readonly data: readonly Datum[];
  readonly artifacts: readonly (Artifact | FileArtifact)[];
}

type Encoder = (data: readonly Datum[], context: MediaContext) => Encoded[] | Promise<Encoded[]>;

const ENCODERS: ReadonlyMap<Kind, Encoder> = new Map<Kind, Encoder>([
  ["images", each("images", (datum, context) => encodeImages(datum, context))],
  ["audio", each("audio", encodeAudio)],
  ["text", each("text", encodeText)],
  ["graphs", each("graphs", encodeGraphs)],
  [
    "mesh",
    (data, context) =>
      meshesOf(only("mesh", data)).map((parts) => ({ data: parts, artifacts: encodeMesh(parts, context) })),
  ],
  ["custom_scalars", each("custom_scalars", encodeCustomScalars)],
  ["hparams", each("hparams", encodeHparams)],
  ["tensors", each("tensors", encodeTensor)],
  ["artifacts", each("artifacts", encodeLogged)],
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
  for (const [kind, encode] of ENCODERS) {
    const ofKind = data.filter((datum) => datum.kind === kind);
    if (ofKind.length > 0) yield [kind, await encode(ofKind, context)];
  }
}

function each<K extends Datum["kind"]>(
  kind: K,
  encode: (
    datum: Extract<Datum, { kind: K }>,
    context: MediaContext,
  ) => Encoded["artifacts"] | Promise<Encoded["artifacts"]>,
): Encoder {
  return async (data, context) => {
    const encoded: Encoded[] = [];
    for (const datum of only(kind, data)) encoded.push({ data: [datum], artifacts: await encode(datum, context) });
    return encoded;
  };
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

function only<K extends Datum["kind"]>(kind: K, data: readonly Datum[]): Extract<Datum, { kind: K }>[] {
  return data.filter((datum): datum is Extract<Datum, { kind: K }> => datum.kind === kind);
}
