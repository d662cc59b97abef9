/** The projector's files: found within the run's directory only. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseProjectorConfig } from "../../../src/reader/plugins/projector.ts";
import { findEmbeddings } from "../../../src/sync/backends/mlflow/media/embeddings.ts";
import { temporaryDirectory } from "../../support/logdirs.ts";
import { contextOf } from "./support.ts";

function world(): string {
  const root = temporaryDirectory();
  mkdirSync(join(root, "run/00002/default"), { recursive: true });
  writeFileSync(join(root, "secret.tsv"), "secret");
  for (const name of ["tensors.tsv", "metadata.tsv", "sprite.png"])
    writeFileSync(join(root, "run/00002/default", name), name);
  writeFileSync(join(root, "run/raw.bytes"), new Uint8Array(16));
  symlinkSync(join(root, "secret.tsv"), join(root, "run/link.tsv"));
  symlinkSync(root, join(root, "run/up"));
  return join(root, "run");
}

test("what torch writes, and a configuration that the projector reads", async () => {
  const run = world();
  const config = parseProjectorConfig(`
embeddings {
  tensor_name: "default:00002"
  tensor_path: "00002/default/tensors.tsv"
  metadata_path: "00002/default/metadata.tsv"
  sprite { image_path: "00002/default/sprite.png" single_image_dim: 8 single_image_dim: 4 }
}
embeddings { tensor_name: "raw" tensor_shape: 2 tensor_shape: 2 tensor_path: ${JSON.stringify(join(run, "raw.bytes"))} }
embeddings { tensor_name: "in_checkpoint" metadata_path: "00002/default/metadata.tsv" }`);
  const { files, config: written, leftOut } = await findEmbeddings(config, run, contextOf());
  const name = files[0]?.path.split("/")[1] as string;
  expect(name).toMatch(/^default_00002-[0-9a-f]{8}$/);
  expect(files.map(({ path, size }) => [path, size])).toEqual([
    [`embeddings/${name}/tensors.tsv`, 11],
    [`embeddings/${name}/metadata.tsv`, 12],
    [`embeddings/${name}/sprite.png`, 10],
    ["embeddings/raw/tensors.bytes", 16],
    ["embeddings/in_checkpoint/metadata.tsv", 12],
  ]);
  expect(leftOut).toEqual([]);
  expect(written.path).toBe("embeddings/projector_config.json");
  expect(JSON.parse(Buffer.from(written.bytes).toString())).toEqual({
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

test("no path leads out of the run's directory", async () => {
  const run = world();
  const outside = [
    "../secret.tsv",
    "/etc/passwd",
    "link.tsv",
    "up/secret.tsv",
    "a/../../secret.tsv",
    "..\\secret.tsv",
    ".",
  ];
  const missing = ["nothing.tsv", "00002", "nul\0.tsv"];
  const embedding = { metadataPath: "", spriteImagePath: "", singleImageDim: [], tensorShape: [], bookmarksPath: "" };
  const embeddings = [...outside, ...missing].map((tensorPath) => ({ ...embedding, tensorName: "e", tensorPath }));
  const config = { embeddings, modelCheckpointPath: "", modelCheckpointDir: "" };
  const { files, leftOut } = await findEmbeddings(config, run, contextOf());
  expect(files).toEqual([]);
  expect(leftOut).toEqual([
    ...outside.map((path) => ({ path, reason: "outside the run's directory" })),
    ...missing.map((path) => ({ path, reason: "not there" })),
  ]);
});
