/**
 * Sub-directories that a writer makes for itself and that are no runs of the user's: `add_scalars` makes one for each of
 * its curves, `add_hparams` one for the session. TensorBoard shows them as runs; here they are a part of the run above.
 *
 * Source: `add_scalars`, `add_hparams` in torch/utils/tensorboard/writer.py and tensorboardX/writer.py.
 */
import type { ByteSource } from "../../reader/byte-source.ts";
import type { DiscoveredRun } from "../../reader/discover.ts";
import { EventFileReader } from "../../reader/event-file.ts";
import { writerOf } from "../../reader/event-file-name.ts";
import { useFile } from "../../reader/file-store.ts";
import { RecordBatch } from "../../reader/record-batch.ts";
import { TagTable } from "../../reader/tag-table.ts";
import { RecordReader } from "../../reader/tfrecord.ts";

/** Why a run is a part of another one. */
export type Fold =
  /** One curve of `add_scalars(main, {sub: …})`. */
  { readonly by: "add_scalars"; readonly main: string; readonly sub: string } | { readonly by: "add_hparams" };

/** How far into a file its first values are looked for, bytes. */
const LOOKED_AT = 1 << 20;

/**
 * Whether `run` is a part of `above`, by what it begins with: the decision is the same however much of it is written.
 *
 * @param below the run's path relative to the directory of `above`
 * @returns undefined if it is not, or if nothing tells yet
 */
export async function foldOf(run: DiscoveredRun, above: DiscoveredRun, below: string): Promise<Fold | undefined> {
  const file = run.files.find(({ name }) => writersOf(above).has(writerOf(name)));
  if (file === undefined) return undefined;
  let batch: RecordBatch;
  try {
    batch = await useFile(file, (source) => firstValues(source, file.size));
  } catch {
    // It is met again, and reported, as a run of its own.
    return undefined;
  }
  const [first, second] = batch.data;
  if (first?.kind === "hparams" && second?.kind === "hparams") {
    const isSession = first.record.type === "experiment" && second.record.type === "session_start";
    return isSession ? { by: "add_hparams" } : undefined;
  }
  if (first !== undefined || batch.length === 0) return undefined;
  const main = batch.tags[batch.tag[0] as number] as string;
  // torch; then tensorboardX.
  const prefix = [`${main.replaceAll("/", "_")}_`, `${main}/`].find((each) => below.startsWith(each));
  if (prefix === undefined || prefix === below) return undefined;
  return { by: "add_scalars", main, sub: below.slice(prefix.length) };
}

/**
 * Whether a run begins with the hyperparameters of a trial, as what `hparams.api` writes to a training's directory does, or
 * holds nothing yet and may come to. Once there is a value, the answer is the same however much of it is written.
 */
export async function mayBeTrial({ files }: DiscoveredRun): Promise<boolean> {
  let holdsOther = false;
  for (const file of files) {
    try {
      const { data, length } = await useFile(file, (source) => firstValues(source, file.size));
      const first = data.find((datum) => datum.kind !== "hparams" || datum.record.type !== "experiment");
      if (first?.kind === "hparams" && first.record.type === "session_start") return true;
      holdsOther ||= first !== undefined || length > 0;
    } catch {
      // It is met again, and reported, when it is to be sent.
    }
  }
  return !holdsOther;
}

/** Whether each file of a run holds a value or a description: what the run is a part of is decided. */
export async function holdsValues({ files }: DiscoveredRun): Promise<boolean> {
  for (const file of files) {
    try {
      const { data, length } = await useFile(file, (source) => firstValues(source, file.size));
      if (data.length === 0 && length === 0) return false;
    } catch {
      return false;
    }
  }
  return true;
}

/** Whose files a run holds; those below it are held against it one by one. */
function writersOf({ files }: DiscoveredRun): ReadonlySet<string> {
  const known = WRITERS.get(files);
  if (known !== undefined) return known;
  const writers = new Set(files.map(({ name }) => writerOf(name)));
  WRITERS.set(files, writers);
  return writers;
}

const WRITERS = new WeakMap<DiscoveredRun["files"], ReadonlySet<string>>();

async function firstValues(source: ByteSource, size: number): Promise<RecordBatch> {
  const records = new RecordReader(source, { end: Math.min(size, LOOKED_AT), maxRecordBytes: LOOKED_AT });
  const batch = new RecordBatch(1, new TagTable());
  await new EventFileReader(records, new Map()).read(batch);
  return batch;
}
