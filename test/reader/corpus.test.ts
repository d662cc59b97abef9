/** Every case of the corpus, value for value and bit for bit, against what TensorBoard's own Python loader reads. */
import { describe, expect, test } from "vitest";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import { cases, comparable, type ExpectedTag, type Json, stepText, valueJson, wallText } from "../support/expected.ts";
import { type ReadFile, readFiles, type ScalarValue } from "../support/read-values.ts";

type Point = readonly [step: string, wall: string, value: Json];

/** Where the reader differs from TensorBoard's loader on purpose; steps and wall times are compared all the same. */
const DIFFERENT: Readonly<Record<string, string>> = {
  "odd/values/image/tensor without size": "an image tensor without its two sizes is unreadable, not an empty image",
  "odd/values/hparams without data": "a hyperparameter record without a record is unreadable",
  "odd/values/kind changes": "a value is of its own plugin, not of its tag's first",
  "odd/values/plugin changes": "a value is of its own plugin, not of its tag's first",
  "08-tf2-style/train/snd": "a clip's label is its label, not a second clip",
};
/** Tags that the loader leaves where TensorBoard's accumulator renames them. */
const RENAMED: Readonly<Record<string, string>> = { "odd/tags/node/name": "" };

function bySeries(path: string, values: ReadFile["values"]): Map<string, Point[]> {
  const series = new Map<string, Point[]>();
  for (const value of values) {
    // TensorBoard's loader gives meta graphs no tag.
    if (value.kind === "graphs" && value.content === "meta_graph_def") continue;
    const tag = RENAMED[`${path}/${value.tag}`] ?? value.tag;
    const points = series.get(tag) ?? [];
    series.set(tag, points);
    points.push([stepText(value.step), wallText(value.wallTime), valueJson(value)]);
  }
  return series;
}

function expectedSeries(tags: { readonly [tag: string]: ExpectedTag }): Map<string, Point[]> {
  return new Map(
    Object.entries(tags).map(([tag, { points }]) => [
      tag,
      points.map(([step, wall, value]) => [stepText(step), wallText(wall), comparable(value)] as const),
    ]),
  );
}

for (const { name, logdir, runs, resync } of cases()) {
  describe(name, () => {
    const found = new Map(discover(logdir).runs.map((run) => [run.name, run]));

    test("the same runs and files", () => {
      const files = Object.entries(runs).map(([run, expected]) => [run, expected.files.map((file) => file.name)]);
      expect([...found].map(([run, { files: entries }]) => [run, entries.map((entry) => entry.name)]).sort()).toEqual(
        files.sort(),
      );
    });

    test.each(Object.keys(runs))("run %s", async (run) => {
      const files = await readFiles(found.get(run) as DiscoveredRun);
      const actual = bySeries(
        `${name}/${run}`,
        files.flatMap((file) => [...file.values]),
      );
      const expected = expectedSeries(resync[run] ?? runs[run]?.tags ?? {});
      expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [tag, points] of expected) {
        const differs = `${name}/${run}/${tag}` in DIFFERENT;
        const compared = (all: readonly Point[] = []) => (differs ? all.map(([step, wall]) => [step, wall]) : all);
        expect([tag, compared(actual.get(tag))]).toEqual([tag, compared(points)]);
      }
    });

    test.each(Object.keys(runs))("scalars of run %s keep the sign of zero", async (run) => {
      const files = await readFiles(found.get(run) as DiscoveredRun);
      const scalars = files
        .flatMap((file) => file.values)
        .filter((value): value is ScalarValue => value.kind === "scalars");
      const negativeZeros = scalars.filter(({ value }) => Object.is(value, -0)).length;
      const expected = Object.values(resync[run] ?? runs[run]?.tags ?? {}).flatMap(({ points }) => points);
      expect(negativeZeros).toBe(expected.filter(([, , value]) => Object.is(value, -0)).length);
    });
  });
}
