/** One reader of a tree's changes: what has gathered since it last took some, each run once. */
import { pause } from "../../pause.ts";
import type { DiscoveredRun } from "../../reader/discover.ts";

/** What has happened since the last changes were handed out; however much that was, each run is in it once. */
export interface RunChanges {
  /** Runs that are new, or whose files have changed, as last seen. */
  readonly changed: readonly DiscoveredRun[];
  /** Runs that are gone, as last seen; some were too short-lived to be handed out before. */
  readonly gone: readonly DiscoveredRun[];
  /** Whether everything known so far has been looked at: from then on, what was not reported does not exist. */
  readonly complete: boolean;
}

/** What a subscription asks of the tree. */
interface Tree {
  /** Begin to look, if nobody has asked before. */
  start(): void;
  /** Whether every directory known so far has been looked at. */
  readonly isComplete: boolean;
  /** Why the tree can no longer be watched. */
  readonly failure: { readonly error: unknown } | undefined;
}

export class Subscription {
  readonly #tree: Tree;
  readonly #pending = new Map<string, { readonly run: DiscoveredRun; readonly isGone: boolean }>();
  #resume: (() => void) | undefined;
  #saidComplete = false;
  #isClosed = false;
  /** When changes were last handed out. */
  #handedOutAt = Number.POSITIVE_INFINITY;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** A run has changed. @param key names its directory */
  tell(key: string, run: DiscoveredRun, isGone: boolean): void {
    if (this.#isClosed) return;
    this.#pending.set(key, { run, isGone });
    this.wake();
  }

  /** Nobody takes any more: nothing gathers from now on. */
  close(): void {
    this.#isClosed = true;
    this.#pending.clear();
  }

  /** Something that `changes` waits for may have come. */
  wake(): void {
    this.#resume?.();
  }

  /**
   * The changes, beginning with all runs there are. While some are worked on, more gather; a run that changes meanwhile is
   * handed out again. One batch with `complete` is handed out as soon as everything has been looked at, even an empty one.
   *
   * @param signal ends it; `return()` alone would wait for the next change
   */
  async *changes(signal: AbortSignal): AsyncGenerator<RunChanges, void, void> {
    const wake = () => this.wake();
    signal.addEventListener("abort", wake);
    this.#tree.start();
    try {
      for (let next = await this.#next(signal); next !== undefined; next = await this.#next(signal)) yield next;
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  /** @returns undefined once the signal is aborted */
  async #next(signal: AbortSignal): Promise<RunChanges | undefined> {
    const ratio = this.#saidComplete ? GATHER_RATIO : FIRST_GATHER_RATIO;
    const gatherMs = Math.max(GATHER_MS, Math.min(ratio * (performance.now() - this.#handedOutAt), MAX_GATHER_MS));
    let isGathered = false;
    while (!signal.aborted) {
      if (this.#tree.failure !== undefined) throw this.#tree.failure.error;
      const complete = this.#tree.isComplete;
      if (this.#pending.size === 0 && (!complete || this.#saidComplete)) {
        await new Promise<void>((resolve) => {
          this.#resume = resolve;
        });
      } else if (!isGathered) {
        await pause(gatherMs, signal);
        isGathered = true;
      } else {
        this.#saidComplete ||= complete;
        const pending = [...this.#pending.values()];
        this.#pending.clear();
        const changed = pending.filter(({ isGone }) => !isGone).map(({ run }) => run);
        const gone = pending.filter(({ isGone }) => isGone).map(({ run }) => run);
        this.#handedOutAt = performance.now();
        return { changed, gone, complete };
      }
    }
    return undefined;
  }
}

/** How long changes gather before they are handed out, in ms: what begins together is handed out together. */
const GATHER_MS = 20;
/**
 * Where the reader takes long over them, as finding out what each of ten thousand runs is a part of does, at least this
 * multiple of that time: at first, when more comes all the time, and later; and at most, in ms.
 */
const FIRST_GATHER_RATIO = 16;
const GATHER_RATIO = 4;
const MAX_GATHER_MS = 1000;
