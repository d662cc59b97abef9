/** Sets that are compared without being held, against sets of texts. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MetricColumns } from "../../src/backends/mlflow/store.ts";
import { eachLine, ItemSet, partOf, Sum, unmatched } from "../../src/verify/items.ts";
import { type MetricPoint as Point, pointAt, pointOf } from "../../src/verify/mlflow/points.ts";

const point = fc.record({
  step: fc.oneof(fc.bigInt({ min: -3n, max: 3n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  timestamp: fc.oneof(fc.constantFrom(0, 1, 2 ** 32, 8.64e15), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
  value: fc.oneof(fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity, 5e-324), fc.double()),
});
const points = fc.array(point, { maxLength: 40 });

function columnsOf(all: readonly Point[]): MetricColumns {
  return {
    keys: ["loss"],
    key: new Int32Array(all.length),
    step: BigInt64Array.from(all, ({ step }) => step),
    timestamp: Float64Array.from(all, ({ timestamp }) => timestamp),
    value: Float64Array.from(all, ({ value }) => value),
    length: all.length,
  };
}

function setOf(all: readonly Point[]): ItemSet {
  const set = new ItemSet(1);
  for (const i of all.keys()) set.add(pointAt(columnsOf(all), i));
  return set;
}

function sumOf(all: readonly Point[]): Sum {
  const sum = new Sum();
  for (const i of all.keys()) sum.add(pointAt(columnsOf(all), i));
  return sum;
}

/** As MLflow's databases hold it. */
function stored({ step, timestamp, value }: Point): Point {
  const finite = value === Infinity ? Number.MAX_VALUE : value === -Infinity ? -Number.MAX_VALUE : value;
  return { step, timestamp, value: finite === 0 ? 0 : finite };
}

const text = (each: Point) => {
  const { step, timestamp, value } = stored(each);
  return `${step} ${timestamp} ${value}`;
};

test("a point's words are all of it", () => {
  fc.assert(
    fc.property(points, (all) => {
      const columns = columnsOf(all);
      expect(all.map((_, i) => pointOf(pointAt(columns, i)))).toEqual(all.map(stored));
    }),
  );
});

test("a column that begins within a buffer is read where it begins", () => {
  const columns = columnsOf([1n, 2n, 3n].map((step) => ({ step, timestamp: 0, value: 0 })));
  const part = { ...columns, step: columns.step.subarray(1) };
  expect(pointOf(pointAt(part, 0)).step).toBe(2n);
});

describe("a sum", () => {
  test("does not depend on the order", () => {
    fc.assert(
      fc.property(points, (all) => {
        expect(sumOf(all).equals(sumOf([...all].reverse()))).toBe(true);
      }),
    );
  });

  test("tells any two sets apart", () => {
    fc.assert(
      fc.property(points, points, (a, b) => {
        const same = JSON.stringify(a.map(text).sort()) === JSON.stringify(b.map(text).sort());
        expect(sumOf(a).equals(sumOf(b))).toBe(same);
      }),
      { numRuns: 500 },
    );
  });

  test("tells a value from its neighbour, and two values from the same exchanged", () => {
    const at = (step: bigint, value: number): Point => ({ step, timestamp: 5, value });
    const next = 0.1 + Number.EPSILON / 16;
    expect(next).not.toBe(0.1);
    expect(sumOf([at(1n, 0.1)]).equals(sumOf([at(1n, next)]))).toBe(false);
    expect(sumOf([at(1n, 0.1), at(2n, 0.2)]).equals(sumOf([at(1n, 0.2), at(2n, 0.1)]))).toBe(false);
    expect(sumOf([at(1n, 0.1), at(1n, 0.1)]).equals(sumOf([at(1n, 0.1)]))).toBe(false);
  });
});

test("what only one side has is found, and what shares a step comes in pairs", () => {
  fc.assert(
    fc.property(points, points, points, (common, a, b) => {
      const [source, there] = [
        [...common, ...a],
        [...b, ...common, ...common],
      ];
      const found = [...unmatched(setOf(source), setOf(there))].map((pair) => ({
        source: pair.source && pointOf(pair.source),
        there: pair.there && pointOf(pair.there),
      }));
      const [left, right] = [new Set(source.map(text)), new Set(there.map(text))];
      const missing = found.flatMap((pair) => pair.source ?? []).map(text);
      const extra = found.flatMap((pair) => pair.there ?? []).map(text);
      expect(missing.sort()).toEqual([...left].filter((each) => !right.has(each)).sort());
      expect(extra.sort()).toEqual([...right].filter((each) => !left.has(each)).sort());
      const steps = found.map(({ source, there }) => (source ?? there)?.step as bigint);
      expect(steps).toEqual([...steps].sort((x, y) => (x < y ? -1 : Number(x > y))));
      for (const { source, there } of found) if (source && there) expect(source.step).toBe(there.step);
      // Nothing is left that could have been a pair.
      const alone = (side: "source" | "there") =>
        new Set(found.filter((pair) => !(pair.source && pair.there)).flatMap((pair) => pair[side]?.step ?? []));
      expect([...alone("source")].filter((step) => alone("there").has(step))).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test("a part holds all points of a step, and the parts are of about one size", () => {
  const counts = Array.from({ length: 7 }, () => 0);
  for (let step = -5000n; step < 5000n; step++) {
    const at = (timestamp: number) => partOf(pointAt(columnsOf([{ step, timestamp, value: timestamp }]), 0), 7);
    expect(at(1)).toBe(at(2));
    (counts[at(1)] as number) += 1;
  }
  for (const count of counts) expect(Math.abs(count - 10_000 / 7)).toBeLessThan(300);
});

test("lines are told by their SHA-256, whether the last one ends or not", () => {
  const digests = (bytes: string) => {
    const found: string[] = [];
    eachLine(Buffer.from(bytes), (words) => {
      const digest = Buffer.alloc(24);
      words.forEach((word, i) => digest.writeInt32LE(word, 4 * i));
      found.push(digest.toString("hex"));
    });
    return found;
  };
  const expected = ["one", "", "zwölf"].map((line) => createHash("sha256").update(line).digest("hex").slice(0, 48));
  expect(digests("one\n\nzwölf\n")).toEqual(expected);
  expect(digests("one\n\nzwölf")).toEqual(expected);
  expect(digests("")).toEqual([]);
});
