/** `tracelet`: sync and watch in one call each, read event files, write a backend. */
export { type ErrorCode, TraceletError } from "./errors.ts";
export { type Config, type ConfigSource, defineConfig, type LoadedConfig, loadConfig } from "./library/config.ts";
export type { Experiment, MetricAbout, Params } from "./library/experiment.ts";
export { getActiveExperiment, type LoggingOptions, startLogging, stopLogging } from "./library/logging.ts";
export type { BackendChoice, OpenDestination } from "./library/options.ts";
export { type SyncCall, type SyncEnd, type SyncReport, sync } from "./library/sync.ts";
export { type WatchCall, type WatchEnd, watch } from "./library/watch.ts";
export type { WatchOutcome } from "./library/watch-process.ts";
export type * from "./reader/datum.ts";
export {
  type ReadOptions,
  type ReadProblem,
  // `readValues` is what it was first called.
  readValues,
  readValues as readEvents,
  type Step,
  type Value,
} from "./reader/read-values.ts";
export type * from "./sync/backend.ts";
export {
  type BackendPlugin,
  type OpenedBackend,
  type PluginBackend,
  type PluginRun,
  type PluginRunHandle,
  type PluginSurroundings,
  SEAM_VERSION,
  type Surroundings,
} from "./sync/backend-plugin.ts";
export type { WatchEvent, WatchStatus } from "./sync/engine/watch-status.ts";
export type { OptionDefinition, OptionsOf, OptionTable } from "./sync/option.ts";
export type { Note } from "./sync/report/note.ts";
export type { Progress } from "./sync/report/progress.ts";
export type { SkipReason } from "./sync/report/skip-reason.ts";
export { type KindTally, Tally } from "./sync/report/tally.ts";
export type { RunResult } from "./sync/run/run-result.ts";
export type { FileMark } from "./sync/source/fingerprint.ts";
export type {
  DerivedMetric,
  MetricRecord,
  MetricTypeOption,
  TransformFunction,
} from "./sync/transform/metrics/rules.ts";
export { VERSION } from "./version.ts";
export type { WriteStep } from "./writer/event-record.ts";
export type { Histogram } from "./writer/histogram.ts";
export type { WriteHparam } from "./writer/hparams-values.ts";
export type { Pixels } from "./writer/png.ts";
export { SummaryWriter, type SummaryWriterOptions, type WriteOptions } from "./writer/summary-writer.ts";
