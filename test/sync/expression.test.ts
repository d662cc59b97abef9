/** Arithmetic over metrics: by Python's own reckoning. */
import { expect, test } from "vitest";
import { parseExpression } from "../../src/sync/transform/metrics/expression.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { askPython } from "./python.ts";

const VALUES = new Map([
  ["a", 3],
  ["b.c", -0.75],
  ["val/loss", 1.5],
]);

/** A random expression, as tracelet takes it and as Python does. */
function random(next: () => number, depth: number): [ours: string, pythons: string] {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)] as T;
  const part = () => random(next, depth - 1);
  if (depth === 0 || next() < 0.2) {
    const [tag, value] = pick([...VALUES]);
    const number = pick(["2", "0.5", "1e-1", ".25"]);
    const ours = /^[a-z.]+$/.test(tag) ? pick([tag, `{${tag}}`]) : `{${tag}}`;
    return next() < 0.3 ? [number, number] : [ours, `float(${value})`];
  }
  const [[a, a2], [b, b2]] = [part(), part()];
  switch (pick(["sign", "bracket", "call", "choice", "power", "operator"])) {
    case "sign":
      return [`-${a}`, `-${a2}`];
    case "bracket":
      return [`(${a})`, `(${a2})`];
    case "call":
      return [`abs( ${a} )`, `abs(${a2})`];
    case "choice": {
      const name = pick(["min", "max"]);
      return [`${name}(${a},${b})`, `${name}(${a2},${b2})`];
    }
    case "power":
      return [`${a}^2`, `${a2}**2`];
    default: {
      const operator = pick(["+", "-", "*", " - ", " / "]);
      return [a + operator + b, a2 + operator + b2];
    }
  }
}

test("is what Python makes of the same text", () => {
  const next = seededRandom(7);
  const all = Array.from({ length: 400 }, () => random(next, 4));
  const program = `
import math
def value(text):
    try:
        return repr(float(eval(text)))
    except (ZeroDivisionError, OverflowError):
        return None
answer = [value(text) for text in data]`;
  const expected = askPython(
    program,
    all.map(([, text]) => text),
  ) as (string | null)[];
  const known = all.flatMap(([text], i) => (expected[i] === null ? [] : [{ text, value: Number(expected[i]) }]));
  expect(known.length).toBeGreaterThan(300);
  for (const { text, value } of known) {
    const tagged = `${text} + 0 * a`;
    const { tags, evaluate } = parseExpression(tagged);
    const found = evaluate(Float64Array.from(tags, (tag) => VALUES.get(tag) as number));
    expect([tagged, found]).toEqual([tagged, expect.closeTo(value, 9)]);
  }
});

test("nested without end is refused, not run out of stack with", () => {
  for (const text of [
    `${"(".repeat(5000)}a`,
    `${"(".repeat(400)}a${")".repeat(400)}`,
    `${"-".repeat(900)}a`,
    `a${"^a".repeat(400)}`,
  ])
    expect(() => parseExpression(text)).toThrow(/nested too deep|longer than/);
});
