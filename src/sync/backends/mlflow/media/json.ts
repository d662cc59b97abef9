/** JSON that keeps what a reader of event files knows: every double, every int64, also NaN, infinities and −0. */

export type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | Float64Array
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/**
 * JSON in one line. NaN and infinities become the strings that Python and protobuf use for them, −0 stays a number, and
 * an integer that not every reader keeps exactly becomes a string.
 */
export function exactJson(value: Json): string {
  switch (typeof value) {
    case "number":
      return numberText(value);
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
    case "string":
    case "boolean":
      return JSON.stringify(value);
    default:
  }
  if (value === null) return "null";
  if (value instanceof Float64Array) return `[${Array.from(value, numberText).join(",")}]`;
  if (isList(value)) return `[${value.map(exactJson).join(",")}]`;
  const fields = Object.entries(value).flatMap(([key, field]) =>
    field === undefined ? [] : [`${JSON.stringify(key)}:${exactJson(field)}`],
  );
  return `{${fields.join(",")}}`;
}

/** The same, indented, for people: the artifact viewer shows a file as it is. */
export function readableJson(value: Json): Uint8Array {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const indented = exactJson(value).replace(/"(?:[^"\\]|\\.)*"|\[\]|\{\}|[[\]{},:]/g, (token) => {
    switch (token) {
      case "[":
      case "{":
        depth++;
        return token + line();
      case "]":
      case "}":
        depth--;
        return line() + token;
      case ",":
        return token + line();
      default:
        return token === ":" ? ": " : token;
    }
  });
  return Buffer.from(`${indented}\n`);
}

/** One line a value; empty for none. */
export function jsonLines(values: Iterable<Json>): Uint8Array {
  const lines: Buffer[] = [];
  for (const value of values) lines.push(Buffer.from(`${exactJson(value)}\n`));
  return Buffer.concat(lines);
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? "-0.0" : String(value);
}

// Array.isArray does not narrow readonly arrays away.
function isList(value: readonly Json[] | { readonly [key: string]: Json | undefined }): value is readonly Json[] {
  return Array.isArray(value);
}
