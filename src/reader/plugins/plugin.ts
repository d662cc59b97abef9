/** What the files of this folder have in common: each turns a summary value of one plugin into a datum's own fields. */
import { BoundedReader } from "../bounded-reader.ts";
import type { Datum, DatumBase, TagMetadata } from "../datum.ts";
import type { tensorboard } from "../proto/tensorboard.js";
import { decodeTensor, MAX_TENSOR_BYTES, type Tensor } from "../tensor.ts";

/** A datum without the fields that every datum has. */
export type Body<D extends Datum = Datum> = D extends Datum ? Omit<D, keyof DatumBase> : never;

/** A value in the new form, or one without a tensor. */
export interface PluginValue {
  readonly tag: string;
  /** Null where the value has none. */
  readonly tensor: tensorboard.TensorProto.$Properties | null;
  /** The tag's, wherever it was learnt from. */
  readonly metadata: TagMetadata;
}

/**
 * Decodes the values of one plugin.
 *
 * @throws UnreadableError or TensorError if the value is not what the plugin writes
 */
export type PluginDecoder = (value: PluginValue) => Body;

/** An intact value that nobody can decode; the message says what was found and what would have been possible. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

/**
 * The value's tensor.
 *
 * @throws UnreadableError if it has none; TensorError if it cannot be decoded
 */
export function tensorOf(value: PluginValue): Tensor {
  if (value.tensor === null) throw new UnreadableError(`the value has no tensor; ${value.metadata.plugin} needs one`);
  return decodeTensor(value.tensor);
}

/**
 * The value's tensor, as strings.
 *
 * @throws UnreadableError if it has none or holds no strings; TensorError if it cannot be decoded
 */
export function stringsOf(value: PluginValue): Extract<Tensor, { readonly dtype: "string" }> {
  const tensor = tensorOf(value);
  if (tensor.dtype === "string") return tensor;
  throw new UnreadableError(`the tensor is ${tensor.dtype}; ${value.metadata.plugin} needs strings`);
}

/**
 * The value's tensor, as doubles; 64-bit integers as the nearest ones.
 *
 * @throws UnreadableError if it has none, holds no real numbers or would be larger than MAX_TENSOR_BYTES; TensorError if it cannot be decoded
 */
export function doublesOf(value: PluginValue): { readonly shape: readonly number[]; readonly data: Float64Array } {
  const tensor = tensorOf(value);
  const { dtype, shape } = tensor;
  if (dtype === "string" || dtype === "complex64" || dtype === "complex128") {
    throw new UnreadableError(`the tensor is ${dtype}; ${value.metadata.plugin} needs real numbers`);
  }
  if (tensor.data.length * Float64Array.BYTES_PER_ELEMENT > MAX_TENSOR_BYTES) {
    throw new UnreadableError(`the tensor has ${tensor.data.length} numbers; possible are ${MAX_TENSOR_BYTES} bytes`);
  }
  if (tensor.dtype === "int64" || tensor.dtype === "uint64")
    return { shape, data: Float64Array.from(tensor.data, Number) };
  return { shape, data: Float64Array.from(tensor.data) };
}

/**
 * Run a generated decoder on a plugin's own message.
 *
 * @throws UnreadableError if the bytes are no such message
 */
export function parse<T>(decode: (reader: BoundedReader) => T, bytes: Uint8Array, message: string): T {
  try {
    return decode(new BoundedReader(bytes));
  } catch (error) {
    throw new UnreadableError(
      `${bytes.length} bytes are no ${message}: ${error instanceof Error ? error.message : error}`,
    );
  }
}
