import fc from "fast-check";
import { expect, test } from "vitest";
import { marksOfTags, tagOfMark } from "../../src/backends/mlflow/marks.ts";
import { isValidKey } from "../../src/backends/mlflow/names.ts";
import { type FileMark, waypointCount } from "../../src/sync/source/fingerprint.ts";

const hash = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 32, maxLength: 32 });
const id = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 8, maxLength: 8 });
const mark: fc.Arbitrary<FileMark> = fc
  .record({
    key: fc.tuple(hash, fc.constantFrom("", ".2", ".17", ".4000")).map((parts) => parts.join("")),
    name: fc.string({ unit: "binary", maxLength: 255 }).filter((name) => Buffer.from(name).toString() === name),
    head: fc.integer({ min: 1, max: 1024 }),
    offset: fc.maxSafeNat(),
    from: fc.maxSafeNat(),
    tail: fc.oneof(hash, fc.constant("")),
    waypoints: fc.array(id, { minLength: 64, maxLength: 64 }),
    base: fc.option(fc.maxSafeNat(), { nil: undefined }),
    choice: id,
    until: fc.dictionary(id, fc.maxSafeNat(), { minKeys: 1, maxKeys: 64 }),
  })
  .map(({ base, choice, until, waypoints, ...given }) => {
    const before = waypoints.slice(0, waypointCount(given.offset));
    const mark = {
      ...given,
      from: Math.min(given.from, given.offset),
      ...(before.length > 0 && before.length === waypointCount(given.offset) && { waypoints: before }),
    };
    // Versions before 0.2 told none of these.
    return base === undefined ? mark : { ...mark, base: Math.min(base, given.offset), choice, until: { ...until } };
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

test("of a mark that tells of choices what tracelet would not have written is passed over", () => {
  const key = "0123456789abcdef".repeat(2);
  const good = { v: 1, name: "f", head: 1, offset: 2, from: 0, tail: key };
  const read = (more: object) => marksOfTags(new Map([[`tracelet.file.${key}`, JSON.stringify({ ...good, ...more })]]));
  const { v: _, ...plain } = good;
  for (const base of [-1, 3, 0.5, "0", null]) expect(read({ base, choice: "01234567" })).toEqual([{ key, ...plain }]);
  for (const more of [{ choice: "x" }, { until: [1] }, { until: null }, { until: { __proto__: 1, "01234567": -1 } }])
    expect(read({ base: 1, ...more })).toEqual([{ key, ...plain, base: 1 }]);
});

test("waypoints that are none are passed over", () => {
  const key = "0123456789abcdef".repeat(2);
  const good = { v: 1, name: "f", head: 1, offset: 600, from: 0, tail: key };
  const read = (waypoints: unknown) =>
    marksOfTags(new Map([[`tracelet.file.${key}`, JSON.stringify({ ...good, waypoints })]])).map(
      (each) => each.waypoints,
    );
  for (const wrong of [
    "",
    "x",
    "0123456",
    "01234567 ",
    "01234567",
    ["01234567"],
    1,
    null,
    "01234567 ".repeat(65).trim(),
  ])
    expect(read(wrong)).toEqual([undefined]);
  expect(read("01234567 89abcdef")).toEqual([["01234567", "89abcdef"]]);
});

test("what is no mark, or one of a later tracelet, is passed over", () => {
  const key = "0123456789abcdef".repeat(2);
  const good = { v: 1, name: "f", head: 1, offset: 2, from: 0, tail: key };
  const values = [
    ...["", "{", "null", "[]", "1", '"x"'],
    ...[
      { v: 2 },
      { name: 1 },
      { tail: null },
      { head: -1 },
      { offset: 1.5 },
      { from: "0" },
      { offset: 2 ** 53 },
      { from: 3 },
      { head: 0 },
      { head: 1025 },
      { head: 2 ** 40 },
      { name: "n".repeat(1021) },
      { tail: "aa" },
      { more: "m".repeat(8000) },
    ].map((wrong) => JSON.stringify({ ...good, ...wrong })),
  ];
  const tags = values.map((value, i) => [`tracelet.file.${key}.${i}`, value] as const);
  expect(marksOfTags(new Map(tags))).toEqual([]);
  const keys = ["", "abc", `${key}0`, key.toUpperCase(), `${key}.`, `${key}.x`, `${key}.12345678`, `${key}/..`];
  const wrongKeys = keys.map((wrong) => [`tracelet.file.${wrong}`, JSON.stringify(good)] as const);
  expect(marksOfTags(new Map(wrongKeys))).toEqual([]);
  expect(
    marksOfTags(
      new Map([...tags, [`tracelet.file.${key}`, JSON.stringify(good)], [`other.file.${key}`, JSON.stringify(good)]]),
    ),
  ).toEqual([{ key, name: "f", head: 1, offset: 2, from: 0, tail: key }]);
});

test("a million marks of one run are not all taken", () => {
  const value = JSON.stringify({ v: 1, name: "f", head: 1, offset: 2, from: 0, tail: "" });
  const hash = "0123456789abcdef".repeat(2);
  const tags = new Map(Array.from({ length: 100_010 }, (_, i) => [`tracelet.file.${hash}.${i}`, value]));
  expect(marksOfTags(tags)).toHaveLength(100_000);
});
