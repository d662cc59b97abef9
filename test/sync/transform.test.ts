import fc from "fast-check";
import picomatch from "picomatch";
import { describe, expect, test } from "vitest";
import type { Datum, Kind, TagMetadata } from "../../src/reader/datum.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { NOTHING_OBSOLETE, type Obsolete, type RestartPolicy } from "../../src/reader/restarts.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import { globFilter } from "../../src/sync/transform/globs.ts";
import { SeriesCounts } from "../../src/sync/transform/series-counts.ts";
import { Transform, type TransformOptions } from "../../src/sync/transform/transform.ts";

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
const START = { file: 0, firstScalar: 0, firstDatum: 0, counts: new SeriesCounts() };

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
  new Transform({ ...ALL, excludeTags: ["b"], nan: "skip" }, "explicit", obsolete, (line) => lines.push(line)).apply(
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
      skipped: new Map([
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
      skipped: new Map([
        ["obsolete", 1],
        ["excluded", 1],
      ]),
    },
    graphs: { read: 1, derived: 0, sent: 0, failed: 0, skipped: new Map() },
  });
  expect(lines).toHaveLength(5);
  expect(lines).toContain("@1 scalars b step 1: skipped (excluded)");
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
  new Transform({ ...ALL, includeTags: ["a"] }, "explicit", NOTHING_OBSOLETE).apply(
    batch,
    { ...START, firstScalar: 1, firstDatum: 1 },
    tally,
  );
  expect(left(batch)).toEqual(["b 1 1", "a 3 3"]);
  expect(batch.data).toHaveLength(1);
  expect(tally.kinds.get("scalars")).toMatchObject({ read: 2, skipped: new Map([["excluded", 1]]) });
  expect(tally.kinds.get("tensors")).toMatchObject({ read: 1, skipped: new Map([["excluded", 1]]) });
});

test("every value is asked about once, in order, and with its place", () => {
  const asked: string[] = [];
  const obsolete: Obsolete = {
    some: true,
    has: (file, offset, series, step) => asked.push(`${file} ${offset} ${series.replace("\0", ":")} ${step}`) < 0,
  };
  const transform = new Transform(ALL, "explicit", obsolete);
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
      new Transform(chosen, "explicit", NOTHING_OBSOLETE).apply(batch, START, tally);
      const wants = globFilter(chosen.includeTags, chosen.excludeTags);
      const kept = scalars.map(([tag, , value]) => wants(tag) && !(chosen.nan === "skip" && Number.isNaN(value)));
      expect(left(batch)).toEqual(before.filter((_, i) => kept[i]));
      const counted = tally.kinds.get("scalars");
      const out = [...(counted?.skipped.values() ?? [])].reduce((sum, n) => sum + n, 0);
      expect([counted?.read ?? 0, out]).toEqual([scalars.length, scalars.length - batch.length]);
    }),
  );
});

describe("kinds", () => {
  test("are left out whole, whatever the tag; the others stay", () => {
    const batch = batchOf([["a", 1, 1]], [datum("a", 1), datum("g", 1, "graphs"), datum("b", 1)]);
    const tally = new Tally();
    const excludeKinds = new Set<Kind>(["scalars", "tensors"]);
    new Transform({ ...ALL, excludeKinds, excludeTags: ["g"] }, "explicit", NOTHING_OBSOLETE).apply(
      batch,
      START,
      tally,
    );
    expect([batch.length, batch.data.length]).toEqual([0, 0]);
    const out = Object.fromEntries([...tally.kinds].map(([kind, { skipped }]) => [kind, Object.fromEntries(skipped)]));
    expect(out).toEqual({ scalars: { excluded: 1 }, tensors: { excluded: 2 }, graphs: { excluded: 1 } });
  });
});

describe("steps of media", () => {
  const base = (tag: string, step: number) => {
    return { tag, step: BigInt(step), wallTime: 1, offset: step, metadata: METADATA };
  };
  const mesh = (step: number, content: "vertex" | "face"): Datum => {
    const tensor = { dtype: "float32", shape: [0], data: new Float32Array() } as const;
    return { ...base(`m_${content}`, step), kind: "mesh", mesh: "m", content, config: "", tensor };
  };
  const steps = ({ data }: RecordBatch) => data.map(({ tag, step }) => `${tag} ${step}`);

  function thinned(options: Partial<TransformOptions>, data: readonly Datum[], counts = new SeriesCounts()) {
    const batch = batchOf([["loss", 1, 1]], data);
    const tally = new Tally();
    new Transform({ ...ALL, ...options }, "explicit", NOTHING_OBSOLETE).apply(batch, { ...START, counts }, tally);
    expect(batch.length).toBe(1);
    return { kept: steps(batch), tally };
  }

  test("are the first and each nth, of each tag for itself, and no more than are asked for", () => {
    const data = [0, 10, 20, 30, 40, 50, 60].flatMap((step) => [datum("a", step), datum("b", step + 1)]);
    expect(thinned({ every: 3 }, data).kept).toEqual(["a 0", "b 1", "a 30", "b 31", "a 60", "b 61"]);
    expect(thinned({ maxSteps: 1 }, data).kept).toEqual(["a 0", "b 1"]);
    const both = thinned({ every: 3, maxSteps: 2 }, data);
    expect(both.kept).toEqual(["a 0", "b 1", "a 30", "b 31"]);
    expect(Object.fromEntries(both.tally.kinds.get("tensors")?.skipped ?? [])).toEqual({
      every: 8,
      "max-steps": 2,
    });
  });

  test("are kept or left out with all their values, a mesh's of several tags too", () => {
    const data = [1, 2, 3].flatMap((step) => [mesh(step, "vertex"), mesh(step, "face"), datum("a", step)]);
    const twice = data.flatMap((each): Datum[] => (each.kind === "mesh" ? [each] : [each, each]));
    expect(thinned({ every: 2 }, twice).kept).toEqual(
      [1, 3].flatMap((step) => [`m_vertex ${step}`, `m_face ${step}`, `a ${step}`, `a ${step}`]),
    );
    // A writer may give the faces at some steps only: then their own first step is not the mesh's.
    const cloud = [mesh(1, "vertex"), mesh(2, "vertex"), mesh(2, "face"), mesh(3, "vertex"), mesh(3, "face")];
    expect(thinned({ every: 2 }, cloud).kept).toEqual(["m_vertex 1", "m_vertex 3", "m_face 3"]);
  });

  test("are not counted where they are no series: graphs, hyperparameters, layouts, what cannot be decoded", () => {
    const data: Datum[] = [1, 2].flatMap((step): Datum[] => [
      datum("g", step, "graphs"),
      { ...base("u", step), kind: "unreadable", reason: "?", isEmpty: false },
      { ...base("l", step), kind: "custom_scalars", categories: [] },
      { ...base("h", step), kind: "hparams", record: { type: "session_end", status: "success", endTime: 0 } },
    ]);
    expect(thinned({ every: 2, maxSteps: 1 }, data).kept).toHaveLength(8);
  });

  test("are counted anew after a restart in the file, and whatever a restart elsewhere makes obsolete", () => {
    const keptOf = (written: readonly number[], policy: RestartPolicy, starts: readonly number[] = []) => {
      const batch = batchOf(
        [],
        written.map((step, i): Datum => ({ ...datum("a", step), offset: 10 * i }) as Datum),
      );
      batch.sessionStarts.push(...starts.map((offset) => ({ offset, step: 1n, wallTime: 0 })));
      const obsolete: Obsolete = { some: true, has: (_file, offset) => offset < 20 };
      const origin = { ...START, counts: new SeriesCounts() };
      new Transform({ ...ALL, every: 2, maxSteps: 2 }, policy, obsolete).apply(batch, origin, new Tally());
      return steps(batch);
    };
    // The first two are obsolete, and the others keep their numbers.
    expect(keptOf([1, 2, 3, 4, 5], "explicit")).toEqual(["a 3"]);
    expect(keptOf([1, 2, 1, 2, 3, 4], "explicit", [15])).toEqual(["a 1", "a 3"]);
    expect(keptOf([1, 2, 1, 2, 3, 4], "keep", [15])).toEqual(["a 1"]);
    expect(keptOf([1, 2, 1, 2, 3, 4], "any")).toEqual(["a 1", "a 3"]);
  });

  test("are counted anew where a batch ends with the restart", () => {
    const counts = new SeriesCounts();
    const transform = new Transform({ ...ALL, maxSteps: 1 }, "explicit", NOTHING_OBSOLETE);
    const first = batchOf([], [datum("a", 1)]);
    first.sessionStarts.push({ offset: Number.MAX_SAFE_INTEGER, step: 1n, wallTime: 0 });
    transform.apply(first, { ...START, counts }, new Tally());
    const second = batchOf([], [datum("a", 2), datum("a", 3)]);
    transform.apply(second, { ...START, counts }, new Tally());
    expect([...steps(first), ...steps(second)]).toEqual(["a 1", "a 2"]);
  });

  test("are the same however the file is cut into batches and processes", () => {
    const value = fc.tuple(fc.constantFrom("a", "b"), fc.integer({ min: -2, max: 3 }));
    const pieces = fc.array(fc.array(value, { maxLength: 8 }));
    const options = fc.record({ every: fc.integer({ min: 1, max: 4 }), maxSteps: fc.integer({ min: 1, max: 4 }) });
    fc.assert(
      fc.property(pieces, options, (pieces, chosen) => {
        let counts = new SeriesCounts();
        const kept = pieces.flatMap((piece) => {
          const { kept } = thinned(
            chosen,
            piece.map(([tag, step]) => datum(tag, step)),
            counts,
          );
          counts = SeriesCounts.from(JSON.parse(JSON.stringify(counts)) as ReturnType<SeriesCounts["toJSON"]>);
          return kept;
        });
        // Of each tag: runs of equal steps, of which one in `every` is taken, `maxSteps` times.
        const expected = (tag: string) => {
          const ofTag = pieces.flat().filter(([name]) => name === tag);
          const starts = ofTag.map(([, step], i) => i === 0 || step !== ofTag[i - 1]?.[1]);
          const place = starts.map((_, i) => starts.slice(0, i + 1).filter(Boolean).length - 1);
          const wanted = Array.from({ length: chosen.maxSteps }, (_, i) => i * chosen.every);
          return ofTag.filter((_, i) => wanted.includes(place[i] as number)).map(([, step]) => `${tag} ${step}`);
        };
        for (const tag of ["a", "b"]) expect(kept.filter((each) => each.startsWith(tag))).toEqual(expected(tag));
      }),
    );
  });

  test("are exact over the whole int64 range, also when the counts are read back", () => {
    const counts = new SeriesCounts();
    const at = (step: bigint): Datum => ({ ...datum("a", 0), step }) as Datum;
    counts.number(at(2n ** 63n - 1n));
    const again = SeriesCounts.from(counts.toJSON());
    expect([again.number(at(2n ** 63n - 1n)), again.number(at(2n ** 63n - 2n))]).toEqual([0, 1]);
  });
});

test("globs of stars alone: what picomatch says, in no time for any tag", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", "_"), minLength: 1, maxLength: 8 });
  const glob = fc.string({ unit: fc.constantFrom("a", "b", "/", "*"), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(glob, text, (pattern, name) => {
      // Of empty parts, which no writer makes, picomatch has notions of its own.
      fc.pre([pattern, name].every((each) => !/^\/|\/\/|\/$/.test(each)));
      expect(globFilter([pattern], [])(name)).toBe(picomatch(pattern, { dot: true, bash: true, flags: "s" })(name));
    }),
    { numRuns: 3000 },
  );
  const long = "ab".repeat(500_000);
  expect(globFilter(["*a*a*b*c", "*b*a*a*a*x*"], [])(long)).toBe(false);
});
