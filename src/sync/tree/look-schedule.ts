/**
 * Decides when each directory of a tree is looked at.
 *
 * Soon after a hint; at the poll interval while the directory is live and no event would announce a change; ever more rarely
 * once it has gone quiet; and thoroughly once per rescan interval in any case. All times are in ms of the monotonic clock.
 */

/** How changes in a directory become known between rescans. */
export type Attention =
  /** Events announce them. */
  | "events"
  /** It is polled: at the poll interval while it is live, more rarely later. */
  | "polled"
  /** It is polled at the poll interval, live or not. */
  | "always";

/** One directory's place in the schedule. */
export class Turn {
  state: "resting" | "held" | "queued" | "looking" = "resting";
  /** Whether another look is wanted, even while one is under way. */
  wanted = false;
  thorough = false;
  looked = false;
  /** When it last changed, as far as known. */
  changedAt: number = Number.NEGATIVE_INFINITY;
  /** When its last event came. */
  heardAt: number = Number.NEGATIVE_INFINITY;
  startedAt: number = Number.NEGATIVE_INFINITY;
  endedAt: number = Number.NEGATIVE_INFINITY;
  nextLook: number = Number.POSITIVE_INFINITY;
  nextRescan: number = Number.POSITIVE_INFINITY;
}

/** What the schedule needs to know about a directory. */
export interface Scheduled {
  readonly turn: Turn;
  /** How many files a look has to `stat`. */
  readonly cost: number;
}

export interface ScheduleOptions<D extends Scheduled> {
  readonly pollMs: number;
  readonly rescanMs: number;
  /** Never called for a directory while an earlier call for it is pending. */
  readonly look: (directory: D, thorough: boolean) => Promise<void>;
  readonly attention: (directory: D) => Attention;
  /** Called once every directory has been looked at. */
  readonly onAllSeen: () => void;
  /** Called with whatever `look` throws. */
  readonly onFailure: (error: unknown) => void;
}

export class LookSchedule<D extends Scheduled> {
  readonly #options: ScheduleOptions<D>;
  readonly #all = new Set<D>();
  /** Waiting for a look; those that may be live come before those that are only due. */
  readonly #urgent = new Set<D>();
  readonly #routine = new Set<D>();
  /** Hinted at too soon after their last look. They wait out the pause. */
  readonly #held = new Set<D>();
  readonly #ticks: NodeJS.Timeout;
  readonly #tickMs: number;
  #release: NodeJS.Timeout | undefined;
  #workers = 0;
  #unseen = 0;
  #looked = 0;
  /** What the poll interval is multiplied by, so that polling all live directories stays cheap. */
  #stretch = 1;
  #closed = false;

  constructor(options: ScheduleOptions<D>) {
    this.#options = options;
    this.#tickMs = Math.min(options.pollMs, options.rescanMs, 1000);
    this.#ticks = setInterval(() => this.#tick(), this.#tickMs);
  }

  /** Whether any directory has not been looked at yet. */
  get hasUnseen(): boolean {
    return this.#unseen > 0;
  }

  /** Add a new directory; it is looked at as soon as possible. */
  add(directory: D): void {
    this.#all.add(directory);
    this.#unseen++;
    directory.turn.thorough = true;
    this.#enqueue(directory, this.#routine);
  }

  remove(directory: D): void {
    if (!this.#all.delete(directory)) return;
    if (!directory.turn.looked) this.#seen();
    for (const queue of [this.#urgent, this.#routine, this.#held]) queue.delete(directory);
  }

  /** It may have changed. */
  hint(directory: D, thorough: boolean): void {
    const { turn } = directory;
    if (!this.#all.has(directory)) return;
    turn.wanted = true;
    turn.thorough ||= thorough;
    if (turn.state === "resting") this.#resume(directory);
    else if (this.#routine.delete(directory)) this.#urgent.add(directory);
  }

  /** A directory changed, `age` ms ago, so its ancestors are likely to be live as well. @param line it and its ancestors */
  changed(line: Iterable<D>, age: number): void {
    const now = performance.now();
    for (const { turn } of line) {
      turn.changedAt = Math.max(turn.changedAt, now - age);
      if (turn.nextLook !== Number.POSITIVE_INFINITY && age < LIVE_MS) {
        turn.nextLook = Math.min(turn.nextLook, now + this.#options.pollMs);
      }
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ticks);
    clearTimeout(this.#release);
    for (const queue of [this.#all, this.#urgent, this.#routine, this.#held]) queue.clear();
  }

  #seen(): void {
    this.#unseen--;
    if (this.#unseen === 0) this.#options.onAllSeen();
  }

  #tick(): void {
    const soon = performance.now() + this.#tickMs / 2;
    let live = 0;
    for (const directory of this.#all) {
      const { turn } = directory;
      const isPolled = turn.nextLook !== Number.POSITIVE_INFINITY;
      if (isPolled && soon - turn.changedAt < LIVE_MS) live += 1 + directory.cost;
      if (turn.state !== "resting") continue;
      if (turn.nextRescan <= soon) {
        turn.nextRescan = Number.POSITIVE_INFINITY;
        // A file system that reports events also keeps directory times; others may not.
        turn.thorough = isPolled;
        this.#enqueue(directory, this.#routine);
      } else if (turn.nextLook <= soon) {
        this.#enqueue(directory, this.#urgent);
      }
    }
    this.#stretch = Math.max(1, live / ((MAX_REQUESTS_PER_S * this.#options.pollMs) / 1000));
  }

  #enqueue(directory: D, queue: Set<D>): void {
    directory.turn.state = "queued";
    queue.add(directory);
    if (this.#workers < WORKERS) void this.#work();
  }

  /** Look again, but not before a pause: a writer may flush a thousand times a second. */
  #resume(directory: D): void {
    const { turn } = directory;
    const pause = Math.max(PAUSE_MS, 4 * (turn.endedAt - turn.startedAt));
    if (!turn.looked || performance.now() >= turn.endedAt + pause) {
      this.#enqueue(directory, this.#urgent);
      return;
    }
    turn.state = "held";
    this.#held.add(directory);
    this.#release ??= setTimeout(() => {
      this.#release = undefined;
      const held = [...this.#held];
      this.#held.clear();
      for (const one of held) this.#resume(one);
    }, PAUSE_MS);
  }

  async #work(): Promise<void> {
    this.#workers++;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      try {
        await this.#look(next);
      } catch (error) {
        this.#options.onFailure(error);
      }
    }
    this.#workers--;
  }

  #next(): D | undefined {
    for (const queue of [this.#urgent, this.#routine]) {
      for (const directory of queue) {
        queue.delete(directory);
        return directory;
      }
    }
    return undefined;
  }

  async #look(directory: D): Promise<void> {
    const { turn } = directory;
    const { pollMs, rescanMs } = this.#options;
    const { thorough } = turn;
    turn.state = "looking";
    turn.wanted = false;
    turn.thorough = false;
    const startedAt = performance.now();
    await this.#options.look(directory, thorough);
    if (this.#closed || !this.#all.has(directory)) return;
    const now = performance.now();
    [turn.startedAt, turn.endedAt] = [startedAt, now];
    if (!turn.looked) {
      turn.looked = true;
      this.#seen();
      // Spread the rescans of directories that were first seen together.
      turn.nextRescan = now + rescanMs * ((++this.#looked * 0.618) % 1);
    } else if (thorough || turn.nextRescan === Number.POSITIVE_INFINITY) turn.nextRescan = now + rescanMs;
    const attention = this.#options.attention(directory);
    const least = Math.max(pollMs * this.#stretch, directory.cost * MS_PER_FILE);
    const quiet = now - turn.changedAt - LIVE_MS;
    if (attention === "events") turn.nextLook = Number.POSITIVE_INFINITY;
    else if (attention === "always") turn.nextLook = now + Math.max(pollMs, directory.cost * MS_PER_FILE);
    else turn.nextLook = now + Math.max(least, Math.min(rescanMs, quiet / 10));
    turn.state = "resting";
    if (turn.wanted) this.#resume(directory);
  }
}

/** Two of Node's four threads for files; the others remain for reading what has changed. */
const WORKERS = 2;
/** The shortest pause between two looks at one directory, in ms. */
const PAUSE_MS = 40;
/** How long a directory counts as live after its last change, in ms: longer than writers usually wait between flushes. */
const LIVE_MS = 600_000;
/** A directory of a thousand files is polled at most every five seconds. */
const MS_PER_FILE = 5;
/** Beyond this the poll interval gets longer; it amounts to about 4 % of a core. */
const MAX_REQUESTS_PER_S = 1000;
