/** The files of one run: where they go, and what each is called. */
import { TraceletError } from "../../../errors.ts";
import type { Datum, Kind } from "../../../reader/datum.ts";
import type { Page } from "../../backend.ts";
import { ArtifactPaths, type ArtifactRoot } from "./artifact-paths.ts";
import type { ArtifactStore } from "./artifacts.ts";
import { encodeData, isEncoded } from "./media/encode.ts";
import { readableJson } from "./media/json.ts";

/** Files on their way at the same time. */
const CONCURRENCY = 8;
/** Tells which tag each path stands for. */
export const INDEX = "tracelet/index.json";

/** Where pages lie. */
const FOLDERS: ReadonlyMap<Kind, ArtifactRoot> = new Map<Kind, ArtifactRoot>([
  ["histograms", "histograms"],
  ["pr_curves", "pr_curves"],
  ["text", "text"],
  ["graphs", "graph"],
  ["custom_scalars", "custom_scalars"],
]);

export interface RunArtifactsOptions {
  /** Says which run of which source this is, for ever: a part of its images' identity. */
  readonly source: string;
  /** Asked for when there is the first file. @throws TraceletError `unsupported` where tracelet cannot write to */
  open(): Promise<ArtifactStore>;
  /** Seconds since the Unix epoch → ms. */
  timestamp(wallTime: number): number;
}

export class RunArtifacts {
  readonly #options: RunArtifactsOptions;
  readonly #paths = new ArtifactPaths();
  #store: Promise<ArtifactStore> | undefined;
  #obstacle: TraceletError | undefined;
  /** How many paths the index tells. */
  #indexed = 0;

  constructor(options: RunArtifactsOptions) {
    this.#options = options;
  }

  /** Why files cannot be stored at all; undefined as long as they can. */
  get obstacle(): TraceletError | undefined {
    return this.#obstacle;
  }

  /**
   * Store the files that show a batch's data. Stored again, they replace themselves.
   *
   * @param segment names the batch: the same whenever it begins with the same value
   */
  async write(data: readonly Datum[], segment: string): Promise<void> {
    if (!data.some(({ kind }) => isEncoded(kind))) return;
    const store = await this.#open();
    if (store === undefined) return;
    const { source, timestamp } = this.#options;
    for await (const encoded of encodeData(data, { source, paths: this.#paths, segment, timestamp })) {
      // Of two values of one tag and step the later one stays, whichever of two uploads would end first.
      const artifacts = [...new Map(encoded.map((artifact) => [artifact.path, artifact])).values()];
      for (let at = 0; at < artifacts.length; at += CONCURRENCY) {
        await Promise.all(artifacts.slice(at, at + CONCURRENCY).map((artifact) => store.put(artifact)));
      }
    }
    await this.#writeIndex(store);
  }

  /** Store pages beside the files of their tags. */
  async attach(pages: AsyncIterable<Page>): Promise<void> {
    const store = await this.#open();
    if (store === undefined) return;
    for await (const { kind, tag, html } of pages) {
      const folder = FOLDERS.get(kind);
      if (folder !== undefined)
        await store.put({ path: this.#paths.file(folder, tag, "html"), bytes: Buffer.from(html) });
    }
    await this.#writeIndex(store);
  }

  /** Paths come from the tags alone, so what an earlier process wrote is completed, never contradicted. */
  async #writeIndex(store: ArtifactStore): Promise<void> {
    const entries = this.#paths.entries();
    if (entries.length === this.#indexed) return;
    const before = await store.get(INDEX);
    const known = before === undefined ? [] : (JSON.parse(Buffer.from(before).toString()) as typeof entries);
    const all = new Map([...known, ...entries].map((entry) => [entry.path, entry]));
    await store.put({ path: INDEX, bytes: readableJson(Array.from(all.values(), (entry) => ({ ...entry }))) });
    this.#indexed = entries.length;
  }

  async #open(): Promise<ArtifactStore | undefined> {
    if (this.#obstacle !== undefined) return undefined;
    try {
      this.#store ??= this.#options.open();
      return await this.#store;
    } catch (error) {
      if (!(error instanceof TraceletError && error.code === "unsupported")) throw error;
      this.#obstacle = error;
      return undefined;
    }
  }
}
