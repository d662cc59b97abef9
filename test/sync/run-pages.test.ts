/** What is kept of a run to draw its pages. */
import { expect, test } from "vitest";
import type { Datum, HistogramDatum, TextDatum } from "../../src/reader/datum.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import type { Page } from "../../src/sync/backend.ts";
import { makePages } from "../../src/sync/run/run-pages.ts";
import { base } from "./media/support.ts";

async function pagesOf(data: Iterable<Datum>): Promise<Page[]> {
  const pages: Page[] = [];
  const readAgain = async (take: (batch: RecordBatch) => void) => {
    const batch = new RecordBatch(10, new TagTable());
    for (const datum of data) {
      batch.pushDatum(datum, 1);
      take(batch);
      batch.clear();
    }
  };
  for await (const page of makePages(readAgain)) pages.push(page);
  return pages;
}

test("of many texts the newest are shown, and the others counted", async () => {
  const text = (i: number): TextDatum => ({
    ...base("t", BigInt(i)),
    kind: "text",
    shape: [],
    strings: [`<${i}> ${"x".repeat(400)}`],
  });
  const [page] = await pagesOf(
    (function* () {
      for (let i = 0; i < 200_000; i++) yield text(i);
    })(),
  );
  const shown = page?.html.match(/<article>/g)?.length ?? 0;
  expect(shown).toBeGreaterThan(5000);
  expect(page?.html).toContain("Step <b>199999</b>");
  expect(page?.html).toContain(`Step <b>${200_000 - shown}</b>`);
  expect(page?.html).toContain(`${200_000 - shown} older steps are not shown`);
});

test("a histogram of more buckets than anybody draws is counted, and not kept", async () => {
  const histogram = (step: bigint, rows: number): HistogramDatum => ({
    ...base("h", step),
    kind: "histograms",
    buckets: Float64Array.from({ length: 3 * rows }, (_, i) => (i % 3 === 2 ? 1 : i)),
  });
  const [page] = await pagesOf([histogram(1n, 30), histogram(2n, 40_000), histogram(3n, 30)]);
  expect(page?.html).toContain("2 of 3 steps shown");
  const [other] = await pagesOf([histogram(2n, 40_000)]);
  expect(other?.html).toContain("0 of 1 steps shown");
});
