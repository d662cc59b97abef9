/** Which of the runs that are remembered a run of TensorBoard's is, told by names alone. */
import type { DiscoveredRun } from "../reader/discover.ts";
import { directoriesAbove, pathBelow } from "../sync/source/groups.ts";
import { directoryOf, SESSION } from "../sync/source/run-group.ts";
import { placesOf } from "../sync/source/session.ts";
import type { StoredRun } from "../sync/state/stored-run.ts";

export interface Remembered {
  readonly of: StoredRun;
  offsetOf(file: string): number | undefined;
}

/** The run that has these files' names, or has them as a part; which of several it is shows only when it is synced. */
export function findRemembered(
  run: DiscoveredRun,
  stored: ReadonlyMap<string, readonly StoredRun[]>,
): Remembered | undefined {
  const sessions = [...stored.keys()].filter((name) => name.startsWith(SESSION)).reverse();
  for (const name of [run.name, ...directoriesAbove(run.name).reverse(), ".", ...sessions]) {
    const below = pathBelow(run.name, directoryOf(name));
    const prefix = below === undefined ? "" : `${below}/`;
    for (const of of [...(stored.get(name) ?? [])].reverse()) {
      // Relative to what holds all logdirs of a session, whichever these were.
      const places = (file: string) => (name.startsWith(SESSION) ? placesOf(file) : [file]);
      const offsets = new Map(of.files.flatMap((file) => places(file.name).map((place) => [place, file.offset])));
      if (!run.files.some((file) => offsets.has(prefix + file.name))) continue;
      return { of, offsetOf: (file) => offsets.get(prefix + file) };
    }
  }
  return undefined;
}
