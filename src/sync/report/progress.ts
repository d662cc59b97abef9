/** How far a sync is; written by the engine, read by whoever shows it. */
export interface Progress {
  runs: number;
  readonly totalRuns: number;
  /** Bytes of event files read, of those that are new. */
  bytes: number;
  totalBytes: number;
  /** Values acknowledged by the destination. */
  values: number;
}
