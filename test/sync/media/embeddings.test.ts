/** Where the projector's files go, and the configuration that the standalone projector reads. */
import { expect, test } from "vitest";
import { placeEmbeddings, projectorConfig } from "../../../src/backends/artifacts/embeddings.ts";
import { parseProjectorConfig } from "../../../src/reader/plugins/projector.ts";
import type { EmbeddingFile, EmbeddingRole, FoundEmbedding } from "../../../src/sync/source/embeddings.ts";
import { localFile } from "../../support/local-file.ts";
import { contextOf } from "./support.ts";

function found(text: string): FoundEmbedding[] {
  return parseProjectorConfig(text).embeddings.map((embedding) => {
    const named: [EmbeddingRole, string][] = [
      ["tensors", embedding.tensorPath],
      ["metadata", embedding.metadataPath],
      ["sprite", embedding.spriteImagePath],
    ];
    const files = named
      .filter(([, path]) => path !== "")
      .map(([role, path]): EmbeddingFile => {
        const file = { ...localFile(`/run/${path}`), name: path, size: 1, mtime: 0n, token: 0n };
        return { role, path, file, stamp: "" };
      });
    return { embedding, files, missing: [] };
  });
}

const CONFIG = `
embeddings {
  tensor_name: "default:00002"
  tensor_path: "00002/default/tensors.tsv"
  metadata_path: "00002/default/metadata.tsv"
  sprite { image_path: "00002/default/sprite.png" single_image_dim: 8 single_image_dim: 4 }
}
embeddings { tensor_name: "raw" tensor_shape: 2 tensor_shape: 2 tensor_path: "raw.bytes" }
embeddings { tensor_name: "in_checkpoint" metadata_path: "00002/default/metadata.tsv" }`;

test("what torch writes, and a configuration that the projector reads", () => {
  const context = contextOf();
  const placed = placeEmbeddings(found(CONFIG), "", context);
  const paths = placed.flatMap(({ files }) => files.map(({ artifact }) => artifact));
  const name = paths[0]?.split("/")[1] as string;
  expect(name).toMatch(/^default_00002-[0-9a-f]{8}$/);
  expect(paths).toEqual([
    `embeddings/${name}/tensors.tsv`,
    `embeddings/${name}/metadata.tsv`,
    `embeddings/${name}/sprite.png`,
    "embeddings/raw/tensors.bytes",
    "embeddings/in_checkpoint/metadata.tsv",
  ]);
  const config = projectorConfig(placed, "", context);
  expect(config.path).toBe("embeddings/projector_config.json");
  expect(JSON.parse(Buffer.from(config.bytes).toString())).toEqual({
    embeddings: [
      {
        tensorName: "default:00002",
        tensorPath: `${name}/tensors.tsv`,
        metadataPath: `${name}/metadata.tsv`,
        sprite: { imagePath: `${name}/sprite.png`, singleImageDim: [8, 4] },
      },
      { tensorName: "raw", tensorShape: [2, 2], tensorPath: "raw/tensors.bytes" },
    ],
  });
});

test("several runs in one, and names that are used twice, do not share files", () => {
  const context = contextOf();
  const twice = found(`
embeddings { tensor_name: "e" tensor_path: "a.tsv" }
embeddings { tensor_name: "e" tensor_path: "a.tsv" }
embeddings { tensor_name: "e" tensor_path: "b.tsv" }`);
  const pathsOf = (member: string) => {
    const placed = placeEmbeddings(twice, member, context);
    const { path, bytes } = projectorConfig(placed, member, context);
    const { embeddings } = JSON.parse(Buffer.from(bytes).toString()) as { embeddings: { tensorPath: string }[] };
    const artifacts = placed.flatMap(({ files }) => files.map(({ artifact }) => artifact));
    const named = embeddings.map(({ tensorPath }) =>
      decodeURIComponent(new URL(tensorPath, `x:/${path}`).pathname.slice(1)),
    );
    expect(named).toEqual(artifacts);
    return [path, ...artifacts];
  };
  expect(pathsOf("")).toEqual([
    "embeddings/projector_config.json",
    "embeddings/e/tensors.tsv",
    "embeddings/e/tensors.tsv",
    "embeddings/e/2/tensors.tsv",
  ]);
  const all = [...pathsOf("train"), ...pathsOf("a: b"), ...pathsOf("")];
  expect(new Set(all).size).toBe(all.length - 3);
});
