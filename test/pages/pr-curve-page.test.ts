/** The curves a precision-recall page draws. */
import { expect, test } from "vitest";
import { prCurvePage, prCurvePageData } from "../../src/encode/pages/pr-curve-page.ts";
import { curves } from "./samples.ts";

test("thresholds nothing reaches are cut off at the end", () => {
  const [step] = curves(1, 11);
  const [curve] = prCurvePageData([step!]).curves;
  expect(curve?.threshold).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
  expect(curve?.counts.map((column) => column.length)).toEqual([10, 10, 10, 10]);
  expect(curve?.counts[0]?.[0]).toBe(5000);
});

test("steps are in order, and thinned with a word", () => {
  const data = prCurvePageData(curves(500).reverse());
  expect([data.steps.length, data.steps[0], data.steps.at(-1)]).toEqual([200, "0", "4990"]);
  expect(data.notes).toEqual(["200 of 500 steps shown, evenly spread."]);
});

test("a page has a bound, whatever the number of thresholds", () => {
  const html = prCurvePage("t", curves(300, 4000));
  expect(html.length).toBeLessThan(8_000_000);
  expect(html).toContain("At most 1001 thresholds a step shown");
});

test("curves without points, with one, or without numbers", () => {
  const odd = (n: number, value: number) => {
    const row = new Float64Array(n).fill(value);
    const rows = {
      truePositives: row,
      falsePositives: row,
      trueNegatives: row,
      falseNegatives: row,
      precision: row,
      recall: row,
    };
    return { step: 0n, wallTime: 0, numThresholds: n, ...rows };
  };
  const data = prCurvePageData([odd(0, 0), odd(1, 1), odd(3, Number.NaN)]);
  expect(data.curves.map(({ threshold }) => threshold)).toEqual(
    [[], [0], [0]].map((row, i) => (i === 2 ? [0, 0.5, 1] : row)),
  );
  expect(data.curves[2]?.precision).toEqual([null, null, null]);
});
