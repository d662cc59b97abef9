/** `tracelet sync`: options → backend, engine, report. */
import { realpathSync } from "node:fs";
import { TraceletError } from "../errors.ts";
import { Checkpoints } from "../sync/checkpoints.ts";
import { sync } from "../sync/engine.ts";
import { type Lock, lockSource } from "../sync/lock.ts";
import { requireLogdir } from "../sync/logdirs.ts";
import { type ChoiceOptions, chosen } from "./choice.ts";
import { type MlflowOptions, openMlflow } from "./mlflow-options.ts";
import { showProgress } from "./progress-view.ts";
import { exitCodeOf, onSignals } from "./signals.ts";
import { errorJson, exitCode, printSummary, runLine, toJson } from "./sync-report.ts";
import { canRedraw, oneLine, outputTo, printable } from "./terminal.ts";

export interface SyncCommandOptions extends MlflowOptions, ChoiceOptions {
  readonly backend: "mlflow";
  readonly concurrency?: number;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: "info" | "debug";
}

/**
 * @returns the exit code
 * @throws TraceletError
 */
export async function runSync(logdirs: readonly string[], options: SyncCommandOptions): Promise<number> {
  try {
    return await syncAndReport(logdirs, options);
  } catch (error) {
    // Whoever reads the one object gets one, also where nothing could be begun.
    if (options.json && error instanceof TraceletError) printJson({ outcome: "failed", error: errorJson(error) });
    throw error;
  }
}

async function syncAndReport(logdirs: readonly string[], options: SyncCommandOptions): Promise<number> {
  const started = performance.now();
  const stop = new AbortController();
  const signals = onSignals(() => stop.abort(new TraceletError("interrupted", "interrupted")));
  const stderr = outputTo(process.stderr);
  const debug = options.logLevel === "debug";
  const say = (line: string) => {
    if (!options.quiet) stderr.write(`${oneLine(line)}\n`);
  };
  for (const logdir of logdirs) requireLogdir(logdir);
  const destination = await openMlflow(options, { signal: stop.signal, live: false, say });
  const locks: Lock[] = [];
  const checkpoints = Checkpoints.open(options.stateDir, destination.key, { readOnly: options.dryRun });
  if (checkpoints.loss !== undefined) say(checkpoints.loss);
  const progress = showProgress(
    options.quiet ? "none" : canRedraw(process.stderr) && !debug ? "live" : "lines",
    stderr,
  );
  try {
    if (!options.dryRun)
      for (const logdir of new Set(logdirs.map((each) => realpathSync(each))))
        locks.push(lockSource(options.stateDir, destination.key, logdir));
    const result = await sync({
      logdirs,
      backend: destination.backend,
      checkpoints,
      ...chosen(options),
      concurrency: options.concurrency ?? destination.concurrency,
      signal: stop.signal,
      onStart: (state) => progress.start(state),
      onRun: (run) => {
        if (options.verbose && run.outcome !== "unchanged") progress.line(oneLine(runLine(run)));
      },
      ...(debug ? { trace: (line: string) => stderr.write(`${oneLine(line)}\n`) } : {}),
    });
    progress.stop();
    if (result.runs.length === 0 && result.excludedRuns === 0) say(`no event files in ${logdirs.join(", ")}`);
    const report = {
      result,
      dryRun: options.dryRun,
      elapsedMs: performance.now() - started,
      retries: destination.retries(),
      location: destination.backend.location(),
      howToLook: destination.howToLook,
    };
    const code = exitCode(result);
    if (!options.quiet || code !== 0) printSummary(report, stderr, options.verbose);
    if (options.json) printJson(toJson(report));
    return signals.received === undefined ? code : exitCodeOf(signals.received);
  } finally {
    progress.stop();
    signals.ignore();
    for (const lock of locks) lock.release();
    checkpoints.close();
    await destination.backend.close();
  }
}

export function printJson(value: object): void {
  process.stdout.write(`${printable(JSON.stringify(value))}\n`);
}
