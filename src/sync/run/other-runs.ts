/** The other runs of the logdirs: what is theirs at a destination is no other's, though files may be alike. */

import { hashText } from "../source/fingerprint.ts";
import type { StoredRun } from "../state/stored-run.ts";

export class OtherRuns {
  readonly #names: () => Iterable<string>;
  readonly #stored: ReadonlyMap<string, readonly StoredRun[]>;
  #sources: ReadonlySet<string> | undefined;
  #holders: ReadonlyMap<string, string> | undefined;

  /** @param names of all runs that the logdirs hold @param stored what was sent before, by name */
  constructor(names: () => Iterable<string>, stored: ReadonlyMap<string, readonly StoredRun[]>) {
    this.#names = names;
    this.#stored = stored;
  }

  /** There are others now. */
  changed(): void {
    this.#sources = this.#holders = undefined;
  }

  /**
   * Whether a run of the destination is that of another one than this, or was sent as another.
   *
   * @param name of this one @param run the destination's id, and the source that it says to be of
   */
  own(name: string, { id, source }: { readonly id: string; readonly source: string }): boolean {
    this.#sources ??= new Set(Array.from(this.#names(), hashText));
    if (source !== hashText(name) && this.#sources.has(source)) return true;
    this.#holders ??= new Map(
      [...this.#stored.values()]
        .flat()
        .flatMap((run) => (run.remoteId === undefined ? [] : [[run.remoteId, run.name]])),
    );
    return (this.#holders.get(id) ?? name) !== name;
  }
}
