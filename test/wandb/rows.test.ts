import { describe, expect, test } from "vitest";
import { isTooLong, lineOf, type RowValue, rowsOf, valuesOf } from "../../src/backends/wandb/rows.ts";
import type { Datum, ScalarColumns } from "../../src/reader/datum.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { parseRow } from "../support/wandb-server/extended-json.ts";

const TIME = 1_700_000_000;

function value(key: string, step: number | bigint, wallTime = TIME, text = "1"): RowValue {
  return { key, text, step: BigInt(step), wallTime };
}

function shapeOf(values: readonly RowValue[]): string[] {
  return rowsOf(values).map(({ step, values }) => `${step}: ${[...values.keys()]}`);
}

describe("rows", () => {
  test("hold what follows each other of one step", () => {
    expect(shapeOf([value("a", 1), value("b", 1), value("a", 2), value("b", 3), value("c", 3)])).toEqual([
      "1: a,b",
      "2: a",
      "3: b,c",
    ]);
  });

  test("hold a tag once, and steps that come again in rows of their own", () => {
    expect(shapeOf([value("a", 1), value("a", 1), value("b", 1), value("a", 0), value("b", 1)])).toEqual([
      "1: a",
      "1: a,b",
      "0: a",
      "1: b",
    ]);
  });

  test("share a time, so that what was written later is a row of its own", () => {
    const nan = Number.NaN;
    const values = [value("a", 1), value("b", 1, TIME + 0.9), value("c", 1, TIME + 1.1), value("d", 1, nan)];
    expect(shapeOf([...values, value("e", 1, nan)])).toEqual(["1: a,b", "1: c", "1: d,e"]);
    expect(rowsOf(values)[0]?.wallTime).toBe(TIME + 0.9);
  });

  test("end before a line would be longer than W&B takes, and hold one value at least", () => {
    const text = JSON.stringify("\u20ac".repeat(2_000_000));
    const values = ["a", "b", "c"].map((key) => value(key, 1, TIME, text));
    const lines = rowsOf(values).map((row, i) => lineOf(row, i, ["global_step"], TIME));
    expect(lines.map((line) => Object.keys(parseRow(line))[0])).toEqual(["a", "b", "c"]);
    const longest = Math.max(...lines.map((line) => Buffer.byteLength(line)));
    expect(longest).toBeLessThan(10 * 1024 * 1024 - 100 * 1024);
    expect([isTooLong("a", text), isTooLong("a", text + text), isTooLong("k".repeat(1 << 24), "1")]).toEqual([
      false,
      true,
      true,
    ]);
  });

  test("of a file hold the same points, wherever batches end, and the same rows but for those that are cut there", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      const all = Array.from({ length: 60 }, () =>
        value(`t${Math.floor(random() * 5)}`, Math.floor(random() * 4), TIME + random() * 3, String(random())),
      );
      const whole = rowsOf(all);
      const ends: number[] = [];
      const cut = [];
      for (let at = 0; at < all.length; ) {
        const end = Math.min(all.length, at + 1 + Math.floor(random() * 20));
        cut.push(...rowsOf(all.slice(at, end)));
        at = end;
        ends.push(end);
      }
      const pointsIn = (rows: typeof whole) => rows.flatMap(({ step, values }) => [...values].map((e) => [step, ...e]));
      expect(pointsIn(cut)).toEqual(pointsIn(whole));
      expect(pointsIn(whole)).toEqual(all.map(({ step, key, text }) => [step, key, text]));
      expect(cut.length).toBeLessThanOrEqual(whole.length + 2 * ends.length);
    }
  });
});

test("values come file by file, in the order of their records", () => {
  const scalars: ScalarColumns = {
    tags: ["a", "made", "b"],
    tag: Int32Array.of(0, 0, 1, 2),
    step: BigInt64Array.of(0n, 1n, 0n, 0n),
    wallTime: new Float64Array(4).fill(TIME),
    value: Float64Array.of(1, 2, -0, Number.NaN),
    offset: Float64Array.of(10, 20, 10, 5),
    length: 4,
  };
  const parts = [
    { file: "one", firstScalar: 0, firstDatum: 0 },
    { file: "two", firstScalar: 3, firstDatum: 3 },
  ];
  const metadata = { plugin: "text", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
  const text = (tag: string, offset: number): Datum => {
    return { kind: "text", tag, step: 7n, wallTime: TIME, offset, metadata, shape: [], strings: [""] };
  };
  const [early, late, unsent] = [text("early", 10), text("late", 30), text("unsent", 15)];
  const texts = new Map([
    [early, ["{}", "[]"]],
    [late, ["{}"]],
  ]);
  const data = [early, late, unsent];
  const files = Array.from(valuesOf({ scalars, data, parts }, texts, new Map([[3, "left out"]])), (values) =>
    values.map(({ key, step, text }) => `${key} ${step} ${text}`),
  );
  expect(files).toEqual([["a 0 1", "made 0 -0.0", "early 7 {}", "early 7 []", "a 1 2", "late 7 {}"], []]);
});

test("what was planned before is cut off from what has come since, plan by plan, and stays in the same rows", () => {
  const of = (length: number): ScalarColumns => ({
    tags: ["a", "b"],
    tag: Int32Array.from({ length }, (_, i) => i % 2),
    step: BigInt64Array.from({ length }, (_, i) => BigInt(Math.floor(i / 2) % 4)),
    wallTime: new Float64Array(length).fill(TIME),
    value: Float64Array.from({ length }, (_, i) => i),
    offset: Float64Array.from({ length }, (_, i) => 10 * (i % 8)),
    length,
  });
  // Two files of eight values each.
  const parts = [
    { file: "one", key: "1", firstScalar: 0, firstDatum: 0 },
    { file: "two", key: "2", firstScalar: 8, firstDatum: 0 },
  ];
  const rows = (cuts: readonly ReadonlyMap<string, number>[]) =>
    Array.from(valuesOf({ scalars: of(16), data: [], parts }, new Map(), new Map(), cuts), rowsOf)
      .flat()
      .map(({ values }) => [...values.values()].map(Number).join());
  expect(rows([])).toEqual(["0,1", "2,3", "4,5", "6,7", "8,9", "10,11", "12,13", "14,15"]);
  const first = new Map([["1", 30]]);
  const second = new Map([
    ["1", 50],
    ["2", 10],
  ]);
  expect(rows([first])).toEqual(["0,1", "2", "3", "4,5", "6,7", "8,9", "10,11", "12,13", "14,15"]);
  expect(rows([first, second])).toEqual([
    ...["0,1", "2", "3", "4", "8"],
    ...["5", "6,7", "9", "10,11", "12,13", "14,15"],
  ]);
});

describe("a line", () => {
  const lineFor = (text: string, step: bigint, wallTime = TIME + 0.25) =>
    lineOf({ step, wallTime, values: new Map([['a "b"', text]]) }, 7, ["global_step"], TIME);

  test("has its number, the step, the time and the values", () => {
    expect(parseRow(lineFor("0.5", 3n))).toEqual({
      'a "b"': 0.5,
      global_step: 3,
      _step: 7,
      _timestamp: TIME + 0.25,
      _runtime: 0.25,
    });
  });

  test("has the tokens of W&B's client, and steps of 64 bits", () => {
    expect(lineFor("NaN", 2n ** 63n - 1n)).toContain('"a \\"b\\"":NaN,"global_step":9223372036854775807,');
    expect(lineFor("-Infinity", -5n)).toContain(":-Infinity,");
    expect(parseRow(lineFor("1", 0n, Number.NaN))).toEqual({ 'a "b"': 1, global_step: 0, _step: 7 });
  });
});
