/** The files that hold one run's rows of one table: parts, which are put into place whole and numbered in their order. */
import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../../errors.ts";
import { type OutputDirectory, syncDirectory, type Unsynced, writeSynced } from "../../output-directory.ts";
import { isOffset } from "../../run-state.ts";
import { sizeOf } from "../appended-file.ts";

/** A part that counts. */
export interface Part {
  readonly number: number;
  readonly bytes: number;
}

/** As many parts of a table are made one while a run goes on; once it is over, two are. */
const MANY = 32;
/** Parts are made one as long as it has at most this many bytes: so many are held in memory, decoded. */
const MAX_BYTES = 4 * 1024 * 1024;
/** A part, or what was to become one. Other names that begin with a dot or `_` are passed over by readers of directories. */
const NAME = /^(?:part-(\d+)\.parquet|\.part-\d+\.parquet\..+)$/;

/** So many were written by this process: no two are called the same until they are in their place. */
let written = 0;

/** What a part holds. @throws the system's error; TraceletError `rejected` if it cannot be read */
export async function decodedPart<T>(file: string, decode: (bytes: Uint8Array) => Promise<T>): Promise<T> {
  const bytes = readFileSync(file);
  try {
    return await decode(bytes);
  } catch (cause) {
    const hint = "remove the run's files, and sync again";
    throw new TraceletError("rejected", `${file} is damaged: it cannot be read as Parquet`, { hint, cause });
  }
}

/** One directory of parts. */
export class PartFiles {
  readonly #directory: OutputDirectory;
  readonly #folder: string;

  /** @param folder its path below the output directory */
  constructor(directory: OutputDirectory, folder: string) {
    this.#directory = directory;
    this.#folder = folder;
  }

  /** Where a part lies. */
  file(number: number): string {
    return this.#directory.path(this.#name(number));
  }

  /** @param decode of its bytes @throws TraceletError `rejected` */
  read<T>(number: number, decode: (bytes: Uint8Array) => Promise<T>): Promise<T> {
    return this.#directory.guarded(this.#name(number), () => decodedPart(this.file(number), decode));
  }

  /**
   * Write what is to become a part, durably.
   *
   * @param unsynced as for `OutputDirectory.place`
   * @returns where it is until then
   */
  async write(number: number, bytes: Uint8Array, unsynced: Unsynced): Promise<string> {
    const temporary = path.join(this.#path, `.part-${number}.parquet.${process.pid}-${++written}.part`);
    await this.#directory.guarded(this.#name(number), async () => {
      this.#directory.makeDirectory(this.#path, unsynced);
      await writeSynced(temporary, bytes);
    });
    return temporary;
  }

  /**
   * Put what was written into place.
   *
   * @throws the system's error; TraceletError `overtaken` if somebody else has opened the run meanwhile, and removed it
   */
  put(number: number, temporary: string, bytes: number, unsynced: Unsynced): Part {
    const file = this.file(number);
    try {
      renameSync(temporary, file);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
      const hint = "run the same command to resume";
      throw new TraceletError("overtaken", `another process has opened the run of ${file}`, { hint, cause });
    }
    unsynced.add(this.#path);
    return { number, bytes };
  }

  has({ number, bytes }: Part): boolean {
    return sizeOf(this.file(number)) === bytes;
  }

  /** Whether there are files that are no parts of these. */
  hasOthers(parts: readonly Part[]): boolean {
    return this.#others(parts).length > 0;
  }

  /** Remove those. @throws the system's error */
  removeOthers(parts: readonly Part[]): void {
    for (const name of this.#others(parts)) rmSync(path.join(this.#path, name), { force: true });
  }

  /** Write what is to replace parts, beside them, durably. @throws the system's error */
  prepare(into: number, bytes: Uint8Array): void {
    this.#directory.place(this.#merged(into), bytes);
  }

  /** Whether what was prepared is there. */
  isPrepared({ number, bytes }: Part): boolean {
    return sizeOf(this.#directory.path(this.#merged(number))) === bytes;
  }

  /**
   * Put what was prepared into the place of parts. Those go first: whoever reads meanwhile finds rows missing for a moment,
   * and none twice. Whatever part of this was done before, all of it is afterwards.
   *
   * @throws the system's error
   */
  replace(parts: readonly Part[], by: Part): void {
    if (this.isPrepared(by)) {
      for (const { number } of parts) if (number !== by.number) rmSync(this.file(number), { force: true });
      renameSync(this.#directory.path(this.#merged(by.number)), this.file(by.number));
    }
    syncDirectory(this.#path);
  }

  get #path(): string {
    return this.#directory.path(this.#folder);
  }

  #name(number: number): string {
    return `${this.#folder}/part-${number}.parquet`;
  }

  #merged(number: number): string {
    return `${this.#folder}/.part-${number}.parquet.merged`;
  }

  #others(parts: readonly Part[]): string[] {
    const known = new Set(parts.map(({ number }) => `part-${number}.parquet`));
    try {
      return readdirSync(this.#path).filter((name) => NAME.test(name) && !known.has(name));
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
      throw error;
    }
  }
}

/**
 * The last parts that are due to become one; none if they are not.
 *
 * @param since number of the first that may: those before it have another name of the run
 * @param isOver whether no more rows are expected
 */
export function dueParts(parts: readonly Part[], since: number, isOver: boolean): readonly Part[] {
  let first = parts.length;
  for (let bytes = 0; first > 0; first--) {
    const before = parts[first - 1] as Part;
    bytes += before.bytes;
    if (bytes > MAX_BYTES || before.number < since) break;
  }
  const due = parts.slice(first);
  return due.length >= (isOver ? 2 : MANY) ? due : [];
}

/** As the state has them. */
export function jsonOfParts(parts: readonly Part[]): [number, number][] {
  return parts.map(({ number, bytes }) => [number, bytes]);
}

/** Anybody may have changed it. */
export function partsOfJson(json: unknown): Part[] {
  return (Array.isArray(json) ? json : []).flatMap((part: unknown) => {
    const [number, bytes] = Array.isArray(part) ? (part as unknown[]) : [];
    return isOffset(number) && isOffset(bytes) ? [{ number, bytes }] : [];
  });
}
