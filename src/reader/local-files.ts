/** The files of this machine: paths, inodes, and the system's errors. */
import { realpathSync } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { FileSource, SmallFile } from "./byte-source.ts";
import type { FileEntry, FileRef, FileStore, FileTrouble, NotBeside, OpenFile } from "./file-store.ts";
import { type FsPath, isBelow } from "./fs-path.ts";

class LocalFiles implements FileStore {
  get host(): string {
    return os.hostname();
  }

  open({ path: fsPath, judged }: FileRef): Promise<OpenFile> {
    return FileSource.open(fsPath, judged);
  }

  async whole({ path: fsPath, size }: FileEntry): Promise<SmallFile> {
    return new SmallFile(fsPath, size);
  }

  judge(error: unknown): FileTrouble | undefined {
    const { code } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
    // Node's own codes, such as `ERR_INVALID_ARG_TYPE`, are of bugs.
    if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return undefined;
    return { kind: GONE.has(code) ? "gone" : REFUSED.has(code) ? "refused" : "again", code };
  }

  stampOf({ size, mtime, token }: FileEntry): string {
    return `${size}:${mtime}:${token}`;
  }

  isSameFile(before: FileEntry, now: FileEntry): boolean {
    return before.token === now.token;
  }

  async sizeNow({ path: fsPath }: FileRef): Promise<number | undefined> {
    return (await stat(fsPath).catch(() => undefined))?.size;
  }

  placeOf(fsPath: FsPath): Uint8Array | undefined {
    try {
      return realpathSync(fsPath, "buffer");
    } catch {
      return undefined;
    }
  }

  at(directory: Uint8Array, name: string): FileRef {
    return { store: this, path: Buffer.concat([directory, Buffer.from(`/${name}`)]) };
  }

  async beside(directory: string, named: string): Promise<FileEntry | NotBeside> {
    const root = await realpath(directory);
    // A backslash separates on Windows, where the file may have been written.
    const absolute = path.resolve(root, named.includes("/") ? named : named.replaceAll("\\", "/"));
    if (!isBelow(root, absolute)) return "outside-run";
    try {
      const file = await realpath(absolute);
      if (!isBelow(root, file)) return "outside-run";
      const stats = await stat(file, { bigint: true });
      if (!stats.isFile()) return "not-found";
      return {
        store: this,
        path: file,
        name: path.relative(root, file),
        size: Number(stats.size),
        mtime: stats.mtimeNs,
        token: stats.ino,
      };
    } catch {
      return "not-found";
    }
  }
}

const GONE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"]);
/** `ELOOP`: what was a file is a link by now, which nobody has judged. `EINVAL`: it is no regular file any more. */
const REFUSED: ReadonlySet<string> = new Set(["EACCES", "EPERM", "ELOOP", "EINVAL"]);

/** Of this machine. */
export const localFiles: FileStore = new LocalFiles();
