/** `TensorProto` → numbers or strings. */
import { tensorboard } from "./proto/tensorboard.js";

/**
 * A decoded tensor, row-major.
 *
 * `float16` and `bfloat16` are widened to float32, which holds each of their values exactly; complex numbers are
 * interleaved (real, imaginary), so their `data` has two entries an element; a `bool` is 0 or 1; quantized integers are
 * the integers they are stored as. Strings are bytes, views of the decoded message.
 */
export type Tensor = {
  /** Lengths of the dimensions; `[]` is a single value. */
  readonly shape: readonly number[];
} & (
  | { readonly dtype: "float32" | "float16" | "bfloat16" | "complex64"; readonly data: Float32Array }
  | { readonly dtype: "float64" | "complex128"; readonly data: Float64Array }
  | { readonly dtype: "int8" | "qint8"; readonly data: Int8Array }
  | { readonly dtype: "int16" | "qint16"; readonly data: Int16Array }
  | { readonly dtype: "int32" | "qint32"; readonly data: Int32Array }
  | { readonly dtype: "int64"; readonly data: BigInt64Array }
  | { readonly dtype: "uint8" | "quint8" | "bool"; readonly data: Uint8Array }
  | { readonly dtype: "uint16" | "quint16"; readonly data: Uint16Array }
  | { readonly dtype: "uint32"; readonly data: Uint32Array }
  | { readonly dtype: "uint64"; readonly data: BigUint64Array }
  | { readonly dtype: "string"; readonly data: readonly Uint8Array[] }
);

/** A tensor whose `data` would be larger than this is refused before anything is allocated. Bytes. */
export const MAX_TENSOR_BYTES: number = 256 * 1024 * 1024;

/** A `TensorProto` that nobody can decode; the message says what was found and what would have been possible. */
export class TensorError extends Error {
  override readonly name = "TensorError";
}

type Proto = tensorboard.TensorProto.$Properties;
type Int64 = Exclude<NonNullable<Proto["int64Val"]>[number], number> | number;
type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;

/** A typed array's constructor. */
interface Kind<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): A;
  new (buffer: ArrayBuffer): A;
}

const { DataType } = tensorboard;
/** TensorFlow's own limit (`TensorShape::MaxDimensions`). */
const MAX_RANK = 254;
/** What one string counts beside its bytes: whoever takes it makes an object of it. */
const STRING_OVERHEAD = 64;
/** The same of one that is not even written: it may become a picture or a table's cell, which take far more than it. */
const IMPLIED_STRING_OVERHEAD = 1024;

/**
 * Decode a tensor of any dtype a summary can hold, whether its values lie in `tensor_content` (little-endian) or in the
 * repeated field of its dtype. A repeated field shorter than the shape goes on with its last value, an empty one with
 * zeros, as TensorFlow compresses and reads them; TensorBoard's Python refuses some of these, but none comes out
 * otherwise.
 *
 * Source: `make_ndarray` of tensorboard/util/tensor_util.py; tensorflow/core/framework/tensor.cc.
 *
 * @throws TensorError if the dtype, the shape or the number of values make that impossible, or if the result would be
 *   larger than MAX_TENSOR_BYTES
 */
export function decodeTensor(proto: Proto): Tensor {
  const shape = shapeOf(proto.tensorShape);
  const count = countOf(shape);
  const ints = integersOf(proto);
  switch (proto.dtype ?? 0) {
    case DataType.DT_FLOAT:
      return { dtype: "float32", shape, data: numbers(proto, count, Float32Array, proto.floatVal) };
    case DataType.DT_DOUBLE:
      return { dtype: "float64", shape, data: numbers(proto, count, Float64Array, proto.doubleVal) };
    case DataType.DT_HALF:
      return { dtype: "float16", shape, data: widened(proto, count, float32BitsOfHalf, 0x1fff) };
    case DataType.DT_BFLOAT16:
      return { dtype: "bfloat16", shape, data: widened(proto, count, (bits) => bits << 16, 0xffff) };
    case DataType.DT_COMPLEX64:
      return { dtype: "complex64", shape, data: numbers(proto, count, Float32Array, proto.scomplexVal, 2) };
    case DataType.DT_COMPLEX128:
      return { dtype: "complex128", shape, data: numbers(proto, count, Float64Array, proto.dcomplexVal, 2) };
    case DataType.DT_INT8:
      return { dtype: "int8", shape, data: numbers(proto, count, Int8Array, ints) };
    case DataType.DT_QINT8:
      return { dtype: "qint8", shape, data: numbers(proto, count, Int8Array, ints) };
    case DataType.DT_INT16:
      return { dtype: "int16", shape, data: numbers(proto, count, Int16Array, ints) };
    case DataType.DT_QINT16:
      return { dtype: "qint16", shape, data: numbers(proto, count, Int16Array, ints) };
    case DataType.DT_INT32:
      return { dtype: "int32", shape, data: numbers(proto, count, Int32Array, ints) };
    case DataType.DT_QINT32:
      return { dtype: "qint32", shape, data: numbers(proto, count, Int32Array, ints) };
    case DataType.DT_UINT8:
      return { dtype: "uint8", shape, data: numbers(proto, count, Uint8Array, ints) };
    case DataType.DT_QUINT8:
      return { dtype: "quint8", shape, data: numbers(proto, count, Uint8Array, ints) };
    case DataType.DT_UINT16:
      return { dtype: "uint16", shape, data: numbers(proto, count, Uint16Array, ints) };
    case DataType.DT_QUINT16:
      return { dtype: "quint16", shape, data: numbers(proto, count, Uint16Array, ints) };
    case DataType.DT_UINT32:
      return { dtype: "uint32", shape, data: numbers(proto, count, Uint32Array, proto.uint32Val) };
    case DataType.DT_INT64:
      return { dtype: "int64", shape, data: bigints(proto, count, BigInt64Array, proto.int64Val) };
    case DataType.DT_UINT64:
      return { dtype: "uint64", shape, data: bigints(proto, count, BigUint64Array, proto.uint64Val) };
    case DataType.DT_BOOL:
      return { dtype: "bool", shape, data: booleans(proto, count) };
    case DataType.DT_STRING:
      return { dtype: "string", shape, data: strings(proto, count) };
    default:
      throw new TensorError(
        `dtype is ${DataType[proto.dtype ?? 0] ?? proto.dtype}; possible are floats, integers, complex numbers, bool and string`,
      );
  }
}

/**
 * The value of a tensor that holds exactly one number or bool, whatever its rank; an int64 as the nearest double.
 * Undefined for any other tensor, also for one that `decodeTensor` would refuse.
 */
export function scalarOf(proto: Proto): number | undefined {
  const shape = proto.tensorShape;
  if (shape?.unknownRank) return undefined;
  for (const dim of shape?.dim ?? []) if (toNumber(dim.size) !== 1) return undefined;
  const content = proto.tensorContent;
  // Nearly every scalar there is ends in one of these two cases.
  if (proto.dtype === DataType.DT_FLOAT) {
    if (!content?.length && proto.floatVal?.length === 1) return proto.floatVal[0];
    if (content?.length === 4) return viewOf(content).getFloat32(0, true);
  } else if (proto.dtype === DataType.DT_DOUBLE) {
    if (!content?.length && proto.doubleVal?.length === 1) return proto.doubleVal[0];
    if (content?.length === 8) return viewOf(content).getFloat64(0, true);
  }
  try {
    const tensor = decodeTensor(proto);
    if (tensor.dtype === "string" || tensor.dtype === "complex64" || tensor.dtype === "complex128") return undefined;
    return Number(tensor.data[0]);
  } catch (error) {
    if (error instanceof TensorError) return undefined;
    throw error;
  }
}

/**
 * What a tensor's values take beyond those that are written, since one value can stand for all the others. Bytes; 0 for
 * a tensor that `decodeTensor` refuses.
 */
export function impliedBytes(proto: Proto): number {
  if (proto.tensorContent?.length) return 0;
  try {
    const count = countOf(shapeOf(proto.tensorShape));
    const field = fieldOf(proto);
    const isText = proto.dtype === DataType.DT_STRING;
    const each = isText ? (proto.stringVal?.at(-1)?.length ?? 0) + IMPLIED_STRING_OVERHEAD : 16;
    return Math.max(0, count - field) * each;
  } catch (error) {
    if (error instanceof TensorError) return 0;
    throw error;
  }
}

/** How many values are written, whatever their type. */
function fieldOf(proto: Proto): number {
  const fields = [proto.floatVal, proto.doubleVal, proto.intVal, proto.uint32Val, proto.int64Val, proto.uint64Val];
  const others = [proto.halfVal, proto.boolVal, proto.stringVal, proto.scomplexVal, proto.dcomplexVal];
  return Math.max(...[...fields, ...others].map((field) => field?.length ?? 0));
}

function shapeOf(proto: Proto["tensorShape"]): readonly number[] {
  if (proto?.unknownRank) throw new TensorError("the shape is of unknown rank; a value needs a known one");
  const dims = proto?.dim ?? [];
  if (dims.length > MAX_RANK)
    throw new TensorError(`the shape has ${dims.length} dimensions; possible are ${MAX_RANK}`);
  const shape = dims.map((dim) => toNumber(dim.size));
  const wrong = shape.find((size) => size < 0 || !Number.isSafeInteger(size));
  if (wrong !== undefined) throw new TensorError(`the shape has a dimension of ${wrong}; possible are 0 to 2^53 - 1`);
  return shape;
}

/** How many elements a shape has; a product that is no exact number any more is far beyond the cap. */
function countOf(shape: readonly number[]): number {
  if (shape.includes(0)) return 0;
  const count = shape.reduce((product, size) => product * size, 1);
  checkSize(count, 1);
  return count;
}

/**
 * `int_val`, or what stands in its place: torch puts uint8 tensors into `uint32_val`, where TensorBoard does not look.
 */
function integersOf(proto: Proto): readonly number[] | null | undefined {
  return proto.intVal?.length ? proto.intVal : proto.uint32Val;
}

/**
 * @param field the repeated field that holds numbers of this kind
 * @param parts how many numbers make one element
 */
function numbers<A extends NumberArray>(
  proto: Proto,
  count: number,
  kind: Kind<A>,
  field: readonly number[] | null | undefined,
  parts = 1,
): A {
  const content = contentOf(proto, count, kind.BYTES_PER_ELEMENT * parts);
  if (content !== undefined) return new kind(content);
  const values = field ?? [];
  checkField(proto, values.length, count, parts);
  const data = new kind(count * parts);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    data[i] = value;
    // A float is stored as it is, an integer only if it is in range.
    if (data[i] !== value && Number.isInteger(value) && !(data instanceof Float32Array)) {
      throw new TensorError(`the value ${value} is out of the range of ${DataType[proto.dtype ?? 0]}`);
    }
  }
  if (values.length === 0) return data;
  if (parts === 1) data.fill(values.at(-1) as number, values.length);
  else for (let i = values.length; i < data.length; i++) data[i] = data[i - parts] as number;
  return data;
}

/**
 * Floats of 16 bits, whose repeated field holds the bits.
 *
 * @param widen 16 bits to those of the float32 that equals them
 * @param unused the bits of a float32 that are 0 if it came from 16
 */
function widened(proto: Proto, count: number, widen: (bits: number) => number, unused: number): Float32Array {
  checkSize(count, Float32Array.BYTES_PER_ELEMENT);
  if (!proto.tensorContent?.length && proto.halfVal?.some((bits) => bits >>> 0 > 0xffff)) {
    // torch's add_tensor puts a float32 there, which TensorBoard cannot read. The two cannot be taken for each other: all
    // that 16 bits can hold, but 0, is a float32 whose bits lie beyond 0xffff.
    const bits = numbers(proto, count, Int32Array, proto.halfVal);
    if (bits.every((value) => (value & unused) === 0)) return new Float32Array(bits.buffer);
    throw new TensorError(
      "half_val holds neither 16-bit floats nor, as torch writes them, the float32 that equal them",
    );
  }
  const halves = numbers(proto, count, Uint16Array, proto.halfVal);
  const bits = new Uint32Array(count);
  for (let i = 0; i < count; i++) bits[i] = widen(halves[i] as number);
  return new Float32Array(bits.buffer);
}

/** The bits of the float32 that equals an IEEE 754 binary16 number; a NaN keeps its payload. */
function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: fraction × 2^-24, which float32 holds as a normal number; shift the leading one out of the fraction.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function bigints<A extends BigInt64Array | BigUint64Array>(
  proto: Proto,
  count: number,
  kind: Kind<A>,
  field: readonly Int64[] | null | undefined,
): A {
  const content = contentOf(proto, count, 8);
  if (content !== undefined) return new kind(content);
  const values = field ?? [];
  checkField(proto, values.length, count);
  const data = new kind(count);
  for (let i = 0; i < values.length; i++) data[i] = toBigint(values[i] as Int64);
  if (values.length > 0) data.fill(data[values.length - 1] as bigint, values.length);
  return data;
}

function booleans(proto: Proto, count: number): Uint8Array {
  const content = contentOf(proto, count, 1);
  if (content !== undefined) return new Uint8Array(content).map((byte) => (byte === 0 ? 0 : 1));
  const values = proto.boolVal ?? [];
  checkField(proto, values.length, count);
  const data = new Uint8Array(count);
  for (let i = 0; i < values.length; i++) data[i] = values[i] ? 1 : 0;
  if (values.length > 0) data.fill(data[values.length - 1] as number, values.length);
  return data;
}

function strings(proto: Proto, count: number): readonly Uint8Array[] {
  const content = proto.tensorContent ?? new Uint8Array();
  const own = content.length > 0 ? stringsOfContent(content, count) : (proto.stringVal ?? []);
  checkField(proto, own.length, count);
  const last = own.at(-1) ?? new Uint8Array();
  const bytes = own.reduce((sum, string) => sum + string.length, 0);
  checkSize(count * STRING_OVERHEAD + bytes + (count - own.length) * last.length, 1);
  return count === own.length ? own : Array.from({ length: count }, (_, i) => own[i] ?? last);
}

/** TensorFlow's `EncodeStringList`: the lengths as varints, then the strings. No summary writer is known to use it. */
function stringsOfContent(content: Uint8Array, count: number): readonly Uint8Array[] {
  const refuse = () => new TensorError(`tensor_content of ${content.length} bytes does not hold ${count} strings`);
  if (count > content.length) throw refuse();
  let at = 0;
  const lengths = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let scale = 1;
    let byte = 0x80;
    while (byte >= 0x80) {
      if (at === content.length || scale > 2 ** 28) throw refuse();
      byte = content[at++] as number;
      lengths[i] = (lengths[i] as number) + (byte & 0x7f) * scale;
      scale *= 128;
    }
  }
  const result: Uint8Array[] = [];
  for (const length of lengths) result.push(content.subarray(at, (at += length)));
  if (at !== content.length) throw refuse();
  return result;
}

/** A copy of `tensor_content`, since typed arrays need it aligned; undefined where the message has none. */
function contentOf(proto: Proto, count: number, width: number): ArrayBuffer | undefined {
  checkSize(count, width);
  const content = proto.tensorContent;
  if (!content?.length) return undefined;
  if (content.length !== count * width) {
    throw new TensorError(`tensor_content has ${content.length} bytes; ${count} values need ${count * width}`);
  }
  return new Uint8Array(content).buffer;
}

function checkSize(count: number, width: number): void {
  if (count * width > MAX_TENSOR_BYTES) {
    throw new TensorError(`the values would take ${count * width} bytes; possible are ${MAX_TENSOR_BYTES}`);
  }
}

function checkField(proto: Proto, found: number, count: number, parts = 1): void {
  if (found > count * parts || found % parts !== 0) {
    throw new TensorError(`the field holds ${found} numbers or strings; the shape needs ${count * parts}`);
  }
  if (found > 0 || count === 0) return;
  // An empty field means zeros, but not if the values were put where they do not belong.
  for (const [name, field] of Object.entries(proto)) {
    if (name.endsWith("Val") && (Array.isArray(field) || field instanceof Uint8Array) && field.length > 0) {
      throw new TensorError(`the values are in ${name}, which ${DataType[proto.dtype ?? 0]} does not use`);
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toNumber(value: Int64 | null | undefined): number {
  return typeof value === "object" && value !== null ? value.toNumber() : (value ?? 0);
}

function toBigint(value: Int64): bigint {
  if (typeof value === "number") return BigInt(value);
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}
