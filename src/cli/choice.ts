/** What the command line says of the source: which of its runs and values count, and how. */
import type { RestartPolicy } from "../reader/restarts.ts";
import type { SyncOptions } from "../sync/engine/once.ts";
import type { GroupMode } from "../sync/source/groups.ts";
import { globFilter } from "../sync/transform/transform.ts";
import { excludedKinds, type KindOptions } from "./kinds.ts";

export interface ChoiceOptions extends KindOptions {
  readonly group: GroupMode;
  readonly restarts: RestartPolicy;
  readonly nan: "keep" | "skip";
  readonly histogramMetrics: boolean;
  readonly prMetrics: boolean;
  readonly includeRuns: readonly string[];
  readonly excludeRuns: readonly string[];
  readonly includeTags: readonly string[];
  readonly excludeTags: readonly string[];
  readonly every?: number;
  readonly maxSteps?: number;
  readonly maxImageSize?: number;
  readonly maxAudioSize?: number;
  readonly oversize: "skip" | "downscale";
  readonly maxRecordSize: number;
  readonly attachSource: boolean;
}

/** The same for the engine. @throws TraceletError `usage` */
export function chosen(
  options: ChoiceOptions,
): Pick<SyncOptions, "group" | "restarts" | "transform" | "limits" | "wantsRun" | "maxRecordBytes" | "attachSource"> {
  const { group, restarts, includeTags, excludeTags, nan, every, maxSteps, includeRuns, excludeRuns, maxRecordSize } =
    options;
  const { histogramMetrics, prMetrics } = options;
  return {
    group,
    restarts,
    transform: {
      excludeKinds: excludedKinds(options),
      includeTags,
      excludeTags,
      nan,
      every,
      maxSteps,
      derive: { histogramMetrics, prMetrics },
    },
    limits: { maxImageBytes: options.maxImageSize, maxAudioBytes: options.maxAudioSize, oversize: options.oversize },
    wantsRun: globFilter(includeRuns, excludeRuns, false),
    maxRecordBytes: maxRecordSize,
    attachSource: options.attachSource,
  };
}
