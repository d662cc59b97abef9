/** The files of one run: where they go, and what each is called. */
import { TraceletError } from "../../../errors.ts";
import type { Datum, Kind } from "../../../reader/datum.ts";
import type { Note, Page } from "../../backend.ts";
import { type ArtifactEntry, ArtifactPaths, type ArtifactRoot } from "./artifact-paths.ts";
import type { Artifact, ArtifactStore } from "./artifacts.ts";
import { encodeData, isEncoded } from "./media/encode.ts";
import { readableJson } from "./media/json.ts";

/** Files on their way at the same time. */
const CONCURRENCY = 8;
/** Tells which tag each path stands for. */
const INDEX = "tracelet/index.json";

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
  /** The largest file that is stored, bytes. */
  readonly maxBytes: number;
}

/** What was not stored because it is too large. */
export interface TooLarge {
  readonly data: ReadonlySet<Datum>;
  /** One a tag. */
  readonly notes: readonly Note[];
}

export class RunArtifacts {
  readonly #options: RunArtifactsOptions;
  readonly #paths = new ArtifactPaths();
  #store: Promise<ArtifactStore> | undefined;
  #obstacle: TraceletError | undefined;
  /** How many paths the index tells. */
  #indexed = 0;
  /** Of which kinds and tags it was noted that a file is too large. */
  readonly #noted = new Set<string>();

  constructor(options: RunArtifactsOptions) {
    this.#options = options;
  }

  /** Why files cannot be stored at all; undefined as long as they can. */
  get obstacle(): TraceletError | undefined {
    return this.#obstacle;
  }

  /**
   * Store the files that show a batch's data. Stored again, they replace themselves. A value of whose files one is too
   * large is left out with all of them.
   *
   * @param segment names the batch: the same whenever it begins with the same value
   */
  async write(data: readonly Datum[], segment: string): Promise<TooLarge> {
    const tooLarge = { data: new Set<Datum>(), notes: [] as Note[] };
    if (!data.some(({ kind }) => isEncoded(kind))) return tooLarge;
    const store = await this.#open();
    if (store === undefined) return tooLarge;
    const { source, timestamp } = this.#options;
    for await (const encoded of encodeData(data, { source, paths: this.#paths, segment, timestamp })) {
      const fitting = encoded.filter(({ data: [first], data, artifacts }) => {
        const fits = artifacts.every((artifact) =>
          this.#fits(artifact, `${first?.kind} ${first?.tag}`, tooLarge.notes),
        );
        if (!fits) for (const datum of data) tooLarge.data.add(datum);
        return fits;
      });
      // Of two values of one tag and step the later one stays, whichever of two uploads would end first.
      const byPath = new Map(
        fitting.flatMap(({ artifacts }) => artifacts.map((artifact) => [artifact.path, artifact])),
      );
      const artifacts = [...byPath.values()];
      for (let at = 0; at < artifacts.length; at += CONCURRENCY) {
        await Promise.all(artifacts.slice(at, at + CONCURRENCY).map((artifact) => store.put(artifact)));
      }
    }
    await this.#writeIndex(store);
    return tooLarge;
  }

  /** Store pages beside the files of their tags. @returns which are too large */
  async attach(pages: AsyncIterable<Page>): Promise<Note[]> {
    const notes: Note[] = [];
    const store = await this.#open();
    if (store === undefined) return notes;
    for await (const { kind, tag, html } of pages) {
      const folder = FOLDERS.get(kind);
      if (folder === undefined) continue;
      const page = { path: this.#paths.file(folder, tag, "html"), bytes: Buffer.from(html) };
      if (this.#fits(page, `page of ${kind} ${tag}`, notes)) await store.put(page);
    }
    await this.#writeIndex(store);
    return notes;
  }

  /** @param what noted once, if it does not fit */
  #fits({ path, bytes }: Artifact, what: string, notes: Note[]): boolean {
    if (bytes.length <= this.#options.maxBytes) return true;
    if (!this.#noted.has(what)) {
      this.#noted.add(what);
      const message = `${what}: ${path} is left out, its ${bytes.length} bytes are more than --max-artifact-size`;
      notes.push({ code: "oversize", message });
    }
    return false;
  }

  /** Paths come from the tags alone, so what an earlier process wrote is completed, never contradicted. */
  async #writeIndex(store: ArtifactStore): Promise<void> {
    const entries = this.#paths.entries();
    if (entries.length === this.#indexed) return;
    const before = await store.get(INDEX);
    const known = before === undefined ? [] : entriesOf(before);
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

/** What an index says; nothing where somebody else has put something there that is none. */
function entriesOf(index: Uint8Array): ArtifactEntry[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(index).toString());
    return Array.isArray(value) ? value.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is ArtifactEntry {
  const { kind, tag, path } = (value ?? {}) as Record<string, unknown>;
  return [kind, tag, path].every((text) => typeof text === "string");
}
