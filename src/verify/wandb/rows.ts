/**
 * A row of a history → the values that are compared: numbers as points, all others by their step and what they say.
 *
 * A row has one time, that of its last value: how values fell into rows depends on how they were sent. So times may differ
 * by as much as a row may span, in either direction.
 */
import { type JsonValue, objectOf, parseJson, sortedText } from "../../backends/wandb/json.ts";
import { OWN_KEY, OWN_KEYS, STEP_AXIS } from "../../backends/wandb/names.ts";
import { MAX_SPAN } from "../../backends/wandb/rows.ts";
import type { Point } from "../findings.ts";
import { digestWords } from "../items.ts";
import { pointWords } from "../point-words.ts";

/** Takes a value of a key: a point, or another value. */
export type TakeItem = (what: "points" | "lines", name: string, words: Int32Array) => void;

/** Numbers that JSON lacks come as texts where a server has parsed the line. */
const NUMBERS: ReadonlySet<JsonValue> = new Set(["NaN", "Infinity", "-Infinity"]);

/** Over which axis each key is drawn, as `_wandb.value.m` of a config says: `MetricRecord`s by field numbers. */
export class Axes {
  /** Names of axes, by keys and by globs; undefined for what is drawn over none. */
  readonly #byName = new Map<string, string | undefined>();
  readonly #globs: { readonly pattern: RegExp; readonly axis: string | undefined }[] = [];
  readonly #axes = new Set<string>();

  /** @param config JSON */
  constructor(config: string) {
    const { m } = objectOf(objectOf(objectOf(parseJson(config))[OWN_KEY])["value"]);
    const metrics = Array.isArray(m) ? (m as readonly JsonValue[]).map(objectOf) : [];
    for (const { 1: name, 2: glob, 5: number } of metrics) {
      const axis = typeof number === "number" ? metrics[number - 1]?.["1"] : undefined;
      const text = typeof axis === "string" ? axis : undefined;
      if (text !== undefined) this.#axes.add(text);
      if (typeof name === "string") this.#byName.set(name, text);
      else if (typeof glob === "string") this.#globs.push({ pattern: patternOf(glob), axis: text });
    }
  }

  axisOf(key: string): string {
    return (this.#byName.get(key) ?? this.#globs.find(({ pattern }) => pattern.test(key))?.axis) || STEP_AXIS;
  }

  /** Whether it only says where others are drawn. */
  isAxis(key: string): boolean {
    return key === STEP_AXIS || (this.#axes.has(key) && this.#byName.get(key) === undefined);
  }

  /** As texts, by what is drawn over them. */
  get all(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#byName).flatMap(([name, axis]) => (axis === undefined ? [] : [[name, axis]])));
  }
}

/** Hand on the values of a row. @returns its `_step`; undefined if it has none */
export function takeRow(line: string, axes: Axes, take: TakeItem): number | undefined {
  const row = objectOf(parseJson(line));
  const { _step: number, _timestamp: time } = row;
  const wallTime = typeof time === "number" ? time : Number.NaN;
  for (const [key, value] of Object.entries(row)) {
    if (OWN_KEYS.has(key) || axes.isAxis(key)) continue;
    const step = stepOf(row[axes.axisOf(key)] ?? number);
    if (typeof value === "number" || typeof value === "bigint" || NUMBERS.has(value))
      take("points", key, pointWords(step, wallTime, Number(value)));
    else take("lines", key, digestWords(`${step} ${sortedText(value)}`));
  }
  return typeof number === "number" ? number : undefined;
}

/** Whether two points of a step are one whose row had other values beside it. */
export function isSamePoint(a: Point, b: Point): boolean {
  return Object.is(a.value, b.value) && Math.abs((a.wallTime ?? 0) - (b.wallTime ?? 0)) <= 2 * MAX_SPAN;
}

function stepOf(value: JsonValue | undefined): bigint {
  return typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value as number | bigint) : 0n;
}

function patternOf(glob: string): RegExp {
  return new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);
}
