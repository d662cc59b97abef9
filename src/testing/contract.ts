/**
 * What every backend keeps, whatever it is: each point once, whoever dies, and whenever. As tests for any test runner:
 *
 *     import test from "node:test"; // or from "vitest"
 *     for (const { name, run } of backendContract(make)) test(name, run);
 */
import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import type { DestinationUnderTest } from "./destination-under-test.ts";
import { curve, Place, RUNS } from "./place.ts";

export interface ContractTest {
  readonly name: string;
  /** @throws AssertionError, or what the backend throws */
  readonly run: () => Promise<void>;
}

/** @param make a destination of which nothing is there yet @param root a directory of its own, which is not there yet */
export function backendContract(make: (root: string) => DestinationUnderTest): ContractTest[] {
  const { keepsMarks, refusedTag } = make("nowhere");
  const all: [name: string, body: (place: Place) => Promise<void>][] = [
    ["everything is sent, once", sentOnce],
    ["a process that ends before a write, at each of them", (place) => dying(place, "before")],
    ["a process that ends after a write, at each of them", (place) => dying(place, "after")],
    ["a run that grows over several syncs, each of which may end", growing],
    ["the state is lost halfway", losingState],
    ["an earlier state comes back", earlierState],
    ["tracelet's own records are sent or counted, and disturb nothing", ownRecords],
  ];
  if (keepsMarks)
    all.push(
      ["the same batch twice changes nothing", sameBatchTwice],
      ["another machine goes on, in turns", inTurns],
      ["several machines at once", atOnce],
    );
  if (refusedTag !== undefined)
    all.push(["what it refuses is set aside, and the rest is sent", (place) => refusing(place, refusedTag)]);
  return all.map(([name, body]) => ({
    name,
    async run() {
      const place = new Place(make);
      try {
        place.fill();
        await body(place);
      } finally {
        place.remove();
      }
    },
  }));
}

async function sentOnce(place: Place): Promise<void> {
  await place.complete();
  await place.complete();
}

async function sameBatchTwice(place: Place): Promise<void> {
  await place.complete("state", true);
  for (const run of RUNS) place.grow(run, curve("loss", 20, 40));
  await place.complete("state", true);
}

async function dying(place: Place, when: "before" | "after"): Promise<void> {
  for (let at = 1; at <= 4; at++) await place.sync("state", { at, when });
  await place.complete();
}

async function growing(place: Place): Promise<void> {
  for (let turn = 1; turn <= 4; turn++) {
    for (const run of RUNS) place.grow(run, curve("loss", turn * 20, turn * 20 + 20));
    await place.sync("state", { at: turn, when: turn % 2 === 0 ? "before" : "after" });
    if (turn % 2 === 0) await place.complete();
  }
  await place.complete();
}

async function losingState(place: Place): Promise<void> {
  await place.sync("state", { at: 3, when: "after" });
  rmSync(place.stateDir("state"), { recursive: true });
  await place.complete();
  rmSync(place.stateDir("state"), { recursive: true });
  await place.complete();
}

async function earlierState(place: Place): Promise<void> {
  await place.sync("state", { at: 2, when: "after" });
  cpSync(place.stateDir("state"), place.stateDir("kept"), { recursive: true });
  await place.complete();
  await place.complete("kept");
}

async function ownRecords(place: Place): Promise<void> {
  for (const run of RUNS) place.growOwnRecords(run);
  await place.sync("state", { at: 2, when: "before" });
  for (const { tally } of (await place.complete()).runs) {
    for (const [kind, { read, derived, sent, failed, skipped }] of tally.kinds) {
      const left = [...skipped.values()].reduce((sum, n) => sum + n, 0);
      assert.deepEqual([kind, failed, sent + left], [kind, 0, read + derived]);
    }
  }
  for (const run of RUNS) place.grow(run, curve("loss", 20, 40));
  await place.complete();
  rmSync(place.stateDir("state"), { recursive: true });
  await place.complete();
}

async function inTurns(place: Place): Promise<void> {
  await place.sync("one", { at: 2, when: "after" });
  await place.complete("other");
  for (const run of RUNS) place.grow(run, curve("loss", 20, 40));
  await place.sync("other", { at: 2, when: "after" });
  await place.complete("one");
  for (const run of RUNS) place.grow(run, curve("lr", 20, 40));
  await place.complete("other");
  await place.complete("one");
}

async function atOnce(place: Place): Promise<void> {
  await Promise.all([place.sync("one"), place.sync("other"), place.sync("a third")]);
  await place.complete("one");
  for (const run of RUNS) place.grow(run, curve("loss", 20, 200));
  await Promise.all([place.sync("one"), place.sync("other"), place.sync("a third")]);
  await place.complete("other");
}

async function refusing(place: Place, tag: string): Promise<void> {
  const bad = curve(tag, 0, 5);
  place.grow("train", bad, true);
  await place.complete();
  const stepsOf = (values: readonly { tag: string; step: unknown }[]) =>
    values.map((each) => `${each.tag} ${each.step}`);
  assert.deepEqual(stepsOf(place.refused), stepsOf(bad));
}
