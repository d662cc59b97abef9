/**
 * Where files lie: the file systems of this machine, or an object store. This is all that anybody else knows of it: how a
 * file is told from another, what its path means, and what an error says is the store's own business.
 */
import type { ByteSource, JudgedFile } from "./byte-source.ts";
import type { FsPath } from "./fs-path.ts";

/** Where a file lies. */
export interface FileRef {
  readonly store: FileStore;
  /** For the store to open, and to print. */
  readonly path: FsPath;
  /** The file that was judged, of this machine: whatever else lies at the path by now is not opened. */
  readonly judged?: JudgedFile;
}

/** A file as it was when it was found. */
export interface FileEntry extends FileRef {
  /** Its base name, to print and to order by. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Modification time in ns since the Unix epoch: a hint that something changed, never an identity. */
  readonly mtime: bigint;
  /** What the store tells it by, and nobody else reads: an inode, an ETag. */
  readonly token: bigint | string;
}

/** What an error of a store means: nothing is there, access is refused, or the same may succeed another time. */
export interface FileTrouble {
  readonly kind: "gone" | "refused" | "again";
  /** The store's own word for it, such as `EACCES` or `503`. */
  readonly code: string;
}

/** A file that is open for reading. */
export interface OpenFile extends ByteSource {
  close(): Promise<void>;
}

/** Why a file that another one names is not to be had. */
export type NotBeside = "outside-run" | "not-found";

export interface FileStore {
  /** Whose files they are, for people: this machine's name, or the store's. */
  readonly host: string;

  /** Open a file as it is now. @throws an error that `judge` knows */
  open(file: FileRef): Promise<OpenFile>;

  /** All of a small file, up to the size at which it was found. @throws an error that `judge` knows */
  whole(file: FileEntry): Promise<OpenFile & { readonly bytes: Uint8Array }>;

  /** What an error means; undefined if it is not one of the store's. */
  judge(error: unknown): FileTrouble | undefined;

  /** Changes whenever the file changes. Equal stamps: nothing to do; different ones: look at the content. */
  stampOf(file: FileEntry): string;

  /** Whether a file that was found twice in one place can be the same, grown, rather than another that took its place. */
  isSameFile(before: FileEntry, now: FileEntry): boolean;

  /** How long it is now, bytes; undefined if that cannot be told. */
  sizeNow(file: FileRef): Promise<number | undefined>;

  /** Where something really lies, links resolved: the bytes of its path. Undefined if it is there no longer. */
  placeOf(path: FsPath): Uint8Array | undefined;

  /** A file in a directory. @param directory as `placeOf` returned it @param name separated by `/` */
  at(directory: Uint8Array, name: string): FileRef;

  /**
   * A file that another one in a directory names; none that lies outside of it, by whatever path or link.
   *
   * @returns its `name` is the path relative to the directory
   */
  beside(directory: string, path: string): Promise<FileEntry | NotBeside>;
}

/** Open a file for as long as `work` takes. @throws what `open` throws, and what `work` throws */
export async function useFile<T>(file: FileRef, work: (source: ByteSource) => Promise<T>): Promise<T> {
  const source = await file.store.open(file);
  try {
    return await work(source);
  } finally {
    await source.close();
  }
}
