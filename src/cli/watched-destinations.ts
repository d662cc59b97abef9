/** The destinations of a watch, taken together: when all of them have what there is. */
import type { WatchStatus } from "../sync/engine/watch-status.ts";

export class WatchedDestinations implements Pick<WatchStatus, "isCaughtUp" | "quietSince"> {
  /** Those that nothing more is sent to, because they have ended, are not in it. */
  readonly #left: Set<string>;
  readonly #statuses = new Map<string, WatchStatus>();

  constructor(names: readonly string[]) {
    this.#left = new Set(names);
  }

  started(name: string, status: WatchStatus): void {
    this.#statuses.set(name, status);
  }

  ended(name: string): void {
    this.#left.delete(name);
  }

  /** One that has not started yet, has nothing. */
  get isCaughtUp(): boolean {
    return [...this.#left].every((name) => this.#statuses.get(name)?.isCaughtUp === true);
  }

  get quietSince(): number {
    return Math.max(...Array.from(this.#statuses.values(), ({ quietSince }) => quietSince));
  }
}
