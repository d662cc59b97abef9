/**
 * Meshes → binary glTF, point clouds → W&B's own JSON, under `media/object3D`: one element of a batch as `object3D-file`,
 * several as `object3D`. What neither of them can hold stays a file of the run.
 *
 * Source: wandb/sdk/data_types/object_3d.py.
 */
import { encodeGlb } from "../../../encode/glb.ts";
import type { MeshDatum } from "../../../reader/datum.ts";
import { byteOf, type Scene, sceneOf } from "../../artifacts/mesh-scene.ts";
import { type JsonValue, jsonText } from "../json.ts";
import { type Encoded, inLists } from "./encoded.ts";
import { fieldsOf, type MediaFile, mediaFile } from "./media-file.ts";

/** What file names begin with in a value of several. */
const FOLDER = "media/object3D/";

/** The parts of one mesh; undefined if they make none that W&B could show. */
export function encodeMesh(parts: readonly MeshDatum[]): Encoded | undefined {
  const scene = sceneOf(parts);
  const [first] = parts;
  if (scene === undefined || first === undefined || !isShown(scene)) return undefined;
  const named = { tag: first.mesh, step: first.step };
  const files = Array.from({ length: scene.points.batch }, (_, item) => {
    if (scene.corners !== undefined) return mediaFile("object3D", named, glbOf(scene, item), "glb");
    return mediaFile("object3D", named, Buffer.from(jsonText(cloudOf(scene, item))), "pts.json");
  });
  // Of a cloud, how it is to be drawn has no place in its file.
  const isApart = scene.config !== "" && scene.corners === undefined;
  const config = isApart ? [mediaFile("object3D", named, Buffer.from(scene.config), "config.json")] : [];
  return { files: [...files, ...config], values: inLists(files).map(valueOf) };
}

function valueOf(files: readonly MediaFile[]): string {
  const objects = files.map((file): JsonValue => ({ _type: "object3D-file", ...fieldsOf(file) }));
  if (objects.length === 1) return jsonText(objects[0] as JsonValue);
  const filenames = files.map(({ path }) => path.slice(FOLDER.length));
  return jsonText({ _type: "object3D", filenames, count: objects.length, objects });
}

/** Neither format knows points that are nowhere, or corners that are no point's. */
function isShown({ points, corners }: Scene): boolean {
  if (points.batch === 0 || points.count === 0) return false;
  for (let i = 0; i < points.values.length; i++)
    if (!Number.isFinite(Math.fround(Number(points.values[i])))) return false;
  for (let i = 0; i < (corners?.values.length ?? 0); i++) {
    const index = Number(corners?.values[i]);
    if (index < 0 || index >= points.count) return false;
  }
  return corners === undefined || corners.count > 0;
}

/** `[[x, y, z], …]`, or `[[x, y, z, r, g, b], …]`. */
function cloudOf({ points, colors }: Scene, item: number): JsonValue {
  return Array.from({ length: points.count }, (_, i) => {
    const row = item * points.count + i;
    const place = [0, 1, 2].map((axis) => Number(points.values[3 * row + axis]));
    if (colors === undefined) return place;
    return [...place, ...[0, 1, 2].map((channel) => byteOf(colors.values[colors.width * row + channel]))];
  });
}

/** Faces of more than three corners are fans of triangles. */
function glbOf({ points, corners, colors, config }: Scene, item: number): Uint8Array {
  const { count } = points;
  const positions = Float32Array.from({ length: 3 * count }, (_, i) => Number(points.values[3 * item * count + i]));
  const channels =
    colors &&
    Uint8Array.from({ length: 4 * count }, (_, i) => {
      const [point, channel] = [i >> 2, i & 3];
      const at = colors.width * (item * count + point) + channel;
      return channel < colors.width ? byteOf(colors.values[at]) : 255;
    });
  const indices: number[] = [];
  for (let face = 0; corners !== undefined && face < corners.count; face++) {
    const start = corners.width * (item * corners.count + face);
    const corner = (i: number) => Number(corners.values[start + i]);
    for (let i = 2; i < corners.width; i++) indices.push(corner(0), corner(i - 1), corner(i));
  }
  const extras = config === "" ? undefined : config;
  return encodeGlb({ positions, colors: channels, indices: Uint32Array.from(indices), extras });
}
