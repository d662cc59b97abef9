/** The public library: read event files, and sync them to a destination. */
export { type ErrorCode, TraceletError } from "./errors.ts";
export { type ByteSource, FileSource } from "./reader/byte-source.ts";
export type * from "./reader/datum.ts";
export {
  type DiscoveredRun,
  type Discovery,
  type DiscoveryProblem,
  discover,
  displayPath,
  type EventFileEntry,
  type FsPath,
} from "./reader/discover.ts";
export { type EventCounts, EventFileReader } from "./reader/event-file.ts";
export { type FileSummary, inspectRun, type RunSummary } from "./reader/inspect.ts";
export { type ProjectorConfig, type ProjectorEmbedding, parseProjectorConfig } from "./reader/plugins/projector.ts";
export { RecordBatch } from "./reader/record-batch.ts";
export { RESTART_POLICIES, type RestartPolicy } from "./reader/restarts.ts";
export type { SeriesSummary } from "./reader/series.ts";
export { TagTable } from "./reader/tag-table.ts";
export type { Tensor } from "./reader/tensor.ts";
export {
  DEFAULT_MAX_RECORD_BYTES,
  type Loss,
  type LossReason,
  RecordReader,
  type RecordReaderOptions,
  type Tail,
} from "./reader/tfrecord.ts";
export type * from "./sync/backend.ts";
export { MlflowBackend, type MlflowBackendOptions } from "./sync/backends/mlflow/backend.ts";
export type { MlflowStore } from "./sync/backends/mlflow/store.ts";
export { Checkpoints } from "./sync/checkpoints.ts";
export { type SyncOptions, type SyncResult, sync } from "./sync/engine.ts";
export { type Quarantine, QuarantineFiles, type RefusedValue } from "./sync/quarantine.ts";
export type { RunResult } from "./sync/run-result.ts";
export { type WatchOptions, watch } from "./sync/watch.ts";
export type { WatchEvent, WatchStatus } from "./sync/watch-status.ts";
