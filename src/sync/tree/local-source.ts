/** Logdirs of this machine as a source. */
import type { Discovery } from "../../reader/discover.ts";
import { discoverAll } from "../source/logdirs.ts";
import type { Source, SourceWatch, SourceWatchOptions } from "./source.ts";

/** @param logdirs directories, or single event files */
export function localSource(logdirs: readonly string[]): Source {
  return new LocalSource(logdirs);
}

class LocalSource implements Source {
  readonly #logdirs: readonly string[];

  constructor(logdirs: readonly string[]) {
    this.#logdirs = logdirs;
  }

  async discover(): Promise<Discovery> {
    return discoverAll(this.#logdirs);
  }

  async watch(options: SourceWatchOptions): Promise<SourceWatch> {
    // Who syncs once has no use for it.
    const { TreeWatch } = await import("./watcher.ts");
    return new TreeWatch({ logdirs: this.#logdirs, ...options });
  }
}
