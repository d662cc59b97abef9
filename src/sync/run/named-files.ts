/**
 * Files that records name: which of them are read. Whoever can write to a logdir can name any file of the machine, and a
 * watch that sends what it reads would hand out its owner's keys. So a file is read only if it lies in the logdir, where it
 * could be read anyway, or if the program that began this watch vouches for it, with a key that no other has.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { realpath, stat } from "node:fs/promises";
import path from "node:path";
import type { Datum, NamedFile } from "../../reader/datum.ts";
import type { FileRef } from "../../reader/file-store.ts";
import { isBelow } from "../../reader/fs-path.ts";
import { localFiles } from "../../reader/local-files.ts";
import { takeSessionKey } from "../../session-key.ts";
import type { Note } from "../report/note.ts";
import type { SkipReason } from "../report/skip-reason.ts";
import type { Tally } from "../report/tally.ts";
import type { Member } from "../source/run-group.ts";

/** Why a file is not read. */
type Refusal = Extract<SkipReason, "outside-logdir" | "not-found" | "changed">;

const WORDS: Readonly<Record<Refusal, string>> = {
  "outside-logdir":
    "is outside the logdir, and only the watch that the logging program itself has started may read it there: put a copy into the logdir",
  "not-found": "is not there any more, or is no regular file",
  changed: "has changed since it was logged",
};

/** Finds the files of artifacts, or leaves the artifacts out. One for each run. */
export class NamedFiles {
  /** The session's; empty: there is none. */
  readonly #key: string;
  readonly #noted = new Set<string>();

  readonly #passes: boolean;

  /** @param passes whether all are passed on as they are */
  constructor({ passes }: { readonly passes: boolean }) {
    this.#passes = passes;
    this.#key = takeSessionKey();
  }

  /** @param notes given one for each file that is not read */
  async apply(batch: { readonly data: Datum[] }, { run }: Member, tally: Tally, notes: Note[]): Promise<void> {
    if (this.#passes) return;
    if (!batch.data.some((datum) => datum.kind === "artifacts" && !(datum.content instanceof Uint8Array))) return;
    const kept: Datum[] = [];
    for (const datum of batch.data) {
      if (datum.kind !== "artifacts" || datum.content instanceof Uint8Array) {
        kept.push(datum);
        continue;
      }
      // An object store's logdir has no files of this machine in it.
      const logdir = run.store === localFiles ? run.logdir : undefined;
      const found = await this.#find(datum.content, logdir);
      if (typeof found !== "string") {
        kept.push({ ...datum, content: { ...datum.content, found } });
        continue;
      }
      tally.skipped(datum.kind, found, 1);
      const message = `artifact ${JSON.stringify(datum.path)} is skipped: ${datum.content.file} ${WORDS[found]}`;
      if (!this.#noted.has(message)) notes.push({ code: "artifacts", message, isWarning: true });
      this.#noted.add(message);
    }
    batch.data.splice(0, batch.data.length, ...kept);
  }

  async #find(named: NamedFile, logdir: string | undefined): Promise<FileRef | Refusal> {
    if (!path.isAbsolute(named.file)) return "outside-logdir";
    const isVouched = this.#vouchesFor(named);
    try {
      const root = logdir === undefined ? undefined : await realpath(logdir);
      const isInside = (file: string, roots: readonly (string | undefined)[]) =>
        isVouched || roots.some((each) => each !== undefined && isBelow(each, file));
      // Nothing is told of a file that may not be read, not even whether it is there.
      if (!isInside(path.resolve(named.file), [logdir, root])) return "outside-logdir";
      const file = await realpath(named.file);
      if (!isInside(file, [root])) return "outside-logdir";
      const stats = await stat(file, { bigint: true });
      if (!stats.isFile()) return "not-found";
      // A directory on the way may have become a link between the two calls.
      if ((await realpath(named.file)) !== file) return "changed";
      const { dev, ino, size, mtimeNs } = stats;
      if (Number(size) !== named.size || Number(mtimeNs / 1_000_000n) !== named.mtime) return "changed";
      return { store: localFiles, path: file, judged: { dev, ino, size, mtimeNs } };
    } catch {
      return "not-found";
    }
  }

  #vouchesFor({ text, mac }: NamedFile): boolean {
    if (this.#key === "" || mac === "") return false;
    const expected = createHmac("sha256", this.#key).update(text).digest();
    const given = Buffer.from(mac, "hex");
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
