/** The files of one run: where they go, and what each is called. */

import { TraceletError } from "../../errors.ts";
import { ContentRefused } from "../../net/refusal.ts";
import type { Datum, Kind } from "../../reader/datum.ts";
import type { FilesReceipt, Page, Segment, SourceArtifact } from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import type { SkipReason } from "../../sync/report/skip-reason.ts";
import { Tally } from "../../sync/report/tally.ts";
import type { Artifact, ArtifactSink, FileArtifact } from "./artifact.ts";
import { type ArtifactEntry, ArtifactPaths, type ArtifactRoot } from "./artifact-paths.ts";
import { attachFiles, countOf } from "./attached-files.ts";
import type { Encoded, Encoders } from "./encode.ts";

/** Files on their way at the same time. */
const CONCURRENCY = 8;
/** Of kinds whose files are named after tag and step, or after the tag alone: what it means that one is written again. */
const REPLACED: ReadonlyMap<Kind, SkipReason> = new Map<Kind, SkipReason>([
  ...(["audio", "images", "mesh", "tensors", "text"] as const).map((kind) => [kind, "same-step"] as const),
  ...(["artifacts", "custom_scalars", "graphs"] as const).map((kind) => [kind, "same-tag"] as const),
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

export interface RunArtifactsOptions<Store extends ArtifactSink> {
  /** Says which run of which source this is, for ever: a part of its images' identity. */
  readonly source: string;
  /** Asked for when there is the first file. @throws TraceletError `unsupported` where tracelet cannot write to */
  open(): Promise<Store>;
  /** Tell which tag each path stands for. @param entries all that this process knows of */
  tell(store: Store, entries: readonly ArtifactEntry[]): Promise<void>;
  /** What a file that a program logged may not be called, beside what tracelet's own are; undefined: anything. */
  readonly reserved?: RegExp | undefined;
  /** What values become files. Loaded for those runs only that have more than scalars. */
  encoders(): Promise<Encoders>;
  /** Seconds since the Unix epoch → ms. */
  timestamp(wallTime: number): number;
  /** The largest file that is stored, bytes. */
  readonly maxBytes: number;
}

/** What became of a batch's values, as far as they were not simply stored. */
export interface Written {
  /** Not stored because a file is too large. */
  readonly tooLarge: ReadonlySet<Datum>;
  /** Not stored because the store refuses their files, or one of them. */
  readonly refused: ReadonlyMap<Datum, ContentRefused>;
  /** Values, of this batch or an earlier one, whose files others of this batch have taken, as skipped. */
  readonly replaced: Tally;
  /** Of those that are too large, one a tag. */
  readonly notes: readonly Note[];
}

export class RunArtifacts<Store extends ArtifactSink> {
  readonly #options: RunArtifactsOptions<Store>;
  readonly #paths: ArtifactPaths;
  #store: Promise<Store> | undefined;
  #obstacle: TraceletError | undefined;
  /** Paths of values, the oldest first. */
  readonly #written = new Set<string>();
  /** How many paths were told. */
  #told = 0;
  /** Of which kinds and tags it was noted that a file is too large. */
  readonly #noted = new Set<string>();

  constructor(options: RunArtifactsOptions<Store>) {
    this.#options = options;
    this.#paths = new ArtifactPaths(options.reserved);
  }

  /** Why files cannot be stored at all; undefined as long as they can. */
  get obstacle(): TraceletError | undefined {
    return this.#obstacle;
  }

  /**
   * Store the files that show a batch's data. Stored again, they replace themselves. A value of whose files one is too
   * large is skipped with all of them.
   *
   * @throws TraceletError; ContentRefused if the store refuses whatever it is given
   * @param segments those that the data's histograms and curves belong to
   */
  async write(data: readonly Datum[], segments: readonly Segment[]): Promise<Written> {
    const tooLarge = new Set<Datum>();
    const refused = new Map<Datum, ContentRefused>();
    const replaced = new Tally();
    const notes: Note[] = [];
    const written = { tooLarge, refused, replaced, notes };
    if (data.length === 0 && segments.length === 0) return written;
    const { encodeData, isEncoded } = await this.#options.encoders();
    if (segments.length === 0 && !data.some(({ kind }) => isEncoded(kind))) return written;
    const store = await this.#open();
    if (store === undefined) return written;
    const { source, timestamp } = this.#options;
    const refusals = new Map<string, ContentRefused>();
    let anyStored = false;
    for await (const [kind, encoded] of encodeData(data, segments, { source, paths: this.#paths, timestamp })) {
      const fitting = encoded.filter(({ data: [first], data, artifacts }) => {
        const fits = artifacts.every((artifact) => this.#fits(artifact, `${first?.kind} ${first?.tag}`, notes));
        if (first?.kind === "artifacts") this.#notePath(first.path, artifacts[0]?.path, notes);
        if (!fits) for (const datum of data) tooLarge.add(datum);
        return fits;
      });
      // Of two values of one tag and step the later one stays, whichever of two uploads would end first.
      const all = fitting.flatMap((each) => each.artifacts);
      const artifacts = [...new Map(all.map((artifact) => [artifact.path, artifact])).values()];
      for (let at = 0; at < artifacts.length; at += CONCURRENCY) {
        await Promise.all(
          artifacts.slice(at, at + CONCURRENCY).map(async (artifact) => {
            const error = await refusalOf(put(artifact, store));
            if (error === undefined) anyStored = true;
            else refusals.set(artifact.path, error);
          }),
        );
      }
      const stored = fitting.filter(({ data, artifacts }) => {
        const error = artifacts.map(({ path }) => refusals.get(path)).find((refusal) => refusal !== undefined);
        if (error !== undefined) for (const datum of data) refused.set(datum, error);
        return error === undefined;
      });
      // Where a file was refused, the one before it is still there.
      const reason = REPLACED.get(kind);
      if (reason !== undefined) replaced.skipped(kind, reason, this.#countReplaced(stored));
    }
    // A store that takes none of them and not even this is at fault itself.
    await this.#tell(store, refused.size > 0 && !anyStored);
    return written;
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
      notes.push({ code: "artifacts", message: `page of ${kind} ${tag} is skipped: ${error.message}` });
    }
    await this.#tell(store);
    return notes;
  }

  /** @param what noted once, if it does not fit */
  #fits(artifact: Artifact | FileArtifact, what: string, notes: Note[]): boolean {
    const { path } = artifact;
    const size = "file" in artifact ? artifact.size : artifact.bytes.length;
    if (size <= this.#options.maxBytes) return true;
    if (!this.#noted.has(what)) {
      this.#noted.add(what);
      const message = `${what}: ${path} is skipped, its ${size} bytes are more than --max-artifact-size`;
      notes.push({ code: "oversize", message });
    }
    return false;
  }

  /** Say once that a logged file is stored under another path than its own. */
  #notePath(logged: string, stored: string | undefined, notes: Note[]): void {
    if (stored === undefined || stored === logged || this.#noted.has(`path ${logged}`)) return;
    this.#noted.add(`path ${logged}`);
    const message = `artifact ${JSON.stringify(logged)} is stored as ${JSON.stringify(stored)}`;
    notes.push({ code: "renamed", message });
  }

  /** Store files of the source as they are. */
  async attachFiles(artifact: SourceArtifact): Promise<FilesReceipt> {
    const store = await this.#open();
    if (store === undefined) {
      const tally = new Tally();
      tally.skipped(artifact.kind, "no-file-storage", countOf(artifact));
      return { tally, notes: [], problems: [], complete: false };
    }
    const { tally, notes, problems, complete } = await attachFiles(artifact, store, this.#paths);
    await this.#tell(store);
    return { tally, notes, problems, complete };
  }

  /** As far as the paths are remembered; another process' files are not known. */
  #countReplaced(encoded: readonly Encoded[]): number {
    const written = this.#written;
    let count = 0;
    for (const { data, artifacts } of encoded) {
      if (artifacts.some(({ path }) => written.has(path))) count += data.length;
      for (const { path } of artifacts) written.add(path);
    }
    for (const path of written) {
      if (written.size <= MAX_WRITTEN) break;
      written.delete(path);
    }
    return count;
  }

  async #tell(store: Store, again = false): Promise<void> {
    const entries = this.#paths.entries();
    if (entries.length === this.#told && !again) return;
    await this.#options.tell(store, entries);
    this.#told = entries.length;
  }

  async #open(): Promise<Store | undefined> {
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

async function put(artifact: Artifact | FileArtifact, store: ArtifactSink): Promise<void> {
  if (!("file" in artifact)) return store.put(artifact);
  const { path, file, size } = artifact;
  if (file !== undefined) return store.putFile(path, file, size);
  return store.expectFile?.(path, size);
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
