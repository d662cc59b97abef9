/**
 * Two processes, each with a state of its own, sync the same new runs at the same moment: in the end every source has one
 * active run, which holds every point once.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { openDatabase } from "../../src/sqlite.ts";
import type { Fault } from "../support/faults.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { Observer, type StoredRun } from "./model/observer.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { GrowingRuns } from "./support/growing-runs.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { type SyncJson, tracelet } from "./support/tracelet.ts";

const RUNS: readonly string[] = Array.from({ length: 20 }, (_, i) => `run-${String(i).padStart(2, "0")}`);
const MACHINES = ["one", "other"] as const;
/** More of them, for a longer look: `ONE_RUN_ROUNDS=50`. */
const ROUNDS = Array.from({ length: Number(process.env["ONE_RUN_ROUNDS"] ?? 2) }, (_, i) => i + 1);

const UNAVAILABLE: Fault = { kind: "answer", answer: { status: 503, body: "" } };

let folder: string;
let server: MlflowServer;
let observer: Observer;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-one-run-"));
  observer = new Observer();
  server = await MlflowServer.start(path.join(folder, "server", "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  await observer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs that nobody has synced yet, and two machines that can. */
class Pair extends GrowingRuns {
  /** @param database where the runs arrive */
  constructor(database?: string) {
    super(folder, RUNS, observer, database);
  }

  /** Both at once. @param uris where each machine reaches MLflow */
  async sync(uris: readonly string[]): Promise<void> {
    const ended = await Promise.all(
      MACHINES.map((machine, i) => tracelet(["sync", "--json", ...this.args(uris[i] as string, machine)])),
    );
    for (const { code, stdout, stderr } of ended) {
      expect(code, stderr).toBe(0);
      expect((JSON.parse(stdout) as SyncJson).runs.length).toBe(RUNS.length);
    }
  }

  /** Fail unless MLflow holds what TensorBoard reads, in one active run a source. @returns how many duplicates were made */
  async check(): Promise<number> {
    const stored = await this.stored();
    const active = stored.filter((run) => run.active);
    expect(active.map(({ name }) => name).sort()).toEqual(RUNS);
    const source = await observer.tensorboard(RUNS.map((run) => this.directory(run)));
    for (const { name, metrics } of active) {
      const read = source[this.directory(name)]?.scalars[this.tag(name)];
      expect(read?.length).toBe(this.points);
      expect([...(metrics[this.tag(name)] ?? [])].sort(byStep), name).toEqual([...(read ?? [])].sort(byStep));
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

/**
 * Ways to the server, one for each machine, on which requests take longer at random, once both machines are under way. The
 * first run is made by neither before both have found that it is not there.
 */
async function slowWays(seed: number): Promise<readonly FaultProxy[]> {
  const underWay = new Set<FaultProxy>();
  const makeFirst = new Set<FaultProxy>();
  let letThrough = () => {};
  const bothMakeFirst = new Promise<void>((resolve) => {
    letThrough = resolve;
  });
  const proxies = await Promise.all(MACHINES.map((_, i) => FaultProxy.start(server.port, 2 * seed + i)));
  for (const proxy of proxies) {
    onTestFinished(() => proxy.stop());
    proxy.onRequest = async (_method, path, body) => {
      underWay.add(proxy);
      if (!path.endsWith("runs/create") || !body.includes(`"${RUNS[0]}"`)) return;
      makeFirst.add(proxy);
      if (makeFirst.size === MACHINES.length) letThrough();
      await bothMakeFirst;
    };
    proxy.inject(
      { fault: UNAVAILABLE, nth: () => underWay.size < MACHINES.length },
      { fault: { kind: "delay", beforeMs: 300 }, requests: /runs\/create$/, probability: 0.5 },
      { fault: { kind: "delay", afterMs: 200 }, requests: /runs\/(create|search)$/, probability: 0.5 },
      { fault: { kind: "delay", beforeMs: 50, afterMs: 50 }, probability: 0.3 },
    );
  }
  return proxies;
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

/** More rounds than by default take longer. */
const TIMEOUT = Math.max(900_000, 60_000 * ROUNDS.length);

describe("two processes that sync the same new runs at once make one of each", () => {
  test(
    "over HTTP, with requests that take their time",
    async () => {
      for (const round of ROUNDS) {
        const pair = new Pair(path.join(folder, "server", "mlflow.db"));
        const uris = (await slowWays(round)).map(({ uri }) => uri);
        await pair.sync(uris);
        // Or nothing was shown.
        expect(await pair.check()).toBeGreaterThan(0);
        if (round > 1) continue;
        pair.grow();
        await pair.sync(uris);
        await pair.check();
      }
    },
    TIMEOUT,
  );

  test(
    "in a database, which others write to as well",
    async () => {
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
    },
    TIMEOUT,
  );
});
