/** What is done for a followed run when its turn comes. */
import { TraceletError } from "../../errors.ts";
import type { Progress } from "../report/progress.ts";
import { hasAllFiles, mayHaveFiles } from "../run/attachments.ts";
import { barrenIn, hasGrown, isUnchanged } from "../run/match.ts";
import { chosenId } from "../run/run-choices.ts";
import type { RunSyncContext } from "../run/run-context.ts";
import { openSession, rememberChoice } from "../run/run-sync.ts";
import type { RunGroup } from "../source/run-group.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { AwakeClock } from "./awake-clock.ts";
import type { FollowReport } from "./follow-report.ts";
import type { FollowedRun } from "./followed-run.ts";
import type { FollowedRuns } from "./followed-runs.ts";
import type { Gate } from "./gate.ts";
import { placed, type SyncOptions } from "./once.ts";
import type { RunRecorder } from "./run-recorder.ts";

export interface RoundsOptions {
  readonly how: Omit<SyncOptions, "onStart" | "onRun"> & {
    readonly idleTimeoutMs: number;
    readonly patienceMs: number;
    readonly recorder?: RunRecorder | undefined;
  };
  /** What was sent before, by name. */
  readonly stored: Map<string, StoredRun[]>;
  readonly runs: FollowedRuns;
  readonly clock: AwakeClock;
  readonly report: FollowReport;
  readonly gate: Gate;
}

export class Rounds {
  readonly #options: RoundsOptions;
  readonly #progress: Progress = { runs: 0, totalRuns: 0, bytes: 0, totalBytes: 0, values: 0 };

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  /** Whether all of it was sent, told at once and without opening a file: so it is of most of a large tree at a start. */
  isSent(run: FollowedRun): boolean {
    if (mayHaveFiles(run.group, this.#options.how.attachSource)) return false;
    return this.#settle(run, this.unchanged(run.group));
  }

  /** What is remembered of a run, if all of it was sent as it is now. */
  unchanged(group: RunGroup): StoredRun | undefined {
    const { how } = this.#options;
    const choice = chosenId(how);
    const barrenOf = barrenIn(how.checkpoints);
    return this.#candidates(group.name).find((stored) => isUnchanged(group, stored, choice, barrenOf));
  }

  /** Send what there is of a run. @returns when to look at it again though nothing happens to it, ms */
  async advance(run: FollowedRun): Promise<number | undefined> {
    const { gate, report } = this.#options;
    // While it waited for the destination.
    if (run.isGone) return undefined;
    const since = run.dueSince;
    run.dueSince = undefined;
    const before = run.session?.bytesRead ?? run.bytesRead;
    if (run.session !== undefined && (run.epoch !== gate.epoch || !run.session.follow(run.group))) this.close(run);
    if (run.session === undefined && !(await this.#open(run))) return undefined;
    const { session } = run;
    if (session === undefined) return undefined;
    try {
      const outcome = await session.advance();
      if (outcome === "interrupted") return undefined;
      const { waitsFor } = session;
      run.isEmpty = outcome === "empty";
      if (outcome !== "sent") {
        this.close(run);
        return waitsFor;
      }
      await this.#leaveOther(run);
      run.roundMs = performance.now() - run.lastRound;
      if (since !== undefined) report.latency(performance.now() - since);
      report.bytesSent += Math.max(0, session.bytesRead - before);
      const hasEnded = session.takeSessionEnd();
      if (waitsFor !== undefined) return waitsFor;
      if (hasEnded) await this.#finish(run);
      else if (this.isIdle(run)) await this.finishUnlessGrown(run);
      return undefined;
    } finally {
      report.take(run);
    }
  }

  isIdle(run: FollowedRun): boolean {
    return this.#options.clock.now() - run.grewAt > this.#options.how.idleTimeoutMs;
  }

  /** Nothing was heard of it for long: perhaps because looks come late, or rarely. */
  async finishUnlessGrown(run: FollowedRun): Promise<void> {
    if (await hasGrown(run.group)) run.grewAt = this.#options.clock.now();
    else await this.#finish(run);
  }

  /** Draw its pages, and look into its damage again. */
  async care(run: FollowedRun): Promise<void> {
    const start = performance.now();
    await run.session?.care();
    run.caredAt = performance.now();
    run.careMs = run.caredAt - start;
    this.#options.report.take(run);
  }

  /** Its session is over; the next one begins with the checkpoints. */
  close(run: FollowedRun): void {
    this.#options.report.take(run);
    run.bytesRead = run.session?.bytesRead ?? run.bytesRead;
    if (run.session?.remoteId !== undefined) run.unfinished = run.session;
    run.session = undefined;
  }

  /** It is in the logdirs no longer. */
  async endGone(run: FollowedRun): Promise<void> {
    const { runs, gate, how } = this.#options;
    this.close(run);
    how.recorder?.ended(run.group);
    // Its files may be back, or lie elsewhere, and then it goes on.
    const goesOn = [...runs.values()].some(({ remoteId }) => remoteId !== undefined && remoteId === run.remoteId);
    run.epoch = gate.epoch;
    if (!goesOn) await run.unfinished?.leave().catch(passOverLost);
    run.unfinished = undefined;
  }

  /** @returns false if there is nothing to be sent of it */
  async #open(run: FollowedRun): Promise<boolean> {
    const { how, gate } = this.#options;
    const { group } = run;
    const unchanged = this.unchanged(group);
    const hasAll = unchanged !== undefined && (await hasAllFiles(group, unchanged, how.attachSource));
    if (hasAll && this.#settle(run, unchanged)) {
      rememberChoice(unchanged, how);
      return false;
    }
    run.epoch = gate.epoch;
    run.session = await openSession(group, this.#candidates(group.name), this.#context(run));
    return true;
  }

  /** Take over that all of a run was sent. @returns false if nothing of it was */
  #settle(run: FollowedRun, stored: StoredRun | undefined): boolean {
    if (stored?.remoteId === undefined) return false;
    if (stored.directory === undefined) this.#options.how.checkpoints.place([placed(stored, run.group)]);
    run.remoteId = stored.remoteId;
    run.bytesRead = run.group.files.reduce((sum, file) => sum + file.size, 0);
    return true;
  }

  /** The run is over, as far as anybody can tell. */
  async #finish(run: FollowedRun): Promise<void> {
    this.#options.how.recorder?.ended(run.group);
    await run.session?.finish();
    this.close(run);
    run.unfinished = undefined;
  }

  /** Another run has taken its place: that one is over. */
  async #leaveOther(run: FollowedRun): Promise<void> {
    const { unfinished, session } = run;
    run.unfinished = undefined;
    if (unfinished === undefined || unfinished.remoteId === session?.remoteId) return;
    await unfinished.leave().catch(passOverLost);
  }

  #candidates(name: string): StoredRun[] {
    const { stored } = this.#options;
    const known = stored.get(name);
    if (known !== undefined) return known;
    const made: StoredRun[] = [];
    stored.set(name, made);
    return made;
  }

  #context(run: FollowedRun): RunSyncContext {
    const { how, runs, gate } = this.#options;
    return {
      ...how,
      isLive: true,
      others: runs.others,
      progress: this.#progress,
      parentId: async (parent) => this.#parentId(parent),
      onOpen: (group, id) => {
        const opened = runs.of(group);
        if (opened !== undefined) opened.remoteId = id;
      },
      onReached: () => gate.reached(run.epoch),
    };
  }

  #parentId(parent: RunGroup): string | undefined {
    const run = this.#options.runs.of(parent);
    if (run === undefined || run.remoteId !== undefined || run.isEmpty) return run?.remoteId;
    throw new TraceletError("nested", `${parent.name}, which it is to be nested in, is not at the destination yet`);
  }
}

/** Somebody has deleted the run, perhaps as a duplicate, or opened it, and then it is theirs to end. */
function passOverLost(error: unknown): void {
  if (!(error instanceof TraceletError && (error.code === "deleted" || error.code === "overtaken"))) throw error;
}
