/** `tracelet watch` → the engine: destinations are opened and followed, and what is left at the end is sent. */

import { existsSync } from "node:fs";
import path from "node:path";
import type { BackendOptions } from "../config/backends.ts";
import type { chosen, continued } from "../config/choice.ts";
import { chosenBackends, openDestinations } from "../config/destinations.ts";
import { HeldDestination } from "../config/held-destination.ts";
import type { CommandOptions } from "../config/options.ts";
import { type Pace, polling } from "../config/pace.ts";
import { recorderOf } from "../config/recorder.ts";
import { asTraceletError, type TraceletError } from "../errors.ts";
import { backoff, pause } from "../pause.ts";
import type { Discovery } from "../reader/discover.ts";
import { type SyncOptions, sync } from "../sync/engine/once.ts";
import type { SyncResult } from "../sync/engine/sync-result.ts";
import { watchAll } from "../sync/engine/watch.ts";
import type { FollowStatus, WatchEvent, WatchStatus } from "../sync/engine/watch-status.ts";
import type { Progress } from "../sync/report/progress.ts";
import { firstWallTime } from "../sync/source/begun.ts";
import { localSource } from "../sync/tree/local-source.ts";
import { worstOf } from "./destination-ends.ts";
import { exitCodeOfError } from "./failure.ts";
import { otherWriter, ownWriter } from "./file-owner.ts";
import { exitCode, isLoss } from "./sync-report.ts";
import { bytes, plural } from "./terminal.ts";

/** What the command line says. */
export type WatchCommandOptions = CommandOptions<"watch"> & BackendOptions;

export interface WatchEngineOptions extends ReturnType<typeof chosen>, ReturnType<typeof continued>, Pace {
  /** They may not be there yet, where a training is going to make them. */
  readonly logdirs: readonly string[];
  /** The command behind `--`, if there is one. */
  readonly training: readonly string[] | undefined;
  /** Runs that are sent at the same time. */
  readonly concurrency: number;
  /** Aborted: finish what is under way, then return. */
  readonly stop: AbortSignal;
  /** Aborted: return at once with what is known, whatever is still under way. */
  readonly over: AbortSignal;
  /** Aborted: stop following, send everything there is, then return. Its reason is a `FinishReason`. */
  readonly finish: AbortSignal;
  /** Asked once `finish` is aborted: whether what has written the runs is known to have failed. Left out: it is not. */
  readonly hasFailed?: (() => boolean) | undefined;
  /**
   * To be called once for each destination, when its options are known to be sound and before anything that may take long
   * (reading the logdirs, speaking to the destination): a training is started by the first.
   *
   * @param name what `--backend` calls it
   */
  readonly onStart: (status: WatchStatus, name: string) => void;
  /** @param name of the destination; left out for what concerns all of them */
  readonly onEvent: (event: WatchEvent, name?: string) => void;
  /** Nothing more is sent to that destination. */
  readonly onEnd: (name: string) => void;
  /** Told what becomes of every record, if that was asked for. */
  readonly trace: ((line: string) => void) | undefined;
}

/** Why a watch should end. `signal`: the runs may still be written to. */
export type FinishReason = "signal" | "training" | "process" | "idle" | "eof";

/** How it ended at one destination. */
export interface FollowEnd {
  /** What `--backend` calls it. */
  readonly name: string;
  /** 0: all sent. 1: something could not be sent. 2: it cannot be, as it was asked for. 3: sent, but corrupt records were skipped. */
  readonly code: number;
  /** Whether it was stopped before all that there was had been sent. */
  readonly interrupted: boolean;
  /** Why nothing more was sent there. */
  readonly error?: TraceletError;
}

/**
 * Rejects where there is one destination, and it could not go on there. Of several each has its end, and none waits for
 * another.
 *
 * @throws TraceletError `usage` or `unsupported`, before `onStart`, if the options ask for what cannot be
 */
export type WatchEngine = (options: WatchEngineOptions) => Promise<{
  /** The worst of all. */
  readonly code: number;
  /** Whether any was stopped before all that there was had been sent. */
  readonly interrupted: boolean;
  /** Left out where there is only one. */
  readonly destinations?: readonly FollowEnd[];
}>;

/** The first and the longest pause before the rest is tried again, ms. */
const FIRST_PAUSE_MS = 1000;
const LAST_PAUSE_MS = 30_000;
/** What a file's time may lag behind the clock, ms. */
const MTIME_INACCURACY = 2000;

/** The one for the destinations and state that the command line asks for. */
export function watchEngine(command: WatchCommandOptions): WatchEngine {
  return async (options) => {
    const { logdirs, stop, finish, onStart, onEvent, onEnd, pollMs, trace, training, hasFailed, ...chosen } = options;
    const startedAt = Date.now();
    const { verbose, json, giveUpAfter, pid, group, since } = command;
    // Whose session it is.
    const isSession = pid !== undefined && group === "logdir" && since !== undefined;
    const writerOf = isSession ? otherWriter(pid, process.env["TRACELET_SESSION_MEMBERS"]) : undefined;
    const isOfOthers = (file: string, begun: number) => {
      const writer = writerOf?.(path.basename(file), begun);
      if (writer === "ended") onEvent(leftAlone(file));
      return writer !== undefined;
    };
    const writesOwn = isSession ? ownWriter(pid) : undefined;
    const isOwn = (file: string) => writesOwn?.(path.basename(file)) === true;
    const choice = { ...chosen, ...(isSession && { isOfOthers, isOwn }) };
    const isOne = (await chosenBackends(command.backend)).length === 1;
    const say = (message: string, name: string, level: "info" | "warning" = "warning") =>
      onEvent({ level, run: undefined, message, hint: undefined, isForEveryone: true }, name);
    const surroundings = { live: true, dryRun: false, verbose, stdoutUser: json ? "--json" : undefined, say };
    const openings = await openDestinations(command.backend, command, { ...surroundings, signal: stop });
    const holdings = openings.map(({ name, opened }) => {
      return { name, held: HeldDestination.take(opened, logdirs, { ...command, readOnly: false }) };
    });
    const statuses = new Map<string, FollowStatus>();
    let discovery: Promise<Discovery> | undefined;
    // What appears later is another session's, of which the same program may begin one at once.
    const look = () => {
      if (finish.reason === ("eof" satisfies FinishReason)) discovery = discover(logdirs);
    };
    if (finish.aborted) look();
    finish.addEventListener("abort", look, { once: true });
    const how = { ...polling({ pollMs }), signal: AbortSignal.any([stop, finish]) };
    const destinations = holdings.map(async ({ name, held }) => {
      const { destination, checkpoints } = await held;
      if (checkpoints.loss !== undefined) say(checkpoints.loss, name);
      return {
        backend: destination.backend,
        quarantine: destination.quarantine,
        checkpoints,
        concurrency: options.concurrency,
        onStart(status: FollowStatus) {
          statuses.set(name, status);
          onStart(status, name);
        },
        onEvent: (event: WatchEvent) => onEvent(event, name),
        ...(trace && { trace: (line: string) => trace(isOne ? line : `${name}: ${line}`) }),
      };
    });
    const recorder = await recorderOf(command, {
      training,
      say: (level, message) => onEvent({ level, run: undefined, message, hint: undefined }),
    });
    const followed = watchAll({
      ...choice,
      ...how,
      recorder,
      logdirs,
      destinations,
      onEvent: (event) => onEvent(event),
    });
    const finishOne = async (name: string, index: number): Promise<FollowEnd> => {
      const anySetAside = await (followed[index] as Promise<boolean>);
      // All of it is in files, which the rest is sent from.
      await recorder?.close();
      const status = statuses.get(name);
      const tell = (event: WatchEvent) => onEvent(event, name);
      if (stop.aborted) {
        if (status?.isCaughtUp === false) sayLeft({ runs: undefined, bytes: status.bytesBehind }, tell);
        return { name, code: 1, interrupted: true };
      }
      const leavesRunning = (finish.reason as FinishReason) === "signal";
      const destination = await (destinations[index] as (typeof destinations)[number]);
      const begun = (choice.since ?? startedAt) / 1000;
      const isAtFault = hasFailed?.() === true;
      const failedSince = isAtFault ? (isSession ? begun : await lastBegun(logdirs, begun)) : undefined;
      const shared = {
        ...choice,
        failedSince,
        ...destination,
        onStart: (progress: Progress) => status?.followRest(progress),
      };
      const all = { ...shared, logdirs, signal: stop, leavesRunning, ...(discovery && { discovery }) };
      const rest = await sendRest(all, giveUpAfter, tell);
      status?.addRest(rest.result);
      for (const message of rest.result.unmatched) tell({ level: "info", run: undefined, message, hint: undefined });
      if (rest.result.left !== undefined) sayLeft(rest.result.left, tell);
      const code = anySetAside || rest.anySetAside ? 1 : exitCode(rest.result);
      return { name, code, interrupted: rest.result.interrupted };
    };
    const failed = (name: string, cause: unknown): FollowEnd => {
      if (isOne) throw cause;
      const error = asTraceletError(cause);
      const interrupted = error.code === "interrupted" && stop.aborted;
      const message = `${error.message}; nothing more is sent there`;
      if (!interrupted) onEvent({ level: "error", run: undefined, message, hint: error.hint }, name);
      return { name, code: exitCodeOfError(error), interrupted, error };
    };
    const endOf = async ({ name, held }: (typeof holdings)[number], index: number): Promise<FollowEnd> => {
      const work = finishOne(name, index);
      await work.catch(() => {});
      onEnd(name);
      const holding = await held.catch(() => undefined);
      // What comes of that concerns this destination alone, too.
      const released = holding?.release() ?? Promise.resolve();
      return released.then(() => work).catch((cause: unknown) => failed(name, cause));
    };
    const ends = await Promise.all(holdings.map(endOf));
    await recorder?.close();
    const code = worstOf(ends.map((end) => end.code));
    const interrupted = ends.some((end) => end.interrupted);
    return { code, interrupted, ...(isOne ? {} : { destinations: ends }) };
  };
}

/** It may be missed, so it is said aloud. @param file its path */
function leftAlone(file: string): WatchEvent {
  const message = `${file} is left alone: the process that wrote it has ended, and was not seen to be one of this session`;
  const hint = `to send it: tracelet sync ${JSON.stringify(path.dirname(file))}`;
  return { level: "warning", code: "left-alone", run: undefined, message, hint };
}

/**
 * A training that makes one run after the other fails in the last one, and in all that it writes beside that.
 *
 * @param startedAt of the training, seconds since the Unix epoch; nothing that was written before is its own
 * @returns since when what was written belongs to the runs it failed in, seconds since the Unix epoch
 */
async function lastBegun(logdirs: readonly string[], startedAt: number): Promise<number> {
  let last = startedAt;
  for (const { files } of (await discover(logdirs)).runs) {
    for (const file of files) {
      if (Number(file.mtime / 1_000_000n) < startedAt * 1000 - MTIME_INACCURACY) continue;
      last = Math.max(last, (await firstWallTime(file).catch(() => undefined)) || last);
    }
  }
  return last;
}

/** All that the logdirs hold now; one that does not exist holds nothing. */
async function discover(logdirs: readonly string[]): Promise<Discovery> {
  return localSource(logdirs.filter((logdir) => existsSync(logdir))).discover();
}

/** Say what has not been sent. */
function sayLeft(
  { runs, bytes: left }: { readonly runs: number | undefined; readonly bytes: number },
  onEvent: (event: WatchEvent) => void,
): void {
  const what = [...(runs === undefined ? [] : [plural(runs, "run")]), `${bytes(left)} of event files`].join(", ");
  const isKnown = runs !== undefined || left > 0;
  const rest = runs !== undefined && runs > 0 && left === 0 ? `not finished yet: ${plural(runs, "run")}` : undefined;
  const message = `${rest ?? `not sent yet: ${isKnown ? what : "what was not looked at"}`}; run the same command to resume`;
  onEvent({ level: "warning", run: undefined, message, hint: undefined });
}

/** Send what is left when the watch ends; if the destination is away, retry until `giveUpAfterMs` is over. */
async function sendRest(
  options: SyncOptions,
  giveUpAfterMs: number,
  onEvent: (event: WatchEvent) => void,
): Promise<{ readonly result: SyncResult; readonly anySetAside: boolean }> {
  const end = performance.now() + giveUpAfterMs;
  let anySetAside = false;
  for (let attempt = 1; ; attempt++) {
    const result = await sync({ ...options, discovery: options.discovery ?? discover(options.logdirs) });
    for (const { name, notes } of result.runs) {
      for (const note of notes) {
        const isSetAside = isLoss(note);
        anySetAside ||= isSetAside;
        if (!isSetAside && !note.isWarning) continue;
        onEvent({ level: isSetAside ? "error" : "warning", run: name, message: note.message, hint: undefined });
      }
    }
    const error = result.error ?? result.runs.find((run) => run.error !== undefined)?.error;
    const pauseMs = Math.max(backoff(attempt, FIRST_PAUSE_MS, LAST_PAUSE_MS), result.error?.retryAfterMs ?? 0);
    const mayHelp = result.error?.code === "unreachable" && performance.now() + pauseMs < end;
    // After a signal somebody is waiting.
    if (mayHelp && !options.signal.aborted && !options.leavesRunning) {
      await pause(pauseMs, options.signal);
      continue;
    }
    if (error !== undefined && !result.interrupted)
      onEvent({ level: "error", run: undefined, message: error.message, hint: error.hint });
    return { result, anySetAside };
  }
}
