/** The gate before a destination that cannot be reached: how long it holds everybody back. */
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import { Gate } from "../../src/sync/engine/gate.ts";

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

describe("a closed gate", () => {
  const away = () => Promise.reject(new TraceletError("unreachable", "away"));

  /** A gate that is closed, and what it says. */
  async function closed(): Promise<{ gate: Gate; said: string[] }> {
    const said: string[] = [];
    const gate = new Gate(({ message }) => said.push(message), new AbortController().signal);
    await expect(gate.pass(away)).rejects.toThrow("away");
    return { gate, said };
  }

  test("is not opened by work that asked nothing of the destination", async () => {
    const { gate, said } = await closed();
    for (const pause of [1000, 2000, 4000]) {
      const idle = gate.pass(async () => "nothing to be done");
      await vi.advanceTimersByTimeAsync(pause);
      expect(await idle).toBe("nothing to be done");
      expect(gate.obstacle).toBe("away");
      const tries = gate.pass(away);
      const refused = expect(tries).rejects.toThrow("away");
      await vi.advanceTimersByTimeAsync(0);
      await refused;
    }
    expect(said).toEqual(["away; trying again"]);
    // The pauses have become longer all the same.
    let passed = false;
    const next = gate.pass(async () => {
      passed = true;
    });
    await vi.advanceTimersByTimeAsync(5900);
    expect(passed).toBe(false);
    await vi.advanceTimersByTimeAsync(2100);
    await next;
  });

  test("is opened by work that the destination has done, not by one that failed halfway", async () => {
    const { gate, said } = await closed();
    const halfway = gate.pass(() => {
      gate.reached(gate.epoch);
      return away();
    });
    const refused = expect(halfway).rejects.toThrow("away");
    await vi.advanceTimersByTimeAsync(1000);
    await refused;
    expect(gate.obstacle).toBe("away");
    const done = gate.pass(async () => gate.reached(gate.epoch));
    await vi.advanceTimersByTimeAsync(2000);
    await done;
    expect(gate.obstacle).toBeUndefined();
    // No two pauses are the same.
    expect(said).toEqual(["away; trying again", expect.stringMatching(/^sending goes on, after [23] s$/)]);
  });

  test("is not opened by work that was under way when it was closed", async () => {
    const said: string[] = [];
    const gate = new Gate(({ message }) => said.push(message), new AbortController().signal);
    let answer = () => {};
    const slow = gate.pass(async () => {
      const { epoch } = gate;
      await new Promise<void>((resolve) => (answer = resolve));
      gate.reached(epoch);
    });
    await expect(gate.pass(away)).rejects.toThrow("away");
    answer();
    await slow;
    expect(said).toEqual(["away; trying again"]);
    const idle = gate.pass(async () => {});
    await vi.advanceTimersByTimeAsync(1000);
    await idle;
    expect(gate.obstacle).toBe("away");
  });
});
