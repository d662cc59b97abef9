import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { progressText } from "../../src/cli/progress-view.ts";
import { bytes, count, duration, oneLine, outputTo, paint, plural, printable, table } from "../../src/cli/terminal.ts";
import { UNSAFE } from "./tracelet.ts";

const hostile = fc.string({
  unit: fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    fc.constantFrom(..."\u001b\u009b\u0007\u202e\u2066\u061c\u200f\u2028\u007f\r\n\t\b]52;c"),
  ),
});

describe("what is printed", () => {
  test("holds nothing that a terminal would obey, and loses nothing", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const printed = printable(text);
        expect(printed.replaceAll("\n", "")).not.toMatch(UNSAFE);
        expect(oneLine(text)).not.toMatch(/[\n\r]/);
        const back = printed.replace(/\\u([0-9a-f]{4})/g, (_, code: string) =>
          String.fromCharCode(Number.parseInt(code, 16)),
        );
        if (!/\\u[0-9a-f]{4}/.test(text)) expect(back).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  test("of every character: only line breaks stay, and none on one line", () => {
    for (let code = 0; code < 0x110000; code++) {
      const character = String.fromCodePoint(code);
      if (character !== "\n" && UNSAFE.test(printable(character))) throw new Error(`U+${code.toString(16)} is printed`);
    }
    expect(oneLine("a\nb\u001b[31m\u202ec")).toBe("a\\nb\\u001b[31m\\u202ec");
  });

  test("stays valid within JSON", () => {
    fc.assert(fc.property(hostile, (text) => void expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text)));
  });
});

test("numbers read well", () => {
  expect([0, 999, 1000, 1234567].map(count)).toEqual(["0", "999", "1,000", "1,234,567"]);
  expect([plural(0, "run"), plural(1, "run"), plural(2000, "run")]).toEqual(["0 runs", "1 run", "2,000 runs"]);
  expect([0, 999, 1000, 1500, 99_900, 100_000, 1e6, 2.5e9, 7e12, 7e15].map(bytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "1.5 kB",
    "99.9 kB",
    "100 kB",
    "1.0 MB",
    "2.5 GB",
    "7.0 TB",
    "7000 TB",
  ]);
  expect([0, 12.4, 999, 1000, 59_900, 60_000, 3_661_000].map(duration)).toEqual([
    "0 ms",
    "12 ms",
    "999 ms",
    "1.0 s",
    "59.9 s",
    "1 min 0 s",
    "61 min 1 s",
  ]);
});

test("tables are aligned, the first column to the left", () => {
  expect(
    table([
      ["", "read"],
      ["scalars", "1,000"],
      ["a", "1"],
    ]),
  ).toBe("          read\nscalars  1,000\na            1\n");
  expect(table([])).toBe("");
});

test("colour only where it is wanted", () => {
  const lines: string[] = [];
  const output = (colour: boolean) => ({ write: (text: string) => void lines.push(text), colour });
  expect(paint(output(false), "red", "x")).toBe("x");
  expect(paint(output(true), "red", "x")).toBe("\u001b[31mx\u001b[39m");
  const stream = (isTTY: boolean) => ({ isTTY, write: () => true }) as unknown as NodeJS.WriteStream;
  const { NO_COLOR, FORCE_COLOR } = process.env;
  try {
    for (const [no, force, tty, expected] of [
      ["", "", true, true],
      ["", "", false, false],
      ["1", "", true, false],
      ["", "1", false, true],
      ["1", "1", true, false],
    ] as const) {
      process.env["NO_COLOR"] = no;
      process.env["FORCE_COLOR"] = force;
      expect([no, force, tty, outputTo(stream(tty)).colour]).toEqual([no, force, tty, expected]);
    }
  } finally {
    for (const [name, value] of Object.entries({ NO_COLOR, FORCE_COLOR })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

test("progress says how far, how fast, and how long still", () => {
  const progress = { runs: 3, totalRuns: 10, bytes: 25_000_000, totalBytes: 100_000_000, values: 500_000 };
  expect(progressText(progress, 10_000)).toBe("3/10 runs  25.0 MB of 100 MB  50,000 values/s  30.0 s left");
  expect(progressText({ ...progress, bytes: 0, values: 0 }, 0)).toBe("3/10 runs  0 B of 100 MB  0 values/s");
  expect(progressText({ ...progress, bytes: 100_000_000 }, 10_000)).not.toContain("left");
});
