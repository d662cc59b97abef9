/** A place for files, which they are put into whole and found in by path. */
import { createHash } from "node:crypto";
import { TraceletError } from "../errors.ts";
import type { Upload } from "./request.ts";

export interface StoredObject {
  /** Relative, its parts separated by `/`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface Digest {
  /** Bytes. */
  readonly size: number;
  /** In hex. */
  readonly sha256: string;
}

/**
 * Files below one prefix. `File` is what a sender's file is known by. All methods throw `TraceletError`: `auth`, `unreachable`, `rejected`; where it may be for this one
 * file, `put` and `putFile` throw `ContentRefused`.
 */
export interface ObjectStore<File> {
  /** Resolves once the file is durable there; one of the same path is replaced. */
  put(file: { readonly path: string; readonly bytes: Uint8Array }): Promise<void>;
  /** The same with the first `size` bytes of a file, streamed. */
  putFile(path: string, file: File, size: number): Promise<void>;
  /** The file's bytes; undefined if there is none. @param atMost bytes: one that is larger counts as none */
  get(path: string, atMost?: number): Promise<Uint8Array | undefined>;
  /** SHA-256 of the file's bytes, which are not held; undefined if there is none. */
  digest(path: string): Promise<Digest | undefined>;
  /** Every file below a directory, recursively; `""` for all. */
  list(directory: string): Promise<StoredObject[]>;
}

/** Opens a part of a file. @param start and size in bytes */
export type PartOf<File> = (file: File, start: number, size: number) => Upload;

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

/**
 * The parts of a file's path.
 *
 * @throws TraceletError `rejected` if it leads out of the store, or is no path
 */
export function partsOf(path: string): string[] {
  const parts = path.split("/");
  if (parts.every((part) => part !== "" && part !== "." && part !== ".." && !/[\0\\]/.test(part))) return parts;
  throw new TraceletError("rejected", `${JSON.stringify(path)} is not a valid artifact path`);
}

/** The same for a directory; `""` is the one that holds all. */
export function partsOfDirectory(path: string): string[] {
  return path === "" ? [] : partsOf(path);
}

/** How large the parts are that a file is sent in. @param least bytes */
export function partBytes(size: number, least: number): number {
  return Math.max(least, Math.ceil(size / MAX_PARTS));
}

/** Of S3, and of all that speak like it. */
const MAX_PARTS = 10_000;

/** Each part encoded, so that it stands for itself in a URL. */
export function encodeParts(parts: readonly string[]): string {
  return parts.map(encodeURIComponent).join("/");
}
