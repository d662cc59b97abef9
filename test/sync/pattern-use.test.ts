/** Patterns that match nothing are named, once for all runs. */
import { expect, test } from "vitest";
import { metricRulesOf } from "../../src/sync/transform/metrics/rules.ts";
import { PatternUse } from "../../src/sync/transform/pattern-use.ts";
import { curve, fileOf, interleaved, World } from "./world.ts";

/** As the options give them. */
function asking(includeTags: string[], excludeTags: string[], options: Parameters<typeof metricRulesOf>[0] = {}) {
  const metrics = metricRulesOf(options);
  const use = new PatternUse({ includeTags, excludeTags, metrics });
  const onMetric = (name: string) => use.metric(name);
  return { includeTags, excludeTags, nan: "keep" as const, metrics: metrics && { ...metrics, onMetric }, use };
}

function world(): World {
  const made = World.create();
  made.logdir.write("a/tfevents.1", fileOf(interleaved(curve("train/loss", 0, 3), curve("train/acc", 0, 3))));
  made.logdir.write("b/tfevents.1", fileOf(interleaved(curve("train/loss", 0, 3), curve("debug/x", 0, 3))));
  return made;
}

test("of filters, a pattern counts as used where any run has what it means", async () => {
  const derive = { "{tag}_mean": { mean: 2, match: "*/loss" } };
  const transform = asking(["train/*", "trian/*"], ["debug/*", "*/acc", "*_mean", "debgu/*"], { derive });
  const { unmatched } = await world().sync({ transform });
  expect(unmatched).toEqual([
    '--include-tags "trian/*" does not match any of the 4 tags that were read',
    '--exclude-tags "debgu/*" does not match any of the 4 tags that were read',
  ]);
});

test("of rules for metrics, too", async () => {
  const transform = asking([], [], {
    derive: {
      "{tag}_mean": { mean: 2, match: ["*/loss", "*/lsos"] },
      gap: { expr: "{train/loss} - {train/acc}" },
      none: { expr: "{train/a} - {train/b}" },
    },
    rename: ["train/*=t/*", "*_mean=smooth/*", "tarin/*=t/*"],
    best: ["*acc", "*ac"],
    metricTypes: { "*/acc": "accuracy", "*/ac": "accuracy" },
  });
  const { unmatched } = await world().sync({ transform });
  expect(unmatched.map((text) => text.replace(/ does not match any of the \d+ metrics that were read/, ""))).toEqual([
    'derive "{tag}_mean": match "*/lsos"',
    'derive "none"',
    '--rename "tarin/*=t/*"',
    '--best "*ac"',
    'metricTypes "*/ac"',
  ]);
});

test("where nothing was read, nothing is known", async () => {
  const made = world();
  await made.sync({ transform: asking(["trian/*"], []) });
  const again = await made.sync({ transform: asking(["trian/*"], []) });
  expect(again.unmatched).toEqual([]);
});
