import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Datum, TagMetadata } from "../../src/reader/datum.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { NOTHING_OBSOLETE, type Obsolete } from "../../src/reader/restarts.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { Tally } from "../../src/sync/tally.ts";
import { globFilter, Transform, type TransformOptions } from "../../src/sync/transform.ts";

describe("globs", () => {
  const matches = (globs: readonly string[], names: readonly string[], crossSlash = true) =>
    names.filter(globFilter(globs, [], crossSlash));

  test("of tags cross slashes, of runs they do not", () => {
    const names = ["loss", "train/loss", "a/b/loss", "loss/train"];
    expect(matches(["*loss"], names)).toEqual(["loss", "train/loss", "a/b/loss"]);
    expect(matches(["*loss"], names, false)).toEqual(["loss"]);
    expect(matches(["*/loss"], names, false)).toEqual(["train/loss"]);
    expect(matches(["**/loss"], names, false)).toEqual(["loss", "train/loss", "a/b/loss"]);
  });

  test("have their usual characters, and match whole names only", () => {
    const names = ["a1", "a2", "b1", "a", "xa1", ".hidden", "a/.hidden"];
    expect(matches(["a?"], names)).toEqual(["a1", "a2"]);
    expect(matches(["[ab]1"], names)).toEqual(["a1", "b1"]);
    expect(matches(["{a,b}1"], names)).toEqual(["a1", "b1"]);
    expect(matches(["*hidden"], names)).toEqual([".hidden", "a/.hidden"]);
    expect(matches(["a", "b1"], names)).toEqual(["b1", "a"]);
  });

  test("reach the run that the logdir itself is, and tags with odd characters", () => {
    expect(matches(["."], [".", "a"])).toEqual(["."]);
    const odd = ["two\nlines", "(x)", "日本", " ", "a\\b"];
    expect(matches(["*"], odd)).toEqual(odd);
  });

  test("exclude what they include", () => {
    const wants = globFilter(["train/*"], ["*/lr", "*debug*"]);
    expect(["train/loss", "train/lr", "train/debug/x", "eval/loss"].filter(wants)).toEqual(["train/loss"]);
    expect(["a", "b"].filter(globFilter([], []))).toEqual(["a", "b"]);
    expect(["a", "b"].filter(globFilter([], ["a"]))).toEqual(["b"]);
  });
});

const METADATA: TagMetadata = { plugin: "", displayName: "", description: "", dataClass: 0, content: new Uint8Array() };
const ALL: TransformOptions = { includeTags: [], excludeTags: [], nan: "keep" };

const datum = (tag: string, step: number, kind: "tensors" | "graphs" = "tensors"): Datum => {
  const base = { tag, step: BigInt(step), wallTime: 1, offset: step, metadata: METADATA };
  return kind === "tensors" ? { ...base, kind, tensor: null } : { ...base, kind, content: "graph_def", blobs: [] };
};

function batchOf(
  scalars: readonly (readonly [tag: string, step: number, value: number])[],
  data: readonly Datum[],
): RecordBatch {
  const batch = new RecordBatch(2, new TagTable());
  for (const [tag, step, value] of scalars) batch.push(batch.tagTable.ofName(tag), step, 0, 1, value, step);
  for (const each of data) batch.pushDatum(each, 1);
  return batch;
}

const left = (batch: RecordBatch) =>
  Array.from(
    { length: batch.length },
    (_, i) => `${batch.tags[batch.tag[i] as number]} ${batch.step[i]} ${batch.value[i]}`,
  );
const START = { file: 0, firstScalar: 0, firstDatum: 0 };

test("what is not wanted is left out and counted, each for its first reason", () => {
  const batch = batchOf(
    [
      ["a", 1, 1],
      ["b", 1, Number.NaN],
      ["a", 2, Number.NaN],
      ["a", 3, Infinity],
      ["a", 9, 5],
    ],
    [datum("b", 1), datum("a", 1), datum("a", 9), datum("a", 9, "graphs")],
  );
  const obsolete: Obsolete = { some: true, has: (_file, _offset, _series, step) => step >= 9n };
  const tally = new Tally();
  const lines: string[] = [];
  new Transform({ ...ALL, excludeTags: ["b"], nan: "skip" }, obsolete, (line) => lines.push(line)).apply(
    batch,
    START,
    tally,
  );
  expect(left(batch)).toEqual(["a 1 1", "a 3 Infinity"]);
  expect(batch.data.map(({ kind, tag, step }) => `${kind} ${tag} ${step}`)).toEqual(["tensors a 1", "graphs a 9"]);
  expect(Object.fromEntries(tally.kinds)).toEqual({
    scalars: {
      read: 5,
      sent: 0,
      derived: 0,
      failed: 0,
      leftOut: new Map([
        ["obsolete", 1],
        ["excluded", 1],
        ["nan", 1],
      ]),
    },
    tensors: {
      read: 3,
      sent: 0,
      derived: 0,
      failed: 0,
      leftOut: new Map([
        ["obsolete", 1],
        ["excluded", 1],
      ]),
    },
    graphs: { read: 1, derived: 0, sent: 0, failed: 0, leftOut: new Map() },
  });
  expect(lines).toHaveLength(5);
  expect(lines).toContain("@1 scalars b step 1: left out (excluded)");
});

test("only what is new in the batch is looked at", () => {
  const batch = batchOf(
    [
      ["b", 1, 1],
      ["b", 2, 2],
      ["a", 3, 3],
    ],
    [datum("b", 1), datum("b", 2)],
  );
  const tally = new Tally();
  new Transform({ ...ALL, includeTags: ["a"] }, NOTHING_OBSOLETE).apply(
    batch,
    { file: 0, firstScalar: 1, firstDatum: 1 },
    tally,
  );
  expect(left(batch)).toEqual(["b 1 1", "a 3 3"]);
  expect(batch.data).toHaveLength(1);
  expect(tally.kinds.get("scalars")).toMatchObject({ read: 2, leftOut: new Map([["excluded", 1]]) });
  expect(tally.kinds.get("tensors")).toMatchObject({ read: 1, leftOut: new Map([["excluded", 1]]) });
});

test("every value is asked about once, in order, and with its place", () => {
  const asked: string[] = [];
  const obsolete: Obsolete = {
    some: true,
    has: (file, offset, series, step) => asked.push(`${file} ${offset} ${series.replace("\0", ":")} ${step}`) < 0,
  };
  const transform = new Transform(ALL, obsolete);
  transform.apply(
    batchOf(
      [
        ["a", 1, 1],
        ["b", 2, 2],
      ],
      [datum("c", 3)],
    ),
    { ...START, file: 4 },
    new Tally(),
  );
  expect(asked).toEqual(["4 1 a 1", "4 2 b 2", "4 3 tensors:c 3"]);
});

test("for any values and any choice: in order, and adding up", () => {
  const scalar = fc.tuple(fc.constantFrom("a", "b/c", "d"), fc.nat(5), fc.constantFrom(1, Number.NaN, -0));
  const options = fc.record<TransformOptions>({
    includeTags: fc.subarray(["a", "b*"]),
    excludeTags: fc.subarray(["d", "*c"]),
    nan: fc.constantFrom("keep", "skip"),
  });
  fc.assert(
    fc.property(fc.array(scalar), options, (scalars, chosen) => {
      const batch = batchOf(scalars, []);
      const before = left(batch);
      const tally = new Tally();
      new Transform(chosen, NOTHING_OBSOLETE).apply(batch, START, tally);
      const wants = globFilter(chosen.includeTags, chosen.excludeTags);
      const kept = scalars.map(([tag, , value]) => wants(tag) && !(chosen.nan === "skip" && Number.isNaN(value)));
      expect(left(batch)).toEqual(before.filter((_, i) => kept[i]));
      const counted = tally.kinds.get("scalars");
      const out = [...(counted?.leftOut.values() ?? [])].reduce((sum, n) => sum + n, 0);
      expect([counted?.read ?? 0, out]).toEqual([scalars.length, scalars.length - batch.length]);
    }),
  );
});
