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
import { encodeMesh, meshesOf } from "./mesh.ts";
import { encodePrCurves } from "./pr-curves.ts";
import { encodeTensor } from "./tensors.ts";
import { encodeText } from "./text.ts";

/** The files that show a value, or several that share them: stored all together or not at all. */
export interface Encoded {
  readonly data: readonly Datum[];
  readonly artifacts: readonly Artifact[];
}

type Encoder = (data: readonly Datum[], context: MediaContext) => Encoded[] | Promise<Encoded[]>;

const ENCODERS: ReadonlyMap<Kind, Encoder> = new Map<Kind, Encoder>([
  ["images", each("images", (datum, context) => encodeImages(datum, context))],
  ["audio", each("audio", encodeAudio)],
  ["text", each("text", encodeText)],
  ["histograms", together("histograms", (data, { segment }) => encodeHistograms(data, segment))],
  ["pr_curves", together("pr_curves", (data, { segment }) => encodePrCurves(data, segment))],
  ["graphs", each("graphs", encodeGraphs)],
  [
    "mesh",
    (data, context) =>
      meshesOf(only("mesh", data)).map((parts) => ({ data: parts, artifacts: encodeMesh(parts, context) })),
  ],
  ["custom_scalars", each("custom_scalars", encodeCustomScalars)],
  ["hparams", each("hparams", encodeHparams)],
  ["tensors", each("tensors", encodeTensor)],
]);

/** Whether values of a kind become files. */
export function isEncoded(kind: Kind): boolean {
  return ENCODERS.has(kind);
}

/** The files of a batch's data, kind by kind, made as they are asked for: not all of them are held at once. */
export async function* encodeData(
  data: readonly Datum[],
  context: MediaContext,
): AsyncGenerator<readonly [Kind, readonly Encoded[]]> {
  for (const [kind, encode] of ENCODERS) {
    const ofKind = data.filter((datum) => datum.kind === kind);
    if (ofKind.length > 0) yield [kind, await encode(ofKind, context)];
  }
}

function each<K extends Datum["kind"]>(
  kind: K,
  encode: (datum: Extract<Datum, { kind: K }>, context: MediaContext) => Artifact[] | Promise<Artifact[]>,
): Encoder {
  return async (data, context) => {
    const encoded: Encoded[] = [];
    for (const datum of only(kind, data)) encoded.push({ data: [datum], artifacts: await encode(datum, context) });
    return encoded;
  };
}

function together<K extends Datum["kind"]>(
  kind: K,
  encode: (data: readonly Extract<Datum, { kind: K }>[], context: MediaContext) => Artifact,
): Encoder {
  return (data, context) => [{ data, artifacts: [encode(only(kind, data), context)] }];
}

function only<K extends Datum["kind"]>(kind: K, data: readonly Datum[]): Extract<Datum, { kind: K }>[] {
  return data.filter((datum): datum is Extract<Datum, { kind: K }> => datum.kind === kind);
}
