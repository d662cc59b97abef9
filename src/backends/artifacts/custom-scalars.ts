/**
 * The layout of the custom scalars page → `custom_scalars/<tag>.json`, readable in the artifact viewer: protobuf's JSON of
 * a `Layout`, so that `json_format` turns it into one again. A later layout replaces it, as in TensorBoard.
 *
 * Source: tensorboard/plugins/custom_scalar/layout.proto.
 */

import { type Json, readableJson } from "../../encode/json.ts";
import type { CustomScalarsChart, CustomScalarsDatum } from "../../reader/datum.ts";
import type { Artifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";

/** The file of a layout. */
export function encodeCustomScalars(datum: CustomScalarsDatum, { paths }: MediaContext): Artifact[] {
  const category = datum.categories.map(({ title, closed, charts }) => ({ title, closed, chart: charts.map(chartOf) }));
  return [{ path: paths.file("custom_scalars", datum.tag, "json"), bytes: readableJson({ category }) }];
}

function chartOf({ title, tags, margins }: CustomScalarsChart): Json {
  // One or the other: the message holds a oneof.
  if (margins.length > 0) return { title, margin: { series: margins.map((series) => ({ ...series })) } };
  return { title, multiline: { tag: tags } };
}
