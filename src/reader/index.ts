/** `tracelet/reader`: event files → values. */
export { type ByteSource, FileSource } from "./byte-source.ts";
export type * from "./datum.ts";
export {
  type DiscoveredRun,
  type Discovery,
  type DiscoveryProblem,
  discover,
  displayPath,
  type EventFileEntry,
  type FsPath,
} from "./discover.ts";
export { type EventCounts, EventFileReader } from "./event-file.ts";
export { type FileSummary, inspectRun, type RunSummary } from "./inspect.ts";
export { type ProjectorConfig, type ProjectorEmbedding, parseProjectorConfig } from "./plugins/projector.ts";
export {
  type OtherValue,
  type ReadOptions,
  type ReadProblem,
  readValues,
  type ScalarValue,
  type Step,
  type Value,
} from "./read-values.ts";
export { RecordBatch } from "./record-batch.ts";
export { RESTART_POLICIES, type RestartPolicy } from "./restarts.ts";
export type { SeriesSummary } from "./series.ts";
export { TagTable } from "./tag-table.ts";
export type { Tensor } from "./tensor.ts";
export {
  DEFAULT_MAX_RECORD_BYTES,
  type Loss,
  type LossReason,
  RecordReader,
  type RecordReaderOptions,
  type Tail,
} from "./tfrecord.ts";
