/** What one reader of a tree has not taken yet. */
import { expect, test } from "vitest";
import type { DiscoveredRun } from "../../src/reader/discover.ts";
import { type RunChanges, Subscription } from "../../src/sync/tree/subscription.ts";

function run(name: string, size: number): DiscoveredRun {
  return { name, logdir: "runs", files: [{ size }] } as unknown as DiscoveredRun;
}

function subscription(): { readonly it: Subscription; readonly next: () => Promise<RunChanges> } {
  const it = new Subscription({ start() {}, isComplete: true, failure: undefined });
  const next = async () => {
    const stop = new AbortController();
    for await (const changes of it.changes(stop.signal)) return changes;
    throw new Error("it has ended");
  };
  return { it, next };
}

test("a run that changes again and again before it is taken is there once, as it was last", async () => {
  const { it, next } = subscription();
  for (let size = 1; size <= 100; size++) it.tell("a", run("a", size), false);
  it.tell("b", run("b", 1), false);
  it.tell("b", run("b", 1), true);
  expect(await next()).toEqual({ changed: [run("a", 100)], gone: [run("b", 1)], complete: true });
});

test("nothing gathers for one that is closed", async () => {
  const { it, next } = subscription();
  it.tell("a", run("a", 1), false);
  it.close();
  it.tell("b", run("b", 1), false);
  expect(await next()).toEqual({ changed: [], gone: [], complete: true });
});
