/**
 * Which runs are in a logdir, and which event files are in a run: TensorBoard's own rule.
 *
 * Source: tensorboard/backend/event_processing/io_wrapper.py (`GetLogdirSubdirectories`, `IsSummaryEventsFile`) and
 * tensorboard/data/server/disk_logdir.rs.
 */
import { isUtf8 } from "node:buffer";
import { type BigIntStats, type Dirent, readdirSync, statSync } from "node:fs";
import path from "node:path";

/** A path as the file system has it: a string, or bytes where it is not UTF-8. */
export type FsPath = string | Buffer;

/** A regular file whose name says that it holds events. */
export interface EventFileEntry {
  readonly path: FsPath;
  /** Its base name, to print and to order by. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Modification time in ns since the Unix epoch: a hint that something changed, never an identity. */
  readonly mtime: bigint;
  readonly inode: bigint;
}

/** A directory that holds at least one event file. */
export interface DiscoveredRun {
  /** Path relative to the logdir with `/` between its parts; `.` for the logdir itself. */
  readonly name: string;
  readonly directory: FsPath;
  /** The logdir it was found in, absolute. */
  readonly logdir: string;
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
 * directory it lies in. Only regular files count: FIFOs, sockets and devices are never opened.
 *
 * @throws the system's error (`ENOENT`, `EACCES`, …) if the logdir itself cannot be read
 */
export function discover(logdir: string): Discovery {
  const root = path.resolve(logdir);
  const stats = statSync(root, { bigint: true });
  if (stats.isFile()) {
    const directory = path.dirname(root);
    const file = entryOf(root, path.basename(root), stats);
    return {
      runs: [
        { name: ".", directory, logdir: directory, files: [file], hparamsFile: undefined, projectorFile: undefined },
      ],
      problems: [],
    };
  }
  const walk: Walk = { logdir: root, runs: [], problems: [] };
  const entries = readdirSync(root, { withFileTypes: true, encoding: "buffer" });
  visit(walk, root, "", entries, [stats]);
  walk.runs.sort((a, b) => compareBytes(a.name, b.name));
  return walk;
}

/** Whether a file's base name makes it an event file. */
export function isEventFileName(name: string): boolean {
  return name.includes("tfevents") && !name.endsWith(".profile-empty");
}

/** A path for a message: bytes that are not UTF-8 are written `\xNN`. */
export function displayPath(fsPath: FsPath): string {
  return typeof fsPath === "string" ? fsPath : decodeName(fsPath);
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

function visit(walk: Walk, directory: FsPath, name: string, entries: Entries, ancestors: readonly Identity[]): void {
  const files: EventFileEntry[] = [];
  const beside = new Map<string, EventFileEntry>();
  for (const entry of entries) {
    const entryName = decodeName(entry.name);
    const mayBeEvents = isEventFileName(entryName);
    const isBeside = entryName === HPARAMS_FILE || entryName === PROJECTOR_FILE;
    const isLink = entry.isSymbolicLink();
    if (!entry.isDirectory() && !isLink && !((mayBeEvents || isBeside) && entry.isFile())) continue;
    const entryPath = join(directory, entry.name);
    try {
      if (entry.isDirectory()) {
        descend(walk, entryPath, name === "" ? entryName : `${name}/${entryName}`, ancestors, undefined);
        continue;
      }
      const stats = statSync(entryPath, { bigint: true });
      if (stats.isDirectory()) {
        const loops = ancestors.some((ancestor) => ancestor.ino === stats.ino && ancestor.dev === stats.dev);
        if (!loops) descend(walk, entryPath, name === "" ? entryName : `${name}/${entryName}`, ancestors, stats);
      } else if (mayBeEvents && stats.isFile()) {
        files.push(entryOf(entryPath, entryName, stats));
      } else if (isBeside && stats.isFile()) {
        beside.set(entryName, entryOf(entryPath, entryName, stats));
      }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      // A dangling link, or an entry that was deleted since it was listed, is no problem of the user's.
      if (code !== "ENOENT") walk.problems.push({ path: displayPath(entryPath), code });
    }
  }
  if (files.length === 0) return;
  if (files.length > 1) files.sort((a, b) => compareBytes(a.name, b.name));
  const [hparamsFile, projectorFile] = [beside.get(HPARAMS_FILE), beside.get(PROJECTOR_FILE)];
  walk.runs.push({ name: name === "" ? "." : name, directory, logdir: walk.logdir, files, hparamsFile, projectorFile });
}

function descend(
  walk: Walk,
  directory: FsPath,
  name: string,
  ancestors: readonly Identity[],
  known: Identity | undefined,
): void {
  const entries = readdirSync(directory, { withFileTypes: true, encoding: "buffer" });
  // Only links can lead back, so only a directory that holds something to descend into has to be remembered.
  const nests = entries.some((entry) => entry.isDirectory() || entry.isSymbolicLink());
  const identity = nests ? [known ?? statSync(directory, { bigint: true })] : [];
  visit(walk, directory, name, entries, [...ancestors, ...identity]);
}

function entryOf(fsPath: FsPath, name: string, stats: BigIntStats): EventFileEntry {
  return { path: fsPath, name, size: Number(stats.size), mtime: stats.mtimeNs, inode: stats.ino };
}

/** Python and Rust order names by code point, which is the order of their UTF-8 bytes; JavaScript's `<` is not. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function join(directory: FsPath, name: Buffer): FsPath {
  if (typeof directory === "string" && isUtf8(name)) return path.join(directory, name.toString());
  return Buffer.concat([Buffer.from(directory as string), Buffer.from("/"), name]);
}

function decodeName(name: Buffer): string {
  if (isUtf8(name)) return name.toString();
  let text = "";
  for (let at = 0; at < name.length; ) {
    const length = [1, 2, 3, 4].find((n) => at + n <= name.length && isUtf8(name.subarray(at, at + n)));
    text += length ? name.toString("utf8", at, at + length) : `\\x${name.toString("hex", at, at + 1)}`;
    at += length ?? 1;
  }
  return text;
}
