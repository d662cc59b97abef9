/** Values that are made to take long to be drawn. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { customScalarsPageData } from "../../src/encode/pages/custom-scalars-page.ts";
import { textPage } from "../../src/encode/pages/text-page.ts";
import { cpuTime } from "../support/cpu-time.ts";

let took: () => number;
beforeEach(() => {
  took = cpuTime();
});
afterEach(() => expect(took()).toBeLessThan(20_000));

const step = (strings: readonly string[], shape: readonly number[] = []) => ({ step: 1n, wallTime: 1, shape, strings });

test("a table of cells that are each slow to be taken as Markdown", () => {
  const cells = Array.from({ length: 10_000 }, () => "[".repeat(20_000));
  const page = textPage("t", [step(cells, [10_000])]);
  expect(page.length).toBeLessThan(10_000_000);
  expect(page).toContain("The rest of the text is not shown.");
});

test("a table of short cells is taken as Markdown to its end", () => {
  const page = textPage("t", [
    step(
      Array.from({ length: 5000 }, (_, i) => `*cell ${i}*`),
      [5000],
    ),
  ]);
  expect(page).toContain("<em>cell 4999</em>");
  expect(page).not.toContain("left out");
});

test("patterns that would be matched for hours", () => {
  const tags = Array.from({ length: 20_000 }, (_, i) => `(a{100}b?){10}c{${i % 1000}}`);
  const series = Array.from({ length: 2000 }, (_, i) => ({ tag: `${"a".repeat(5000)}${i}`, steps: [1], values: [1] }));
  const charts = Array.from({ length: 500 }, () => ({ title: "", tags, margins: [] }));
  const { categories } = customScalarsPageData([{ title: "", closed: false, charts }], series);
  expect(categories[0]?.charts.at(-1)?.notes).toEqual(["Matching the patterns takes too long: not all of them were."]);
  expect(categories[0]?.charts[0]?.title.length).toBeLessThan(400);
});
