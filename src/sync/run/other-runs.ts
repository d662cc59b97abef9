/** The other runs of the logdirs: what is theirs at a destination is no other's, though files may be alike. */
import { displayPath, type EventFileEntry, type FsPath } from "../../reader/discover.ts";
import { type FileMark, hashText } from "../source/fingerprint.ts";
import { FileHeads, HeadIndex } from "../source/head-index.ts";
import type { StoredRun } from "../state/stored-run.ts";

/** A run as it lies in a logdir, or what becomes one run of the destination. */
export interface NamedFiles {
  readonly name: string;
  readonly directory: FsPath;
  readonly files: readonly EventFileEntry[];
}

/** A run of the destination: the source that it says to be of, and what it has of which files. */
export interface RunThere {
  readonly id: string;
  readonly source: string;
  readonly marks: readonly FileMark[];
}

/** How many directories up another root is looked for. */
const OTHER_ROOTS = 4;

export class OtherRuns {
  readonly #runs: () => Iterable<NamedFiles>;
  readonly #stored: ReadonlyMap<string, readonly StoredRun[]>;
  #bySource: ReadonlyMap<string, readonly NamedFiles[]> | undefined;
  /** What was sent before, by the destination's ids at the first look. */
  #holders: ReadonlyMap<string, StoredRun> | undefined;

  /** @param runs all that the logdirs hold @param stored what was sent before, by name */
  constructor(runs: () => Iterable<NamedFiles>, stored: ReadonlyMap<string, readonly StoredRun[]>) {
    this.#runs = runs;
    this.#stored = stored;
  }

  /** There are others now. */
  changed(): void {
    this.#bySource = this.#holders = undefined;
  }

  /**
   * Whether a run of the destination is that of another run than this, or was sent as another. One whose name another
   * directory has got, and whose files are not there, is nobody's.
   *
   * @param name of this one
   */
  async own(name: string, { id, source, marks }: RunThere): Promise<boolean> {
    this.#holders ??= new Map(
      [...this.#stored.values()].flat().flatMap((run) => (run.remoteId === undefined ? [] : [[run.remoteId, run]])),
    );
    const holder = this.#holders.get(id);
    // It may have gone on in another one since.
    if (holder !== undefined && holder.remoteId === id && holder.name !== name) return true;
    return source !== hashText(name) && this.#isThere(name, source, marks);
  }

  /** Whether another run of the source has a file that a mark tells of. */
  async #isThere(name: string, source: string, marks: readonly FileMark[]): Promise<boolean> {
    if (this.#bySource === undefined) {
      const bySource = new Map<string, NamedFiles[]>();
      for (const run of this.#runs()) {
        for (const key of sourcesOf(run)) {
          const runs = bySource.get(key);
          if (runs === undefined) bySource.set(key, [run]);
          else runs.push(run);
        }
      }
      this.#bySource = bySource;
    }
    const runs = this.#bySource.get(source);
    if (runs === undefined || runs.some((run) => run.name === name)) return false;
    const [index, heads] = [new HeadIndex(marks), new FileHeads()];
    for (const entry of runs.flatMap(({ files }) => files))
      if ((await index.first((length) => heads.hash(entry, length))) !== undefined) return true;
    return false;
  }
}

/** What the source of a run may be called: by its name, or by that which it has under another root. */
function sourcesOf({ name, directory }: NamedFiles): Set<string> {
  const parts = displayPath(directory).split("/");
  const suffixes = Array.from({ length: Math.min(OTHER_ROOTS, parts.length) }, (_, i) => parts.slice(-1 - i).join("/"));
  return new Set([name, ...suffixes].map(hashText));
}
