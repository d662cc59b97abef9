/** A logdir that grows, and what a destination should have of it. */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { RefusedValue } from "../sync/backend.ts";
import { sync } from "../sync/engine/once.ts";
import type { SyncResult } from "../sync/engine/sync-result.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import { eventRecord } from "../writer/event-record.ts";
import { artifactValue, metricValue, paramsValue, tagsValue } from "../writer/own-records.ts";
import type { DestinationUnderTest } from "./destination-under-test.ts";
import { fileVersion, type Point, records } from "./event-file.ts";
import { type Death, mortal } from "./mortal-backend.ts";

const EVENT_FILE = "events.out.tfevents.1700000000.host.1.0";
const WALL_TIME = 1_700_000_000.25;

export const RUNS: readonly string[] = ["train", "sub/eval"];

/** A point at each step of `[from, to)`. */
export function curve(tag: string, from: number, to: number): Point[] {
  return Array.from({ length: to - from }, (_, i) => {
    const step = from + i;
    return { tag, step, value: step / 4, wallTime: WALL_TIME + step };
  });
}

export class Place {
  readonly #root: string = mkdtempSync(path.join(os.tmpdir(), "tracelet-contract-"));
  readonly #logdir: string = path.join(this.#root, "runs");
  readonly #destination: DestinationUnderTest;
  readonly #expected = new Map<string, Point[]>();
  readonly refused: RefusedValue[] = [];
  #changes = 0;

  constructor(make: (root: string) => DestinationUnderTest) {
    this.#destination = make(path.join(this.#root, "destination"));
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** Two runs, of two tags each. */
  fill(): void {
    for (const run of RUNS) {
      const file = this.#fileOf(run);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, fileVersion(WALL_TIME + run.length));
      this.#expected.set(run, []);
      this.grow(run, [...curve("loss", 0, 20), ...curve("lr", 0, 20)]);
    }
  }

  /** @param isRefused whether the destination is to store none of them */
  grow(run: string, points: readonly Point[], isRefused = false): void {
    const file = this.#fileOf(run);
    appendFileSync(file, records(points));
    // The clock of a file system is too coarse to tell all changes.
    const time = WALL_TIME + ++this.#changes;
    utimesSync(file, time, time);
    if (!isRefused) this.#expected.get(run)?.push(...points);
  }

  /** Labels, params, a file and a metric's type, as programs log them beside TensorBoard's kinds. */
  growOwnRecords(run: string): void {
    const values = [
      paramsValue({ lr: 0.1, "deep/n": 3 }),
      tagsValue({ stage: "first" }),
      artifactValue("notes/a.txt", Buffer.from("text")),
      metricValue("loss", "loss", { unit: "nats" }),
    ];
    appendFileSync(this.#fileOf(run), Buffer.concat(values.map((value) => eventRecord([value], 0, WALL_TIME))));
    this.grow(run, []);
  }

  stateDir(machine: string): string {
    return path.join(this.#root, machine);
  }

  /** Machines whose names differ in length send batches of other sizes. */
  async sync(machine = "state", death?: Death, twice = false): Promise<SyncResult> {
    const backend = mortal(await this.#destination.connect(), machine.length + 2, death, twice);
    const checkpoints = Checkpoints.open(this.stateDir(machine), "destination");
    const add = async (_run: string, _id: string, values: readonly RefusedValue[]) => {
      this.refused.push(...values);
      return "quarantine";
    };
    try {
      return await sync({
        logdirs: [this.#logdir],
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
  async complete(machine = "state", twice = false): Promise<SyncResult> {
    const result = await this.sync(machine, undefined, twice);
    const { error, runs } = result;
    for (const failure of [error, ...runs.map((run) => run.error)]) if (failure !== undefined) throw failure;
    await this.#assertOnce();
    return result;
  }

  async #assertOnce(): Promise<void> {
    const there = await this.#destination.points();
    assert.deepEqual(textsOf(there), textsOf(this.#expected));
  }

  #fileOf(run: string): string {
    return path.join(this.#logdir, run, EVENT_FILE);
  }
}

function textsOf(runs: ReadonlyMap<string, readonly Point[]>): Record<string, string[]> {
  const sorted = Array.from(runs, ([run, points]): [string, string[]] => [run, points.map(textOf).sort()]);
  return Object.fromEntries(sorted.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function textOf({ tag, step, wallTime, value }: Point): string {
  return `${tag} at step ${step}, ${wallTime}: ${Object.is(value, -0) ? "-0" : value}`;
}
