/**
 * Small files that were read a moment ago. One is looked at by several in turn, who it is, whether it has changed, what is
 * in it: it is opened and read once for all of them.
 */
import type { BigIntStats } from "node:fs";
import type { FsPath } from "./fs-path.ts";

/** Bytes; larger files are read where somebody asks. */
export const MAX_SMALL: number = 256 * 1024;
/** Bytes of all of them together. */
const MAX_HELD = 8 * 1024 * 1024;

interface Recent {
  readonly stamp: string;
  readonly bytes: Uint8Array;
}

class RecentFiles {
  /** By path, the one that was used last at the end. */
  readonly #files = new Map<string, Recent>();
  #held = 0;

  /** What is in a file, if it was read and still is as it was then. @param stats of the path now */
  bytesOf(fsPath: FsPath, stats: BigIntStats): Uint8Array | undefined {
    const key = keyOf(fsPath);
    const recent = this.#files.get(key);
    if (recent === undefined) return undefined;
    this.#files.delete(key);
    if (recent.stamp === stampOf(stats)) {
      this.#files.set(key, recent);
      return recent.bytes;
    }
    this.#held -= recent.bytes.length;
    return undefined;
  }

  /** @param stats before it was read */
  add(fsPath: FsPath, stats: BigIntStats, bytes: Uint8Array): void {
    const key = keyOf(fsPath);
    this.#held += bytes.length - (this.#files.get(key)?.bytes.length ?? 0);
    this.#files.delete(key);
    this.#files.set(key, { stamp: stampOf(stats), bytes });
    for (const [oldest, { bytes: old }] of this.#files) {
      if (this.#held <= MAX_HELD) break;
      this.#files.delete(oldest);
      this.#held -= old.length;
    }
  }
}

/** Of this process. */
export const recentFiles: RecentFiles = new RecentFiles();

function keyOf(fsPath: FsPath): string {
  return typeof fsPath === "string" ? fsPath : `\0${fsPath.toString("latin1")}`;
}

/** What changes when a file is written, or another one takes its place. */
function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}
