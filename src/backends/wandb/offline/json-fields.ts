/** JSON objects, field by field: W&B's records hold each value as JSON text by its key. */
import { endOfString } from "../json.ts";

/**
 * The fields of an object, in its order.
 *
 * @param object JSON text without white space between its tokens, as tracelet writes it
 */
export function fieldsOf(object: string): [key: string, value: string][] {
  const fields: [string, string][] = [];
  for (let at = 1; object.charCodeAt(at) === QUOTE; ) {
    const keyEnd = endOfString(object, at);
    const start = keyEnd + 1;
    const end = endOfValue(object, start);
    const key = object.slice(at + 1, keyEnd - 1);
    fields.push([key.includes("\\") ? (JSON.parse(`"${key}"`) as string) : key, object.slice(start, end)]);
    at = end + 1;
  }
  return fields;
}

const QUOTE = 0x22;

function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; ) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        continue;
      case "{":
      case "[":
        depth++;
        break;
      case "}":
      case "]":
        if (depth === 0) return at;
        depth--;
        break;
      case ",":
        if (depth === 0) return at;
        break;
      default:
    }
    at++;
  }
  return text.length;
}
