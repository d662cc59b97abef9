/** What histograms and curves say in one number, as TensorBoard's compressor, numpy and scikit-learn compute it. */
import { describe, expect, test } from "vitest";
import type { HistogramDatum, PrCurveDatum, TagMetadata } from "../../src/reader/datum.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { NOTHING_OBSOLETE } from "../../src/reader/restarts.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import { derive } from "../../src/sync/transform/derived-metrics.ts";
import { SeriesCounts } from "../../src/sync/transform/series-counts.ts";
import { Transform } from "../../src/sync/transform/transform.ts";
import { event, eventFile, WALL_TIME } from "../support/event-writer.ts";
import { pointText } from "../support/memory-backend.ts";
import { fixtureData } from "./media/support.ts";
import { askPython } from "./python.ts";
import { curve, fileOf, only, World } from "./world.ts";

const METADATA: TagMetadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
const BASE = { tag: "w", step: -(2n ** 62n) + 7n, wallTime: 1_700_000_000.5, offset: 99, metadata: METADATA };
const BOTH = { histogramMetrics: true, prMetrics: true };

function histogram(rows: readonly number[], stats?: HistogramDatum["stats"]): HistogramDatum {
  return { ...BASE, kind: "histograms", buckets: Float64Array.from(rows), ...(stats && { stats }) };
}

function prCurve(precision: readonly number[], recall: readonly number[]): PrCurveDatum {
  const none = new Float64Array(precision.length);
  return {
    ...BASE,
    kind: "pr_curves",
    numThresholds: precision.length,
    truePositives: none,
    falsePositives: none,
    trueNegatives: none,
    falseNegatives: none,
    precision: Float64Array.from(precision),
    recall: Float64Array.from(recall),
  };
}

/** What is derived from one datum, by the part of its tag behind the datum's own. */
function derived(datum: HistogramDatum | PrCurveDatum): Record<string, number> {
  const batch = new RecordBatch(1, new TagTable());
  batch.pushDatum(datum, 1);
  expect(derive(batch, 0, BOTH)).toBe(batch.length);
  return Object.fromEntries(
    Array.from({ length: batch.length }, (_, i) => {
      expect([batch.step[i], batch.wallTime[i], batch.offset[i]]).toEqual([datum.step, datum.wallTime, datum.offset]);
      const tag = batch.tags[batch.tag[i] as number] as string;
      expect(tag.startsWith(`${datum.tag}/`)).toBe(true);
      return [tag.slice(datum.tag.length + 1), batch.value[i] as number];
    }),
  );
}

const close = (values: readonly number[]) =>
  values.map((value) => expect.closeTo(value, Math.max(0, 10 - Math.log10(Math.abs(value) || 1))) as unknown);

describe("histograms", () => {
  test("of real writers: percentiles of TensorBoard's compressor, mean and deviation of numpy", async () => {
    const data = (await fixtureData("histograms")).filter(({ buckets }) => buckets.every(Number.isFinite));
    const full = data.filter(({ buckets }) => buckets.some((value, i) => i % 3 === 2 && value > 0));
    const rows = full.map(({ buckets }) => [...buckets]);
    expect(rows.length).toBeGreaterThan(20);
    const expected = askPython(
      `
import numpy as np
from tensorboard.plugins.distribution import compressor
answer = []
for h in data:
    b = np.array(h).reshape(-1, 3)
    middles = (b[:, 0] + b[:, 1]) / 2
    mean = np.average(middles, weights=b[:, 2])
    std = np.sqrt(np.average((middles - mean) ** 2, weights=b[:, 2]))
    bps = (500, 2500, 5000, 7500, 9500, 10000)
    answer.append([v for _, v in compressor.compress_histogram(b, bps)][:5] + [mean, std])`,
      rows,
    ) as number[][];
    for (const [i, values] of expected.entries()) {
      const found = derived(histogram(rows[i] as number[]));
      expect(Object.keys(found)).toEqual(["p5", "p25", "p50", "p75", "p95", "mean", "std"]);
      expect(Object.values(found).slice(0, 5)).toEqual(values.slice(0, 5));
      expect(Object.values(found)).toEqual(close(values));
    }
  });

  test("a writer's own sums give the mean and deviation of the values themselves", async () => {
    const values = [-2.5, 0.125, 1, 1, 3, 1000];
    const [mean, std] = askPython("import numpy as np\nanswer = [np.mean(data), np.std(data)]", values) as number[];
    const stats = { min: -2.5, max: 1000, num: 6, sum: 1002.625, sumSquares: 1_000_017.265625 };
    const found = derived(histogram([-2.5, 1000, 6], stats));
    expect([found["mean"], found["std"]]).toEqual(close([mean as number, std as number]));
    // Rounding must not make it NaN.
    expect(derived(histogram([0.1, 0.1, 3], { min: 0.1, max: 0.1, num: 3, sum: 0.3, sumSquares: 0.0299 }))["std"]).toBe(
      0,
    );
  });

  test("without values there is nothing to tell", () => {
    expect(derived(histogram([]))).toEqual({});
    expect(derived(histogram([0, 1, 0, 1, 2, 0]))).toEqual({});
    expect(derived(histogram([], { min: 0, max: 0, num: 0, sum: 0, sumSquares: 0 }))).toEqual({});
    expect(derived(histogram([Number.NaN, 1, 5, 0, 1, Number.NaN, 0, 1, -3]))).toEqual({});
  });

  test("buckets that reach to infinity stand at their finite edge; those that are no numbers do not count", () => {
    const found = derived(histogram([-Infinity, 0, 2, 0, 10, 4, 10, Infinity, 2, Number.NaN, 3, 100]));
    // By hand: two values at 0, four between 0 and 10, two at 10.
    expect(found).toEqual({ p5: 0, p25: 0, p50: 5, p75: 10, p95: 10, mean: 5, std: Math.sqrt((4 * 25) / 8) });
  });

  test("edges beyond float32 stay what they are", () => {
    expect(derived(histogram([1e300, 1e300, 4]))).toEqual({
      ...Object.fromEntries(["p5", "p25", "p50", "p75", "p95"].map((name) => [name, 1e300])),
      mean: 1e300,
      std: 0,
    });
  });
});

describe("average precision", () => {
  test("is scikit-learn's, where the thresholds tell all scores apart", () => {
    const cases = Array.from({ length: 20 }, (_, seed) => seed);
    const expected = askPython(
      `
import numpy as np
from sklearn.metrics import average_precision_score
answer = []
for seed in data:
    random = np.random.default_rng(seed)
    n = 11
    labels = random.integers(0, 2, 200)
    labels[0] = 1
    bins = np.clip(random.normal(4 + 2 * labels, 2).round(), 0, n - 1)
    tp = np.array([((bins >= k) & (labels == 1)).sum() for k in range(n)])
    fp = np.array([((bins >= k) & (labels == 0)).sum() for k in range(n)])
    precision = tp / np.maximum(1e-7, tp + fp)
    recall = tp / labels.sum()
    answer.append([list(precision), list(recall), average_precision_score(labels, bins / (n - 1))])`,
      cases,
    ) as [number[], number[], number][];
    for (const [precision, recall, average] of expected) {
      expect(derived(prCurve(precision, recall))).toEqual({ average_precision: close([average])[0] });
    }
  });

  test("of curves that writers can put there", () => {
    expect(derived(prCurve([], []))).toEqual({});
    expect(derived(prCurve([0.25], [1]))).toEqual({ average_precision: 0.25 });
    // Where nothing is found, the precision is none; it weighs nothing.
    expect(derived(prCurve([0.5, 1, Number.NaN], [1, 0.5, 0]))).toEqual({ average_precision: 0.75 });
    expect(derived(prCurve([0.5, Number.NaN], [1, 0.5]))).toEqual({ average_precision: Number.NaN });
  });
});

test("in a sync they are counted beside what was read, and stored once however often they are sent", async () => {
  const world = World.create();
  const histo = { min: 0, max: 4, num: 2, sum: 4, sumSquares: 10, bucketLimit: [2, 4], bucket: [1, 1] };
  const events = [1, 2].map((step) => event({ wallTime: WALL_TIME, step, summary: { value: [{ tag: "w", histo }] } }));
  world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 3)), eventFile(...events)]));
  const transform = { includeTags: [], excludeTags: [], nan: "keep", derive: BOTH } as const;
  const [scalars] = [only(await world.sync({ transform })).tally.kinds.get("scalars")];
  expect(scalars).toMatchObject({ read: 3, derived: 14, sent: 17 });
  const { points } = world.backend.run("train");
  expect(points.has(pointText("w/mean", 2, WALL_TIME, 2))).toBe(true);
  expect(points.has(pointText("w/std", 2, WALL_TIME, 1))).toBe(true);
  world.backend.fault = ({ method }) => (method === "write" ? { when: "after" } : undefined);
  world.loseState();
  world.logdir.append("train", eventFile(...events));
  expect(only(await world.sync({ transform })).outcome).toBe("failed");
  world.backend.fault = () => undefined;
  await world.sync({ transform });
  expect(points.size).toBe(17);
});

describe("in a batch", () => {
  test("only what is new and was asked for is looked at, and nothing else has any", () => {
    const batch = new RecordBatch(4, new TagTable());
    batch.push(batch.tagTable.ofName("w/mean"), 1, 0, 1, 1, 1);
    for (let i = 0; i < 3; i++) batch.pushDatum(i === 1 ? prCurve([1], [1]) : histogram([0, 1, 1]), 1);
    batch.pushDatum({ ...BASE, kind: "tensors", tensor: null }, 1);
    expect(derive(batch, 0, { histogramMetrics: false, prMetrics: false })).toBe(0);
    expect(derive(batch, 1, { histogramMetrics: false, prMetrics: true })).toBe(1);
    expect(derive(batch, 1, { histogramMetrics: true, prMetrics: false })).toBe(7);
    // A tag that is there already goes on.
    expect(batch.tags).toEqual(["w/mean", "w/average_precision", "w/p5", "w/p25", "w/p50", "w/p75", "w/p95", "w/std"]);
    expect(batch.length).toBe(9);
  });

  test("what is left out gives none, and those that are NaN are left out where NaN is", () => {
    const batch = new RecordBatch(4, new TagTable());
    batch.pushDatum({ ...histogram([0, 1, 1]), tag: "unwanted" }, 1);
    batch.pushDatum(prCurve([Number.NaN], [1]), 1);
    batch.pushDatum(histogram([0, 1, 1]), 1);
    const tally = new Tally();
    const options = { includeTags: [], excludeTags: ["unwanted"], nan: "skip", derive: BOTH } as const;
    new Transform(options, "explicit", NOTHING_OBSOLETE).apply(
      batch,
      { file: 0, firstScalar: 0, firstDatum: 0, counts: new SeriesCounts() },
      tally,
    );
    expect(batch.length).toBe(7);
    expect(tally.kinds.get("scalars")).toEqual({
      read: 0,
      derived: 8,
      sent: 0,
      failed: 0,
      skipped: new Map([["nan", 1]]),
    });
  });
});
