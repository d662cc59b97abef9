/** JSON as W&B's client writes it: with bare NaN, Infinity and -Infinity, and integers of 64 bits. */

/** A value of a row: integers that a double does not hold are bigints. */
export type RowValue = null | boolean | number | bigint | string | readonly RowValue[] | Row;

export interface Row {
  readonly [key: string]: RowValue;
}

/** Strings as they are, and what JSON has no token for or a double no room. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b|(?<![\w.+-])-?\d{16,}(?![\d.eE])/g;
/** No client begins a string with it. */
const MARK = "\u0000number:";

/** @throws SyntaxError */
export function parseExtended(text: string): RowValue {
  const marked = text.replace(TOKENS, (token) => (token.startsWith('"') ? token : JSON.stringify(MARK + token)));
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    const digits = value.slice(MARK.length);
    const number = Number(digits);
    return Number.isInteger(number) && !Number.isSafeInteger(number) ? BigInt(digits) : number;
  }) as RowValue;
}

/** @throws SyntaxError if it is not an object */
export function parseRow(text: string): Row {
  const value = parseExtended(text);
  if (!isRow(value)) throw new SyntaxError("not an object");
  return value;
}

export function isRow(value: RowValue | undefined): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
