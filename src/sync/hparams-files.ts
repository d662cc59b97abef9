/** The `hparams.yaml` files of a run's members: which of them are still to be sent, and what they say together. */
import type { HparamValue } from "../reader/datum.ts";
import { displayPath } from "../reader/discover.ts";
import type { Note } from "./backend.ts";
import type { Member } from "./groups.ts";
import { type FileProblem, stampOf } from "./match.ts";

export interface HparamsFiles {
  /** What the files that changed say, by name. */
  readonly hparams: ReadonlyMap<string, HparamValue>;
  /** Stamps of all files, by the paths of the members that they lie in. */
  readonly stamps: ReadonlyMap<string, string>;
  readonly notes: readonly Note[];
  readonly problems: readonly FileProblem[];
}

/** Read the files whose stamps are not known. @param known stamps, by the paths of the members */
export async function readHparamsFiles(
  members: readonly Member[],
  known: ReadonlyMap<string, string>,
): Promise<HparamsFiles> {
  const stamps = new Map<string, string>();
  const hparams = new Map<string, HparamValue>();
  const notes: Note[] = [];
  const problems: FileProblem[] = [];
  for (const { path, run } of members) {
    const { hparamsFile } = run;
    if (hparamsFile === undefined) continue;
    const stamp = stampOf(hparamsFile);
    if (stamp !== known.get(path)) {
      try {
        // It brings a YAML parser, which most runs do not need.
        const { readHparamsFile } = await import("../reader/hparams-file.ts");
        for (const [name, value] of await readHparamsFile(hparamsFile)) {
          const first = hparams.get(name);
          if (first === undefined) hparams.set(name, value);
          else if (textOf(first) !== textOf(value)) {
            const message = `hyperparameter ${JSON.stringify(name)} stays ${textOf(first)}; another part of the run has ${textOf(value)}`;
            notes.push({ code: "param-conflict", message });
          }
        }
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        problems.push({ path: displayPath(hparamsFile.path), code: code ?? message });
        continue;
      }
    }
    stamps.set(path, stamp);
  }
  return { hparams, stamps, notes, problems };
}

function textOf(value: HparamValue): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === "bigint" ? `${each}` : each));
}
