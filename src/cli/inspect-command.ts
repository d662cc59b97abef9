/** `tracelet inspect`: what is in a logdir, without sending anything anywhere. */
import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { CommandOptions } from "../config/options.ts";
import { inspectRun, type RunSummary } from "../reader/inspect.ts";
import type { SeriesSummary } from "../reader/series.ts";
import { untilOver } from "../sync/run/interruption.ts";
import { linkedRuns, ownRuns } from "../sync/source/linked-runs.ts";
import { discoverAll } from "../sync/source/logdirs.ts";
import { exitCodeOf, onSignals } from "./signals.ts";
import { linkLines, problemLine } from "./sync-report.ts";
import { bytes, count, type Output, oneLine, outputTo, paint, plural, printable, table } from "./terminal.ts";

export type InspectCommandOptions = CommandOptions<"inspect">;

/** Characters that are written at once. */
const JSON_PIECE = 100_000;

/**
 * @returns 0; 1 if something could not be read; 3 if there is damage; what a shell says of the signal that stopped it
 * @throws TraceletError `logdir`
 */
export async function runInspect(logdirs: readonly string[], options: InspectCommandOptions): Promise<number> {
  const stop = new AbortController();
  const signals = onSignals({
    timeoutMs: options.shutdownTimeout,
    onFirst(signal, limits) {
      outputTo(process.stderr).write(`${signal}: ending, ${limits}\n`);
      stop.abort();
    },
  });
  try {
    const code = await untilOver(inspectAndPrint(logdirs, options, stop.signal), signals.over);
    return signals.received === undefined ? (code as number) : exitCodeOf(signals.received);
  } finally {
    signals.leave();
  }
}

async function inspectAndPrint(
  logdirs: readonly string[],
  options: InspectCommandOptions,
  signal: AbortSignal,
): Promise<number> {
  const output = outputTo(process.stdout);
  const { runs: found, problems } = discoverAll(logdirs);
  const runs = ownRuns(found);
  const links = linkedRuns(found, () => true);
  let [values, unread, damaged] = [0, problems.length > 0, false];
  let json = options.json ? '{"runs":[' : "";
  let read = 0;
  for (const [i, run] of runs.entries()) {
    const summary = await inspectRun(run, options.maxRecordSize, signal);
    if (signal.aborted) break;
    read++;
    if (options.json) json += `${i > 0 ? "," : ""}${printable(JSON.stringify(plain(summary)))}`;
    else printRun(summary, output);
    if (!options.json || json.length >= JSON_PIECE) {
      output.write(json);
      json = "";
      await written();
    }
    values += summary.series.reduce((sum, series) => sum + series.count, 0);
    unread ||= summary.files.some((file) => file.problem !== undefined);
    damaged ||= summary.files.some((file) => file.losses.length > 0 || file.tail?.state === "damaged");
  }
  if (options.json)
    output.write(
      `${json}],"links":${printable(JSON.stringify(links))},"problems":${printable(JSON.stringify(problems))},"interrupted":${signal.aborted}}\n`,
    );
  else {
    for (const line of linkLines(links)) output.write(`${oneLine(line)}\n`);
    for (const problem of problems)
      output.write(`${paint(output, "red", "cannot be read")}: ${oneLine(problemLine(problem))}\n`);
    output.write(`${plural(read, "run")}, ${plural(values, "value")}\n`);
  }
  if (signal.aborted) outputTo(process.stderr).write(`interrupted: ${plural(runs.length - read, "run")} not read\n`);
  if (unread) return 1;
  return damaged ? 3 : 0;
}

/** All of a large logdir would be hundreds of megabytes in memory; and who reads no longer is only noticed between two runs. */
async function written(): Promise<void> {
  await nextTurn();
  if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
}

/** The summary as JSON can have it. */
function plain(summary: RunSummary) {
  const series = summary.series.map((one) => ({
    ...one,
    firstStep: exact(one.firstStep),
    lastStep: exact(one.lastStep),
  }));
  return { ...summary, series };
}

/** int64 in JSON: a number as long as that is exact, a string of digits beyond. */
function exact(step: bigint): number | string {
  return Number.isSafeInteger(Number(step)) ? Number(step) : String(step);
}

function printRun({ name, files, series, embeddings }: RunSummary, output: Output): void {
  output.write(`${paint(output, "bold", oneLine(name))}\n`);
  for (const file of files) {
    output.write(`  ${oneLine(file.path)}  ${bytes(file.size)}  ${plural(file.events, "event")}\n`);
    if (file.problem !== undefined)
      output.write(`    ${paint(output, "red", "cannot be read")}: ${oneLine(file.problem)}\n`);
    for (const { start, end, reason } of file.losses) {
      output.write(`    ${paint(output, "yellow", "damage")}: ${bytes(end - start)} at ${start} (${reason})\n`);
    }
    if (file.tail !== undefined && file.tail.state !== "clean") {
      const { state, start, end } = file.tail;
      output.write(`    ${paint(output, "yellow", `${state} end`)}: ${bytes(end - start)} at ${start}\n`);
    }
  }
  if (series.length > 0) output.write(indent(table([HEADER, ...series.map(seriesRow)])));
  for (const embedding of embeddings) output.write(`  embedding ${oneLine(embedding)}\n`);
  output.write("\n");
}

const HEADER = ["tag", "kind", "count", "steps", "from", "to"];

function seriesRow(series: SeriesSummary): string[] {
  const { kind, firstStep, lastStep } = series;
  const steps = firstStep === lastStep ? `${firstStep}` : `${firstStep} … ${lastStep}`;
  return [oneLine(series.tag), kind, count(series.count), steps, time(series.firstWallTime), time(series.lastWallTime)];
}

function time(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString().replace("T", " ").slice(0, 19);
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}
