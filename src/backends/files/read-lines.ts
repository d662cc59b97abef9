/** Lines of a file, of which no more than a piece is held. */
import { closeSync, openSync, readSync } from "node:fs";

/** Bytes that are read at a time. */
export const CHUNK: number = 256 * 1024;

/** Where the last of these texts begins that ends before `end`. */
export function lastIndexOf(handle: number, text: string, end: number): number | undefined {
  for (let to = end; to > 0; ) {
    const from = Math.max(0, to - CHUNK);
    const chunk = Buffer.alloc(to - from);
    readSync(handle, chunk, 0, chunk.length, from);
    const at = chunk.lastIndexOf(text);
    if (at >= 0) return from + at;
    if (from === 0) return undefined;
    to = from + text.length - 1;
  }
  return undefined;
}

/** The line that begins at a place, with its line break; undefined if it does not end before `end`. */
export function lineAt(handle: number, at: number, end: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let from = at; from < end; ) {
    const chunk = Buffer.alloc(Math.min(CHUNK, end - from));
    readSync(handle, chunk, 0, chunk.length, from);
    const length = chunk.indexOf("\n") + 1;
    chunks.push(length === 0 ? chunk : chunk.subarray(0, length));
    if (length > 0) return Buffer.concat(chunks);
    from += chunk.length;
  }
  return undefined;
}

/** All lines before a place. */
export function* readLines(handle: number, end: number): Iterable<Buffer> {
  let rest = Buffer.alloc(0);
  for (let from = 0; from < end; from += CHUNK) {
    const chunk = Buffer.alloc(Math.min(CHUNK, end - from));
    readSync(handle, chunk, 0, chunk.length, from);
    const bytes = Buffer.concat([rest, chunk]);
    const whole = bytes.lastIndexOf("\n") + 1;
    yield* linesOf(bytes.subarray(0, whole));
    rest = bytes.subarray(whole);
  }
}

/** Each with its line break. */
export function* linesOf(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf("\n", at) + 1;
    yield bytes.subarray(at, end);
    at = end;
  }
}

/** The lines of a file, up to where it counts. */
export function* linesUpTo(file: string, length: number): Iterable<Uint8Array> {
  if (length === 0) return;
  const handle = openSync(file, "r");
  try {
    yield* readLines(handle, length);
  } finally {
    closeSync(handle);
  }
}
