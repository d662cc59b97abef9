/** How a watch follows, as the engine takes it. */
import type { FollowOptions } from "../sync/engine/follower.ts";
import type { WatchAllOptions } from "../sync/engine/watch.ts";
import type { CommandOptions } from "./options.ts";

/** How often live runs are polled on file systems without events, ms. */
const POLL_MS = 1000;

export interface Pace extends Pick<FollowOptions, "flushIntervalMs" | "idleTimeoutMs" | "patienceMs" | "rescanMs"> {
  /** How often to poll for growth, ms; undefined: only where the file system has no events. */
  readonly pollMs: number | undefined;
}

export function paceOf({
  flushInterval: flushIntervalMs,
  idleTimeout: idleTimeoutMs,
  patience: patienceMs,
  rescan: rescanMs,
  poll: pollMs,
}: Pick<CommandOptions<"watch">, "flushInterval" | "idleTimeout" | "patience" | "rescan" | "poll">): Pace {
  return { flushIntervalMs, idleTimeoutMs, patienceMs, rescanMs, pollMs };
}

export function polling({ pollMs }: Pick<Pace, "pollMs">): Pick<WatchAllOptions, "events" | "pollMs"> {
  return { events: pollMs === undefined, pollMs: pollMs ?? POLL_MS };
}
