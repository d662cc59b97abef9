/** What every MlflowStore has to keep, whatever it stands on. */
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LogBatch, MlflowStore } from "../../src/backends/mlflow/store.ts";

export interface StoredPoint {
  readonly step: bigint;
  /** ms since the Unix epoch. */
  readonly timestamp: number;
  /** As MLflow gives it out: an infinity is the greatest double. */
  readonly value: number;
}

/** A store, and what a test needs beside it: eyes, and the hands of an MLflow user. */
export interface StoreUnderTest {
  readonly store: MlflowStore;
  /** Another store on the same MLflow, as another process would have. */
  second(): Promise<MlflowStore>;
  /** All points of a metric, in any order. */
  points(runId: string, key: string): Promise<StoredPoint[]>;
  /** What a run's page shows of a metric. */
  latest(runId: string, key: string): Promise<StoredPoint | undefined>;
  /** Seen beside the store's own eyes. */
  run(runId: string): Promise<{ readonly name: string; readonly startTime: number; readonly endTime: number | null }>;
  deleteRun(runId: string): Promise<void>;
  deleteExperiment(experimentId: string): Promise<void>;
  /** Whether it is an MLflow from before keys could hold a colon. */
  readonly refusesColons?: boolean;
}

interface Metric {
  readonly key: string;
  readonly step: bigint | number;
  readonly timestamp: number;
  readonly value: number;
}

const NONE: ReadonlyMap<string, string> = new Map();
const START = 1_700_000_000_000;

function batchOf(metrics: readonly Metric[], params = NONE, tags = NONE): LogBatch {
  const keys = [...new Set(metrics.map(({ key }) => key))];
  return {
    metrics: {
      keys,
      key: Int32Array.from(metrics, ({ key }) => keys.indexOf(key)),
      step: BigInt64Array.from(metrics, ({ step }) => BigInt(step)),
      timestamp: Float64Array.from(metrics, ({ timestamp }) => timestamp),
      value: Float64Array.from(metrics, ({ value }) => value),
      length: metrics.length,
    },
    params,
    tags,
  };
}

/** Greater ones are later. Source: `_compare_metrics` in mlflow/store/tracking/sqlalchemy_store.py. */
function isLater(a: StoredPoint, b: StoredPoint): boolean {
  const value = (point: StoredPoint) => (Number.isNaN(point.value) ? 0 : point.value);
  if (a.step !== b.step) return a.step > b.step;
  return a.timestamp === b.timestamp ? value(a) > value(b) : a.timestamp > b.timestamp;
}

function inOrder(points: readonly StoredPoint[]): StoredPoint[] {
  return [...points].sort((a, b) => Number(isLater(a, b)) - Number(isLater(b, a)) || (Number.isNaN(a.value) ? 1 : -1));
}

function stored({ step, timestamp, value }: Metric): StoredPoint {
  const finite = Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value));
  return { step: BigInt(step), timestamp, value: finite };
}

/** @param open is called once, for all of the tests; what it opens is theirs to close */
export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let under: StoreUnderTest;
    let store: MlflowStore;
    let experimentId: string;

    beforeAll(async () => {
      under = await open();
      store = under.store;
      experimentId = await store.createExperiment(`contract ${randomUUID()}`, NONE);
    });
    afterAll(() => store?.close());

    const newRun = (tags = NONE, experiment = experimentId) =>
      store.createRun({ experimentId: experiment, name: "train", startTime: START, user: "somebody", tags });

    describe("experiments", () => {
      test("one that is not there", async () => {
        expect(await store.experimentByName(`nobody's ${randomUUID()}`)).toBeUndefined();
      });

      test("MLflow's own default is there", async () => {
        expect(await store.experimentByName("Default")).toMatchObject({ id: "0", active: true });
      });

      test.each(["plain", "with / and 'quotes' \"of\" both", "日本 🙂", "%41 &a=b#c"])("%s", async (prefix) => {
        const experiment = `${prefix} ${randomUUID()}`;
        const id = await store.createExperiment(experiment, new Map([["a.key", "a value"]]));
        const found = await store.experimentByName(experiment);
        expect(found).toMatchObject({ id, active: true });
        expect(found?.tags.get("a.key")).toBe("a value");
        expect(await store.createExperiment(experiment, NONE)).toBe(id);
      });

      test("created by two at once is one", async () => {
        const second = await under.second();
        const experiment = `race ${randomUUID()}`;
        const ids = await Promise.all(
          [store, second, store, second].map((each) => each.createExperiment(experiment, NONE)),
        );
        expect(new Set(ids).size).toBe(1);
        await second.close();
      });

      test("a tag is set, and set again", async () => {
        const experiment = `tags ${randomUUID()}`;
        const id = await store.createExperiment(experiment, NONE);
        for (const value of ["one", "two", "two"]) await store.setExperimentTag(id, "mlflow.experimentKind", value);
        expect((await store.experimentByName(experiment))?.tags.get("mlflow.experimentKind")).toBe("two");
      });

      test("a deleted one is known, and takes no runs", async () => {
        const experiment = `deleted ${randomUUID()}`;
        const id = await store.createExperiment(experiment, NONE);
        await under.deleteExperiment(id);
        expect(await store.experimentByName(experiment)).toMatchObject({ id, active: false });
        await expect(newRun(NONE, id)).rejects.toMatchObject({ name: "TraceletError", code: "deleted" });
        await expect(store.createExperiment(experiment, NONE)).rejects.toMatchObject({ code: "deleted" });
      });
    });

    describe("runs", () => {
      test("one that is not there", async () => {
        expect(await store.run("0".repeat(32))).toBeUndefined();
      });

      test("is what it was made as", async () => {
        const tags = new Map([
          ["mlflow.user", "somebody"],
          ["tracelet.run", "abc"],
          ["odd: ä/b c", 'lines\nand\ttabs, "quotes" and 🙂'],
          ["long", "x".repeat(5000)],
          ["empty", ""],
        ]);
        const id = await newRun(tags);
        const run = await store.run(id);
        expect(run).toMatchObject({ id, experimentId, active: true, status: "RUNNING" });
        expect([...(run?.tags ?? [])]).toEqual(expect.arrayContaining([...tags, ["mlflow.runName", "train"]]));
        expect([run?.params.size, run?.metricKeys.size]).toEqual([0, 0]);
        expect(await under.run(id)).toEqual({ name: "train", startTime: START, endTime: null });
      });

      test("are found by the exact value of a tag, deleted ones too, in their experiment only", async () => {
        const other = await store.createExperiment(`other ${randomUUID()}`, NONE);
        const value = randomUUID();
        const ids = [await newRun(new Map([["find.me", value]])), await newRun(new Map([["find.me", value]]))];
        await newRun(new Map([["find.me", `${value}0`]]));
        await newRun(new Map([["another", value]]));
        await newRun(new Map([["find.me", value]]), other);
        await under.deleteRun(ids[0] as string);
        const found = await store.runsByTag(experimentId, "find.me", value);
        expect(found.map(({ id }) => id).sort()).toEqual([...ids].sort());
        expect(found.find(({ id }) => id === ids[0])?.active).toBe(false);
        expect(await store.runsByTag(experimentId, "find.me", "nothing")).toEqual([]);
      });

      test("found by a tag's key alone", async () => {
        const key = `tracelet.file.${"e".repeat(32)}`;
        const ids = [await newRun(new Map([[key, "1"]])), await newRun(new Map([[key, "2"]]))];
        await newRun(new Map([[key.replace(/e$/, "f"), "1"]]));
        await under.deleteRun(ids[0] as string);
        const found = await store.runsByTag(experimentId, key);
        expect(found.map(({ id }) => id).sort()).toEqual([...ids].sort());
      });

      test("called otherwise, are found under the new name's tag and run", async () => {
        const id = await newRun(new Map([["tracelet.run", "before"]]));
        await store.updateRun(id, "FINISHED", START + 5);
        await store.renameRun(id, "exp/日本 2");
        await store.logBatch(id, batchOf([], NONE, new Map([["tracelet.run", "after"]])));
        const renamed = await store.run(id);
        expect(renamed?.tags.get("mlflow.runName")).toBe("exp/日本 2");
        expect(renamed?.status).toBe("RUNNING");
        expect((await under.run(id)).name).toBe("exp/日本 2");
        expect(await store.runsByTag(experimentId, "tracelet.run", "before")).toEqual([]);
        expect((await store.runsByTag(experimentId, "tracelet.run", "after")).map((run) => run.id)).toEqual([id]);
        // By another process, too.
        const other = await under.second();
        await other.logBatch(id, batchOf([], NONE, new Map([["tracelet.run", "at last"]])));
        await other.close();
        expect(await store.runsByTag(experimentId, "tracelet.run", "after")).toEqual([]);
        expect((await store.runsByTag(experimentId, "tracelet.run", "at last")).map((run) => run.id)).toEqual([id]);
        await under.deleteRun(id);
        await expect(store.renameRun(id, "no")).rejects.toMatchObject({ name: "TraceletError", code: "deleted" });
      });

      test("of an experiment, any with a tag of a key", async () => {
        const fresh = await store.createExperiment(`fresh ${randomUUID()}`, NONE);
        expect(await store.hasRunsWithTag(fresh, "tracelet.run")).toBe(false);
        const id = await newRun(new Map([["tracelet.run", "abc"]]), fresh);
        expect(await store.hasRunsWithTag(fresh, "tracelet.run")).toBe(true);
        expect(await store.hasRunsWithTag(fresh, "tracelet_run")).toBe(false);
        await under.deleteRun(id);
        expect(await store.hasRunsWithTag(fresh, "tracelet.run")).toBe(true);
      });

      test("end, fail, and run again", async () => {
        const id = await newRun();
        for (const [status, end] of [
          ["FINISHED", START + 5],
          ["FAILED", START + 7],
          ["FAILED", START + 7],
        ] as const) {
          await store.updateRun(id, status, end);
          expect((await store.run(id))?.status).toBe(status);
          expect((await under.run(id)).endTime).toBe(end);
        }
      });

      test("a deleted one refuses everything, and says so", async () => {
        const id = await newRun();
        await under.deleteRun(id);
        expect(await store.run(id)).toMatchObject({ id, active: false });
        const deleted = { name: "TraceletError", code: "deleted" };
        await expect(store.logBatch(id, batchOf([], NONE, new Map([["a", "b"]])))).rejects.toMatchObject(deleted);
        await expect(store.updateRun(id, "FINISHED", START)).rejects.toMatchObject(deleted);
      });

      test("one that is gone for good as well", async () => {
        const batch = batchOf([{ key: "loss", step: 0, timestamp: START, value: 1 }]);
        await expect(store.logBatch("0".repeat(32), batch)).rejects.toMatchObject({ code: "deleted" });
      });
    });

    describe("the history of a metric", () => {
      /** All of it as the store reads it. */
      async function history(runId: string, key: string): Promise<StoredPoint[]> {
        const points: StoredPoint[] = [];
        for await (const page of store.metricHistory(runId, key)) {
          expect(page.keys[page.key[0] as number]).toBe(key);
          for (let i = 0; i < page.length; i++) {
            const [step, timestamp, value] = [page.step[i], page.timestamp[i], page.value[i]];
            points.push({ step: step as bigint, timestamp: timestamp as number, value: value as number });
          }
        }
        return points;
      }
      const text = ({ step, timestamp, value }: StoredPoint) =>
        `${step} ${timestamp} ${Object.is(value, -0) ? 0 : value}`;

      test("is what MLflow has of it, exactly", async () => {
        const values = [
          ...[-1.5, 0, -0, 0.1, Math.fround(0.1), 5e-324, -Number.MAX_VALUE, 1e-45, 9007199254740993],
          ...[Infinity, -Infinity, Number.NaN, 1e22, 123456789012345680, 0.1 + 0.2, 2.5e-9],
        ];
        const steps = [0n, -1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n), 1234567890123456n];
        const metrics: Metric[] = [
          ...values.map((value, i) => ({ key: "a b/ä_ö", step: i, timestamp: START, value })),
          ...steps.map((step) => ({ key: "a b/ä_ö", step, timestamp: START, value: 0.25 })),
          ...[0, 1, 8.64e15].map((timestamp) => ({ key: "a b/ä_ö", step: 1, timestamp, value: 1 })),
          { key: "a b", step: 1, timestamp: START, value: 1 },
        ];
        const id = await newRun();
        await store.logBatch(id, batchOf(metrics));
        const found = (await history(id, "a b/ä_ö")).map(text);
        expect(found.sort()).toEqual((await under.points(id, "a b/ä_ö")).map(text).sort());
        expect(found.sort()).toEqual([...new Set(metrics.slice(0, -1).map(stored).map(text))].sort());
      });

      test("of many points is whole, also where many share their time", async () => {
        const n = 60_001;
        const id = await newRun();
        const metrics = Array.from({ length: n }, (_, i) => {
          return { key: "loss", step: i % 20_000, timestamp: START + (i % 2), value: i / 3 };
        });
        await store.logBatch(id, batchOf(metrics));
        const found = (await history(id, "loss")).map(text);
        expect(found).toHaveLength(n);
        expect(found.sort()).toEqual(metrics.map(stored).map(text).sort());
      });

      test("of a metric that is not there is empty", async () => {
        const id = await newRun();
        expect(await history(id, "nothing")).toEqual([]);
      });

      test("of a deleted run is there", async () => {
        const id = await newRun();
        await store.logBatch(id, batchOf([{ key: "loss", step: 0, timestamp: START, value: 1 }]));
        await under.deleteRun(id);
        expect(await history(id, "loss")).toHaveLength(1);
      });
    });

    describe("batches", () => {
      test("hold metrics, params and tags, and change nothing when they come again", async () => {
        const id = await newRun();
        const metrics: Metric[] = [
          { key: "loss", step: 0, timestamp: START, value: 0.5 },
          { key: "loss", step: 1, timestamp: START + 1, value: 0.25 },
          { key: "train/accuracy", step: 1, timestamp: START + 1, value: 0.75 },
          { key: "loss", step: 0, timestamp: START, value: 0.5 },
        ];
        const batch = batchOf(metrics, new Map([["lr", "0.1"]]), new Map([["mark", "1"]]));
        for (let i = 0; i < 3; i++) await store.logBatch(id, batch);
        const run = await store.run(id);
        expect([...(run?.metricKeys ?? [])].sort()).toEqual(["loss", "train/accuracy"]);
        expect(run?.params).toEqual(new Map([["lr", "0.1"]]));
        expect(run?.tags.get("mark")).toBe("1");
        expect(inOrder(await under.points(id, "loss"))).toEqual(metrics.slice(0, 2).map(stored));
        expect(await under.points(id, "train/accuracy")).toHaveLength(1);
      });

      test("a point that differs in anything is another point", async () => {
        const id = await newRun();
        const metrics: Metric[] = [
          { key: "loss", step: 0, timestamp: START, value: 0 },
          { key: "loss", step: 0, timestamp: START, value: Number.NaN },
          { key: "loss", step: 0, timestamp: START, value: 1 },
          { key: "loss", step: 0, timestamp: START + 1, value: 1 },
          { key: "loss", step: 1, timestamp: START, value: 1 },
        ];
        await store.logBatch(id, batchOf(metrics));
        const found = await under.points(id, "loss");
        expect(found).toHaveLength(5);
        expect(found).toEqual(expect.arrayContaining(metrics.map(stored)));
      });

      test("values, steps and times of every size are kept", async () => {
        const values = [
          -1.5,
          0.1,
          Math.fround(0.1),
          5e-324,
          Number.MAX_VALUE,
          1e-45,
          9007199254740993,
          Infinity,
          -Infinity,
        ];
        const steps = [0n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
        const metrics: Metric[] = [
          ...values.map((value, i) => ({ key: `value ${i}`, step: 1, timestamp: START, value })),
          ...steps.map((step, i) => ({ key: `step ${i}`, step, timestamp: START, value: 1 })),
          ...[0, 1, 8.64e15].map((timestamp, i) => ({ key: `time ${i}`, step: 1, timestamp, value: 1 })),
        ];
        const id = await newRun();
        await store.logBatch(id, batchOf(metrics));
        for (const metric of metrics) {
          expect([metric.key, await under.points(id, metric.key)]).toEqual([metric.key, [stored(metric)]]);
        }
      });

      test("keys with all that MLflow allows", async () => {
        const keys = [
          "a/b/c",
          "a b",
          "a:b",
          "ä",
          "日本語",
          "a..b",
          " a",
          "-",
          "_",
          ".a",
          "a.",
          "x".repeat(250),
          "é".repeat(250),
        ].filter((key) => !(under.refusesColons && key.includes(":")));
        const id = await newRun();
        const metrics = keys.map((key, i) => ({ key, step: i, timestamp: START, value: i }));
        const named = new Map(keys.map((key) => [key, `value of ${key}`]));
        await store.logBatch(id, batchOf(metrics, named, named));
        const run = await store.run(id);
        expect([...(run?.metricKeys ?? [])].sort()).toEqual([...keys].sort());
        expect(run?.params).toEqual(named);
        expect([...(run?.tags ?? [])]).toEqual(expect.arrayContaining([...named]));
      });

      test("larger than any request may be", async () => {
        const id = await newRun();
        const metrics = Array.from({ length: 2500 }, (_, i) => ({
          key: `m${i % 3}`,
          step: i,
          timestamp: START + i,
          value: i,
        }));
        const many = new Map(Array.from({ length: 250 }, (_, i) => [`k${i}`, `v${i}`]));
        await store.logBatch(id, batchOf(metrics, many, many));
        const counts = await Promise.all(["m0", "m1", "m2"].map(async (key) => (await under.points(id, key)).length));
        expect(counts).toEqual([834, 833, 833]);
        const run = await store.run(id);
        expect(run?.params).toEqual(many);
        expect([...(run?.tags ?? [])]).toEqual(expect.arrayContaining([...many]));
      });

      test("of nothing are no error", async () => {
        const id = await newRun();
        await store.logBatch(id, batchOf([]));
        expect((await store.run(id))?.metricKeys.size).toBe(0);
      });

      test("only the columns' first points count", async () => {
        const id = await newRun();
        const whole = batchOf([1, 2, 3].map((step) => ({ key: "loss", step, timestamp: START, value: step })));
        await store.logBatch(id, { ...whole, metrics: { ...whole.metrics, length: 2 } });
        expect((await under.points(id, "loss")).map(({ step }) => step).sort()).toEqual([1n, 2n]);
      });

      test("many points of many keys that are there already, and new ones between them", async () => {
        const id = await newRun();
        const points = (count: number) =>
          ["a", "b", "c"].flatMap((key) =>
            Array.from({ length: count }, (_, step) => ({ key, step, timestamp: START, value: step / 2 })),
          );
        await store.logBatch(id, batchOf(points(120)));
        await store.logBatch(id, batchOf(points(150), new Map(), new Map([["mark", "150"]])));
        for (const key of ["a", "b", "c"]) {
          const steps = (await under.points(id, key)).map(({ step }) => Number(step)).sort((x, y) => x - y);
          expect(steps).toEqual(Array.from({ length: 150 }, (_, step) => step));
        }
        expect((await store.run(id))?.tags.get("mark")).toBe("150");
      });

      test("NaNs that are there already, or twice, are no error, and what is new beside them arrives", async () => {
        const point = (key: string, step: number, value = Number.NaN) => ({ key, step, timestamp: START, value });
        const id = await newRun();
        const before = [point("a", 1), point("a", 2), point("a", 2), point("b", 1)];
        const after = [...before, point("a", 3, 0.5), point("b", 2), point("b", 2), point("c", 1)];
        const tags = new Map([["said", "with them"]]);
        await store.logBatch(id, batchOf(before));
        await store.logBatch(id, batchOf(after, new Map([["lr", "1"]]), tags));
        const steps = async (key: string) => (await under.points(id, key)).map(({ step }) => step).sort();
        expect(await Promise.all(["a", "b", "c"].map(steps))).toEqual([[1n, 2n, 3n], [1n, 2n], [1n]]);
        const run = await store.run(id);
        expect([run?.params.get("lr"), run?.tags.get("said")]).toEqual(["1", "with them"]);
      });

      test("of two at once both arrive", async () => {
        const second = await under.second();
        const id = await newRun();
        const part = (from: number) =>
          batchOf(Array.from({ length: 20 }, (_, i) => ({ key: "loss", step: from + i, timestamp: START, value: i })));
        await Promise.all([0, 20, 40, 60].map((from, i) => (i % 2 ? second : store).logBatch(id, part(from))));
        expect(await under.points(id, "loss")).toHaveLength(80);
        expect((await under.latest(id, "loss"))?.step).toBe(79n);
        await second.close();
      });

      test("in any order and any parts, the latest point is the one MLflow would show", async () => {
        const metric = fc.record({
          key: fc.constantFrom("a", "b"),
          step: fc.integer({ min: -2, max: 2 }),
          timestamp: fc.constantFrom(0, START, START + 1),
          value: fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -1, 1, 0.5),
        });
        const parts = fc.array(fc.array(metric, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });
        await fc.assert(
          fc.asyncProperty(parts, async (batches) => {
            const id = await newRun();
            for (const metrics of batches) await store.logBatch(id, batchOf(metrics));
            for (const key of ["a", "b"]) {
              const all = batches
                .flat()
                .filter((each) => each.key === key)
                .map(stored);
              const best = all.find((point) => !all.some((other) => isLater(other, point)));
              const shown = await under.latest(id, key);
              // A NaN and a 0 of one step and time tie, and either may be the one that stays.
              if (best === undefined || shown === undefined) expect(shown).toBe(best);
              else expect([isLater(best, shown), isLater(shown, best)]).toEqual([false, false]);
            }
          }),
          { numRuns: 25 },
        );
      });
    });
  });
}
