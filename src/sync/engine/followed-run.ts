/** One run while it is watched: what of it is due, and since when. */

import type { RunSession } from "../run/run-session.ts";
import type { RunGroup } from "../source/run-group.ts";

export class FollowedRun {
  group: RunGroup;
  /** Open as long as the run grows, and some time longer. */
  session: RunSession | undefined;
  /** The last one that was given up before it could end the run at the destination, which still shows it as running. */
  unfinished: RunSession | undefined;
  /** The gate's number when the session began. */
  epoch = 0;
  /** Since when there has been something to be looked at, in ms of `performance.now()`; undefined if there is nothing. */
  dueSince: number | undefined;
  /** Whether a round of it is waiting or under way. */
  isBusy = false;
  /** The destination's name of it, once it was opened. */
  remoteId: string | undefined;
  /** Whether there was nothing of it to be sent when it was last looked at. */
  isEmpty = false;
  timer: NodeJS.Timeout | undefined;
  /** When its last round began, in ms of `performance.now()`. */
  lastRound: number = -Infinity;
  /** How long that took, ms; what has not been tried counts as slow. */
  roundMs: number = Infinity;
  /** When it was last seen to have grown, by the watch's clock. */
  grewAt: number;
  /** When its pages were last drawn and its holes looked at, and how long that took. */
  caredAt: number = performance.now();
  careMs = 0;
  /** Why it cannot be sent, and how often in a row that was so. */
  error: string | undefined;
  failures = 0;
  /** How much of it was known to be passed over or unreadable when that was last said. */
  saidLosses = 0;
  /** What could not be read of it, as far as it was said. */
  readonly saidProblems: Set<string> = new Set();
  /** Whether it is in the logdirs no longer. */
  isGone = false;
  /** How many bytes of it the destination has, when its last session ended. */
  bytesRead = 0;

  constructor(group: RunGroup, grewAt: number) {
    this.group = group;
    this.grewAt = grewAt;
  }

  /** Bytes that are there and not acknowledged. */
  get bytesBehind(): number {
    const size = this.group.isDirectory ? 0 : this.group.files.reduce((sum, file) => sum + file.size, 0);
    return Math.max(0, size - (this.session?.bytesRead ?? this.bytesRead));
  }
}
