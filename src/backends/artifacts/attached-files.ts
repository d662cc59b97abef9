/** Files of the source → a run's artifacts, as they are. */
import { TraceletError } from "../../errors.ts";

import type { FileRef } from "../../reader/file-store.ts";
import type { EmbeddingArtifacts, FilesReceipt, SourceArtifact } from "../../sync/backend.ts";
import { type FileProblem, problemOf } from "../../sync/report/file-problem.ts";
import type { Note } from "../../sync/report/note.ts";
import type { SkipReason } from "../../sync/report/skip-reason.ts";
import { Tally } from "../../sync/report/tally.ts";
import type { ArtifactSink } from "./artifact.ts";
import type { ArtifactPaths } from "./artifact-paths.ts";
import { type PlacedEmbedding, placeEmbeddings, projectorConfig } from "./embeddings.ts";

/** How many values an artifact of the source is. */
export function countOf(artifact: SourceArtifact): number {
  return artifact.kind === "embeddings" ? artifact.embeddings.length : 1;
}

/** @throws TraceletError for what the source's files are no reason of */
export async function attachFiles(
  artifact: SourceArtifact,
  store: ArtifactSink,
  paths: ArtifactPaths,
): Promise<FilesReceipt> {
  const attached = new Attached(store);
  if (artifact.kind === "embeddings") await attachEmbeddings(artifact, attached, paths);
  else {
    const { file, size, path } = artifact;
    attached.count(artifact.kind, await attached.put(paths.sourceFile(path), file, size));
  }
  return attached;
}

async function attachEmbeddings(
  { embeddings, member }: EmbeddingArtifacts,
  attached: Attached,
  paths: ArtifactPaths,
): Promise<void> {
  const stored: PlacedEmbedding[] = [];
  for (const placed of placeEmbeddings(embeddings, member, { paths })) {
    const { embedding, missing } = placed.found;
    const files: PlacedEmbedding["files"][number][] = [];
    let tensor: Outcome = missing.find(({ role }) => role === "tensors")?.reason ?? "in-checkpoint";
    for (const file of placed.files) {
      const outcome = await attached.put(file.artifact, file.file, file.file.size);
      if (outcome === "sent") files.push(file);
      if (file.role === "tensors") tensor = outcome;
    }
    attached.count("embeddings", tensor);
    stored.push({ ...placed, files });
    for (const { role, path, reason } of tensor === "sent" ? missing : []) {
      const message = `embedding ${JSON.stringify(embedding.tensorName)} is without its ${role}: ${path} ${reason === "not-found" ? "does not exist" : "is outside the run's directory"}`;
      attached.notes.push({ code: "artifacts", message });
    }
  }
  // At last, so that all is there that it names.
  await attached.store.put(projectorConfig(stored, member, { paths }));
}

type Outcome = "sent" | "failed" | SkipReason;

class Attached implements FilesReceipt {
  readonly store: ArtifactSink;
  readonly tally = new Tally();
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];

  constructor(store: ArtifactSink) {
    this.store = store;
  }

  get complete(): boolean {
    return this.problems.length === 0;
  }

  /** @throws TraceletError for what this one file is no reason of */
  async put(path: string, file: FileRef, size: number): Promise<Outcome> {
    try {
      await this.store.putFile(path, file, size);
      return "sent";
    } catch (error) {
      if (!(error instanceof TraceletError)) throw error;
      if (error.code === "logdir") {
        this.problems.push(problemOf(file, error.cause ?? error, "shorter"));
        return "failed";
      }
      if (error.code !== "rejected") throw error;
      this.notes.push({
        code: "artifacts",
        message: error.hint === undefined ? error.message : `${error.message}; ${error.hint}`,
      });
      return "refused";
    }
  }

  count(kind: SourceArtifact["kind"], outcome: Outcome): void {
    if (outcome === "sent") this.tally.sent(kind, 1);
    else if (outcome === "failed") this.tally.failed(kind, 1);
    else this.tally.skipped(kind, outcome, 1);
  }
}
