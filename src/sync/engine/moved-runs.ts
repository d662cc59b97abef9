/**
 * Runs whose directories were renamed or moved, or are reached from another root: the same runs under other names. They are
 * recognized by the content of their files. If the files are still at the old place too, the new directory is a copy, and a
 * run of its own.
 */
import path from "node:path";
import type { ByteSource } from "../../reader/byte-source.ts";
import type { DiscoveredRun, EventFileEntry } from "../../reader/discover.ts";
import { type FileRef, useFile } from "../../reader/file-store.ts";
import { changeOf } from "../run/match.ts";
import { hashHead, hashHeads, headHash } from "../source/fingerprint.ts";
import { FileHeads } from "../source/head-index.ts";
import { directoryOf, SESSION } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";
import type { StoredFile, StoredRun } from "../state/stored-run.ts";

export interface MovedFrom {
  /** The runs as the user has chosen them. */
  readonly wanted: readonly DiscoveredRun[];
  /** All that the logdirs hold. */
  readonly all: readonly DiscoveredRun[];
  /** What was sent before, by name; a run that has moved is put under its new one. */
  readonly stored: Map<string, StoredRun[]>;
  /** Names of files that may be others by now than when they were found: two runs may have exchanged theirs. */
  readonly unsure?: ReadonlySet<string>;
}

/** A run that is elsewhere now. */
export interface Moved {
  readonly from: string;
  readonly run: StoredRun;
}

/**
 * Find the runs that have moved, and file them under their new names. Hardly opens a file unless a run has vanished.
 *
 * @returns those, for the checkpoints to be updated
 */
export async function followMoved(from: MovedFrom): Promise<readonly Moved[]> {
  const { stored } = from;
  if (stored.size === 0) return [];
  const { vanished, fresh } = await compare(from);
  const traces = vanished.length === 0 ? [] : await tracesOf(fresh, vanished);
  const moved = new Map<StoredRun, Moved>();
  const taken = new Set<string>();
  for (const { run, name, directory, isCopy } of traces.sort(byLikeness)) {
    if (moved.has(run) || taken.has(name) || (await isCopy())) continue;
    taken.add(name);
    moved.set(run, { from: run.name, run });
    stored.set(
      run.name,
      (stored.get(run.name) ?? []).filter((other) => other !== run),
    );
    run.name = name;
    run.directory = directory;
    // Its name at the destination changes, too.
    run.done = false;
    stored.set(name, [...(stored.get(name) ?? []), run]);
  }
  return [...moved.values()];
}

/**
 * The runs without those whose files have gone though nobody has noticed yet. Only runs that share a file name with another
 * run are checked, as a renamed one does.
 */
export async function withoutGone(runs: readonly DiscoveredRun[]): Promise<DiscoveredRun[]> {
  const numbers = new Map<string, number>();
  for (const { files } of runs) for (const { name } of files) numbers.set(name, (numbers.get(name) ?? 0) + 1);
  const isShared = ({ files }: DiscoveredRun) => files.some(({ name }) => (numbers.get(name) ?? 0) > 1);
  const left: DiscoveredRun[] = [];
  for (const run of runs) if (!isShared(run) || (await isAnyThere(run))) left.push(run);
  return left;
}

async function isAnyThere({ files }: DiscoveredRun): Promise<boolean> {
  for (const file of files) if ((await file.store.sizeNow(file)) !== undefined) return true;
  return false;
}

/**
 * The runs with no file left in its place, and the directories with no file that was sent from there. A file is opened only
 * if another one seems to have taken its place.
 */
async function compare({
  wanted,
  all,
  stored,
  unsure,
}: MovedFrom): Promise<{ vanished: StoredRun[]; fresh: DiscoveredRun[] }> {
  const entries = new Map<string, EventFileEntry[]>();
  for (const { name, files } of all) for (const file of files) push(entries, placeOf(name, file.name), file);
  const held = new Set<string>();
  const vanished: StoredRun[] = [];
  for (const run of [...stored.values()].flat()) {
    let isThere = false;
    for (const file of run.files) {
      const place = placeOf(run.name, file.name);
      for (const entry of entries.get(place) ?? []) {
        // A file that was rewritten in place may have the same inode.
        const isSameFile =
          (stampOf(entry) === file.stamp && unsure?.has(entry.name) !== true) ||
          ((await new FileHeads().hash(entry, file.head)) === headHash(file.key) &&
            (await changeOf(entry, file)) !== "other");
        if (isSameFile) held.add(place);
        isThere ||= isSameFile;
      }
    }
    // All that lies in its logdirs is a session's, wherever there.
    const mayMove = !run.name.startsWith(SESSION);
    if (!isThere && mayMove && run.remoteId !== undefined) vanished.push(run);
  }
  const fresh = wanted.filter((run) => !run.files.some((file) => held.has(placeOf(run.name, file.name))));
  return { vanished, fresh };
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

/** Path of a file below the logdir. @param name of its run @param file its path within that */
function placeOf(name: string, file: string): string {
  const directory = directoryOf(name);
  return directory === "." ? file : `${directory}/${file}`;
}

/** A file that begins like one of a vanished run. */
interface Trace {
  readonly run: StoredRun;
  /** The run's new name, if it is this one. */
  readonly name: string;
  /** The run's new directory, as the bytes of its path. */
  readonly directory: Uint8Array | undefined;
  /** How much of the file is known to be the same, bytes. */
  readonly verified: number;
  /** How many trailing parts of the two names are the same. */
  readonly alike: number;
  /** Whether the file is still where it was. */
  isCopy(): Promise<boolean>;
}

function byLikeness(a: Trace, b: Trace): number {
  return b.verified - a.verified || b.alike - a.alike;
}

async function tracesOf(fresh: readonly DiscoveredRun[], vanished: readonly StoredRun[]): Promise<Trace[]> {
  const byHead = new Map<string, { readonly run: StoredRun; readonly file: StoredFile }[]>();
  const lengths = new Set<number>();
  for (const run of vanished) {
    for (const file of run.files) {
      lengths.add(file.head);
      const key = `${file.head} ${headHash(file.key)}`;
      push(byHead, key, { run, file });
    }
  }
  const sorted = [...lengths].sort((one, other) => one - other);
  const traces: Trace[] = [];
  for (const { store, name: found, directory: at, files } of fresh) {
    const ofFound: { readonly trace: Trace; readonly file: StoredFile; readonly below: string }[] = [];
    const unread = new Set<string>();
    for (const entry of files) {
      const look = async (source: ByteSource) => {
        const head = new Uint8Array(sorted.at(-1) ?? 0);
        const length = await source.read(head, 0, head.length, 0);
        for (const [size, hash] of hashHeads(head.subarray(0, length), sorted)) {
          for (const { run, file } of byHead.get(`${size} ${hash}`) ?? []) {
            const below = path.posix.dirname(file.name);
            const name = nameAbove(found, below);
            if (name === undefined || name === run.name) continue;
            // A shorter file may be an earlier copy that then diverged.
            if ((await changeOf(entry, file)) !== undefined) continue;
            const alike = partsAlike(name, run.name);
            const directory = directoryAbove(store.placeOf(at), below);
            const isCopy = () => isStillThere(run, file, entry);
            ofFound.push({ trace: { run, name, directory, verified: file.offset, alike, isCopy }, file, below });
          }
        }
      };
      // A file that cannot be read is reported when it is about to be sent.
      await useFile(entry, look).catch(() => unread.add(entry.name));
    }
    // What lacks a file that was sent from there, or has it as it was before, is a copy from before that.
    const there = new Set(ofFound.map(({ file }) => file));
    const isWhole = (run: StoredRun, below: string) =>
      run.files.every((file) => {
        const isThere = there.has(file) || unread.has(path.posix.basename(file.name));
        return isThere || path.posix.dirname(file.name) !== below;
      });
    traces.push(...ofFound.filter(({ trace, below }) => isWhole(trace.run, below)).map(({ trace }) => trace));
  }
  return traces;
}

/** The real path of the directory that holds a run's directory at the path `below`; undefined if that cannot be told. */
function directoryAbove(place: Uint8Array | undefined, below: string): Uint8Array | undefined {
  if (place === undefined || below === ".") return place;
  const end = Buffer.from(`/${below}`);
  return Buffer.from(place).subarray(-end.length).equals(end) ? place.subarray(0, -end.length) : undefined;
}

/** The name of the directory that holds the run of this name at the path `below`. */
function nameAbove(name: string, below: string): string | undefined {
  if (below === ".") return name;
  if (name === below) return ".";
  return name.endsWith(`/${below}`) ? name.slice(0, -below.length - 1) : undefined;
}

function partsAlike(one: string, other: string): number {
  const [a, b] = [one.split("/").reverse(), other.split("/").reverse()];
  const differs = a.findIndex((part, i) => part !== b[i]);
  return differs < 0 ? a.length : differs;
}

/** Whether a sent file is still in its place, and not the one that was found: another path to the same file is no copy. */
async function isStillThere(
  { directory }: StoredRun,
  { name, head, key }: StoredFile,
  found: FileRef,
): Promise<boolean> {
  // Versions before 0.2 did not record where a run lies.
  if (directory === undefined) return false;
  const before = found.store.at(directory, name);
  const [there, here] = [before, found].map(({ store, path }) => store.placeOf(path));
  if (there === undefined || here === undefined || Buffer.from(there).equals(here)) return false;
  try {
    return (await useFile(before, (source) => hashHead(source, head))) === headHash(key);
  } catch {
    return false;
  }
}
