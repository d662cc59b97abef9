import fc from "fast-check";
import { expect, test } from "vitest";
import { marksOfTags, tagOfMark } from "../../src/sync/backends/mlflow/marks.ts";
import { isValidKey } from "../../src/sync/backends/mlflow/names.ts";
import type { FileMark } from "../../src/sync/fingerprint.ts";

const hash = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 32, maxLength: 32 });
const mark: fc.Arbitrary<FileMark> = fc.record({
  key: fc.tuple(hash, fc.constantFrom("", ".2", ".17")).map((parts) => parts.join("")),
  name: fc.string({ unit: "binary", maxLength: 255 }).filter((name) => Buffer.from(name).toString() === name),
  head: fc.maxSafeNat(),
  offset: fc.maxSafeNat(),
  from: fc.maxSafeNat(),
  tail: hash,
});

test("a mark comes back from a tag that every MLflow takes", () => {
  fc.assert(
    fc.property(fc.uniqueArray(mark, { selector: ({ key }) => key, maxLength: 5 }), (marks) => {
      const tags = new Map([["mlflow.runName", "x"], ...marks.map(tagOfMark)]);
      expect(marksOfTags(tags)).toEqual(marks);
      for (const [key, value] of marks.map(tagOfMark)) {
        expect(isValidKey(key)).toBe(true);
        expect(value.length).toBeLessThan(5000);
      }
    }),
  );
});

test("what is no mark, or one of a later tracelet, is passed over", () => {
  const good = { v: 1, name: "f", head: 1, offset: 2, from: 0, tail: "aa" };
  const values = [
    ...["", "{", "null", "[]", "1", '"x"'],
    ...[{ v: 2 }, { name: 1 }, { tail: null }, { head: -1 }, { offset: 1.5 }, { from: "0" }, { offset: 2 ** 53 }].map(
      (wrong) => JSON.stringify({ ...good, ...wrong }),
    ),
  ];
  const tags = values.map((value, i) => [`tracelet.file.${i}`, value] as const);
  expect(marksOfTags(new Map(tags))).toEqual([]);
  expect(
    marksOfTags(
      new Map([...tags, ["tracelet.file.abc", JSON.stringify(good)], ["other.file.abc", JSON.stringify(good)]]),
    ),
  ).toEqual([{ key: "abc", name: "f", head: 1, offset: 2, from: 0, tail: "aa" }]);
});
