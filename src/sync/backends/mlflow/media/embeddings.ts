/**
 * The projector's embeddings → `embeddings/<name>/`: the files that `projector_config.pbtxt` names, as they are, and
 * `embeddings/projector_config.json`, the configuration that https://projector.tensorflow.org reads (`?config=`) wherever
 * the folder is served; its TSV files are shown as tables in the artifact viewer.
 *
 * Source: `DemoDataProvider` of tensorboard/plugins/projector/vz_projector/data-provider-demo.ts.
 */
import { realpath, stat } from "node:fs/promises";
import { extname, isAbsolute, relative, resolve, sep } from "node:path";
import type { ProjectorConfig, ProjectorEmbedding } from "../../../../reader/plugins/projector.ts";
import type { Artifact } from "../artifacts.ts";
import type { MediaContext } from "./context.ts";
import { type Json, readableJson } from "./json.ts";

/** A file of the run's directory to upload. */
export interface EmbeddingFile {
  /** Path among the artifacts. */
  readonly path: string;
  /** Where it is, no link. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
}

/** A file that the configuration names and that is not uploaded. */
export interface LeftOutFile {
  /** As written. */
  readonly path: string;
  readonly reason: "outside the run's directory" | "not there";
}

export interface Embeddings {
  readonly files: readonly EmbeddingFile[];
  readonly config: Artifact;
  readonly leftOut: readonly LeftOutFile[];
}

type Found = Pick<EmbeddingFile, "file" | "size"> | LeftOutFile["reason"];

/**
 * What there is to upload of a run's embeddings. No path of the configuration leads out of the run's directory, neither by
 * `..` nor as an absolute one nor through a link.
 *
 * @param directory the one that holds the configuration
 */
export async function findEmbeddings(
  config: ProjectorConfig,
  directory: string,
  { paths }: Pick<MediaContext, "paths">,
): Promise<Embeddings> {
  const files: EmbeddingFile[] = [];
  const leftOut: LeftOutFile[] = [];
  const embeddings: Json[] = [];
  const root = await realpath(directory);
  for (const [index, embedding] of config.embeddings.entries()) {
    const folder = paths.directory("embeddings", embedding.tensorName || `embedding ${index}`);
    /** The path of an uploaded file, relative to the configuration's. */
    const upload = async (path: string, name: string): Promise<string | undefined> => {
      if (path === "") return undefined;
      const found = await find(root, path);
      if (typeof found === "string") {
        leftOut.push({ path, reason: found });
        return undefined;
      }
      files.push({ path: `${folder}/${name}`, ...found });
      return `${folder.slice("embeddings/".length)}/${name}`;
    };
    const tensorPath = await upload(embedding.tensorPath, `tensors${tensorEnding(embedding)}`);
    const metadataPath = await upload(embedding.metadataPath, "metadata.tsv");
    const imagePath = await upload(embedding.spriteImagePath, `sprite${imageEnding(embedding.spriteImagePath)}`);
    const bookmarksPath = await upload(embedding.bookmarksPath, "bookmarks.json");
    // The projector cannot show what has no tensor, for instance as it is in a checkpoint.
    if (tensorPath === undefined) continue;
    embeddings.push({
      tensorName: embedding.tensorName,
      tensorShape: embedding.tensorShape.length > 0 ? embedding.tensorShape : undefined,
      tensorPath,
      metadataPath,
      bookmarksPath,
      sprite: imagePath === undefined ? undefined : { imagePath, singleImageDim: embedding.singleImageDim },
    });
  }
  const artifact = { path: "embeddings/projector_config.json", bytes: readableJson({ embeddings }) };
  return { files, config: artifact, leftOut };
}

async function find(root: string, path: string): Promise<Found> {
  // A backslash separates on Windows, where the file may have been written.
  const absolute = resolve(root, path.includes("/") ? path : path.replaceAll("\\", "/"));
  if (!isWithin(root, absolute)) return "outside the run's directory";
  try {
    const file = await realpath(absolute);
    if (!isWithin(root, file)) return "outside the run's directory";
    const stats = await stat(file);
    return stats.isFile() ? { file, size: stats.size } : "not there";
  } catch {
    return "not there";
  }
}

function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** The projector tells raw float32 from TSV by the ending. */
function tensorEnding({ tensorPath }: ProjectorEmbedding): string {
  return extname(tensorPath) === ".bytes" ? ".bytes" : ".tsv";
}

function imageEnding(path: string): string {
  const ending = extname(path).toLowerCase();
  return [".png", ".jpg", ".jpeg", ".gif", ".bmp"].includes(ending) ? ending : ".png";
}
