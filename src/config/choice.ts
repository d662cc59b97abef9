/** Which runs and values are sent, and how, as the engine takes it. */
import { TraceletError } from "../errors.ts";
import type { SyncOptions } from "../sync/engine/once.ts";
import { Recordings } from "../sync/source/recordings.ts";
import { namesFilter } from "../sync/transform/globs.ts";
import { metricRulesOf } from "../sync/transform/metrics/rules.ts";
import { PatternUse } from "../sync/transform/pattern-use.ts";
import { excludedKinds } from "./kinds.ts";
import type { CommandOptions } from "./options.ts";

/** The options that `verify` shares with `sync`. */
export type ChoiceOptions = Omit<
  CommandOptions<"verify">,
  "backend" | "concurrency" | "json" | "quiet" | "giveUpAfter" | "shutdownTimeout"
>;

/** The same for the engine. @throws TraceletError `usage` */
export function chosen(
  options: ChoiceOptions,
): Pick<
  SyncOptions,
  | "group"
  | "runName"
  | "since"
  | "restarts"
  | "transform"
  | "limits"
  | "wantsRun"
  | "maxRecordBytes"
  | "attachSource"
  | "recordings"
> {
  const { group, restarts, includeTags, excludeTags, nan, every, maxSteps, includeRuns, excludeRuns, maxRecordSize } =
    options;
  const { histogramMetrics, prMetrics } = options;
  const metrics = metricRulesOf(options);
  const use = new PatternUse({ includeTags, excludeTags, metrics });
  return {
    group,
    runName: runNameOf(options),
    since: sinceOf(options),
    restarts,
    transform: {
      excludeKinds: excludedKinds(options),
      includeTags,
      excludeTags,
      nan,
      every,
      maxSteps,
      derive: { histogramMetrics, prMetrics },
      metrics: metrics && { ...metrics, onMetric: (name) => use.metric(name) },
      use,
    },
    limits: { maxImageBytes: options.maxImageSize, maxAudioBytes: options.maxAudioSize, oversize: options.oversize },
    wantsRun: namesFilter(includeRuns, excludeRuns, false),
    maxRecordBytes: maxRecordSize,
    attachSource: options.attachSource,
    recordings: new Recordings(options.stateDir),
  };
}

function sinceOf({ group, since }: Pick<ChoiceOptions, "group" | "since">): number | undefined {
  if (group === "logdir" && since?.isRelative === true) {
    // With another time it is another run, and what both have would be in one of them alone.
    throw new TraceletError("usage", "--group logdir needs a --since that stays the same: it tells which run this is", {
      hint: `give the time itself, each time: --since ${new Date(since.at).toISOString()}`,
    });
  }
  return since?.at;
}

function runNameOf({ runName }: Pick<ChoiceOptions, "runName">): string | undefined {
  if (runName === undefined || runName.trim() !== "") return runName;
  throw new TraceletError("usage", "--run-name is blank", {
    hint: "leave it out: runs are called as TensorBoard does",
  });
}

/** How earlier syncs are continued, and whether a new run tells where its files are from. */
export function continued({
  trustState: trustsState,
  regroup: regroups,
  sourcePath: tellsOrigin,
}: Pick<CommandOptions<"sync">, "trustState" | "regroup" | "sourcePath">): Required<
  Pick<SyncOptions, "trustsState" | "regroups" | "tellsOrigin">
> {
  return { trustsState, regroups, tellsOrigin };
}
