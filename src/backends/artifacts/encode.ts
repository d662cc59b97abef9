/** A batch's data → the files that show them, for the kinds that are nothing but files at every destination. */
import type { Datum, Kind } from "../../reader/datum.ts";
import type { Segment } from "../../sync/backend.ts";
import type { Artifact, FileArtifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";
import { encodeCustomScalars } from "./custom-scalars.ts";
import { encodeGraphs } from "./graphs.ts";
import { encodeHparams } from "./hparams.ts";
import { encodeLogged } from "./logged.ts";
import { encodeMesh, meshesOf } from "./mesh.ts";
import { encodeTensor } from "./tensors.ts";

/** The files that show a value, or several that share them: stored all together or not at all. */
export interface Encoded {
  readonly data: readonly Datum[];
  readonly artifacts: readonly (Artifact | FileArtifact)[];
}

export type Encoder = (data: readonly Datum[], context: MediaContext) => Encoded[] | Promise<Encoded[]>;

/** What a destination makes files of. */
export interface Encoders {
  /** Whether values of a kind become files. */
  isEncoded(kind: Kind): boolean;
  /** The files of a batch's data, kind by kind, made as they are asked for: not all of them are held at once. */
  encodeData(
    data: readonly Datum[],
    segments: readonly Segment[],
    context: MediaContext,
  ): AsyncIterable<readonly [Kind, readonly Encoded[]]>;
}

export const MESH_ENCODER: readonly [Kind, Encoder] = [
  "mesh",
  (data, context) =>
    meshesOf(only("mesh", data)).map((parts) => ({ data: parts, artifacts: encodeMesh(parts, context) })),
];

export const FILE_ENCODERS: readonly (readonly [Kind, Encoder])[] = [
  ["graphs", each("graphs", encodeGraphs)],
  ["custom_scalars", each("custom_scalars", encodeCustomScalars)],
  ["hparams", each("hparams", encodeHparams)],
  ["tensors", each("tensors", encodeTensor)],
  ["artifacts", each("artifacts", encodeLogged)],
];

/** The files of the kinds that there are encoders for. */
export async function* encodeKinds(
  encoders: Iterable<readonly [Kind, Encoder]>,
  data: readonly Datum[],
  context: MediaContext,
): AsyncGenerator<readonly [Kind, readonly Encoded[]]> {
  for (const [kind, encode] of encoders) {
    const ofKind = data.filter((datum) => datum.kind === kind);
    if (ofKind.length > 0) yield [kind, await encode(ofKind, context)];
  }
}

/** An encoder of values that have files of their own each. */
export function each<K extends Datum["kind"]>(
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

export function only<K extends Datum["kind"]>(kind: K, data: readonly Datum[]): Extract<Datum, { kind: K }>[] {
  return data.filter((datum): datum is Extract<Datum, { kind: K }> => datum.kind === kind);
}
