/**
 * Two processes, each with a state of its own, sync the same new runs at the same moment: in the end every source has one
 * active run, which holds every point once.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "../../src/sync/sqlite.ts";
import { eventFile, scalarEvent, versionEvent, WALL_TIME } from "../support/event-writer.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { Observer, type StoredRun } from "./model/observer.ts";
import { type SyncJson, tracelet } from "./support/tracelet.ts";

const RUNS: readonly string[] = Array.from({ length: 20 }, (_, i) => `run-${String(i).padStart(2, "0")}`);
const MACHINES = ["one", "other"] as const;
/** More of them, for a longer look: `ONE_RUN_ROUNDS=50`. */
const ROUNDS = Array.from({ length: Number(process.env["ONE_RUN_ROUNDS"] ?? 2) }, (_, i) => i + 1);

let folder: string;
let observer: Observer;
let pairs = 0;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-one-run-"));
  observer = new Observer();
});

afterAll(async () => {
  await observer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs that nobody has synced yet, and two machines that can. */
class Pair {
  readonly root: string = path.join(folder, `pair-${++pairs}`);
  readonly #experiment = `one run ${pairs}`;
  readonly database: string = path.join(this.root, "mlflow.db");
  #points = 0;

  constructor() {
    for (const run of RUNS) {
      mkdirSync(this.#directory(run), { recursive: true });
      writeFileSync(this.#file(run), eventFile(versionEvent()));
    }
    this.grow();
  }

  #directory(run: string): string {
    return path.join(this.root, "runs", run);
  }

  #file(run: string): string {
    return path.join(this.#directory(run), "events.out.tfevents.1.host.1.0");
  }

  /** Five more points in each run. */
  grow(): void {
    const steps = Array.from({ length: 5 }, (_, i) => this.#points + i);
    for (const [i, run] of RUNS.entries()) {
      const events = steps.map((step) => scalarEvent("loss", step, step + i / 4, WALL_TIME + step));
      appendFileSync(this.#file(run), eventFile(...events));
    }
    this.#points += steps.length;
  }

  /** Both at once. @param uris where each machine reaches MLflow */
  async sync(uris: readonly string[]): Promise<void> {
    const ended = await Promise.all(
      MACHINES.map((machine, i) => {
        const to = ["--tracking-uri", uris[i] as string, "--experiment", this.#experiment];
        return tracelet([
          "sync",
          "--json",
          path.join(this.root, "runs"),
          ...to,
          "--state-dir",
          path.join(this.root, machine),
        ]);
      }),
    );
    for (const { code, stdout, stderr } of ended) {
      expect(code, stderr).toBe(0);
      expect((JSON.parse(stdout) as SyncJson).runs.length).toBe(RUNS.length);
    }
  }

  /** Fail unless MLflow holds what TensorBoard reads, in one active run a source. @returns how many duplicates were made */
  async check(): Promise<number> {
    const ids = new Set(await observer.inExperiment(this.database, this.#experiment));
    const stored = (await observer.stored(this.database, folder)).filter(({ id }) => ids.has(id));
    const active = stored.filter((run) => run.active);
    expect(active.map(({ name }) => name).sort()).toEqual(RUNS);
    const source = await observer.tensorboard(RUNS.map((run) => this.#directory(run)));
    for (const { name, metrics } of active) {
      const read = source[this.#directory(name)]?.scalars["loss"];
      expect(read?.length).toBe(this.#points);
      expect([...(metrics["loss"] ?? [])].sort(byStep), name).toEqual([...(read ?? [])].sort(byStep));
    }
    const duplicates = stored.filter((run) => !run.active);
    for (const { name, tags } of duplicates) expect(winner(active, name).id).toBe(tags["tracelet.duplicate_of"]);
    return duplicates.length;
  }
}

const byStep = ([a]: readonly unknown[], [b]: readonly unknown[]): number => Number(a) - Number(b);

function winner(active: readonly StoredRun[], name: string): StoredRun {
  return active.find((run) => run.name === name) as StoredRun;
}

/** Others write to the database now and then, so that whoever comes next has to wait. */
async function holdNowAndThen(database: string, seed: number, ended: AbortSignal): Promise<void> {
  const random = seededRandom(seed);
  while (!ended.aborted) {
    try {
      // Not before it is there: who opens it first makes its tables.
      const connection = openDatabase(database, { busyTimeout: 0, mustExist: true });
      try {
        connection.exec("BEGIN IMMEDIATE");
        await sleep(100 * random());
        connection.exec("ROLLBACK");
      } finally {
        connection.close();
      }
    } catch {
      // It is somebody else's turn.
    }
    await sleep(30 * random());
  }
}

describe("two processes that sync the same new runs at once make one of each", () => {
  test("in a database, which others write to as well", async () => {
    for (const round of ROUNDS) {
      const pair = new Pair();
      const uris = MACHINES.map(() => `sqlite:///${pair.database}`);
      const ended = new AbortController();
      const holding = holdNowAndThen(pair.database, round, ended.signal);
      try {
        await pair.sync(uris);
        expect(await pair.check()).toBe(0);
        pair.grow();
        await pair.sync(uris);
        expect(await pair.check()).toBe(0);
      } finally {
        ended.abort();
        await holding;
      }
    }
  });
});
