/** The files of one run: where they go, and what each is called. */
import { TraceletError } from "../../../errors.ts";
import type { Datum, Kind } from "../../../reader/datum.ts";
import type { Note, Page } from "../../backend.ts";
import { ArtifactPaths, type ArtifactRoot } from "./artifact-paths.ts";
import type { Artifact, ArtifactStore } from "./artifacts.ts";
import { encodeData, isEncoded } from "./media/encode.ts";
import { readableJson } from "./media/json.ts";
import { ContentRefused } from "./store.ts";

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

/** What was not stored. */
export interface NotStored {
  readonly tooLarge: ReadonlySet<Datum>;
  /** Values that the store has refused, or of whose files one. */
  readonly refused: ReadonlyMap<Datum, ContentRefused>;
  /** Of those that are too large, one a tag. */
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
   * @throws TraceletError; ContentRefused if the store refuses whatever it is given
   * @param segment names the batch: the same whenever it begins with the same value
   */
  async write(data: readonly Datum[], segment: string): Promise<NotStored> {
    const tooLarge = new Set<Datum>();
    const refused = new Map<Datum, ContentRefused>();
    const notes: Note[] = [];
    const notStored = { tooLarge, refused, notes };
    if (!data.some(({ kind }) => isEncoded(kind))) return notStored;
    const store = await this.#open();
    if (store === undefined) return notStored;
    const { source, timestamp } = this.#options;
    const refusals = new Map<string, ContentRefused>();
    let anyStored = false;
    for await (const encoded of encodeData(data, { source, paths: this.#paths, segment, timestamp })) {
      const fitting = encoded.filter(({ data: [first], data, artifacts }) => {
        const fits = artifacts.every((artifact) => this.#fits(artifact, `${first?.kind} ${first?.tag}`, notes));
        if (!fits) for (const datum of data) tooLarge.add(datum);
        return fits;
      });
      // Of two values of one tag and step the later one stays, whichever of two uploads would end first.
      const byPath = new Map(
        fitting.flatMap(({ artifacts }) => artifacts.map((artifact) => [artifact.path, artifact])),
      );
      const artifacts = [...byPath.values()];
      for (let at = 0; at < artifacts.length; at += CONCURRENCY) {
        await Promise.all(
          artifacts.slice(at, at + CONCURRENCY).map(async (artifact) => {
            const error = await refusalOf(store.put(artifact));
            if (error === undefined) anyStored = true;
            else refusals.set(artifact.path, error);
          }),
        );
      }
      for (const { data, artifacts } of fitting) {
        const error = artifacts.map(({ path }) => refusals.get(path)).find((refusal) => refusal !== undefined);
        if (error !== undefined) for (const datum of data) refused.set(datum, error);
      }
    }
    // A store that takes none of them and not even this is at fault itself.
    await this.#writeIndex(store, refused.size > 0 && !anyStored);
    return notStored;
  }

  /** Store pages beside the files of their tags. @returns which were not stored, and why */
  async attach(pages: AsyncIterable<Page>): Promise<Note[]> {
    const notes: Note[] = [];
    const store = await this.#open();
    if (store === undefined) return notes;
    for await (const { kind, tag, html } of pages) {
      const folder = FOLDERS.get(kind);
      if (folder === undefined) continue;
      const page = { path: this.#paths.file(folder, tag, "html"), bytes: Buffer.from(html) };
      if (!this.#fits(page, `page of ${kind} ${tag}`, notes)) continue;
      const error = await refusalOf(store.put(page));
      if (error === undefined) continue;
      notes.push({ code: "artifacts", message: `page of ${kind} ${tag} is left out: ${error.message}` });
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
  async #writeIndex(store: ArtifactStore, again = false): Promise<void> {
    const entries = this.#paths.entries();
    if (entries.length === this.#indexed && !again) return;
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

/** How the store has refused it, or undefined once it is stored. */
async function refusalOf(stored: Promise<void>): Promise<ContentRefused | undefined> {
  try {
    await stored;
    return undefined;
  } catch (error) {
    if (error instanceof ContentRefused) return error;
    throw error;
  }
}
