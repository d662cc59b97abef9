/** What is in a run: its tags, kinds, counts and ranges, and the damage in its files. */
import type { TagMetadata } from "./datum.ts";
import { type DiscoveredRun, displayPath } from "./discover.ts";
import { EventFileReader } from "./event-file.ts";
import { readProjectorFile } from "./plugins/projector.ts";
import { RecordBatch } from "./record-batch.ts";
import { addData, ScalarTotals, type SeriesSummary } from "./series.ts";
import { TagTable } from "./tag-table.ts";
import { isVanishedTemporary } from "./temporary-name.ts";
import { type Loss, RecordReader, type Tail } from "./tfrecord.ts";

export interface FileSummary {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Records that were intact events. */
  readonly events: number;
  readonly sessionLogs: number;
  readonly logMessages: number;
  readonly losses: readonly Loss[];
  readonly tail: Tail | undefined;
  /** Why it could not be read, or not to its end. */
  readonly problem: string | undefined;
}

export interface RunSummary {
  readonly name: string;
  readonly files: readonly FileSummary[];
  /** By kind, then by first appearance. */
  readonly series: readonly SeriesSummary[];
  /** Names of the projector's embeddings. */
  readonly embeddings: readonly string[];
}

/** Files up to this size are read at once. Bytes. */
const SMALL = 256 * 1024;
/** Scalars at a time: their columns stay in the processor's cache. */
const BATCH = 4096;

/**
 * Read all of a run. Never throws for what the files hold or how they can be read: that is in the result.
 *
 * @param signal its abort ends the reading soon; the result is then of what was read
 */
export async function inspectRun(
  run: DiscoveredRun,
  maxRecordBytes: number,
  signal?: AbortSignal,
): Promise<RunSummary> {
  const metadata = new Map<string, TagMetadata>();
  const tags = new TagTable();
  const totals = new ScalarTotals();
  const data = new Map<string, SeriesSummary>();
  const files: FileSummary[] = [];
  const batch = new RecordBatch(BATCH, tags);
  for (const entry of run.files) {
    if (signal?.aborted) break;
    let records: RecordReader | undefined;
    let reader: EventFileReader | undefined;
    let problem: string | undefined;
    try {
      const source = await (entry.size <= SMALL ? entry.store.whole(entry) : entry.store.open(entry));
      try {
        records = new RecordReader(source, { end: entry.size, maxRecordBytes });
        reader = new EventFileReader(records, metadata);
        for (let more = true; more && !signal?.aborted; ) {
          try {
            more = await reader.read(batch);
          } finally {
            // Also what was read before an error.
            totals.add(batch);
            addData(batch, data);
            batch.clear();
          }
        }
      } finally {
        await source.close();
      }
    } catch (error) {
      if (isVanishedTemporary(entry, error)) continue;
      problem = entry.store.judge(error)?.code ?? String(error);
    }
    files.push({
      path: displayPath(entry.path),
      size: entry.size,
      events: reader?.counts.events ?? 0,
      sessionLogs: reader?.counts.sessionLogs ?? 0,
      logMessages: reader?.counts.logMessages ?? 0,
      losses: records?.losses ?? [],
      tail: records?.tail,
      problem,
    });
  }
  const scalars = totals.series(tags.names);
  // A tag's first word may be of another plugin; what arrives as a scalar is of this one or of none.
  for (const series of scalars) series.plugin = metadata.get(series.tag)?.plugin === "scalars" ? "scalars" : "";
  const byKind = [...data.values()].sort((a, b) => (a.kind < b.kind ? -1 : Number(a.kind > b.kind)));
  return { name: run.name, files, series: [...scalars, ...byKind], embeddings: await embeddingsOf(run) };
}

/** None where the projector's file is not whole: it is written again with each embedding. */
async function embeddingsOf({ projectorFile }: DiscoveredRun): Promise<string[]> {
  if (projectorFile === undefined) return [];
  try {
    return (await readProjectorFile(projectorFile)).embeddings.map(({ tensorName }) => tensorName);
  } catch {
    return [];
  }
}
