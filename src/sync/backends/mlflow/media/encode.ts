/** A batch's data → the files that show them. One line a kind; what has none here is not sent. */
import type { Datum, Kind } from "../../../../reader/datum.ts";
import type { Artifact } from "../artifacts.ts";
import { encodeAudio } from "./audio.ts";
import type { MediaContext } from "./context.ts";
import { encodeCustomScalars } from "./custom-scalars.ts";
import { encodeGraphs } from "./graphs.ts";
import { encodeHistograms } from "./histograms.ts";
import { encodeHparams } from "./hparams.ts";
import { encodeImages } from "./images.ts";
import { encodeMeshes } from "./mesh.ts";
import { encodePrCurves } from "./pr-curves.ts";
import { encodeTensor } from "./tensors.ts";
import { encodeText } from "./text.ts";

type Encoder = (data: readonly Datum[], context: MediaContext) => Artifact[] | Promise<Artifact[]>;

const ENCODERS: ReadonlyMap<Kind, Encoder> = new Map<Kind, Encoder>([
  ["images", each("images", (datum, context) => encodeImages(datum, context))],
  ["audio", each("audio", encodeAudio)],
  ["text", each("text", encodeText)],
  ["histograms", (data, { segment }) => [encodeHistograms(only("histograms", data), segment)]],
  ["pr_curves", (data, { segment }) => [encodePrCurves(only("pr_curves", data), segment)]],
  ["graphs", each("graphs", encodeGraphs)],
  ["mesh", (data, context) => encodeMeshes(only("mesh", data), context)],
  ["custom_scalars", each("custom_scalars", encodeCustomScalars)],
  ["hparams", each("hparams", encodeHparams)],
  ["tensors", each("tensors", encodeTensor)],
]);

/** Whether values of a kind become files. */
export function isEncoded(kind: Kind): boolean {
  return ENCODERS.has(kind);
}

/** The files of a batch's data, kind by kind, made as they are asked for: not all of them are held at once. */
export async function* encodeData(data: readonly Datum[], context: MediaContext): AsyncGenerator<Artifact[]> {
  for (const [kind, encode] of ENCODERS) {
    const ofKind = data.filter((datum) => datum.kind === kind);
    if (ofKind.length > 0) yield await encode(ofKind, context);
  }
}

function each<K extends Datum["kind"]>(
  kind: K,
  encode: (datum: Extract<Datum, { kind: K }>, context: MediaContext) => Artifact[] | Promise<Artifact[]>,
): Encoder {
  return async (data, context) => {
    const artifacts: Artifact[] = [];
    for (const datum of only(kind, data)) artifacts.push(...(await encode(datum, context)));
    return artifacts;
  };
}

function only<K extends Datum["kind"]>(kind: K, data: readonly Datum[]): Extract<Datum, { kind: K }>[] {
  return data.filter((datum): datum is Extract<Datum, { kind: K }> => datum.kind === kind);
}
