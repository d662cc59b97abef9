/** `tracelet verify`: options → a look at source and destination, report. */
import { chosen } from "../config/choice.ts";
import { chosenBackends } from "../config/destinations.ts";
import { asTraceletError, TraceletError } from "../errors.ts";
import type { Progress } from "../sync/report/progress.ts";
import { untilOver } from "../sync/run/interruption.ts";
import { requiredLogdirs, requireLogdir } from "../sync/source/logdirs.ts";
import { type DestinationEnd, type Reporting, reportEnds } from "./destination-ends.ts";
import { type ProgressView, showProgress } from "./progress-view.ts";
import { exitCodeOf, onSignals, type Signals } from "./signals.ts";
import { errorJson } from "./sync-report.ts";
import { canRedraw, type Output, oneLine, outputTo, printJson } from "./terminal.ts";
import { type VerifyCommandOptions, verifierOf } from "./verifiers.ts";
import { exitCode, outcomeOf, printVerified, toJson, type VerifyReport } from "./verify-report.ts";

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
  { stop, signals, stderr, progress }: Surroundings,
): Promise<number> {
  const started = performance.now();
  const { quiet, json } = options;
  const names = await chosenBackends(options.backend);
  const isOne = names.length === 1;
  const verifiers = names.map((name) => ({ name, verifyIt: verifierOf(name) }));
  for (const logdir of requiredLogdirs(logdirs, options.group)) requireLogdir(logdir);
  const choice = {
    ...{ logdirs, ...chosen(options), concurrency: options.concurrency ?? CONCURRENCY },
    ...{ signal: stop, over: signals.over },
  };
  const endOf = async (name: string, verifyIt: (typeof verifiers)[number]["verifyIt"]): Promise<End> => {
    const label = isOne ? "" : name;
    const say = (line: string) => {
      if (!quiet) progress.line(oneLine(isOne ? line : `${name}: ${line}`));
    };
    const onStart = (state: Readonly<Progress>) => progress.start(state, label);
    try {
      const { key, result } = await verifyIt({ ...choice, onStart }, options, { name, names, say });
      return { name, key, end: { result, elapsedMs: performance.now() - started, backend: name } };
    } catch (error) {
      if (isOne) throw error;
      return { name, key: undefined, end: asTraceletError(error) };
    } finally {
      progress.end(label);
    }
  };
  const ends = await Promise.all(verifiers.map(({ name, verifyIt }) => endOf(name, verifyIt)));
  progress.stop();
  const isNothing = ({ end }: End) =>
    !(end instanceof TraceletError) &&
    end.result.runs.length === 0 &&
    end.result.excludedRuns === 0 &&
    !end.result.interrupted;
  if (!quiet && ends.every(isNothing)) stderr.write(`${oneLine(`no event files in ${logdirs.join(", ")}`)}\n`);
  const reporting: Reporting<VerifyReport> = {
    codeOf: ({ result }) => exitCode(result),
    print: (report) => printVerified(report, stderr),
    toJson,
    outcomeOf: ({ result }) => outcomeOf(result),
  };
  return reportEnds(ends, reporting, stderr, { quiet, json, debug: false });
}

type End = DestinationEnd<VerifyReport>;
