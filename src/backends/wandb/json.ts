/**
 * JSON as W&B has it: with the tokens NaN, Infinity and -Infinity, and with integers of 64 bits, which are bigints here
 * where a double does not hold them. Other people's configs come through unchanged.
 */

export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** Strings as they are, and the numbers that `JSON.parse` refuses or rounds. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b|(?<![\w.+-])-?\d{16,}(?![\d.eE])/g;
/** May be such a number. Few lines have one. */
const RARE = /Infinity|NaN|(?<![\w.+-])-?\d{16,}(?![\d.eE])/;
/** Begins a string that stands for a number. */
const MARK = "\u0000number:";

/** @throws SyntaxError */
export function parseJson(text: string): JsonValue {
  if (!RARE.test(text)) return JSON.parse(text) as JsonValue;
  const marked = text.replace(TOKENS, (token) => (token.startsWith('"') ? token : JSON.stringify(MARK + token)));
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    const digits = value.slice(MARK.length);
    const number = Number(digits);
    return Number.isInteger(number) && !Number.isSafeInteger(number) ? BigInt(digits) : number;
  }) as JsonValue;
}

export function jsonText(value: JsonValue): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(jsonText).join(",")}]`;
  return `{${Object.entries(value)
    .map(([key, each]) => `${JSON.stringify(key)}:${jsonText(each)}`)
    .join(",")}}`;
}

/**
 * A double in its shortest form; negative zero keeps its sign. Beyond 2^53 it has an exponent: Python and Go read digits alone
 * as an integer, which would be another number.
 */
export function numberText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0";
  if (value > Number.MAX_SAFE_INTEGER || value < -Number.MAX_SAFE_INTEGER)
    return Number.isFinite(value) ? value.toExponential() : String(value);
  return String(value);
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** `value` if it is an object, else an empty one. */
export function objectOf(value: unknown): { readonly [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as { [key: string]: JsonValue })
    : {};
}
