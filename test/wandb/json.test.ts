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

test("a long string beside such a number takes no deep stack", () => {
  const [letters, escapes, digits] = ["x".repeat(16 << 20), '\\"'.repeat(8 << 20), "1".repeat(16 << 20)];
  for (const long of [letters, escapes, digits]) {
    const { a, b } = parseJson(`{"a":"${long}","b":NaN}`) as { readonly a: string; readonly b: number };
    expect([a === JSON.parse(`"${long}"`), b]).toEqual([true, Number.NaN]);
  }
});

test("no string stands for a number", () => {
  for (const text of ["\0number:abc", "\0NaN", "\0", "\0\x001", "\\0NaN"]) {
    const json = `{"a":${JSON.stringify(text)},"b":[${JSON.stringify(text)}],"c":NaN}`;
    expect(parseJson(json)).toEqual({ a: text, b: [text], c: Number.NaN });
    expect(Object.keys(parseJson(`{${JSON.stringify(text)} : 1,"c":NaN}`) as object)).toEqual([text, "c"]);
  }
});

test("what is no JSON is refused", () => {
  for (const text of ["", "{", "nan", "[1,]", '{"a":NaN,"b', '["NaN\\', '"a"NaN'])
    expect(() => parseJson(text)).toThrow(SyntaxError);
});
