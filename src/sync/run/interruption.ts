/** Work that is told to end before it is done. */
import { TraceletError } from "../../errors.ts";

/** @throws TraceletError `interrupted` if it was */
export function requireGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new TraceletError("interrupted", "interrupted");
}

/** What `work` comes to, or undefined if `over` is aborted first; the work then goes on unheard. */
export async function untilOver<T>(work: Promise<T>, over: AbortSignal | undefined): Promise<T | undefined> {
  if (over === undefined) return work;
  let end = () => {};
  const aborted = new Promise<undefined>((resolve) => {
    end = () => resolve(undefined);
    over.addEventListener("abort", end, { once: true });
    if (over.aborted) end();
  });
  // What it throws then is nobody's.
  work.catch(() => {});
  try {
    return await Promise.race([work, aborted]);
  } finally {
    over.removeEventListener("abort", end);
  }
}

/** The items until it is told to end. @throws TraceletError `interrupted` then */
export async function* whileGoingOn<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  for await (const item of items) {
    requireGoingOn(signal);
    yield item;
  }
}
