/**
 * Watches a growing tree, and reports the runs that may have something new.
 *
 * Only a look at a directory counts. Events say when to look; a slow rescan covers whatever no event announced. No file is
 * opened, and nothing is written to the tree.
 */
import { type BigIntStats, existsSync } from "node:fs";
import {
  type DiscoveredRun,
  type Discovery,
  type DiscoveryProblem,
  displayPath,
  isRunFileName,
} from "../../reader/discover.ts";
import { discoverAll, sourcesOf } from "../source/logdirs.ts";
import { CHOKIDAR_LIMIT, DirectoryEvents } from "./directory-events.ts";
import { entryKey } from "./entry-key.ts";
import { type Attention, LookSchedule } from "./look-schedule.ts";
import type { SourceWatch, SourceWatchOptions } from "./source.ts";
import { type RunChanges, Subscription } from "./subscription.ts";
import { errorCode, isAbsence, WatchedDirectory } from "./watched-directory.ts";

export interface TreeWatchOptions extends SourceWatchOptions {
  /** Directories, or single event files; they need not exist yet. */
  readonly logdirs: readonly string[];
  /** The most directories that chokidar watches; larger trees have watches of our own. Default: `CHOKIDAR_LIMIT`. */
  readonly chokidarLimit?: number;
}

/**
 * The changes of all runs below the logdirs, for one reader: see `Subscription.changes`.
 *
 * @param options `signal` ends it
 */
export async function* watchRuns(
  options: TreeWatchOptions & { readonly signal: AbortSignal },
): AsyncGenerator<RunChanges, void, void> {
  const tree = new TreeWatch(options);
  try {
    yield* tree.subscribe().changes(options.signal);
  } finally {
    tree.close();
  }
}

/** A tree that is watched once for all readers of its changes, each of whom reads at its own pace. */
export class TreeWatch implements SourceWatch {
  readonly #options: TreeWatchOptions;
  readonly #events: DirectoryEvents | undefined;
  readonly #schedule: LookSchedule<WatchedDirectory>;
  readonly #roots: ReadonlyMap<WatchedDirectory, Root>;
  readonly #subscriptions: Subscription[] = [];
  /** Problems already reported. */
  readonly #problems = new Map<WatchedDirectory, DiscoveryProblem>();
  /** Directories whose last look failed, until the cause is known. */
  readonly #doubts = new Set<WatchedDirectory>();
  /** Directories found changed without an event, and when. */
  readonly #suspects = new Map<WatchedDirectory, number>();
  readonly #wake = () => {
    for (const subscription of this.#subscriptions) subscription.wake();
  };
  #first: Discovery | undefined;
  #isStarted = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: TreeWatchOptions) {
    const { pollMs, rescanMs, onNote, chokidarLimit = CHOKIDAR_LIMIT } = options;
    this.#options = options;
    this.#events = options.events
      ? new DirectoryEvents({ pollMs, chokidarLimit, onNote, onEvent: (...heard) => this.#heard(...heard) })
      : undefined;
    this.#schedule = new LookSchedule({
      pollMs,
      rescanMs,
      look: (directory, thorough) => this.#look(directory, thorough),
      attention: (directory) => this.#attention(directory),
      onAllSeen: this.#wake,
      onFailure: (error) => {
        this.#failure ??= { error };
        this.#wake();
      },
    });
    const roots = sourcesOf(options.logdirs).map(
      ({ path: logdir, files }) => new WatchedDirectory(logdir, "", logdir, undefined, false, files),
    );
    this.#roots = new Map(roots.map((root) => [root, { isMissing: false }]));
  }

  /** A new reader. One added after `start` misses what earlier readers have already taken. */
  subscribe(): Subscription {
    const subscription = new Subscription(this);
    this.#subscriptions.push(subscription);
    return subscription;
  }

  async discover(): Promise<Discovery> {
    const now = () => discoverAll(this.#options.logdirs.filter((logdir) => existsSync(logdir)));
    if (this.isComplete) return now();
    // Later changes arrive through the subscriptions.
    return (this.#first ??= now());
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    for (const root of this.#roots.keys()) this.#schedule.add(root);
  }

  get isComplete(): boolean {
    return this.#isStarted && !this.#schedule.hasUnseen;
  }

  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  close(): void {
    this.#isStarted = true;
    this.#schedule.close();
    for (const root of this.#roots.keys()) this.#drop(root);
  }

  #heard(directory: WatchedDirectory, type: "rename" | "change", entry: string | undefined): void {
    directory.turn.heardAt = performance.now();
    const child = entry === undefined ? undefined : directory.children.get(entry);
    const isItself = entry === entryKey(directory.path);
    for (const concerned of [child, isItself ? directory : undefined]) {
      if (concerned === undefined) continue;
      concerned.watchIsStale ||= type === "rename";
      this.#schedule.hint(concerned, true);
    }
    if (type === "rename" || entry === undefined) this.#schedule.hint(directory, true);
    else if (isRunFileName(entry)) this.#schedule.hint(directory, false);
  }

  #attention(directory: WatchedDirectory): Attention {
    // A watch on the logdir does not report that a directory above it was renamed.
    if (directory.parent === undefined || this.#suspects.has(directory)) return "always";
    return directory.watch === undefined || directory.hasLinks ? "polled" : "events";
  }

  async #look(directory: WatchedDirectory, thorough: boolean): Promise<void> {
    const lastRun = directory.run;
    let isFirst = false;
    let sight: Awaited<ReturnType<WatchedDirectory["look"]>>;
    try {
      sight = await directory.look(thorough, async (stats: BigIntStats, isNew: boolean) => {
        isFirst = isNew;
        const lacksWatch = directory.watch === undefined && thorough;
        if (isNew || lacksWatch || directory.watchIsStale) await this.#events?.open(directory, stats.dev);
        if (isNew) this.#schedule.changed([directory], distanceTo(stats.mtimeMs));
      });
    } catch (error) {
      const code = errorCode(error);
      if (!directory.attached) return;
      if (isAbsence(code)) this.#absent(directory);
      else this.#unreadable(directory, code);
      return;
    }
    this.#doubts.delete(directory);
    for (const vanished of sight.vanished) this.#drop(vanished);
    if (!directory.attached) return;
    this.#events?.listed(directory);
    for (const appeared of sight.appeared) this.#schedule.add(appeared);
    for (const moved of sight.moved) this.#schedule.hint(moved, true);
    this.#noteProblem(directory, directory.problem);
    this.#noteFound(directory);
    if (sight.runChanged) {
      if (directory.run !== undefined) this.#tell(directory, directory.run, false);
      else if (lastRun !== undefined) this.#tell(directory, lastRun, true);
    }
    this.#learn(directory, isFirst, sight.runChanged || sight.appeared.length > 0);
  }

  /** Nothing exists at its path. */
  #absent(directory: WatchedDirectory): void {
    if (directory.parent !== undefined) {
      const key = entryKey(directory.path);
      if (directory.parent.children.get(key) === directory) directory.parent.children.delete(key);
      this.#drop(directory);
      this.#schedule.hint(directory.parent, true);
      return;
    }
    const lastRun = directory.run;
    for (const child of directory.forget()) this.#drop(child);
    this.#events?.close(directory);
    if (lastRun !== undefined) this.#tell(directory, lastRun, true);
    this.#noteProblem(directory, undefined);
    const root = this.#roots.get(directory);
    if (root === undefined || root.isMissing) return;
    root.isMissing = true;
    this.#options.onNote({ kind: "logdir-missing", logdir: directory.logdir });
  }

  /** It cannot be looked at. If an ancestor is the cause, only the ancestor is reported. */
  #unreadable(directory: WatchedDirectory, code: string): void {
    const { parent } = directory;
    const isSettled = this.#problems.has(directory) || (this.#doubts.has(directory) && !this.#hasDoubt(parent));
    if (parent === undefined || isSettled) {
      this.#doubts.delete(directory);
      return this.#noteProblem(directory, { path: displayPath(directory.path), code });
    }
    this.#doubts.add(directory);
    this.#schedule.hint(parent, true);
    this.#schedule.hint(directory, true);
  }

  #hasDoubt(directory: WatchedDirectory | undefined): boolean {
    return directory !== undefined && this.#doubts.has(directory);
  }

  /** It is no longer part of the tree, nor is anything in it. */
  #drop(directory: WatchedDirectory): void {
    directory.attached = false;
    this.#events?.close(directory);
    this.#schedule.remove(directory);
    this.#problems.delete(directory);
    this.#suspects.delete(directory);
    this.#doubts.delete(directory);
    for (const child of directory.children.values()) this.#drop(child);
    if (directory.run !== undefined) this.#tell(directory, directory.run, true);
  }

  #tell(directory: WatchedDirectory, run: DiscoveredRun, isGone: boolean): void {
    // Two logdirs can contain the same directory, and a name that is not UTF-8 is not a string.
    const { path: fsPath, logdir } = directory;
    const name = typeof fsPath === "string" ? fsPath : `\0${fsPath.toString("latin1")}`;
    for (const subscription of this.#subscriptions) subscription.tell(`${logdir}\0${name}`, run, isGone);
  }

  #noteFound(directory: WatchedDirectory): void {
    const root = this.#roots.get(directory);
    if (!root?.isMissing) return;
    root.isMissing = false;
    this.#options.onNote({ kind: "logdir-found", logdir: directory.logdir });
  }

  /** Report what cannot be read, once; nothing in an unreadable directory is reported as well. */
  #noteProblem(directory: WatchedDirectory, problem: DiscoveryProblem | undefined): void {
    const noted = this.#problems.get(directory);
    if (noted?.path === problem?.path && noted?.code === problem?.code) return;
    if (noted !== undefined) {
      this.#problems.delete(directory);
      if (problem === undefined) this.#options.onNote({ kind: "readable", path: noted.path });
    }
    if (problem === undefined || ancestorsOf(directory).some((ancestor) => this.#problems.has(ancestor))) return;
    this.#problems.set(directory, problem);
    this.#options.onNote({ kind: "unreadable", ...problem });
  }

  /** Learn from a look how often to look from now on, and whether events can be relied on. */
  #learn(directory: WatchedDirectory, isFirst: boolean, hasChanged: boolean): void {
    const { turn, run } = directory;
    if (isFirst) {
      const newest = run?.files.reduce((latest, { mtime }) => (mtime > latest ? mtime : latest), 0n);
      if (newest)
        this.#schedule.changed([directory, ...ancestorsOf(directory)], distanceTo(Number(newest / 1_000_000n)));
      return;
    }
    if (hasChanged) this.#schedule.changed([directory, ...ancestorsOf(directory)], 0);
    const suspectedSince = this.#suspects.get(directory);
    this.#suspects.delete(directory);
    if (directory.watch === undefined || directory.hasLinks) return;
    if (suspectedSince !== undefined && turn.heardAt < suspectedSince) {
      this.#events?.missed(directory);
    } else if (hasChanged && turn.heardAt < turn.startedAt) {
      // The event may still be on its way: the next look decides.
      this.#suspects.set(directory, turn.startedAt);
    }
  }
}

interface Root {
  isMissing: boolean;
}

function ancestorsOf(directory: WatchedDirectory): WatchedDirectory[] {
  const ancestors: WatchedDirectory[] = [];
  for (let at = directory.parent; at !== undefined; at = at.parent) ancestors.push(at);
  return ancestors;
}

/** Distance of a time from now, in ms; clocks differ, so the future counts the same. It only affects how often to look. */
function distanceTo(mtimeMs: number | bigint): number {
  return Math.abs(Date.now() - Number(mtimeMs));
}
