/**
 * When each directory of a tree is looked at.
 *
 * A directory is looked at soon after a hint, again and again at the poll interval while it is live and no event would
 * tell of it, ever more rarely once it has gone quiet, and thoroughly once in every rescan interval, whatever it is. All
 * times are of the monotonic clock, in ms.
 */

/** How a directory's changes come to be known, beside the rescan. */
export type Attention =
  /** Events tell. */
  | "events"
  /** It is looked at as often as it is live. */
  | "polled"
  /** It is always looked at at the poll interval. */
  | "always";

/** Where one directory stands in the schedule. */
export class Turn {
  state: "resting" | "held" | "queued" | "looking" = "resting";
  /** Whether a look at it is wanted, also while one is going on. */
  wanted = false;
  thorough = false;
  looked = false;
  /** When it last changed, as far as is known. */
  changedAt: number = Number.NEGATIVE_INFINITY;
  /** When an event last told of it. */
  heardAt: number = Number.NEGATIVE_INFINITY;
  startedAt: number = Number.NEGATIVE_INFINITY;
  endedAt: number = Number.NEGATIVE_INFINITY;
  nextLook: number = Number.POSITIVE_INFINITY;
  nextRescan: number = Number.POSITIVE_INFINITY;
}

/** What the schedule has to know of a directory. */
export interface Scheduled {
  readonly turn: Turn;
  /** How many files a look at it asks for. */
  readonly cost: number;
}

export interface ScheduleOptions<D extends Scheduled> {
  readonly pollMs: number;
  readonly rescanMs: number;
  /** Never called twice at a time for one directory. */
  readonly look: (directory: D, thorough: boolean) => Promise<void>;
  readonly attention: (directory: D) => Attention;
  /** Called when there is no directory left that was never looked at. */
  readonly onAllSeen: () => void;
  /** Called with whatever `look` has thrown. */
  readonly onFailure: (error: unknown) => void;
}

export class LookSchedule<D extends Scheduled> {
  readonly #options: ScheduleOptions<D>;
  readonly #all = new Set<D>();
  /** Waiting to be looked at, the ones that may be live before the ones that are only due. */
  readonly #urgent = new Set<D>();
  readonly #routine = new Set<D>();
  /** Hinted at too soon after their last look. */
  readonly #held = new Set<D>();
  readonly #ticks: NodeJS.Timeout;
  readonly #tickMs: number;
  #release: NodeJS.Timeout | undefined;
  #workers = 0;
  #unseen = 0;
  #looked = 0;
  /** How many times the poll interval it takes to look at all that is live. */
  #stretch = 1;
  #closed = false;

  constructor(options: ScheduleOptions<D>) {
    this.#options = options;
    this.#tickMs = Math.min(options.pollMs, options.rescanMs, 1000);
    this.#ticks = setInterval(() => this.#tick(), this.#tickMs);
  }

  /** Whether there is a directory that was never looked at. */
  get hasUnseen(): boolean {
    return this.#unseen > 0;
  }

  /** A directory that was not known yet: it is looked at as soon as possible. */
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

  /** It has changed, some ms ago: what is near it is likely to be live, too. @param line it, and the ones it lies in */
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
        // Where events are told, the directory's own times are right as well; elsewhere some file systems keep none.
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

  /** Look again at one that is wanted, but give it a pause: a writer may flush a thousand times a second. */
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
      // Directories that are first seen together are not all rescanned together.
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

/** Two of the four threads that Node has for files; the others are for reading what has changed. */
const WORKERS = 2;
/** The shortest time from the end of a look to the next one of the same directory, in ms. */
const PAUSE_MS = 40;
/** How long after its last change a directory is taken to be live: longer than writers usually wait until they flush. */
const LIVE_MS = 600_000;
/** A directory of a thousand files is polled every five seconds at most. */
const MS_PER_FILE = 5;
/** Where more is live, the poll interval gets longer: about 4 % of a core. */
const MAX_REQUESTS_PER_S = 1000;
