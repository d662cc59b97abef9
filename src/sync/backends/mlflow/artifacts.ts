/** Files of a run: what they are, and where an MLflow keeps them. */

/** A file for a run's artifacts. */
export interface Artifact {
  /** Relative, its parts separated by `/`; each part as `artifact-paths.ts` makes it. */
  readonly path: string;
  readonly bytes: Uint8Array;
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
  /** The same with the first `size` bytes of a file of this machine, streamed. */
  putFile(path: string, file: string | Buffer, size: number): Promise<void>;
  /** The file's bytes; undefined if there is none. */
  get(path: string): Promise<Uint8Array | undefined>;
  /** Every file below a directory, recursively; `""` for all. */
  list(directory: string): Promise<StoredArtifact[]>;
}
