/** Beside a training: one watch of the logdirs, and a follower for each destination. */
import { localSource } from "../tree/local-source.ts";
import type { SourceWatchOptions } from "../tree/source.ts";
import type { Subscription } from "../tree/subscription.ts";
import { formatWatchNote, type WatchNote } from "../tree/watch-notes.ts";
import type { Destination } from "./destination.ts";
import { Follower, type FollowOptions } from "./follower.ts";
import type { SyncOptions } from "./once.ts";
import type { FollowStatus, WatchEvent } from "./watch-status.ts";

export interface WatchOptions
  extends FollowOptions,
    Pick<SyncOptions, "source">,
    Pick<SourceWatchOptions, "events" | "pollMs"> {}

/** One of several. */
export interface WatchDestination extends Destination {
  /** Called once with an object that is kept up to date. */
  readonly onStart: (status: FollowStatus) => void;
  /** What concerns this destination alone. */
  readonly onEvent: (event: WatchEvent) => void;
}

export interface WatchAllOptions extends Omit<WatchOptions, keyof Destination | "onStart"> {
  /** Promises of those that are still being opened. */
  readonly destinations: readonly (WatchDestination | Promise<WatchDestination>)[];
  /** What concerns the logdirs, and so all destinations. */
  readonly onEvent: (event: WatchEvent) => void;
}

/**
 * Follow the logdirs until the signal is aborted.
 *
 * @returns whether values were set aside that the destination refuses
 * @throws TraceletError only for what no waiting helps against
 */
export async function watch(options: WatchOptions): Promise<boolean> {
  const { backend, checkpoints, quarantine, concurrency, onStart, onEvent } = options;
  const destination = { backend, checkpoints, quarantine, concurrency, onStart, onEvent };
  const [followed] = watchAll({ ...options, destinations: [destination] });
  return followed as Promise<boolean>;
}

/**
 * The same for several destinations. None waits for another: one that is away, slow or full catches up from the files alone.
 *
 * @returns for each destination what `watch` returns, as soon as it has ended there; rejected as its opening was, if it was
 */
export function watchAll(options: WatchAllOptions): Promise<boolean>[] {
  const { destinations, onEvent, logdirs, events, pollMs, rescanMs, signal } = options;
  const onNote = (note: WatchNote) => {
    // A session has some of its logdirs only if something is written there.
    const isExpected = note.kind === "logdir-missing" && options.group === "logdir";
    const level = isExpected || note.kind === "logdir-found" || note.kind === "readable" ? "info" : "warning";
    onEvent({ level, run: undefined, message: formatWatchNote(note), hint: undefined });
  };
  const source = options.source ?? localSource(logdirs);
  const watching = source.watch({ events, pollMs, rescanMs, onNote });
  const subscribed = watching.then((watched) => destinations.map(() => watched.subscribe()));
  const close = () => {
    watching.then(
      (watched) => watched.close(),
      () => {},
    );
  };
  signal.addEventListener("abort", close, { once: true });
  const follow = async (destination: (typeof destinations)[number], index: number) => {
    // All at once: whichever is rejected first is heard.
    const [watched, subscriptions, opened] = await Promise.all([watching, subscribed, destination]);
    const subscription = subscriptions[index] as Subscription;
    return new Follower({ ...options, ...opened }).follow(subscription, () => watched.discover());
  };
  // One that has ended is not told any more, however long the others go on.
  const leave = (index: number) => {
    subscribed.then(
      (all) => all[index]?.close(),
      () => {},
    );
  };
  const followed = destinations.map((destination, index) => follow(destination, index).finally(() => leave(index)));
  void Promise.allSettled(followed).then(() => {
    signal.removeEventListener("abort", close);
    close();
  });
  return followed;
}
