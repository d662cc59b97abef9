/**
 * What a watch has recorded beside runs: the machine's load, the code's version, the interpreter's packages.
 *
 * A recording is an event file below the state directory, since nothing is ever written to a logdir. It belongs to an event
 * file of the run, its anchor, by that file's name and first record, so that it stays the run's wherever the logdir is
 * moved. It is read as a further member of the run, which is why checkpoints, several destinations and resuming hold for it
 * as for everything else.
 */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import type { DiscoveredRun, EventFileEntry } from "../../reader/discover.ts";
import { eventFileNameOf, type FileWriter } from "../../reader/event-file-name.ts";
import { useFile } from "../../reader/file-store.ts";
import { localFiles } from "../../reader/local-files.ts";
import { hashText } from "./fingerprint.ts";
import { withMember } from "./groups.ts";
import { isRecorded, RECORDED, RECORDED_RUN, type RunGroup } from "./run-group.ts";

/** A recording's base name ends with what it holds and this. */
const SUFFIX = ".tracelet";
/** No first record is longer: it holds a version, a time, and the name of the writer. */
const MAX_FIRST_BYTES = 1024;
/** A record's length and its checksum, and the payload's checksum. */
const LENGTH_BYTES = 12;
const FOOTER_BYTES = 4;
/** Hexadecimal digits of each half of a directory's name. */
const DIGITS = 16;

/** A recording as it is now. */
export interface RecordingFile {
  /** As a file of its run, which checkpoints and marks name it by. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly mtimeMs: number;
}

export class Recordings {
  readonly #root: string;

  constructor(stateDir: string) {
    this.#root = path.join(stateDir, "recorded");
  }

  /** The groups, each with what was recorded of it; nothing else about them changes. */
  async join(groups: readonly RunGroup[]): Promise<RunGroup[]> {
    const anchors = this.#anchors();
    if (anchors.size === 0) return [...groups];
    const joined = new Map<RunGroup, RunGroup>();
    // Groups come before those that are nested in them.
    for (const group of groups) {
      const parent = group.parent && (joined.get(group.parent) ?? group.parent);
      const own = await this.#joinOne(group, anchors);
      joined.set(group, parent === own.parent ? own : { ...own, parent });
    }
    return [...joined.values()];
  }

  async joinOne(group: RunGroup): Promise<RunGroup> {
    return this.#joinOne(group, this.#anchors());
  }

  /**
   * Where a run's recordings are, or belong where there are none yet; undefined while none of its event files has a first
   * record.
   */
  async placeOf(group: RunGroup): Promise<string | undefined> {
    const anchors = this.#anchors();
    let first: string | undefined;
    for (const entry of group.files) {
      const isKnown = anchors.has(hash(baseName(entry)));
      if (isRecorded(entry.member) || (first !== undefined && !isKnown)) continue;
      // A file that cannot be read is reported when it is about to be sent.
      const directory = await this.directoryOfAnchor(entry).catch(() => undefined);
      if (directory !== undefined && existsSync(directory)) return directory;
      first ??= directory;
    }
    return first;
  }

  /** Where recordings belong that are tied to an event file; undefined while it has no first record. @throws the store's error */
  async directoryOfAnchor(anchor: EventFileEntry): Promise<string | undefined> {
    const first = await hashOfFirstRecord(anchor);
    return first === undefined ? undefined : path.join(this.#root, `${hash(baseName(anchor))}-${first}`);
  }

  /** Remove recordings, by their paths in their runs. @returns how many were there */
  remove(paths: ReadonlySet<string>): number {
    let removed = 0;
    for (const directory of directoriesIn(this.#root)) {
      const place = path.join(this.#root, directory);
      const own = filesIn(place).filter((name) => paths.has(`${RECORDED}/${name}`));
      for (const name of own) rmSync(path.join(place, name), { force: true });
      removed += own.length;
      if (own.length > 0 && filesIn(place).length === 0) rmSync(place, { recursive: true, force: true });
    }
    return removed;
  }

  /** All recordings, as they are now. */
  *all(): Generator<RecordingFile> {
    for (const directory of directoriesIn(this.#root)) {
      for (const name of filesIn(path.join(this.#root, directory))) {
        const stats = statSync(path.join(this.#root, directory, name), { throwIfNoEntry: false });
        if (stats !== undefined) yield { path: `${RECORDED}/${name}`, size: stats.size, mtimeMs: stats.mtimeMs };
      }
    }
  }

  /** By the hash of the anchor's name: the directories, which only the anchor's first record tells apart. */
  #anchors(): Map<string, string[]> {
    const anchors = new Map<string, string[]>();
    for (const directory of directoriesIn(this.#root)) {
      const key = directory.slice(0, DIGITS);
      anchors.set(key, [...(anchors.get(key) ?? []), directory]);
    }
    return anchors;
  }

  async #joinOne(group: RunGroup, anchors: ReadonlyMap<string, readonly string[]>): Promise<RunGroup> {
    if (anchors.size === 0 || group.isDirectory) return group;
    const files: EventFileEntry[] = [];
    for (const entry of group.files) {
      if (isRecorded(entry.member)) continue;
      const candidates = anchors.get(hash(baseName(entry)));
      if (candidates === undefined) continue;
      // A file that cannot be read is reported when it is about to be sent.
      const directory = await this.directoryOfAnchor(entry).catch(() => undefined);
      if (directory !== undefined && candidates.includes(path.basename(directory))) files.push(...entriesIn(directory));
    }
    if (files.length === 0) return group;
    files.sort((a, b) => (a.name < b.name ? -1 : 1));
    const run: DiscoveredRun = {
      store: localFiles,
      name: RECORDED_RUN,
      directory: this.#root,
      logdir: group.logdir,
      realPath: undefined,
      files,
      hparamsFile: undefined,
      projectorFile: undefined,
    };
    return withMember(group, {
      path: RECORDED,
      run,
      fold: undefined,
      prefix: "",
      trialOf: undefined,
      partOf: undefined,
    });
  }
}

/** A recording's name as event files are called: the time in seconds, the host, the process, and what it holds. */
export function recordingName(kind: string, writer: FileWriter): string {
  const host = writer.host.replaceAll(/[^\w-]/g, "_");
  return eventFileNameOf({ ...writer, host }, `.${kind}${SUFFIX}`);
}

/** Whether a recording holds that. */
export function holdsKind(name: string, kind: string): boolean {
  return name.endsWith(`.${kind}${SUFFIX}`);
}

/** Whether a file of a run is a recording. @param name relative to the run's directory */
export function isRecordingPath(name: string): boolean {
  return name.startsWith(`${RECORDED}/`) && name.endsWith(SUFFIX);
}

/** Whether an event file is a recording, by its path. */
export function isRecordingFile(path: string): boolean {
  return path.endsWith(SUFFIX);
}

/** Whether a metric or an artifact is called as those that are recorded. */
export function isRecordedName(name: string): boolean {
  return /^(?:system|git|env)\//.test(name);
}

/** Names of the recordings in a directory, oldest first. */
export function filesIn(directory: string): string[] {
  return namesIn(directory, (entry) => entry.isFile() && entry.name.endsWith(SUFFIX));
}

function directoriesIn(root: string): string[] {
  return namesIn(root, (entry) => entry.isDirectory());
}

function namesIn(
  directory: string,
  wants: (entry: { name: string; isFile(): boolean; isDirectory(): boolean }) => boolean,
): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries
      .filter(wants)
      .map(({ name }) => name)
      .sort();
  } catch {
    return [];
  }
}

function entriesIn(directory: string): EventFileEntry[] {
  return filesIn(directory).flatMap((name) => {
    const file = path.join(directory, name);
    const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return [];
    return [{ store: localFiles, path: file, name, size: Number(stats.size), mtime: stats.mtimeNs, token: stats.ino }];
  });
}

/** Of a group's file, whose name is relative to the group's directory. */
function baseName({ name }: EventFileEntry): string {
  return path.posix.basename(name);
}

async function hashOfFirstRecord(entry: EventFileEntry): Promise<string | undefined> {
  return useFile(entry, async (source) => {
    const bytes = new Uint8Array(MAX_FIRST_BYTES);
    const length = await source.read(bytes, 0, bytes.length, 0);
    if (length < LENGTH_BYTES) return undefined;
    const end = LENGTH_BYTES + Number(new DataView(bytes.buffer).getBigUint64(0, true)) + FOOTER_BYTES;
    return end > length ? undefined : hash(bytes.subarray(0, end));
  });
}

function hash(what: string | Uint8Array): string {
  return hashText(what).slice(0, DIGITS);
}
