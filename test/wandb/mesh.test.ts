import { describe, expect, test } from "vitest";
import { encodeMesh } from "../../src/backends/wandb/media/mesh.ts";
import type { MeshDatum } from "../../src/reader/datum.ts";

const METADATA = { plugin: "mesh", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };

function part(
  content: MeshDatum["content"],
  shape: readonly number[],
  values: readonly number[],
  config = "",
): MeshDatum {
  const tensor = { dtype: "float32", shape, data: Float32Array.from(values) } as const;
  const base = { tag: `m_${content}`, step: 5n, wallTime: 1, offset: 0, metadata: METADATA };
  return { ...base, kind: "mesh", mesh: "scene/m", content, config, tensor };
}

interface Gltf {
  readonly accessors: readonly {
    readonly bufferView: number;
    readonly count: number;
    readonly componentType: number;
  }[];
  readonly bufferViews: readonly { readonly byteOffset: number; readonly byteLength: number }[];
  readonly meshes: readonly [
    { readonly primitives: readonly [{ readonly attributes: Record<string, number>; readonly indices: number }] },
  ];
}

/** As the specification has it: a head of 12 bytes, then chunks of length, type and content. */
function readGlb(bytes: Uint8Array): { readonly gltf: Gltf; numbersOf(accessor: number | undefined): number[] } {
  const file = Buffer.from(bytes);
  expect([file.toString("latin1", 0, 4), file.readUInt32LE(4), file.readUInt32LE(8)]).toEqual(["glTF", 2, file.length]);
  const length = file.readUInt32LE(12);
  expect([file.toString("latin1", 16, 20), length % 4]).toEqual(["JSON", 0]);
  const gltf = JSON.parse(file.toString("utf8", 20, 20 + length)) as Gltf;
  expect(file.toString("latin1", 24 + length, 28 + length)).toBe("BIN\0");
  const binary = file.subarray(28 + length);
  expect(binary).toHaveLength(file.readUInt32LE(20 + length));
  return {
    gltf,
    numbersOf(accessor = -1) {
      const { bufferView, componentType } = gltf.accessors[accessor] as Gltf["accessors"][number];
      const { byteOffset, byteLength } = gltf.bufferViews[bufferView] as Gltf["bufferViews"][number];
      const view = binary.subarray(byteOffset, byteOffset + byteLength);
      if (componentType === 5121) return [...view];
      return Array.from({ length: byteLength / 4 }, (_, i) =>
        componentType === 5126 ? view.readFloatLE(4 * i) : view.readUInt32LE(4 * i),
      );
    },
  };
}

const SQUARE = [0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0];

describe("a mesh", () => {
  test("of triangles or larger faces is glTF with its colors and configuration", () => {
    const encoded = encodeMesh([
      part("vertex", [1, 4, 3], SQUARE, '{"cls":"Camera"}'),
      part("face", [1, 1, 4], [0, 1, 2, 3]),
      part("color", [1, 4, 3], [255, 0, 0, 0, 300, 0, -1, 0, 255, 1.4, 2.5, 3.6]),
    ]);
    const [file] = encoded?.files ?? [];
    expect(file?.path).toMatch(/^media\/object3D\/scene\/m_5_[0-9a-f]{20}\.glb$/);
    const { path, sha256, body } = file as NonNullable<typeof file>;
    expect(encoded?.values.map((text) => JSON.parse(text) as unknown)).toEqual([
      { _type: "object3D-file", path, sha256, size: body.length },
    ]);
    const { gltf, numbersOf } = readGlb(body);
    const [{ attributes, indices }] = gltf.meshes[0].primitives;
    expect(numbersOf(attributes["POSITION"])).toEqual(SQUARE);
    expect(numbersOf(attributes["COLOR_0"])).toEqual([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 1, 3, 4, 255]);
    expect(numbersOf(indices)).toEqual([0, 1, 2, 0, 2, 3]);
    expect(gltf).toMatchObject({
      extras: { tensorboard: '{"cls":"Camera"}' },
      accessors: [{ count: 4, min: [0, 0, 0], max: [1, 1, 0] }, { count: 4 }, { count: 6 }],
    });
  });

  test("a batch of several is one value", () => {
    const encoded = encodeMesh([
      part("vertex", [2, 4, 3], [...SQUARE, ...SQUARE.map((value) => value + 1)]),
      part("face", [2, 1, 3], [0, 1, 2, 1, 2, 3]),
    ]);
    const value = JSON.parse(encoded?.values[0] ?? "") as { readonly filenames: readonly string[] };
    expect(value).toMatchObject({ _type: "object3D", count: 2, objects: [{}, {}] });
    expect(value.filenames.map((name) => `media/object3D/${name}`)).toEqual(encoded?.files.map(({ path }) => path));
    const second = readGlb(encoded?.files[1]?.body ?? new Uint8Array());
    expect(second.numbersOf(0)).toEqual(SQUARE.map((value) => value + 1));
    expect(second.numbersOf(1)).toEqual([1, 2, 3]);
  });

  test.each([
    ["a face without its point", [part("vertex", [1, 4, 3], SQUARE), part("face", [1, 1, 3], [0, 1, 9])]],
    ["a point that is nowhere", [part("vertex", [1, 1, 3], [0, Number.NaN, 0])]],
    ["no point", [part("vertex", [1, 0, 3], [])]],
    ["faces without points", [part("face", [1, 1, 3], [0, 1, 2])]],
  ])("with %s stays a file of the run", (_, parts) => {
    expect(encodeMesh(parts)).toBeUndefined();
  });
});

test("how a cloud is drawn lies beside it", () => {
  const encoded = encodeMesh([part("vertex", [4, 3], SQUARE, '{"cls":"Camera"}')]);
  expect(encoded?.values).toHaveLength(1);
  expect(encoded?.files.map(({ path }) => path.slice(path.indexOf(".")))).toEqual([".pts.json", ".config.json"]);
  expect(Buffer.from(encoded?.files[1]?.body ?? []).toString()).toBe('{"cls":"Camera"}');
});
