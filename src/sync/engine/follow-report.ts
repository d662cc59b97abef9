/** What a follower has done and has to say: counted, and each thing said once. */
import type { SkipReason } from "../report/skip-reason.ts";
import type { Tally } from "../report/tally.ts";
import { spokenName } from "../source/titles.ts";
import type { FollowedRun } from "./followed-run.ts";
import type { WatchEvent } from "./watch-status.ts";

/** How many of the last latencies are kept. */
const LATENCIES = 1000;

export class FollowReport {
  readonly latencies: number[] = [];
  sent = 0;
  bytesSent = 0;
  quarantined = 0;
  readonly skipped: Map<SkipReason, number> = new Map();
  /** Also if it was only what is no value of an event file. */
  anySetAside = false;
  lastError: string | undefined;
  readonly #onEvent: (event: WatchEvent) => void;

  constructor(onEvent: (event: WatchEvent) => void) {
    this.#onEvent = onEvent;
  }

  say(level: WatchEvent["level"], run: string | undefined, message: string, hint?: string): void {
    if (level === "error") this.lastError = message;
    this.#onEvent({ level, run, message, hint });
  }

  /** @param ms from seeing that files had grown to the acknowledgement */
  latency(ms: number): void {
    this.latencies.push(ms);
    if (this.latencies.length > LATENCIES) this.latencies.shift();
  }

  add({ kinds }: Tally): void {
    for (const { sent, skipped } of kinds.values()) {
      this.sent += sent;
      for (const [reason, count] of skipped) this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + count);
    }
  }

  /** Take over what has become of a run since the last time. */
  take(run: FollowedRun): void {
    const { session, group } = run;
    if (session === undefined) return;
    const name = spokenName(group);
    const { tally, refused, notes, problems, losses } = session.takeNews();
    this.add(tally);
    this.quarantined += refused;
    for (const { code, message, isWarning } of notes) {
      const isLoss = code === "quarantined";
      this.anySetAside ||= isLoss;
      this.say(isLoss ? "error" : isWarning ? "warning" : "info", name, message);
    }
    for (const { path, code, detail, kind } of problems) {
      // Of a directory that was renamed while it was read.
      const isGone = run.isGone && kind === "gone";
      if (isGone || run.saidProblems.has(`${path} ${code}`)) continue;
      run.saidProblems.add(`${path} ${code}`);
      this.say("error", name, `${path} could not be read: ${code}${detail === undefined ? "" : ` (${detail})`}`);
    }
    for (const { path, start, end, reason } of losses.slice(run.saidLosses))
      this.say("warning", name, `corrupt records skipped in ${path}: ${end - start} bytes at ${start} (${reason})`);
    run.saidLosses = losses.length;
  }
}
