/**
 * Text that every database takes and every page can show.
 *
 * PostgreSQL stores no NUL: one in a tag makes MLflow answer HTTP 500 to the whole request. Other control characters are
 * stored, and then act on the terminal of whoever prints them; those that turn text around make a name look like another.
 */
import { createHash } from "node:crypto";

/** C0, DEL and C1, what changes the direction of text, and the line breaks of Unicode. */
const CONTROL = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
/** The same without tab and line breaks, which a text of several lines may hold, and the marks that Arabic and Hebrew use. */
const CONTROL_IN_LINES = /(?![\t\n\r\u061c\u200e\u200f\u2028\u2029])[\p{Cc}\p{Bidi_Control}]/gu;

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

/** The end of a text that is longer than this. @param length in code points */
export function fittedEnd(text: string, length: number): string {
  if (text.length <= length) return text;
  const points = [...text];
  return points.length <= length ? text : `...${points.slice(3 - length).join("")}`;
}

export function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
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

/**
 * A text of one line as a code span of Markdown, which no backtick of its own ends.
 *
 * Source: CommonMark 0.31, 6.1.
 */
export function codeSpan(text: string): string {
  const runs = Array.from(text.matchAll(/`+/g), ([run]) => run.length);
  const fence = "`".repeat(runs.includes(1) ? Math.max(...runs) + 1 : 1);
  // One space at either end is taken away again.
  const pad = /^`|`$|^ .* $/s.test(text) ? " " : "";
  return `${fence}${pad}${text}${pad}${fence}`;
}

/** The SHA-256 of a text's UTF-8, in hexadecimal. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function escapeOf(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}
