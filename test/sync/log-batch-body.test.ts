import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { logBatchBody } from "../../src/backends/mlflow/log-batch-body.ts";
import type { MetricColumns } from "../../src/backends/mlflow/store.ts";

type Point = readonly [key: string, step: bigint, timestamp: number, value: number];

function columns(...points: readonly Point[]): MetricColumns {
  const keys = [...new Set(points.map(([key]) => key))];
  return {
    keys,
    key: Int32Array.from(points, ([key]) => keys.indexOf(key)),
    step: BigInt64Array.from(points, ([, step]) => step),
    timestamp: Float64Array.from(points, ([, , timestamp]) => timestamp),
    value: Float64Array.from(points, ([, , , value]) => value),
    length: points.length,
  };
}

const NONE = columns();

function body(
  metrics: MetricColumns,
  params: readonly [string, string][] = [],
  tags: readonly [string, string][] = [],
) {
  return logBatchBody("r1", { metrics, from: 0, to: metrics.length, params, tags });
}

describe("text", () => {
  test("metrics stand before params and tags", () => {
    expect(body(columns(["a", 1n, 2, 0.5]), [["p", "x"]], [["t", "y"]])).toBe(
      '{"run_id":"r1","metrics":[{"key":"a","value":0.5,"timestamp":2,"step":1}],' +
        '"params":[{"key":"p","value":"x"}],"tags":[{"key":"t","value":"y"}]}',
    );
  });

  test.each([
    [0, "0"],
    [-0, "-0.0"],
    [Number.NaN, '"NaN"'],
    [Number.POSITIVE_INFINITY, '"Infinity"'],
    [Number.NEGATIVE_INFINITY, '"-Infinity"'],
    [5e-324, "5e-324"],
    [1e21, "1e+21"],
    [Math.fround(0.1), "0.10000000149011612"],
  ])("value %d is written %s", (value, text) => {
    expect(body(columns(["a", 0n, 0, value]))).toContain(`"value":${text},`);
  });

  test.each([
    [2n ** 53n, "9007199254740992"],
    [-(2n ** 53n), "-9007199254740992"],
    [2n ** 53n + 1n, '"9007199254740993"'],
    [-(2n ** 63n), '"-9223372036854775808"'],
  ])("step %s is written %s", (step, text) => {
    expect(body(columns(["a", step, 0, 1]))).toContain(`"step":${text}}`);
  });

  test("keys and texts are escaped", () => {
    const text = body(columns(['a"\\\n', 0n, 0, 1]), [["p", '"']], [["t", "\u0000\u2028ä😀"]]);
    expect(JSON.parse(text)).toMatchObject({
      metrics: [{ key: 'a"\\\n' }],
      params: [{ value: '"' }],
      tags: [{ value: "\u0000\u2028ä😀" }],
    });
  });

  test("only the range is written", () => {
    const metrics = columns(["a", 1n, 1, 1], ["b", 2n, 2, 2], ["c", 3n, 3, 3]);
    const parsed = JSON.parse(logBatchBody("r1", { metrics, from: 1, to: 2, params: [], tags: [] }));
    expect(parsed.metrics).toEqual([{ key: "b", value: 2, timestamp: 2, step: 2 }]);
  });

  test("reads back as what was given", () => {
    const point = fc.tuple(
      fc.constantFrom("loss", "acc/train", "ä b"),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.maxSafeNat(),
      fc.double(),
    );
    fc.assert(
      fc.property(fc.array(point), (points) => {
        const { metrics } = JSON.parse(body(columns(...points))) as { metrics: Record<string, string | number>[] };
        const read = metrics.map((m) => [m["key"], BigInt(m["step"] ?? ""), m["timestamp"], Number(m["value"])]);
        expect(read).toEqual(points);
      }),
    );
  });
});

describe("what MLflow would drop or change in silence is not written", () => {
  test.each([1.5, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("timestamp %d", (timestamp) => {
    expect(() => body(columns(["a", 0n, timestamp, 1]))).toThrow(/timestamp/);
  });

  test.each([
    ["run id", () => logBatchBody("\ud800", { metrics: NONE, from: 0, to: 0, params: [], tags: [] })],
    ["metric key", () => body(columns(["a\ud800", 0n, 0, 1]))],
    ["param key", () => body(NONE, [["\udc00", ""]])],
    ["param", () => body(NONE, [["p", "\udc00x"]])],
    ["tag", () => body(NONE, [], [["t", "x\ud800"]])],
  ])("half a surrogate pair in a %s", (_, write) => {
    expect(write).toThrow(/half a surrogate pair/);
  });

  test("texts that MLflow would cut, counted in code points", () => {
    expect(() => body(NONE, [["p", "x".repeat(6001)]])).toThrow(/longer than the 6000/);
    expect(() => body(NONE, [], [["t", "😀".repeat(8001)]])).toThrow(/longer than the 8000/);
    expect(body(NONE, [["p", "😀".repeat(6000)]], [["t", "x".repeat(8000)]])).toContain("xxx");
  });

  test("an empty key", () => {
    expect(() => body(NONE, [["", "x"]])).toThrow(/without a key/);
  });

  test("a key number without a key, a range beyond the columns, columns of different lengths", () => {
    const metrics = columns(["a", 0n, 0, 1]);
    expect(() => body({ ...metrics, keys: [] })).toThrow(/metric key is missing/);
    expect(() => logBatchBody("r", { metrics, from: 0, to: 2, params: [], tags: [] })).toThrow(/range/);
    expect(() => body({ ...metrics, step: new BigInt64Array(0) })).toThrow(/a column holds 0 of 1/);
  });
});
