/** JSON that keeps what a reader of event files knows: every double, every int64, also NaN, infinities and −0. */

export type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | Float64Array
  | Rows
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** Numbers in rows of `width`: as lists, without one of them existing. */
export class Rows {
  readonly values: Float64Array;
  readonly width: number;

  constructor(values: Float64Array, width: number) {
    this.values = values;
    this.width = width;
  }
}

/** Characters of a string that are escaped at a time, and of a text before it becomes bytes: V8's strings end at 2^29. */
const PIECE = 1 << 20;

/** Text that may become longer than one string can be. */
class Pieces {
  readonly #done: Buffer[] = [];
  #text = "";

  add(text: string): void {
    this.#text += text;
    if (this.#text.length < PIECE) return;
    this.#done.push(Buffer.from(this.#text));
    this.#text = "";
  }

  bytes(): Buffer {
    return Buffer.concat([...this.#done, Buffer.from(this.#text)]);
  }
}

/**
 * JSON of a value. NaN and infinities become the strings that Python and protobuf use for them, −0 stays a number, and an
 * integer that not every reader keeps exactly becomes a string.
 *
 * @param line what stands before each item of a list or an object that is on a line of its own; empty for all in one line
 */
function write(value: Json, into: Pieces, line: string): void {
  if (typeof value === "string") writeString(value, into);
  else if (typeof value !== "object" || value === null) into.add(scalarText(value));
  else if (value instanceof Rows) {
    const rows = Array.from({ length: Math.ceil(value.values.length / value.width) }, (_, i) => i * value.width);
    writeAll("[]", rows, into, line, (at, inner) => write(value.values.subarray(at, at + value.width), into, inner));
  } else if (value instanceof Float64Array) {
    writeAll("[]", value, into, line, (number) => into.add(numberText(number)));
  } else if (isList(value)) writeAll("[]", value, into, line, (item, inner) => write(item, into, inner));
  else {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    writeAll("{}", fields, into, line, ([key, field], inner) => {
      writeString(key, into);
      into.add(line === "" ? ":" : ": ");
      write(field as Json, into, inner);
    });
  }
}

function writeAll<T>(
  [open, close]: string,
  items: ArrayLike<T>,
  into: Pieces,
  line: string,
  one: (item: T, inner: string) => void,
): void {
  const inner = line === "" ? "" : `${line}  `;
  into.add(open as string);
  for (let i = 0; i < items.length; i++) {
    into.add(i === 0 ? inner : `,${inner}`);
    one(items[i] as T, inner);
  }
  into.add(items.length === 0 ? (close as string) : line + close);
}

function writeString(text: string, into: Pieces): void {
  if (text.length <= PIECE) {
    into.add(JSON.stringify(text));
    return;
  }
  into.add('"');
  for (let at = 0; at < text.length; ) {
    // A surrogate pair stays together: each half alone would be escaped.
    const next = at + PIECE + Number((text.charCodeAt(at + PIECE - 1) & 0xfc00) === 0xd800);
    into.add(JSON.stringify(text.slice(at, next)).slice(1, -1));
    at = next;
  }
  into.add('"');
}

/** The bytes of a value's JSON, indented, for people: the artifact viewer shows a file as it is. */
export function readableJson(value: Json): Uint8Array {
  const pieces = new Pieces();
  write(value, pieces, "\n");
  pieces.add("\n");
  return pieces.bytes();
}

/** One line a value; empty for none. */
export function jsonLines(values: Iterable<Json>): Uint8Array {
  const pieces = new Pieces();
  for (const value of values) {
    write(value, pieces, "");
    pieces.add("\n");
  }
  return pieces.bytes();
}

function scalarText(value: number | bigint | boolean | null): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "bigint" && !Number.isSafeInteger(Number(value))) return `"${value}"`;
  return String(value);
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? "-0.0" : String(value);
}

// Array.isArray does not narrow readonly arrays away.
function isList(value: readonly Json[] | { readonly [key: string]: Json | undefined }): value is readonly Json[] {
  return Array.isArray(value);
}
