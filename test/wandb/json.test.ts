import { expect, test } from "vitest";
import { jsonText, parseJson } from "../../src/backends/wandb/json.ts";

test("what W&B's client writes comes through unchanged", () => {
  const text =
    '{"a":NaN,"b":[-Infinity,Infinity,0.1],"c":9223372036854775807,"d":{"e":"NaN 12345678901234567","f":null,"g":true},"h":"\\"NaN"}';
  expect(jsonText(parseJson(text))).toBe(text);
  expect(parseJson(text)).toMatchObject({ c: 9223372036854775807n, b: [-Infinity, Infinity, 0.1] });
});

test("doubles keep their value and their sign", () => {
  for (const value of [-0, 5e-324, Number.MAX_VALUE, 1e21, 0.33333334, 2 ** 53 - 1]) {
    expect(parseJson(jsonText(value))).toBe(value);
  }
});

test("what is no JSON is refused", () => {
  for (const text of ["", "{", "nan", "[1,]"]) expect(() => parseJson(text)).toThrow(SyntaxError);
});
