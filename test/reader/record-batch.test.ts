import { describe, expect, test } from "vitest";
import type { Datum } from "../../src/reader/datum.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { scalarsOf } from "../support/read-values.ts";

const STEPS = [
  0n,
  -1n,
  2n ** 32n,
  -(2n ** 32n),
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 31n,
  0xdead_beef_dead_beefn - 2n ** 64n,
];

/** Scalar number `i` of a sequence in which every column tells the place. */
function push(batch: RecordBatch, i: number): void {
  const step = stepOf(i);
  const tag = batch.tagTable.ofName(`t${i % 3}`);
  batch.push(tag, Number(BigInt.asIntN(32, step)), Number(step >> 32n), i + 0.25, i / 3, i * 2 ** 33);
}

function stepOf(i: number): bigint {
  return STEPS[i % STEPS.length] as bigint;
}

function expected(i: number): ReturnType<typeof scalarsOf>[number] {
  return { kind: "scalars", tag: `t${i % 3}`, step: stepOf(i), wallTime: i + 0.25, value: i / 3, offset: i * 2 ** 33 };
}

const datum: Datum = {
  kind: "unreadable",
  isEmpty: false,
  reason: "",
  tag: "",
  step: 0n,
  wallTime: 0,
  offset: 0,
  metadata: { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() },
};

describe.each([1, 2, 7, 100])("a batch of capacity %i", (capacity) => {
  test("holds what was pushed, also beyond its capacity, and again when it was emptied", () => {
    const batch = new RecordBatch(capacity, new TagTable());
    for (const count of [0, 1, capacity, 1000, 3]) {
      for (let i = 0; i < count; i++) push(batch, i);
      expect(batch.full).toBe(count >= capacity);
      expect(batch.empty).toBe(count === 0);
      expect(scalarsOf(batch)).toEqual(Array.from({ length: count }, (_, i) => expected(i)));
      batch.clear();
      expect(scalarsOf(batch)).toEqual([]);
    }
  });

  test("keeps the scalars that are asked for, and all before them", () => {
    const batch = new RecordBatch(capacity, new TagTable());
    for (let i = 0; i < 20; i++) push(batch, i);
    const asked: number[] = [];
    batch.filterScalars(5, (i) => {
      asked.push(i);
      return i % 3 === 0;
    });
    expect(asked).toEqual(Array.from({ length: 15 }, (_, i) => i + 5));
    expect(scalarsOf(batch)).toEqual([0, 1, 2, 3, 4, 6, 9, 12, 15, 18].map(expected));
    push(batch, 20);
    expect(scalarsOf(batch).at(-1)).toEqual(expected(20));
  });
});

test("a batch is full of data by their bytes", () => {
  const batch = new RecordBatch(1000, new TagTable());
  batch.pushDatum(datum, 0);
  expect([batch.full, batch.empty]).toEqual([false, false]);
  batch.pushDatum(datum, 8 * 2 ** 20 - 1);
  expect(batch.full).toBe(false);
  batch.pushDatum(datum, 1);
  expect(batch.full).toBe(true);
  batch.clear();
  expect([batch.full, batch.empty]).toEqual([false, true]);
});
