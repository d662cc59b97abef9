/** `tracelet sync`: options → backend, engine, report. */
import type { BackendOptions } from "../config/backends.ts";
import { chosen } from "../config/choice.ts";
import { openDestinations, requireOne } from "../config/destinations.ts";
import type { CommandOptions } from "../config/options.ts";
import { TraceletError } from "../errors.ts";
import { sync } from "../sync/engine/once.ts";
import { requireLogdir, sourcesOf } from "../sync/source/logdirs.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import { type Lock, lockSource } from "../sync/state/lock.ts";
import { type ProgressView, showProgress } from "./progress-view.ts";
import { exitCodeOf, onSignals, type Signals } from "./signals.ts";
import { errorJson, exitCode, printSummary, runLine, toJson } from "./sync-report.ts";
import { canRedraw, type Output, oneLine, outputTo, printable } from "./terminal.ts";

export type SyncCommandOptions = CommandOptions<"sync"> & BackendOptions;

/**
 * @returns the exit code
 * @throws TraceletError
 */
export async function runSync(logdirs: readonly string[], options: SyncCommandOptions): Promise<number> {
  const stop = new AbortController();
  const stderr = outputTo(process.stderr);
  const debug = options.logLevel === "debug";
  const progress = showProgress(
    options.quiet ? "none" : canRedraw(process.stderr) && !debug ? "live" : "lines",
    stderr,
  );
  const signals = onSignals({
    timeoutMs: options.shutdownTimeout,
    onFirst(signal, limits) {
      // With --quiet, too: not all that was asked for will be done.
      progress.line(`${signal}: ending what is under way, ${limits}`);
      stop.abort(new TraceletError("interrupted", "interrupted"));
    },
  });
  try {
    return await syncAndReport(logdirs, options, { stop: stop.signal, signals, stderr, progress });
  } catch (error) {
    const isInterrupted = error instanceof TraceletError && error.code === "interrupted";
    // Whoever reads the one object gets one, also where nothing could be begun.
    if (options.json && error instanceof TraceletError)
      printJson(isInterrupted ? { outcome: "interrupted" } : { outcome: "failed", error: errorJson(error) });
    if (!isInterrupted || signals.received === undefined) throw error;
    stderr.write("interrupted before anything was sent; the same command begins again\n");
    return exitCodeOf(signals.received);
  } finally {
    signals.leave();
  }
}

interface Surroundings {
  readonly stop: AbortSignal;
  readonly signals: Signals;
  readonly stderr: Output;
  readonly progress: ProgressView;
}

async function syncAndReport(
  logdirs: readonly string[],
  options: SyncCommandOptions,
  { stop, signals, stderr, progress }: Surroundings,
): Promise<number> {
  const started = performance.now();
  const say = (line: string) => {
    if (!options.quiet) stderr.write(`${oneLine(line)}\n`);
  };
  for (const logdir of logdirs) requireLogdir(logdir);
  const { dryRun, verbose, json } = options;
  const surroundings = { signal: stop, live: false, dryRun, verbose, stdoutUser: json ? "--json" : undefined, say };
  const destination = await requireOne(await openDestinations(options.backend, options, surroundings));
  const locks: Lock[] = [];
  const checkpoints = Checkpoints.open(destination.stateDir, destination.key, { readOnly: options.dryRun });
  if (checkpoints.loss !== undefined) say(checkpoints.loss);
  try {
    if (!options.dryRun)
      for (const source of sourcesOf(logdirs))
        locks.push(lockSource(destination.stateDir, destination.key, source.path));
    const result = await sync({
      logdirs,
      backend: destination.backend,
      quarantine: destination.quarantine,
      checkpoints,
      ...chosen(options),
      trustsState: options.trustState,
      regroups: options.regroup,
      tellsOrigin: options.sourcePath,
      concurrency: options.concurrency ?? destination.concurrency,
      signal: stop,
      over: signals.over,
      onStart: (state) => progress.start(state),
      onRun: (run) => {
        if (options.verbose && run.outcome !== "unchanged") progress.line(oneLine(runLine(run)));
      },
      ...(options.logLevel === "debug" ? { trace: (line: string) => stderr.write(`${oneLine(line)}\n`) } : {}),
    });
    progress.stop();
    if (result.runs.length === 0 && result.excludedRuns === 0 && result.left === undefined)
      say(`no event files in ${logdirs.join(", ")}`);
    const report = {
      result,
      dryRun: options.dryRun,
      elapsedMs: performance.now() - started,
      retries: destination.retries(),
      location: destination.backend.location(),
      howToLook: destination.howToLook,
    };
    const code = exitCode(result);
    if (!options.quiet || code !== 0 || result.interrupted) printSummary(report, stderr, options.verbose);
    if (options.json) printJson(toJson(report));
    return signals.received === undefined ? code : exitCodeOf(signals.received);
  } finally {
    progress.stop();
    for (const lock of locks) lock.release();
    checkpoints.close();
    await destination.backend.close();
  }
}

export function printJson(value: object): void {
  process.stdout.write(`${printable(JSON.stringify(value))}\n`);
}
