/** What the command line says of the source: which of its runs and values count, and how. */
import type { RestartPolicy } from "../reader/restarts.ts";
import type { SyncOptions } from "../sync/engine.ts";
import { globFilter } from "../sync/transform.ts";

export interface ChoiceOptions {
  readonly restarts: RestartPolicy;
  readonly nan: "keep" | "skip";
  readonly histogramMetrics: boolean;
  readonly prMetrics: boolean;
  readonly includeRuns: readonly string[];
  readonly excludeRuns: readonly string[];
  readonly includeTags: readonly string[];
  readonly excludeTags: readonly string[];
  readonly maxRecordSize: number;
}

/** The same for the engine. */
export function chosen(
  options: ChoiceOptions,
): Pick<SyncOptions, "restarts" | "transform" | "wantsRun" | "maxRecordBytes"> {
  const { restarts, includeTags, excludeTags, nan, includeRuns, excludeRuns, maxRecordSize } = options;
  const { histogramMetrics, prMetrics } = options;
  return {
    restarts,
    transform: { includeTags, excludeTags, nan, derive: { histogramMetrics, prMetrics } },
    wantsRun: globFilter(includeRuns, excludeRuns, false),
    maxRecordBytes: maxRecordSize,
  };
}
