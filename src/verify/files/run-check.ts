/** One run while its source is read: what is expected of its files, and then what is in them. */
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { OutputDirectory } from "../../backends/output-directory.ts";
import type { RunState } from "../../backends/run-state.ts";
import { Findings } from "../findings.ts";
import { pointOf } from "../point-words.ts";
import { SeriesSums, type TakeItem } from "../series-sums.ts";
import type { Unsettled } from "../tasks.ts";
import type { Contents, TakeMedium } from "./contents.ts";

export class RunCheck {
  /** Path of what tells its state. */
  readonly id: string;
  /** As its files tell it; undefined if they do not. */
  readonly state: RunState | undefined;
  readonly findings: Findings = new Findings(pointOf, true);
  /** What has to be read again to know. */
  unsettled: readonly Unsettled[] = [];
  /** Whether any value is there. */
  isThere = false;
  /** Whether all has been compared. */
  compared = false;
  /** How the source says that the run ended; undefined before it was read to its end. */
  status: RunState["status"] | undefined;
  readonly #expected = new SeriesSums();
  /** Sizes of files beside, in bytes, by their paths. */
  readonly #media = new Map<string, number>();

  constructor(id: string, state: RunState | undefined) {
    this.id = id;
    this.state = state;
  }

  readonly expect: TakeItem = this.#expected.add;

  readonly expectMedium: TakeMedium = (file, bytes) => {
    this.#media.set(file, bytes);
  };

  /** Compare, once all of the source was read. @throws TraceletError if files cannot be read; the signal's reason */
  async compare(contents: Contents, directory: OutputDirectory, signal: AbortSignal): Promise<void> {
    const { findings, state, status } = this;
    const there = new SeriesSums();
    const told = await directory.guarded(this.id, () => contents.stored(this.id, there.add));
    this.isThere = state !== undefined || !there.isEmpty;
    findings.compared("runs", 1);
    if (!this.isThere) findings.add({ what: "runs", name: "run", state: "missing" });
    else if (state === undefined) findings.add({ what: "runs", name: "state", state: "missing" });
    const ended = told ?? state?.status ?? status;
    if (this.isThere && ended !== status)
      findings.add({ what: "runs", name: "status", state: "different", source: String(status), there: String(ended) });
    this.unsettled = this.#expected.compare(there, findings);
    this.#expected.clear();
    findings.compared("files", this.#media.size);
    for (const [file, bytes] of this.#media) {
      signal.throwIfAborted();
      const found = await directory.guarded(file, () => mediumAt(directory.path(file)));
      if (found === undefined) findings.add({ what: "files", name: file, state: "missing" });
      else if (found.bytes !== bytes || !file.includes(found.digest))
        findings.add({ what: "files", name: file, state: "different", source: `${bytes} bytes`, there: found.text });
    }
    this.#media.clear();
    this.compared = true;
  }
}

/** @throws the system's error */
async function mediumAt(
  file: string,
): Promise<{ readonly bytes: number; readonly digest: string; readonly text: string } | undefined> {
  const bytes = statSync(file, { throwIfNoEntry: false })?.size;
  if (bytes === undefined) return undefined;
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  const digest = hash.digest("hex");
  return { bytes, digest, text: `${bytes} bytes with SHA-256 ${digest}` };
}
