/** Made-up values for the pages: of the ordinary kind, and of the hostile. */

import type { ScalarSeries } from "../../src/encode/pages/custom-scalars-page.ts";
import type { GraphNode } from "../../src/encode/pages/graph-page.ts";
import type { HistogramStep } from "../../src/encode/pages/histogram-page.ts";
import type { PrCurveStep } from "../../src/encode/pages/pr-curve-page.ts";
import type { TextStep } from "../../src/encode/pages/text-page.ts";
import type { CustomScalarsDatum } from "../../src/reader/datum.ts";

const START = 1_700_000_000;

/** Everything that is markup, script or an ending somewhere. */
export const HOSTILE: readonly string[] = [
  "<script>window.pwned = 1; alert(1)</script>",
  "</script><script>window.pwned = 1; alert(1)</script>",
  "</ScRiPt ><script>window.pwned = 1</script>",
  "<!--<script>",
  "-->",
  "]]>",
  '<img src=x onerror="window.pwned = 1; alert(1)">',
  '<svg onload="window.pwned = 1"><animate onbegin="window.pwned = 1" attributeName=x></svg>',
  '<svg><foreignObject><iframe srcdoc="<script>top.pwned = 1</script>"></iframe></foreignObject></svg>',
  '<iframe src="javascript:parent.pwned = 1"></iframe>',
  '<a href="javascript:window.pwned = 1">x</a>',
  "[click](javascript:window.pwned=1)",
  "[click](JaVaScRiPt:window.pwned=1)",
  "[click](&#106;avascript:window.pwned=1)",
  "[click](data:text/html,<script>window.pwned=1</script>)",
  "[click](vbscript:window.pwned=1)",
  '![x](https://example.invalid/a.png "onerror=window.pwned=1")',
  "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
  '<https://example.invalid/" onclick="window.pwned=1>',
  '" onfocus="window.pwned = 1" autofocus="',
  "' onmouseover='window.pwned = 1'",
  "`${window.pwned = 1}`",
  "\u2028window.pwned = 1\u2029",
  "\ud800 lone surrogate \udfff",
  "\u0000\u0007\u001b[31m",
  "\u202egnp.exe",
  "__proto__",
  "constructor",
  "toString",
  "a/__proto__/constructor",
  "<style>@import url(https://example.invalid/x.css); * { display: none }</style>",
  '<meta http-equiv=refresh content="0;url=https://example.invalid">',
  "<base href=https://example.invalid/>",
  "<form action=https://example.invalid><button autofocus>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "{{constructor.constructor('window.pwned=1')()}}",
  "long ".repeat(20_000),
  "x".repeat(100_000),
];

/** A bell that moves and narrows, in buckets as TensorFlow writes them. */
export function bells(steps: number): HistogramStep[] {
  return Array.from({ length: steps }, (_, i) => {
    const share = steps > 1 ? i / (steps - 1) : 1;
    const [mean, deviation] = [-1 + 1.6 * share + 0.25 * Math.sin(9 * share), 0.9 - 0.6 * share];
    const [left, right] = [mean - 3.2 * deviation, mean + 3.2 * deviation];
    const rows = Array.from({ length: 30 }, (_, k) => {
      const [from, to] = [left + ((right - left) * k) / 30, left + ((right - left) * (k + 1)) / 30];
      const z = ((from + to) / 2 - mean) / deviation;
      return [from, to, Math.round(400 * Math.exp(-0.5 * z * z) * (1 + 0.15 * Math.sin(k * 2.1 + i)))];
    });
    return { step: BigInt(i * 100), wallTime: START + i * 37.5, buckets: Float64Array.from(rows.flat()) };
  });
}

/** Nothing, a constant, no numbers, no ends, one value only. */
export function oddHistograms(): HistogramStep[] {
  const rows = [
    [],
    [5, 5, 100],
    Array.from({ length: 90 }, () => 0),
    [Number.NaN, Number.NaN, 3],
    [-Infinity, 0, 2, 0, Infinity, 3],
    [0, 1, Number.NaN, 1, 2, 4],
    [0, 1, -4, 1, 2, Infinity],
    [2, 1, 4],
    [1, 2],
  ];
  return rows.map((row, i) => ({ step: BigInt(i), wallTime: START + i, buckets: Float64Array.from(row) }));
}

export function curves(steps: number, numThresholds = 127): PrCurveStep[] {
  return Array.from({ length: steps }, (_, s) => {
    const skill = 0.8 + (2.2 * s) / Math.max(1, steps - 1);
    const [positives, negatives] = [5000, 15_000];
    const threshold = Array.from({ length: numThresholds }, (_, i) => i / (numThresholds - 1));
    const above = (x: number, center: number) => 1 / (1 + Math.exp(9 * (x - center)));
    const one = above(0, 0.5 + skill / 7);
    const none = above(0, 0.5 - skill / 7);
    const tp = threshold.map((t) => (t === 1 ? 0 : Math.round((positives * above(t, 0.5 + skill / 7)) / one)));
    const fp = threshold.map((t) => (t === 1 ? 0 : Math.round((negatives * above(t, 0.5 - skill / 7)) / none)));
    return {
      step: BigInt(s * 10),
      wallTime: START + s * 60,
      numThresholds,
      truePositives: Float64Array.from(tp),
      falsePositives: Float64Array.from(fp),
      trueNegatives: Float64Array.from(fp, (n) => negatives - n),
      falseNegatives: Float64Array.from(tp, (n) => positives - n),
      precision: Float64Array.from(tp, (n, i) => n / Math.max(1e-7, n + (fp[i] as number))),
      recall: Float64Array.from(tp, (n) => n / positives),
    };
  });
}

export function texts(): TextStep[] {
  const first = [
    "# Configuration\n\nTrained with **AdamW**, see [the notes](https://example.org/notes).\n",
    "| setting | value |\n| --- | ---: |\n| learning rate | 0.0003 |\n| batch size | 64 |\n",
    "```python\nmodel = Net(width=128)\nloss.backward()\n```\n\n> A sample of what it says after one epoch.\n",
    "1. first\n2. second\n   - inner `code`\n",
  ];
  return [
    { step: 0n, wallTime: START, shape: [], strings: [first.join("\n")] },
    { step: 10n, wallTime: START + 60, shape: [3], strings: ["a row", "of *three*", "strings"] },
    { step: 20n, wallTime: START + 120, shape: [2, 3], strings: ["prompt", "expected", "got", "2 + 2", "`4`", "`5`"] },
    { step: 30n, wallTime: START + 180, shape: [2, 2, 2], strings: ["a", "b", "c", "d", "e", "f", "g", "h"] },
  ];
}

/** Two towers of layers that meet, with a scope a layer. */
export function network(layers: number): GraphNode[] {
  const nodes: GraphNode[] = [];
  const add = (name: string, op: string, ...inputs: string[]) => {
    nodes.push({ name, op, inputs, device: "/device:CPU:0" });
    return name;
  };
  let at = add("input", "Placeholder");
  const start = add("init", "NoOp");
  for (let i = 0; i < layers; i++) {
    const scope = `net/layer_${i}`;
    const weight = add(`${scope}/dense/weight`, "VariableV2", `^${start}`);
    const bias = add(`${scope}/dense/bias`, "VariableV2", `^${start}`);
    const product = add(`${scope}/dense/MatMul`, "MatMul", at, weight);
    const sum = add(`${scope}/dense/BiasAdd`, "BiasAdd", `${product}:0`, bias);
    const active = add(`${scope}/Relu`, "Relu", sum);
    at = i % 3 === 2 ? add(`${scope}/Add`, "AddV2", active, at) : active;
  }
  const labels = add("labels", "Placeholder");
  const loss = add("loss/cross_entropy", "SoftmaxCrossEntropyWithLogits", at, labels);
  const mean = add("loss/mean", "Mean", loss);
  add("train/gradients", "SymbolicGradient", mean);
  add("train/apply", "ApplyAdam", "train/gradients", `^${start}`);
  add("summary", "MergeSummary", mean);
  return nodes;
}

export function scalars(): ScalarSeries[] {
  const steps = Array.from({ length: 120 }, (_, i) => i * 10);
  const falling = (tag: string, from: number, rate: number, noise: number) => ({
    tag,
    steps,
    values: steps.map((step, i) => from * Math.exp(-rate * step) + noise * Math.sin(i * 1.7) * Math.cos(i * 0.31)),
  });
  const loss = falling("trend/mean", 2, 0.003, 0.02);
  return [
    falling("loss/train", 2.3, 0.004, 0.05),
    falling("loss/validation", 2.4, 0.0025, 0.07),
    falling("loss/test", 2.5, 0.002, 0.03),
    falling("accuracy/train", 0.4, 0.001, 0.01),
    loss,
    { tag: "trend/low", steps, values: loss.values.map((value, i) => value - 0.25 - 0.05 * Math.sin(i / 9)) },
    { tag: "trend/high", steps, values: loss.values.map((value, i) => value + 0.3 + 0.06 * Math.cos(i / 7)) },
    { tag: "broken", steps, values: steps.map((step) => (step % 50 === 0 ? Number.NaN : 1)) },
  ];
}

export function layout(): CustomScalarsDatum["categories"] {
  return [
    {
      title: "Losses",
      closed: false,
      charts: [
        { title: "All losses", tags: ["loss/.*"], margins: [] },
        { title: "Trend", tags: [], margins: [{ value: "trend/mean", lower: "trend/low", upper: "trend/high" }] },
        { title: "Nothing", tags: ["no_such_tag"], margins: [] },
      ],
    },
    {
      title: "Accuracy",
      closed: true,
      charts: [{ title: "Accuracy", tags: ["accuracy/train", "broken"], margins: [] }],
    },
  ];
}
