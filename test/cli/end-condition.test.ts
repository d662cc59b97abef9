/** When a watch ends by itself, also where this process was stopped for a while. */
import { expect, test } from "vitest";
import { endCondition } from "../../src/cli/end-condition.ts";
import type { WatchStatus } from "../../src/sync/engine/watch-status.ts";

test("it has not been idle while this process was stopped", async () => {
  const status = { isCaughtUp: true, quietSince: performance.now() };
  const stop = new AbortController();
  const began = performance.now();
  const ended = endCondition(
    { isRunning: undefined, untilIdleMs: 1500, input: undefined },
    status as WatchStatus,
    stop.signal,
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
  // As soon as the watch notices.
  setTimeout(() => (status.quietSince = performance.now()), 200);
  expect(await ended).toBe("idle");
  expect(performance.now() - began).toBeGreaterThan(3000 + 1500);
});
