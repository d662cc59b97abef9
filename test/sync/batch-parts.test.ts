/** A batch that takes several requests: they are under way at once, and the mark comes when all of it is there. */
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { isMarkTag } from "../../src/backends/mlflow/marks.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { type LogBatch, type MlflowStore } from "../../src/backends/mlflow/store.ts";
import { TraceletError } from "../../src/errors.ts";
import { ContentRefused } from "../../src/net/refusal.ts";
import { openDatabase } from "../../src/sqlite.ts";
import { QuarantineFiles } from "../../src/sync/state/quarantine.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { curve, fileOf, interleaved, World } from "./world.ts";

const POINTS = interleaved(curve("loss", 0, 40), curve("acc", 0, 40));

interface Request {
  readonly metrics: number;
  readonly keys: number;
  readonly marks: number;
  /** How many others of the run were under way when it began. */
  readonly beside: number;
}

/** MLflow's database behind requests of 5 points, 4 at once, each of which takes some time and may fail. */
class Mlflow {
  readonly world = World.create();
  readonly file: string = path.join(this.world.root, "mlflow.db");
  readonly requests: Request[] = [];
  /** What is thrown, before or after the store has done it. */
  fault: (n: number, batch: LogBatch) => { readonly when: "before" | "after"; readonly error: Error } | undefined =
    () => undefined;
  readonly #random: () => number;
  #underWay = 0;

  constructor(seed = 1) {
    this.#random = seededRandom(seed);
    this.world.logdir.write("run/events.tfevents.1.a", fileOf(POINTS));
  }

  async sync() {
    const real = SqliteStore.open(this.file);
    const logBatch: MlflowStore["logBatch"] = async (runId, batch) => {
      const marks = [...batch.tags.keys()].filter(isMarkTag).length;
      const { metrics } = batch;
      const keys = new Set(metrics.key.subarray(0, metrics.length)).size;
      this.requests.push({ metrics: metrics.length, keys, marks, beside: this.#underWay });
      const fault = this.fault(this.requests.length, batch);
      this.#underWay++;
      try {
        for (let turns = Math.floor(8 * this.#random()); turns >= 0; turns--) await turn();
        if (fault?.when === "before") throw fault.error;
        await real.logBatch(runId, batch);
        if (fault?.when === "after") throw fault.error;
      } finally {
        this.#underWay--;
      }
    };
    const changes: Partial<MlflowStore> = { batchSize: 5, batchesAtOnce: 4, logBatch };
    const store = new Proxy<MlflowStore>(real, {
      get(target, name) {
        const value: unknown = Reflect.get(changes, name) ?? Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const quarantine = new QuarantineFiles(this.world.stateDir, "mlflow");
    const backend = new MlflowBackend({
      store,
      experiment: "e",
      version: "1",
      keepsMarks: true,
      giveUpAfterMs: 1000,
    });
    const result = await this.world.sync({ backend, quarantine });
    await backend.close();
    return result;
  }

  points(): string[] {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    const rows = database.prepare("SELECT key, step FROM metrics").all();
    database.close();
    return rows.map(({ key, step }) => `${key} ${step}`).sort();
  }
}

const ALL = POINTS.map(({ tag, step }) => `${tag} ${step}`).sort();

test("requests of one batch are under way at once, the one with its mark alone", async () => {
  const mlflow = new Mlflow();
  await mlflow.sync();
  expect(mlflow.points()).toEqual(ALL);
  const batchOf = (keys: number[], beside: number[]) => [
    ...keys.map((each, i) => ({ metrics: 5, keys: each, marks: 0, beside: beside[i] })),
    { metrics: 0, keys: 0, marks: 1, beside: 0 },
  ];
  // The very first alone, with points as they come: it makes the keys' rows. The others hold few keys each.
  const first = batchOf([2, 1, 2, 1], [0, 0, 1, 2]);
  const later = () => batchOf([1, 1, 1, 1], [0, 1, 2, 3]);
  expect(mlflow.requests).toEqual([...first, ...later(), ...later(), ...later()]);
});

test("a batch that fits into one request is one", async () => {
  const mlflow = new Mlflow();
  mlflow.world.logdir.write("run/events.tfevents.1.a", fileOf(curve("loss", 0, 5)));
  await mlflow.sync();
  expect(mlflow.requests).toEqual([{ metrics: 5, keys: 1, marks: 1, beside: 0 }]);
});

test.each(Array.from({ length: 20 }, (_, seed) => seed))(
  "requests are lost and the state, too: every point arrives, once (%i)",
  async (seed) => {
    const mlflow = new Mlflow(seed);
    const random = seededRandom(seed + 1000);
    const error = new TraceletError("unreachable", "gone");
    mlflow.fault = (n) => {
      if (n !== 2 && random() > 0.15) return undefined;
      return { when: random() < 0.5 ? "before" : "after", error };
    };
    for (let tries = 0; tries < 6; tries++) {
      await mlflow.sync();
      if (random() < 0.5) mlflow.world.loseState();
    }
    expect(mlflow.requests.reduce((sum, { metrics }) => sum + metrics, 0)).toBeGreaterThan(ALL.length);
    mlflow.fault = () => undefined;
    await mlflow.sync();
    expect(mlflow.points()).toEqual(ALL);
    for (const { marks, beside } of mlflow.requests) if (marks > 0) expect(beside).toBe(0);
  },
);

test("no mark is sent while a part of the batch is missing", async () => {
  const mlflow = new Mlflow();
  mlflow.fault = (n) => (n === 2 ? { when: "before", error: new TraceletError("unreachable", "gone") } : undefined);
  await mlflow.sync();
  expect(mlflow.requests.map(({ marks }) => marks)).toEqual([0, 0, 0, 0]);
  mlflow.fault = () => undefined;
  await mlflow.sync();
  expect(mlflow.points()).toEqual(ALL);
});

test("a value that is refused in one of the parts is set aside as what it is", async () => {
  const mlflow = new Mlflow();
  mlflow.fault = (_, { metrics }) => {
    const isBad = (i: number) => metrics.keys[metrics.key[i] as number] === "acc" && metrics.step[i] === 6n;
    const some = Array.from({ length: metrics.length }, (__, i) => i).some(isBad);
    return some ? { when: "before", error: new ContentRefused("refused", "acc 6 is no good", {}) } : undefined;
  };
  const { runs } = await mlflow.sync();
  expect(mlflow.points()).toEqual(ALL.filter((point) => point !== "acc 6"));
  expect(runs[0]?.tally.kinds.get("scalars")).toMatchObject({ sent: 79, skipped: new Map([["refused", 1]]) });
  const [note] = runs[0]?.notes ?? [];
  expect(note?.message).toContain('scalars "acc" at step 6: acc 6 is no good');
});
