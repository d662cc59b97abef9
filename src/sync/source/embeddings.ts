/**
 * The embedding projector's files: which ones `projector_config.pbtxt` names, where they are, and whether any has changed
 * since they were last sent. The configuration is written anew with each embedding, so that it may be half written.
 */
import { type DiscoveredRun, displayPath } from "../../reader/discover.ts";
import type { FileEntry, FileStore, NotBeside } from "../../reader/file-store.ts";
import { UnreadableError } from "../../reader/plugins/plugin.ts";
import { type ProjectorEmbedding, readProjectorFile } from "../../reader/plugins/projector.ts";
import { type FileProblem, type OwnProblem, problemOf } from "../report/file-problem.ts";
import { hashText } from "./fingerprint.ts";
import { stampOf } from "./stamp.ts";

/** What a file is to its embedding. */
export type EmbeddingRole = "tensors" | "metadata" | "sprite" | "bookmarks";

/** A file that the configuration names. */
export interface EmbeddingFile {
  readonly role: EmbeddingRole;
  /** As written. */
  readonly path: string;
  /** As it was found, no link. */
  readonly file: FileEntry;
  /** Another one as soon as the file is another one. */
  readonly stamp: string;
}

/** One that it names and that is not sent. */
export interface MissingFile {
  readonly role: EmbeddingRole;
  /** As written. */
  readonly path: string;
  readonly reason: NotBeside;
}

/** An embedding, and what there is of it. */
export interface FoundEmbedding {
  readonly embedding: ProjectorEmbedding;
  readonly files: readonly EmbeddingFile[];
  readonly missing: readonly MissingFile[];
}

/**
 * What there is to do about a run's embeddings. `unfinished`: the configuration cannot be read, and is tried again the
 * next time; if nothing about it has changed by then, it is a `problem`.
 */
export type Projector =
  | { readonly state: "unchanged" | "unfinished"; readonly stamp: string | undefined }
  | { readonly state: "problem"; readonly stamp: string | undefined; readonly problem: FileProblem }
  | { readonly state: "changed"; readonly stamp: string; readonly embeddings: readonly FoundEmbedding[] };

/**
 * Look at a run's configuration and at the files that it names, without opening those.
 *
 * @param known the `stamp` of the last time; what is to be remembered once all is done is the new one
 */
export async function readProjector(
  { store, directory, projectorFile }: Pick<DiscoveredRun, "store" | "directory" | "projectorFile">,
  known: string | undefined,
): Promise<Projector> {
  if (projectorFile === undefined) return { state: "unchanged", stamp: undefined };
  const path = displayPath(projectorFile.path);
  if (typeof directory !== "string") {
    return { state: "problem", stamp: known, problem: { path, code: "path-encoding" satisfies OwnProblem } };
  }
  try {
    const { embeddings } = await readProjectorFile(projectorFile);
    const found = await findEmbeddings(embeddings, store, directory);
    const files = found.flatMap(({ files, missing }) => [...files.map(({ stamp }) => stamp), ...missing]);
    const stamp = `${stampOf(projectorFile)};${hashText(JSON.stringify(files))}`;
    return stamp === known ? { state: "unchanged", stamp } : { state: "changed", stamp, embeddings: found };
  } catch (error) {
    const problem = problemOf(projectorFile, error, "malformed");
    if (!(error instanceof UnreadableError)) return { state: "problem", stamp: known, problem };
    const stamp = `unreadable;${stampOf(projectorFile)}`;
    return stamp === known ? { state: "problem", stamp, problem } : { state: "unfinished", stamp };
  }
}

/**
 * The files of each embedding. No path of the configuration leads out of the run's directory, neither by `..` nor as an
 * absolute one nor through a link.
 *
 * @param directory the one that holds the configuration
 */
export async function findEmbeddings(
  embeddings: readonly ProjectorEmbedding[],
  store: FileStore,
  directory: string,
): Promise<FoundEmbedding[]> {
  const all: FoundEmbedding[] = [];
  for (const embedding of embeddings) {
    const files: EmbeddingFile[] = [];
    const missing: MissingFile[] = [];
    const named: readonly (readonly [EmbeddingRole, string])[] = [
      ["tensors", embedding.tensorPath],
      ["metadata", embedding.metadataPath],
      ["sprite", embedding.spriteImagePath],
      ["bookmarks", embedding.bookmarksPath],
    ];
    for (const [role, path] of named) {
      if (path === "") continue;
      const file = await store.beside(directory, path);
      if (typeof file === "string") missing.push({ role, path, reason: file });
      else files.push({ role, path, file, stamp: `${file.name}:${stampOf(file)}` });
    }
    all.push({ embedding, files, missing });
  }
  return all;
}
