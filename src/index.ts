/** The public library: read event files, and sync them to a destination. */

export { MlflowBackend, type MlflowBackendOptions } from "./backends/mlflow/backend.ts";
export type { MlflowStore } from "./backends/mlflow/store.ts";
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
export type { Quarantine, RefusedValue } from "./sync/backend.ts";
export type { Destination } from "./sync/engine/destination.ts";
export { type SyncOptions, type SyncResult, sync } from "./sync/engine/once.ts";
export { type SyncAllOptions, type SyncDestination, syncAll } from "./sync/engine/sync-all.ts";
export {
  type WatchAllOptions,
  type WatchDestination,
  type WatchOptions,
  watch,
  watchAll,
} from "./sync/engine/watch.ts";
export type { WatchEvent, WatchStatus } from "./sync/engine/watch-status.ts";
export type { RunResult } from "./sync/run/run-result.ts";
export { Checkpoints } from "./sync/state/checkpoints.ts";
export { QuarantineFiles } from "./sync/state/quarantine.ts";
