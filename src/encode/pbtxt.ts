/**
 * Protobuf's text format of a serialized graph, which the artifact viewer shows as text, and `text_format` reads.
 *
 * It is written along the message's bytes, in their order, so that a graph of 100 MB needs no objects; protobufjs' own
 * writer of the format needs the whole of its reflection, and all messages decoded.
 *
 * Source: https://protobuf.dev/reference/protobuf/textformat-spec/
 */
import protobuf from "protobufjs/minimal.js";
import { ENUMS, MESSAGES } from "./graph-schema.ts";

interface Field {
  readonly name: string;
  readonly type: string;
}

const MAX_DEPTH = 100;
/** Characters. A graph's text is a few times as long as its message, but one byte of a list can become a line. */
const MAX_TEXT = 64 * 1024 * 1024;
const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_BYTES = 2;
const WIRE_32 = 5;
const SIZES_64: ReadonlySet<string> = new Set(["double", "fixed64", "sfixed64"]);
const SIZES_32: ReadonlySet<string> = new Set(["float", "fixed32", "sfixed32"]);

const fieldsOf = tables(MESSAGES, (text): [number, Field] => {
  const [number = "", name = "", type = ""] = text.split(" ");
  return [Number(number), { name, type }];
});
const namesOf = tables(ENUMS, (text): [number, string] => {
  const [number = "", name = ""] = text.split(" ");
  return [Number(number), name];
});

/**
 * The text of a message; what the schema does not know is a comment in it.
 *
 * @param type one of `MESSAGES`
 * @returns undefined if the bytes are no message of this type, or their text is too long to be looked at
 */
export function textFormat(bytes: Uint8Array, type: string): string | undefined {
  const lines = new Lines();
  try {
    printMessage(new protobuf.Reader(bytes), bytes.length, type, 0, lines);
  } catch {
    return undefined;
  }
  return lines.text();
}

class Lines {
  readonly #lines: string[] = [];
  #left = MAX_TEXT;

  push(line: string): void {
    this.#left -= line.length;
    if (this.#left < 0) throw new RangeError("too long");
    this.#lines.push(line);
  }

  text(): string {
    return this.#lines.join("");
  }
}

function printMessage(reader: protobuf.Reader, end: number, type: string, depth: number, lines: Lines): void {
  if (depth > MAX_DEPTH) throw new RangeError("too deep");
  const fields = fieldsOf(type);
  const indent = "  ".repeat(depth);
  while (reader.pos < end) {
    const key = reader.uint32();
    const wire = key & 7;
    const field = fields.get(key >>> 3);
    if (field === undefined) {
      reader.skipType(wire, depth);
      lines.push(`${indent}# unknown field ${key >>> 3}\n`);
    } else if (field.type in MESSAGES) {
      if (wire !== WIRE_BYTES) throw new RangeError("no message");
      const length = reader.uint32();
      lines.push(`${indent}${field.name} {\n`);
      printMessage(reader, within(reader.pos + length, end), field.type, depth + 1, lines);
      lines.push(`${indent}}\n`);
    } else if (wire === WIRE_BYTES && field.type !== "string" && field.type !== "bytes") {
      const packed = within(reader.uint32() + reader.pos, end);
      while (reader.pos < packed) lines.push(`${indent}${field.name}: ${scalar(reader, field.type)}\n`);
      if (reader.pos !== packed) throw new RangeError("packed field of a wrong length");
    } else {
      if (wire !== wireOf(field.type)) throw new RangeError("another type than the schema's");
      lines.push(`${indent}${field.name}: ${scalar(reader, field.type)}\n`);
    }
  }
  if (reader.pos !== end) throw new RangeError("message of a wrong length");
}

function within(position: number, end: number): number {
  if (position > end) throw new RangeError("message of a wrong length");
  return position;
}

function wireOf(type: string): number {
  if (type === "string" || type === "bytes") return WIRE_BYTES;
  if (SIZES_64.has(type)) return WIRE_64;
  return SIZES_32.has(type) ? WIRE_32 : WIRE_VARINT;
}

function scalar(reader: protobuf.Reader, type: string): string {
  switch (type) {
    case "string":
      return quoted(utf8.decode(reader.bytes()));
    case "bytes":
      return quotedBytes(reader.bytes());
    case "double":
      return floatText(reader.double());
    case "float":
      return floatText(reader.float(), 9);
    case "bool":
      return String(reader.bool());
    case "int32":
      return String(reader.int32());
    case "sint32":
      return String(reader.sint32());
    case "uint32":
      return String(reader.uint32());
    case "fixed32":
      return String(reader.fixed32());
    case "sfixed32":
      return String(reader.sfixed32());
    case "int64":
      return String(BigInt.asIntN(64, wholeOf(reader.int64())));
    case "sint64":
      return String(BigInt.asIntN(64, wholeOf(reader.sint64())));
    case "uint64":
      return String(BigInt.asUintN(64, wholeOf(reader.uint64())));
    case "fixed64":
      return String(BigInt.asUintN(64, wholeOf(reader.fixed64())));
    case "sfixed64":
      return String(BigInt.asIntN(64, wholeOf(reader.sfixed64())));
    default: {
      const value = reader.int32();
      return namesOf(type).get(value) ?? String(value);
    }
  }
}

function wholeOf(value: number | { readonly high: number; readonly low: number }): bigint {
  return typeof value === "number" ? BigInt(value) : (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

/** @param digits as many tell all floats of the type apart; fewer may do */
function floatText(value: number, digits?: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  if (Object.is(value, -0)) return "-0.0";
  for (let few = 6; digits !== undefined && few <= digits; few++) {
    const text = value.toPrecision(few);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(value);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quoted(text: string): string {
  // Control characters, and what would turn the text around in a viewer, by their bytes.
  return `"${text.replace(/["\\]|[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => ESCAPES[character] ?? octal(Buffer.from(character)))}"`;
}

function quotedBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  return `"${text.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, (byte) => ESCAPES[byte] ?? octal(Buffer.from(byte, "latin1")))}"`;
}

function octal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}

/** Reads a line of the schema when it is first asked for. */
function tables<V>(
  lines: Readonly<Record<string, string>>,
  entry: (text: string) => readonly [number, V],
): (name: string) => ReadonlyMap<number, V> {
  const cache = new Map<string, ReadonlyMap<number, V>>();
  return (name) => {
    const known = cache.get(name);
    if (known) return known;
    const line = lines[name] ?? "";
    const table: ReadonlyMap<number, V> = new Map(line === "" ? [] : line.split("; ").map(entry));
    cache.set(name, table);
    return table;
  };
}
