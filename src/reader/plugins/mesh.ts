/** Meshes and point clouds: up to three tensors, each under a tag of its own. */
import type { MeshDatum } from "../datum.ts";
import { tensorboard } from "../proto/tensorboard.js";
import { type Body, type PluginValue, parse, tensorOf, UnreadableError } from "./plugin.ts";

const CONTENTS = ["undefined", "vertex", "face", "color"] as const;

/**
 * One tensor of a mesh, and from the metadata what it is. The mesh's name is the metadata's, as in TensorBoard; where it
 * has none, the tag without its ending.
 *
 * Source: tensorboard/plugins/mesh/metadata.py, mesh_plugin.py.
 *
 * @throws UnreadableError if there is no tensor of numbers or the metadata is none of this plugin; TensorError if the
 *   tensor cannot be decoded
 */
export function meshOfTensor(value: PluginValue): Body<MeshDatum> {
  const { MeshPluginData } = tensorboard.mesh;
  const data = parse((reader) => MeshPluginData.decode(reader), value.metadata.content, "MeshPluginData");
  const tensor = tensorOf(value);
  if (tensor.dtype === "string") throw new UnreadableError("the tensor is string; mesh needs numbers");
  return {
    kind: "mesh",
    mesh: data.name || value.tag.replace(/_(VERTEX|FACE|COLOR)$/, ""),
    content: CONTENTS[data.contentType] ?? "undefined",
    config: data.jsonConfig,
    tensor,
  };
}
