/** Params as Python prints them, held against Python itself. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { HparamValue } from "../../src/reader/datum.ts";
import { pythonText } from "../../src/reader/python-text.ts";
import { askPython } from "../sync/python.ts";

/** JSON that Python rebuilds the value from: what JSON cannot say is wrapped. */
function toJson(value: HparamValue): unknown {
  if (typeof value === "bigint") return { int: String(value) };
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return { float: bytes.toString("hex") };
  }
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return { list: value.map((item: HparamValue) => toJson(item)) };
  return { dict: Object.entries(value).map(([key, item]) => [key, toJson(item as HparamValue)]) };
}

const BUILD = `
import struct, unicodedata
def build(value):
    if not isinstance(value, dict): return value
    kind, given = next(iter(value.items()))
    if kind == "int": return int(given)
    if kind == "float": return struct.unpack(">d", bytes.fromhex(given))[0]
    if kind == "list": return [build(item) for item in given]
    return {key: build(item) for key, item in given}
`;

function expectAsPython(values: readonly HparamValue[]): void {
  const printed = askPython(`${BUILD}\nanswer = [str(build(value)) for value in data]`, values.map(toJson)) as string[];
  const wrong = values.flatMap((value, i) =>
    pythonText(value) === printed[i] ? [] : [[pythonText(value), printed[i]]],
  );
  expect(wrong).toEqual([]);
}

/** Characters that Python's Unicode knows: it escapes what it does not know. */
const isKnown = ((): ((text: string) => boolean) => {
  const unknown = askPython(
    "import unicodedata\nanswer = [c for c in range(0x110000) if unicodedata.category(chr(c)) == 'Cn']",
    null,
  ) as number[];
  const set = new Set(unknown.filter((code) => !/\p{Cn}/u.test(String.fromCodePoint(code))));
  return (text) => ![...text].some((character) => set.has(character.codePointAt(0) as number));
})();

const text = fc.string({ unit: "binary", maxLength: 12 }).filter(isKnown);
const quoted = fc.string({ unit: fc.constantFrom(..."'\"\\ab\n\r\t\0\x7f\x85\xa0\xad\u2028\u200b\ue000\ufeff🙂é ") });
const leaf: fc.Arbitrary<HparamValue> = fc.oneof(
  fc.double(),
  fc.float().map(Number),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.boolean(),
  fc.constant(null),
  text,
  quoted,
);

test("floats of every size", () => {
  const powers = Array.from({ length: 640 }, (_, i) => Number(`1e${i - 325}`));
  const borders = [
    1e16,
    1e-4,
    1e-5,
    1e21,
    123456789012345680,
    0.1,
    1 / 3,
    2 ** 53,
    5e-324,
    Number.MAX_VALUE,
    0,
    -0,
    3,
    -2.5,
  ];
  const floats = [...powers, ...borders, Number.NaN, Infinity, -Infinity, ...fc.sample(fc.double(), 3000)];
  expectAsPython([...floats, ...floats.map((value) => -value), ...floats.map(Math.fround)]);
});

test("text is itself", () => {
  expectAsPython(["", "a'b", "line\nbreak", "\u0000", "🙂"]);
});

test("every character within a list", () => {
  const all: HparamValue[] = [];
  for (let code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 97) {
    if (code < 0xd800 || code > 0xdfff) all.push([String.fromCodePoint(code)]);
  }
  expectAsPython(all.filter((value) => isKnown((value as string[])[0] as string)));
});

test("anything within anything", () => {
  const { value } = fc.letrec<{ value: HparamValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie("value"), { maxLength: 4 }),
      // Keys that are whole numbers come first in a JavaScript object, whatever their place.
      fc.dictionary(
        fc.oneof(text, quoted).filter((key) => !/^\d+$/.test(key)),
        tie("value"),
        { maxKeys: 4, noNullPrototype: true },
      ),
    ),
  }));
  expectAsPython(fc.sample(value, 2000));
});
