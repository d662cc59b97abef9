/**
 * The projector's embeddings → `embeddings/<name>/`: the files that `projector_config.pbtxt` names, as they are, and
 * `embeddings/projector_config.json`, the configuration that https://projector.tensorflow.org reads (`?config=`) wherever
 * the folder is served; its TSV files are shown as tables in the artifact viewer.
 *
 * Source: `DemoDataProvider` of tensorboard/plugins/projector/vz_projector/data-provider-demo.ts.
 */
import { extname, posix } from "node:path";
import { type Json, readableJson } from "../../encode/json.ts";
import type { EmbeddingFile, FoundEmbedding } from "../../sync/source/embeddings.ts";
import type { Artifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";

/** An embedding whose files have a place. */
export interface PlacedEmbedding {
  readonly found: FoundEmbedding;
  /** The files, each with its path among the artifacts. */
  readonly files: readonly (EmbeddingFile & { readonly artifact: string })[];
}

/**
 * Where the files of a run's embeddings go.
 *
 * @param member path of the run within the one at the destination; empty where they are the same
 */
export function placeEmbeddings(
  embeddings: readonly FoundEmbedding[],
  member: string,
  { paths }: Pick<MediaContext, "paths">,
): PlacedEmbedding[] {
  const tensorOf = new Map<string, string>();
  return embeddings.map((found, index) => {
    const { tensorName, tensorPath } = found.embedding;
    let name = tensorName || `embedding ${index}`;
    // Writers may use a name twice, for one and the same file or for another.
    if ((tensorOf.get(name) ?? tensorPath) !== tensorPath) name = `${name}/${index}`;
    tensorOf.set(name, tensorPath);
    const folder = paths.directory("embeddings", member === "" ? name : `${member}/${name}`);
    const files = found.files.map((file) => ({ ...file, artifact: `${folder}/${file.role}${endingOf(file)}` }));
    return { found, files };
  });
}

/**
 * The configuration of those embeddings whose tensor is there: the projector cannot show others, for instance one whose
 * tensor is in a checkpoint.
 */
export function projectorConfig(
  embeddings: readonly PlacedEmbedding[],
  member: string,
  { paths }: Pick<MediaContext, "paths">,
): Artifact {
  const folder = member === "" ? "embeddings" : paths.directory("embeddings", member);
  const entries = embeddings.flatMap(({ found: { embedding }, files }): Json[] => {
    const pathOf = (role: EmbeddingFile["role"]) => {
      const file = files.find((each) => each.role === role);
      return file && posix.relative(folder, file.artifact);
    };
    const tensorPath = pathOf("tensors");
    const imagePath = pathOf("sprite");
    if (tensorPath === undefined) return [];
    return [
      {
        tensorName: embedding.tensorName,
        tensorShape: embedding.tensorShape.length > 0 ? embedding.tensorShape : undefined,
        tensorPath,
        metadataPath: pathOf("metadata"),
        bookmarksPath: pathOf("bookmarks"),
        sprite: imagePath === undefined ? undefined : { imagePath, singleImageDim: embedding.singleImageDim },
      },
    ];
  });
  return { path: `${folder}/projector_config.json`, bytes: readableJson({ embeddings: entries }) };
}

function endingOf({ role, path }: EmbeddingFile): string {
  const ending = extname(path);
  switch (role) {
    case "tensors":
      // The projector tells raw float32 from TSV by the ending.
      return ending === ".bytes" ? ".bytes" : ".tsv";
    case "metadata":
      return ".tsv";
    case "sprite": {
      const image = ending.toLowerCase();
      return [".png", ".jpg", ".jpeg", ".gif", ".bmp"].includes(image) ? image : ".png";
    }
    case "bookmarks":
      return ".json";
  }
}
