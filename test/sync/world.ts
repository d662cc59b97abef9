/** A logdir, a destination and a state directory, and what happens between them. */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished } from "vitest";
import { type SyncOptions, sync } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import type { RunResult } from "../../src/sync/run/run-result.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { event, eventFile, scalarEvent, WALL_TIME } from "../support/event-writer.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { MemoryBackend, type MemoryRun, pointText } from "../support/memory-backend.ts";

export interface Point {
  readonly tag: string;
  readonly step: number;
  readonly value: number;
  readonly wallTime: number;
}

/** A point at each step of `[from, to)`. */
export function curve(tag: string, from: number, to: number): Point[] {
  return Array.from({ length: to - from }, (_, i) => {
    const step = from + i;
    return { tag, step, value: step / 4, wallTime: WALL_TIME + step };
  });
}

/** The points as records. */
export function records(points: readonly Point[]): Buffer {
  return eventFile(...points.map(({ tag, step, value, wallTime }) => scalarEvent(tag, step, value, wallTime)));
}

/** A file's first record; files of other times begin with other bytes. */
export function version(time = 0): Buffer {
  return eventFile(event({ wallTime: WALL_TIME + time, fileVersion: "brain.Event:2" }));
}

/** A whole event file. */
export function fileOf(points: readonly Point[], time = 0): Buffer {
  return Buffer.concat([version(time), records(points)]);
}

export class World {
  readonly root: string = temporaryDirectory();
  readonly logdir: Logdir = new Logdir(path.join(this.root, "runs"));
  readonly backend: MemoryBackend = new MemoryBackend();
  readonly stateDir: string = path.join(this.root, "state");

  /** A world that ends with the test. */
  static create(): World {
    const world = new World();
    onTestFinished(() => world.end());
    return world;
  }

  end(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** A second logdir beside the first. */
  otherLogdir(name: string): Logdir {
    return new Logdir(path.join(this.root, name));
  }

  /** A sync as a process of its own would do it; whatever comes of it, what it says of it has to add up. */
  async sync(options: Partial<SyncOptions> = {}): Promise<SyncResult> {
    this.backend.calls.length = 0;
    this.backend.batches.length = 0;
    const checkpoints = Checkpoints.open(this.stateDir, "memory");
    try {
      const result = await sync({
        logdirs: [this.logdir.root],
        backend: this.backend,
        checkpoints,
        group: "run",
        restarts: "explicit",
        transform: { includeTags: [], excludeTags: [], nan: "keep" },
        attachSource: false,
        maxRecordBytes: 1 << 20,
        wantsRun: () => true,
        concurrency: 4,
        signal: new AbortController().signal,
        ...options,
      });
      result.runs.forEach(expectToAddUp);
      return result;
    } finally {
      checkpoints.close();
    }
  }

  /** As after the loss of the disk, or on another machine. */
  loseState(): void {
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  /** Keep the state as it is now; the function that is returned brings it back. */
  keepState(): () => void {
    const copy = path.join(this.root, "kept-state");
    mkdirSync(this.stateDir, { recursive: true });
    new Logdir(this.stateDir).rsyncTo(new Logdir(copy));
    return () => {
      this.loseState();
      new Logdir(copy).rsyncTo(new Logdir(this.stateDir));
    };
  }
}

/** read + derived = sent + skipped + failed, for every kind. */
export function expectToAddUp({ name, tally }: RunResult): void {
  for (const [kind, { read, derived, sent, failed, skipped }] of tally.kinds) {
    const out = [...skipped.values()].reduce((sum, n) => sum + n, 0);
    expect([name, kind, sent + out + failed]).toEqual([name, kind, read + derived]);
  }
}

/** The run holds these points, and no others. */
export function expectPoints(run: MemoryRun, points: readonly Point[]): void {
  const expected = points.map(({ tag, step, value, wallTime }) => pointText(tag, step, wallTime, value));
  expect([...run.points.keys()].sort()).toEqual([...new Set(expected)].sort());
}

/** How many points were stored more than once, and how often. */
export function sentAgain(run: MemoryRun): number {
  return [...run.points.values()].reduce((sum, times) => sum + times - 1, 0);
}

/** What became of the scalars of all runs. */
export function scalarsOf(result: SyncResult): {
  read: number;
  sent: number;
  failed: number;
  skipped: Record<string, number>;
} {
  const sum = { read: 0, sent: 0, failed: 0, skipped: {} as Record<string, number> };
  for (const { tally } of result.runs) {
    const scalars = tally.kinds.get("scalars");
    if (scalars === undefined) continue;
    sum.read += scalars.read;
    sum.sent += scalars.sent;
    sum.failed += scalars.failed;
    for (const [reason, n] of scalars.skipped) sum.skipped[reason] = (sum.skipped[reason] ?? 0) + n;
  }
  return sum;
}

/** The only run of a result. */
export function only(result: SyncResult): RunResult {
  expect(result.runs).toHaveLength(1);
  return result.runs[0] as RunResult;
}

/** What became of each run, by name. */
export function outcomes(result: SyncResult): Record<string, string> {
  return Object.fromEntries(result.runs.map(({ name, outcome }) => [name, outcome]));
}

/** What was noted, of all runs. */
export function codes(result: SyncResult): string[] {
  return result.runs.flatMap(({ notes }) => notes.map(({ code }) => code));
}

/** The points of several curves as a training writes them: step by step. */
export function interleaved(...curves: readonly (readonly Point[])[]): Point[] {
  return curves.flat().sort((a, b) => a.step - b.step);
}
