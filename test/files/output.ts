/** A world whose runs are written to files. */
import path from "node:path";
import { FilesBackend } from "../../src/backends/files/backend.ts";
import type { OpenRun, RunsOnDisk } from "../../src/backends/files/runs-on-disk.ts";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { World } from "../sync/world.ts";

export class Output<Open extends OpenRun> {
  readonly world: World = World.create();
  readonly root: string = path.join(this.world.root, "out");
  readonly #format: (directory: OutputDirectory) => RunsOnDisk<Open>;

  constructor(format: (directory: OutputDirectory) => RunsOnDisk<Open>) {
    this.#format = format;
  }

  /** As a process of its own. */
  async sync(options: Partial<SyncOptions> = {}): Promise<SyncResult> {
    const directory = new OutputDirectory(this.root);
    const backend = new FilesBackend(directory, this.#format(directory));
    try {
      return await this.world.sync({ backend, ...options });
    } finally {
      await backend.close();
    }
  }

  file(name: string): string {
    return path.join(this.root, name);
  }
}

/** Numbers from 0 on. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
