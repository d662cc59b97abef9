/** Where runs come from: logdirs of this machine, or whatever else holds event files. The engine knows no more of it. */
import type { Discovery } from "../../reader/discover.ts";
import type { Subscription } from "./subscription.ts";
import type { WatchNote } from "./watch-notes.ts";

export interface Source {
  /** All that it holds now. @throws TraceletError `logdir` if it cannot be looked at */
  discover(): Promise<Discovery>;

  /** Follow it. Nothing is looked at before somebody asks. */
  watch(options: SourceWatchOptions): Promise<SourceWatch>;
}

export interface SourceWatchOptions {
  /** Whether to use events where they can be relied on; otherwise everything is polled. */
  readonly events: boolean;
  /** How often a live run is looked at where no event would announce a change, ms. */
  readonly pollMs: number;
  /** How often everything is looked at, whatever events say, ms. */
  readonly rescanMs: number;
  readonly onNote: (note: WatchNote) => void;
}

/** A source that is watched once for all readers of its changes, each of whom reads at its own pace. */
export interface SourceWatch {
  /** A new reader. One added after another has begun to read misses what that one has already taken. */
  subscribe(): Subscription;

  /** Everything it holds, as far as known now; a logdir that does not exist yet holds nothing. */
  discover(): Promise<Discovery>;

  close(): void;
}
