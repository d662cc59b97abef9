/** Logdirs that live and change as real ones do. */
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";

/** Name of a run's event file where a test does not care. */
export const EVENT_FILE = "events.out.tfevents.1700000000.host.1.0";

/** A new empty directory; whoever makes it removes it. */
export function temporaryDirectory(): string {
  return mkdtempSync(path.join(os.tmpdir(), "tracelet-test-"));
}

/**
 * A logdir. A file is named `run/base name`, or by its run alone where the base name does not matter. Every change gives
 * its file a new modification time, which the clock of a file system is too coarse for.
 */
export class Logdir {
  readonly root: string;
  #changes = 0;

  constructor(root: string) {
    this.root = root;
    mkdirSync(root, { recursive: true });
  }

  path(file: string): string {
    return path.join(this.root, isEventFile(file) ? file : path.join(file, EVENT_FILE));
  }

  read(file: string): Buffer {
    return readFileSync(this.path(file));
  }

  size(file: string): number {
    return statSync(this.path(file)).size;
  }

  /** Create the file or write it anew: the inode of an existing one stays. */
  write(file: string, bytes: Uint8Array): void {
    const target = this.path(file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, bytes);
    this.#changed(target);
  }

  append(file: string, bytes: Uint8Array): void {
    appendFileSync(this.path(file), bytes);
    this.#changed(this.path(file));
  }

  truncate(file: string, size: number): void {
    truncateSync(this.path(file), size);
    this.#changed(this.path(file));
  }

  /** Put other content in the file's place as rsync does: a new file, renamed over the old one. */
  replace(file: string, bytes: Uint8Array): void {
    const target = this.path(file);
    const temporary = path.join(path.dirname(target), ".rsync-part");
    writeFileSync(temporary, bytes);
    renameSync(temporary, target);
    this.#changed(target);
  }

  /** Give a file, a run or a directory of runs another name. */
  rename(from: string, to: string): void {
    mkdirSync(path.dirname(path.join(this.root, to)), { recursive: true });
    renameSync(path.join(this.root, from), path.join(this.root, to));
  }

  remove(file: string): void {
    rmSync(path.join(this.root, file), { recursive: true });
  }

  /** A directory where the file was: opening it works, reading it does not, whoever one is. */
  swapForDirectory(file: string): void {
    rmSync(this.path(file));
    mkdirSync(this.path(file));
  }

  /** Copy this logdir's files into another one, each renamed over the one that is there. */
  rsyncTo(other: Logdir): void {
    for (const entry of readdirSync(this.root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const source = path.join(entry.parentPath, entry.name);
      const target = path.join(other.root, path.relative(this.root, source));
      mkdirSync(path.dirname(target), { recursive: true });
      copyFileSync(source, `${target}.part`);
      renameSync(`${target}.part`, target);
      other.#changed(target);
    }
  }

  /** Copy a run under another name within this logdir. */
  copyRun(from: string, to: string): void {
    cpSync(path.join(this.root, from), path.join(this.root, to), { recursive: true });
  }

  #changed(target: string): void {
    const time = 1_700_000_000 + ++this.#changes;
    utimesSync(target, time, time);
  }
}

function isEventFile(file: string): boolean {
  return path.basename(file).includes("tfevents") || path.extname(file) === ".yaml";
}
