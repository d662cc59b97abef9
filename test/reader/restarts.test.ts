/** What a restart makes obsolete: by the oracle's word for real files, by the obvious slow definition for random ones. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FileSource } from "../../src/reader/byte-source.ts";
import type { TagMetadata } from "../../src/reader/datum.ts";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import {
  findObsolete,
  NOTHING_OBSOLETE,
  type RestartPolicy,
  type RestartScan,
  seriesOf,
} from "../../src/reader/restarts.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import {
  event,
  record,
  ScriptedSource,
  scalarEvent,
  sessionStart,
  textEvent,
  versionEvent,
} from "../support/event-writer.ts";
import { cases, stepText } from "../support/expected.ts";
import { scalarsOf } from "../support/read-values.ts";

interface Kept {
  readonly tag: string;
  readonly series: string;
  readonly step: bigint;
}

/** Read files as a sync does, in small batches, and ask of every value whether it is obsolete. */
async function keptOf(
  files: readonly RestartScan[],
  policy: RestartPolicy,
): Promise<{ some: boolean; kept: Kept[]; all: Kept[] }> {
  const obsolete = await findObsolete(files, policy);
  const all: Kept[] = [];
  const kept: Kept[] = [];
  for (const [index, file] of files.entries()) {
    const { reader, close } = await file.open();
    const batch = new RecordBatch(3, new TagTable());
    for (let more = true; more; batch.clear()) {
      more = await reader.read(batch);
      const values = [
        ...scalarsOf(batch).map((value) => ({ ...value, series: value.tag })),
        ...batch.data.map((datum) => ({ ...datum, series: seriesOf(datum) })),
      ];
      for (const { tag, series, step, offset } of values) {
        all.push({ tag, series, step });
        if (!obsolete.has(index, offset, series, step)) kept.push({ tag, series, step });
      }
    }
    await close();
  }
  return { some: obsolete.some, kept, all };
}

function stepsByTag(values: readonly Kept[]): Map<string, string[]> {
  const steps = new Map<string, string[]>();
  for (const { tag, step } of values) steps.set(tag, [...(steps.get(tag) ?? []), stepText(step)]);
  return steps;
}

// --- real files ---

function scansOf(run: DiscoveredRun): RestartScan[] {
  const metadata = new Map<string, TagMetadata>();
  return run.files.map((entry) => ({
    start: 0,
    size: entry.size,
    restartStep: undefined,
    async open() {
      const source = await FileSource.open(entry.path);
      const reader = new EventFileReader(new RecordReader(source, { end: entry.size }), metadata);
      return { reader, close: () => source.close() };
    },
  }));
}

/** A tag that TensorBoard's loader leaves empty. */
const RENAMED: Readonly<Record<string, string>> = { "odd/tags/node/name": "" };

describe("runs of the corpus keep what the oracle keeps", () => {
  const runs = cases().flatMap(({ name, logdir, runs: expected }) =>
    Object.entries(expected).map(([run, { restarts = {}, tags }]) => ({ name, logdir, run, restarts, tags })),
  );
  const restarted = runs.filter(({ restarts }) => Object.keys(restarts).length > 0);

  test("there are such runs", () => expect(restarted.length).toBeGreaterThan(10));

  describe.each(["explicit", "any"] as const)("%s", (policy) => {
    test.each(restarted)("$name: $run", async ({ name, logdir, run, restarts, tags }) => {
      const found = discover(logdir).runs.find((each) => each.name === run) as DiscoveredRun;
      const { kept, some } = await keptOf(scansOf(found), policy);
      const renamed = kept.map((value) => ({ ...value, tag: RENAMED[`${name}/${run}/${value.tag}`] ?? value.tag }));
      const steps = stepsByTag(renamed);
      // Graphs too, which only a sync exempts.
      const hidden = new Map(Object.entries(restarts[policy] ?? {}));
      for (const [tag, { points }] of Object.entries(tags)) {
        const expected = hidden.get(tag) ?? points.map(([step]) => step);
        expect([tag, steps.get(tag) ?? []]).toEqual([tag, expected.map(stepText)]);
      }
      if (hidden.size > 0) expect(some).toBe(true);
    });

    test("and of every other run all is kept", async () => {
      for (const { name, logdir, run } of runs.filter((each) => !restarted.includes(each))) {
        const found = discover(logdir).runs.find((each) => each.name === run) as DiscoveredRun;
        const { kept, all } = await keptOf(scansOf(found), policy);
        expect([name, run, stepsByTag(kept)]).toEqual([name, run, stepsByTag(all)]);
      }
    });
  });
});

// --- scripts ---

/** A file of these payloads that was read up to record `from` before. */
function scanOf(payloads: readonly Uint8Array[], from = 0, restartStep?: bigint): RestartScan {
  const content = Buffer.concat(payloads.map(record));
  const start = Buffer.concat(payloads.slice(0, from).map(record)).length;
  return {
    start,
    size: content.length,
    restartStep,
    async open() {
      const records = new RecordReader(new ScriptedSource(content), { start, end: content.length });
      return { reader: new EventFileReader(records, new Map()), close: async () => {} };
    },
  };
}

const scalars = (tag: string, ...steps: number[]) => steps.map((step) => scalarEvent(tag, step, step));

async function keptSteps(policy: RestartPolicy, ...files: RestartScan[]): Promise<Record<string, string>> {
  const { kept } = await keptOf(files, policy);
  return Object.fromEntries(Array.from(stepsByTag(kept), ([tag, steps]) => [tag, steps.join(" ")]));
}

describe("explicit: a session start makes obsolete what is ahead of it", () => {
  test("in the files before it, of every tag, from its step on", async () => {
    const crashed = scanOf([
      versionEvent(),
      ...scalars("loss", 1, 2, 3, 4, 5),
      ...scalars("acc", 4),
      textEvent("note", 5, ""),
    ]);
    const restarted = scanOf([versionEvent(), sessionStart(3), ...scalars("loss", 3, 4)]);
    expect(await keptSteps("explicit", crashed, restarted)).toEqual({ loss: "1 2 3 4" });
    expect(await keptSteps("any", crashed, restarted)).toEqual({ loss: "1 2 3 4", acc: "4", note: "5" });
  });

  test("in its own file, and nothing behind it", async () => {
    const file = scanOf([...scalars("loss", 5, 6), sessionStart(6), ...scalars("loss", 7, 2, 6)]);
    expect(await keptSteps("explicit", file)).toEqual({ loss: "5 7 2 6" });
  });

  test("the second start does not bring back what the first has hidden", async () => {
    const file = scanOf([
      ...scalars("loss", 1, 2, 3),
      sessionStart(2),
      ...scalars("loss", 2, 3),
      sessionStart(3),
      ...scalars("loss", 3),
    ]);
    expect(await keptSteps("explicit", file)).toEqual({ loss: "1 2 3" });
  });

  test("steps going back without a start hide nothing", async () => {
    const { some, kept } = await keptOf([scanOf(scalars("loss", 5, 1, 2))], "explicit");
    expect([some, kept.length]).toEqual([false, 3]);
  });

  test("a stop or a checkpoint is no start", async () => {
    const log = (status: string) => event({ wallTime: 1, step: 0, sessionLog: { status } });
    const file = scanOf([...scalars("loss", 1, 2), log("STOP"), log("CHECKPOINT"), log("STATUS_UNSPECIFIED")]);
    expect(await keptSteps("explicit", file)).toEqual({ loss: "1 2" });
  });

  test("a start is seen whatever stands before it in its record", async () => {
    const sessionLog = { status: "START" };
    for (const start of [
      event({ sessionLog }),
      event({ step: 0, sessionLog }),
      event({ wallTime: 0, sessionLog }),
      event({ wallTime: 1, step: -1, sessionLog }),
      event({ wallTime: 1, step: 0, sessionLog, sourceMetadata: { writer: "w" } }),
      // Fields in another order.
      Buffer.concat([event({ step: 0 }), event({ wallTime: 1 }), event({ sessionLog })]),
      Buffer.concat([event({ sourceMetadata: { writer: "w" } }), event({ sessionLog })]),
    ]) {
      expect(await keptSteps("explicit", scanOf([...scalars("loss", 1, 2), start, ...scalars("loss", 3)]))).toEqual({
        loss: "3",
      });
    }
  });

  test("at a step whose encoding holds what begins a summary", async () => {
    for (const step of [0x2a * 128, 0x2a * 128 + 5, 0x2a, 0x2a * 128 * 128 + 5]) {
      const file = scanOf([...scalars("loss", step - 1, step), sessionStart(step)]);
      expect(await keptSteps("explicit", file)).toEqual({ loss: String(step - 1) });
    }
  });

  test("that was read before hides nothing behind itself, but all in earlier files", async () => {
    const earlier = scanOf(scalars("loss", 1, 2, 3, 4));
    const payloads = [sessionStart(3), ...scalars("loss", 3, 4, 5)];
    expect(await keptSteps("explicit", earlier, scanOf(payloads, 2, 3n))).toEqual({ loss: "1 2 4 5" });
    // Without that word nothing would be known of it.
    expect(await keptSteps("explicit", earlier, scanOf(payloads, 2))).toEqual({ loss: "1 2 3 4 4 5" });
  });
});

describe("any: a later value makes obsolete those of its tag at its step and above", () => {
  test.each([
    ["rising", [1, 2, 3], "1 2 3"],
    ["the same step again", [1, 1, 1], "1"],
    ["back and on", [1, 2, 3, 4, 2, 3, 4, 5], "1 2 3 4 5"],
    ["back to the beginning", [5, 6, 7, 0], "0"],
    ["back twice", [1, 5, 9, 6, 8, 2, 7], "1 2 7"],
    ["further and further back", [9, 8, 7, 6], "6"],
    ["back, up beyond, and back between", [10, 3, 20, 15, 16], "3 15 16"],
  ])("%s", async (_, steps, kept) => {
    expect(await keptSteps("any", scanOf(scalars("loss", ...steps)))).toEqual({ loss: kept });
    const halves = [scanOf(scalars("loss", ...steps.slice(0, 2))), scanOf(scalars("loss", ...steps.slice(2)))];
    expect(await keptSteps("any", ...halves)).toEqual({ loss: kept });
  });

  test("tags do not touch each other, nor do a scalar and a text of one name", async () => {
    const file = scanOf([...scalars("a", 5), ...scalars("b", 1), textEvent("a", 3, "")]);
    expect(await keptSteps("any", file)).toEqual({ a: "5 3", b: "1" });
  });

  test("several values of a tag in one event: the last", async () => {
    const value = [1, 2, 3].map((simpleValue) => ({ tag: "a", simpleValue }));
    expect(await keptSteps("any", scanOf([event({ wallTime: 1, step: 4, summary: { value } })]))).toEqual({ a: "4" });
  });

  test("what was written since is kept", async () => {
    const grown = scanOf(scalars("loss", 1, 2, 3, 2, 3));
    const obsolete = await findObsolete([scanOf(scalars("loss", 1, 2, 3, 2))], "any");
    const { all } = await keptOf([grown], "keep");
    const kept = all.filter(({ series, step }) => !obsolete.has(0, 0, series, step));
    expect(kept.map(({ step }) => step)).toEqual([1n, 2n, 3n]);
  });
});

test.each<RestartPolicy>(["explicit", "any"])(
  "a file of which all has been read is not opened (%s)",
  async (policy) => {
    let opened = 0;
    const file = scanOf(scalars("loss", 1, 2, 3));
    const open = () => {
      opened++;
      return file.open();
    };
    const read = Array.from({ length: 1000 }, () => ({ ...file, start: file.size, open }));
    await findObsolete([...read, { ...file, open }], policy);
    expect(opened).toBe(1);
  },
);

test("keep: everything, and no file is opened", async () => {
  const file = { start: 0, size: 0, restartStep: 0n, open: () => Promise.reject(new Error("opened")) };
  expect(await findObsolete([file], "keep")).toBe(NOTHING_OBSOLETE);
  expect(NOTHING_OBSOLETE.some).toBe(false);
});

test("a file is closed again, also when it cannot be read", async () => {
  for (const policy of ["explicit", "any"] as const) {
    for (const fails of [false, true]) {
      let closed = 0;
      const source = new ScriptedSource(record(versionEvent()));
      if (fails) source.failure = new Error("EIO");
      const reader = new EventFileReader(new RecordReader(source, { end: source.size }), new Map());
      const close = async () => void closed++;
      const found = findObsolete(
        [{ start: 0, size: source.size, restartStep: undefined, open: async () => ({ reader, close }) }],
        policy,
      );
      if (fails) await expect(found).rejects.toThrow("EIO");
      else expect(await found).toBe(NOTHING_OBSOLETE);
      expect(closed).toBe(1);
    }
  }
});

// --- random sequences ---

type Item =
  | { readonly kind: "scalar" | "text"; readonly tag: string; readonly step: number }
  | { readonly kind: "start"; readonly step: number };

const step = fc.integer({ min: -2, max: 12 });
const item: fc.Arbitrary<Item> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("scalar" as const), tag: fc.constantFrom("a", "b"), step }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("text" as const), tag: fc.constantFrom("a", "c"), step }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("start" as const), step }) },
);
const runOfFiles = fc.array(
  fc.record({ items: fc.array(item, { maxLength: 20 }), from: fc.oneof(fc.constant(0), fc.nat({ max: 20 })) }),
  { minLength: 1, maxLength: 3 },
);

function payloadOf(each: Item): Uint8Array {
  if (each.kind === "start") return sessionStart(each.step);
  return each.kind === "scalar" ? scalarEvent(each.tag, each.step, 0) : textEvent(each.tag, each.step, "");
}

/** The least step of a start among items already read, as a sync remembers it. */
function remembered(items: readonly Item[]): bigint | undefined {
  const steps = items.flatMap((each) => (each.kind === "start" ? [each.step] : []));
  return steps.length > 0 ? BigInt(Math.min(...steps)) : undefined;
}

const DEFINITIONS = {
  /** A start hides what stands before it; one that was read before hides only what earlier files hold. */
  explicit: (before: Item, later: Item) =>
    later.kind === "start" && before.kind !== "start" && before.step >= later.step,
  any: (before: Item, later: Item) =>
    later.kind !== "start" && later.kind === before.kind && later.tag === before.tag && before.step >= later.step,
};

test.each(["explicit", "any"] as const)(
  "%s, of random runs of which a part was read before: as defined",
  async (policy) => {
    let hidden = 0;
    await fc.assert(
      fc.asyncProperty(runOfFiles, async (files) => {
        const scans = files.map(({ items, from }) =>
          scanOf(items.map(payloadOf), from, remembered(items.slice(0, from))),
        );
        const { kept, some, all } = await keptOf(scans, policy);

        // What has been read before is obsolete or not whatever comes; what it says holds on if it is a start.
        const line = files.flatMap(({ items, from }, file) =>
          items
            .map((each, i) => ({ each, file, read: i < from }))
            .filter(({ each, read }) => !read || each.kind === "start"),
        );
        const expected = line.filter(
          ({ each, read }, i) =>
            each.kind !== "start" && !read && !line.slice(i + 1).some((later) => DEFINITIONS[policy](each, later.each)),
        );
        const name = ({ each }: (typeof line)[number]) =>
          each.kind === "start" ? "" : `${each.kind === "text" ? "text\0" : ""}${each.tag} ${each.step}`;
        expect(kept.map(({ series, step: at }) => `${series} ${at}`).sort()).toEqual(expected.map(name).sort());
        if (kept.length < all.length) {
          expect(some).toBe(true);
          hidden++;
        }
      }),
      { numRuns: 1000 },
    );
    expect(hidden).toBeGreaterThan(200);
  },
);
