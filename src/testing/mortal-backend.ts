/** A destination that loses what it would have answered, or whose process ends: whatever backend it is. */
import { TraceletError } from "../errors.ts";
import type { Backend, Batch, Receipt, Refuse, RunHandle } from "../sync/backend.ts";

export interface Death {
  /** The write with which it ends, from 1 on. */
  readonly at: number;
  /** `before`: nothing of it is there. `after`: all of it, and nobody has learnt of it. */
  readonly when: "before" | "after";
}

/** @param batchSize the most scalars of a batch @param death left out: it lives @param twice whether each batch is written again */
export function mortal(backend: Backend, batchSize: number, death?: Death, twice = false): Backend {
  let writes = 0;
  let isDead = false;
  const requireLife = () => {
    if (isDead) throw new TraceletError("unreachable", "the process has ended");
  };
  const write = async (run: RunHandle, batch: Batch, refuse?: Refuse): Promise<Receipt> => {
    requireLife();
    const dies = ++writes === death?.at;
    if (dies && death?.when === "before") isDead = true;
    requireLife();
    const receipt = await backend.write(run, batch, refuse);
    isDead ||= dies;
    requireLife();
    return twice ? backend.write(run, batch, refuse) : receipt;
  };
  const own: Partial<Backend> = { batchSize, write };
  return new Proxy(backend, {
    get(target, name: keyof Backend) {
      if (name in own) return own[name];
      const value = target[name];
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name !== "close" && name !== "location") requireLife();
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}
