/** How a watch is doing, while it runs: for people on a terminal, for logs, or for programs. */
import type { TraceletError } from "../errors.ts";
import type { WatchEvent, WatchStatus } from "../sync/engine/watch-status.ts";
import { skipTexts, sumOf } from "./skip-text.ts";
import { errorJson } from "./sync-report.ts";
import { bytes, count, duration, type Output, oneLine, paint, plural, printable } from "./terminal.ts";
import type { FollowEnd } from "./watch-engine.ts";

/**
 * `live`: a view that is redrawn, events above it. `lines`: events, and now and then how it is. `quiet`: what goes wrong.
 * `json`: as `lines`, an object each.
 */
export type WatchMode = "live" | "lines" | "quiet" | "json";

export interface WatchView {
  /** Show it from here on; it is kept up to date by the watch. @param name of the destination */
  start(status: WatchStatus, name: string): void;
  /** @param name of the destination; left out for what concerns all of them */
  event(event: WatchEvent, name?: string): void;
  /** To programs: how it is, every second from here on, since somebody waits for the end. */
  countDown(): void;
  /** Something that is no event of the watch, but of use to whoever started it. */
  say(message: string): void;
  /** Shows how it was; called again it does nothing. */
  stop(end?: WatchEnd): void;
}

/** How a watch ended. */
export interface WatchEnd {
  /** Exit code. */
  readonly code: number;
  /** Whether it was stopped before all that there was had been sent. */
  readonly interrupted: boolean;
  /** Why it could not go on. */
  readonly error?: TraceletError;
  /** Of several destinations each. */
  readonly destinations?: readonly FollowEnd[];
}

interface ViewOptions {
  readonly mode: WatchMode;
  /** What `--backend` calls the destinations; if there is only one, people need not be told which. */
  readonly names: readonly string[];
  /** What `json` says of a destination beside `backend`, or instead of it; without one, its name is its backend. */
  readonly identities?: ReadonlyMap<string, object>;
  /** Where `json` goes to, or all else. */
  readonly output: Output;
  /** Whether lines say when they were written: not where somebody is looking on. */
  readonly dated: boolean;
  /** Show events of level `info` in `live` and `quiet` too. */
  readonly verbose: boolean;
}

const REDRAW_MS = 500;
const HEARTBEAT_MS = 300_000;
const COUNT_DOWN_MS = 1000;
/** Over what time the rate is taken, ms. */
const RATE_MS = 5000;
/** Characters of an error in the live view: a few lines on any terminal. */
const MAX_LIVE_ERROR = 200;

/** A destination that is followed. */
interface Started {
  readonly name: string;
  readonly status: WatchStatus;
  /** Values per second, lately. */
  readonly rate: () => number;
}

export function showWatch(options: ViewOptions): WatchView {
  const { mode, names, identities, output, dated, verbose } = options;
  const identityOf = (name: string) => identities?.get(name) ?? { backend: name };
  const started = new Map<string, Started>();
  /** Those that have started, in the order they were given in. */
  const shown = () => names.flatMap((name) => started.get(name) ?? []);
  let timer: NodeJS.Timeout | undefined;
  let spinner: import("ora").Ora | undefined;
  let stopped = false;
  const line = (text: string) => output.write(`${dated ? `${new Date().toISOString()} ` : ""}${text}\n`);
  const object = (type: string, value: object) =>
    output.write(`${printable(JSON.stringify({ time: new Date().toISOString(), type, ...value }))}\n`);
  const named = (name: string | undefined, text: string) =>
    names.length === 1 || name === undefined ? text : `[${oneLine(name)}] ${text}`;
  const heartbeat = () => {
    for (const { name, status } of shown()) {
      if (mode === "json") object("status", { ...identityOf(name), ...statusJson(status) });
      else if (mode !== "quiet") line(named(name, statusText(status)));
    }
  };
  const show = (event: WatchEvent, name?: string) => {
    const { level, code, run, message, hint } = event;
    if (mode === "json") {
      const where = name === undefined ? { backend: null } : identityOf(name);
      object("event", { level, ...(code && { code }), ...where, run: run ?? null, message, hint: hint ?? null });
      return;
    }
    spinner?.clear();
    line(named(name, eventText(event, output)));
  };
  const every = (ms: number, what: () => void) => {
    timer = setInterval(what, ms);
    timer.unref();
  };
  const begin = () => {
    if (mode !== "live") {
      every(HEARTBEAT_MS, heartbeat);
      return;
    }
    void import("ora").then(({ default: ora }) => {
      if (stopped) return;
      const text = () =>
        shown()
          .map(({ name, status, rate }) => named(name, liveText(status, rate(), output)))
          .join("\n  ");
      const frames = { interval: REDRAW_MS, frames: ["●", "○"] };
      spinner = ora({ text: text(), spinner: frames, stream: process.stderr, discardStdin: false }).start();
      every(REDRAW_MS, () => {
        if (spinner) spinner.text = text();
      });
    });
  };
  return {
    start(status, name) {
      started.set(name, { name, status, rate: rateOf(status) });
      if (started.size === 1) begin();
    },
    event(event, name) {
      const isForEveryone = event.isForEveryone === true && mode !== "quiet";
      if (event.level !== "info" || isForEveryone || verbose || mode === "lines" || mode === "json") show(event, name);
    },
    countDown() {
      if (mode !== "json" || stopped) return;
      clearInterval(timer);
      every(COUNT_DOWN_MS, heartbeat);
    },
    say(message) {
      if (mode !== "quiet") show({ level: "info", run: undefined, message, hint: undefined });
    },
    stop(end) {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      spinner?.stop();
      spinner = undefined;
      heartbeat();
      if (mode === "json" && end !== undefined) object("end", endJson(end, identityOf));
    },
  };
}

function endJson({ code, interrupted, error, destinations }: WatchEnd, identityOf: (name: string) => object): object {
  const each = destinations?.map(({ name, error: own, ...end }) => ({
    ...identityOf(name),
    ...end,
    error: errorJson(own),
  }));
  return { code, interrupted, error: errorJson(error), ...(each && { destinations: each }) };
}

/** Values per second over the last seconds, taken each time it is called. */
function rateOf(status: WatchStatus): () => number {
  const samples: { at: number; sent: number }[] = [];
  return () => {
    const now = { at: performance.now(), sent: status.sent };
    samples.push(now);
    while (samples.length > 2 && now.at - (samples[1] as { at: number }).at >= RATE_MS) samples.shift();
    const [first] = samples as [{ at: number; sent: number }];
    return first === now ? 0 : ((now.sent - first.sent) * 1000) / (now.at - first.at);
  };
}

/** @param rate values per second */
export function liveText(status: WatchStatus, rate: number, output: Output): string {
  const { obstacle, lastError } = status;
  const lag = `lag ${lagText(status)}${status.bytesBehind > 0 ? ` (${bytes(status.bytesBehind)})` : ""}`;
  const text = [runsText(status), `${count(Math.round(rate))} values/s`, lag].join("  ");
  const wrong = obstacle ?? lastError;
  if (wrong === undefined) return text;
  const said = oneLine(wrong);
  const short = said.length > MAX_LIVE_ERROR ? `${said.slice(0, MAX_LIVE_ERROR - 1)}…` : said;
  return `${text}\n  ${paint(output, "red", short)}`;
}

/** How it is, in one line. */
export function statusText(status: WatchStatus): string {
  const { sent, bytesBehind, quarantined, skipped, obstacle } = status;
  const parts = [runsText(status), `${plural(sent, "value")} sent`, `${bytes(bytesBehind)} behind`];
  parts.push(`lag ${lagText(status)}`);
  if (quarantined > 0) parts.push(`${count(quarantined)} refused`);
  // Those refused are named already.
  const chosen = new Map([...skipped].filter(([reason]) => reason !== "refused"));
  if (chosen.size > 0) parts.push(`${count(sumOf(chosen))} skipped (${skipTexts(chosen)})`);
  if (obstacle !== undefined) parts.push(`held up: ${oneLine(obstacle)}`);
  return parts.join(", ");
}

function runsText({ runs, liveRuns }: WatchStatus): string {
  return `${plural(runs, "run")} (${count(liveRuns)} live)`;
}

function lagText({ oldestUnsentMs: ms }: WatchStatus): string {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
}

const COLOURS = { warning: "yellow", error: "red" } as const;

function eventText({ level, run, message, hint }: WatchEvent, output: Output): string {
  const head = level === "info" ? "" : `${paint(output, COLOURS[level], `${level}:`)} `;
  const text = `${run === undefined ? "" : `${run}: `}${message}${hint === undefined ? "" : `; ${hint}`}`;
  return `${head}${oneLine(text)}`;
}

function statusJson(status: WatchStatus): object {
  const { runs, liveRuns, sent, bytesSent, bytesBehind, oldestUnsentMs, retries, quarantined, skipped, isCaughtUp } =
    status;
  return {
    ...{ runs, liveRuns, sent, bytesSent, bytesBehind, oldestUnsentMs: Math.round(oldestUnsentMs), retries },
    ...{
      quarantined,
      skipped: Object.fromEntries(skipped),
      isCaughtUp,
      obstacle: status.obstacle ?? null,
      lastError: status.lastError ?? null,
    },
  };
}
