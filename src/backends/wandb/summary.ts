/** A run's summary, kept as W&B's client keeps it: the last value of each key, and where a goal is known, the best one. */
import type { Goal } from "../../reader/datum.ts";
import { type JsonValue, jsonText, objectOf, parseJson } from "./json.ts";

/** W&B's client sends lines of 10 MiB at most. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Characters of a value that is kept however many there are: a number, or a medium that names one file. */
const MAX_SHORT_VALUE = 1024;

export class Summary {
  /** JSON texts. */
  readonly #values: Map<string, string>;

  /** @param text JSON @throws SyntaxError */
  constructor(text: string) {
    const entries = Object.entries(objectOf(parseJson(text)));
    this.#values = new Map(entries.map(([key, value]) => [key, jsonText(value)]));
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** @param text JSON */
  set(key: string, text: string): void {
    this.#values.set(key, text);
  }

  /**
   * Set the last value, and with it the best one so far; NaN is never the best.
   *
   * Source: core/internal/runsummary/metricsummary.go.
   *
   * @param text JSON of a number
   */
  setBest(key: string, text: string, goal: Goal): void {
    const value = Number(text);
    const before = parseJson(this.#values.get(key) ?? "{}");
    const best = objectOf(before)[goal];
    const known = typeof best === "number" || typeof best === "bigint" ? Number(best) : NaN;
    const isBetter = Number.isNaN(known) || (goal === "min" ? value < known : value > known);
    const now: { [key: string]: JsonValue } = { last: value };
    if (!Number.isNaN(value) && isBetter) now[goal] = value;
    else if (!Number.isNaN(known)) now[goal] = known;
    this.#values.set(key, jsonText(now));
  }

  /** As it is sent. Where it would be longer than a line may be, long values are left out: the history has them. */
  text(): string {
    const whole = textOf(this.#values);
    if (Buffer.byteLength(whole) <= MAX_BYTES) return whole;
    return textOf([...this.#values].filter(([key, text]) => key.length + text.length <= MAX_SHORT_VALUE));
  }
}

function textOf(values: Iterable<readonly [key: string, text: string]>): string {
  return `{${Array.from(values, ([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")}}`;
}
