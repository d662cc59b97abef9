/** A logdir, a W&B server and a state directory, and what people do to any of them. */
import { rmSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished } from "vitest";
import type { WandbBackendOptions } from "../../src/backends/wandb/backend.ts";
import { type SyncOptions, sync } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { pointText } from "../support/memory-backend.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { type Point } from "../sync/world.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT, pointsIn } from "./destination.ts";

export class WandbWorld {
  readonly root: string = temporaryDirectory();
  readonly logdir: Logdir = new Logdir(path.join(this.root, "runs"));
  /** Of the machine that syncs. */
  stateDir: string = path.join(this.root, "state");
  server: WandbServer;
  /** How a backend differs from an ordinary one. */
  options: Partial<WandbBackendOptions> = {};

  private constructor(server: WandbServer) {
    this.server = server;
  }

  /** A world that ends with the test. */
  static async create(): Promise<WandbWorld> {
    const world = new WandbWorld(await WandbServer.start());
    onTestFinished(async () => {
      await world.server.stop();
      rmSync(world.root, { recursive: true, force: true });
    });
    return world;
  }

  /** A sync as a process of its own would do it. */
  async sync(options: Partial<SyncOptions> = {}, base: string = this.server.uri): Promise<SyncResult> {
    const backend = connect(base, 1, this.options);
    const checkpoints = Checkpoints.open(this.stateDir, "wandb");
    try {
      return await sync({
        logdirs: [this.logdir.root],
        backend,
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
    } finally {
      checkpoints.close();
      await backend.close();
    }
  }

  /** As after the loss of the disk, or on another machine. */
  loseState(): void {
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  get runs(): StoredRun[] {
    return this.server.runs(PROJECT);
  }

  /** What runs are called, in order. */
  get names(): string[] {
    return this.runs.map(({ fields }) => fields.displayName ?? "").sort();
  }

  /** The one run that is called so. */
  run(name: string): StoredRun {
    const [run, ...others] = this.runs.filter(({ fields }) => fields.displayName === name);
    if (run === undefined || others.length > 0) throw new Error(`${others.length + (run ? 1 : 0)} runs are ${name}`);
    return run;
  }
}

/** The run holds these points, each once, and its lines have no gap. */
export function expectPoints(run: StoredRun, points: readonly Point[]): void {
  const text = ({ tag, step, wallTime, value }: Omit<Point, "step"> & { readonly step: number | bigint }) =>
    pointText(tag, step, wallTime, value);
  expect(run.rows.flatMap(pointsIn).map(text).sort()).toEqual(points.map(text).sort());
  expect(faultsOf(run)).toEqual(NO_FAULTS);
}
