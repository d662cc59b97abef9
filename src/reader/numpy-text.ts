/**
 * NumPy's scalars and dtypes as PyYAML writes them: `scalar(dtype, bytes)`, and `dtype` with a state that tells the order
 * of the bytes.
 */
import { floatRepr, PythonObject, type PythonValue } from "./python-text.ts";

/** What Python prints of a dtype by its short name. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["b1", "bool"],
  ...[1, 2, 4, 8].flatMap((bytes) => [
    [`i${bytes}`, `int${8 * bytes}`] as const,
    [`u${bytes}`, `uint${8 * bytes}`] as const,
  ]),
  ...[2, 4, 8].map((bytes) => [`f${bytes}`, `float${8 * bytes}`] as const),
  ...[8, 16].map((bytes) => [`c${bytes}`, `complex${8 * bytes}`] as const),
]);

/**
 * A scalar as the plain value that prints like it.
 *
 * @throws Error if it is none, or of another dtype
 */
export function numpyScalar([dtype, bytes]: readonly unknown[]): PythonValue {
  if (!(dtype instanceof Map) || !(bytes instanceof Uint8Array)) throw new Error("no scalar");
  const short = shortName(dtype.get("args"));
  const size = Number(short.slice(1));
  if (!NAMES.has(short) || bytes.length !== size) throw new Error("another dtype");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = !isBigEndian(dtype);
  if (short === "b1") return view.getUint8(0) !== 0;
  if (short[0] === "i" || short[0] === "u") return integer(view, size, short[0] === "i", little);
  if (short === "f8") return view.getFloat64(0, little);
  if (short === "f4") return narrow(view.getFloat32(0, little), 24, -126);
  if (short === "f2") return narrow(halfOf(view.getUint16(0, little)), 11, -14);
  throw new Error("another dtype");
}

/** What `str` prints of a dtype. @throws Error if it is another than that of a number */
export function dtypeName(args: readonly unknown[], fields: ReadonlyMap<unknown, unknown>): string {
  const short = shortName(args);
  const name = NAMES.get(short);
  if (name === undefined) throw new Error("another dtype");
  return isBigEndian(fields) ? `>${short}` : name;
}

function shortName(args: unknown): string {
  const [name] = args as readonly unknown[];
  if (typeof name !== "string") throw new Error("no dtype");
  return name;
}

function isBigEndian(fields: ReadonlyMap<unknown, unknown>): boolean {
  const state = fields.get("state");
  return Array.isArray(state) && state[1] === ">";
}

function integer(view: DataView, size: number, signed: boolean, little: boolean): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) value |= BigInt(view.getUint8(i)) << BigInt(8 * (little ? i : size - 1 - i));
  return signed ? BigInt.asIntN(8 * size, value) : value;
}

/** The value of IEEE 754 binary16 bits. */
export function halfOf(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** A float that prints with fewer digits than the double that equals it. */
function narrow(value: number, precision: number, minExponent: number): PythonObject {
  return new PythonObject(floatRepr(shortest(value, precision, minExponent)));
}

/**
 * The double of fewest digits that a narrower float is nearest to: it is printed as NumPy prints that float.
 *
 * @param precision bits of its significand
 * @param minExponent of its normal numbers
 */
function shortest(value: number, precision: number, minExponent: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(value))), minExponent);
  const halfUlp = 2 ** (exponent - precision);
  for (let digits = 1; digits < 17; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.abs(candidate - value) < halfUlp) return candidate;
  }
  return value;
}
