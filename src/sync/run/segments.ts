/**
 * Which histograms and curves lie together at the destination: those of a stretch of their event file, whose bounds depend
 * on the file alone. So two senders whose batches end at other places leave the same there, and no value twice.
 */
import type { Line, Segment } from "../backend.ts";
import type { SourceFile } from "./source-file.ts";

/** Bytes of the event file. A live one is written again with each batch that brings something of it. */
export const SEGMENT_BYTES: number = 256 * 1024;

/** What was sent beside a file's own segments, as a part of their names. */
export const LATE = "late";

/** Reads the lines of a stretch once more, all that were to be sent of it. @throws the system's error */
export type ReadLines = (file: SourceFile, start: number, end: number) => Promise<Line[]>;

/** The segments of a run while it is being synced: the last of each file is held, since it may grow. */
export class Segments {
  readonly #readLines: ReadLines;
  readonly #held = new Map<SourceFile, { readonly start: number; readonly data: readonly Line[] }>();

  constructor(readLines: ReadLines) {
    this.#readLines = readLines;
  }

  /** Of lines that go on where those before them ended: their segments, each from its beginning. @throws the system's error */
  async following(file: SourceFile, lines: readonly Line[]): Promise<Segment[]> {
    const segments: Segment[] = [];
    for (const [start, fresh] of stretches(file, lines)) {
      const first = (fresh[0] as Line).offset;
      // What could not be read to its end comes once more.
      const before = (await this.#beginning(file, start)).filter(({ offset }) => offset < first);
      const data = [...before, ...fresh];
      this.#held.set(file, { start, data });
      segments.push({ key: keyOf(file), start, part: "", data });
    }
    return segments;
  }

  /** Of lines from before the place reached: their segments, read once more. @throws the system's error */
  async filled(file: SourceFile, lines: readonly Line[], end: number): Promise<Segment[]> {
    const key = keyOf(file);
    // How earlier versions have cut what is before the base is not known.
    const old = lines.filter(({ offset }) => offset < file.base);
    const late: Segment = { key, start: (old[0] as Line | undefined)?.offset ?? 0, part: LATE, data: old };
    const segments = old.length === 0 ? [] : [late];
    const rest = lines.filter(({ offset }) => offset >= file.base);
    for (const [start] of stretches(file, rest)) {
      const data = await this.#readLines(file, start, Math.min(endOf(start), end));
      if (this.#held.get(file)?.start === start) this.#held.set(file, { start, data });
      segments.push({ key, start, part: "", data });
    }
    return segments;
  }

  async #beginning(file: SourceFile, start: number): Promise<readonly Line[]> {
    const held = this.#held.get(file);
    if (held?.start === start) return held.data;
    return file.begun > start ? this.#readLines(file, start, file.begun) : [];
  }
}

/** Where the segment begins that holds an offset behind the file's base, bytes. */
export function startOf(file: Pick<SourceFile, "base">, offset: number): number {
  return Math.max(file.base, offset - (offset % SEGMENT_BYTES));
}

/** Where the segment that begins at `start` ends at the latest. */
export function endOf(start: number): number {
  return start - (start % SEGMENT_BYTES) + SEGMENT_BYTES;
}

function stretches(file: SourceFile, lines: readonly Line[]): Map<number, Line[]> {
  const all = new Map<number, Line[]>();
  for (const line of lines) {
    const start = startOf(file, line.offset);
    const stretch = all.get(start);
    if (stretch === undefined) all.set(start, [line]);
    else stretch.push(line);
  }
  return all;
}

function keyOf({ key }: SourceFile): string {
  if (key === undefined) throw new Error("a file of which something is sent has a key");
  return key;
}
