/** `tracelet verify`: options → a look at source and destination, report. */
import { TraceletError } from "../errors.ts";
import { verify } from "../sync/backends/mlflow/verify/verify.ts";
import { requireLogdir } from "../sync/logdirs.ts";
import { VERSION } from "../version.ts";
import { type ChoiceOptions, chosen } from "./choice.ts";
import { type MlflowOptions, openMlflowToRead } from "./mlflow-options.ts";
import { showProgress } from "./progress-view.ts";
import { exitCodeOf, onSignals } from "./signals.ts";
import { printJson } from "./sync-command.ts";
import { errorJson } from "./sync-report.ts";
import { canRedraw, oneLine, outputTo } from "./terminal.ts";
import { exitCode, printVerified, toJson } from "./verify-report.ts";

export interface VerifyCommandOptions
  extends ChoiceOptions,
    Pick<MlflowOptions, "trackingUri" | "experiment" | "giveUpAfter" | "maxArtifactSize"> {
  readonly concurrency: number;
  readonly json: boolean;
  readonly quiet: boolean;
}

/**
 * @returns the exit code
 * @throws TraceletError
 */
export async function runVerify(logdirs: readonly string[], options: VerifyCommandOptions): Promise<number> {
  try {
    return await verifyAndReport(logdirs, options);
  } catch (error) {
    // Whoever reads the one object gets one, also where nothing could be begun.
    if (options.json && error instanceof TraceletError) printJson({ outcome: "failed", error: errorJson(error) });
    throw error;
  }
}

async function verifyAndReport(logdirs: readonly string[], options: VerifyCommandOptions): Promise<number> {
  const started = performance.now();
  const stop = new AbortController();
  const signals = onSignals(() => stop.abort(new TraceletError("interrupted", "interrupted")));
  const stderr = outputTo(process.stderr);
  const say = (line: string) => {
    if (!options.quiet) stderr.write(`${oneLine(line)}\n`);
  };
  for (const logdir of logdirs) requireLogdir(logdir);
  const { store, experiment } = await openMlflowToRead(options, { signal: stop.signal, say });
  const progress = showProgress(options.quiet ? "none" : canRedraw(process.stderr) ? "live" : "lines", stderr);
  try {
    const result = await verify({
      logdirs,
      store,
      experiment,
      version: VERSION,
      maxArtifactBytes: options.maxArtifactSize,
      ...chosen(options),
      concurrency: options.concurrency,
      signal: stop.signal,
      onStart: (state) => progress.start(state),
    });
    progress.stop();
    if (result.runs.length === 0 && result.excludedRuns === 0) say(`no event files in ${logdirs.join(", ")}`);
    const report = { result, elapsedMs: performance.now() - started };
    const code = exitCode(result);
    if (!options.quiet || code !== 0) printVerified(report, stderr);
    if (options.json) printJson(toJson(report));
    return signals.received === undefined ? code : exitCodeOf(signals.received);
  } finally {
    progress.stop();
    signals.ignore();
    await store.close();
  }
}
