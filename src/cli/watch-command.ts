/** `tracelet watch`: options, signals, a training → the engine; how it is doing → view and metrics. */

import { chosen, continued } from "../config/choice.ts";
import { paceOf } from "../config/pace.ts";
import { asTraceletError, TraceletError } from "../errors.ts";
import { type EndConditions, endCondition, failureTold, followProcess } from "./end-condition.ts";
import type { Job } from "./jobs.ts";
import { takeSessionLeftovers } from "./session-leftovers.ts";
import { exitCodeOf, onSignals, withoutEchoes } from "./signals.ts";
import { canRedraw, duration, oneLine, outputTo } from "./terminal.ts";
import { FORWARDED, startTraining, type Training } from "./training.ts";
import type { FinishReason, WatchCommandOptions, WatchEngine, WatchEngineOptions } from "./watch-engine.ts";
import type { WatchMetrics } from "./watch-metrics.ts";
import { followSources, type WatchedSource, watchedSources } from "./watch-sources.ts";
import { showWatch, type WatchEnd, type WatchMode, type WatchView } from "./watch-view.ts";
import { WatchedDestinations } from "./watched-destinations.ts";

/** What share of the time that ending may take is for sending; the rest is for what is under way then. */
const SENDING_SHARE = 0.5;
/** Runs that are sent at the same time, unless told otherwise. */
const CONCURRENCY = 4;

/** Exit codes after which nothing is left: all sent; sent, but corrupt records were skipped. */
const SENT: ReadonlySet<number> = new Set([0, 3]);

/** The engine with all its options but those that say when it ends. */
type Follow = (
  options: Pick<WatchEngineOptions, "stop" | "finish" | "over" | "hasFailed"> & { readonly onStart: () => void },
) => ReturnType<WatchEngine>;

/**
 * @param jobs at least one; what is printed, and when it ends, goes by the first's options
 * @param training the command behind `--`
 * @returns the exit code
 * @throws TraceletError
 */
export async function runWatch(
  jobs: readonly Job<WatchCommandOptions>[],
  training: readonly string[] | undefined,
  engineOf: (options: WatchCommandOptions) => WatchEngine,
): Promise<number> {
  const [{ options }] = jobs as [Job<WatchCommandOptions>];
  const stderr = outputTo(process.stderr);
  if (options.json) outlive(process.stdout, (line) => stderr.write(`${line}\n`));
  const mode = modeOf(options, training !== undefined);
  const sources = await watchedSources(jobs);
  const names = sources.flatMap((source) => source.names);
  const watched = new WatchedDestinations(names);
  const view = showWatch({
    mode,
    names,
    identities: new Map(sources.flatMap(({ identities }) => [...identities])),
    output: mode === "json" ? outputTo(process.stdout) : stderr,
    dated: !process.stderr.isTTY,
    verbose: options.verbose,
  });
  let metrics: WatchMetrics | undefined;
  const removeLeftovers = takeSessionLeftovers();
  try {
    requireSense(options, training);
    for (const job of jobs) chosen(job.options);
    const isRunning =
      options.pid === undefined ? undefined : followProcess(options.pid, { mayBeOver: options.untilEof });
    const input = options.untilEof ? process.stdin : undefined;
    if (options.metricsPort !== undefined) {
      metrics = await (await import("./watch-metrics.ts")).serveMetrics(options.metricsPort);
      view.say(`metrics at ${metrics.url}`);
    }
    const onEnd = (name: string) => {
      watched.ended(name);
      metrics?.ended(name);
    };
    const followOne = (source: WatchedSource, { onStart, ...ending }: Parameters<Follow>[0]) =>
      engineOf(source.job.options)({
        ...chosen(source.job.options),
        logdirs: source.job.logdirs,
        training,
        concurrency: source.job.options.concurrency ?? CONCURRENCY,
        ...continued(source.job.options),
        ...paceOf(source.job.options),
        ...ending,
        onStart(status, backend) {
          const name = source.nameOf(backend);
          watched.started(name, status);
          view.start(status, name);
          metrics?.start(status, name);
          onStart();
        },
        onEvent: (event, backend) => view.event(event, backend === undefined ? source.name : source.nameOf(backend)),
        onEnd: (backend) => onEnd(source.nameOf(backend)),
        trace: options.logLevel === "debug" ? (line) => stderr.write(`${oneLine(line)}\n`) : undefined,
      });
    const [first, ...others] = sources as [WatchedSource];
    const follow: Follow = (how) => {
      const following =
        others.length === 0
          ? followOne(first, how)
          : followSources(sources, (source) => followOne(source, how), {
              onEnd,
              onError: ({ message, hint }, name) =>
                view.event(
                  { level: "error", run: undefined, message: `${message}; nothing more is sent there`, hint },
                  name,
                ),
            });
      return following.finally(() => metrics?.end());
    };
    const end =
      training === undefined
        ? await watchAlone(follow, view, options, { isRunning, untilIdleMs: options.untilIdle, input }, watched)
        : await watchTraining(follow, view, options, training);
    // What is left to be sent may need them.
    if (SENT.has(end.code)) removeLeftovers();
    view.stop(end);
    return end.code;
  } catch (error) {
    if (error instanceof TraceletError) view.stop({ code: 1, interrupted: false, error });
    throw error;
  } finally {
    view.stop();
    await metrics?.close();
  }
}

/**
 * Whoever looks on may go away (`| head`), and the disk of a log be full for a while: neither is a reason to stop sending.
 * A command that is there to print ends with its reader; a watch is there to send.
 */
function outlive(stdout: NodeJS.WriteStream, say: (line: string) => void): void {
  const said = new Set<string | undefined>();
  stdout.removeAllListeners("error").on("error", ({ code }: NodeJS.ErrnoException) => {
    if (said.has(code)) return;
    said.add(code);
    say(code === "EPIPE" ? CLOSED : `warning: standard output cannot be written (${code}); sending goes on`);
  });
}

const CLOSED = "warning: nobody reads standard output any more; sending goes on";

function modeOf({ json, quiet, logLevel }: WatchCommandOptions, hasTraining: boolean): WatchMode {
  if (json) return "json";
  if (quiet) return "quiet";
  // A training has views of its own.
  return canRedraw(process.stderr) && !hasTraining && logLevel !== "debug" ? "live" : "lines";
}

/** @throws TraceletError `usage` */
function requireSense(options: WatchCommandOptions, training: readonly string[] | undefined): void {
  if (training === undefined) return;
  const refuse = (message: string, hint: string) => {
    throw new TraceletError("usage", message, { hint });
  };
  if (training.length === 0) refuse("there is no command behind --", "tracelet watch runs/ -- python train.py");
  if (options.json) refuse("--json and a command would both write to standard output", "leave one of them out");
  if (options.output === "-") refuse("--output - and a command would both write to standard output", "--output out/");
  if (options.pid !== undefined || options.untilIdle !== undefined || options.untilEof)
    refuse("with a command the watch ends when that does", "leave --pid, --until-idle and --until-eof out");
}

async function watchAlone(
  follow: Follow,
  view: WatchView,
  { shutdownTimeout, json, quiet, pid }: WatchCommandOptions,
  conditions: EndConditions,
  watched: WatchedDestinations,
): Promise<WatchEnd> {
  const stop = new AbortController();
  const finish = new AbortController();
  const ended = new AbortController();
  let cut: NodeJS.Timeout | undefined;
  const signals = onSignals({
    timeoutMs: shutdownTimeout,
    onFirst(signal, limits) {
      const message = `${signal}: sending what is there, ${limits}`;
      view.say(message);
      // Whoever has sent it looks there.
      if (json || quiet) process.stderr.write(`${message}\n`);
      cut = setTimeout(() => stop.abort(interruption()), shutdownTimeout * SENDING_SHARE);
      finish.abort("signal" satisfies FinishReason);
    },
  });
  let isStarted = false;
  let told: (() => boolean) | undefined;
  const onStart = () => {
    if (isStarted) return;
    isStarted = true;
    // Not before: it makes the input flow, and its end must not be missed.
    told = conditions.input && failureTold(conditions.input, pid !== undefined);
    void endCondition(conditions, watched, ended.signal).then((reason) => {
      if (reason !== undefined) finish.abort(reason satisfies FinishReason);
      if (reason === "eof") view.countDown();
    });
  };
  try {
    const { over } = signals;
    const hasFailed = () => finish.signal.reason === ("eof" satisfies FinishReason) && told?.() === true;
    const sent = await follow({ stop: stop.signal, finish: finish.signal, over, hasFailed, onStart });
    return signals.received === undefined ? sent : { ...sent, code: exitCodeOf(signals.received) };
  } catch (error) {
    if (signals.received === undefined || !(error instanceof TraceletError) || error.code !== "interrupted")
      throw error;
    return { code: exitCodeOf(signals.received), interrupted: true };
  } finally {
    ended.abort();
    clearTimeout(cut);
    signals.leave();
  }
}

/** Whatever becomes of the sending: the training is not disturbed, and its exit code counts. */
async function watchTraining(
  follow: Follow,
  view: WatchView,
  { shutdownTimeout }: WatchCommandOptions,
  [command, ...args]: readonly string[],
): Promise<WatchEnd> {
  const stop = new AbortController();
  const finish = new AbortController();
  let training: Training | undefined;
  let trained: number | undefined;
  let interrupts = 0;
  let limit: NodeJS.Timeout[] | undefined;
  /** The training has ended, and somebody waits. */
  const limitRest = (code: number) => {
    limit ??= [
      setTimeout(() => stop.abort(interruption()), shutdownTimeout * SENDING_SHARE),
      setTimeout(() => endNow(view, code), shutdownTimeout),
    ];
  };
  const listener = withoutEchoes((signal) => {
    if (training === undefined) process.exit(exitCodeOf(signal));
    training.forward(signal);
    if (signal !== "SIGINT" && signal !== "SIGTERM") return;
    interrupts++;
    if (trained === undefined) return;
    if (interrupts > 1) endNow(view, trained);
    view.say(`${signal}: sending the rest, ${duration(shutdownTimeout)} at most; again: ends at once`);
    limitRest(trained);
  });
  for (const signal of FORWARDED) process.on(signal, listener);
  let onFault: ((error: unknown) => void) | undefined;
  try {
    let onStart = () => {};
    const started = new Promise<void>((resolve) => (onStart = resolve));
    const fault = new Promise<never>((_, reject) => process.on("uncaughtException", (onFault = reject)));
    const sending: Promise<WatchEnd> = Promise.race([
      follow({
        ...{ stop: stop.signal, finish: finish.signal, over: new AbortController().signal, onStart },
        hasFailed: () => trained !== undefined && trained !== 0,
      }),
      fault,
    ]).catch((error: unknown) => ({ code: 1, interrupted: true, error: asTraceletError(error) }));
    const refused = (await Promise.race([started, sending]))?.error;
    if (refused?.code === "usage" || refused?.code === "unsupported") throw refused;

    training = startTraining(command as string, args);
    void sending.then(({ error }) => {
      if (error !== undefined) showError(view, error.message, error.hint);
      if (trained !== undefined) return;
      stop.abort(interruption());
      showError(view, "nothing more is sent; the training goes on", "tracelet sync sends the rest");
    });
    const { code, problem } = await training.ended;
    trained = code;
    if (problem === undefined) {
      view.say(`the training has ended with ${code}; sending the rest`);
      finish.abort("training" satisfies FinishReason);
    } else {
      showError(view, problem, undefined);
      stop.abort(interruption());
    }
    if (interrupts > 1) endNow(view, trained);
    if (interrupts > 0) limitRest(trained);
    const sent = await sending;
    return { ...sent, code: trained === 0 ? sent.code : trained };
  } finally {
    for (const timer of limit ?? []) clearTimeout(timer);
    for (const signal of FORWARDED) process.off(signal, listener);
    if (onFault !== undefined) process.off("uncaughtException", onFault);
  }
}

/** Not all has been sent. */
function endNow(view: WatchView, trained: number): never {
  view.stop();
  process.exit(trained === 0 ? 1 : trained);
}

function showError(view: WatchView, message: string, hint: string | undefined): void {
  view.event({ level: "error", run: undefined, message, hint });
}

function interruption(): TraceletError {
  return new TraceletError("interrupted", "interrupted");
}
