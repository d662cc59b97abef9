/** Rows of a table of comma-separated values (RFC 4180), of which no more than a piece is held. */
import { closeSync, openSync, readSync } from "node:fs";
import { CHUNK } from "./read-lines.ts";

const QUOTE = 0x22;
const LINE_FEED = 0x0a;

/**
 * Each with its line break; a row goes on over a line break that is within quotes. What is behind the last one is no row.
 *
 * @param length how much of the file counts, bytes
 * @throws the system's error
 */
export function* csvRows(file: string, length: number): Iterable<string> {
  const handle = openSync(file, "r");
  try {
    let rest: Buffer = Buffer.alloc(0);
    let isQuoted = false;
    for (let from = 0; from < length; ) {
      const chunk = Buffer.alloc(Math.min(CHUNK, length - from));
      const read = readSync(handle, chunk, 0, chunk.length, from);
      if (read === 0) return;
      from += read;
      const bytes = Buffer.concat([rest, chunk.subarray(0, read)]);
      let start = 0;
      for (let at = rest.length; at < bytes.length; at++) {
        if (bytes[at] === QUOTE) isQuoted = !isQuoted;
        if (bytes[at] !== LINE_FEED || isQuoted) continue;
        yield bytes.toString("utf8", start, at + 1);
        start = at + 1;
      }
      rest = bytes.subarray(start);
    }
  } finally {
    closeSync(handle);
  }
}

/** The fields of a row, without their quotes. */
export function fieldsOf(row: string): string[] {
  const fields: string[] = [];
  for (const [, quoted, plain] of row.replace(/\r?\n$/, "").matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g))
    fields.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
  return fields;
}
