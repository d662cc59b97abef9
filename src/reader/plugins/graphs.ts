/** Graphs, and what running them cost: serialized messages that nobody here looks into. */
import type { GraphDatum, TagMetadata } from "../datum.ts";
import { type Body, type PluginDecoder, type PluginValue, stringsOf } from "./plugin.ts";

/** Tag of a graph that stands in an event of its own. Source: tensorboard/plugins/graph/metadata.py. */
export const RUN_GRAPH_TAG = "__run_graph__";
/** Tag of a `MetaGraphDef`, which TensorBoard shows under none. */
export const META_GRAPH_TAG = "__meta_graph__";

/** Metadata of a graph that stands in an event of its own. Source: tensorboard/dataclass_compat.py. */
export const RUN_GRAPH_METADATA: TagMetadata = metadataOf("graphs");
/** Metadata of an event's `tagged_run_metadata`. Source: tensorboard/dataclass_compat.py. */
export const TAGGED_RUN_METADATA: TagMetadata = metadataOf("graph_tagged_run_metadata");

/** What the values of each plugin name hold. Source: tensorboard/plugins/graph/metadata.py. */
export const GRAPH_PLUGINS: ReadonlyMap<string, GraphDatum["content"]> = new Map([
  ["graphs", "graph_def"],
  ["graph_run_metadata", "run_metadata"],
  ["graph_run_metadata_graph", "run_metadata_graph"],
  ["graph_tagged_run_metadata", "run_metadata"],
  ["graph_keras_model", "keras_model"],
]);

/**
 * The decoder of one of `GRAPH_PLUGINS`: a tensor of serialized messages, mostly a single one.
 *
 * Source: `_migrate_graph_sub_plugin_value` of tensorboard/dataclass_compat.py.
 */
export function graphDecoder(content: GraphDatum["content"]): PluginDecoder {
  return (value: PluginValue): Body<GraphDatum> => ({ kind: "graphs", content, blobs: stringsOf(value).data });
}

/** A message that stands in an event of its own. */
export function graphOfEvent(content: GraphDatum["content"], blob: Uint8Array): Body<GraphDatum> {
  return { kind: "graphs", content, blobs: [blob] };
}

function metadataOf(plugin: string): TagMetadata {
  return { plugin, displayName: "", description: "", dataClass: 3, content: new Uint8Array() };
}
