/** One run that a watch follows at a destination: what is due, and since when. */

import type { RunSession } from "../run/run-session.ts";
import type { RunGroup } from "../source/run-group.ts";

export class FollowedRun {
  group: RunGroup;
  /** Open while the run grows, and for a while after. */
  session: RunSession | undefined;
  /** The last session that was abandoned before it could end the run: the destination still shows the run as running. */
  unfinished: RunSession | undefined;
  /** The gate's epoch when the session began. */
  epoch = 0;
  /** Since when there has been something to look at, in ms of `performance.now()`; undefined if there is nothing. */
  dueSince: number | undefined;
  /** Whether a round is queued or under way. */
  isBusy = false;
  /** The destination's id of the run, once it has been opened. */
  remoteId: string | undefined;
  /** Whether there was nothing to send when it was last looked at. */
  isEmpty = false;
  timer: NodeJS.Timeout | undefined;
  /** When its last round began, in ms of `performance.now()`. */
  lastRound: number = -Infinity;
  /** How long that round took, ms; before the first one it counts as slow. */
  roundMs: number = Infinity;
  /** When it was last seen to have grown, by the watch's clock. */
  grewAt: number;
  /** When its pages were last drawn and its damage re-examined, and how long that took, ms. */
  caredAt: number = performance.now();
  careMs = 0;
  /** Why it cannot be sent, and how many times in a row it failed. */
  error: string | undefined;
  failures = 0;
  /** How many of its losses have been reported. */
  saidLosses = 0;
  /** The unreadable files that have been reported. */
  readonly saidProblems: Set<string> = new Set();
  /** Whether it has left the logdirs. */
  isGone = false;
  /** How many of its bytes the destination had when the last session ended. */
  bytesRead = 0;

  constructor(group: RunGroup, grewAt: number) {
    this.group = group;
    this.grewAt = grewAt;
  }

  /** Bytes in the files that have not been acknowledged. */
  get bytesBehind(): number {
    const size = this.group.isDirectory ? 0 : this.group.files.reduce((sum, file) => sum + file.size, 0);
    return Math.max(0, size - (this.session?.bytesRead ?? this.bytesRead));
  }
}
