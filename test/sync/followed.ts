/** A consumer of watched changes that keeps a view of the tree, as an engine would. */
import { setTimeout } from "node:timers/promises";
import { expect } from "vitest";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import type { RunChanges } from "../../src/sync/tree/subscription.ts";
import { formatWatchNote, type WatchNote } from "../../src/sync/tree/watch-notes.ts";
import { type TreeWatchOptions, watchRuns } from "../../src/sync/tree/watcher.ts";

export class Followed {
  /** By logdir and name. */
  readonly view: Map<string, DiscoveredRun> = new Map();
  readonly batches: RunChanges[] = [];
  readonly notes: WatchNote[] = [];
  readonly #end = new AbortController();
  readonly #ended: Promise<void>;

  constructor(
    logdirs: readonly string[],
    options: Partial<TreeWatchOptions> = {},
    meanwhile: (changes: RunChanges) => Promise<void> = async () => {},
  ) {
    const watched = watchRuns({
      logdirs,
      events: true,
      pollMs: 100,
      rescanMs: 60_000,
      signal: this.#end.signal,
      onNote: (note) => this.notes.push(note),
      ...options,
    });
    this.#ended = this.#follow(watched, meanwhile);
  }

  get names(): string[] {
    return [...this.view.values()].map(({ name }) => name).sort();
  }

  /** Notes as people see them. */
  get lines(): string[] {
    return this.notes.map(formatWatchNote);
  }

  /** Resolves once everything that is there at the start has been seen. */
  async start(): Promise<this> {
    await until(() => this.batches.some(({ complete }) => complete));
    return this;
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#ended;
  }

  async #follow(watched: AsyncIterable<RunChanges>, meanwhile: (changes: RunChanges) => Promise<void>): Promise<void> {
    for await (const changes of watched) {
      this.batches.push(changes);
      for (const run of changes.gone) this.view.delete(keyOf(run));
      for (const run of changes.changed) this.view.set(keyOf(run), run);
      await meanwhile(changes);
    }
  }

  /** Wait until the view is what a fresh look at these logdirs finds. */
  async catchesUp(...logdirs: string[]): Promise<void> {
    const fresh = () => new Map(logdirs.flatMap((logdir) => discover(logdir).runs).map((run) => [keyOf(run), run]));
    await until(() => isSame(this.view, fresh())).catch(() => {
      expect(this.view).toEqual(fresh());
    });
  }
}

/** Wait for something that will come to be; much longer than it takes, for machines that have other things to do. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 120_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`it never came to be that ${condition.toString()}`);
    await setTimeout(10);
  }
}

function keyOf({ logdir, name }: DiscoveredRun): string {
  return `${logdir}: ${name}`;
}

function isSame(a: ReadonlyMap<string, DiscoveredRun>, b: ReadonlyMap<string, DiscoveredRun>): boolean {
  return a.size === b.size && [...a].every(([key, run]) => print(run) === print(b.get(key)));
}

function print(run: DiscoveredRun | undefined): string {
  return JSON.stringify(run, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}
