/**
 * Waiting for a database that another process holds. SQLite's own wait keeps the whole process from everything else, a
 * signal included; so it waits for moments only, and in between everything else gets its turn.
 */
import { TraceletError } from "../../errors.ts";
import { pause } from "../../pause.ts";

/** A server on the same file may hold the lock for one of its transactions, of 1000 metrics at most. ms. */
const WAIT_MS = 60_000;
/** How long SQLite itself waits, ms: it asks some eight times meanwhile. */
export const MOMENT_MS = 100;
const PAUSE_MS = 5;
/** How long what is under way may still wait once it is to end, ms, unless told otherwise. */
const GRACE_MS = 5000;

/** The database was locked all the time. */
export class DatabaseLocked extends TraceletError {
  constructor(file: string, cause: unknown) {
    super("unreachable", `the database ${file} was locked by another process for too long`, {
      hint: "sync again when it is free: nothing is lost",
      cause,
    });
  }
}

export interface LockPatience {
  /** Its abort ends the waiting some time later; its reason is then thrown. */
  readonly signal?: AbortSignal | undefined;
  /** How long that is, ms. Default 5 s. */
  readonly stopGraceMs?: number | undefined;
}

/**
 * Do something with the database as soon as nobody holds it.
 *
 * @param work throws DatabaseLocked, with nothing done, if it met the lock
 * @throws DatabaseLocked after a minute; the signal's reason; what `work` throws
 */
export async function whenFree<T>(work: () => T, { signal, stopGraceMs = GRACE_MS }: LockPatience): Promise<T> {
  const start = performance.now();
  let end = start + WAIT_MS;
  let isStopping = false;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof DatabaseLocked)) throw error;
      const now = performance.now();
      if (signal?.aborted && !isStopping) {
        isStopping = true;
        end = Math.min(end, now + stopGraceMs);
      }
      if (now >= end) {
        signal?.throwIfAborted();
        throw error;
      }
    }
    await pause(PAUSE_MS);
  }
}
