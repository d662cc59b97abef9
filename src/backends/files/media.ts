/** Bytes that have no place in a line: files of their own, called by their digest, so that equal ones are one. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { rename } from "node:fs/promises";
import path from "node:path";
import type { Kept } from "./json-lines.ts";
import { type OutputDirectory, syncDirectory, writeSynced } from "./output-directory.ts";

const FOLDER = "media";
/** Files on their way at the same time. */
const CONCURRENCY = 8;

/** @param digest SHA-256 of the bytes, as hexadecimal digits @param extension without its dot */
export function mediumPath(digest: string, extension: string): string {
  return `${FOLDER}/${digest}.${extension}`;
}

/** Those of one batch. */
export class Media {
  readonly #directory: OutputDirectory;
  readonly #files = new Map<string, Uint8Array>();

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  /** @param extension without its dot */
  keep(bytes: Uint8Array, extension: string): Kept {
    const file = mediumPath(createHash("sha256").update(bytes).digest("hex"), extension);
    this.#files.set(file, bytes);
    return { path: file, bytes: bytes.length };
  }

  /** Write those that are not there yet. Resolves once they are durable. @throws TraceletError `rejected` */
  async write(): Promise<void> {
    const missing = [...this.#files].filter(([file, bytes]) => {
      return statSync(this.#directory.path(file), { throwIfNoEntry: false })?.size !== bytes.length;
    });
    if (missing.length === 0) return;
    const folder = this.#directory.path(FOLDER);
    await this.#directory.guarded(FOLDER, async () => {
      this.#directory.makeDirectory(folder);
      for (let i = 0; i < missing.length; i += CONCURRENCY)
        await Promise.all(missing.slice(i, i + CONCURRENCY).map(([file, bytes]) => this.#put(file, bytes)));
      syncDirectory(folder);
    });
  }

  async #put(file: string, bytes: Uint8Array): Promise<void> {
    const target = this.#directory.path(file);
    const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${process.pid}.${++parts}.part`);
    await writeSynced(temporary, bytes);
    await rename(temporary, target);
  }
}

/** Two runs may write the same bytes at the same time. */
let parts = 0;
