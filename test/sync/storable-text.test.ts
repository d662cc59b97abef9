import fc from "fast-check";
import { expect, test } from "vitest";
import { asciiName, fitted, storableLines, storableName } from "../../src/sync/backends/mlflow/storable-text.ts";

const text = fc.string({ unit: "binary", maxLength: 40 });

test("control characters are written as Python writes them; a text of several lines keeps its lines", () => {
  expect(storableName("a\0b\x1b[31m\x07\n\x85\x9b é 🙂")).toBe("a\\x00b\\x1b[31m\\x07\\x0a\\x85\\x9b é 🙂");
  expect(storableLines("a\0\n\tb\r\nc\x7f")).toBe("a\\x00\n\tb\r\nc\\x7f");
  expect(storableName("half \ud83d")).toBe("half \ufffd");
  fc.assert(
    fc.property(text, (any) => {
      expect(storableName(any)).not.toMatch(/\p{Cc}|\p{Cs}/u);
      expect(storableName(storableName(any))).toBe(storableName(any));
    }),
  );
});

test("a name that is too long for its column is cut by characters, and two that begin alike stay two", () => {
  expect(fitted("🙂".repeat(250), 250)).toBe("🙂".repeat(250));
  const [one, other] = [fitted(`${"🙂".repeat(250)}1`, 250), fitted(`${"🙂".repeat(250)}2`, 250)];
  expect([...one].length).toBe(250);
  expect(one).toMatch(/^(🙂)+\.\.\.-[0-9a-f]{8}$/u);
  expect(one).not.toBe(other);
});

test("a name in ASCII keeps what can be kept", () => {
  expect(asciiName("run é ü 日本 🙂/b")).toBe("run e u ?? ?/b");
  fc.assert(
    fc.property(text, (any) => {
      expect(asciiName(any)).not.toMatch(/[^\0-\x7f]/);
    }),
  );
});
