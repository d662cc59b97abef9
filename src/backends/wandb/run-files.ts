/** Files of a run that no row names: graphs, layouts, logged files, pages, embeddings, and the source's own. */
import type { ContentRefused } from "../../net/refusal.ts";
import type { Datum } from "../../reader/datum.ts";
import type { FileRef } from "../../reader/file-store.ts";
import type { FilesReceipt, Page, SourceArtifact } from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import { FilePart } from "../../sync/source/file-part.ts";
import type { Artifact, ArtifactSink } from "../artifacts/artifact.ts";
import type { ArtifactEntry } from "../artifacts/artifact-paths.ts";
import { RunArtifacts, type Written } from "../artifacts/run-artifacts.ts";
import { OWN_FILES } from "./file-kinds.ts";
import type { RunFile } from "./store.ts";

export interface RunFilesOptions {
  /** The run's id. */
  readonly id: string;
  upload(files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>>;
  /** Keep which tags paths stand for that do not tell it themselves. */
  name(tags: ReadonlyMap<string, string>): Promise<void>;
  /** The largest file that is stored, bytes. */
  readonly maxFileBytes: number;
}

export class RunFiles {
  readonly #artifacts: RunArtifacts<ArtifactSink>;

  constructor({ id, upload, name, maxFileBytes }: RunFilesOptions) {
    this.#artifacts = new RunArtifacts({
      source: id,
      maxBytes: maxFileBytes,
      reserved: OWN_FILES,
      timestamp: (seconds) => Math.round(seconds * 1000),
      open: async () => new Uploads(upload),
      encoders: () => import("./file-kinds.ts"),
      tell: async (_, entries) => name(namesOf(entries)),
    });
  }

  /** Store the files of a batch's data, as far as they have some. */
  write(data: readonly Datum[]): Promise<Written> {
    return this.#artifacts.write(data, []);
  }

  attach(pages: AsyncIterable<Page>): Promise<readonly Note[]> {
    return this.#artifacts.attach(pages);
  }

  attachFiles(artifact: SourceArtifact): Promise<FilesReceipt> {
    return this.#artifacts.attachFiles(artifact);
  }
}

/** Uploads as a place for files. */
class Uploads implements ArtifactSink {
  readonly #upload: RunFilesOptions["upload"];

  constructor(upload: RunFilesOptions["upload"]) {
    this.#upload = upload;
  }

  async put({ path, bytes }: Artifact): Promise<void> {
    await this.#put({ path, body: bytes });
  }

  async putFile(path: string, file: FileRef, size: number): Promise<void> {
    await this.#put({ path, body: new FilePart(file, 0, size) });
  }

  async #put(file: RunFile): Promise<void> {
    const error = (await this.#upload([file])).get(file.path);
    if (error !== undefined) throw error;
  }
}

/** Tags, by paths that are not made of them as they are. */
function namesOf(entries: readonly ArtifactEntry[]): Map<string, string> {
  return new Map(entries.flatMap(({ kind, tag, path }) => (path === `${kind}/${tag}` ? [] : [[path, tag] as const])));
}
