/** What the command line says of the source: which of its runs and values count, and how. */
import type { RestartPolicy } from "../reader/restarts.ts";
import type { SyncOptions } from "../sync/engine.ts";
import type { GroupMode } from "../sync/groups.ts";
import { globFilter } from "../sync/transform.ts";

export interface ChoiceOptions {
  readonly group: GroupMode;
  readonly restarts: RestartPolicy;
  readonly nan: "keep" | "skip";
  readonly includeRuns: readonly string[];
  readonly excludeRuns: readonly string[];
  readonly includeTags: readonly string[];
  readonly excludeTags: readonly string[];
  readonly maxRecordSize: number;
}

/** The same for the engine. */
export function chosen(
  options: ChoiceOptions,
): Pick<SyncOptions, "group" | "restarts" | "transform" | "wantsRun" | "maxRecordBytes"> {
  const { group, restarts, includeTags, excludeTags, nan, includeRuns, excludeRuns, maxRecordSize } = options;
  return {
    group,
    restarts,
    transform: { includeTags, excludeTags, nan },
    wantsRun: globFilter(includeRuns, excludeRuns, false),
    maxRecordBytes: maxRecordSize,
  };
}
