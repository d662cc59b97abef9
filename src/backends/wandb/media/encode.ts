/** A value → files and values of rows. One line a kind. */
import type { Datum, MeshDatum } from "../../../reader/datum.ts";
import { meshesOf } from "../../artifacts/mesh.ts";
import { encodeAudio } from "./audio.ts";
import type { Encoded, Unstorable } from "./encoded.ts";
import { encodeHistogram } from "./histograms.ts";
import { encodeImages } from "./images.ts";
import { encodeMesh } from "./mesh.ts";
import { encodePrCurve } from "./pr-curves.ts";
import { encodeText } from "./text.ts";

/** What is one value of a row each: a datum, or those that a mesh is made of. */
export function groupsOf(data: readonly Datum[]): (readonly [Datum, ...Datum[]])[] {
  const isMesh = (datum: Datum): datum is MeshDatum => datum.kind === "mesh";
  const meshes = new Map(meshesOf(data.filter(isMesh)).map((parts) => [parts[0] as Datum, parts as Datum[]]));
  return data.flatMap((datum) => {
    if (!isMesh(datum)) return [[datum]];
    const [first, ...others] = meshes.get(datum) ?? [];
    return first === undefined ? [] : [[first, ...others]];
  });
}

/** Undefined for what becomes no value of a row. */
export function encode(group: readonly [Datum, ...Datum[]]): Encoded | Unstorable | undefined {
  const [datum] = group;
  switch (datum.kind) {
    case "mesh":
      return encodeMesh(group.filter((part): part is MeshDatum => part.kind === "mesh"));
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
