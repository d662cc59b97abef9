/** A live training, a watch beside it, and a real MLflow server behind a proxy that fails as it is told to. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, vi } from "vitest";
import { openDatabase, type SqlRow } from "../../../src/sqlite.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { LiveWriter, type LiveWriterOptions } from "./live-writer.ts";
import type { MlflowServer } from "./mlflow-server.ts";
import { difference } from "./python.ts";
import { Resent } from "./resent.ts";
import { Watch, type WatchSettings } from "./watch.ts";

/** Generous: what never comes fails all the same. */
export const PATIENCE = { timeout: 240_000, interval: 200 } as const;
/** A `difference` of nothing. */
export const EQUAL: object = {
  points: expect.any(Number),
  lost: 0,
  doubled: 0,
  extra: 0,
  examples: expect.anything(),
};

/** The experiments of a server have different names. */
let scenes = 0;

export class Scene {
  readonly folder: string;
  readonly experiment: string;
  readonly server: MlflowServer;
  readonly proxy: FaultProxy;
  /** What the proxy saw sent again. */
  readonly resent: Resent = new Resent();
  readonly #watches: Watch[] = [];
  readonly #writers: LiveWriter[] = [];

  private constructor(server: MlflowServer, proxy: FaultProxy) {
    this.server = server;
    this.proxy = proxy;
    this.folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-scene-"));
    this.experiment = `scene ${++scenes}`;
    proxy.onRequest = this.resent.see;
  }

  /** To be ended by whoever begins it. */
  static async begin(server: MlflowServer): Promise<Scene> {
    return new Scene(server, await FaultProxy.start(server.port));
  }

  async end(): Promise<void> {
    for (const watch of this.#watches) if (watch.isRunning) await watch.kill();
    for (const writer of this.#writers) await writer.kill();
    await this.proxy.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get logdir(): string {
    return path.join(this.folder, "runs");
  }

  get stateDir(): string {
    return path.join(this.folder, "state");
  }

  /** @param more arguments, behind those that name what is watched and where it goes */
  watch(more: readonly string[] = [], settings: WatchSettings & { readonly uri?: string } = {}): Watch {
    const { uri = this.proxy.uri, ...others } = settings;
    // However busy the machine is, all is there when it has ended.
    const to = ["--tracking-uri", uri, "--experiment", this.experiment, "--state-dir", this.stateDir];
    to.push("--shutdown-timeout", "5m");
    const made = new Watch([this.logdir, ...to, ...more], others);
    this.#watches.push(made);
    return made;
  }

  write(options: Partial<LiveWriterOptions> = {}): LiveWriter {
    const ledger = path.join(this.folder, "ledger");
    const made = new LiveWriter({
      ...{ logdir: this.logdir, ledger, runs: 3, tags: 2, rate: 20, flush: 0.2 },
      ...options,
    });
    this.#writers.push(made);
    return made;
  }

  /** A folder beside the logdir and the state. */
  mkdir(name: string): string {
    const made = path.join(this.folder, name);
    mkdirSync(made);
    return made;
  }

  /** How many points have arrived, by now: to be waited for, so it must not keep the server busy. */
  arrived(database: string = this.server.database): number {
    return Number(this.#query("SELECT count(*) AS points FROM metrics", database)[0]?.["points"]);
  }

  /** Until so many more points have been sent for the first time, or a few; whether they have arrived the end tells. */
  async goesOn(points = 30): Promise<void> {
    const wanted = this.resent.fresh + points;
    await vi.waitFor(() => expect(this.resent.fresh).toBeGreaterThanOrEqual(wanted), PATIENCE);
  }

  /** How the runs are shown. */
  statuses(): string[] {
    return this.#query("SELECT status FROM runs", this.server.database).map(({ status }) => String(status));
  }

  /** @param select of the experiment's active runs alone, or of what they hold */
  #query(select: string, database: string): SqlRow[] {
    const connection = openDatabase(database, { busyTimeout: 30_000, mustExist: true });
    try {
      const own = `run_uuid IN (SELECT run_uuid FROM runs JOIN experiments USING (experiment_id)
        WHERE experiments.name = ? AND runs.lifecycle_stage = 'active')`;
      return connection.prepare(`${select} WHERE ${own}`).all(this.experiment);
    } finally {
      connection.close();
    }
  }

  /** No more faults: fresh points arrive, all that was written is there once, and nothing else. */
  async expectCalm(writer: LiveWriter, watching: Watch): Promise<void> {
    this.proxy.calm();
    const before = writer.flushedPoints;
    await vi.waitFor(() => expect(writer.flushedPoints).toBeGreaterThan(before), PATIENCE);
    await writer.stop();
    // The ledger counts what was promised; what is in the files is known at the end.
    await vi.waitFor(() => expect(this.arrived()).toBeGreaterThanOrEqual(before), PATIENCE);
    expect(await watching.stop()).toBe(143);
    expect(await difference(this.logdir, this.server.uri, this.experiment)).toEqual(EQUAL);
  }
}
