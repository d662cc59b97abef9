/** Files of a run: what they are, and where an MLflow keeps them. */
import type { ObjectStore } from "../../net/object-store.ts";
import type { FileRef } from "../../reader/file-store.ts";

/** A file for a run's artifacts. */
export interface Artifact {
  /** Relative, its parts separated by `/`; each part as `artifact-paths.ts` makes it. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Made by a library whose other versions may make other bytes of the same value. */
  readonly derived?: boolean;
}

/** One that lies in a file. */
export interface FileArtifact {
  readonly path: string;
  /** Undefined for a store that only compares: it may not be read. */
  readonly file: FileRef | undefined;
  /** Bytes. */
  readonly size: number;
}

/** The artifacts of one run. */
export interface ArtifactStore extends ObjectStore<FileRef> {
  /** Of a store that only compares: a file of so many bytes is to be there, whatever they are. */
  expectFile?(path: string, size: number): Promise<void>;
}

/** As far as files are put there. */
export type ArtifactSink = Pick<ArtifactStore, "put" | "putFile" | "expectFile">;
