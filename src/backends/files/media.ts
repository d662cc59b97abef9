/** Bytes that have no place in a line: files of their own, called by their digest, so that equal ones are one. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { rename } from "node:fs/promises";
import path from "node:path";
import type { NamedFile } from "../../reader/datum.ts";
import { FilePart } from "../../sync/source/file-part.ts";
import { type OutputDirectory, syncDirectory, writeSynced } from "../output-directory.ts";
import type { Kept } from "./json-lines.ts";

const FOLDER = "media";
/** Files on their way at the same time. */
const CONCURRENCY = 8;

/** @param digest SHA-256 of the bytes, as hexadecimal digits @param extension without its dot */
function mediumPath(digest: string, extension: string): string {
  return `${FOLDER}/${digest}.${extension}`;
}

/** What keeping it will come to. A named file goes by what was said of it: to read it twice would take as long again. */
export function keptAs(
  content: Uint8Array | NamedFile,
  extension: string,
): { readonly path: string; readonly bytes: number } {
  const identity = content instanceof Uint8Array ? content : content.text;
  const digest = createHash("sha256").update(identity).digest("hex");
  return { path: mediumPath(digest, extension), bytes: sizeOf(content) };
}

function sizeOf(content: Uint8Array | NamedFile): number {
  return content instanceof Uint8Array ? content.length : content.size;
}

/** Those of one batch. */
export class Media {
  readonly #directory: OutputDirectory;
  readonly #files = new Map<string, Uint8Array | NamedFile>();

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  /** @param extension without its dot */
  keep(content: Uint8Array | NamedFile, extension: string): Kept {
    const kept = keptAs(content, extension);
    this.#files.set(kept.path, content);
    return kept;
  }

  /** Write those that are not there yet. Resolves once they are durable. @throws TraceletError `rejected` */
  async write(): Promise<void> {
    const missing = [...this.#files].filter(([file, content]) => {
      return statSync(this.#directory.path(file), { throwIfNoEntry: false })?.size !== sizeOf(content);
    });
    if (missing.length === 0) return;
    const folder = this.#directory.path(FOLDER);
    await this.#directory.guarded(FOLDER, async () => {
      this.#directory.makeDirectory(folder);
      for (let i = 0; i < missing.length; i += CONCURRENCY)
        await Promise.all(missing.slice(i, i + CONCURRENCY).map(([file, content]) => this.#put(file, content)));
      syncDirectory(folder);
    });
  }

  async #put(file: string, content: Uint8Array | NamedFile): Promise<void> {
    const target = this.#directory.path(file);
    const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${process.pid}.${++parts}.part`);
    if (content instanceof Uint8Array) await writeSynced(temporary, content);
    else await copySynced(temporary, content);
    await rename(temporary, target);
  }
}

/** @throws TraceletError `logdir` if it is shorter than it was; the system's error */
async function copySynced(target: string, { found, size }: NamedFile): Promise<void> {
  if (found === undefined) throw new Error("a named file is found before it is written");
  const part = await new FilePart(found, 0, size).open();
  try {
    await writeSynced(target, part);
  } finally {
    await part.close();
  }
}

/** Two runs may write the same bytes at the same time. */
let parts = 0;
