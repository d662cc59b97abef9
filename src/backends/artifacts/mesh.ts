/**
 * Meshes and point clouds → `mesh/<name>/<step>-<i>.ply`, to download and open in any viewer of the format (MLflow's own
 * shows none): binary little-endian PLY 1.0, one file an element of the batch. The scene's three.js configuration is a
 * comment of its head. Tensors that make no mesh are kept as `.npy`.
 *
 * Source: http://paulbourke.net/dataformats/ply/; tensorboard/plugins/mesh/mesh_plugin.py.
 */

import { encodeNpy } from "../../encode/npy.ts";
import type { MeshDatum } from "../../reader/datum.ts";
import type { Tensor } from "../../reader/tensor.ts";
import type { Artifact } from "./artifact.ts";
import { type MediaContext, stepName } from "./context.ts";

/** A batch of lists: entry `i` of element `b` begins at `(b * count + i) * width`. */
interface Rows {
  readonly batch: number;
  readonly count: number;
  readonly width: number;
  readonly values: ArrayLike<number | bigint>;
  /** Whether a float32 may not hold them. */
  readonly wide: boolean;
}

/** Files of one value, and bytes of their heads together, since each repeats the configuration; else it is kept as `.npy`. */
const MAX_FILES = 1000;
const MAX_HEADS = 16 * 1024 * 1024;

const WIDE: ReadonlySet<Tensor["dtype"]> = new Set(["float64", "int32", "qint32", "uint32", "int64", "uint64"]);

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
  const byContent = new Map(parts.map((part) => [part.content, part]));
  const vertex = byContent.get("vertex");
  if (vertex === undefined || byContent.size !== parts.length || byContent.has("undefined")) return undefined;
  const [points, corners, colors] = [vertex, byContent.get("face"), byContent.get("color")].map((part) =>
    part === undefined ? undefined : (rowsOf(part.tensor) ?? NO_ROWS),
  );
  if (points?.width !== 3) return undefined;
  if (corners && (corners.batch !== points.batch || !areFaces(corners))) return undefined;
  if (colors && (colors.batch !== points.batch || colors.count !== points.count || !isColor(colors))) return undefined;
  const comment = vertex.config === "" ? [] : [`comment config ${asciiJson(vertex.config)}`];
  if (points.batch > MAX_FILES || points.batch * (comment[0]?.length ?? 0) > MAX_HEADS) return undefined;
  return Array.from({ length: points.batch }, (_, i) => ply(i, comment, points, corners, colors));
}

const NO_ROWS: Rows = { batch: -1, count: 0, width: 0, values: [], wide: false };

/** Undefined for a tensor that is no list, or batch of lists, of points. */
function rowsOf({ shape, dtype, data }: Tensor): Rows | undefined {
  if (dtype === "string" || dtype.startsWith("complex") || shape.length < 2 || shape.length > 3) return undefined;
  const [batch = 1, count = 0, width = 0] = shape.length === 3 ? shape : [1, ...shape];
  return { batch, count, width, values: data as ArrayLike<number | bigint>, wide: WIDE.has(dtype) };
}

function isColor({ width }: Rows): boolean {
  return width === 3 || width === 4;
}

/** PLY counts the corners with 8 bits here, and the vertices with 32. */
function areFaces({ width, values }: Rows): boolean {
  if (width < 3 || width > 255) return false;
  for (let i = 0; i < values.length; i++) {
    const index = Number(values[i]);
    if (!Number.isInteger(index) || Math.abs(index) >= 2 ** 31) return false;
  }
  return true;
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

/** TensorBoard takes colors as 0 to 255, whatever the dtype. */
function byteOf(value: number | bigint | undefined): number {
  const number = Math.round(Number(value));
  return number >= 0 ? Math.min(number, 255) : 0;
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
