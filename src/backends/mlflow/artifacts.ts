/** Files of a run: what they are, and where an MLflow keeps them. */

import { createHash } from "node:crypto";
import type { FileRef } from "../../reader/file-store.ts";

/** A file for a run's artifacts. */
export interface Artifact {
  /** Relative, its parts separated by `/`; each part as `artifact-paths.ts` makes it. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Made by a library whose other versions may make other bytes of the same value. */
  readonly derived?: boolean;
}

export interface Digest {
  /** Bytes. */
  readonly size: number;
  /** In hex. */
  readonly sha256: string;
}

/** A file that an artifact store holds. */
export interface StoredArtifact {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * The artifacts of one run. All methods throw `TraceletError`: `auth`, `unreachable`, `rejected`; where it may be for
 * this one file, `put` and `putFile` throw `ContentRefused`.
 */
export interface ArtifactStore {
  /** Resolves once the file is durable there; one of the same path is replaced. */
  put(artifact: Artifact): Promise<void>;
  /** The same with the first `size` bytes of a file of the source, streamed. */
  putFile(path: string, file: FileRef, size: number): Promise<void>;
  /** The file's bytes; undefined if there is none. @param atMost bytes: one that is larger counts as none */
  get(path: string, atMost?: number): Promise<Uint8Array | undefined>;
  /** SHA-256 of the file's bytes, which are not held; undefined if there is none. */
  digest(path: string): Promise<Digest | undefined>;
  /** Every file below a directory, recursively; `""` for all. */
  list(directory: string): Promise<StoredArtifact[]>;
}

/** The digest of what comes in pieces. */
export async function digestOf(chunks: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest("hex") };
}
