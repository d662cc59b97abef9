/**
 * Graphs → `graph/<tag>.pb`, the message as written, and `graph/<tag>.pbtxt`, which the artifact viewer shows as text; a
 * Keras model → `graph/<tag>.json`; what running a graph cost → `graph/<tag>.run_metadata.pb`. Of a tag with more than
 * one, those of later steps are `graph/<tag>@<step>…`.
 */

import { textFormat } from "../../encode/pbtxt.ts";
import type { GraphDatum } from "../../reader/datum.ts";
import type { Artifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";

const MESSAGE_TYPES: ReadonlyMap<GraphDatum["content"], string> = new Map([
  ["graph_def", "GraphDef"],
  ["meta_graph_def", "MetaGraphDef"],
]);
/** The text of what is larger would be more than the artifact viewer takes. */
const MAX_READABLE = 12 * 1024 * 1024;

/** The files of one graph. */
export function encodeGraphs({ tag, step, content, blobs }: GraphDatum, { paths }: MediaContext): Artifact[] {
  const directory = paths.directory("graph", tag);
  return blobs.flatMap((bytes, i) => {
    const stem = `${directory}${step === 0n && i === 0 ? "" : i === 0 ? `@${step}` : `@${step}-${i}`}`;
    if (content === "keras_model") return [{ path: `${stem}.json`, bytes }];
    const type = MESSAGE_TYPES.get(content);
    if (type === undefined) return [{ path: `${stem}.run_metadata.pb`, bytes }];
    const text = bytes.length <= MAX_READABLE ? textFormat(bytes, type) : undefined;
    const readable = text === undefined ? [] : [{ path: `${stem}.pbtxt`, bytes: Buffer.from(text) }];
    return [{ path: `${stem}.pb`, bytes }, ...readable];
  });
}
