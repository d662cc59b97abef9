/** One directory of a watched tree: what the last look found, and what a new look finds changed. */
import type { BigIntStats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import {
  type Candidate,
  candidatesIn,
  type DiscoveredRun,
  type DiscoveryProblem,
  displayPath,
  type EventFileEntry,
  type FsPath,
  type GivenFile,
  realPathOf,
  runFileOf,
  runName,
  runOf,
  runOfFiles,
} from "../../reader/discover.ts";
import type { DirectoryWatch } from "./directory-watch.ts";
import { entryKey } from "./entry-key.ts";
import { Turn } from "./look-schedule.ts";

/** How a look differs from the one before. */
export interface Sight {
  /** Whether the run's files differ, or the run appeared or disappeared. */
  readonly runChanged: boolean;
  readonly appeared: readonly WatchedDirectory[];
  /** Including everything in them. */
  readonly vanished: readonly WatchedDirectory[];
  /** Links to directories that have been retargeted since their last look. */
  readonly moved: readonly WatchedDirectory[];
}

export class WatchedDirectory {
  readonly path: FsPath;
  /** Relative to the logdir; empty for the logdir itself. */
  readonly name: string;
  /** Absolute. */
  readonly logdir: string;
  /** Undefined for the logdir itself. */
  readonly parent: WatchedDirectory | undefined;
  /** By `entryKey`. */
  readonly children: Map<string, WatchedDirectory> = new Map();
  readonly turn: Turn = new Turn();
  run: DiscoveredRun | undefined;
  /** What could not be looked at, if anything. */
  problem: DiscoveryProblem | undefined;
  /** The watch that reports changes, if it has one. */
  watch: DirectoryWatch | undefined;
  /** Whether its path may now be another directory, even with the same inode number: the watch is on the old one. */
  watchIsStale = false;
  /** Whether it is still part of the tree. */
  attached = true;
  /** The number of entries when it was last listed; 0 before that. */
  entries = 0;
  readonly #isLink: boolean;
  /** Paths of the files, for a logdir whose files were given one by one. */
  readonly #given: readonly string[];
  #stamp: Stamp | undefined;
  /** Whether two looks in a row found the same stamp: changes within one tick of the file system's clock leave it as it is. */
  #settled = false;
  /** Files and links, which each look has to `stat`. */
  #candidates: readonly Candidate[] = [];

  constructor(
    fsPath: FsPath,
    name: string,
    logdir: string,
    parent: WatchedDirectory | undefined,
    isLink: boolean,
    given: readonly string[] = [],
  ) {
    this.path = fsPath;
    this.name = name;
    this.logdir = logdir;
    this.parent = parent;
    this.#isLink = isLink;
    this.#given = given;
  }

  /** How many files and links each look has to `stat`. */
  get cost(): number {
    return this.#candidates.length;
  }

  /** Whether it holds links: a watch does not reach their targets. */
  get hasLinks(): boolean {
    return this.#candidates.some(({ type }) => type === "link");
  }

  /**
   * Look at the directory and update what is known of it.
   *
   * @param thorough always list its entries; otherwise only if the directory's own times have changed
   * @param beforeListing called before anything in it is looked at, so that a watch placed then misses nothing
   * @throws the system's error if the directory itself cannot be looked at; what is known of it stays. Also `ENOENT` if it is
   * no longer a directory, or is a link back to one of its ancestors
   */
  async look(thorough: boolean, beforeListing: (stats: BigIntStats, isNew: boolean) => Promise<void>): Promise<Sight> {
    const stats = await stat(this.path, { bigint: true });
    const stamp: Stamp = { dev: stats.dev, ino: stats.ino, mtimeNs: stats.mtimeNs, ctimeNs: stats.ctimeNs };
    const isNew = this.#stamp === undefined || !isSame(this.#stamp, stats);
    const isFile = this.parent === undefined && stats.isFile();
    if (!isFile && (!stats.isDirectory() || (this.#isLink && this.#leadsBack(stats, this.parent)))) throw notThere();
    await beforeListing(stats, isNew);
    if (isFile) {
      this.#stamp = stamp;
      this.#candidates = [];
      const vanished = this.#takeChildren();
      return {
        ...this.#take(runOfFiles([{ path: this.logdir, stats }]), undefined),
        appeared: [],
        vanished,
        moved: [],
      };
    }
    if (this.#given.length > 0) {
      this.#stamp = stamp;
      return { ...(await this.#lookAtGiven()), appeared: [], vanished: [], moved: [] };
    }
    const unchanged = !isNew && this.#stamp?.mtimeNs === stats.mtimeNs && this.#stamp.ctimeNs === stats.ctimeNs;
    let listed: Listed | undefined;
    if (thorough || !unchanged || !this.#settled) {
      listed = await list(this.path);
      this.#settled = unchanged;
      this.#candidates = listed.others;
      this.entries = listed.entries;
    }
    this.#stamp = stamp;
    const vanished = isNew ? this.#takeChildren() : [];
    const appeared: WatchedDirectory[] = [];
    const found = await this.#examine(stats);
    for (const [key, child] of this.children) {
      const isUnlisted = listed === undefined && !child.#isLink;
      if (isUnlisted || listed?.directories.has(key) || found.links.has(key) || found.unknown.has(key)) continue;
      this.children.delete(key);
      vanished.push(child);
    }
    for (const directories of [listed?.directories ?? [], found.links]) {
      for (const [key, candidate] of directories) {
        const isLink = candidate.type === "link";
        const known = this.children.get(key);
        if (known !== undefined && known.#isLink === isLink) continue;
        if (known !== undefined) vanished.push(known);
        const name = runName(this.name, candidate);
        const child = new WatchedDirectory(candidate.path, name, this.logdir, this, isLink);
        this.children.set(key, child);
        appeared.push(child);
      }
    }
    const realPath = this.#isReachedByLink && found.files.length > 0 ? realPathOf(this.path) : undefined;
    const run = runOf({ name: this.name, directory: this.path, logdir: this.logdir, realPath }, found.files);
    return { ...this.#take(run, found.problem), appeared, vanished, moved: found.moved };
  }

  async #lookAtGiven(): Promise<Pick<Sight, "runChanged">> {
    const files: GivenFile[] = [];
    let problem: DiscoveryProblem | undefined;
    for (const file of this.#given) {
      try {
        files.push({ path: file, stats: await stat(file, { bigint: true }) });
      } catch (error) {
        const code = errorCode(error);
        if (!isAbsence(code)) problem ??= { path: file, code };
      }
    }
    return this.#take(files.length > 0 ? runOfFiles(files) : undefined, problem);
  }

  get #isReachedByLink(): boolean {
    return this.#isLink || (this.parent !== undefined && this.parent.#isReachedByLink);
  }

  /** Forget everything about it, as if it had never been looked at. @returns the directories in it */
  forget(): WatchedDirectory[] {
    this.run = undefined;
    this.problem = undefined;
    this.#stamp = undefined;
    this.#candidates = [];
    return this.#takeChildren();
  }

  #takeChildren(): WatchedDirectory[] {
    const children = [...this.children.values()];
    this.children.clear();
    return children;
  }

  #take(run: DiscoveredRun | undefined, problem: DiscoveryProblem | undefined): Pick<Sight, "runChanged"> {
    const runChanged = !isSameRun(this.run, run);
    if (runChanged) this.run = run;
    this.problem = problem;
    return { runChanged };
  }

  async #examine(self: Identity): Promise<Found> {
    const found: Found = { files: [], links: new Map(), moved: [], unknown: new Set(), problem: undefined };
    const outside: DiscoveryProblem[] = [];
    for (const candidate of this.#candidates) {
      try {
        const stats = await stat(candidate.path, { bigint: true });
        if (stats.isDirectory()) {
          if (isSame(self, stats) || this.#leadsBack(stats, this.parent)) continue;
          const key = entryKey(candidate.path);
          found.links.set(key, { ...candidate, type: "link" });
          const child = this.children.get(key);
          if (child !== undefined && child.#stamp !== undefined && !isSame(child.#stamp, stats))
            found.moved.push(child);
        } else {
          const file = runFileOf(candidate, stats, this.logdir);
          if (file === undefined) continue;
          if ("code" in file) outside.push(file);
          else found.files.push(file);
        }
      } catch (error) {
        const code = errorCode(error);
        // A dangling link, or an entry deleted since the listing, is not worth reporting.
        if (code !== "ENOENT") found.problem ??= { path: displayPath(candidate.path), code };
        // Unreadable does not mean deleted: what is known stays until it can be looked at again.
        if (isAbsence(code)) continue;
        found.unknown.add(entryKey(candidate.path));
        const known = filesOf(this.run).find(({ name }) => name === candidate.name);
        if (known !== undefined) found.files.push(known);
      }
    }
    const [first, ...more] = outside;
    if (first !== undefined)
      found.problem ??= { ...first, path: more.length === 0 ? first.path : `${first.path} and ${more.length} more` };
    return found;
  }

  /** Whether a directory is an ancestor of this one. */
  #leadsBack(identity: Identity, from: WatchedDirectory | undefined): boolean {
    for (let at = from; at !== undefined; at = at.parent) if (at.#stamp && isSame(at.#stamp, identity)) return true;
    return false;
  }
}

/** The code of a system error; anything else is thrown again. */
export function errorCode(error: unknown): string {
  const { code, errno } = error as NodeJS.ErrnoException;
  if (code === undefined || errno === undefined) throw error;
  return code;
}

/** Whether a code means that nothing is there, rather than that it cannot be looked at. A link to itself leads nowhere. */
export function isAbsence(code: string): boolean {
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP";
}

type Identity = Pick<BigIntStats, "dev" | "ino">;
type Stamp = Pick<BigIntStats, "dev" | "ino" | "mtimeNs" | "ctimeNs">;

interface Listed {
  /** By `entryKey`. */
  readonly directories: ReadonlyMap<string, Candidate>;
  readonly others: readonly Candidate[];
  /** The number of all entries. */
  readonly entries: number;
}

interface Found {
  readonly files: EventFileEntry[];
  /** Links to directories, by `entryKey`. */
  readonly links: Map<string, Candidate>;
  readonly moved: WatchedDirectory[];
  /** Keys of entries that could not be looked at. */
  readonly unknown: Set<string>;
  problem: DiscoveryProblem | undefined;
}

/** How many entries are processed before other work gets its turn. */
const CHUNK = 1000;

async function list(directory: FsPath): Promise<Listed> {
  const entries = await readdir(directory, { withFileTypes: true, encoding: "buffer" });
  const directories = new Map<string, Candidate>();
  const others: Candidate[] = [];
  for (let at = 0; at < entries.length; at += CHUNK) {
    if (at > 0) await setImmediate();
    for (const candidate of candidatesIn(directory, entries.slice(at, at + CHUNK))) {
      if (candidate.type === "directory") directories.set(entryKey(candidate.path), candidate);
      else others.push(candidate);
    }
  }
  return { directories, others, entries: entries.length };
}

function isSame(a: Identity, b: Identity): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

function notThere(): NodeJS.ErrnoException {
  return Object.assign(new Error("no directory to follow"), { code: "ENOENT", errno: -2 });
}

function filesOf(run: DiscoveredRun | undefined): EventFileEntry[] {
  if (run === undefined) return [];
  return [...run.files, run.hparamsFile, run.projectorFile].filter((file) => file !== undefined);
}

function isSameRun(a: DiscoveredRun | undefined, b: DiscoveredRun | undefined): boolean {
  const [left, right] = [filesOf(a), filesOf(b)];
  if (String(a?.realPath) !== String(b?.realPath)) return false;
  return left.length === right.length && left.every((file, i) => isSameFile(file, right[i] as EventFileEntry));
}

function isSameFile(a: EventFileEntry, b: EventFileEntry): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.token === b.token && a.name === b.name;
}
