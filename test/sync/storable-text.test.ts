import fc from "fast-check";
import MarkdownIt from "markdown-it";
import { expect, test } from "vitest";
import { asciiName, codeSpan, fitted, storableLines, storableName } from "../../src/backends/storable-text.ts";

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

test("what turns text around is escaped in a name; a text keeps the marks that Arabic and Hebrew need", () => {
  expect(storableName("a\u202eb\u2066c\u200fd\u061ce\u2028f\u2029")).toBe(
    "a\\u202eb\\u2066c\\u200fd\\u061ce\\u2028f\\u2029",
  );
  expect(storableLines("a\u202eb\u2069\u200f\u2028")).toBe("a\\u202eb\\u2069\u200f\u2028");
  expect(storableName("שלום مرحبا 🏳️‍🌈")).toBe("שלום مرحبا 🏳️‍🌈");
});

test("a code span holds any text, for a reader of CommonMark of its own", () => {
  const markdown = new MarkdownIt("commonmark", { html: true });
  const shown = (name: string) => {
    const [block] = markdown.parse(`run ${codeSpan(name)}, synced`, {}).filter(({ type }) => type === "inline");
    return block?.children?.map(({ type, content }) => [type, content]);
  };
  const evil = [
    "a`<img src=x onerror=alert(1)>`b",
    "`",
    "``",
    "```a``b`",
    "`a",
    "a`",
    " a ",
    " a",
    "a``b",
    "\\`",
    "x".repeat(9),
  ];
  for (const name of evil) {
    expect([name, shown(name)]).toEqual([
      name,
      [
        ["text", "run "],
        ["code_inline", name],
        ["text", ", synced"],
      ],
    ]);
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("`", " ", "a", "\\", "<b>"), minLength: 1 }), (any) => {
      expect(shown(any)?.map(([type]) => type)).toEqual(["text", "code_inline", "text"]);
      if (any.trim() !== "") expect(shown(any)?.[1]?.[1]).toBe(any);
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
