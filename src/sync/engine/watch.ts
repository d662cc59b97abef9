/**
 * Beside a training: what appears in the logdirs is sent as it appears.
 *
 * Nothing is queued in memory that is still in the files: a run that is due is read when its turn comes, as far as it is
 * then, so that a slow destination makes batches larger and not queues longer.
 */
import { existsSync } from "node:fs";
import PQueue from "p-queue";
import { type ErrorCode, TraceletError } from "../../errors.ts";
import { type DiscoveredRun, displayPath } from "../../reader/discover.ts";
import { ageOf } from "../../reader/file-age.ts";
import type { Progress } from "../report/progress.ts";
import { hasAllFiles, mayHaveFiles } from "../run/attachments.ts";
import { untilOver } from "../run/interruption.ts";
import { barrenIn, hasGrown, isSame, isUnchanged } from "../run/match.ts";
import { OtherRuns } from "../run/other-runs.ts";
import { chosenId } from "../run/run-choices.ts";
import type { RunSyncContext } from "../run/run-context.ts";
import { SourceChanged } from "../run/run-session.ts";
import { openSession, rememberChoice } from "../run/run-sync.ts";
import { groupRuns, withRun } from "../source/groups.ts";
import { withoutLinksInside } from "../source/linked-runs.ts";
import { discoverAll } from "../source/logdirs.ts";
import { type RunGroup } from "../source/run-group.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { RunChanges } from "../tree/subscription.ts";
import { formatWatchNote, type WatchNote } from "../tree/watch-notes.ts";
import { watchRuns } from "../tree/watcher.ts";
import { AwakeClock } from "./awake-clock.ts";
import { FollowedRun } from "./followed-run.ts";
import { Gate } from "./gate.ts";
import { followMoved, withoutGone } from "./moved-runs.ts";
import { placed, type SyncOptions, wantedRuns } from "./once.ts";
import { groupAsBefore, regroupedMessage } from "./regrouping.ts";
import { RepeatedSurvey } from "./repeated-survey.ts";
import type { WatchEvent, WatchStatus } from "./watch-status.ts";

/** How often runs are looked over for what is due by time alone, ms. */
const TICK_MS = 1000;
/** How long pages and holes of a live run are left as they are, ms; and how many times as long as they took. */
const CARE_MS = 300_000;
const CARE_RATIO = 50;
/** How long a run that was refused is left alone, ms: at first, and at last. */
const FIRST_RETRY_MS = 10_000;
const LAST_RETRY_MS = 600_000;
const LATENCIES = 1000;
/** Values gather at least so many times as long as it took to send the last ones. */
const GATHER_RATIO = 5;
/** What share of the requests that could be under way are, at most, while values gather for less than they might. */
const EARLY_SHARE = 1 / 2;

export interface WatchOptions extends Omit<SyncOptions, "onStart" | "onRun" | "signal" | "logdirs"> {
  readonly logdirs: readonly string[];
  /** How long a run's values gather before they are sent, ms at most; less where the destination is quick. */
  readonly flushIntervalMs: number;
  /** After how long without growth a run counts as finished, ms. */
  readonly idleTimeoutMs: number;
  /** How long bytes that are no record are read again before they count as damage, ms. */
  readonly patienceMs: number;
  /** Whether the system's events are used where they can be relied on. */
  readonly events: boolean;
  /** How often live runs are looked at where no event tells of them, ms. */
  readonly pollMs: number;
  /** How often everything is looked at, ms. */
  readonly rescanMs: number;
  /** Aborted: finish what is under way and return. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: WatchEvent) => void;
  /** Called once with an object that is kept up to date. */
  readonly onStart: (status: WatchStatus) => void;
}

/**
 * Follow the logdirs until the signal is aborted.
 *
 * @returns whether values were set aside that the destination refuses
 * @throws TraceletError only for what no waiting helps against
 */
export async function watch(options: WatchOptions): Promise<boolean> {
  const watching = new Watch(options);
  await watching.run();
  return watching.anySetAside;
}

class Watch implements WatchStatus {
  readonly latencies: number[] = [];
  sent = 0;
  bytesSent = 0;
  quarantined = 0;
  /** Also if it was only what is no value of an event file. */
  anySetAside = false;
  lastError: string | undefined;
  lookedAt: number = performance.now();
  readonly #clock = new AwakeClock(TICK_MS);
  /** When any file was last seen to have grown, by `#clock`. */
  #grewAt: number = this.#clock.now();
  readonly #options: WatchOptions;
  readonly #stored: Map<string, StoredRun[]>;
  readonly #queue: PQueue;
  readonly #gate: Gate;
  readonly #survey: RepeatedSurvey | undefined;
  readonly #progress: Progress = { runs: 0, totalRuns: 0, bytes: 0, totalBytes: 0, values: 0 };
  readonly #others: OtherRuns;
  /** All runs of the logdirs, those that are left out by name included, by logdir and name. */
  readonly #lying = new Map<string, DiscoveredRun>();
  /** TensorBoard's runs, by logdir and name. */
  readonly #found = new Map<string, DiscoveredRun>();
  /** The destination's, by logdir and name. */
  readonly #live = new Map<string, FollowedRun>();
  /** Which of the destination's runs each of TensorBoard's is a part of. */
  readonly #groupOf = new Map<string, FollowedRun>();
  /** Runs of one name may be copies of each other: one after the other. */
  readonly #sameName = new Map<string, Promise<void>>();
  readonly #saidLinks = new Set<string>();
  /** How many runs had a session at the last tick. */
  #openRuns = 0;
  #isComplete = false;
  #isEnding = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#stored = options.checkpoints.runs();
    const runs = () => [...this.#lying.values(), ...Array.from(this.#live.values(), ({ group }) => group)];
    this.#others = new OtherRuns(runs, this.#stored);
    this.#queue = new PQueue({ concurrency: options.concurrency });
    this.#gate = new Gate((event) => this.#say(event), options.signal);
    const { backend, checkpoints, rescanMs: intervalMs, signal, trustsState = false } = options;
    const surveying = { backend, checkpoints, stored: this.#stored, gate: this.#gate, intervalMs, signal };
    const told = { onChanged: () => this.#isOtherDestination(), onFailure: this.#fail };
    this.#survey = trustsState ? undefined : new RepeatedSurvey({ ...surveying, ...told });
  }

  async run(): Promise<void> {
    const { logdirs, events, pollMs, rescanMs, signal, onStart } = this.#options;
    onStart(this);
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    const ticks = setInterval(() => this.#tick(end), TICK_MS);
    const onNote = (note: WatchNote) => {
      const level = note.kind === "logdir-found" || note.kind === "readable" ? "info" : "warning";
      this.#say({ level, run: undefined, message: formatWatchNote(note), hint: undefined });
    };
    try {
      // Before that nothing counts as sent.
      await untilOver(this.#survey?.first() ?? Promise.resolve(), this.#options.over);
      await this.#recognize();
      for await (const changes of watchRuns({ logdirs, events, pollMs, rescanMs, signal: stop.signal, onNote })) {
        await this.#take(changes);
        if (this.#failure !== undefined) break;
      }
    } finally {
      this.#isEnding = true;
      clearInterval(ticks);
      signal.removeEventListener("abort", end);
      for (const live of this.#live.values()) clearTimeout(live.timer);
      this.#queue.clear();
      await untilOver(this.#queue.onIdle(), this.#options.over);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Tell which of the runs were sent before. @throws TraceletError `usage` if they were sent in another grouping */
  async #recognize(): Promise<void> {
    const { runs } = discoverAll(this.#options.logdirs.filter((logdir) => existsSync(logdir)));
    const all = this.#options.group === "none" ? runs : withoutLinksInside(runs);
    for (const run of all) this.#lying.set(keyOf(run), run);
    if (this.#stored.size === 0) return;
    const wanted = wantedRuns(all, this.#options);
    const moved = await followMoved({ wanted, all, stored: this.#stored });
    const { regrouped } = await groupAsBefore(wanted, this.#options, this.#stored);
    this.#options.checkpoints.rename(moved.map(({ run }) => run));
    this.#options.checkpoints.reopen(regrouped.flatMap(({ to }) => this.#stored.get(to) ?? []));
    for (const each of regrouped)
      this.#say({ level: "info", run: each.to, message: regroupedMessage(each), hint: undefined });
  }

  get runs(): number {
    return this.#live.size;
  }

  get liveRuns(): number {
    return this.#all(({ session }) => session !== undefined).length;
  }

  get bytesBehind(): number {
    return this.#all(({ dueSince }) => dueSince !== undefined).reduce((sum, live) => sum + live.bytesBehind, 0);
  }

  get oldestUnsentMs(): number {
    const oldest = this.#all(() => true).reduce((min, { dueSince = Infinity }) => Math.min(min, dueSince), Infinity);
    return oldest === Infinity ? 0 : performance.now() - oldest;
  }

  get quietSince(): number {
    return this.#clock.since(this.#grewAt);
  }

  get retries(): number {
    return this.#gate.failures;
  }

  get obstacle(): string | undefined {
    return this.#gate.obstacle;
  }

  get isCaughtUp(): boolean {
    // What is refused is not waited for.
    const isAtRest = ({ dueSince, isBusy, error }: FollowedRun) =>
      (dueSince === undefined || error !== undefined) && !isBusy;
    return this.#isComplete && [...this.#live.values()].every(isAtRest);
  }

  #all(which: (live: FollowedRun) => boolean): FollowedRun[] {
    return [...this.#live.values()].filter(which);
  }

  async #take({ changed, gone, complete }: RunChanges): Promise<void> {
    const own = this.#options.group === "none" ? changed : withoutLinksInside(changed);
    this.#sayLinks(changed, new Set(own));
    const wanted = wantedRuns(own, this.#options);
    if (this.#isComplete && wanted.length > 0) this.#grewAt = this.#clock.now();
    const isKnown = (run: DiscoveredRun) => {
      const live = this.#groupOf.get(keyOf(run));
      // Of a run that holds nothing yet it is not decided what it is a part of.
      return live !== undefined && (live.session !== undefined || this.#storedOf(live.group) !== undefined);
    };
    for (const run of own) this.#lying.set(keyOf(run), run);
    for (const run of gone) this.#lying.delete(keyOf(run));
    let grows = gone.length === 0 && wanted.every(isKnown);
    if (grows) for (const run of wanted) grows &&= !(await this.#isOther(run));
    for (const run of gone) this.#found.delete(keyOf(run));
    for (const run of wanted) this.#found.set(keyOf(run), run);
    if (grows) for (const run of wanted) this.#grew(run);
    else await this.#regroup(new Set(wanted.map(keyOf)));
    // What was there at the beginning has not grown just now.
    if (complete) this.#isComplete = true;
  }

  /** Whether a file that was sent has given way to one of another run, as where two have exchanged their names. */
  async #isOther({ name, logdir, files }: DiscoveredRun): Promise<boolean> {
    const live = this.#groupOf.get(keyOf({ logdir, name }));
    const member = live?.group.members.find(({ run }) => run.name === name);
    const stored = live && this.#storedOf(live.group);
    for (const [index, entry] of files.entries()) {
      const before = member?.run.files[index];
      if (before === undefined || before.name !== entry.name || before.inode === entry.inode) continue;
      const place = member?.path === "" ? entry.name : `${member?.path}/${entry.name}`;
      const sent = stored?.files.find((file) => file.name === place);
      if (sent !== undefined && !(await isSame(entry, sent))) return true;
    }
    return false;
  }

  /** Links that make no run are said once for each run that they lead to. */
  #sayLinks(changed: readonly DiscoveredRun[], own: ReadonlySet<DiscoveredRun>): void {
    for (const run of changed) {
      const { name, realPath } = run;
      if (own.has(run) || realPath === undefined || !this.#options.wantsRun(name)) continue;
      const message = `a link to ${displayPath(realPath)}, which is followed under its own name if that is wanted, too`;
      if (this.#saidLinks.has(`${name} ${message}`)) continue;
      this.#saidLinks.add(`${name} ${message}`);
      this.#say({ level: "info", run: name, message, hint: undefined });
    }
  }

  #grew(run: DiscoveredRun): void {
    const live = this.#groupOf.get(keyOf(run)) as FollowedRun;
    live.group = withRun(live.group, run);
    this.#isDue(live);
  }

  async #regroup(changed: ReadonlySet<string>): Promise<void> {
    if (this.#isComplete) await this.#followMoved();
    this.#others.changed();
    const groups = await groupRuns([...this.#found.values()], this.#options.group, this.#stored);
    const before = new Map(this.#live);
    this.#live.clear();
    this.#groupOf.clear();
    for (const group of groups) {
      const key = keyOf(group);
      const known = before.get(key);
      const live = known ?? new FollowedRun(group, this.#clock.now() - ageOfFiles(group));
      const isNew = known === undefined || known.group.members.length !== group.members.length;
      live.group = group;
      this.#live.set(key, live);
      for (const { run } of group.members) this.#groupOf.set(keyOf(run), live);
      const lacksRun = group.isDirectory && live.remoteId === undefined;
      if (isNew || lacksRun || group.members.some(({ run }) => changed.has(keyOf(run)))) this.#isDue(live);
      before.delete(key);
    }
    for (const live of before.values()) this.#leave(live);
  }

  /** A run whose directory was renamed goes on under its new name, once what is under way under the old one has ended. */
  async #followMoved(): Promise<void> {
    const all = withoutGone([...this.#found.values()]);
    this.#found.clear();
    for (const run of all) this.#found.set(keyOf(run), run);
    const moved = await followMoved({ wanted: all, all, stored: this.#stored });
    this.#options.checkpoints.rename(moved.map(({ run }) => run));
    for (const { from, run } of moved) {
      const before = this.#all(({ session, unfinished }) => (session ?? unfinished)?.isOf(run) ?? false);
      for (const live of before) {
        live.isGone = true;
        clearTimeout(live.timer);
        this.#live.delete(keyOf(live.group));
        const over = Promise.all([this.#sameName.get(from), this.#sameName.get(run.name)]).then(() =>
          this.#close(live),
        );
        this.#sameName.set(from, over);
        this.#sameName.set(run.name, over);
      }
    }
  }

  /** There is something to be looked at. */
  #isDue(live: FollowedRun): void {
    if (live.session === undefined && this.#isSent(live)) return;
    if (this.#isComplete) live.grewAt = this.#clock.now();
    live.dueSince ??= performance.now();
    live.isEmpty = false;
    // One that was refused has its own time.
    if (live.error === undefined) this.#schedule(live);
  }

  /** Whether all of it was sent, told at once and without opening a file: so it is of most of a large tree at a start. */
  #isSent(live: FollowedRun): boolean {
    const { group } = live;
    if (mayHaveFiles(group, this.#options.attachSource)) return false;
    return this.#settle(live, this.#unchanged(group));
  }

  /** Let it have its turn, not before `pauseMs`; what was arranged for a later time is brought forward. */
  #schedule(live: FollowedRun, pauseMs = 0): void {
    if (live.isBusy || live.isGone || this.#isEnding || this.#options.signal.aborted) return;
    clearTimeout(live.timer);
    const { concurrency, flushIntervalMs } = this.#options;
    const gatherRatio = Math.max(GATHER_RATIO, this.#openRuns / concurrency / EARLY_SHARE);
    const gatherMs = Math.min(flushIntervalMs, live.roundMs * gatherRatio);
    const wait = Math.max(pauseMs, live.lastRound + gatherMs - performance.now());
    const begin = () => {
      live.isBusy = true;
      this.#queue.add(() => this.#inTurn(live, () => this.#round(live))).catch(this.#fail);
    };
    if (wait <= 0) begin();
    else live.timer = setTimeout(begin, wait);
  }

  /** The destination is not as it was left: whatever was sent is looked at again. */
  #isOtherDestination(): void {
    for (const live of this.#live.values()) {
      if (live.session === undefined && this.#unchanged(live.group) !== undefined) continue;
      live.dueSince ??= performance.now();
      this.#schedule(live);
    }
  }

  readonly #fail = (error: unknown) => {
    this.#failure ??= { error };
  };

  /** Of runs of one name only one at a time is worked on. */
  async #inTurn(live: FollowedRun, work: () => Promise<void>): Promise<void> {
    const { name } = live.group;
    const previous = this.#sameName.get(name);
    const turn = (async () => {
      await previous;
      await work();
    })();
    const settled = turn.catch(() => {});
    this.#sameName.set(name, settled);
    try {
      await turn;
    } finally {
      if (this.#sameName.get(name) === settled) this.#sameName.delete(name);
    }
  }

  async #round(live: FollowedRun): Promise<void> {
    if (this.#options.signal.aborted) return;
    let again: number | undefined;
    let hasFailed = false;
    live.lastRound = performance.now();
    try {
      again = await this.#gate.pass(() => this.#advance(live));
      live.error = undefined;
      live.failures = 0;
    } catch (error) {
      hasFailed = true;
      const wasOpen = live.session?.remoteId !== undefined;
      this.#close(live);
      // Perhaps as a duplicate, and then it goes on in the run that counts.
      const isLost = wasOpen && error instanceof TraceletError && LOST.has(error.code);
      if (error instanceof SourceChanged || isLost) again = 0;
      else if (error instanceof TraceletError) again = this.#failed(live, error);
      else throw error;
      live.dueSince ??= performance.now();
    } finally {
      live.isBusy = false;
    }
    // A run that has failed is due as well, and has to wait.
    const pause = !hasFailed && live.dueSince !== undefined ? 0 : again;
    if (pause !== undefined) this.#schedule(live, pause);
  }

  /** Send what there is of a run. @returns when to look at it again though nothing happens to it, ms */
  async #advance(live: FollowedRun): Promise<number | undefined> {
    // While it waited for the destination.
    if (live.isGone) return undefined;
    const since = live.dueSince;
    live.dueSince = undefined;
    const before = live.session?.bytesRead ?? live.bytesRead;
    if (live.session !== undefined && (live.epoch !== this.#gate.epoch || !live.session.follow(live.group)))
      this.#close(live);
    if (live.session === undefined && !(await this.#open(live))) return undefined;
    const { session } = live;
    if (session === undefined) return undefined;
    try {
      const outcome = await session.advance();
      if (outcome === "interrupted") return undefined;
      const { waitsFor } = session;
      live.isEmpty = outcome === "empty";
      if (outcome !== "sent") {
        this.#close(live);
        return waitsFor;
      }
      await this.#leaveOther(live);
      live.roundMs = performance.now() - live.lastRound;
      if (since !== undefined) this.#latency(performance.now() - since);
      this.bytesSent += Math.max(0, session.bytesRead - before);
      const hasEnded = session.takeSessionEnd();
      if (waitsFor !== undefined) return waitsFor;
      if (hasEnded) await this.#finish(live);
      else if (this.#isIdle(live)) await this.#finishUnlessGrown(live);
      return undefined;
    } finally {
      this.#report(live);
    }
  }

  /** @returns false if there is nothing to be sent of it */
  async #open(live: FollowedRun): Promise<boolean> {
    const { group } = live;
    const unchanged = this.#unchanged(group);
    const hasAll = unchanged !== undefined && (await hasAllFiles(group, unchanged, this.#options.attachSource));
    if (hasAll && this.#settle(live, unchanged)) {
      rememberChoice(unchanged, this.#options);
      return false;
    }
    live.epoch = this.#gate.epoch;
    live.session = await openSession(group, this.#candidates(group.name), this.#context(live));
    return true;
  }

  /** What is remembered of a run, if all of it was sent as it is now. */
  #unchanged(group: RunGroup): StoredRun | undefined {
    const choice = chosenId(this.#options);
    const barrenOf = barrenIn(this.#options.checkpoints);
    return this.#candidates(group.name).find((stored) => isUnchanged(group, stored, choice, barrenOf));
  }

  /** Take over that all of a run was sent. @returns false if nothing of it was */
  #settle(live: FollowedRun, stored: StoredRun | undefined): boolean {
    if (stored?.remoteId === undefined) return false;
    if (stored.directory === undefined) this.#options.checkpoints.place([placed(stored, live.group)]);
    live.remoteId = stored.remoteId;
    live.bytesRead = live.group.files.reduce((sum, file) => sum + file.size, 0);
    return true;
  }

  #isIdle(live: FollowedRun): boolean {
    return this.#clock.now() - live.grewAt > this.#options.idleTimeoutMs;
  }

  /** Nothing was heard of it for long: perhaps because looks come late, or rarely. */
  async #finishUnlessGrown(live: FollowedRun): Promise<void> {
    if (await hasGrown(live.group)) live.grewAt = this.#clock.now();
    else await this.#finish(live);
  }

  /** The run is over, as far as anybody can tell. */
  async #finish(live: FollowedRun): Promise<void> {
    await live.session?.finish();
    this.#close(live);
    live.unfinished = undefined;
  }

  /** Another run has taken its place: that one is over. */
  async #leaveOther(live: FollowedRun): Promise<void> {
    const { unfinished, session } = live;
    live.unfinished = undefined;
    if (unfinished === undefined || unfinished.remoteId === session?.remoteId) return;
    await unfinished.leave().catch((error: unknown) => {
      // As a duplicate, perhaps.
      if (!(error instanceof TraceletError && error.code === "deleted")) throw error;
    });
  }

  #close(live: FollowedRun): void {
    this.#report(live);
    live.bytesRead = live.session?.bytesRead ?? live.bytesRead;
    if (live.session?.remoteId !== undefined) live.unfinished = live.session;
    live.session = undefined;
  }

  /** It is in the logdirs no longer. */
  #leave(live: FollowedRun): void {
    live.isGone = true;
    clearTimeout(live.timer);
    this.#queue
      .add(() => this.#inTurn(live, () => this.#gate.pass(() => this.#endGone(live))))
      .catch((error: unknown) => {
        if (!(error instanceof TraceletError)) return this.#fail(error);
        this.#failed(live, error);
        // The gate holds it back until that makes sense.
        if (error.endsAll && !this.#isEnding && !this.#options.signal.aborted) this.#leave(live);
      });
  }

  async #endGone(live: FollowedRun): Promise<void> {
    this.#close(live);
    // Its files may be back, or lie elsewhere, and then it goes on.
    const goesOn = [...this.#live.values()].some(
      ({ remoteId }) => remoteId !== undefined && remoteId === live.remoteId,
    );
    live.epoch = this.#gate.epoch;
    if (!goesOn) await live.unfinished?.leave();
    live.unfinished = undefined;
  }

  /** @returns when to try again, ms */
  #failed(live: FollowedRun, error: TraceletError): number {
    // The gate has said it, and holds everybody back.
    if (error.endsAll) return 0;
    if (error.code === "nested") return TICK_MS;
    live.failures++;
    if (live.error !== error.message)
      this.#say({ level: "error", run: live.group.name, message: error.message, hint: error.hint });
    live.error = error.message;
    return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (live.failures - 1));
  }

  /** What is due because time has passed. */
  #tick(end: () => void): void {
    if (this.#failure !== undefined) end();
    this.#survey?.tick();
    const now = performance.now();
    this.lookedAt = now;
    this.#openRuns = this.liveRuns;
    for (const live of this.#live.values()) {
      if (live.session === undefined || live.isBusy || live.dueSince !== undefined) continue;
      const isIdle = this.#isIdle(live) && live.session.waitsFor === undefined;
      const needsCare = now - live.caredAt > Math.max(CARE_MS, CARE_RATIO * live.careMs) && live.session.needsCare;
      if (!isIdle && !needsCare) continue;
      live.isBusy = true;
      const work = async () => {
        // Perhaps another destination than before: what it holds is looked at first.
        if (live.epoch !== this.#gate.epoch) live.dueSince ??= performance.now();
        else await (isIdle ? this.#finishUnlessGrown(live) : this.#care(live));
      };
      this.#queue
        .add(() => this.#inTurn(live, () => this.#gate.pass(work)))
        .catch((error: unknown) => {
          this.#close(live);
          if (!(error instanceof TraceletError)) return this.#fail(error);
          this.#failed(live, error);
          live.dueSince ??= performance.now();
        })
        .finally(() => {
          live.isBusy = false;
          if (live.dueSince !== undefined) this.#schedule(live, live.error === undefined ? 0 : FIRST_RETRY_MS);
        });
    }
  }

  async #care(live: FollowedRun): Promise<void> {
    const start = performance.now();
    await live.session?.care();
    live.caredAt = performance.now();
    live.careMs = live.caredAt - start;
    this.#report(live);
  }

  #report(live: FollowedRun): void {
    const { session, group } = live;
    if (session === undefined) return;
    const { tally, refused, notes, problems, losses } = session.takeNews();
    for (const { sent } of tally.kinds.values()) this.sent += sent;
    this.quarantined += refused;
    for (const { code, message } of notes) {
      const isLoss = code === "quarantined";
      this.anySetAside ||= isLoss;
      this.#say({ level: isLoss ? "error" : "info", run: group.name, message, hint: undefined });
    }
    for (const { path, code } of problems) {
      // Of a directory that was renamed while it was read.
      const isGone = live.isGone && code === "ENOENT";
      if (isGone || live.saidProblems.has(`${path} ${code}`)) continue;
      live.saidProblems.add(`${path} ${code}`);
      this.#say({ level: "error", run: group.name, message: `${path} could not be read: ${code}`, hint: undefined });
    }
    for (const { path, start, end, reason } of losses.slice(live.saidLosses)) {
      const message = `damage passed over in ${path}: ${end - start} bytes at ${start} (${reason})`;
      this.#say({ level: "warning", run: group.name, message, hint: undefined });
    }
    live.saidLosses = losses.length;
  }

  #latency(ms: number): void {
    this.latencies.push(ms);
    if (this.latencies.length > LATENCIES) this.latencies.shift();
  }

  #say(event: WatchEvent): void {
    if (event.level === "error") this.lastError = event.message;
    this.#options.onEvent(event);
  }

  #candidates(name: string): StoredRun[] {
    const known = this.#stored.get(name);
    if (known !== undefined) return known;
    const made: StoredRun[] = [];
    this.#stored.set(name, made);
    return made;
  }

  #storedOf({ name, files }: RunGroup): StoredRun | undefined {
    const names = new Set(files.map((file) => file.name));
    return this.#stored.get(name)?.find((stored) => stored.files.some((file) => names.has(file.name)));
  }

  #opened(group: RunGroup, id: string): void {
    const live = this.#live.get(keyOf(group));
    if (live !== undefined) live.remoteId = id;
  }

  #parentId(parent: RunGroup): string | undefined {
    const live = this.#live.get(keyOf(parent));
    if (live === undefined || live.remoteId !== undefined || live.isEmpty) return live?.remoteId;
    throw new TraceletError("nested", `${parent.name}, which it is to be nested in, is not at the destination yet`);
  }

  #context(live: FollowedRun): RunSyncContext {
    return {
      ...this.#options,
      isLive: true,
      others: this.#others,
      progress: this.#progress,
      parentId: async (parent) => this.#parentId(parent),
      onOpen: (group, id) => this.#opened(group, id),
      onReached: () => this.#gate.reached(live.epoch),
    };
  }
}

function keyOf({ logdir, name }: Pick<DiscoveredRun, "logdir" | "name">): string {
  return `${logdir}\0${name}`;
}

/** How long ago the files were last written, ms: a hint only, since clocks differ. */
function ageOfFiles({ files }: RunGroup): number {
  return ageOf(files.reduce((latest, { mtime }) => (mtime > latest ? mtime : latest), 0n));
}

/** Somebody else has done something to the run: who opens it again goes on. */
const LOST: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["deleted", "overtaken"]);
