/** Which series a chart of a custom scalars layout draws. */
import { expect, test } from "vitest";
import { customScalarsPageData, pointsOf } from "../../src/encode/pages/custom-scalars-page.ts";
import { cpuTime } from "../support/cpu-time.ts";
import { layout, scalars } from "./samples.ts";

const chartOf = (tags: string[], names: string[]) => {
  const series = names.map((tag) => ({ tag, steps: [1], values: [1] }));
  const data = customScalarsPageData(
    [{ title: "", closed: false, charts: [{ title: "", tags, margins: [] }] }],
    series,
  );
  const chart = data.categories[0]?.charts[0];
  return { tags: chart?.lines.map((i) => data.series[i]?.tag), notes: chart?.notes };
};

test("a pattern matches from the start of a tag, as Python's re.match", () => {
  expect(chartOf(["loss"], ["loss/a", "loss", "val/loss"]).tags).toEqual(["loss/a", "loss"]);
  expect(chartOf(["a|b$", "a"], ["a", "b", "bc"]).tags).toEqual(["a", "b"]);
});

test("a pattern that is none, or cannot be matched in linear time, is told of", () => {
  expect(chartOf(["(", "a"], ["a"])).toEqual({ tags: ["a"], notes: ["Not a pattern that can be matched: ("] });
  expect(chartOf(["(?=a)a"], ["a"]).notes).toEqual(["Not a pattern that can be matched: (?=a)a"]);
  expect(chartOf(["x".repeat(2000)], ["a"]).tags).toEqual([]);
});

test("no pattern takes long", () => {
  const took = cpuTime();
  chartOf(
    ["(a+)+$", "(a|a)*b", "((a{1,100}){1,100}){1,100}x", "(.*)*(.*)*x"],
    Array.from({ length: 20 }, () => `${"a".repeat(2000)}!`),
  );
  expect(took()).toBeLessThan(5000);
});

test("margins need all three tags", () => {
  const data = customScalarsPageData(layout(), scalars());
  const [losses, trend, nothing] = data.categories[0]?.charts ?? [];
  expect(losses?.lines).toHaveLength(3);
  const names = trend?.margins.map(({ value, lower, upper }) => [value, lower, upper].map((i) => data.series[i]?.tag));
  expect(names).toEqual([["trend/mean", "trend/low", "trend/high"]]);
  expect(nothing?.notes).toEqual(["No scalars match no_such_tag"]);
  const lost = [{ value: "a", lower: "trend/low", upper: "b" }];
  const without = customScalarsPageData(
    [{ title: "", closed: false, charts: [{ title: "", tags: [], margins: lost }] }],
    scalars(),
  );
  expect(without.categories[0]?.charts[0]).toMatchObject({ margins: [], notes: ["No scalars of the tag a, b"] });
});

test("many points become at most a thousand, spikes among them", () => {
  const steps = BigInt64Array.from({ length: 100_000 }, (_, i) => BigInt(i));
  const values = Float64Array.from(steps, Number).fill(1);
  values[54_321] = 100;
  values[54_999] = -100;
  const points = pointsOf({ tag: "t", steps, values });
  expect(points.steps.length).toBeLessThanOrEqual(1000);
  expect(Math.max(...points.values.map(Number))).toBe(100);
  expect(Math.min(...points.values.map(Number))).toBe(-100);
  expect(points.steps).toEqual([...points.steps].sort((a, b) => a - b));
});

test("a value that is no number leaves a gap", () => {
  expect(pointsOf({ tag: "t", steps: [1, 2, 3], values: [1, Number.NaN, Infinity] }).values).toEqual([1, null, null]);
});
