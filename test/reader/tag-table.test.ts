import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { viewOf } from "../../src/reader/little-endian.ts";
import { TagTable } from "../../src/reader/tag-table.ts";

/** The tag's number, asked for by its bytes as they stand among others. */
function idOf(table: TagTable, tag: string | Uint8Array): number {
  const bytes = typeof tag === "string" ? Buffer.from(tag) : tag;
  const around = Buffer.concat([Buffer.from("xx"), bytes, Buffer.from("yy")]);
  return table.ofBytes(viewOf(around), 2, 2 + bytes.length);
}

/** A table and a Map that must always say the same. */
class Checked {
  readonly table = new TagTable();
  readonly model = new Map<string, number>();

  ask(tag: string, how: "bytes" | "name"): void {
    const expected = this.model.get(tag) ?? this.model.size;
    this.model.set(tag, expected);
    const id = how === "bytes" ? idOf(this.table, tag) : this.table.ofName(tag);
    if (id !== expected) throw new Error(`${JSON.stringify(tag)} by ${how}: ${id}, not ${expected}`);
  }

  end(): void {
    expect(this.table.names).toEqual([...this.model.keys()]);
  }
}

test("tags are numbered as they are first seen", () => {
  const table = new TagTable();
  expect(["loss", "acc", "loss", "lr", "acc"].map((tag) => idOf(table, tag))).toEqual([0, 1, 0, 2, 1]);
  expect(table.names).toEqual(["loss", "acc", "lr"]);
});

test("a tag is the same whether asked for by bytes or by name", () => {
  const table = new TagTable();
  expect([idOf(table, "a"), table.ofName("b"), table.ofName("a"), idOf(table, "b")]).toEqual([0, 1, 0, 1]);
});

test("tags that are easily taken for each other", () => {
  const tags = [
    ["", " ", "\0", "\0\0", "a", "A", "a ", " a", "ab", "ba", "a\0", "a/b", "a/b/", "a//b"],
    ["__proto__", "constructor", "toString", "hasOwnProperty", "0", "00", "-0"],
    ["\uFEFFa", "\uFEFF", "\uFFFD", "é", "e\u0301", "\u{1F600}", "\u{1F601}", "\uFF5E", "日本", "日"],
    ["x".repeat(5000), `${"x".repeat(5000)}y`, "x".repeat(4999), "x".repeat(100_000)],
  ].flat();
  const checked = new Checked();
  for (const how of ["bytes", "name", "bytes"] as const) for (const tag of tags) checked.ask(tag, how);
  for (const tag of tags.toReversed()) checked.ask(tag, "bytes");
  checked.end();
  expect(checked.table.names.length).toBe(tags.length);
});

describe("bytes that are no text", () => {
  const bad = [[0xff], [0x61, 0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]].map((all) =>
    Buffer.from(all),
  );

  test("have no number, at first and later", () => {
    const table = new TagTable();
    for (const bytes of bad) expect(idOf(table, bytes)).toBe(-1);
    expect(idOf(table, "a")).toBe(0);
    for (const bytes of bad) expect(idOf(table, bytes)).toBe(-1);
    expect([idOf(table, "b"), idOf(table, "a")]).toEqual([1, 0]);
    expect(table.names).toEqual(["a", "b"]);
  });
});

test("100,000 different tags, and as many seen again", () => {
  const checked = new Checked();
  for (let i = 0; i < 100_000; i++) {
    checked.ask(`layer${i % 977}/weight/${i}`, i % 3 ? "bytes" : "name");
    // Sometimes the one that came after it the last time, sometimes any.
    const again = Math.imul(i, 0x9e3779b1) >>> 0;
    checked.ask(`layer${(again % (i + 1)) % 977}/weight/${again % (i + 1)}`, i % 5 ? "bytes" : "name");
  }
  // Backwards, no tag is what came after the last one before.
  for (const tag of [...checked.model.keys()].reverse()) checked.ask(tag, "bytes");
  checked.end();
  expect(checked.table.names.length).toBe(100_000);
});

test("the same tags in the same order again and again, in another order, and with new ones among them", () => {
  const checked = new Checked();
  const tags = Array.from({ length: 300 }, (_, i) => `metric ${i}`);
  for (let round = 0; round < 5; round++) for (const tag of tags) checked.ask(tag, "bytes");
  for (let round = 1; round < 5; round++)
    for (let i = 0; i < 300; i++) checked.ask(tags[(i * 7 * round) % 300] as string, "bytes");
  for (const tag of tags) {
    checked.ask(tag, "bytes");
    checked.ask(`${tag} more`, "bytes");
  }
  checked.end();
});

test("any tags in any order", () => {
  const tag = fc.oneof(
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 4 }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(tag, fc.constantFrom("bytes" as const, "name" as const)), { maxLength: 60 }),
      (asked) => {
        const checked = new Checked();
        for (const [name, how] of asked) checked.ask(name, how);
        for (const [name] of asked) checked.ask(name, "bytes");
        checked.end();
      },
    ),
    { numRuns: 500 },
  );
});
