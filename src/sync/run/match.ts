/** Which of the runs that were synced before a directory is, and how much of each of its files is known. */

import type { ByteSource } from "../../reader/byte-source.ts";
import { displayPath, type EventFileEntry } from "../../reader/discover.ts";
import { useFile } from "../../reader/file-store.ts";
import { type FileProblem, problemsOf } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import { hashTail, hashWaypoint, headHash, lastWaypoint, TAIL_BYTES } from "../source/fingerprint.ts";
import { FileHeads, HeadIndex } from "../source/head-index.ts";
import type { GroupFile, RunGroup } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";
import type { BarrenOf } from "../state/barren-files.ts";
import type { Checkpoints } from "../state/checkpoints.ts";
import type { StoredFile, StoredRun } from "../state/stored-run.ts";

/** A file of a run and what is known of it. */
export interface MatchedFile {
  readonly entry: GroupFile;
  readonly stored: StoredFile | undefined;
}

export interface Match {
  readonly stored: StoredRun | undefined;
  /** In the order they are to be read. Files that cannot be opened are not among them. */
  readonly files: readonly MatchedFile[];
  readonly problems: readonly FileProblem[];
  readonly notes: readonly Note[];
  /** The stored run that was here before, if this is another one in its place. */
  readonly replaced: StoredRun | undefined;
  /** Whether files begin as those of a candidate and go on in another way. */
  readonly isOther: boolean;
}

const NONE_BARREN: BarrenOf = () => undefined;

/** What a state remembers of files in which there is nothing to send. */
export function barrenIn(checkpoints: Checkpoints): BarrenOf {
  return (entry) => checkpoints.barren(entry.path, () => stampOf(entry));
}

/**
 * Whether all of the run was sent, and nothing about it has changed since; told without opening a file.
 *
 * @param choice id of what is asked for
 * @param barrenOf what is known of files in which there is nothing to send
 */
export function isUnchanged(
  run: RunGroup,
  stored: StoredRun,
  choice: string,
  barrenOf: BarrenOf = NONE_BARREN,
): boolean {
  if (!stored.done || stored.runName !== run.runName) return false;
  if (stored.choice !== undefined && stored.choice !== choice) return false;
  const files = run.files.filter((entry) => barrenOf(entry) === undefined);
  // Where what was sent has given way to files that hold nothing, it is to be said.
  if (files.length === 0 && run.files.length > 0 && stored.files.length > 0) return false;
  const sent = new Set(stored.files.map(({ name, stamp }) => `${stamp} ${name}`));
  return (
    run.members.every(({ path, run: { hparamsFile } }) => {
      return stored.hparamsFiles.get(path) === (hparamsFile && stampOf(hparamsFile));
    }) && files.every((entry) => sent.has(`${stampOf(entry)} ${entry.name}`))
  );
}

/** Whether any of its files is longer now than when it was last looked at. */
export async function hasGrown(run: RunGroup): Promise<boolean> {
  for (const file of run.files) {
    const now = await file.store.sizeNow(file);
    if (now !== undefined && now > file.size) return true;
  }
  return false;
}

/**
 * Find the run again among those of the same name, by the content of its files.
 *
 * @param barrenOf what is known of files in which there is nothing to send: they are not opened
 */
export async function matchRun(
  run: RunGroup,
  candidates: readonly StoredRun[],
  barrenOf: BarrenOf = NONE_BARREN,
): Promise<Match> {
  const problems: FileProblem[] = [];
  const notes: Note[] = [];
  const readable: GroupFile[] = [];
  const heads = new FileHeads();
  const unchanged = new Set(candidates.flatMap(({ files }) => files.map(({ name, stamp }) => `${stamp} ${name}`)));
  for (const entry of run.files) {
    if (barrenOf(entry) !== undefined) {
      readable.push(entry);
      continue;
    }
    try {
      // What may be another run by its beginning must not be taken for one because that cannot be read at the moment.
      if (candidates.length > 0 && !unchanged.has(`${stampOf(entry)} ${entry.name}`)) await heads.read(entry);
      else await useFile(entry, async () => {});
      readable.push(entry);
    } catch (error) {
      problems.push(...problemsOf(entry, error));
    }
  }
  const withContent = readable.filter((entry) => barrenOf(entry) === undefined);
  let best: Candidate | undefined;
  const ruledOut: StoredRun[] = [];
  for (const stored of candidates) {
    const candidate = await compare(withContent, stored, heads);
    if (candidate.isOther) ruledOut.push(stored);
    else if (candidate.files.size > (best?.files.size ?? 0)) best = candidate;
  }
  const files: MatchedFile[] = readable.map((entry) => {
    const note = best?.cut.get(entry);
    if (note !== undefined) notes.push(note);
    return { entry, stored: note === undefined ? best?.files.get(entry) : undefined };
  });
  if (best !== undefined) return { stored: best.stored, files, problems, notes, replaced: undefined, isOther: false };
  const replaced = ruledOut[0] ?? candidates.find((stored) => namesOverlap(readable, stored));
  if (replaced !== undefined) {
    const message = `${run.name} holds other data than when it was last synced; it becomes a new run`;
    notes.push({ code: "replaced", message });
  }
  return { stored: undefined, files, problems, notes, replaced, isOther: ruledOut.length > 0 };
}

/** A stored run beside the files of a directory. */
interface Candidate {
  readonly stored: StoredRun;
  readonly files: Map<GroupFile, StoredFile>;
  /** Files that are shorter than what was read of them. */
  readonly cut: Map<GroupFile, Note>;
  /** Whether a file that begins alike goes on in another way: then it is of another run, be it a copy or an heir. */
  readonly isOther: boolean;
}

async function compare(entries: readonly GroupFile[], stored: StoredRun, heads: FileHeads): Promise<Candidate> {
  const files = await pairFiles(entries, stored, heads);
  const cut = new Map<GroupFile, Note>();
  for (const [entry, file] of files) {
    const change = await changeOf(entry, file);
    if (change === "other") return { stored, files: new Map(), cut: new Map(), isOther: true };
    if (change === undefined) continue;
    const message = `${displayPath(entry.path)} is shorter than what was read of it; it is read again from the start`;
    cut.set(entry, { code: "truncated", message });
  }
  return { stored, files, cut, isOther: false };
}

async function pairFiles(
  entries: readonly GroupFile[],
  stored: StoredRun,
  heads: FileHeads,
): Promise<Map<GroupFile, StoredFile>> {
  const pairs = new Map<GroupFile, StoredFile>();
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const others: StoredFile[] = [];
  for (const file of stored.files) {
    // The same name first: most files keep it, and of two with the same beginning it tells which is which.
    const entry = byName.get(file.name);
    if (entry !== undefined && !pairs.has(entry) && (await isSame(entry, file, heads))) pairs.set(entry, file);
    else others.push(file);
  }
  if (others.length === 0) return pairs;
  const index = new HeadIndex(others);
  for (const entry of entries) {
    const file = pairs.has(entry) ? undefined : await index.take((length) => heads.hash(entry, length));
    if (file !== undefined) pairs.set(entry, file);
  }
  return pairs;
}

export async function isSame(
  entry: EventFileEntry,
  file: StoredFile,
  heads: FileHeads = new FileHeads(),
): Promise<boolean> {
  if (entry.name === file.name && stampOf(entry) === file.stamp) return true;
  return (await heads.hash(entry, file.head)) === headHash(file.key);
}

/** Whether a file that begins as it did is still the one that was read, as far as its length lets one tell. */
export async function changeOf(entry: EventFileEntry, stored: StoredFile): Promise<"cut" | "other" | undefined> {
  if (stampOf(entry) === stored.stamp) return undefined;
  if (entry.size < stored.offset) return (await isCut(entry, stored)) ? "cut" : "other";
  // What cannot be read at the moment is not another file for that.
  const tail = await useFile(entry, (source) => hashTail(source, stored.offset)).catch(() => stored.tail);
  if (tail === stored.tail) return undefined;
  // Damage that was passed over may have been filled since.
  if (stored.losses.some(({ end }) => end > stored.offset - TAIL_BYTES)) return "cut";
  // A copy under way may have its length before its content.
  return tail === (await hashTail(ZEROS, stored.offset)) ? "cut" : "other";
}

/** Whether a file that is shorter than what was read of it may be the beginning of that. */
async function isCut(entry: EventFileEntry, stored: StoredFile): Promise<boolean> {
  const last = lastWaypoint(stored, entry.size);
  // Damage that was passed over may have been filled since.
  if (last === undefined || stored.losses.length > 0) return true;
  const hash = await useFile(entry, (source) => hashWaypoint(source, last.at)).catch(() => undefined);
  // What is being copied may have its length before its content.
  return hash === undefined || hash === last.hash || hash === (await hashWaypoint(ZEROS, last.at));
}

const ZEROS: ByteSource = {
  read: async (into, at, length) => {
    into.fill(0, at, at + length);
    return length;
  },
};

function namesOverlap(entries: readonly EventFileEntry[], stored: StoredRun): boolean {
  const names = new Set(entries.map(({ name }) => name));
  return stored.files.some(({ name }) => names.has(name));
}
