/** The hand-written fast path and the generated decoder: wherever the one accepts, they tell the same. */
import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import Long from "long";
import { describe, expect, test } from "vitest";
import type { TagMetadata } from "../../src/reader/datum.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { viewOf } from "../../src/reader/little-endian.ts";
import { tensorboard } from "../../src/reader/proto/tensorboard.js";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { ScalarEvent, type ScalarForm } from "../../src/reader/scalar-event.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import { event, eventFile, type Fields, ScriptedSource, scalarEvent } from "../support/event-writer.ts";
import { scalarsOf } from "../support/read-values.ts";

// --- the two decoders, made to tell the same thing ---

interface Scalar {
  readonly form: ScalarForm;
  readonly wallTime: number;
  readonly step: bigint;
  readonly tag: string;
  readonly value: number;
}

/** One for all, as a reader has it: nothing of an event may be left for the next. */
const fastPath = new ScalarEvent();

/** What the fast path makes of bytes that stand among others; undefined if it leaves them to the other decoder. */
function fast(payload: Uint8Array, around: Uint8Array): Scalar | "bad tag" | undefined {
  const bytes = Buffer.concat([around, payload, around]);
  if (!fastPath.decode(viewOf(bytes), around.length, around.length + payload.length)) return undefined;
  const tag = bytes.subarray(fastPath.tagStart, fastPath.tagEnd);
  if (!isUtf8(tag)) return "bad tag";
  const { form, wallTime, value, stepHigh, stepLow } = fastPath;
  const step = (BigInt(stepHigh) << 32n) | BigInt(stepLow >>> 0);
  return { form, wallTime, step, tag: tag.toString(), value };
}

/** What the generated decoder makes of them; undefined unless it is one scalar and nothing else. */
function generated(payload: Uint8Array): Scalar | "no event" | undefined {
  let decoded: tensorboard.Event;
  try {
    decoded = tensorboard.Event.decode(payload);
  } catch {
    return "no event";
  }
  const { wallTime, step, summary, what: _, ...rest } = decoded;
  const [value, second] = summary?.value ?? [];
  if (!value || second || decoded.$unknowns || summary?.$unknowns || Object.keys(rest).length > 0) return undefined;
  const { tag, simpleValue, tensor, metadata, value: __, ...more } = value;
  if (value.$unknowns || Object.keys(more).length > 0 || typeof tag !== "string") return undefined;
  const scalar = { wallTime, step: BigInt(Long.fromValue(step).toString()), tag };
  if (typeof simpleValue === "number") {
    return tensor || metadata ? undefined : { ...scalar, form: "v1", value: simpleValue };
  }
  const content = tensor && contentOfFloat(tensor);
  if (!content) return undefined;
  if (metadata && !saysScalarsOnly(metadata)) return undefined;
  return { ...scalar, form: metadata ? "v2-scalars" : "v2", value: Buffer.from(content).readFloatLE() };
}

/** The four bytes of a float tensor of no dimensions that has nothing else; undefined for any other tensor. */
function contentOfFloat(tensor: tensorboard.TensorProto.$Properties): Uint8Array | undefined {
  const { dtype, tensorShape, tensorContent, $unknowns, ...more } = tensor;
  if (dtype !== tensorboard.DataType.DT_FLOAT || tensorContent?.length !== 4 || $unknowns) return undefined;
  const { dim, unknownRank, $unknowns: unknown } = tensorShape ?? {};
  if (dim?.length || unknownRank || unknown) return undefined;
  return Object.values(more).every((field) => Array.isArray(field) && field.length === 0) ? tensorContent : undefined;
}

function saysScalarsOnly({ pluginData, $unknowns, ...more }: tensorboard.SummaryMetadata.$Properties): boolean {
  if (pluginData?.pluginName !== "scalars" || $unknowns || Object.keys(more).length > 0) return false;
  return !pluginData.content?.length && !pluginData.$unknowns;
}

function expectSame(payload: Uint8Array, around: Uint8Array): boolean {
  const accepted = fast(payload, around);
  if (accepted === undefined) return false;
  const expected = generated(payload);
  // Object.is tells -0 from 0 and takes any NaN for another, as JavaScript does.
  if (accepted === "bad tag") expect(expected).toBe("no event");
  else expect(accepted).toEqual(expected);
  return true;
}

// --- the wire, written by hand, so that it can be written wrong ---

/** An unsigned or two's complement varint; `width` makes it longer than it need be. */
function varint(value: bigint, width = 0): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  } while (rest > 0n || bytes.length < width);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) & 0x7f;
  return Buffer.from(bytes);
}

function field(key: number, ...content: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([key]), ...content]);
}

function message(key: number, content: Uint8Array, width = 0): Buffer {
  return field(key, varint(BigInt(content.length), width), content);
}

interface Layout {
  readonly form: ScalarForm;
  /** The double's eight bytes, and the float's four. */
  readonly wallTime: Uint8Array;
  readonly value: Uint8Array;
  readonly step: bigint | null;
  readonly tag: Uint8Array;
}

function written({ form, wallTime, value, step, tag }: Layout): Buffer {
  return Buffer.concat([
    field(0x09, wallTime),
    ...(step === null ? [] : [field(0x10, varint(step))]),
    message(0x2a, message(0x0a, Buffer.concat([message(0x0a, tag), valueOf(form, value)]))),
  ]);
}

function valueOf(form: ScalarForm, value: Uint8Array): Buffer {
  if (form === "v1") return field(0x15, value);
  const tensor = message(0x42, Buffer.concat([Buffer.from([0x08, 1, 0x12, 0]), message(0x22, value)]));
  return form === "v2" ? tensor : Buffer.concat([tensor, message(0x4a, message(0x0a, message(0x0a, SCALARS)))]);
}

const SCALARS = Buffer.from("scalars");
/** The longest tag with which every length takes one byte. */
const LONGEST: Readonly<Record<ScalarForm, number>> = { v1: 116, v2: 109, "v2-scalars": 96 };

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Bits of floating-point numbers: any, and those that are special. */
const double = fc.oneof(
  bytes(8),
  fc.double().map((x) => new Uint8Array(Float64Array.of(x).buffer)),
  fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity, 5e-324).map((x) => new Uint8Array(Float64Array.of(x).buffer)),
);
const float = fc.oneof(
  bytes(4),
  fc.float().map((x) => new Uint8Array(Float32Array.of(x).buffer)),
  fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity, 1e-45).map((x) => new Uint8Array(Float32Array.of(x).buffer)),
);
const int64 = fc.oneof(
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.bigInt(0n, 300n),
  fc.tuple(fc.bigInt(0n, 63n), fc.bigInt(-1n, 1n)).map(([bit, off]) => BigInt.asIntN(64, (1n << bit) + off)),
  fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, -1n, 2n ** 32n, -(2n ** 32n), 2n ** 31n, 2n ** 53n + 1n),
);
const text = fc.string({ unit: "binary", minLength: 1, maxLength: 60 }).map((tag) => new Uint8Array(Buffer.from(tag)));
const tagOfLength = fc.integer({ min: 1, max: 200 }).map((length) => new Uint8Array(Buffer.alloc(length, "long/tag")));
const layout: fc.Arbitrary<Layout> = fc.record({
  form: fc.constantFrom("v1", "v2", "v2-scalars"),
  wallTime: double,
  value: float,
  step: fc.option(int64),
  tag: fc.oneof(text, tagOfLength),
});
const around = fc.uint8Array({ maxLength: 12 });

describe("the common layouts", () => {
  test("are taken, up to a tag of some 100 bytes, and mean the same: any step, wall time, value and tag", () => {
    fc.assert(
      fc.property(layout, around, (scalar, bytesAround) => {
        const payload = written(scalar);
        expect(expectSame(payload, bytesAround)).toBe(scalar.tag.length <= LONGEST[scalar.form]);
        expect(generated(payload)).toMatchObject({ tag: Buffer.from(scalar.tag).toString(), step: scalar.step ?? 0n });
      }),
      { numRuns: 10_000 },
    );
  });

  test("is what writers write", () => {
    for (const step of [0n, 1n, 127n, 128n, 2n ** 40n, -1n]) {
      const payload = scalarEvent("loss", step, 0.1, 1.5);
      expect(fast(payload, Buffer.alloc(3))).toEqual({
        form: "v1",
        wallTime: 1.5,
        step,
        tag: "loss",
        value: Math.fround(0.1),
      });
    }
  });
});

describe("any other layout is left alone, or means the same", () => {
  const wallTime = Buffer.from("0000000000000840", "hex");
  const value = Buffer.from("0000803f", "hex");
  const tag = Buffer.from("tag");
  const scalar: Layout = { form: "v1", wallTime, value, step: 5n, tag };
  const wall = field(0x09, wallTime);
  const step = field(0x10, varint(5n));
  const inner = Buffer.concat([message(0x0a, tag), field(0x15, value)]);
  const summary = message(0x2a, message(0x0a, inner));

  /** The event with this behind its tag. */
  function withValue(...content: readonly Buffer[]): Buffer {
    return Buffer.concat([wall, step, message(0x2a, message(0x0a, Buffer.concat([message(0x0a, tag), ...content])))]);
  }

  function tensorOf(hex: string, metadata?: Buffer): Buffer {
    const tensor = message(0x42, Buffer.from(hex, "hex"));
    return metadata === undefined ? withValue(tensor) : withValue(tensor, message(0x4a, metadata));
  }

  test.each<[string, boolean, Buffer]>([
    ["the common one", true, written(scalar)],
    ["as a tensor", true, written({ ...scalar, form: "v2" })],
    ["as a tensor of the plugin scalars", true, written({ ...scalar, form: "v2-scalars" })],
    ["a tensor of doubles", false, tensorOf("0802120022040000803f")],
    ["a tensor of one dimension", false, tensorOf("080112040a02080122040000803f")],
    ["a tensor without shape", false, tensorOf("080122040000803f")],
    ["a tensor of unknown rank", false, tensorOf("08011202180122040000803f")],
    ["a tensor with its value in the repeated field", false, tensorOf("080112002a040000803f")],
    ["a tensor of three bytes", false, tensorOf("08011200220300003f")],
    [
      "a tensor of another plugin",
      false,
      tensorOf("0801120022040000803f", message(0x0a, message(0x0a, Buffer.from("pr_curv")))),
    ],
    [
      "a tensor of the plugin scalars, with content",
      false,
      tensorOf(
        "0801120022040000803f",
        message(0x0a, Buffer.concat([message(0x0a, SCALARS), message(0x12, Buffer.from("x"))])),
      ),
    ],
    [
      "a tensor of the plugin scalars, with a name to show",
      false,
      tensorOf(
        "0801120022040000803f",
        Buffer.concat([message(0x0a, message(0x0a, SCALARS)), message(0x12, Buffer.from("x"))]),
      ),
    ],
    ["metadata without tensor", false, withValue(message(0x4a, message(0x0a, message(0x0a, SCALARS))))],
    ["a step that is written although it is 0", true, written({ ...scalar, step: 0n })],
    ["an overlong step", true, Buffer.concat([wall, field(0x10, varint(5n, 10)), summary])],
    [
      "a step of ten bytes with bits beyond the 64th",
      true,
      Buffer.concat([wall, field(0x10, Buffer.from("ffffffffffffffffff7f", "hex")), summary]),
    ],
    ["a step of eleven bytes", false, Buffer.concat([wall, field(0x10, varint(5n, 11)), summary])],
    ["a step without end", false, Buffer.concat([wall, field(0x10, Buffer.alloc(30, 0xff))])],
    ["no wall time", false, Buffer.concat([step, summary])],
    ["the step first", false, Buffer.concat([step, wall, summary])],
    ["the summary first", false, Buffer.concat([summary, wall, step])],
    [
      "the value before the tag",
      false,
      Buffer.concat([
        wall,
        step,
        message(0x2a, message(0x0a, Buffer.concat([field(0x15, value), message(0x0a, tag)]))),
      ]),
    ],
    ["two wall times", false, Buffer.concat([wall, wall, step, summary])],
    ["two steps", false, Buffer.concat([wall, step, step, summary])],
    ["two summaries", false, Buffer.concat([wall, step, summary, summary])],
    [
      "two values in a summary",
      false,
      Buffer.concat([wall, step, message(0x2a, Buffer.concat([message(0x0a, inner), message(0x0a, inner)]))]),
    ],
    [
      "two tags in a value",
      false,
      Buffer.concat([wall, step, message(0x2a, message(0x0a, Buffer.concat([message(0x0a, tag), inner])))]),
    ],
    ["an empty tag", false, written({ ...scalar, tag: Buffer.alloc(0) })],
    ["a value without tag", false, Buffer.concat([wall, step, message(0x2a, message(0x0a, field(0x15, value)))])],
    [
      "an overlong length of the tag",
      false,
      Buffer.concat([
        wall,
        step,
        message(0x2a, message(0x0a, Buffer.concat([message(0x0a, tag, 2), field(0x15, value)]))),
      ]),
    ],
    ["an overlong length of the value", false, Buffer.concat([wall, step, message(0x2a, message(0x0a, inner, 2))])],
    ["an overlong length of the summary", false, Buffer.concat([wall, step, message(0x2a, message(0x0a, inner), 3)])],
    ["an unknown field in the event", false, Buffer.concat([wall, step, field(0x78, varint(1n)), summary])],
    [
      "an unknown field in the value",
      false,
      Buffer.concat([wall, step, message(0x2a, message(0x0a, Buffer.concat([inner, field(0x78, varint(1n))])))]),
    ],
    [
      "a value of another kind",
      false,
      Buffer.concat([
        wall,
        step,
        message(0x2a, message(0x0a, Buffer.concat([message(0x0a, tag), message(0x22, value)]))),
      ]),
    ],
    [
      "lengths that contradict each other",
      false,
      Buffer.concat([wall, step, Buffer.from([0x2a, 12, 0x0a, 11]), inner]),
    ],
    ["a tag that is not UTF-8", true, written({ ...scalar, tag: Buffer.from([0xff, 0xfe]) })],
    ["a tag with half a character", true, written({ ...scalar, tag: Buffer.from([0x61, 0xc3]) })],
    ["a tag with a surrogate", true, written({ ...scalar, tag: Buffer.from([0xed, 0xa0, 0x80]) })],
    ["a tag that begins with a byte order mark", true, written({ ...scalar, tag: Buffer.from("\uFEFFtag") })],
    ["nothing", false, Buffer.alloc(0)],
  ])("%s", (_, taken, payload) => {
    expect(expectSame(payload, Buffer.alloc(5, 0x80))).toBe(taken);
  });

  test.each(["v1", "v2", "v2-scalars"] as const)("every prefix of %s", (form) => {
    const payload = written({ ...scalar, form });
    for (let end = 0; end < payload.length; end++) {
      // What follows in the buffer is what is missing, so that a look beyond the end would find it.
      expect(new ScalarEvent().decode(viewOf(payload), 0, end)).toBe(false);
    }
  });

  type Mutation = (payload: Buffer) => Uint8Array;
  const at = fc.nat({ max: 300 });
  const odd = fc.oneof(fc.constantFrom(0, 1, 0x09, 0x0a, 0x10, 0x15, 0x2a, 0x7f, 0x80, 0xff), fc.nat({ max: 255 }));
  const mutation: fc.Arbitrary<Mutation> = fc.oneof(
    fc.tuple(at, odd).map(
      ([i, byte]): Mutation =>
        (payload) =>
          payload.fill(byte, i % payload.length, (i % payload.length) + 1),
    ),
    fc.tuple(at, fc.nat({ max: 7 })).map(
      ([i, bit]): Mutation =>
        (payload) => {
          payload[i % payload.length] = (payload[i % payload.length] as number) ^ (1 << bit);
          return payload;
        },
    ),
    fc.tuple(at, odd).map(
      ([i, byte]): Mutation =>
        (payload) => {
          const place = i % (payload.length + 1);
          return Buffer.concat([payload.subarray(0, place), Buffer.from([byte]), payload.subarray(place)]);
        },
    ),
    at.map(
      (i): Mutation =>
        (payload) =>
          Buffer.concat([payload.subarray(0, i % payload.length), payload.subarray((i % payload.length) + 1)]),
    ),
    at.map(
      (i): Mutation =>
        (payload) =>
          payload.subarray(0, i % (payload.length + 1)),
    ),
  );

  test("random mutations of it", () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        layout,
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        around,
        (original, mutations, bytesAround) => {
          const payload = mutations.reduce<Uint8Array>(
            (content, mutate) => (content.length === 0 ? content : mutate(Buffer.from(content))),
            written(original),
          );
          if (expectSame(payload, bytesAround)) accepted++;
        },
      ),
      { numRuns: 15_000 },
    );
    expect(accepted).toBeGreaterThan(1000);
  });

  test("random fields in random order", () => {
    const content: fc.Arbitrary<Buffer> = fc.oneof(
      fc.constantFrom(wall, step, summary),
      int64.map((number) => field(0x10, varint(number))),
      fc.tuple(int64, fc.integer({ min: 1, max: 12 })).map(([number, width]) => field(0x10, varint(number, width))),
      layout.map((original) => written(original)),
      fc.tuple(fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 9 })).map(([key, rest]) => message(key, rest)),
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(content, { minLength: 1, maxLength: 4 }), around, (fields, bytesAround) => {
        if (expectSame(Buffer.concat(fields), bytesAround)) accepted++;
      }),
      { numRuns: 5000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe("what the tag's earlier values said decides", () => {
  const tensor = { dtype: "DT_FLOAT", tensorShape: {}, tensorContent: Buffer.from("0000803f", "hex") };
  const plugin = (pluginName: string) => ({ pluginData: { pluginName } });

  interface Written {
    readonly tag: string;
    readonly value: Fields;
  }

  /** All that is read; with `detour`, every event has a field more, which is none the fast path knows. */
  async function valuesOf(events: readonly Written[], detour: boolean): Promise<unknown[]> {
    const payloads = events.map(({ tag, value }, step) => {
      const payload = event({ wallTime: step, step: step + 1, summary: { value: [{ tag, ...value }] } });
      return detour ? Buffer.concat([payload, Buffer.from([0xf8, 0x07, 1])]) : payload;
    });
    const file = eventFile(...payloads);
    const metadata = new Map<string, TagMetadata>();
    const reader = new EventFileReader(new RecordReader(new ScriptedSource(file), { end: file.length }), metadata);
    const batch = new RecordBatch(1000, new TagTable());
    await reader.read(batch);
    const scalars = scalarsOf(batch).map((scalar) => ({ ...scalar, offset: 0 }));
    const data = batch.data.map((datum) => ({ ...datum, offset: 0 }));
    return [scalars, data, [...metadata], batch.tags];
  }

  test.each<[string, readonly Written[]]>([
    [
      "a tensor that says it is a scalar, and those after it that say nothing",
      [
        { tag: "a", value: { tensor, metadata: plugin("scalars") } },
        { tag: "a", value: { tensor } },
      ],
    ],
    ["one that says nothing and has none before it", [{ tag: "a", value: { tensor } }]],
    [
      "a tag of another plugin",
      [
        { tag: "a", value: { tensor, metadata: plugin("other") } },
        { tag: "a", value: { tensor } },
        { tag: "a", value: { tensor, metadata: plugin("scalars") } },
        { tag: "a", value: { tensor } },
      ],
    ],
    [
      "a tag that was a plain scalar",
      [
        { tag: "a", value: { simpleValue: 1 } },
        { tag: "a", value: { tensor } },
        { tag: "a", value: { tensor, metadata: plugin("scalars") } },
        { tag: "a", value: { tensor } },
      ],
    ],
  ])("%s", async (_, events) => {
    expect(await valuesOf(events, false)).toEqual(await valuesOf(events, true));
  });

  test("any values in any order", async () => {
    const value = fc.constantFrom<Fields>(
      { simpleValue: 1 },
      { tensor },
      { tensor, metadata: plugin("scalars") },
      { tensor, metadata: plugin("other") },
      { tensor, metadata: { ...plugin("scalars"), displayName: "shown" } },
    );
    const written = fc.record({ tag: fc.constantFrom("a", "b"), value });
    await fc.assert(
      fc.asyncProperty(fc.array(written, { maxLength: 12 }), async (events) => {
        expect(await valuesOf(events, false)).toEqual(await valuesOf(events, true));
      }),
      { numRuns: 500 },
    );
  });
});

test("a tag that is not UTF-8 ends as a loss, and what follows is read", async () => {
  const bad = written({
    form: "v1",
    wallTime: new Uint8Array(8),
    value: new Uint8Array(4),
    step: 1n,
    tag: Buffer.from([0x61, 0xff]),
  });
  const first = scalarEvent("a", 1, 1);
  const file = eventFile(first, bad, scalarEvent("a", 2, 2), bad, scalarEvent("b", 3, 3));
  const records = new RecordReader(new ScriptedSource(file), { end: file.length });
  const reader = new EventFileReader(records, new Map());
  const batch = new RecordBatch(100, new TagTable());
  expect(await reader.read(batch)).toBe(false);
  expect(scalarsOf(batch).map(({ tag, step, value }) => [tag, step, value])).toEqual([
    ["a", 1n, 1],
    ["a", 2n, 2],
    ["b", 3n, 3],
  ]);
  const start = first.length + 16;
  const again = start + bad.length + 16 + first.length + 16;
  expect(records.losses).toEqual([
    { start, end: start + bad.length + 16, reason: "not-an-event" },
    { start: again, end: again + bad.length + 16, reason: "not-an-event" },
  ]);
  expect(reader.counts.events).toBe(3);
  expect(batch.tags).toEqual(["a", "b"]);
});
