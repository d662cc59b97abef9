/** The gate before a destination that cannot be reached: how long it holds everybody back. */
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import { Gate } from "../../src/sync/gate.ts";

beforeEach(() => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
});

/** How long the one who tries next has to wait, to 250 ms, after an error that asks for so long. */
async function pauseAfter(retryAfterMs: number | undefined): Promise<number> {
  const gate = new Gate(() => {}, new AbortController().signal);
  const error = new TraceletError("unreachable", "away", { retryAfterMs });
  await expect(gate.pass(() => Promise.reject(error))).rejects.toThrow("away");
  let passed = false;
  const next = gate.pass(async () => {
    passed = true;
  });
  let waited = 0;
  for (; !passed; waited += 250) await vi.advanceTimersByTimeAsync(250);
  await next;
  return waited;
}

describe("the first pause", () => {
  test.each([
    ["is its own where the destination asks for nothing", undefined, 750, 1000],
    ["is its own where that is longer", 100, 750, 1000],
    ["is as long as the destination asks for", 40_000, 40_000, 40_000],
    ["is not longer than five minutes", 3_600_000, 300_000, 300_000],
  ])("%s", async (_, asked, least, most) => {
    const waited = await pauseAfter(asked);
    expect(waited).toBeGreaterThanOrEqual(least);
    expect(waited).toBeLessThanOrEqual(most);
  });
});
