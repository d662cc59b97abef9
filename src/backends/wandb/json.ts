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

/** Numbers that `JSON.parse` refuses or rounds. */
const NUMBERS = /-?\bInfinity\b|\bNaN\b|(?<![\w.+-])-?\d{16,}(?![\d.eE])/g;
/** May be such a number. Few lines have one. */
const RARE = /Infinity|NaN|\d{16}/;
/** Begins a string that stands for a number; a string that begins with it by itself gets it twice. */
const MARK = "\u0000";
/** The mark as JSON has it: no other spelling is valid. */
const MARK_TEXT = "\\u0000";
const COLON = /[ \t\r\n]*:/y;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** @throws SyntaxError */
export function parseJson(text: string): JsonValue {
  if (!RARE.test(text)) return JSON.parse(text) as JsonValue;
  return JSON.parse(marked(text), (_key, value: unknown) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    const rest = value.slice(MARK.length);
    if (rest.startsWith(MARK)) return rest;
    const number = Number(rest);
    return Number.isInteger(number) && !Number.isSafeInteger(number) ? BigInt(rest) : number;
  }) as JsonValue;
}

/** With strings for the numbers. A pattern that took whole strings would need a stack as deep as they are long. */
function marked(text: string): string {
  let whole = "";
  for (let at = 0; ; ) {
    const quote = text.indexOf('"', at);
    const between = text.slice(at, quote === -1 ? text.length : quote);
    whole += between.replace(NUMBERS, (token) => `"${MARK_TEXT}${token}"`);
    if (quote === -1) return whole;
    at = endOfString(text, quote);
    const isMarked = text.startsWith(MARK_TEXT, quote + 1) && !isKey(text, at);
    whole += isMarked ? `"${MARK_TEXT}${text.slice(quote + 1, at)}` : text.slice(quote, at);
  }
}

/** @param end of the string */
function isKey(text: string, end: number): boolean {
  COLON.lastIndex = end;
  return COLON.test(text);
}

/** Behind the closing quote, or the end of a text that lacks it. @param start the opening quote's place */
export function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return Math.min(at + 1, text.length);
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

/** Equal for equal values, in whatever order their fields are. */
export function sortedText(value: JsonValue): string {
  return jsonText(sorted(value));
}

function sorted(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(sorted);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}
