/**
 * What Python prints of a torch tensor, told from how PyYAML writes it: a storage as `torch.save` pickled it before 1.6,
 * with an offset, a shape and strides. The pickle is not run: its class is read from its bytes, its data from their end.
 *
 * Sources: `_rebuild_tensor_v2` of torch/_utils.py, `_legacy_save` of torch/serialization.py, torch/_tensor_str.py.
 */
import { halfOf } from "./numpy-text.ts";

/** Beyond these torch prints the outer values only. */
const MAX_VALUES = 1000;
const LINE = 80;
/** Digits behind the point. */
const PRECISION = 4;

interface Storage {
  readonly bytes: number;
  /** As `torch.dtype` is printed; empty where a tensor's text does not tell it. */
  readonly suffix: string;
  readonly isFloat: boolean;
  readonly read: (view: DataView, at: number) => number | bigint | boolean;
}

const STORAGES: Readonly<Record<string, Storage>> = {
  Float: { bytes: 4, suffix: "", isFloat: true, read: (view, at) => view.getFloat32(at, true) },
  Double: { bytes: 8, suffix: "torch.float64", isFloat: true, read: (view, at) => view.getFloat64(at, true) },
  Half: { bytes: 2, suffix: "torch.float16", isFloat: true, read: (view, at) => halfOf(view.getUint16(at, true)) },
  BFloat16: { bytes: 2, suffix: "torch.bfloat16", isFloat: true, read: bfloat16 },
  Long: { bytes: 8, suffix: "", isFloat: false, read: (view, at) => view.getBigInt64(at, true) },
  Int: { bytes: 4, suffix: "torch.int32", isFloat: false, read: (view, at) => view.getInt32(at, true) },
  Short: { bytes: 2, suffix: "torch.int16", isFloat: false, read: (view, at) => view.getInt16(at, true) },
  Char: { bytes: 1, suffix: "torch.int8", isFloat: false, read: (view, at) => view.getInt8(at) },
  Byte: { bytes: 1, suffix: "torch.uint8", isFloat: false, read: (view, at) => view.getUint8(at) },
  Bool: { bytes: 1, suffix: "", isFloat: false, read: (view, at) => view.getUint8(at) !== 0 },
};

/** @throws Error if it is not what torch writes, or too large to be printed whole */
export function tensorText(args: readonly unknown[]): string {
  const [load, offset, shape, strides, requiresGrad] = args;
  const [pickle] = load as readonly unknown[];
  if (!(pickle instanceof Uint8Array)) throw new Error("no storage");
  const sizes = numbersOf(shape);
  const steps = numbersOf(strides);
  const count = sizes.reduce((product, size) => product * size, 1);
  if (count > MAX_VALUES || steps.length !== sizes.length) throw new Error("too large");
  const head = Buffer.from(pickle).toString("latin1");
  const [, kind = ""] = /ctorch\n(\w+)Storage\n/.exec(head) ?? [];
  const storage = STORAGES[kind];
  if (storage === undefined) throw new Error("another storage");
  const last = sizes.reduce((sum, size, i) => sum + (size - 1) * (steps[i] as number), Number(offset));
  const data = dataOf(pickle, storage.bytes, count === 0 ? 0 : last + 1);
  const valueAt = (index: number) => storage.read(data, index * storage.bytes);
  const all: (number | bigint | boolean)[] = [];
  each(sizes, steps, Number(offset), (index) => all.push(valueAt(index)));
  const format = storage.isFloat ? floatFormat(all.map(Number)) : plainFormat(all);
  const [device] = /(?:cuda|mps|xpu):\d+/.exec(head) ?? [];
  const suffixes = [
    ...(device === undefined ? [] : [`device='${device}'`]),
    ...(count === 0 && sizes.length !== 1 ? [`size=(${sizes.join(", ")})`] : []),
    ...(storage.suffix === "" && !(count === 0 && !storage.isFloat)
      ? []
      : [`dtype=${storage.suffix || (kind === "Long" ? "torch.int64" : "torch.bool")}`]),
    ...(requiresGrad === true ? ["requires_grad=True"] : []),
  ];
  const indent = "tensor(".length;
  const text =
    count === 0
      ? "[]"
      : nested(sizes, steps, Number(offset), indent, (index) => format.print(valueAt(index)), format.width);
  return withSuffixes(`tensor(${text}`, suffixes, indent);
}

/** @throws Error as `tensorText` */
export function parameterText([tensor, requiresGrad]: readonly unknown[]): string {
  const args = [...(tensor as readonly unknown[])];
  args[4] = requiresGrad === true;
  return `Parameter containing:\n${tensorText(args)}`;
}

/** The storage's data: behind the pickles stand their number, 64 bits, and they. @param atLeast how many there are */
function dataOf(pickle: Uint8Array, size: number, atLeast: number): DataView {
  const view = new DataView(pickle.buffer, pickle.byteOffset, pickle.byteLength);
  for (let count = atLeast; 8 + count * size < pickle.length; count++) {
    const at = pickle.length - 8 - count * size;
    // What stands before them is the end of a pickle.
    if (pickle[at - 1] === 0x2e && view.getBigUint64(at, true) === BigInt(count)) {
      return new DataView(pickle.buffer, pickle.byteOffset + at + 8, count * size);
    }
  }
  throw new Error("no data");
}

function each(sizes: readonly number[], steps: readonly number[], at: number, take: (index: number) => void): void {
  const [size, ...rest] = sizes;
  if (size === undefined) return take(at);
  for (let i = 0; i < size; i++) each(rest, steps.slice(1), at + i * (steps[0] as number), take);
}

/** Source: `_tensor_str_with_formatter`, `_vector_str`. */
function nested(
  sizes: readonly number[],
  steps: readonly number[],
  at: number,
  indent: number,
  print: (index: number) => string,
  width: number,
): string {
  const [size, ...rest] = sizes;
  if (size === undefined) return print(at);
  const step = steps[0] as number;
  if (rest.length === 0) {
    const perLine = Math.max(1, Math.floor((LINE - indent) / (width + 2)));
    const items = Array.from({ length: size }, (_, i) => print(at + i * step));
    const lines = Array.from({ length: Math.ceil(size / perLine) }, (_, i) =>
      items.slice(i * perLine, (i + 1) * perLine).join(", "),
    );
    return `[${lines.join(`,\n${" ".repeat(indent + 1)}`)}]`;
  }
  const slices = Array.from({ length: size }, (_, i) =>
    nested(rest, steps.slice(1), at + i * step, indent + 1, print, width),
  );
  return `[${slices.join(`,${"\n".repeat(sizes.length - 1)}${" ".repeat(indent + 1)}`)}]`;
}

interface Format {
  readonly width: number;
  readonly print: (value: number | bigint | boolean) => string;
}

function plainFormat(values: readonly (number | bigint | boolean)[]): Format {
  const text = (value: number | bigint | boolean) =>
    typeof value === "boolean" ? (value ? "True" : "False") : String(value);
  const width = Math.max(0, ...values.map((value) => text(value).length));
  return { width, print: (value) => text(value).padStart(width) };
}

/** Source: `_Formatter`. */
function floatFormat(values: readonly number[]): Format {
  const finite = values.filter((value) => Number.isFinite(value) && value !== 0);
  const sizes = finite.map(Math.abs);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const isInteger = finite.every(Number.isInteger);
  const isScientific = most / least > 1000 || most > 1e8 || least < 1e-4;
  const text = (value: number) => {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
    if (isScientific) return scientific(value);
    return isInteger ? `${signed(value, 0)}.` : signed(value, PRECISION);
  };
  const width = Math.max(1, ...finite.map((value) => text(value).length));
  return { width, print: (value) => text(Number(value)).padStart(width) };
}

function signed(value: number, digits: number): string {
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const size = Math.abs(value);
  return sign + halfToEven(size.toFixed(digits), size.toFixed(60), digits);
}

function scientific(value: number): string {
  const sign = value < 0 ? "-" : "";
  const size = Math.abs(value);
  const [digits, exponent] = size.toExponential(PRECISION).split("e") as [string, string];
  const rounded = halfToEven(digits, size.toExponential(60), PRECISION);
  return `${sign}${rounded}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** Python rounds what lies between two to the even one, JavaScript up. @param exact as many digits as there can be */
function halfToEven(rounded: string, exact: string, digits: number): string {
  const [, kept = "", rest = ""] = new RegExp(`^(\\d+\\.?\\d{${digits}})(\\d*)`).exec(exact) ?? [];
  return /^50*$/.test(rest) && Number(kept.at(-1)) % 2 === 0 ? kept : rounded;
}

/** Source: `_add_suffixes`. */
function withSuffixes(text: string, suffixes: readonly string[], indent: number): string {
  const parts = [text];
  let length = text.length - text.lastIndexOf("\n") + 1;
  for (const suffix of suffixes) {
    if (length + suffix.length + 2 > LINE) {
      parts.push(`,\n${" ".repeat(indent)}${suffix}`);
      length = indent + suffix.length;
    } else {
      parts.push(`, ${suffix}`);
      length += suffix.length + 2;
    }
  }
  return `${parts.join("")})`;
}

function numbersOf(value: unknown): number[] {
  if (!Array.isArray(value)) throw new Error("no shape");
  return value.map((item) => {
    const number = Number(item);
    if (!Number.isSafeInteger(number) || number < 0) throw new Error("no shape");
    return number;
  });
}

function bfloat16(view: DataView, at: number): number {
  const wide = new DataView(new ArrayBuffer(4));
  wide.setUint16(0, view.getUint16(at, true));
  return wide.getFloat32(0);
}
