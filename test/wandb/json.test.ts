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

test("doubles beyond 2^53 are no integers, which Python would not round to the same double", () => {
  const values = [2 ** 53, -(2 ** 63), 1e20, 2 ** 53 - 1, 1e21];
  const texts = ["9.007199254740992e+15", "-9.223372036854776e+18", "1e+20", "9007199254740991", "1e+21"];
  expect(values.map(jsonText)).toEqual(texts);
  expect(values.map((value) => parseJson(jsonText(value)))).toEqual(values);
});

test("what is no JSON is refused", () => {
  for (const text of ["", "{", "nan", "[1,]"]) expect(() => parseJson(text)).toThrow(SyntaxError);
});
