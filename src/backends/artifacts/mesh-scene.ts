/** The tensors of a mesh or a point cloud, as far as they fit together. */
import type { MeshDatum } from "../../reader/datum.ts";
import type { Tensor } from "../../reader/tensor.ts";

/** A batch of lists: entry `i` of element `b` begins at `(b * count + i) * width`. */
export interface Rows {
  readonly batch: number;
  readonly count: number;
  readonly width: number;
  readonly values: ArrayLike<number | bigint>;
  /** Whether a float32 may not hold them. */
  readonly wide: boolean;
}

export interface Scene {
  /** Three coordinates each. */
  readonly points: Rows;
  /** Of each face, the numbers of its points. */
  readonly corners: Rows | undefined;
  /** Three or four channels of each point, 0 to 255. */
  readonly colors: Rows | undefined;
  /** The three.js configuration, JSON; empty where none was given. */
  readonly config: string;
}

const WIDE: ReadonlySet<Tensor["dtype"]> = new Set(["float64", "int32", "qint32", "uint32", "int64", "uint64"]);

/** Undefined if the parts of a mesh do not fit together. */
export function sceneOf(parts: readonly MeshDatum[]): Scene | undefined {
  const byContent = new Map(parts.map((part) => [part.content, part]));
  const vertex = byContent.get("vertex");
  if (vertex === undefined || byContent.size !== parts.length || byContent.has("undefined")) return undefined;
  const [points, corners, colors] = [vertex, byContent.get("face"), byContent.get("color")].map((part) =>
    part === undefined ? undefined : (rowsOf(part.tensor) ?? NO_ROWS),
  );
  if (points?.width !== 3) return undefined;
  if (corners && (corners.batch !== points.batch || !areFaces(corners))) return undefined;
  if (colors && (colors.batch !== points.batch || colors.count !== points.count || !isColor(colors))) return undefined;
  return { points, corners, colors, config: vertex.config };
}

/** TensorBoard takes colors as 0 to 255, whatever the dtype. */
export function byteOf(value: number | bigint | undefined): number {
  const number = Math.round(Number(value));
  return number >= 0 ? Math.min(number, 255) : 0;
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

/** PLY counts the corners with 8 bits, and the vertices with 32. */
function areFaces({ width, values }: Rows): boolean {
  if (width < 3 || width > 255) return false;
  for (let i = 0; i < values.length; i++) {
    const index = Number(values[i]);
    if (!Number.isInteger(index) || Math.abs(index) >= 2 ** 31) return false;
  }
  return true;
}
