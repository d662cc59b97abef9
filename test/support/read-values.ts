/** Everything a run's files hold, in the order of reading, scalars and data alike. */
import { FileSource } from "../../src/reader/byte-source.ts";
import type { Datum, TagMetadata } from "../../src/reader/datum.ts";
import type { DiscoveredRun } from "../../src/reader/discover.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { type Loss, RecordReader, type Tail } from "../../src/reader/tfrecord.ts";

export interface ScalarValue {
  readonly kind: "scalars";
  readonly tag: string;
  readonly step: bigint;
  readonly wallTime: number;
  readonly value: number;
  readonly offset: number;
}

export interface ReadFile {
  readonly name: string;
  readonly values: readonly (ScalarValue | Datum)[];
  readonly losses: readonly Loss[];
  readonly tail: Tail | undefined;
  readonly events: number;
}

export async function readFiles(run: DiscoveredRun): Promise<ReadFile[]> {
  const metadata = new Map<string, TagMetadata>();
  const files: ReadFile[] = [];
  for (const entry of run.files) {
    const source = await FileSource.open(entry.path);
    const records = new RecordReader(source, { end: entry.size });
    const reader = new EventFileReader(records, metadata);
    const batch = new RecordBatch(100, new TagTable());
    const values: (ScalarValue | Datum)[] = [];
    for (let more = true; more; batch.clear()) {
      more = await reader.read(batch);
      values.push(...scalarsOf(batch), ...batch.data);
    }
    await source.close();
    // Within one record, values keep no order between scalars and data.
    values.sort((a, b) => a.offset - b.offset);
    const { losses, tail } = records;
    files.push({ name: entry.name, values, losses, tail, events: reader.counts.events });
  }
  return files;
}

export function scalarsOf(batch: RecordBatch): ScalarValue[] {
  return Array.from({ length: batch.length }, (_, i) => ({
    kind: "scalars" as const,
    tag: batch.tags[batch.tag[i] as number] as string,
    step: batch.step[i] as bigint,
    wallTime: batch.wallTime[i] as number,
    value: batch.value[i] as number,
    offset: batch.offset[i] as number,
  }));
}
