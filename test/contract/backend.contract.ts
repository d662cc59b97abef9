/** What every destination keeps, whatever it is: each point once, whoever dies, and whenever. */
import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Backend, RefusedValue } from "../../src/sync/backend.ts";
import { type SyncResult, sync } from "../../src/sync/engine/once.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { pointText } from "../support/memory-backend.ts";
import { type Death, mortal } from "../support/mortal-backend.ts";
import { curve, fileOf, type Point, records } from "../sync/world.ts";

/** A destination, and what is there. */
export interface DestinationUnderTest {
  /** As another process reaches it. */
  connect(): Backend | Promise<Backend>;
  /** All points, as often as they are there, as `pointText`, by the runs' names; each name is one run's. */
  points(): Promise<ReadonlyMap<string, readonly string[]>> | ReadonlyMap<string, readonly string[]>;
  /** Whether it tells a machine without state how far it is; one that does not begins again. */
  readonly keepsMarks: boolean;
  /** A tag whose values it refuses, if there is one. */
  readonly refusedTag?: string;
}

const RUNS = ["train", "sub/eval"];

class Place {
  readonly root: string = temporaryDirectory();
  readonly logdir: Logdir = new Logdir(path.join(this.root, "runs"));
  readonly destination: DestinationUnderTest;
  readonly expected = new Map<string, string[]>();
  readonly refused: RefusedValue[] = [];

  constructor(make: (root: string) => DestinationUnderTest) {
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
    this.destination = make(path.join(this.root, "destination"));
  }

  write(run: string, points: readonly Point[]): void {
    this.logdir.write(run, fileOf(points, run.length));
    this.expected.set(run, points.map(textOf));
  }

  grow(run: string, points: readonly Point[]): void {
    this.logdir.append(run, records(points));
    this.expected.get(run)?.push(...points.map(textOf));
  }

  /** Two runs, of two tags each. */
  fill(): void {
    for (const run of RUNS) this.write(run, [...curve("loss", 0, 20), ...curve("lr", 0, 20)]);
  }

  stateDir(machine: string): string {
    return path.join(this.root, machine);
  }

  /** Machines whose names differ in length send batches of other sizes. */
  async sync(machine = "state", death?: Death, twice = false): Promise<SyncResult> {
    const backend = mortal(await this.destination.connect(), machine.length + 2, death, twice);
    const checkpoints = Checkpoints.open(this.stateDir(machine), "destination");
    const add = async (_run: string, _id: string, values: readonly RefusedValue[]) => {
      this.refused.push(...values);
      return "quarantine";
    };
    try {
      return await sync({
        logdirs: [this.logdir.root],
        backend,
        checkpoints,
        quarantine: { add },
        group: "run",
        restarts: "explicit",
        transform: { includeTags: [], excludeTags: [], nan: "keep" },
        attachSource: false,
        maxRecordBytes: 1 << 20,
        wantsRun: () => true,
        concurrency: 2,
        signal: new AbortController().signal,
      });
    } finally {
      checkpoints.close();
      await backend.close();
    }
  }

  /** A sync that sends all there is. */
  async complete(machine = "state", twice = false): Promise<void> {
    const { error, runs } = await this.sync(machine, undefined, twice);
    expect(error).toBeUndefined();
    expect(runs.map((run) => [run.name, run.error])).toEqual(runs.map((run) => [run.name, undefined]));
    await this.expectOnce();
  }

  async expectOnce(): Promise<void> {
    const there = await this.destination.points();
    const sorted = (runs: ReadonlyMap<string, readonly string[]>) =>
      Object.fromEntries(Array.from(runs, ([run, points]) => [run, points.toSorted()]));
    expect(sorted(there)).toEqual(sorted(this.expected));
  }
}

function textOf({ tag, step, wallTime, value }: Point): string {
  return pointText(tag, step, wallTime, value);
}

/** @param make a destination of which nothing is there yet @param root a directory of its own, which is not there yet */
export function describeContract(name: string, make: (root: string) => DestinationUnderTest): void {
  describe(name, () => {
    const { keepsMarks, refusedTag } = make("nowhere");

    test("all of it is sent, once", async () => {
      const place = new Place(make);
      place.fill();
      await place.complete();
      await place.complete();
    });

    if (keepsMarks)
      test("the same batch twice changes nothing", async () => {
        const place = new Place(make);
        place.fill();
        await place.complete("state", true);
        for (const run of RUNS) place.grow(run, curve("loss", 20, 40));
        await place.complete("state", true);
      });

    test.each(["before", "after"] as const)("a process that ends %s a write, at each of them", async (when) => {
      const place = new Place(make);
      place.fill();
      for (let at = 1; at <= 4; at++) await place.sync("state", { at, when });
      await place.complete();
    });

    test("a run that grows over several syncs, each of which may end", async () => {
      const place = new Place(make);
      place.fill();
      for (let turn = 1; turn <= 4; turn++) {
        for (const run of RUNS) place.grow(run, curve("loss", turn * 20, turn * 20 + 20));
        await place.sync("state", { at: turn, when: turn % 2 === 0 ? "before" : "after" });
        if (turn % 2 === 0) await place.complete();
      }
      await place.complete();
    });

    test("the state is lost in the midst of it", async () => {
      const place = new Place(make);
      place.fill();
      await place.sync("state", { at: 3, when: "after" });
      rmSync(place.stateDir("state"), { recursive: true });
      await place.complete();
      rmSync(place.stateDir("state"), { recursive: true });
      await place.complete();
    });

    test("an earlier state comes back", async () => {
      const place = new Place(make);
      place.fill();
      await place.sync("state", { at: 2, when: "after" });
      cpSync(place.stateDir("state"), place.stateDir("kept"), { recursive: true });
      await place.complete();
      await place.complete("kept");
    });

    if (keepsMarks)
      test("another machine goes on, in turns", async () => {
        const place = new Place(make);
        place.fill();
        await place.sync("one", { at: 2, when: "after" });
        await place.complete("other");
        for (const run of RUNS) place.grow(run, curve("loss", 20, 40));
        await place.sync("other", { at: 2, when: "after" });
        await place.complete("one");
        for (const run of RUNS) place.grow(run, curve("lr", 20, 40));
        await place.complete("other");
        await place.complete("one");
      });

    if (keepsMarks)
      test("two at once", async () => {
        const place = new Place(make);
        place.fill();
        await Promise.all([place.sync("one"), place.sync("other"), place.sync("a third")]);
        await place.complete("one");
        for (const run of RUNS) place.grow(run, curve("loss", 20, 200));
        await Promise.all([place.sync("one"), place.sync("other"), place.sync("a third")]);
        await place.complete("other");
      });

    if (refusedTag !== undefined)
      test("what it refuses is set aside, and the rest is sent", async () => {
        const place = new Place(make);
        place.fill();
        const bad = curve(refusedTag ?? "", 0, 5);
        place.logdir.append("train", records(bad));
        await place.complete();
        expect(place.refused.map(({ tag, step }) => `${tag} ${step}`)).toEqual(
          bad.map(({ tag, step }) => `${tag} ${step}`),
        );
      });
  });
}
