/**
 * An object store in memory: objects with ETags, which are replaced whole and read by ranges. It counts what is asked of it,
 * and answers with an error when told to.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import type { Discovery } from "../../src/reader/discover.ts";
import type { FileEntry, FileRef, FileStore, FileTrouble, NotBeside, OpenFile } from "../../src/reader/file-store.ts";
import { displayPath, type FsPath } from "../../src/reader/fs-path.ts";
import { type ListedObject, runsOf } from "../../src/reader/listed-runs.ts";
import { ListedSource, type Listing } from "../../src/sync/tree/listed-source.ts";

export interface StoreRequest {
  readonly method: "LIST" | "HEAD" | "GET";
  readonly key: string;
  /** Bytes of the answer. */
  readonly bytes: number;
}

/** What a store answers with instead of an object. */
class StatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`answered ${status}`);
    this.status = status;
  }
}

export class ObjectStore implements FileStore, Listing {
  readonly host = "bucket.example";
  readonly name = "fake://bucket/runs";
  readonly store: FileStore = this;
  readonly requests: StoreRequest[] = [];
  /** Asked before each request: a status to answer with instead. It may also change the objects meanwhile. */
  fault: (request: Omit<StoreRequest, "bytes">) => number | undefined = () => undefined;
  readonly #objects = new Map<string, { readonly bytes: Buffer; readonly etag: string; readonly mtime: bigint }>();
  #changes = 0n;

  /** It as a source. */
  readonly source: ListedSource = new ListedSource(this);

  put(key: string, bytes: Uint8Array): void {
    const etag = createHash("md5").update(bytes).digest("hex");
    const mtime = (BigInt(Date.now()) + this.#changes++) * 1_000_000n;
    this.#objects.set(key, { bytes: Buffer.from(bytes), etag, mtime });
  }

  get(key: string): Buffer {
    return this.#object(key).bytes;
  }

  remove(prefix: string): void {
    for (const key of [...this.#objects.keys()]) if (key.startsWith(prefix)) this.#objects.delete(key);
  }

  rename(from: string, to: string): void {
    for (const [key, object] of [...this.#objects]) {
      if (!key.startsWith(from)) continue;
      this.#objects.delete(key);
      this.#objects.set(to + key.slice(from.length), object);
    }
  }

  /** Bytes of all answers so far. */
  get bytesSent(): number {
    return this.requests.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async list(): Promise<Discovery> {
    await this.#ask("LIST", "");
    const objects = Array.from(this.#objects, ([key, { bytes, etag: token, mtime }]): ListedObject => {
      return { key, size: bytes.length, mtime, token };
    });
    return { runs: runsOf(this, this.name, objects), problems: [] };
  }

  async open(file: FileRef & Partial<FileEntry>): Promise<OpenFile> {
    const key = this.#keyOf(file.path);
    let etag = file.token;
    return {
      read: async (into, at, length, position) => {
        await this.#ask("GET", key);
        const object = this.#object(key);
        etag ??= object.etag;
        if (object.etag !== etag) throw new StatusError(412);
        const part = object.bytes.subarray(position, position + length);
        this.#answered("GET", key, part.length);
        into.set(part, at);
        return part.length;
      },
      close: async () => {},
    };
  }

  async whole(file: FileEntry): Promise<OpenFile & { readonly bytes: Uint8Array }> {
    const source = await this.open(file);
    const bytes = new Uint8Array(file.size);
    const length = await source.read(bytes, 0, file.size, 0);
    const read: OpenFile["read"] = async (into, at, wanted, position) => {
      const part = bytes.subarray(position, position + wanted);
      into.set(part, at);
      return part.length;
    };
    return { ...source, read, bytes: bytes.subarray(0, length) };
  }

  judge(error: unknown): FileTrouble | undefined {
    if (!(error instanceof StatusError)) return undefined;
    const kind = error.status === 404 ? "gone" : error.status === 401 || error.status === 403 ? "refused" : "again";
    return { kind, code: String(error.status) };
  }

  stampOf({ size, token }: FileEntry): string {
    return `${size}:${token}`;
  }

  isStampOf(): boolean {
    return false;
  }

  isSameFile(before: FileEntry, now: FileEntry): boolean {
    return before.path === now.path;
  }

  async sizeNow({ path: at }: FileRef): Promise<number | undefined> {
    const key = this.#keyOf(at);
    try {
      await this.#ask("HEAD", key);
      this.#answered("HEAD", key, 0);
      return this.#object(key).bytes.length;
    } catch {
      return undefined;
    }
  }

  placeOf(at: FsPath): Uint8Array {
    return Buffer.from(at as string);
  }

  at(directory: Uint8Array, name: string): FileRef {
    return { store: this, path: `${Buffer.from(directory).toString()}/${name}` };
  }

  async beside(directory: string, named: string): Promise<FileEntry | NotBeside> {
    const name = path.posix.normalize(named);
    if (name.startsWith("..") || name.startsWith("/")) return "outside-run";
    const at = `${directory}/${name}`;
    const object = this.#objects.get(this.#keyOf(at));
    if (object === undefined) return "not-found";
    const { bytes, etag: token, mtime } = object;
    return { store: this, path: at, name, size: bytes.length, mtime, token };
  }

  async #ask(method: StoreRequest["method"], key: string): Promise<void> {
    // As a network does, it answers later.
    await new Promise((resolve) => setImmediate(resolve));
    const status = this.fault({ method, key });
    if (method === "LIST") this.#answered(method, key, 0);
    if (status !== undefined) throw new StatusError(status);
  }

  #answered(method: StoreRequest["method"], key: string, bytes: number): void {
    this.requests.push({ method, key, bytes });
  }

  #object(key: string): { readonly bytes: Buffer; readonly etag: string } {
    const object = this.#objects.get(key);
    if (object === undefined) throw new StatusError(404);
    return object;
  }

  #keyOf(at: FsPath): string {
    return displayPath(at).slice(this.name.length + 1);
  }
}
