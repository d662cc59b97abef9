/** The shapes a histogram page draws. */
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drawable, PERCENTILES, percentiles, rangeOf, rebinned, total } from "../../src/encode/pages/histogram-bins.ts";
import { histogramPage, histogramPageData } from "../../src/encode/pages/histogram-page.ts";
import { NEW_PYTHON } from "../e2e/support/python.ts";
import { bells, oddHistograms } from "./samples.ts";

const buckets = (...rows: number[]) => Float64Array.from(rows);

describe("percentiles", () => {
  test("equal those of TensorBoard's compressor", () => {
    const corpus: number[][] = [
      ...bells(12).map((step) => [...step.buckets]),
      [],
      [5, 5, 100],
      [0, 1, 0, 1, 2, 0],
      [0, 1, 0, 1, 2, 4, 2, 3, 0, 3, 4, 4, 4, 9, 0],
      [-3, -1, 10, -1, 0, 0, 0, 0, 7, 0, 2, 3],
      [0, 1e-30, 5, 1e-30, 1e30, 5],
      ...fc.sample(histogram, { numRuns: 300, seed: 7 }),
    ];
    const program = [
      "import json, sys",
      "from tensorboard.plugins.distribution import compressor",
      "import numpy as np",
      "rows = lambda h: np.array(h, dtype=np.float64).reshape(-1, 3)",
      "json.dump([[v for _, v in compressor.compress_histogram(rows(h))] for h in json.load(sys.stdin)], sys.stdout)",
    ].join("\n");
    const output = execFileSync(NEW_PYTHON, ["-c", program], { input: JSON.stringify(corpus), encoding: "utf8" });
    const expected = JSON.parse(output) as number[][];
    expect(corpus.map((rows) => [...percentiles(Float64Array.from(rows))])).toEqual(expected);
  });

  test("never fall", () => {
    fc.assert(
      fc.property(histogram, (rows) => {
        const values = percentiles(Float64Array.from(rows));
        expect(values).toHaveLength(PERCENTILES.length);
        expect([...values].sort((a, b) => a - b)).toEqual([...values]);
      }),
    );
  });
});

/** Buckets side by side, whole counts. */
const histogram = fc.array(fc.tuple(fc.integer({ min: 0, max: 100 }), fc.nat(1000)), { maxLength: 40 }).map((steps) => {
  let edge = -500;
  return steps.flatMap(([width, count]) => [edge / 8, (edge += width) / 8, count]);
});

describe("bins", () => {
  test("a count goes where its bucket lies, in proportion", () => {
    expect([...rebinned(buckets(0, 1, 5, 1, 3, 10), { left: 0, right: 4 }, 2)]).toEqual([10, 5]);
    expect([...rebinned(buckets(0, 4, 8), { left: 0, right: 8 }, 4)]).toEqual([4, 4, 0, 0]);
    expect([...rebinned(buckets(1, 2, 3), { left: 0, right: 4 }, 4)]).toEqual([0, 3, 0, 0]);
  });

  test("a bucket without width goes to the bin on its right, the last one to the last", () => {
    expect([...rebinned(buckets(2, 2, 6), { left: 0, right: 4 }, 2)]).toEqual([0, 6]);
    expect([...rebinned(buckets(0, 0, 6), { left: 0, right: 4 }, 2)]).toEqual([6, 0]);
    expect([...rebinned(buckets(4, 4, 6), { left: 0, right: 4 }, 2)]).toEqual([0, 6]);
  });

  test("the range holds all steps, and a constant stands inside one", () => {
    expect(rangeOf([buckets(0, 1, 1), buckets(), buckets(-2, 0, 1)], 30)).toEqual({ left: -2, right: 1 });
    expect(rangeOf([buckets(), buckets()], 30)).toBeNull();
    expect(rangeOf([buckets(0, 0, 5)], 30)).toEqual({ left: -1, right: 1 });
    expect(rangeOf([buckets(10, 10, 5)], 30)).toEqual({ left: 10 / 1.1 - 1, right: 10 * 1.1 + 1 });
    expect(rangeOf([buckets(-10, -10, 5)], 30)).toEqual({ left: -10 * 1.1 - 1, right: -10 / 1.1 + 1 });
    expect(rangeOf([buckets(0, 5e-324, 5)], 30)).toEqual({ left: -1, right: 1 });
  });

  test("no count is lost or made", () => {
    fc.assert(
      fc.property(histogram, (rows) => {
        const some = Float64Array.from(rows);
        const range = rangeOf([some], 30);
        const sum = range === null ? 0 : rebinned(some, range, 30).reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo(total(some), 6);
      }),
    );
  });

  test("what cannot be drawn is left out, and an endless bucket stands at its finite edge", () => {
    expect([
      ...drawable(buckets(Number.NaN, 1, 1, 0, 1, Number.NaN, 0, 1, -1, 0, 1, Infinity, -Infinity, Infinity, 1)),
    ]).toEqual([]);
    expect([...drawable(buckets(3, 1, 7))]).toEqual([1, 3, 7]);
    expect([...drawable(buckets(-Infinity, 0, 2, 0, Infinity, 3))]).toEqual([0, 0, 2, 0, 0, 3]);
    expect([...drawable(buckets(-Number.MAX_VALUE, Number.MAX_VALUE, 2))]).toEqual([-1e300, 1e300, 2]);
    // Beyond float32, which the old form's numbers were once rounded to.
    expect([...drawable(buckets(1e39, 2e39, 2))]).toEqual([1e39, 2e39, 2]);
  });
});

describe("page", () => {
  test("steps are in order, at most 200, the first and last among them", () => {
    const data = histogramPageData(bells(1234).reverse());
    expect(data.steps).toHaveLength(200);
    expect([data.steps[0], data.steps.at(-1)]).toEqual(["0", "123300"]);
    expect(data.notes).toEqual(["200 of 1234 steps shown, evenly spread."]);
    expect(data.bins.every((bins) => bins.length === 30)).toBe(true);
  });

  test("odd histograms leave finite numbers only, and are told of", () => {
    const data = histogramPageData(oddHistograms());
    expect(data.bins.map((bins) => bins.length)).toEqual([0, 30, 0, 0, 30, 30, 0, 30, 0]);
    expect(data.bins.flat().every((count) => count !== null && count >= 0)).toBe(true);
    expect(data.notes).toHaveLength(3);
    expect(histogramPageData([]).range).toBeNull();
  });

  test("a step of 64 bits is exact", () => {
    const step = 9_007_199_254_740_993n;
    expect(histogramPage("t", [{ step, wallTime: Number.NaN, buckets: buckets(0, 1, 1) }])).toContain(
      '"9007199254740993"',
    );
  });

  test("is small", () => {
    expect(histogramPage("t", bells(1000)).length).toBeLessThan(250_000);
  });
});
