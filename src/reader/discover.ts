/**
 * Which runs are in a logdir, and which event files are in a run: TensorBoard's own rule.
 *
 * Source: tensorboard/backend/event_processing/io_wrapper.py (`GetLogdirSubdirectories`, `IsSummaryEventsFile`) and
 * tensorboard/data/server/disk_logdir.rs.
 */
import { isUtf8 } from "node:buffer";
import { type BigIntStats, type Dirent, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { followedLink, LEADS_OUT } from "./file-links.ts";
import type { FileEntry, FileStore } from "./file-store.ts";
import { decodeName, displayPath, type FsPath } from "./fs-path.ts";
import { localFiles } from "./local-files.ts";

export { displayPath, type FsPath };

/** A regular file whose name says that it holds events. */
export type EventFileEntry = FileEntry;

/** A directory that holds at least one event file. */
export interface DiscoveredRun {
  /** What holds its files. */
  readonly store: FileStore;
  /** Path relative to the logdir with `/` between its parts; `.` for the logdir itself. */
  readonly name: string;
  readonly directory: FsPath;
  /** The logdir it was found in, absolute. */
  readonly logdir: string;
  /** Where its directory really lies, if it was reached by a link below the logdir. */
  readonly realPath: FsPath | undefined;
  /** In the order they are to be read: by name, compared as bytes. */
  readonly files: readonly EventFileEntry[];
  /** Lightning's `hparams.yaml` beside the event files. */
  readonly hparamsFile: EventFileEntry | undefined;
  /** The embedding projector's `projector_config.pbtxt` beside them. */
  readonly projectorFile: EventFileEntry | undefined;
}

/** Something in the tree that could not be looked at; the rest of the tree is unaffected. */
export interface DiscoveryProblem {
  readonly path: string;
  /** The system's code, such as `EACCES`. */
  readonly code: string;
}

export interface Discovery {
  /** By logdir, then by name. */
  readonly runs: readonly DiscoveredRun[];
  readonly problems: readonly DiscoveryProblem[];
}

/**
 * List the runs below one logdir, or the one run that a single event file is.
 *
 * Directories are walked recursively, hidden ones too; a symlink to a directory is followed unless it leads back to a
 * directory it lies in. A symlink to a file is followed unless it leads out of the logdir, which is a problem. Only regular
 * files count: FIFOs, sockets and devices are never opened.
 *
 * @throws the system's error (`ENOENT`, `EACCES`, …) if the logdir itself cannot be read
 */
export function discover(logdir: string): Discovery {
  const root = path.resolve(logdir);
  const stats = statSync(root, { bigint: true });
  if (stats.isFile()) return { runs: [runOfFiles([{ path: root, stats }])], problems: [] };
  const walk: Walk = { logdir: root, runs: [], problems: [] };
  const entries = readdirSync(root, { withFileTypes: true, encoding: "buffer" });
  visit(walk, root, "", entries, [stats], false);
  walk.runs.sort((a, b) => compareBytes(a.name, b.name));
  return walk;
}

/** Whether a file's base name makes it an event file. */
export function isEventFileName(name: string): boolean {
  return name.includes("tfevents") && !name.endsWith(".profile-empty");
}

/** Whether a file of that base name is part of a run: an event file, or one that is read beside them. */
export function isRunFileName(name: string): boolean {
  return isEventFileName(name) || name === HPARAMS_FILE || name === PROJECTOR_FILE;
}

/** An entry of a directory that, as far as its name and type tell, is part of a run or leads to one. */
export interface Candidate {
  readonly path: FsPath;
  /** Its base name, to print and to order by. */
  readonly name: string;
  /** What a link leads to, only `stat` can tell. */
  readonly type: "directory" | "file" | "link";
}

/** The entries of a directory that have to be looked at. */
export function candidatesIn(directory: FsPath, entries: readonly Dirent<Buffer>[]): Candidate[] {
  const candidates: Candidate[] = [];
  for (const entry of entries) {
    const name = decodeName(entry.name);
    const type = entry.isDirectory() ? "directory" : entry.isSymbolicLink() ? "link" : "file";
    if (type === "file" && !(entry.isFile() && isRunFileName(name))) continue;
    candidates.push({ path: join(directory, entry.name), name, type });
  }
  return candidates;
}

/**
 * What a candidate is that turned out to be no directory; undefined if it is not part of a run, and a problem if it is a
 * link that leads out of the logdir.
 *
 * @throws the system's error if it is a link and leads nowhere any more
 */
export function runFileOf(
  candidate: Candidate,
  stats: BigIntStats,
  logdir: string,
): EventFileEntry | DiscoveryProblem | undefined {
  if (!stats.isFile() || !isRunFileName(candidate.name)) return undefined;
  const file = candidate.type === "link" ? followedLink(candidate.path, logdir) : candidate.path;
  if (file === undefined) return { path: displayPath(candidate.path), code: LEADS_OUT };
  return entryOf(file, candidate.name, stats);
}

/** The name of the run in a subdirectory. @param parent the name of the run it lies in, empty for the logdir itself */
export function runName(parent: string, { name }: Candidate): string {
  return parent === "" ? name : `${parent}/${name}`;
}

/** The run that a directory with these files is, in any order; undefined if none of them is an event file. */
export function runOf(
  { name, directory, logdir, realPath }: Pick<DiscoveredRun, "name" | "directory" | "logdir" | "realPath">,
  found: readonly EventFileEntry[],
): DiscoveredRun | undefined {
  const files = found.filter((file) => isEventFileName(file.name));
  if (files.length === 0) return undefined;
  if (files.length > 1) files.sort((a, b) => compareBytes(a.name, b.name));
  return {
    store: (files[0] as EventFileEntry).store,
    name: name === "" ? "." : name,
    directory,
    logdir,
    realPath,
    files,
    ...filesBeside(found),
  };
}

function filesBeside(found: readonly EventFileEntry[]): Pick<DiscoveredRun, "hparamsFile" | "projectorFile"> {
  return {
    hparamsFile: found.find((file) => file.name === HPARAMS_FILE),
    projectorFile: found.find((file) => file.name === PROJECTOR_FILE),
  };
}

/** A file that was given by its own path, absolute. */
export interface GivenFile {
  readonly path: string;
  readonly stats: BigIntStats;
}

/**
 * The run that files of one directory are which were given one by one: event files, whatever their names, and what is read
 * beside them. Where one is a link, whoever gave it means what that leads to.
 *
 * @param given at least one
 * @throws the system's error if one is there no longer
 */
export function runOfFiles(given: readonly GivenFile[]): DiscoveredRun {
  const directory = path.dirname((given[0] as GivenFile).path);
  const found = given.map((file) => {
    const target = lstatSync(file.path).isSymbolicLink() ? realpathSync(file.path) : file.path;
    return entryOf(target, path.basename(file.path), file.stats);
  });
  const isBeside = ({ name }: EventFileEntry) => found.length > 1 && isRunFileName(name) && !isEventFileName(name);
  const files = found.filter((file) => !isBeside(file)).sort((a, b) => compareBytes(a.name, b.name));
  return {
    store: localFiles,
    name: ".",
    directory,
    logdir: directory,
    realPath: undefined,
    files,
    ...filesBeside(found.filter(isBeside)),
  };
}

const HPARAMS_FILE = "hparams.yaml";
// Source: tensorboard/plugins/projector/metadata.py.
const PROJECTOR_FILE = "projector_config.pbtxt";

interface Walk {
  readonly logdir: string;
  readonly runs: DiscoveredRun[];
  readonly problems: DiscoveryProblem[];
}

type Entries = readonly Dirent<Buffer>[];
type Identity = Pick<BigIntStats, "dev" | "ino">;

function visit(
  walk: Walk,
  directory: FsPath,
  name: string,
  entries: Entries,
  ancestors: readonly Identity[],
  isLinked: boolean,
): void {
  const files: EventFileEntry[] = [];
  for (const candidate of candidatesIn(directory, entries)) {
    try {
      if (candidate.type === "directory") {
        descend(walk, candidate.path, runName(name, candidate), ancestors, isLinked);
        continue;
      }
      const stats = statSync(candidate.path, { bigint: true });
      if (stats.isDirectory()) {
        const loops = ancestors.some((ancestor) => ancestor.ino === stats.ino && ancestor.dev === stats.dev);
        if (!loops) descend(walk, candidate.path, runName(name, candidate), ancestors, true, stats);
      } else {
        const file = runFileOf(candidate, stats, walk.logdir);
        if (file === undefined) continue;
        if ("code" in file) walk.problems.push(file);
        else files.push(file);
      }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      // A dangling link, or an entry that was deleted since it was listed, is no problem of the user's.
      if (code !== "ENOENT") walk.problems.push({ path: displayPath(candidate.path), code });
    }
  }
  const isRun = files.some((file) => isEventFileName(file.name));
  const realPath = isLinked && isRun ? realPathOf(directory) : undefined;
  const run = runOf({ name, directory, logdir: walk.logdir, realPath }, files);
  if (run !== undefined) walk.runs.push(run);
}

function descend(
  walk: Walk,
  directory: FsPath,
  name: string,
  ancestors: readonly Identity[],
  isLinked: boolean,
  known?: Identity,
): void {
  const entries = readdirSync(directory, { withFileTypes: true, encoding: "buffer" });
  // Only links can lead back, so only a directory that holds something to descend into has to be remembered.
  const nests = entries.some((entry) => entry.isDirectory() || entry.isSymbolicLink());
  const identity = nests ? [known ?? statSync(directory, { bigint: true })] : [];
  visit(walk, directory, name, entries, [...ancestors, ...identity], isLinked);
}

/** @throws the system's error */
export function realPathOf(directory: FsPath): FsPath {
  const real = realpathSync(directory, "buffer");
  return isUtf8(real) ? real.toString() : real;
}

function entryOf(fsPath: FsPath, name: string, stats: BigIntStats): EventFileEntry {
  return { store: localFiles, path: fsPath, name, size: Number(stats.size), mtime: stats.mtimeNs, token: stats.ino };
}

/**
 * Python and Rust order names by code point, which is the order of their UTF-8 bytes; JavaScript's `<` is not, but only
 * where there are surrogates.
 */
export function compareBytes(a: string, b: string): number {
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

const SURROGATE = /[\ud800-\udfff]/;

function join(directory: FsPath, name: Buffer): FsPath {
  if (typeof directory === "string" && isUtf8(name)) return `${directory === "/" ? "" : directory}/${name.toString()}`;
  return Buffer.concat([Buffer.from(directory as string), Buffer.from("/"), name]);
}
