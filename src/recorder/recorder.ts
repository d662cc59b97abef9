/** Records what goes on beside the runs that grow: once for all destinations, whose followers read it from files. */
import { displayPath } from "../reader/discover.ts";
import type { RunRecorder } from "../sync/engine/run-recorder.ts";
import type { Recordings } from "../sync/source/recordings.ts";
import { isRecorded, type RunGroup } from "../sync/source/run-group.ts";
import type { Facts } from "./facts.ts";
import type { Sample } from "./machine.ts";
import { Recording, type Timed } from "./recording.ts";
import { within } from "./within.ts";

/** For this long after it has grown a run counts as under way, ms; at least as many intervals. */
const LIVELY_MS = 60_000;
const LIVELY_INTERVALS = 6;
/** How long the end of a watch waits for what is under way, ms. */
const CLOSE_MS = 5000;

/** What there is to say of a run's surroundings; undefined if there is nothing. */
export type FactsOf = (group: RunGroup) => Promise<Facts | undefined>;

export interface RecorderOptions {
  readonly recordings: Recordings;
  /** How often the machine is looked at, ms; undefined: never. */
  readonly intervalMs: number | undefined;
  /** How busy the machine is. */
  readonly sample: () => Promise<Sample>;
  /** What is recorded once a run, by its kind. */
  readonly once: ReadonlyMap<string, FactsOf>;
  /** After how long without growth a run counts as finished, ms. */
  readonly idleTimeoutMs: number;
  /** For how long after it has grown a run surely is under way, ms; left out: a minute, or six intervals. */
  readonly livelyMs?: number | undefined;
  /** Told once why something could not be recorded. */
  readonly onFailure: (message: string) => void;
}

/** A run that grows, or did lately. */
interface Live {
  /** The path of one of its event files. */
  readonly key: string;
  group: RunGroup;
  /** ms of `performance.now()`. */
  grewAt: number;
  recording: Recording | undefined;
  /** Samples that were taken since it grew, while it was not known whether it was still under way. */
  held: Timed[];
  /** All that is done for it, one after another. */
  work: Promise<void>;
}

export class Recorder implements RunRecorder {
  readonly #options: RecorderOptions;
  readonly #live = new Map<string, Live>();
  readonly #listeners = new Set<(group: RunGroup) => void>();
  readonly #saidFailures = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  /** What the first sample of a run that begins now is. */
  #last: { readonly sample: Timed; readonly at: number } | undefined;
  #sampling: Promise<Timed> | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  grew(group: RunGroup): void {
    if (group.isDirectory || this.#isClosed) return;
    const known = this.#find(group);
    const now = performance.now();
    if (known !== undefined) {
      known.group = group;
      known.grewAt = now;
      if (known.held.length > 0) this.#do(known, () => this.#record(known));
      return;
    }
    const [key] = keysOf(group);
    if (key === undefined) return;
    const live: Live = { key, group, grewAt: now, recording: undefined, held: [], work: Promise.resolve() };
    this.#live.set(key, live);
    this.#do(live, () => this.#begin(live));
    if (this.#options.intervalMs !== undefined) this.#timer ??= this.#after(this.#options.intervalMs);
  }

  ended(group: RunGroup): void {
    const live = this.#find(group);
    if (live !== undefined) this.#leave(live);
  }

  /** It may have got event files since, before those that it had. */
  #find(group: RunGroup): Live | undefined {
    for (const key of keysOf(group)) {
      const live = this.#live.get(key);
      if (live !== undefined) return live;
    }
    return undefined;
  }

  listen(onRecorded: (group: RunGroup) => void): () => void {
    this.#listeners.add(onRecorded);
    return () => this.#listeners.delete(onRecorded);
  }

  /** Write what is under way, and let others record the runs. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const all = [...this.#live.values()];
    for (const live of all) this.#leave(live);
    const done = await within(Promise.all(all.map(({ work }) => work)), CLOSE_MS);
    if (done === undefined)
      this.#options.onFailure("what goes on beside runs was not recorded to its end: it took too long");
  }

  #leave(live: Live): void {
    this.#live.delete(live.key);
    this.#do(live, async () => {
      live.recording?.close();
      live.recording = undefined;
    });
  }

  #do(live: Live, work: () => Promise<void>): void {
    live.work = live.work.then(work).catch((error: unknown) => {
      const message = `cannot record what goes on beside runs: ${(error as Error).message}`;
      if (this.#saidFailures.has(message)) return;
      this.#saidFailures.add(message);
      this.#options.onFailure(message);
    });
  }

  /** The first sample comes at once, so that the shortest run has one; what is asked of other programs may take longer. */
  async #begin(live: Live): Promise<void> {
    const { intervalMs } = this.#options;
    if (!(await this.#open(live)) || intervalMs === undefined) return;
    const isFresh = this.#last !== undefined && performance.now() - this.#last.at < intervalMs / 2;
    live.held.push(isFresh && this.#last !== undefined ? this.#last.sample : await this.#sample());
    await this.#record(live);
  }

  /** @returns whether it is for this process to record the run */
  async #open(live: Live): Promise<boolean> {
    if (live.recording !== undefined) return true;
    const directory = await this.#options.recordings.placeOf(live.group);
    live.recording = directory === undefined ? undefined : Recording.open(directory);
    if (live.recording === undefined) return false;
    for (const [kind, factsOf] of this.#options.once) this.#do(live, () => this.#recordOnce(live, kind, factsOf));
    return true;
  }

  async #recordOnce(live: Live, kind: string, factsOf: FactsOf): Promise<void> {
    if (live.recording?.has(kind) !== false) return;
    const facts = await factsOf(live.group);
    if (facts === undefined) return;
    await live.recording.addOnce(kind, facts);
    this.#tell(live);
  }

  async #record(live: Live): Promise<void> {
    const samples = live.held.splice(0);
    // Otherwise another process records it, and there may be something new all the same.
    if (await this.#open(live)) await live.recording?.add(samples);
    this.#tell(live);
  }

  #tell({ group }: Live): void {
    for (const onRecorded of this.#listeners) onRecorded(group);
  }

  #after(ms: number): NodeJS.Timeout {
    const timer = setTimeout(() => void this.#tick(), ms);
    timer.unref();
    return timer;
  }

  /** Take a sample for all runs that are under way. */
  async #tick(): Promise<void> {
    const { intervalMs, idleTimeoutMs } = this.#options;
    if (intervalMs === undefined) return;
    const start = performance.now();
    for (const live of this.#live.values()) if (start - live.grewAt > idleTimeoutMs) this.#leave(live);
    if (this.#live.size > 0) {
      const sample = await this.#sample();
      const livelyMs = this.#options.livelyMs ?? Math.max(LIVELY_MS, LIVELY_INTERVALS * intervalMs);
      for (const live of this.#live.values()) {
        live.held.push(sample);
        // One that has not grown for a while may be over: what is held is written once it grows again.
        if (performance.now() - live.grewAt <= livelyMs) this.#do(live, () => this.#record(live));
      }
    }
    if (!this.#isClosed) this.#timer = this.#after(Math.max(0, start + intervalMs - performance.now()));
  }

  /** One at a time, whoever asks. */
  #sample(): Promise<Timed> {
    this.#sampling ??= this.#options
      .sample()
      .then((values) => {
        const sample = { wallTime: Date.now() / 1000, values };
        this.#last = { sample, at: performance.now() };
        return sample;
      })
      .finally(() => {
        this.#sampling = undefined;
      });
    return this.#sampling;
  }
}

function keysOf({ files }: RunGroup): string[] {
  return files.filter(({ member }) => !isRecorded(member)).map((file) => displayPath(file.path));
}
