/** The ids of parent runs: a nested run waits here until its parent has been opened at the destination. */
import { TraceletError } from "../../errors.ts";
import type { RunGroup } from "../source/run-group.ts";

export class Parents {
  readonly #waiting = new Map<RunGroup, Deferred>();

  /** Resolves when the parent has been opened; with undefined if it holds nothing yet. @throws TraceletError `nested` */
  idOf(parent: RunGroup): Promise<string | undefined> {
    return this.#of(parent).promise;
  }

  opened(group: RunGroup, id: string): void {
    if (!group.isParent) return;
    this.#of(group).resolve(id);
  }

  /** Call it when the sync of a run has ended. @param isEmpty whether there was nothing to send */
  ended(group: RunGroup, isEmpty: boolean): void {
    if (!group.isParent) return;
    if (isEmpty) this.#of(group).resolve(undefined);
    this.#of(group).reject(
      new TraceletError("nested", `${group.name}, which it is to be nested in, is not at the destination`, {
        hint: "see what was said of that run, then run the same command to resume",
      }),
    );
  }

  #of(group: RunGroup): Deferred {
    const known = this.#waiting.get(group);
    if (known !== undefined) return known;
    const deferred = defer();
    this.#waiting.set(group, deferred);
    return deferred;
  }
}

interface Deferred {
  readonly promise: Promise<string | undefined>;
  readonly resolve: (id: string | undefined) => void;
  readonly reject: (error: TraceletError) => void;
}

function defer(): Deferred {
  let resolve: Deferred["resolve"] = () => {};
  let reject: Deferred["reject"] = () => {};
  const promise = new Promise<string | undefined>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // Usually nothing is waiting.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
