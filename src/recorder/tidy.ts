/** Recordings that nobody needs any more. */
import { isRecordingPath, type Recordings } from "../sync/source/recordings.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import type { StoredRun } from "../sync/state/stored-run.ts";

/** For this long after they were last written to they are kept in any case: for verify, and for destinations to come. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Remove the recordings that every destination with their run has taken whole, a week after they were last written to. One
 * that no destination has taken anything of stays.
 *
 * @returns how many were removed @throws TraceletError `state`
 */
export function tidy(stateDir: string, recordings: Recordings, now: number = Date.now()): number {
  const old = [...recordings.all()].filter(({ mtimeMs }) => now - mtimeMs > KEPT_MS);
  if (old.length === 0) return 0;
  const runs = Checkpoints.destinations(stateDir).map((destination) => storedRuns(stateDir, destination));
  const isTaken = (path: string, size: number) => {
    const holders = runs.flat().filter(({ files }) => files.some(({ name }) => name === path));
    // Another destination may have the run, and be behind.
    const all = runs.flat().filter((run) => holders.some((holder) => isSameSource(run, holder)));
    return (
      holders.length > 0 && all.every(({ files }) => files.some(({ name, offset }) => name === path && offset >= size))
    );
  };
  return recordings.remove(new Set(old.filter(({ path, size }) => isTaken(path, size)).map(({ path }) => path)));
}

/** The recordings that belong to runs, as far as no destination remembers any of them. */
export function forgetRecordings(stateDir: string, recordings: Recordings, paths: ReadonlySet<string>): number {
  if (paths.size === 0) return 0;
  const runs = Checkpoints.destinations(stateDir).flatMap((destination) => storedRuns(stateDir, destination));
  const needed = new Set(runs.flatMap(({ files }) => files.map(({ name }) => name)).filter(isRecordingPath));
  return recordings.remove(new Set([...paths].filter((path) => !needed.has(path))));
}

function storedRuns(stateDir: string, destination: string): StoredRun[] {
  const checkpoints = Checkpoints.open(stateDir, destination, { readOnly: true });
  try {
    return [...checkpoints.runs().values()].flat();
  } finally {
    checkpoints.close();
  }
}

function isSameSource(a: StoredRun, b: StoredRun): boolean {
  return a.name === b.name && String(a.directory) === String(b.directory);
}
