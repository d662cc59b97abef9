/**
 * Shows runs as running while nothing is sent. Each run has its own second of the 30, so that thousands of runs are no burst
 * of requests; and a run that another process has opened is left to it, since that one may have finished the run.
 */
import type { WandbRun } from "./run.ts";
import { storedIn } from "./run-config.ts";
import type { WandbStore } from "./store.ts";

/** W&B's own client sends a heartbeat this often, seconds. */
const PERIOD_S = 30;

interface Beating {
  readonly run: WandbRun;
  /** In which second of the period it is due. */
  readonly second: number;
  /** Settles once no request for it is under way. */
  last: Promise<void>;
}

export class Heartbeats {
  readonly #store: WandbStore;
  readonly #timer: NodeJS.Timeout;
  /** By id, as they were opened last. */
  readonly #runs = new Map<string, Beating>();
  #added = 0;
  #ticks = 0;

  constructor(store: WandbStore) {
    this.#store = store;
    this.#timer = setInterval(() => this.#tick(), 1000).unref();
  }

  add(run: WandbRun): void {
    const { name } = run.address;
    const known = this.#runs.get(name);
    const second = known?.second ?? this.#added++ % PERIOD_S;
    this.#runs.set(name, { run, second, last: known?.last ?? Promise.resolve() });
  }

  /** Resolves once no heartbeat of it is under way: one that came after its end would show it as running. */
  async remove(run: WandbRun): Promise<void> {
    const { name } = run.address;
    const known = this.#runs.get(name);
    // Opened again since.
    if (known?.run !== run) return;
    this.#runs.delete(name);
    await known.last;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const second = this.#ticks++ % PERIOD_S;
    const silentSince = performance.now() - (PERIOD_S / 2) * 1000;
    const due = [...this.#runs.values()].filter(
      (each) => each.second === second && (each.run.aliveAt ?? -Infinity) <= silentSince,
    );
    if (due.length === 0) return;
    const [{ run }] = due as [Beating];
    // Whoever sends something next is told what is wrong.
    const writers = this.#writersOf(run.address, due).catch(() => new Map<string, string>());
    for (const each of due) each.last = writers.then((found) => this.#beat(each.run, found)).catch(() => {});
  }

  async #writersOf(
    { entity, project }: WandbRun["address"],
    due: readonly Beating[],
  ): Promise<ReadonlyMap<string, string>> {
    const writers = new Map<string, string>();
    const names = due.map(({ run }) => run.address.name);
    for await (const { name, config } of this.#store.runsNamed(entity, project, names)) {
      const writer = storedIn(config)?.writer;
      if (writer !== undefined) writers.set(name, writer);
    }
    return writers;
  }

  async #beat(run: WandbRun, writers: ReadonlyMap<string, string>): Promise<void> {
    const { name } = run.address;
    const writer = writers.get(name);
    if (writer === undefined || this.#runs.get(name)?.run !== run) return;
    if (run.isWriter(writer)) await run.beat();
    else this.#runs.delete(name);
  }
}
