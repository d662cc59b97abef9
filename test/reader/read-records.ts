/** All that a RecordReader tells of a file. */
import { expect } from "vitest";
import { type Loss, RecordReader, type RecordReaderOptions, type Tail } from "../../src/reader/tfrecord.ts";
import { ScriptedSource } from "../support/event-writer.ts";

export interface RecordsRead {
  /** A character a byte, since text is compared and printed fast. */
  readonly payloads: readonly string[];
  /** Where each record stands, header and footer included. */
  readonly ranges: readonly Range[];
  readonly losses: readonly Loss[];
  readonly tail: Tail;
  readonly position: number;
}

export interface Range {
  readonly start: number;
  readonly end: number;
}

export async function readRecords(
  from: ScriptedSource | Uint8Array,
  options: Partial<RecordReaderOptions> = {},
): Promise<RecordsRead> {
  const source = from instanceof ScriptedSource ? from : new ScriptedSource(from);
  return readOn(new RecordReader(source, { end: source.size, ...options }));
}

export async function readOn(reader: RecordReader): Promise<RecordsRead> {
  const payloads: string[] = [];
  const ranges: Range[] = [];
  do {
    while (reader.next()) {
      payloads.push(text(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd)));
      ranges.push({ start: reader.recordOffset, end: reader.position });
    }
  } while (await reader.load());
  const { losses, tail, position } = reader;
  if (tail === undefined) throw new Error("the end was reached, and nothing is said of it");
  return { payloads, ranges, losses, tail, position };
}

/** Every byte of `[start, end)` belongs to exactly one record, loss or tail, and the tail is where reading goes on. */
export function expectCovered({ ranges, losses, tail, position }: RecordsRead, start: number, end: number): void {
  expect(tail.start).toBe(position);
  let at = start;
  const parts = [...ranges, ...losses].sort((a, b) => a.start - b.start);
  for (const part of [...parts, tail]) {
    expect(part.start).toBe(at);
    expect(part.end).toBeGreaterThanOrEqual(part.start);
    at = part.end;
  }
  expect(at).toBe(end);
}

/** Bytes in the form that `RecordsRead` has them in. */
export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
