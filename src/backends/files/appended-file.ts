/** A file that is only appended to, by whoever knows how much of it counts. */
import { closeSync, fsyncSync, ftruncateSync, openSync, statSync } from "node:fs";
import { writeAll } from "../output-directory.ts";

/** Bytes; 0 if it is not there. @throws the system's error */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Append durably; what fails leaves nothing.
 *
 * @param length how much of the file counts, bytes; 0: a new file takes its place
 * @returns its length now
 * @throws the system's error
 */
export function appendTo(file: string, length: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return length;
  const handle = openSync(file, length === 0 ? "w" : "r+");
  try {
    // What a failure may have left behind.
    ftruncateSync(handle, length);
    writeAll(handle, bytes, length);
    fsyncSync(handle);
  } catch (error) {
    ftruncateSync(handle, length);
    throw error;
  } finally {
    closeSync(handle);
  }
  return length + bytes.length;
}

/** Cut off, durably, what is behind the part that counts. @throws the system's error */
export function cutTo(file: string, length: number): void {
  if (sizeOf(file) <= length) return;
  const handle = openSync(file, "r+");
  try {
    ftruncateSync(handle, length);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
