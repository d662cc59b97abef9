/** The metrics that are computed from a run's scalars, brought to the place where sending goes on. */
import { TraceletError } from "../../errors.ts";
import { NOTHING_OBSOLETE } from "../../reader/restarts.ts";
import { Tally } from "../report/tally.ts";
import type { Choice } from "../transform/choice.ts";
import { Derivation } from "../transform/metrics/derivation.ts";
import { looksBack, type MetricRules, operationText } from "../transform/metrics/rules.ts";
import { SeriesCounts } from "../transform/series-counts.ts";
import { Transform } from "../transform/transform.ts";
import { type RunWork, WHOLE } from "./run-work.ts";
import type { SourceFile } from "./source-file.ts";

/** What is computed of a run's files under a choice; undefined if nothing is. */
export function derivationOf(
  { transform: { metrics }, restarts }: Pick<Choice, "transform" | "restarts">,
  files: readonly SourceFile[],
): Derivation<SourceFile> | undefined {
  return metrics && new Derivation(metrics, restarts, membersOf(files));
}

/** Of rules, what stands for each scalar by itself: its name, and what code makes of it. */
export function rewritingOf(
  { transform: { metrics }, restarts }: Pick<Choice, "transform" | "restarts">,
  files: readonly SourceFile[],
): Derivation<SourceFile> | undefined {
  if (metrics === undefined) return undefined;
  const rules: MetricRules = { ...metrics, derive: [], best: [] };
  return new Derivation(rules, restarts, membersOf(files));
}

/**
 * Read what was sent once more, without sending it: the points before the place where sending begins are what later ones are
 * computed with. So nothing of it has to be remembered, and what is computed does not depend on where the last sync ended.
 */
export async function lookBack(work: RunWork): Promise<void> {
  const { choices } = work;
  work.lookedBack();
  const past = [...choices.past(work.files)].filter(([id]) => id !== choices.id).map(([, choice]) => choice);
  const ofPast = past.some((choice) => choice?.transform.metrics !== undefined);
  if (choices.now.transform.metrics === undefined && !ofPast) return;
  for (const choice of past)
    requireSameMeaning(work.group.name, choice?.transform.metrics, choices.now.transform.metrics);
  work.requireTags().namesMade = true;
  // What is there keeps its name: those under which it was sent are given out first.
  for (const choice of past) await readBack(work, choice ?? withoutMetrics(choices.now));
  const isForgotten = past.length > 0 || work.files.some(({ unknownRange }) => unknownRange !== undefined);
  const { metrics } = choices.now.transform;
  // A name, and what code makes of a scalar, do not depend on what stands before it.
  work.metrics =
    metrics === undefined || isForgotten || looksBack(metrics)
      ? await readBack(work, choices.now)
      : derivationOf(choices.now, work.files);
}

/** A metric that was sent must not go on as another. @throws TraceletError `usage` */
function requireSameMeaning(run: string, before: MetricRules | undefined, now: MetricRules | undefined): void {
  for (const { name, operation } of now?.derive ?? []) {
    const other = before?.derive.find((rule) => rule.name === name);
    if (other === undefined || operationText(other.operation) === operationText(operation)) continue;
    throw new TraceletError(
      "usage",
      `derived metric ${JSON.stringify(name)} of ${run} was sent as ${operationText(other.operation)}, and is ${operationText(operation)} now`,
      { hint: "give the new one another name: both are kept then, and what was sent before gets it, too" },
    );
  }
}

function withoutMetrics(choice: Choice): Choice {
  return { ...choice, transform: { ...choice.transform, metrics: undefined } };
}

async function readBack(work: RunWork, choice: Choice): Promise<Derivation<SourceFile> | undefined> {
  const { metrics: rules } = choice.transform;
  const joins = choice.restarts === "explicit" && rules?.derive.some(({ operation }) => operation.kind === "expr");
  // Where a file cannot be read, it is left out of the work's.
  const replaced = joins ? await work.findObsolete(() => 0, choice.restarts) : NOTHING_OBSOLETE;
  const derivation = derivationOf(choice, work.files);
  const transform = new Transform(choice.transform, choice.restarts, NOTHING_OBSOLETE);
  await work.eachFile(async (file) => {
    if (file.start === 0) return;
    const counts = new SeriesCounts();
    const metrics = derivation?.of(file);
    const metadata = new Map(work.metadata(file.member));
    await file.readAgain(metadata, { start: 0, end: file.start }, (batch) => {
      work.requireGoingOn();
      const index = work.files.indexOf(file);
      transform.apply(batch, { file: index, ...WHOLE, counts, metrics, replaced }, new Tally());
      work.tags?.apply(batch, WHOLE, file.member);
    });
  });
  return derivation;
}

function membersOf(files: readonly SourceFile[]) {
  return files.map((file) => [file, file.member] as const);
}
