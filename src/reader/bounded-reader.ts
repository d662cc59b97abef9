/** A reader for the generated decoder that ends where what is decoded would become far larger than what was read. */
import protobuf from "protobufjs/minimal.js";

/**
 * What one message may take in memory once it is decoded, by a rough count. Bytes.
 *
 * A submessage of two bytes becomes an object of a hundred, an int64 of one byte becomes a `Long`: without this a record
 * within the limit could end the process, since V8 aborts where its heap is full.
 */
const MAX_DECODED_BYTES = 1024 * 1024 * 1024;
const FIELD_BYTES = 128;
const NUMBER_BYTES = 8;
/** Of a list whose length is not known before it is read, so that it grows, and is copied, on the way. */
const VARINT_BYTES = 20;
const LONG_BYTES = 48;

type Int64 = ReturnType<protobuf.Reader["int64s"]>[number];

/** A message that would take more memory than it may. */
export class DecodedTooLargeError extends Error {
  override readonly name = "DecodedTooLargeError";

  constructor() {
    super(`decoded, it would take more than ${MAX_DECODED_BYTES} bytes`);
  }
}

/** Its methods throw DecodedTooLargeError before they allocate what is too much. */
export class BoundedReader extends protobuf.Reader {
  #left = MAX_DECODED_BYTES;

  override tag(): number {
    this.#take(FIELD_BYTES);
    return super.tag();
  }

  override bools(array?: boolean[]): boolean[] {
    this.#takePacked(1, VARINT_BYTES);
    return super.bools(array);
  }

  override int32s(array?: number[]): number[] {
    this.#takePacked(1, VARINT_BYTES);
    return super.int32s(array);
  }

  override uint32s(array?: number[]): number[] {
    this.#takePacked(1, VARINT_BYTES);
    return super.uint32s(array);
  }

  override int64s(array?: Int64[]): Int64[] {
    this.#takePacked(1, LONG_BYTES);
    return super.int64s(array);
  }

  override uint64s(array?: Int64[]): Int64[] {
    this.#takePacked(1, LONG_BYTES);
    return super.uint64s(array);
  }

  override floats(array?: number[]): number[] {
    this.#takePacked(4, NUMBER_BYTES);
    return super.floats(array);
  }

  override doubles(array?: number[]): number[] {
    this.#takePacked(8, NUMBER_BYTES);
    return super.doubles(array);
  }

  #take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) throw new DecodedTooLargeError();
  }

  /** @param width the least bytes that an element is written with */
  #takePacked(width: number, each: number): void {
    const start = this.pos;
    const length = this.size();
    this.pos = start;
    this.#take((length / width) * each);
  }
}
