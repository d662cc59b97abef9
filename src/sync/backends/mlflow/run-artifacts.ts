/** The files of one run: where they go, and what each is called. */
import { TraceletError } from "../../../errors.ts";
import type { Datum, Kind } from "../../../reader/datum.ts";
import type { FilesReceipt, Page, SourceArtifact } from "../../backend.ts";
import { Tally } from "../../tally.ts";
import { ArtifactPaths, type ArtifactRoot } from "./artifact-paths.ts";
import type { ArtifactStore } from "./artifacts.ts";
import { attachFiles, countOf } from "./attached-files.ts";
import { type Encoded, encodeData, isEncoded } from "./media/encode.ts";
import { readableJson } from "./media/json.ts";

/** Files on their way at the same time. */
const CONCURRENCY = 8;
/** Tells which tag each path stands for. */
const INDEX = "tracelet/index.json";

/** Of kinds whose files are named after tag and step, or after the tag alone: what it means that one is written again. */
const REPLACED: ReadonlyMap<Kind, string> = new Map<Kind, string>([
  ...(["audio", "images", "mesh", "tensors", "text"] as const).map(
    (kind) => [kind, "replaced by a later value of the same step"] as const,
  ),
  ...(["custom_scalars", "graphs"] as const).map(
    (kind) => [kind, "replaced by a later value of the same tag"] as const,
  ),
]);
/** How many of the paths written last are remembered. */
const MAX_WRITTEN = 50_000;

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
  /** Paths of values, the oldest first. */
  readonly #written = new Set<string>();
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
   * @returns the values, of this batch or an earlier one, whose files others of this batch have taken, as left out
   */
  async write(data: readonly Datum[], segment: string): Promise<Tally> {
    const replaced = new Tally();
    if (!data.some(({ kind }) => isEncoded(kind))) return replaced;
    const store = await this.#open();
    if (store === undefined) return replaced;
    const { source, timestamp } = this.#options;
    for await (const [kind, encoded] of encodeData(data, { source, paths: this.#paths, segment, timestamp })) {
      const reason = REPLACED.get(kind);
      if (reason !== undefined) replaced.leftOut(kind, reason, this.#countReplaced(encoded));
      // Of two values of one tag and step the later one stays, whichever of two uploads would end first.
      const all = encoded.flatMap((each) => each.artifacts);
      const artifacts = [...new Map(all.map((artifact) => [artifact.path, artifact])).values()];
      for (let at = 0; at < artifacts.length; at += CONCURRENCY) {
        await Promise.all(artifacts.slice(at, at + CONCURRENCY).map((artifact) => store.put(artifact)));
      }
    }
    await this.#writeIndex(store);
    return replaced;
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

  /** Store files of the source as they are. */
  async attachFiles(artifact: SourceArtifact): Promise<FilesReceipt> {
    const store = await this.#open();
    if (store === undefined) {
      const tally = new Tally();
      tally.leftOut(artifact.kind, "no place for files", countOf(artifact));
      return { tally, notes: [], problems: [], complete: false };
    }
    const { tally, notes, problems, complete } = await attachFiles(artifact, store, this.#paths);
    await this.#writeIndex(store);
    return { tally, notes, problems, complete };
  }

  /** As far as the paths are remembered; another process' files are not known. */
  #countReplaced(encoded: readonly Encoded[]): number {
    const written = this.#written;
    let count = 0;
    for (const { values, artifacts } of encoded) {
      if (artifacts.some(({ path }) => written.has(path))) count += values;
      for (const { path } of artifacts) written.add(path);
    }
    for (const path of written) {
      if (written.size <= MAX_WRITTEN) break;
      written.delete(path);
    }
    return count;
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
