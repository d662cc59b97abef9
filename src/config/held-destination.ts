/** A destination that a command works with: its checkpoints are open, and the logdirs locked for it. */

import { sourcesOf } from "../sync/source/logdirs.ts";
import { sessionOf } from "../sync/source/session.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import { type Lock, lockSource } from "../sync/state/lock.ts";
import type { Destination } from "./destinations.ts";
import type { CommandOptions } from "./options.ts";

export class HeldDestination {
  readonly destination: Destination;
  readonly checkpoints: Checkpoints;
  readonly #locks: readonly Lock[];

  private constructor(destination: Destination, checkpoints: Checkpoints, locks: readonly Lock[]) {
    this.destination = destination;
    this.checkpoints = checkpoints;
    this.#locks = locks;
  }

  /**
   * @param options `readOnly`: nothing is locked or remembered; `group`, `since`: what is sent of the logdirs
   * @throws TraceletError `locked` if another process sends one of the logdirs there, `state`, `unsupported`; what the opening
   *   was rejected with. Nothing is left open then.
   */
  static async take(
    opened: Promise<Destination>,
    logdirs: readonly string[],
    { readOnly, group, since }: { readonly readOnly: boolean } & Pick<CommandOptions<"sync">, "group" | "since">,
  ): Promise<HeldDestination> {
    const destination = await opened;
    const { stateDir, key, backend, consult } = destination;
    const locks: Lock[] = [];
    let checkpoints: Checkpoints | undefined;
    try {
      checkpoints = Checkpoints.open(stateDir, key, { readOnly });
      const state = checkpoints;
      consult?.((id) => state.elsewhere(id));
      const session = group === "logdir" && since !== undefined ? sessionOf(logdirs, since.at).name : undefined;
      if (!readOnly) for (const { path } of sourcesOf(logdirs)) locks.push(lockSource(stateDir, key, path, session));
      return new HeldDestination(destination, checkpoints, locks);
    } catch (error) {
      for (const lock of locks) lock.release();
      checkpoints?.close();
      await backend.close();
      throw error;
    }
  }

  /** Let others have it. */
  async release(): Promise<void> {
    for (const lock of this.#locks) lock.release();
    this.checkpoints.close();
    await this.destination.backend.close();
  }
}
