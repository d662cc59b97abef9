/** `tracelet verify`: options → a look at source and destination, report. */
import { openToRead } from "../backends/mlflow/open.ts";
import type { BackendOptions } from "../config/backends.ts";
import { chosen } from "../config/choice.ts";
import type { CommandOptions } from "../config/options.ts";
import { TraceletError } from "../errors.ts";
import { untilOver } from "../sync/run/interruption.ts";
import { requireLogdir } from "../sync/source/logdirs.ts";
import { verify } from "../verify/mlflow/verify.ts";
import type { VerifyResult } from "../verify/result.ts";
import { VERSION } from "../version.ts";
import { type ProgressView, showProgress } from "./progress-view.ts";
import { exitCodeOf, onSignals, type Signals } from "./signals.ts";
import { errorJson } from "./sync-report.ts";
import { canRedraw, type Output, oneLine, outputTo, printJson } from "./terminal.ts";
import { exitCode, printVerified, toJson } from "./verify-report.ts";

export type VerifyCommandOptions = CommandOptions<"verify"> & BackendOptions;

/** Runs that are compared at the same time, unless told otherwise. */
const CONCURRENCY = 4;

/**
 * @returns the exit code
 * @throws TraceletError
 */
export async function runVerify(logdirs: readonly string[], options: VerifyCommandOptions): Promise<number> {
  const stop = new AbortController();
  const stderr = outputTo(process.stderr);
  const progress = showProgress(options.quiet ? "none" : canRedraw(process.stderr) ? "live" : "lines", stderr);
  const signals = onSignals({
    timeoutMs: options.shutdownTimeout,
    onFirst(signal, limits) {
      progress.line(`${signal}: ending what is under way, ${limits}`);
      stop.abort(new TraceletError("interrupted", "interrupted"));
    },
  });
  const work = verifyAndReport(logdirs, options, { stop: stop.signal, signals, stderr, progress });
  try {
    const code = await untilOver(work, signals.over);
    if (code === undefined) throw new TraceletError("interrupted", "interrupted");
    return signals.received === undefined ? code : exitCodeOf(signals.received);
  } catch (error) {
    const isInterrupted = error instanceof TraceletError && error.code === "interrupted";
    // Whoever reads the one object gets one, also where nothing could be begun.
    if (options.json && error instanceof TraceletError)
      printJson(isInterrupted ? { outcome: "interrupted" } : { outcome: "failed", error: errorJson(error) });
    if (!isInterrupted || signals.received === undefined) throw error;
    progress.stop();
    stderr.write("interrupted, so this is incomplete: not all runs were compared\n");
    return exitCodeOf(signals.received);
  } finally {
    progress.stop();
    signals.leave();
  }
}

interface Surroundings {
  readonly stop: AbortSignal;
  readonly signals: Signals;
  readonly stderr: Output;
  readonly progress: ProgressView;
}

async function verifyAndReport(
  logdirs: readonly string[],
  options: VerifyCommandOptions,
  surroundings: Surroundings,
): Promise<number> {
  const { stderr, progress } = surroundings;
  const started = performance.now();
  const [backend = "mlflow", ...others] = new Set(options.backend);
  if (others.length > 0)
    throw new TraceletError("usage", "verify compares one backend at a time", { hint: `--backend ${backend}` });
  for (const logdir of logdirs) requireLogdir(logdir);
  const work = backend === "mlflow" ? verifyMlflow : verifyOutput;
  const result = await work(logdirs, options, surroundings, backend);
  progress.stop();
  if (!options.quiet && result.runs.length === 0 && result.excludedRuns === 0 && !result.interrupted)
    stderr.write(`${oneLine(`no event files in ${logdirs.join(", ")}`)}\n`);
  const report = { result, elapsedMs: performance.now() - started, backend };
  const code = exitCode(result);
  if (!options.quiet || code !== 0) printVerified(report, stderr);
  if (options.json) printJson(toJson(report));
  return code;
}

async function verifyMlflow(
  logdirs: readonly string[],
  options: VerifyCommandOptions,
  { stop, signals, stderr, progress }: Surroundings,
): Promise<VerifyResult> {
  const { store, experiment } = await openToRead(options, {
    signal: stop,
    giveUpAfterMs: options.giveUpAfter,
    shutdownTimeoutMs: options.shutdownTimeout,
    say(line) {
      if (!options.quiet) stderr.write(`${oneLine(line)}\n`);
    },
  });
  try {
    return await verify({
      logdirs,
      store,
      experiment,
      version: VERSION,
      maxArtifactBytes: options.maxArtifactSize,
      ...chosen(options),
      concurrency: options.concurrency ?? CONCURRENCY,
      signal: stop,
      over: signals.over,
      onStart: (state) => progress.start(state),
    });
  } finally {
    await store.close();
  }
}

async function verifyOutput(
  logdirs: readonly string[],
  options: VerifyCommandOptions,
  { stop, signals, progress }: Surroundings,
  backend: string,
): Promise<VerifyResult> {
  const { openFilesToVerify } = await import("../verify/files/open.ts");
  const { verifyFiles } = await import("../verify/files/verify.ts");
  return verifyFiles({
    ...(await openFilesToVerify(backend, options.output)),
    logdirs,
    ...chosen(options),
    concurrency: options.concurrency ?? CONCURRENCY,
    signal: stop,
    over: signals.over,
    onStart: (state) => progress.start(state),
  });
}
