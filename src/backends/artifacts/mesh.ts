/**
 * Meshes and point clouds → `mesh/<name>/<step>-<i>.ply`, to download and open in any viewer of the format (MLflow's own
 * shows none): binary little-endian PLY 1.0, one file an element of the batch. The scene's three.js configuration is a
 * comment of its head. Tensors that make no mesh are kept as `.npy`.
 *
 * Source: http://paulbourke.net/dataformats/ply/; tensorboard/plugins/mesh/mesh_plugin.py.
 */

import { encodeNpy } from "../../encode/npy.ts";
import type { MeshDatum } from "../../reader/datum.ts";
import type { Artifact } from "./artifact.ts";
import { type MediaContext, stepName } from "./context.ts";
import { byteOf, type Rows, sceneOf } from "./mesh-scene.ts";

/** Files of one value, and bytes of their heads together, since each repeats the configuration; else it is kept as `.npy`. */
const MAX_FILES = 1000;
const MAX_HEADS = 16 * 1024 * 1024;

/**
 * The meshes among some values. One comes as up to three, which a writer puts into one record; all the values of that
 * record have to be among them.
 */
export function meshesOf(data: Iterable<MeshDatum>): MeshDatum[][] {
  const meshes = new Map<string, MeshDatum[]>();
  for (const datum of data) {
    const id = `${datum.offset} ${datum.mesh}`;
    const parts = meshes.get(id);
    if (parts) parts.push(datum);
    else meshes.set(id, [datum]);
  }
  return [...meshes.values()];
}

/** The files of one mesh. */
export function encodeMesh(parts: readonly MeshDatum[], { paths }: MediaContext): Artifact[] {
  const first = parts[0] as MeshDatum;
  const directory = paths.directory("mesh", first.mesh);
  const files = filesOf(parts);
  if (files) return files.map((bytes, i) => ({ path: `${directory}/${stepName(first, i)}.ply`, bytes }));
  return parts.flatMap(({ content, tensor }, i) => {
    // The reader lets no other tensor pass.
    if (tensor.dtype === "string") return [];
    return [{ path: `${directory}/${stepName(first, i)}-${content}.npy`, bytes: encodeNpy(tensor) }];
  });
}

/** One PLY an element of the batch; undefined if the tensors do not fit together. */
function filesOf(parts: readonly MeshDatum[]): Uint8Array[] | undefined {
  const scene = sceneOf(parts);
  if (scene === undefined) return undefined;
  const { points, corners, colors, config } = scene;
  const comment = config === "" ? [] : [`comment config ${asciiJson(config)}`];
  if (points.batch > MAX_FILES || points.batch * (comment[0]?.length ?? 0) > MAX_HEADS) return undefined;
  return Array.from({ length: points.batch }, (_, i) => ply(i, comment, points, corners, colors));
}

function ply(item: number, comment: readonly string[], points: Rows, corners?: Rows, colors?: Rows): Uint8Array {
  const coordinate = points.wide ? "double" : "float";
  const channels = ["red", "green", "blue", "alpha"].slice(0, colors?.width ?? 0);
  const head = [
    "ply",
    "format binary_little_endian 1.0",
    ...comment,
    `element vertex ${points.count}`,
    ...["x", "y", "z"].map((axis) => `property ${coordinate} ${axis}`),
    ...channels.map((channel) => `property uchar ${channel}`),
    ...(corners ? [`element face ${corners.count}`, "property list uchar int vertex_indices"] : []),
    "end_header\n",
  ].join("\n");
  const vertexSize = 3 * (points.wide ? 8 : 4) + channels.length;
  const faceSize = 1 + 4 * (corners?.width ?? 0);
  const bytes = Buffer.alloc(head.length + points.count * vertexSize + (corners?.count ?? 0) * faceSize);
  let at = bytes.write(head, "latin1");
  for (let row = item * points.count; row < (item + 1) * points.count; row++) {
    for (let axis = 0; axis < 3; axis++) {
      const value = Number(points.values[row * 3 + axis]);
      at = points.wide ? bytes.writeDoubleLE(value, at) : bytes.writeFloatLE(value, at);
    }
    for (let i = 0; i < channels.length; i++) {
      at = bytes.writeUInt8(byteOf(colors?.values[row * channels.length + i]), at);
    }
  }
  if (!corners) return bytes;
  for (let row = item * corners.count; row < (item + 1) * corners.count; row++) {
    at = bytes.writeUInt8(corners.width, at);
    for (let i = 0; i < corners.width; i++) {
      at = bytes.writeInt32LE(Number(corners.values[row * corners.width + i]), at);
    }
  }
  return bytes;
}

/** One line of ASCII: a comment ends where the line does. */
function asciiJson(config: string): string {
  let value: unknown = config;
  try {
    value = JSON.parse(config);
  } catch {
    // Then it is kept as the text it is.
  }
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, escaped);
}
