/** Where something lies: for its store to open, and for people to read. */
import { isUtf8 } from "node:buffer";
import path from "node:path";

/** A path as its store has it: a string, or bytes where a file system's path is not UTF-8. */
export type FsPath = string | Buffer;

/** A path for a message: bytes that are not UTF-8 are written `\xNN`. */
export function displayPath(fsPath: FsPath): string {
  return typeof fsPath === "string" ? fsPath : decodeName(fsPath);
}

/** Whether a path leads below a directory, going by the text alone: links are not resolved. */
export function isBelow(directory: string, file: string): boolean {
  const way = path.relative(directory, file);
  return way !== "" && way !== ".." && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}

/** Text of bytes; those that are not UTF-8 are written `\xNN`. */
export function decodeName(name: Buffer): string {
  if (isUtf8(name)) return name.toString();
  let text = "";
  for (let at = 0; at < name.length; ) {
    const length = [1, 2, 3, 4].find((n) => at + n <= name.length && isUtf8(name.subarray(at, at + n)));
    text += length ? name.toString("utf8", at, at + length) : `\\x${name.toString("hex", at, at + 1)}`;
    at += length ?? 1;
  }
  return text;
}
