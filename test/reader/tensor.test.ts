import path from "node:path";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { tensorboard } from "../../src/reader/proto/tensorboard.js";
import { decodeTensor, MAX_TENSOR_BYTES, scalarOf, TensorError } from "../../src/reader/tensor.ts";

const root = new protobuf.Root();
root.resolvePath = (_, target) => path.resolve("proto", target);
const TensorProto = root.loadSync("tensorboard/compat/proto/tensor.proto").lookupType("tensorboard.TensorProto");

/** A tensor as it comes out of a file: encoded by protobufjs' reflection, decoded by the generated code. */
function written(dtype: string | number, shape: readonly (number | string)[], fields: Record<string, unknown> = {}) {
  const tensorShape = { dim: shape.map((size) => ({ size })) };
  const message = TensorProto.fromObject({ dtype, tensorShape, ...fields });
  return tensorboard.TensorProto.decode(new Uint8Array(TensorProto.encode(message).finish()));
}

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

function bytes(...texts: string[]): Uint8Array[] {
  return texts.map((text) => new Uint8Array(Buffer.from(text)));
}

/** Why a tensor cannot be decoded. */
function refusal(...args: Parameters<typeof written>): string {
  try {
    decodeTensor(written(...args));
  } catch (error) {
    expect(error).toBeInstanceOf(TensorError);
    return (error as TensorError).message;
  }
  throw new Error("it was decoded");
}

/** Each dtype with three values, as its repeated field has them and as little-endian bytes. Bit patterns by IEEE 754. */
const DTYPES = [
  {
    dtype: "DT_FLOAT",
    name: "float32",
    field: "floatVal",
    values: [1, -2.5, -0],
    content: "0000803f 000020c0 00000080",
  },
  {
    dtype: "DT_DOUBLE",
    name: "float64",
    field: "doubleVal",
    values: [1, -2.5, 0.1],
    content: "000000000000f03f 00000000000004c0 9a9999999999b93f",
  },
  {
    dtype: "DT_HALF",
    name: "float16",
    field: "halfVal",
    written: [0x3c00, 0xc100, 0x0001],
    values: [1, -2.5, 2 ** -24],
    content: "003c 00c1 0100",
  },
  {
    dtype: "DT_BFLOAT16",
    name: "bfloat16",
    field: "halfVal",
    written: [0x3f80, 0xc020, 0xff80],
    values: [1, -2.5, Number.NEGATIVE_INFINITY],
    content: "803f 20c0 80ff",
  },
  { dtype: "DT_INT8", name: "int8", field: "intVal", values: [0, -128, 127], content: "00 80 7f" },
  { dtype: "DT_QINT8", name: "qint8", field: "intVal", values: [0, -128, 127], content: "00 80 7f" },
  { dtype: "DT_UINT8", name: "uint8", field: "intVal", values: [0, 128, 255], content: "00 80 ff" },
  { dtype: "DT_QUINT8", name: "quint8", field: "intVal", values: [0, 128, 255], content: "00 80 ff" },
  { dtype: "DT_INT16", name: "int16", field: "intVal", values: [1, -32768, 32767], content: "0100 0080 ff7f" },
  { dtype: "DT_QINT16", name: "qint16", field: "intVal", values: [1, -32768, 32767], content: "0100 0080 ff7f" },
  { dtype: "DT_UINT16", name: "uint16", field: "intVal", values: [1, 32768, 65535], content: "0100 0080 ffff" },
  { dtype: "DT_QUINT16", name: "quint16", field: "intVal", values: [1, 32768, 65535], content: "0100 0080 ffff" },
  {
    dtype: "DT_INT32",
    name: "int32",
    field: "intVal",
    values: [1, -(2 ** 31), 2 ** 31 - 1],
    content: "01000000 00000080 ffffff7f",
  },
  {
    dtype: "DT_QINT32",
    name: "qint32",
    field: "intVal",
    values: [1, -(2 ** 31), 2 ** 31 - 1],
    content: "01000000 00000080 ffffff7f",
  },
  {
    dtype: "DT_UINT32",
    name: "uint32",
    field: "uint32Val",
    values: [1, 2 ** 31, 2 ** 32 - 1],
    content: "01000000 00000080 ffffffff",
  },
  {
    dtype: "DT_INT64",
    name: "int64",
    field: "int64Val",
    written: ["-9007199254740993", "-9223372036854775808", "9223372036854775807"],
    values: [-(2n ** 53n) - 1n, -(2n ** 63n), 2n ** 63n - 1n],
    content: "ffffffffffffdfff 0000000000000080 ffffffffffffff7f",
  },
  {
    dtype: "DT_UINT64",
    name: "uint64",
    field: "uint64Val",
    written: ["9007199254740993", "9223372036854775808", "18446744073709551615"],
    values: [2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n],
    content: "0100000000002000 0000000000000080 ffffffffffffffff",
  },
  {
    dtype: "DT_BOOL",
    name: "bool",
    field: "boolVal",
    written: [true, false, true],
    values: [1, 0, 1],
    content: "01 00 02", // whatever is not 0 is true
  },
  {
    dtype: "DT_COMPLEX64",
    name: "complex64",
    field: "scomplexVal",
    values: [1, -2.5, 0, 1, -0, 0],
    content: "0000803f 000020c0 00000000 0000803f 00000080 00000000",
  },
  {
    dtype: "DT_COMPLEX128",
    name: "complex128",
    field: "dcomplexVal",
    values: [1, -2.5, 0.1, 0, 0, 0],
    content: "000000000000f03f 00000000000004c0 9a9999999999b93f 0000000000000000 0000000000000000 0000000000000000",
  },
  {
    dtype: "DT_STRING",
    name: "string",
    field: "stringVal",
    written: bytes("a", "", "\u00fc\u0000"),
    values: bytes("a", "", "\u00fc\u0000"),
    content: "01 00 03  61 c3bc00", // TensorFlow's EncodeStringList: lengths, then bytes
  },
];

describe.each(DTYPES)("$dtype", ({ dtype, name, field, values, written: inField = values, content }) => {
  const parts = name.startsWith("complex") ? 2 : 1;

  test("from its repeated field", () => {
    const tensor = decodeTensor(written(dtype, [3], { [field]: inField }));
    expect(tensor).toMatchObject({ dtype: name, shape: [3] });
    expect([...tensor.data]).toEqual(values);
  });

  test("from tensor_content", () => {
    const tensor = decodeTensor(written(dtype, [1, 3], { tensorContent: hex(content) }));
    expect(tensor).toMatchObject({ dtype: name, shape: [1, 3] });
    expect([...tensor.data]).toEqual(values);
  });

  test("from tensor_content at every alignment", () => {
    for (let shift = 0; shift < 8; shift++) {
      const around = new Uint8Array(64 + shift);
      around.set(hex(content), shift);
      const tensorContent = around.subarray(shift, shift + hex(content).length);
      const tensor = decodeTensor({ ...written(dtype, [3]), tensorContent });
      expect([...tensor.data]).toEqual(values);
    }
  });

  test("a field shorter than the shape goes on with its last value", () => {
    const tensor = decodeTensor(written(dtype, [2, 2], { [field]: inField.slice(0, 2 * parts) }));
    const [first, second] = [values.slice(0, parts), values.slice(parts, 2 * parts)];
    expect([...tensor.data]).toEqual([first, second, second, second].flat());
  });

  test("an empty field means zeros", () => {
    const tensor = decodeTensor(written(dtype, [2]));
    expect(tensor.data).toHaveLength(2 * parts);
    for (const value of tensor.data) expect([0, 0n]).toContain(value instanceof Uint8Array ? value.length : value);
  });

  test("without elements", () => {
    expect(decodeTensor(written(dtype, [0, 3]))).toMatchObject({ dtype: name, shape: [0, 3], data: { length: 0 } });
  });

  test("more or fewer values than the shape has room for are refused", () => {
    expect(refusal(dtype, [2], { [field]: inField })).toMatch(
      /^the field holds \d numbers or strings; the shape needs/,
    );
    expect(refusal(dtype, [4], { tensorContent: hex(content) })).toMatch(/^tensor_content (has|of) \d+ bytes/);
    expect(refusal(dtype, [2], { tensorContent: hex(content) })).toMatch(/^tensor_content (has|of) \d+ bytes/);
    expect(refusal(dtype, [0], { tensorContent: hex(content) })).toMatch(/^tensor_content (has|of) \d+ bytes/);
  });
});

describe("16-bit floats", () => {
  const all = Array.from({ length: 65_536 }, (_, bits) => bits);

  /** IEEE 754: (-1)^sign × 2^(exponent - bias) × 1.fraction; exponent 0 is subnormal, the greatest infinity or NaN. */
  function value(bits: number, exponentBits: number, fractionBits: number): number {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
    const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
    const bias = 2 ** (exponentBits - 1) - 1;
    if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
  }

  test("every float16 is exact", () => {
    const { data } = decodeTensor(written("DT_HALF", [65_536], { halfVal: all }));
    expect([...data]).toEqual(all.map((bits) => value(bits, 5, 10)));
  });

  test("every bfloat16 is exact", () => {
    const { data } = decodeTensor(written("DT_BFLOAT16", [65_536], { halfVal: all }));
    expect([...data]).toEqual(all.map((bits) => value(bits, 8, 7)));
  });

  // add_tensor of torch.utils.tensorboard: struct.unpack("i", struct.pack("f", value))
  test("torch writes the bits of float32s, which are told from halves", () => {
    const halfVal = [0x3fc00000, 0, 0xc2c80000 | 0, 0x33800000, 0x7fc00000];
    const values = [1.5, 0, -100, 2 ** -24, Number.NaN];
    expect([...decodeTensor(written("DT_HALF", [5], { halfVal })).data]).toEqual(values);
    expect([...decodeTensor(written("DT_BFLOAT16", [5], { halfVal })).data]).toEqual(values);
  });

  test("float32s that were never 16-bit floats are refused", () => {
    expect(refusal("DT_HALF", [1], { halfVal: [0x3dcccccd] })).toMatch(/^half_val holds neither 16-bit floats/);
    expect(refusal("DT_BFLOAT16", [1], { halfVal: [0x3fc02000] })).toMatch(/^half_val holds neither 16-bit floats/);
  });
});

describe("what is refused", () => {
  test.each([
    ["DT_INVALID", /^dtype is DT_INVALID/],
    ["DT_RESOURCE", /^dtype is DT_RESOURCE/],
    ["DT_VARIANT", /^dtype is DT_VARIANT/],
    ["DT_FLOAT8_E5M2", /^dtype is DT_FLOAT8_E5M2/],
    ["DT_INT4", /^dtype is DT_INT4/],
    ["DT_FLOAT_REF", /^dtype is DT_FLOAT_REF/],
    [4711, /^dtype is 4711; possible are floats/],
  ])("dtype %s", (dtype, message) => {
    expect(refusal(dtype, [1], { floatVal: [1] })).toMatch(message);
  });

  test.each([
    [[2 ** 40], { floatVal: [1] }],
    [[2 ** 26 + 1], { floatVal: [1] }],
    [[2 ** 31, 2 ** 31], {}],
    [["9223372036854775807"], {}],
    [Array.from({ length: 200 }, () => 2 ** 50), {}],
  ])("a shape beyond the cap: %j", (shape, fields) => {
    expect(refusal("DT_FLOAT", shape, fields)).toMatch(/bytes; possible are 268435456$|possible are 0 to 2\^53 - 1$/);
  });

  test("whatever the other dimensions are, one of 0 makes it empty", () => {
    const shape = [...Array.from({ length: 30 }, () => 2 ** 50), 0];
    expect(decodeTensor(written("DT_FLOAT", shape)).data).toHaveLength(0);
  });

  test("strings count with their bytes, also when one is repeated", () => {
    const stringVal = [Buffer.alloc(1024)];
    expect(decodeTensor(written("DT_STRING", [1000], { stringVal })).data).toHaveLength(1000);
    expect(refusal("DT_STRING", [300_000], { stringVal })).toMatch(/^the values would take \d+ bytes/);
    expect(refusal("DT_STRING", [2 ** 24], {})).toMatch(/^the values would take \d+ bytes/);
  });

  test("halves count with what they become", () => {
    expect(refusal("DT_HALF", [2 ** 26 + 1], { halfVal: [1] })).toMatch(/^the values would take \d+ bytes/);
  });

  test("a dimension of unknown or negative length, unknown rank, too many dimensions", () => {
    expect(refusal("DT_FLOAT", [-1], { floatVal: [1] })).toBe(
      "the shape has a dimension of -1; possible are 0 to 2^53 - 1",
    );
    expect(refusal("DT_FLOAT", [], { tensorShape: { unknownRank: true } })).toMatch(/^the shape is of unknown rank/);
    expect(refusal("DT_FLOAT", Array(255).fill(1))).toBe("the shape has 255 dimensions; possible are 254");
  });

  test("an integer out of its dtype's range", () => {
    expect(refusal("DT_INT8", [2], { intVal: [1, 128] })).toBe("the value 128 is out of the range of DT_INT8");
    expect(refusal("DT_UINT16", [1], { intVal: [-1] })).toBe("the value -1 is out of the range of DT_UINT16");
  });

  test("half a complex number", () => {
    expect(refusal("DT_COMPLEX64", [2], { scomplexVal: [1, 2, 3] })).toMatch(/^the field holds 3 numbers/);
  });

  test("values in a field that is not the dtype's: they are not taken for zeros", () => {
    expect(refusal("DT_FLOAT", [2], { doubleVal: [1, 2] })).toBe(
      "the values are in doubleVal, which DT_FLOAT does not use",
    );
    expect(refusal("DT_FLOAT", [2], { float8Val: hex("0102") })).toMatch(/^the values are in float8Val/);
  });
});

test("torch puts uint8 into uint32_val", () => {
  expect([...decodeTensor(written("DT_UINT8", [2], { uint32Val: [7, 255] })).data]).toEqual([7, 255]);
});

test("a message without a shape is a single value", () => {
  const proto = tensorboard.TensorProto.decode(hex("08 01 2a 04 0000803f")); // dtype: 1, float_val: [1.0]
  expect(decodeTensor(proto)).toEqual({ dtype: "float32", shape: [], data: Float32Array.of(1) });
  expect(scalarOf(proto)).toBe(1);
});

test("numbers do not change with the record's buffer", () => {
  const record = TensorProto.encode(
    TensorProto.fromObject({ dtype: 1, tensorShape: { dim: [{ size: 2 }] }, tensorContent: hex("0000803f 00000040") }),
  ).finish();
  const { data } = decodeTensor(tensorboard.TensorProto.decode(record));
  record.fill(0xff);
  expect([...data]).toEqual([1, 2]);
});

describe("scalarOf", () => {
  const SCALARS = DTYPES.filter(({ name }) => name !== "string" && !name.startsWith("complex"));

  test.each(SCALARS)("$dtype", ({ dtype, field, values, written: inField = values, content }) => {
    const width = hex(content).length / 3;
    for (const [i, value] of values.entries()) {
      for (const shape of [[], [1], [1, 1, 1]]) {
        expect(scalarOf(written(dtype, shape, { [field]: [inField[i]] }))).toBe(Number(value));
        const tensorContent = hex(content).subarray(i * width, (i + 1) * width);
        expect(scalarOf(written(dtype, shape, { tensorContent }))).toBe(Number(value));
      }
    }
  });

  test("an empty field is 0", () => {
    expect(scalarOf(written("DT_FLOAT", []))).toBe(0);
  });

  test.each([
    ["two values", written("DT_FLOAT", [2], { floatVal: [1, 2] })],
    ["none", written("DT_FLOAT", [0])],
    ["more values than its shape", written("DT_FLOAT", [], { floatVal: [1, 2] })],
    ["too little content", written("DT_FLOAT", [], { tensorContent: hex("000080") })],
    ["content of two", written("DT_DOUBLE", [1], { tensorContent: Buffer.alloc(16) })],
    ["a string", written("DT_STRING", [], { stringVal: bytes("0.5") })],
    ["a complex number", written("DT_COMPLEX64", [], { scomplexVal: [1, 0] })],
    ["no dtype", written("DT_INVALID", [], { floatVal: [1] })],
    ["unknown rank", written("DT_FLOAT", [], { floatVal: [1], tensorShape: { unknownRank: true } })],
  ])("no scalar: %s", (_, proto) => {
    expect(scalarOf(proto)).toBeUndefined();
  });
});

describe("whatever is written", () => {
  const size = fc.oneof(fc.nat(4), fc.constantFrom(-1, 2 ** 12, 2 ** 31, "4611686018427387904"));
  const proto = fc
    .record(
      {
        dtype: fc.oneof(fc.integer({ min: 0, max: 34 }), fc.integer()),
        shape: fc.array(size, { maxLength: 4 }),
        tensorContent: fc.uint8Array({ maxLength: 40 }),
        halfVal: fc.array(fc.integer(), { maxLength: 3 }),
        floatVal: fc.array(fc.float(), { maxLength: 3 }),
        doubleVal: fc.array(fc.double(), { maxLength: 3 }),
        intVal: fc.array(fc.oneof(fc.nat(100), fc.integer()), { maxLength: 3 }),
        uint32Val: fc.array(fc.nat(300), { maxLength: 3 }),
        int64Val: fc.array(fc.maxSafeInteger(), { maxLength: 3 }),
        uint64Val: fc.array(fc.maxSafeNat(), { maxLength: 3 }),
        boolVal: fc.array(fc.boolean(), { maxLength: 3 }),
        stringVal: fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 3 }),
        scomplexVal: fc.array(fc.float(), { maxLength: 4 }),
        dcomplexVal: fc.array(fc.double(), { maxLength: 4 }),
      },
      { requiredKeys: ["dtype", "shape"] },
    )
    .map(({ dtype, shape, ...fields }) => written(dtype, shape, fields));

  test("a tensor is as large as its shape and within the cap, or a TensorError", () => {
    fc.assert(
      fc.property(proto, (tensor) => {
        try {
          const { dtype, shape, data } = decodeTensor(tensor);
          const count = shape.reduce((product, length) => product * length, 1);
          expect(data.length).toBe(dtype.startsWith("complex") ? 2 * count : count);
          if ("byteLength" in data) expect(data.byteLength).toBeLessThanOrEqual(MAX_TENSOR_BYTES);
        } catch (error) {
          if (!(error instanceof TensorError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("scalarOf throws nothing and agrees with decodeTensor", () => {
    fc.assert(
      fc.property(proto, (tensor) => {
        const scalar = scalarOf(tensor);
        if (scalar === undefined) return;
        const { data } = decodeTensor(tensor);
        expect(data).toHaveLength(1);
        expect(scalar).toBe(Number(data[0]));
      }),
      { numRuns: 2000 },
    );
  });
});
