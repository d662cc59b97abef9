/** A folder of this machine, as `LocalArtifactRepository` of MLflow keeps it. */

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { TraceletError } from "../../../errors.ts";
import { type Digest, digestOf, partsOf, partsOfDirectory, type StoredObject } from "../../../net/object-store.ts";
import { ageOf } from "../../../reader/file-age.ts";
import type { FileRef } from "../../../reader/file-store.ts";
import { FilePart } from "../../../sync/source/file-part.ts";
import { type Artifact, type ArtifactStore } from "../../artifacts/artifact.ts";

/** MLflow does not list files whose names begin so. Source: mlflow/store/artifact/local_artifact_repo.py. */
const HIDDEN = ".artifact.uploading.";
const OURS = `${HIDDEN}tracelet.`;
/** Age from which on a file that was being written has nobody who writes it. ms. */
const STALE = 3_600_000;

export class LocalStore implements ArtifactStore {
  /** Absolute. It may not exist yet. */
  readonly #root: string;
  #tidied: Promise<void> | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  async put({ path: name, bytes }: Artifact): Promise<void> {
    await this.#write(name, (file) => file.writeFile(bytes));
  }

  async putFile(name: string, file: FileRef, size: number): Promise<void> {
    await this.#write(name, async (target) => {
      const source = await new FilePart(file, 0, size).open();
      try {
        for await (const chunk of source) await target.writeFile(chunk);
      } finally {
        await source.close();
      }
    });
  }

  async get(name: string, atMost: number = Infinity): Promise<Uint8Array | undefined> {
    return this.#guarded(name, async () => {
      const file = this.#join(partsOf(name));
      await this.#requireInside(path.dirname(file), name);
      return (await stat(file)).size > atMost ? undefined : readFile(file);
    }).catch(missingAsUndefined);
  }

  async digest(name: string): Promise<Digest | undefined> {
    return this.#guarded(name, async () => {
      const file = this.#join(partsOf(name));
      await this.#requireInside(path.dirname(file), name);
      return digestOf(createReadStream(file) as AsyncIterable<Uint8Array>);
    }).catch(missingAsUndefined);
  }

  async list(directory: string): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    const left = [partsOfDirectory(directory)];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      const parts = at;
      await this.#guarded(directory, async () => {
        await this.#requireInside(this.#join(parts), directory);
        for (const entry of await readdir(this.#join(parts), { withFileTypes: true })) {
          if (entry.name.startsWith(HIDDEN)) continue;
          const child = [...parts, entry.name];
          if (entry.isDirectory()) left.push(child);
          else if (entry.isFile()) found.push({ path: child.join("/"), size: (await stat(this.#join(child))).size });
        }
      }).catch(missingAsUndefined);
    }
    return found.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /**
   * Write beside, and then give it its name, so that nobody ever sees half of it. Beside is the run's own folder: a page
   * of MLflow's that looks into a folder of images shows none if one of them has a name that it does not understand.
   */
  async #write(name: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
    const parts = partsOf(name);
    if (parts.some((part) => part.startsWith(HIDDEN))) {
      throw new TraceletError("rejected", `${JSON.stringify(name)} is a name that MLflow does not show`);
    }
    await this.#guarded(name, async () => {
      const target = this.#join(parts);
      await this.#makeDirectory(path.dirname(target), name);
      this.#tidied ??= this.#tidy();
      await this.#tidied;
      const temporary = path.join(this.#root, OURS + randomUUID());
      try {
        const file = await open(temporary, "wx");
        try {
          await fill(file);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, target);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      await syncDirectory(path.dirname(target));
    });
  }

  /** Create what is missing of it, durably, and never through a link that leads out of the run's folder. */
  async #makeDirectory(directory: string, name: string): Promise<void> {
    await this.#makeDurably(this.#root);
    let at = this.#root;
    for (const part of path.relative(this.#root, directory).split(path.sep)) {
      at = path.join(at, part);
      await this.#makeDurably(at);
      await this.#requireInside(at, name);
    }
  }

  async #makeDurably(directory: string): Promise<void> {
    const first = await mkdir(directory, { recursive: true });
    if (first === undefined) return;
    for (let at = directory; at.length >= first.length; at = path.dirname(at)) await syncDirectory(path.dirname(at));
  }

  async #requireInside(directory: string, name: string): Promise<void> {
    const [root, real] = await Promise.all([realpath(this.#root), realpath(directory)]);
    if (real === root || real.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) return;
    throw new TraceletError("rejected", `${JSON.stringify(name)} leads out of the run's folder ${this.#root}`, {
      hint: "there is a symbolic link in it: remove it",
    });
  }

  /** Remove what a process that was killed has left. */
  async #tidy(): Promise<void> {
    for (const name of await readdir(this.#root)) {
      if (!name.startsWith(OURS)) continue;
      const file = path.join(this.#root, name);
      // Another process may just be done with it.
      const stats = await stat(file, { bigint: true }).catch(() => undefined);
      if (stats !== undefined && ageOf(stats.mtimeNs) > STALE) await rm(file, { force: true });
    }
  }

  #join(parts: readonly string[]): string {
    return path.join(this.#root, ...parts);
  }

  async #guarded<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof TraceletError) throw cause;
      const { message } = cause as Error;
      throw new TraceletError(
        "rejected",
        `cannot keep or read the artifact ${JSON.stringify(name)} in ${this.#root}: ${message}`,
        { hint: "check that the folder is writable, and that its disk is not full", cause },
      );
    }
  }
}

function missingAsUndefined(error: unknown): undefined {
  const code = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return undefined;
  throw error;
}

/** What it holds may otherwise be forgotten when the power fails. */
async function syncDirectory(directory: string): Promise<void> {
  // Windows has no such thing; nor may one open each directory that one may write through.
  const handle = await open(directory, "r").catch(() => undefined);
  if (handle === undefined) return;
  await handle.sync().catch(() => {});
  await handle.close();
}
