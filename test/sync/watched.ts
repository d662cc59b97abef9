/** A world in which a watch is running. */
import { expect, onTestFinished, vi } from "vitest";
import { type WatchOptions, watch } from "../../src/sync/engine/watch.ts";
import type { WatchEvent, WatchStatus } from "../../src/sync/engine/watch-status.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import type { World } from "./world.ts";

/** Generous: a loaded machine may take its time, and what takes for ever fails all the same. */
const PATIENCE = { timeout: 120_000, interval: 10 };

export class Watching {
  readonly events: WatchEvent[] = [];
  status!: WatchStatus;
  readonly #stop = new AbortController();
  readonly #checkpoints: Checkpoints;
  readonly #ended: Promise<boolean>;
  #isGivenUp = false;

  constructor(world: World, options: Partial<WatchOptions> = {}) {
    this.#checkpoints = Checkpoints.open(world.stateDir, "memory");
    this.#ended = watch({
      logdirs: [world.logdir.root],
      backend: world.backend,
      checkpoints: this.#checkpoints,
      group: "run",
      restarts: "explicit",
      transform: { includeTags: [], excludeTags: [], nan: "keep" },
      attachSource: false,
      maxRecordBytes: 1 << 20,
      wantsRun: () => true,
      concurrency: 4,
      flushIntervalMs: 20,
      idleTimeoutMs: 60_000,
      patienceMs: 60_000,
      events: true,
      pollMs: 50,
      rescanMs: 1000,
      signal: this.#stop.signal,
      onStart: (status) => {
        this.status = status;
      },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    // A test that fails must not leave it running.
    onTestFinished(async () => {
      if (!this.#isGivenUp) await this.end();
    });
  }

  /** How it ends by itself; the test sees to that. */
  ended(): Promise<boolean> {
    this.#isGivenUp = true;
    return this.#ended.finally(() => this.#checkpoints.close());
  }

  /** Wait until nothing is left to be sent. */
  async caughtUp(): Promise<void> {
    await this.until(() => expect(this.status.isCaughtUp).toBe(true));
  }

  /** Wait until what `check` expects is so. */
  async until(check: () => void): Promise<void> {
    await Promise.race([vi.waitFor(check, PATIENCE), this.#ended.then(() => check())]);
  }

  messages(level: WatchEvent["level"]): string[] {
    return this.events.filter((event) => event.level === level).map(({ message }) => message);
  }

  /** @returns what the watch does */
  async end(): Promise<boolean> {
    if (this.#stop.signal.aborted) return this.#ended;
    this.#stop.abort();
    const returned = await this.#ended;
    this.#checkpoints.close();
    return returned;
  }
}
