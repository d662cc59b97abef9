/** Which runs of a destination a growing tree makes, and which of them may have something new. */
import path from "node:path";
import { type DiscoveredRun, type Discovery, displayPath } from "../../reader/discover.ts";
import { ageOf } from "../../reader/file-age.ts";
import { isSame } from "../run/match.ts";
import { OtherRuns } from "../run/other-runs.ts";
import { BegunSince, earlierText, goingOnText, othersText } from "../source/begun.ts";
import { holdsValues } from "../source/folds.ts";
import { groupRuns, withRun } from "../source/groups.ts";
import { withoutLinksInside } from "../source/linked-runs.ts";
import type { RunGroup } from "../source/run-group.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { RunChanges } from "../tree/subscription.ts";
import type { AwakeClock } from "./awake-clock.ts";
import type { FollowReport } from "./follow-report.ts";
import { FollowedRun } from "./followed-run.ts";
import { followMoved, withoutGone } from "./moved-runs.ts";
import { type SyncOptions, withoutKinds } from "./once.ts";
import { apartMessage, groupAsBefore, regroupedMessage } from "./regrouping.ts";
import type { RunRecorder } from "./run-recorder.ts";

export interface FollowedRunsOptions {
  readonly choice: Pick<
    SyncOptions,
    | "checkpoints"
    | "logdirs"
    | "group"
    | "since"
    | "isOfOthers"
    | "isOwn"
    | "recordings"
    | "runName"
    | "regroups"
    | "transform"
    | "wantsRun"
  >;
  /** What was sent before, by name. */
  readonly stored: Map<string, StoredRun[]>;
  readonly clock: AwakeClock;
  readonly report: FollowReport;
  /** Told which runs grow. */
  readonly recorder: RunRecorder | undefined;
  /** There may be something new of a run. */
  readonly onDue: (run: FollowedRun) => void;
  /** A run is in the logdirs no longer. */
  readonly onGone: (run: FollowedRun) => void;
  /** A run whose directory was renamed goes on under its new name; it is that no longer. */
  readonly onRenamed: (run: FollowedRun, from: string, to: string) => void;
}

export class FollowedRuns {
  /** The other runs of the logdirs. */
  readonly others: OtherRuns;
  /** Whether all that was there at the beginning is known. */
  isComplete = false;
  /** When any file was last seen to have grown, by the clock; when this began, before any has. */
  grewAt: number;
  readonly #options: FollowedRunsOptions;
  /** All runs of the logdirs, those that are left out by name included, by logdir and name. */
  readonly #lying = new Map<string, DiscoveredRun>();
  /** TensorBoard's runs, by logdir and name. */
  readonly #found = new Map<string, DiscoveredRun>();
  /** The destination's, by logdir and name. */
  readonly #runs = new Map<string, FollowedRun>();
  /** Which of the destination's runs each of TensorBoard's is a part of. */
  readonly #runOf = new Map<string, FollowedRun>();
  /** Of those that were not asked for, the ones that hold values, by logdir and name: how many files each has. */
  readonly #excluded = new Map<string, number>();
  /** What was found before all is known, where runs depend on what else there is: by logdir and name. */
  readonly #early = new Set<string>();
  readonly #saidLinks = new Set<string>();
  readonly #begun: BegunSince | undefined;
  readonly #saidGoingOn = new Set<string>();
  /** How many of these files were said to be left out. */
  readonly #saidFiles = new Map<ReadonlySet<string>, number>();

  constructor(options: FollowedRunsOptions) {
    this.#options = options;
    this.grewAt = options.clock.now();
    this.#begun = options.choice.since === undefined ? undefined : new BegunSince(options.choice);
    const all = () => [...this.#lying.values(), ...Array.from(this.#runs.values(), ({ group }) => group)];
    this.others = new OtherRuns(all, options.stored);
  }

  get size(): number {
    return this.#runs.size;
  }

  values(): IterableIterator<FollowedRun> {
    return this.#runs.values();
  }

  of(group: RunGroup): FollowedRun | undefined {
    return this.#runs.get(keyOf(group));
  }

  /** Find out which of the runs were sent before. @throws TraceletError `usage` if they were sent in another grouping */
  async recognize({ runs }: Discovery): Promise<void> {
    const { choice, stored, report } = this.#options;
    const all = choice.group === "none" ? runs : withoutLinksInside(runs);
    for (const run of all) this.#lying.set(keyOf(run), run);
    if (stored.size === 0) return;
    const wanted = await this.#wanted(all);
    const moved = await followMoved({ wanted, all, stored });
    const { groups, regrouped } = await groupAsBefore(wanted, choice, stored);
    choice.checkpoints.rename(moved.map(({ run }) => run));
    choice.checkpoints.reopen(regrouped.flatMap(({ to }) => stored.get(to) ?? []));
    for (const each of regrouped) report.say("info", each.to, regroupedMessage(each));
    for (const group of groups) {
      const apart = apartMessage(group);
      if (apart !== undefined) report.say("info", group.name, apart);
    }
  }

  /** Take over what has changed in the tree. */
  async take({ changed, gone, complete }: RunChanges): Promise<void> {
    const { choice, clock, recorder } = this.#options;
    const own = choice.group === "none" ? changed : withoutLinksInside(changed);
    this.#sayLinks(changed, new Set(own));
    const wanted = await this.#wanted(own);
    this.#sayLeftOut(complete);
    const isKnown = (run: DiscoveredRun) => {
      const known = this.#runOf.get(keyOf(run));
      if (known === undefined) return this.#excluded.get(keyOf(run)) === run.files.length;
      // What a run that holds nothing yet is a part of is not decided.
      if (choice.group === "parent") return this.#wasSent(run, known);
      return known.session !== undefined || this.#storedOf(known.group) !== undefined;
    };
    for (const run of own) this.#lying.set(keyOf(run), run);
    for (const run of gone) this.#lying.delete(keyOf(run));
    let grows = gone.length === 0 && wanted.every(isKnown);
    if (grows) for (const run of wanted) grows &&= !(await this.#isOther(run));
    for (const run of gone) this.#found.delete(keyOf(run));
    for (const run of wanted) this.#found.set(keyOf(run), run);
    const all = new Set([...this.#early, ...wanted.map(keyOf)]);
    if (choice.group === "parent" && !complete && !this.isComplete) for (const key of all) this.#early.add(key);
    else if (grows && this.#early.size === 0) for (const run of wanted) await this.#grew(run);
    else await this.#regroup(all);
    if (complete) this.#early.clear();
    if (this.isComplete) {
      const grown = new Set(wanted.flatMap((run) => this.#runOf.get(keyOf(run)) ?? []));
      if (grown.size > 0) this.grewAt = clock.now();
      for (const { group } of grown) recorder?.grew(group);
    }
    // What was there at the beginning has not grown just now.
    if (complete) this.isComplete = true;
  }

  async #wanted(runs: readonly DiscoveredRun[]): Promise<readonly DiscoveredRun[]> {
    const { transform, wantsRun } = this.#options.choice;
    const whole = withoutKinds(runs, transform);
    return (await this.#begun?.of(whole, wantsRun)) ?? whole;
  }

  /** Those that were there at the beginning are said together. @param isComplete whether all that was there is known */
  #sayLeftOut(isComplete: boolean): void {
    if (this.#begun === undefined || !(isComplete || this.isComplete)) return;
    for (const file of this.#begun.goingOn) {
      if (this.#saidGoingOn.has(file)) continue;
      this.#saidGoingOn.add(file);
      this.#options.report.say("warning", undefined, goingOnText(file));
    }
    for (const [files, text] of [
      [this.#begun.earlier, earlierText],
      [this.#begun.others, othersText],
    ] as const) {
      const said = this.#saidFiles.get(files) ?? 0;
      if (files.size === said) continue;
      this.#options.report.say("info", undefined, text(files.size - said, said === 0 ? "" : " more"));
      this.#saidFiles.set(files, files.size);
    }
  }

  /** Whether a file that was sent has given way to one of another run, as where two have exchanged their names. */
  async #isOther({ name, logdir, files }: DiscoveredRun): Promise<boolean> {
    const followed = this.#runOf.get(keyOf({ logdir, name }));
    const member = followed?.group.members.find(({ run }) => run.name === name && run.logdir === logdir);
    const stored = followed && this.#storedOf(followed.group);
    for (const [index, entry] of files.entries()) {
      const before = member?.run.files[index];
      if (before === undefined || before.name !== entry.name || entry.store.isSameFile(before, entry)) continue;
      const place = member?.path === "" ? entry.name : `${member?.path}/${entry.name}`;
      const sent = stored?.files.find((file) => file.name === place);
      if (sent !== undefined && !(await isSame(entry, sent))) return true;
    }
    return false;
  }

  /** Links that make no run are said once for each run that they lead to. */
  #sayLinks(changed: readonly DiscoveredRun[], own: ReadonlySet<DiscoveredRun>): void {
    const { choice, report } = this.#options;
    for (const run of changed) {
      const { name, realPath } = run;
      if (own.has(run) || realPath === undefined || !choice.wantsRun(name)) continue;
      const message = `a link to ${displayPath(realPath)}, which is followed under its own name if that is wanted, too`;
      if (this.#saidLinks.has(`${name} ${message}`)) continue;
      this.#saidLinks.add(`${name} ${message}`);
      report.say("info", name, message);
    }
  }

  /** Take over what was recorded beside a run. @returns whether there is more of it than before */
  async takeRecorded(followed: FollowedRun): Promise<boolean> {
    const { recordings } = this.#options.choice;
    if (recordings === undefined) return false;
    for (;;) {
      const before = followed.group;
      const joined = await recordings.joinOne(before);
      // Its own files may have grown meanwhile.
      if (followed.group !== before) continue;
      followed.group = joined;
      return bytesIn(joined) !== bytesIn(before);
    }
  }

  async #grew(run: DiscoveredRun): Promise<void> {
    const followed = this.#runOf.get(keyOf(run));
    // It was not asked for.
    if (followed === undefined) return;
    followed.group = withRun(followed.group, run);
    // Otherwise it tells of more.
    if (this.#options.recorder === undefined) await this.takeRecorded(followed);
    this.#options.onDue(followed);
  }

  async #regroup(changed: ReadonlySet<string>): Promise<void> {
    const { choice, stored, clock, onDue, onGone } = this.#options;
    if (this.isComplete) await this.#followMoved(changed);
    this.others.changed();
    const { groups: bare, excluded } = await groupRuns([...this.#found.values()], choice, stored);
    await this.#exclude(excluded.flatMap(({ members }) => members.map(({ run }) => run)));
    const groups = (await choice.recordings?.join(bare)) ?? bare;
    const before = new Map(this.#runs);
    this.#runs.clear();
    this.#runOf.clear();
    for (const group of groups) {
      const key = keyOf(group);
      const known = before.get(key);
      const followed = known ?? new FollowedRun(group, clock.now() - untouchedFor(group));
      const isNew = known === undefined || known.group.members.length !== group.members.length;
      followed.group = group;
      this.#runs.set(key, followed);
      for (const { run } of group.members) this.#runOf.set(keyOf(run), followed);
      const lacksRun = group.isDirectory && followed.remoteId === undefined;
      if (isNew || lacksRun || group.members.some(({ run }) => changed.has(keyOf(run)))) onDue(followed);
      before.delete(key);
    }
    for (const followed of before.values()) onGone(followed);
  }

  /** What a run that holds nothing yet is a part of is not decided: it is looked at again when it has grown. */
  async #exclude(runs: readonly DiscoveredRun[]): Promise<void> {
    const before = new Map(this.#excluded);
    this.#excluded.clear();
    for (const run of runs) {
      const [key, number] = [keyOf(run), run.files.length];
      if (before.get(key) === number || (await holdsValues(run))) this.#excluded.set(key, number);
    }
  }

  /** @param changed what was looked at just now; another one may have got the same file names since it was looked at */
  async #followMoved(changed: ReadonlySet<string>): Promise<void> {
    const { choice, stored, onRenamed } = this.#options;
    const all = await withoutGone([...this.#found.values()]);
    this.#found.clear();
    for (const run of all) this.#found.set(keyOf(run), run);
    const names = [...changed].flatMap((key) => this.#found.get(key)?.files.map(({ name }) => name) ?? []);
    const moved = await followMoved({ wanted: all, all, stored, unsure: new Set(names) });
    choice.checkpoints.rename(moved.map(({ run }) => run));
    for (const { from, run } of moved) {
      const before = [...this.#runs.values()].filter(({ session, unfinished }) => (session ?? unfinished)?.isOf(run));
      for (const followed of before) {
        this.#runs.delete(keyOf(followed.group));
        onRenamed(followed, from, run.name);
      }
    }
  }

  /** Whether anything of one of TensorBoard's runs was sent as a part of this one. */
  #wasSent({ name, logdir, files }: DiscoveredRun, { group }: FollowedRun): boolean {
    const member = group.members.find(({ run }) => run.name === name && run.logdir === logdir);
    if (member === undefined) return false;
    const places = new Set(files.map((file) => path.posix.join(member.path, file.name)));
    return (
      this.#options.stored.get(group.name)?.some((stored) => stored.files.some((file) => places.has(file.name))) ??
      false
    );
  }

  #storedOf({ name, files }: RunGroup): StoredRun | undefined {
    const names = new Set(files.map((file) => file.name));
    return this.#options.stored.get(name)?.find((stored) => stored.files.some((file) => names.has(file.name)));
  }
}

function keyOf({ logdir, name }: Pick<DiscoveredRun, "logdir" | "name">): string {
  return `${logdir}\0${name}`;
}

function bytesIn({ files }: RunGroup): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** For how long none of the files was written, ms: a hint only, since clocks differ. */
function untouchedFor({ files }: RunGroup): number {
  return ageOf(files.reduce((latest, { mtime }) => (mtime > latest ? mtime : latest), 0n));
}
