/** `tracelet sync`: options → backend, engine, report. */
import type { BackendOptions } from "../config/backends.ts";
import { chosen, continued } from "../config/choice.ts";
import { chosenBackends, type Destination, type Opening, openDestinations } from "../config/destinations.ts";
import { HeldDestination } from "../config/held-destination.ts";
import type { CommandOptions } from "../config/options.ts";
import { asTraceletError, TraceletError } from "../errors.ts";
import { syncAll } from "../sync/engine/sync-all.ts";
import type { SyncResult } from "../sync/engine/sync-result.ts";
import type { Progress } from "../sync/report/progress.ts";
import type { RunResult } from "../sync/run/run-result.ts";
import { requiredLogdirs, requireLogdir } from "../sync/source/logdirs.ts";
import { type DestinationEnd, type Reporting, tellEnds, worstOf } from "./destination-ends.ts";
import { exitCodeOfError, printError } from "./failure.ts";
import type { Job } from "./jobs.ts";
import { type ProgressView, showProgress } from "./progress-view.ts";
import { exitCodeOf, onSignals, type Signals } from "./signals.ts";
import {
  errorJson,
  exitCode,
  headline,
  outcomeOf,
  printSummary,
  runLine,
  type SyncReport,
  toJson,
} from "./sync-report.ts";
import { canRedraw, type Output, oneLine, outputTo, paint, printJson } from "./terminal.ts";

export type SyncCommandOptions = CommandOptions<"sync"> & BackendOptions;

/**
 * @param jobs at least one; what is printed, and how long ending may take, goes by the first's options
 * @returns the exit code
 * @throws TraceletError
 */
export async function runSync(jobs: readonly Job<SyncCommandOptions>[]): Promise<number> {
  const [{ options }] = jobs as [Job<SyncCommandOptions>];
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
    const surroundings = { stop: stop.signal, signals, stderr, progress };
    const code = await (jobs.length === 1
      ? syncAndReport(jobs[0] as Job<SyncCommandOptions>, surroundings)
      : syncSources(jobs, surroundings));
    return signals.received === undefined ? code : exitCodeOf(signals.received);
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

type End = DestinationEnd<SyncReport>;

/** One of the destinations, from when it is opened until it is let go. */
interface Holding extends Opening {
  readonly held: Promise<HeldDestination>;
}

async function syncAndReport(job: Job<SyncCommandOptions>, surroundings: Surroundings): Promise<number> {
  const ends = await syncJob(job, surroundings).finally(() => surroundings.progress.stop());
  const { code, json } = tell(ends, job, surroundings.stderr);
  if (job.options.json) printJson(json);
  return code;
}

/** All of them at once: one whose destination is away holds no other up. Each has its summary. */
async function syncSources(jobs: readonly Job<SyncCommandOptions>[], surroundings: Surroundings): Promise<number> {
  const { stderr, progress } = surroundings;
  const all = await Promise.all(
    jobs.map(async (job) => ({ job, ends: await syncJob(job, surroundings).catch(asTraceletError) })),
  );
  progress.stop();
  const told = all.map(({ job, ends }) => {
    const { name, logdirs, options } = job;
    if (!options.quiet || ends instanceof TraceletError) stderr.write(`\n${paint(stderr, "bold", oneLine(name))}\n`);
    const head = { source: name, logdirs };
    if (!(ends instanceof TraceletError)) {
      const { code, json } = tell(ends, job, stderr);
      return { code, json: { ...head, ...json } };
    }
    printError(ends, stderr, options.logLevel === "debug");
    const outcome = ends.code === "interrupted" ? "interrupted" : "failed";
    return { code: exitCodeOfError(ends), json: { ...head, outcome, error: errorJson(ends) } };
  });
  const code = worstOf(told.map((each) => each.code));
  const sources = told.map(({ json }) => json as { readonly outcome?: string });
  const isInterrupted = sources.some(({ outcome }) => outcome === "interrupted");
  const outcome = isInterrupted ? "interrupted" : sources[told.findIndex((each) => each.code === code)]?.outcome;
  if (jobs[0]?.options.json === true) printJson({ outcome, sources });
  return code;
}

/** @throws TraceletError if nothing could be done at its only destination, or at any */
async function syncJob(
  { name: source, logdirs, options }: Job<SyncCommandOptions>,
  { stop, signals, stderr, progress }: Surroundings,
): Promise<readonly End[]> {
  const started = performance.now();
  const { dryRun, verbose, quiet, json, logLevel } = options;
  const debug = logLevel === "debug";
  const isOne = (await chosenBackends(options.backend)).length === 1;
  /** What tells it from the others; empty if there are none. */
  const labelOf = (name: string) => [source, ...(isOne ? [] : [name])].filter((part) => part !== "").join(", ");
  const named = (name: string, text: string) => oneLine(labelOf(name) === "" ? text : `${labelOf(name)}: ${text}`);
  const say = (line: string, name: string) => {
    if (!quiet) progress.line(named(name, line));
  };
  for (const logdir of requiredLogdirs(logdirs, options.group)) requireLogdir(logdir);
  const choice = chosen(options);
  const surroundings = { signal: stop, live: false, dryRun, verbose, stdoutUser: json ? "--json" : undefined, say };
  const openings = await openDestinations(options.backend, options, surroundings);
  const holdings = openings.map(({ name, opened }) => {
    return { name, opened, held: HeldDestination.take(opened, logdirs, { ...options, readOnly: dryRun }) };
  });
  let isReleased = false;
  /** Resolves with what went wrong. */
  const release = ({ held }: Holding): Promise<TraceletError | undefined> => {
    isReleased = true;
    const letGo = held.then(
      (each) => each.release(),
      () => {},
    );
    return letGo.then(() => undefined, asTraceletError);
  };
  try {
    const results = syncAll({
      logdirs,
      ...choice,
      ...continued(options),
      signal: stop,
      over: signals.over,
      destinations: holdings.map(async ({ name, held }) => {
        const { destination, checkpoints } = await held;
        if (checkpoints.loss !== undefined) say(checkpoints.loss, name);
        return {
          backend: destination.backend,
          quarantine: destination.quarantine,
          checkpoints,
          concurrency: options.concurrency ?? destination.concurrency,
          onStart: (state: Readonly<Progress>) => progress.start(state, labelOf(name)),
          onRun: (run: RunResult) => {
            if (verbose && run.outcome !== "unchanged") progress.line(named(name, runLine(run)));
          },
          ...(debug && { trace: (line: string) => stderr.write(`${named(name, line)}\n`) }),
        };
      }),
    });
    let left = holdings.length;
    const endOf = async (holding: Holding, result: Promise<SyncResult>): Promise<End> => {
      const { name, opened, held } = holding;
      let end: SyncReport | TraceletError;
      try {
        end = reportOf(await result, (await held).destination, { dryRun, elapsedMs: performance.now() - started });
      } catch (error) {
        if (isOne) throw error;
        end = asTraceletError(error);
      }
      // Whoever else waits for this one need not wait for the others.
      const released = release(holding);
      progress.end(labelOf(name));
      end = withError(end, await released);
      left--;
      if (left > 0) say(end instanceof TraceletError ? end.message : headline(end), name);
      const key = await opened.then(
        (destination) => destination.key,
        () => undefined,
      );
      return { name, key, end };
    };
    return await Promise.all(results.map((result, index) => endOf(holdings[index] as Holding, result)));
  } finally {
    if (!isReleased) await Promise.all(holdings.map(release));
  }
}

function reportOf(
  result: SyncResult,
  { backend, retries, howToLook }: Destination,
  about: Pick<SyncReport, "dryRun" | "elapsedMs">,
): SyncReport {
  const runLocation = (id: string) => backend.runLocation?.(id);
  return { result, ...about, retries: retries(), location: backend.location(), runLocation, howToLook };
}

/** The same with what went wrong when the destination was closed, unless it had failed before. */
function withError(end: SyncReport | TraceletError, error: TraceletError | undefined): SyncReport | TraceletError {
  if (error === undefined || end instanceof TraceletError || end.result.error !== undefined) return end;
  return { ...end, result: { ...end.result, error } };
}

/** @returns the exit code, and the object of `--json` */
function tell(
  ends: readonly End[],
  { logdirs, options: { quiet, verbose, logLevel } }: Job<SyncCommandOptions>,
  stderr: Output,
): { readonly code: number; readonly json: object } {
  const reports = ends.flatMap(({ end }) => (end instanceof TraceletError ? [] : [end]));
  const isNothing = ({ result: { runs, excludedRuns, earlierFiles, left } }: SyncReport) =>
    runs.length === 0 && excludedRuns + earlierFiles === 0 && left === undefined;
  if (!quiet && reports.length > 0 && reports.every(isNothing))
    stderr.write(`${oneLine(`no event files in ${logdirs.join(", ")}`)}\n`);
  const reporting: Reporting<SyncReport> = {
    codeOf: ({ result }) => exitCode(result),
    print: (each) => printSummary(each, stderr, verbose),
    toJson,
    outcomeOf: ({ result }) => outcomeOf(result),
  };
  return tellEnds(ends, reporting, stderr, { quiet, debug: logLevel === "debug" });
}
