/**
 * A mesh of triangles as binary glTF 2.0, which 3D viewers of web pages show.
 *
 * Source: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, 4.4.
 */

export interface Triangles {
  /** Three coordinates a point. */
  readonly positions: Float32Array;
  /** Red, green, blue and alpha of each point. */
  readonly colors: Uint8Array | undefined;
  /** Numbers of points, three a triangle. */
  readonly indices: Uint32Array;
  /** JSON that travels with it, and means nothing to viewers. */
  readonly extras: string | undefined;
}

const [MAGIC, VERSION] = [0x46546c67, 2];
const [JSON_CHUNK, BINARY_CHUNK] = [0x4e4f534a, 0x004e4942];
const HEAD_BYTES = 12;
const CHUNK_HEAD_BYTES = 8;
/** Constants of OpenGL. */
const [FLOAT, UNSIGNED_BYTE, UNSIGNED_INT, TRIANGLES] = [5126, 5121, 5125, 4];
const [VERTICES, INDICES] = [34962, 34963];

export function encodeGlb({ positions, colors, indices, extras }: Triangles): Uint8Array {
  const count = positions.length / 3;
  // All of them are multiples of four bytes, as chunks have to be.
  const parts = [positions, ...(colors === undefined ? [] : [colors]), indices];
  const lengths = parts.map(({ byteLength }) => byteLength);
  const starts = lengths.map((_, i) => sum(lengths.slice(0, i)));
  const targets = [VERTICES, ...(colors === undefined ? [] : [VERTICES]), INDICES];
  const scene = {
    asset: { version: "2.0", generator: "tracelet" },
    ...(extras !== undefined && { extras: { tensorboard: extras } }),
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ mesh: 0 }],
    materials: [{ doubleSided: true, pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 1 } }],
    meshes: [
      {
        primitives: [
          {
            attributes: { POSITION: 0, ...(colors !== undefined && { COLOR_0: 1 }) },
            indices: parts.length - 1,
            material: 0,
            mode: TRIANGLES,
          },
        ],
      },
    ],
    accessors: [
      { bufferView: 0, componentType: FLOAT, count, type: "VEC3", ...boundsOf(positions) },
      ...(colors === undefined
        ? []
        : [{ bufferView: 1, componentType: UNSIGNED_BYTE, normalized: true, count, type: "VEC4" }]),
      { bufferView: parts.length - 1, componentType: UNSIGNED_INT, count: indices.length, type: "SCALAR" },
    ],
    bufferViews: parts.map((_, i) => ({
      buffer: 0,
      byteOffset: starts[i],
      byteLength: lengths[i],
      target: targets[i],
    })),
    buffers: [{ byteLength: sum(lengths) }],
  };
  const text = Buffer.from(JSON.stringify(scene));
  // Spaces fill it up.
  const json = Buffer.concat([text, Buffer.alloc(-text.length & 3, " ")]);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(VERSION, 4);
  head.writeUInt32LE(HEAD_BYTES + 2 * CHUNK_HEAD_BYTES + json.length + sum(lengths), 8);
  return Buffer.concat([
    head,
    chunkHead(json.length, JSON_CHUNK),
    json,
    chunkHead(sum(lengths), BINARY_CHUNK),
    ...parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  ]);
}

function chunkHead(length: number, type: number): Buffer {
  const head = Buffer.alloc(CHUNK_HEAD_BYTES);
  head.writeUInt32LE(length, 0);
  head.writeUInt32LE(type, 4);
  return head;
}

function boundsOf(positions: Float32Array): { readonly min: number[]; readonly max: number[] } {
  const [min, max] = [
    [Infinity, Infinity, Infinity],
    [-Infinity, -Infinity, -Infinity],
  ];
  for (let i = 0; i < positions.length; i++) {
    const [axis, value] = [i % 3, positions[i] as number];
    min[axis] = Math.min(min[axis] as number, value);
    max[axis] = Math.max(max[axis] as number, value);
  }
  return { min, max };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}
