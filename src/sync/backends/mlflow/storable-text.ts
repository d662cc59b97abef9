/**
 * Text that every database takes and every page can show.
 *
 * PostgreSQL stores no NUL: one in a tag makes MLflow answer HTTP 500 to the whole request. Other control characters are
 * stored, and then act on the terminal of whoever prints them.
 */
import { createHash } from "node:crypto";

/** C0, DEL and C1. */
const CONTROL = /\p{Cc}/gu;
/** The same without tab and line breaks, which a text of several lines may hold. */
const CONTROL_IN_LINES = /(?![\t\n\r])\p{Cc}/gu;

/** A name: one line, each control character written as Python's `repr` writes it. */
export function storableName(name: string): string {
  return wellFormed(name).replace(CONTROL, escapeOf);
}

/** A text of any number of lines; the rest as in a name. */
export function storableLines(text: string): string {
  return wellFormed(text).replace(CONTROL_IN_LINES, escapeOf);
}

/**
 * A name that fits a column. A longer one is cut, and told from others that begin alike by its digest.
 *
 * @param length of the column, in characters as databases count them: code points
 */
export function fitted(name: string, length: number): string {
  if (name.length <= length) return name;
  const points = [...name];
  if (points.length <= length) return name;
  const ending = `...-${sha256(name).slice(0, 8)}`;
  return points.slice(0, length - ending.length).join("") + ending;
}

/**
 * A name for a database that stores no more than ASCII for certain: letters without their accents, and `?` for every
 * other character.
 */
export function asciiName(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/[^\0-\x7f]/gu, "?");
}

/** Half a surrogate pair, which a YAML escape can write and a cut can leave, is no text that any server takes. */
export function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}

/** The SHA-256 of a text's UTF-8, in hexadecimal. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function escapeOf(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}
