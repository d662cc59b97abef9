/** The files of one run: what the backend would put, compared with what is there. */
import { createHash } from "node:crypto";
import { type Artifact, type ArtifactStore } from "../../backends/artifacts/artifact.ts";
import { INDEX } from "../../backends/artifacts/index-file.ts";
import { type Digest, digestOf } from "../../net/object-store.ts";
import type { FileRef } from "../../reader/file-store.ts";
import { FilePart } from "../../sync/source/file-part.ts";
import type { Findings, OneDifference } from "../findings.ts";
import { eachLine, type TakeItem } from "../items.ts";

/**
 * How its values fell into these files depends on the version that has sent them, so that all of a folder's are taken
 * together, line by line.
 */
const SEGMENT = /^(histograms|pr_curves)\/[^/]+\.jsonl$/;
/** In the head of a page. */
const GENERATOR = /<meta name="generator" content="([^"]*)">/;
const HEAD_BYTES = 4096;
/** It is not drawn anew when only its scalars have grown. */
const STALE_PAGE = /^custom_scalars\//;
/** An image's thumbnail is a WebP where sharp was installed. */
const THUMBNAIL = /(\+compressed)\.(?:png|webp)$/;

interface Stored {
  /** Bytes. */
  readonly size: number;
  /** Whether the source has it too. */
  expected: boolean;
}

/** Takes what the backend puts, and stores none of it. */
export class ArtifactCheck implements ArtifactStore {
  readonly #there: ArtifactStore | undefined;
  readonly #onLine: (folder: string, words: Int32Array) => void;
  /** What was put last of each folder's lines: a segment is written again whole as it grows. */
  readonly #growing = new Map<string, Artifact>();
  readonly #findings: Findings;
  #listing: Promise<Map<string, Stored>> | undefined;
  /** What the source has of each path that was not the same; a later value of the same path may be. */
  readonly #bad = new Map<string, OneDifference>();
  readonly #index = new Map<string, string>();

  /**
   * @param there undefined if the run is not there
   * @param onLine told each line of the files that hold a line a value
   */
  constructor(
    there: ArtifactStore | undefined,
    findings: Findings,
    onLine: (folder: string, words: Int32Array) => void,
  ) {
    this.#there = there;
    this.#findings = findings;
    this.#onLine = onLine;
  }

  /** Under which names a file may be there. */
  static namesOf(path: string): readonly string[] {
    return [path, ...(THUMBNAIL.test(path) ? [path.replace(THUMBNAIL, "$1.webp")] : [])];
  }

  /** Whether a file that is there was put, and is the same. */
  async agrees(path: string): Promise<boolean> {
    if (path === INDEX && this.#index.size > 0) await this.#compareIndex();
    return (await this.#stored()).get(path)?.expected === true && !this.#bad.has(path);
  }

  async put({ path, bytes, derived }: Artifact): Promise<void> {
    if (path === INDEX) {
      for (const [entry, text] of entriesOf(bytes)) this.#index.set(entry, text);
      return;
    }
    const folder = SEGMENT.exec(path)?.[1];
    if (folder !== undefined) {
      if (this.#growing.get(folder)?.path !== path) this.#takeLines(folder);
      this.#growing.set(folder, { path, bytes });
      return;
    }
    const found = await this.#expect(path);
    if (found === undefined) return;
    const { there, size } = found;
    if (derived) {
      if (size === 0) this.#differs(path, "bytes", "nothing in it");
    } else if (path.endsWith(".html")) await this.#comparePage(path, bytes);
    else if (size !== bytes.length) this.#differs(path, `${bytes.length} bytes`, `${size} bytes`);
    else this.#compare(path, bytes, await there.get(path));
  }

  async putFile(path: string, file: FileRef, size: number): Promise<void> {
    const found = await this.#expect(path);
    if (found === undefined) return;
    if (found.size !== size) {
      this.#differs(path, `${size} bytes`, `${found.size} bytes`);
      return;
    }
    const expected = await digestOfFile(file, size);
    const there = await found.there.digest(path);
    if (there?.sha256 === expected.sha256) return;
    this.#differs(path, `SHA-256 ${expected.sha256}`, there === undefined ? "nothing" : `SHA-256 ${there.sha256}`);
  }

  async expectFile(path: string, size: number): Promise<void> {
    const found = await this.#expect(path);
    if (found !== undefined && found.size !== size) this.#differs(path, `${size} bytes`, `${found.size} bytes`);
  }

  async get(): Promise<undefined> {
    return undefined;
  }

  async digest(): Promise<undefined> {
    return undefined;
  }

  async list(): Promise<[]> {
    return [];
  }

  /** Hand on the lines that cannot become more, since all of the source has been read. */
  endLines(): void {
    for (const folder of [...this.#growing.keys()]) this.#takeLines(folder);
  }

  #takeLines(folder: string): void {
    const grown = this.#growing.get(folder);
    this.#growing.delete(folder);
    if (grown !== undefined) eachLine(grown.bytes, (words) => this.#onLine(folder, words));
  }

  /** Compare what is left when the source has been read, and report it all. */
  async finish(): Promise<void> {
    this.endLines();
    if (this.#index.size > 0) await this.#compareIndex();
    for (const [path, { expected }] of await this.#stored()) {
      if (!expected && !SEGMENT.test(path)) this.#bad.set(path, { what: "files", name: path, state: "extra" });
    }
    for (const difference of this.#bad.values()) this.#findings.add(difference);
  }

  /** Hand on the lines that are there, of all folders. */
  async eachStoredLine(take: (folder: string, words: Int32Array) => void): Promise<void> {
    for (const path of (await this.#stored()).keys()) {
      const folder = SEGMENT.exec(path)?.[1];
      if (folder === undefined) continue;
      const takeOne: TakeItem = (words) => take(folder, words);
      eachLine((await this.#there?.get(path)) ?? new Uint8Array(), takeOne);
    }
  }

  /** Note that the source has this file. @returns what is there of it; nothing if it is missing */
  async #expect(path: string): Promise<{ there: ArtifactStore; size: number } | undefined> {
    const stored = await this.#stored();
    const entry = ArtifactCheck.namesOf(path).flatMap((name) => stored.get(name) ?? [])[0];
    const before = this.#bad.has(path) || entry?.expected === true;
    if (!before) this.#findings.compared("files", 1);
    this.#bad.delete(path);
    if (entry === undefined || this.#there === undefined) {
      this.#bad.set(path, { what: "files", name: path, state: "missing" });
      return undefined;
    }
    entry.expected = true;
    return { there: this.#there, size: entry.size };
  }

  async #comparePage(path: string, bytes: Uint8Array): Promise<void> {
    const there = await this.#there?.get(path);
    if (there === undefined || there.length === 0) this.#differs(path, "a page", "nothing in it");
    else if (generatorOf(there) === generatorOf(bytes) && !STALE_PAGE.test(path)) this.#compare(path, bytes, there);
  }

  #compare(path: string, bytes: Uint8Array, there: Uint8Array | undefined): void {
    if (there === undefined) this.#bad.set(path, { what: "files", name: path, state: "missing" });
    else if (Buffer.compare(bytes, there) !== 0) {
      this.#differs(path, `SHA-256 ${sha256(bytes)}`, `SHA-256 ${sha256(there)}`);
    }
  }

  async #compareIndex(): Promise<void> {
    const found = await this.#expect(INDEX);
    if (found === undefined) return;
    const there = entriesOf((await found.there.get(INDEX)) ?? new Uint8Array());
    const lacking = [...this.#index].find(([path, text]) => there.get(path) !== text);
    if (lacking !== undefined) this.#differs(INDEX, lacking[1], there.get(lacking[0]) ?? "no such entry");
  }

  #differs(path: string, source: string, there: string): void {
    this.#bad.set(path, { what: "files", name: path, state: "different", source, there });
  }

  #stored(): Promise<Map<string, Stored>> {
    this.#listing ??= this.#list();
    return this.#listing;
  }

  async #list(): Promise<Map<string, Stored>> {
    const files = (await this.#there?.list("")) ?? [];
    return new Map(files.map(({ path, size }) => [path, { size, expected: false }]));
  }
}

async function digestOfFile(file: FileRef, size: number): Promise<Digest> {
  const source = await new FilePart(file, 0, size).open();
  try {
    return await digestOf(source);
  } finally {
    await source.close();
  }
}

/** The lines of an index, by their paths; none if it is not one. */
function entriesOf(bytes: Uint8Array): Map<string, string> {
  try {
    const entries = JSON.parse(Buffer.from(bytes).toString()) as { kind: string; tag: string; path: string }[];
    return new Map(entries.map(({ kind, tag, path }) => [path, JSON.stringify({ kind, tag, path })]));
  } catch {
    return new Map();
  }
}

function generatorOf(page: Uint8Array): string | undefined {
  return GENERATOR.exec(Buffer.from(page.subarray(0, HEAD_BYTES)).toString())?.[1];
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
