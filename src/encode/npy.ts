/**
 * NumPy's file format, version 1.0.
 *
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import type { Tensor } from "../reader/tensor.ts";

type NumericTensor = Exclude<Tensor, { readonly dtype: "string" }>;

/** NumPy knows no bfloat16 and no quantized integers; float32 and the integers hold them exactly. */
const DESCRIPTIONS: Readonly<Record<NumericTensor["dtype"], string>> = {
  float16: "<f2",
  float32: "<f4",
  bfloat16: "<f4",
  float64: "<f8",
  complex64: "<c8",
  complex128: "<c16",
  bool: "|b1",
  int8: "|i1",
  qint8: "|i1",
  int16: "<i2",
  qint16: "<i2",
  int32: "<i4",
  qint32: "<i4",
  int64: "<i8",
  uint8: "|u1",
  quint8: "|u1",
  uint16: "<u2",
  quint16: "<u2",
  uint32: "<u4",
  uint64: "<u8",
};
/** The rank that every NumPy can load; beyond it, the values come as a vector. The head is then far below 64 KiB. */
const MAX_RANK = 32;
const MAGIC = Buffer.from("\x93NUMPY\x01\x00", "latin1");
const ALIGNMENT = 64;

/** A tensor of numbers as a `.npy` file. */
export function encodeNpy(tensor: NumericTensor): Uint8Array {
  const { dtype, shape } = tensor;
  const data = dtype === "float16" ? halves(tensor.data) : tensor.data;
  const loadable = shape.length <= MAX_RANK ? shape : [shape.reduce((product, size) => product * size, 1)];
  const tuple = loadable.length === 1 ? `${loadable[0]},` : loadable.join(", ");
  const header = `{'descr': '${DESCRIPTIONS[dtype]}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const length = Math.ceil((MAGIC.length + 2 + header.length + 1) / ALIGNMENT) * ALIGNMENT;
  const head = Buffer.alloc(length, " ");
  MAGIC.copy(head);
  head.writeUInt16LE(length - MAGIC.length - 2, MAGIC.length);
  head.write(header, MAGIC.length + 2, "latin1");
  head[length - 1] = 0x0a;
  return Buffer.concat([head, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]);
}

/** Back to the 16 bits that the float32 values were made of. */
function halves(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, halfOf);
}

function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction >>> 13);
  if (exponent >= 113) return sign | ((exponent - 112) << 10) | (fraction >>> 13);
  // Subnormal there, normal here: the leading one comes back.
  return exponent === 0 ? sign : sign | ((fraction | 0x800000) >>> (126 - exponent));
}
