/**
 * Which values the rows of a run have. Asked only about values that may be there already: they were sent under another choice,
 * found in damage, or read again since a file was cut.
 */
import { RowDigests } from "../row-digests.ts";
import { type JsonValue, jsonText, objectOf, parseJson, sortedText } from "./json.ts";
import { OWN_KEYS, STEP_AXIS } from "./names.ts";
import type { Row } from "./rows.ts";

/** How far the times of rows with the same value may lie apart, seconds: those of a row share one. */
const MAX_APART = 2;

export class StoredRows {
  readonly #digests = new RowDigests();
  /** Numbers of the lines that were given back. */
  readonly #numbers = new Set<number>();

  /** How many different lines were given back. */
  get count(): number {
    return this.#numbers.size;
  }

  /** @param lines of the history, as the server gives them back @throws SyntaxError */
  addLines(lines: readonly string[]): void {
    for (const line of lines) {
      const row = objectOf(parseJson(line));
      const { _step: number, _timestamp: time, [STEP_AXIS]: step = null } = row;
      this.#numbers.add(Number(number));
      for (const [key, value] of Object.entries(row))
        if (!OWN_KEYS.has(key) && key !== STEP_AXIS)
          this.#digests.add(...nameOf(key, jsonText(step), value, wholeSeconds(Number(time))));
    }
  }

  add(rows: readonly Row[]): void {
    for (const { step, wallTime, values } of rows)
      for (const [key, text] of values)
        this.#digests.add(...nameOf(key, String(step), parseJson(text), wholeSeconds(wallTime)));
  }

  /** The rows without the values that are there. */
  lackingOf(rows: readonly Row[]): Row[] {
    return rows.flatMap((row) => {
      const values = new Map([...row.values].filter(([key, text]) => !this.#has(row, key, text)));
      return values.size === 0 ? [] : [{ ...row, values }];
    });
  }

  #has({ step, wallTime }: Row, key: string, text: string): boolean {
    const value = parseJson(text);
    const at = wholeSeconds(wallTime);
    for (let apart = -MAX_APART; apart <= MAX_APART; apart++)
      if (this.#digests.has(...nameOf(key, String(step), value, at + apart))) return true;
    return false;
  }
}

/** A time that is no number is left out of a row. */
function wholeSeconds(time: number): number {
  return Number.isFinite(time) ? Math.floor(time) : Number.NaN;
}

function nameOf(key: string, step: string, value: JsonValue, seconds: number): string[] {
  return [key, "\0", step, "\0", sortedText(value), "\0", String(seconds)];
}
