/**
 * Which names a database may take for one.
 *
 * MySQL and MariaDB compare by a collation, by default one without regard to case and accents (and, older ones, to spaces
 * at the end): a second key that is equal to a first is refused, with all of its values.
 */

import { isAscii } from "../storable-text.ts";

/** Letters that collations take for others and Unicode does not decompose. */
const LIKE: Readonly<Record<string, string>> = { Æ: "AE", Œ: "OE", Ø: "O", Đ: "D", Ð: "D", Ł: "L" };

/**
 * The same text for all names that a common collation takes for one, and for some more, which is no harm: what MySQL has
 * no weight for is equal to everything else of the kind, so that of other scripts nothing counts.
 */
export function folded(name: string): string {
  const letters = isAscii(name) ? name.toUpperCase() : inLetters(name);
  return letters.replace(/(.)\1+/g, "$1").trimEnd();
}

function inLetters(name: string): string {
  return name
    .normalize("NFKD")
    .toUpperCase()
    .replace(/[ÆŒØĐÐŁ]/g, (letter) => LIKE[letter] as string)
    .replace(/[^\0-\x7f]/g, "");
}

/** The name in the other case; undefined if it has none. */
export function inOtherCase(name: string): string | undefined {
  const other = name.replace(/[A-Za-z]/g, (c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase()));
  return other === name ? undefined : other;
}
