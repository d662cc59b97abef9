import { describe, expect, test } from "vitest";
import { RunConfig } from "../../src/backends/wandb/run-config.ts";
import { Summary } from "../../src/backends/wandb/summary.ts";
import { PythonObject, type PythonValue } from "../../src/reader/python-text.ts";
import { parseRow } from "../support/wandb-server/extended-json.ts";

function valuesOf(config: RunConfig): { [key: string]: unknown } {
  const entries = Object.entries(parseRow(config.text())) as [string, { value: unknown }][];
  const { _wandb, ...values } = Object.fromEntries(entries.map(([key, { value }]) => [key, value]));
  return values;
}

function configOf(...params: readonly (readonly [string, PythonValue])[]): { [key: string]: unknown } {
  const config = new RunConfig();
  for (const [name, value] of params) config.setParams(new Map([[name, value]]));
  return valuesOf(config);
}

describe("hyperparameters", () => {
  test("are nested as they were before TensorBoard's writers flattened them, with their types", () => {
    const params = configOf(
      ["lr", 0.1],
      ["optimizer/name", "adam"],
      ["optimizer/betas", [0.9, 0.999]],
      ["optimizer/schedule/warmup", 10n],
      ["data/shuffle", true],
      ["data/limit", null],
      ["model", new PythonObject("Linear(in_features=2)")],
      ["bound", Number.NEGATIVE_INFINITY],
    );
    expect(params).toEqual({
      lr: 0.1,
      optimizer: { name: "adam", betas: [0.9, 0.999], schedule: { warmup: 10 } },
      data: { shuffle: true, limit: null },
      model: "Linear(in_features=2)",
      bound: "-Infinity",
    });
  });

  test.each([
    ["a", "a/b"],
    ["a/b", "a"],
  ])("%s and %s both keep their values, in whatever order they come", (...names) => {
    expect(configOf(...names.map((name) => [name, name] as const))).toEqual({ a: "a", "a/b": "a/b" });
  });

  test("stay flat where a name has empty parts, and apart from what W&B and tracelet keep there", () => {
    expect(configOf(["/a", 1], ["b//c", 2], ["_wandb/x", 3], ["tracelet", 4], ["__proto__/y", 5])).toEqual({
      "/a": 1,
      "b//c": 2,
      "hparams/_wandb/x": 3,
      "hparams/tracelet": 4,
      ["__proto__"]: { y: 5 },
    });
  });

  test("join those that are there, and leave what others have written", () => {
    const config = new RunConfig('{"a":{"value":{"b":1},"desc":"mine"},"c":{"value":2}}');
    config.setParams(new Map([["a/d", 3]]));
    expect(parseRow(config.text())).toMatchObject({
      a: { value: { b: 1, d: 3 }, desc: "mine" },
      c: { value: 2 },
    });
  });
});

describe("a metric's goal", () => {
  test("is told as W&B's client tells it, and known again to who goes on", () => {
    const config = new RunConfig();
    config.define("acc");
    config.describe("loss", { type: "loss", goal: "min", hasBest: true, info: { unit: "nats" } });
    config.describe("score", { type: "score", goal: "max", info: {} });
    const again = new RunConfig(config.text());
    again.define("loss");
    expect(again.best).toEqual(new Map([["loss", "min"]]));
    expect(again.text()).toBe(config.text());
    expect(parseRow(config.text())["_wandb"]).toMatchObject({
      value: {
        m: [
          { "1": "global_step", "6": [3], "7": [] },
          { "1": "acc", "5": 1, "6": [1, 3], "7": [] },
          { "1": "loss", "5": 1, "6": [1, 3], "7": [1, 5], "8": 1 },
          { "1": "score", "5": 1, "6": [1, 3], "7": [], "8": 2 },
        ],
      },
    });
    expect(valuesOf(config)["tracelet_metrics"]).toEqual({
      loss: { type: "loss", goal: "min", metadata: { unit: "nats" } },
      score: { type: "score", goal: "max" },
    });
  });

  test("has the best value stand in the summary beside the last one", () => {
    const summary = new Summary('{"other":1}');
    for (const text of ["NaN", "3", "1", "NaN", "2"]) summary.setBest("loss", text, "min");
    const again = new Summary(summary.text());
    again.setBest("loss", "Infinity", "min");
    again.setBest("acc", "NaN", "max");
    expect(parseRow(again.text())).toEqual({ other: 1, loss: { last: Infinity, min: 1 }, acc: { last: Number.NaN } });
  });
});

test("10,000 metrics, charts, labels, files and hyperparameters are told at once, beside those that are there", () => {
  const before = new RunConfig();
  before.describe("first", { type: "loss", goal: "min", info: {} });
  before.draw("first", { panel: 1 });
  before.setLabels(new Map([["first", "a"]]));
  before.nameFiles(new Map([["first", "a"]]));
  before.setParams(new Map([["a/first", 1]]));
  const config = new RunConfig(before.text());
  const names = Array.from({ length: 10_000 }, (_, i) => `m${i}`);
  for (const name of names) {
    config.describe(name, { type: "loss", goal: "min", info: {} });
    config.draw(name, { panel: 1 });
    config.setLabels(new Map([[name, "a"]]));
    config.nameFiles(new Map([[name, "a"]]));
  }
  expect(config.nameFiles(new Map(names.map((name) => [name, "a"])))).toBe(false);
  config.setParams(new Map(names.map((name) => [`a/${name}`, 1])));
  const text = config.text();
  const { tracelet_metrics, tracelet_tags, tracelet_files, a } = valuesOf(config);
  const { _wandb } = parseRow(text) as { readonly _wandb: { readonly value: { readonly visualize: object } } };
  const all = [tracelet_metrics, tracelet_tags, tracelet_files, a, _wandb.value.visualize];
  for (const entry of all) expect(Object.keys(entry as object)).toEqual(["first", ...names]);
});
