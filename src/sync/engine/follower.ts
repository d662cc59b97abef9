/**
 * One destination of a watch: what appears in the logdirs is sent as it appears, at the destination's own pace.
 *
 * Nothing is queued in memory that is still in the files: a run that is due is read when its turn comes, as far as it is
 * then, so that a slow destination makes batches larger and not queues longer.
 */
import PQueue from "p-queue";
import { type ErrorCode, TraceletError } from "../../errors.ts";
import { backoff } from "../../pause.ts";
import type { Discovery } from "../../reader/discover.ts";
import type { Progress } from "../report/progress.ts";
import type { SkipReason } from "../report/skip-reason.ts";
import { untilOver } from "../run/interruption.ts";
import { SourceChanged } from "../run/run-session.ts";
import type { RunGroup } from "../source/run-group.ts";
import { spokenName } from "../source/titles.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { Subscription } from "../tree/subscription.ts";
import { AwakeClock } from "./awake-clock.ts";
import { FollowReport } from "./follow-report.ts";
import type { FollowedRun } from "./followed-run.ts";
import { FollowedRuns } from "./followed-runs.ts";
import { Gate } from "./gate.ts";
import type { SyncOptions } from "./once.ts";
import { RepeatedSurvey } from "./repeated-survey.ts";
import { Rounds } from "./rounds.ts";
import type { RunRecorder } from "./run-recorder.ts";
import type { SyncResult } from "./sync-result.ts";
import { Turns } from "./turns.ts";
import type { FollowStatus, WatchEvent } from "./watch-status.ts";

/** How often runs are looked over for what is due by time alone, ms. */
const TICK_MS = 1000;
/** How long pages and holes of a live run are left as they are, ms; and at least this multiple of the time they took. */
const CARE_MS = 300_000;
const CARE_RATIO = 50;
/** How long a run that was refused is left alone, ms: at first, and at last. */
const FIRST_RETRY_MS = 10_000;
const LAST_RETRY_MS = 600_000;
/** Values gather for at least this multiple of the time that it took to send the last ones. */
const GATHER_RATIO = 5;
/** What share of the requests that could be under way are, at most, while values gather for less than they might. */
const EARLY_SHARE = 1 / 2;

export interface FollowOptions extends Omit<SyncOptions, "onStart" | "onRun" | "source"> {
  /** How long a run's values gather before they are sent, ms at most; less where the destination is quick. */
  readonly flushIntervalMs: number;
  /** After how long without growth a run counts as finished, ms. */
  readonly idleTimeoutMs: number;
  /** How long bytes that are no record are read again before they count as damage, ms. */
  readonly patienceMs: number;
  /** How often the destination is asked whether it is as it was left, ms. */
  readonly rescanMs: number;
  /** Records what goes on beside the runs that grow; left out: nothing is. */
  readonly recorder?: RunRecorder | undefined;
  readonly onEvent: (event: WatchEvent) => void;
  /** Called once with an object that is kept up to date. */
  readonly onStart: (status: FollowStatus) => void;
}

export class Follower implements FollowStatus {
  lookedAt: number = performance.now();
  readonly #clock = new AwakeClock(TICK_MS);
  readonly #options: FollowOptions;
  readonly #queue: PQueue;
  readonly #gate: Gate;
  readonly #report: FollowReport;
  readonly #runs: FollowedRuns;
  readonly #rounds: Rounds;
  readonly #turns = new Turns();
  readonly #survey: RepeatedSurvey | undefined;
  /** How many runs had a session at the last tick. */
  #openRuns = 0;
  #isEnding = false;
  #runsAtEnd: number | undefined;
  #rest: Readonly<Progress> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FollowOptions) {
    this.#options = options;
    const { backend, checkpoints, rescanMs: intervalMs, signal, trustsState = false } = options;
    const stored: Map<string, StoredRun[]> = checkpoints.runs();
    const clock = this.#clock;
    const report = new FollowReport(options.onEvent);
    const gate = new Gate(({ level, run, message, hint }) => report.say(level, run, message, hint), signal);
    const runs = new FollowedRuns({
      ...{ choice: options, stored, clock, report, recorder: options.recorder },
      onDue: (run) => this.#isDue(run),
      onGone: (run) => this.#leave(run),
      onRenamed: (run, from, to) => {
        run.isGone = true;
        clearTimeout(run.timer);
        // It goes on once what is under way under the old name has ended.
        this.#turns.join(from, to, () => this.#rounds.close(run));
      },
    });
    this.#report = report;
    this.#gate = gate;
    this.#runs = runs;
    this.#rounds = new Rounds({ how: options, stored, runs, clock, report, gate });
    this.#queue = new PQueue({ concurrency: options.concurrency });
    const surveying = { backend, checkpoints, stored, gate, intervalMs, signal };
    const told = { onChanged: () => this.#isOtherDestination(), onFailure: this.#fail };
    this.#survey = trustsState ? undefined : new RepeatedSurvey({ ...surveying, ...told });
  }

  /**
   * Follow until the signal is aborted.
   *
   * @param discover what the logdirs hold now
   * @returns whether values were set aside that the destination refuses
   * @throws TraceletError only for what no waiting helps against
   */
  async follow(subscription: Subscription, discover: () => Promise<Discovery>): Promise<boolean> {
    const { signal, onStart, over, recorder } = this.#options;
    onStart(this);
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    const ticks = setInterval(() => this.#tick(end), TICK_MS);
    const leaveRecorder = recorder?.listen((group) => this.#wasRecorded(group));
    try {
      // Before that nothing counts as sent.
      await untilOver(this.#survey?.first() ?? Promise.resolve(), over);
      await this.#runs.recognize(await discover());
      for await (const changes of subscription.changes(stop.signal)) {
        await this.#runs.take(changes);
        if (this.#failure !== undefined) break;
      }
    } finally {
      this.#isEnding = true;
      clearInterval(ticks);
      leaveRecorder?.();
      signal.removeEventListener("abort", end);
      for (const run of this.#runs.values()) clearTimeout(run.timer);
      this.#queue.clear();
      await untilOver(this.#queue.onIdle(), over);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#report.anySetAside;
  }

  followRest(progress: Readonly<Progress>): void {
    this.#rest = progress;
  }

  addRest({ runs }: SyncResult): void {
    this.#runsAtEnd = runs.length;
    for (const { tally } of runs) this.#report.add(tally);
  }

  get runs(): number {
    return this.#runsAtEnd ?? this.#runs.size;
  }

  get liveRuns(): number {
    return this.#all(({ session }) => session !== undefined).length;
  }

  get sent(): number {
    return this.#report.sent;
  }

  get bytesSent(): number {
    return this.#report.bytesSent;
  }

  get bytesBehind(): number {
    if (this.#rest !== undefined) return Math.max(0, this.#rest.totalBytes - this.#rest.bytes);
    return this.#all(({ dueSince }) => dueSince !== undefined).reduce((sum, run) => sum + run.bytesBehind, 0);
  }

  get oldestUnsentMs(): number {
    const oldest = this.#all(() => true).reduce((min, { dueSince = Infinity }) => Math.min(min, dueSince), Infinity);
    return oldest === Infinity ? 0 : performance.now() - oldest;
  }

  get latencies(): readonly number[] {
    return this.#report.latencies;
  }

  get retries(): number {
    return this.#gate.failures;
  }

  get quarantined(): number {
    return this.#report.quarantined;
  }

  get skipped(): ReadonlyMap<SkipReason, number> {
    return this.#report.skipped;
  }

  get obstacle(): string | undefined {
    return this.#gate.obstacle;
  }

  get lastError(): string | undefined {
    return this.#report.lastError;
  }

  get isCaughtUp(): boolean {
    // What is refused is not waited for.
    const isAtRest = ({ dueSince, isBusy, error }: FollowedRun) =>
      (dueSince === undefined || error !== undefined) && !isBusy;
    return this.#runs.isComplete && [...this.#runs.values()].every(isAtRest);
  }

  get quietSince(): number {
    return this.#clock.since(this.#runs.grewAt);
  }

  #all(which: (run: FollowedRun) => boolean): FollowedRun[] {
    return [...this.#runs.values()].filter(which);
  }

  /** There is something to be looked at. */
  #isDue(run: FollowedRun): void {
    if (run.session === undefined && this.#rounds.isSent(run)) return;
    if (this.#runs.isComplete) run.grewAt = this.#clock.now();
    run.dueSince ??= performance.now();
    run.isEmpty = false;
    // One that was refused has its own time.
    if (run.error === undefined) this.#schedule(run);
  }

  /** There is more of a run's recording; nothing of the run itself has grown for that. */
  #wasRecorded(group: RunGroup): void {
    const run = this.#runs.of(group);
    if (run === undefined) return;
    const take = async () => {
      const hasMore = await this.#runs.takeRecorded(run);
      // One that has ended is not opened again for this: what is left is sent by the last sync.
      if (!hasMore || run.isBusy || run.session === undefined) return;
      run.dueSince ??= performance.now();
      if (run.error === undefined) this.#schedule(run);
    };
    take().catch(this.#fail);
  }

  /** Let it have its turn, not before `pauseMs`; what was arranged for a later time is brought forward. */
  #schedule(run: FollowedRun, pauseMs = 0): void {
    if (run.isBusy || run.isGone || this.#isEnding || this.#options.signal.aborted) return;
    clearTimeout(run.timer);
    const { concurrency, flushIntervalMs } = this.#options;
    const gatherRatio = Math.max(GATHER_RATIO, this.#openRuns / concurrency / EARLY_SHARE);
    const gatherMs = Math.min(flushIntervalMs, run.roundMs * gatherRatio);
    const wait = Math.max(pauseMs, run.lastRound + gatherMs - performance.now());
    const begin = () => {
      run.isBusy = true;
      this.#inTurn(run, () => this.#round(run)).catch(this.#fail);
    };
    if (wait <= 0) begin();
    else run.timer = setTimeout(begin, wait);
  }

  #inTurn(run: FollowedRun, work: () => Promise<void>): Promise<void> {
    return this.#queue.add(() => this.#turns.take(run.group.name, work));
  }

  /** The destination is not as it was left: whatever was sent is looked at again. */
  #isOtherDestination(): void {
    for (const run of this.#runs.values()) {
      if (run.session === undefined && this.#rounds.unchanged(run.group) !== undefined) continue;
      run.dueSince ??= performance.now();
      this.#schedule(run);
    }
  }

  readonly #fail = (error: unknown) => {
    this.#failure ??= { error };
  };

  async #round(run: FollowedRun): Promise<void> {
    if (this.#options.signal.aborted) return;
    let again: number | undefined;
    let hasFailed = false;
    run.lastRound = performance.now();
    try {
      again = await this.#gate.pass(() => this.#rounds.advance(run));
      run.error = undefined;
      run.failures = 0;
    } catch (error) {
      hasFailed = true;
      const wasOpen = run.session?.remoteId !== undefined;
      this.#rounds.close(run);
      // Perhaps as a duplicate, and then it goes on in the run that counts.
      const isLost = wasOpen && error instanceof TraceletError && LOST.has(error.code);
      if (error instanceof SourceChanged || isLost) again = 0;
      else if (error instanceof TraceletError) again = this.#failed(run, error);
      else throw error;
      run.dueSince ??= performance.now();
    } finally {
      run.isBusy = false;
    }
    // A run that has failed is due as well, and has to wait.
    const pause = !hasFailed && run.dueSince !== undefined ? 0 : again;
    if (pause !== undefined) this.#schedule(run, pause);
  }

  /** It is in the logdirs no longer. */
  #leave(run: FollowedRun): void {
    run.isGone = true;
    clearTimeout(run.timer);
    this.#inTurn(run, () => this.#gate.pass(() => this.#rounds.endGone(run))).catch((error: unknown) => {
      if (!(error instanceof TraceletError)) return this.#fail(error);
      this.#failed(run, error);
      // The gate holds it back until that makes sense.
      if (error.endsAll && !this.#isEnding && !this.#options.signal.aborted) this.#leave(run);
    });
  }

  /** @returns when to try again, ms */
  #failed(run: FollowedRun, error: TraceletError): number {
    // What is under way at the end is sent by whoever sends the rest.
    if (error.code === "interrupted" && this.#options.signal.aborted) return 0;
    // The gate has said it, and holds everybody back.
    if (error.endsAll) return 0;
    if (error.code === "nested") return TICK_MS;
    run.failures++;
    if (run.error !== error.message) this.#report.say("error", spokenName(run.group), error.message, error.hint);
    run.error = error.message;
    return backoff(run.failures, FIRST_RETRY_MS, LAST_RETRY_MS);
  }

  /** What is due because time has passed. */
  #tick(end: () => void): void {
    if (this.#failure !== undefined) end();
    this.#survey?.tick();
    const now = performance.now();
    this.lookedAt = now;
    this.#openRuns = this.liveRuns;
    for (const run of this.#runs.values()) {
      if (run.session === undefined || run.isBusy || run.dueSince !== undefined) continue;
      const isIdle = this.#rounds.isIdle(run) && run.session.waitsFor === undefined;
      const needsCare = now - run.caredAt > Math.max(CARE_MS, CARE_RATIO * run.careMs) && run.session.needsCare;
      if (!isIdle && !needsCare) continue;
      run.isBusy = true;
      const work = async () => {
        // Perhaps another destination than before: what it holds is looked at first.
        if (run.epoch !== this.#gate.epoch) run.dueSince ??= performance.now();
        else await (isIdle ? this.#rounds.finishUnlessGrown(run) : this.#rounds.care(run));
      };
      this.#inTurn(run, () => this.#gate.pass(work))
        .catch((error: unknown) => {
          this.#rounds.close(run);
          if (!(error instanceof TraceletError)) return this.#fail(error);
          if (!LOST.has(error.code)) this.#failed(run, error);
          run.dueSince ??= performance.now();
        })
        .finally(() => {
          run.isBusy = false;
          if (run.dueSince !== undefined) this.#schedule(run, run.error === undefined ? 0 : FIRST_RETRY_MS);
        });
    }
  }
}

/** Somebody else has done something to the run: who opens it again goes on. */
const LOST: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["deleted", "overtaken"]);
