import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  atStart,
  type FileMark,
  hashHead,
  hashTail,
  hashText,
  headHash,
  headLength,
  NO_TAIL,
} from "../../src/sync/source/fingerprint.ts";
import { ScriptedSource } from "../support/event-writer.ts";

const bytes = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7) % 251));
const sha = (part: Uint8Array) => createHash("sha256").update(part).digest("hex").slice(0, 32);

test("a head is the bytes that were there when it was taken, 1024 at most", async () => {
  expect([0, 1, 1023, 1024, 1e12].map(headLength)).toEqual([0, 1, 1023, 1024, 1024]);
  const source = new ScriptedSource(bytes);
  expect(await hashHead(source, 100)).toBe(sha(bytes.subarray(0, 100)));
  source.append(Buffer.from("more"));
  expect(await hashHead(source, 100)).toBe(sha(bytes.subarray(0, 100)));
  expect(await hashHead(source.truncate(99), 100)).toBeUndefined();
  // Nor is memory taken for what somebody else says of it.
  for (const length of [0, -1, 1025, 0.5, 2 ** 40, Number.NaN]) expect(await hashHead(source, length)).toBeUndefined();
});

test("a tail is the bytes before an offset, and changes with each of the last 1024", async () => {
  const source = new ScriptedSource(bytes);
  expect(await hashTail(source, 10)).toBe(sha(bytes.subarray(0, 10)));
  const tail = await hashTail(source, 3000);
  expect(tail).toBe(sha(bytes.subarray(3000 - 1024, 3000)));
  for (const [at, changes] of [
    [3000 - 1025, false],
    [3000 - 1024, true],
    [2999, true],
    [3000, false],
  ] as const) {
    const other = new ScriptedSource(bytes).flip(at * 8);
    expect([at, (await hashTail(other, 3000)) !== tail]).toEqual([at, changes]);
  }
  expect(await hashTail(source.truncate(2999), 3000)).toBeUndefined();
});

test("a tail costs one small read, wherever it is", async () => {
  const source = new ScriptedSource(Buffer.alloc(1 << 20));
  await hashTail(source, 1 << 20);
  expect([source.reads, source.bytesRead]).toEqual([1, 1024]);
});

test("nothing read yet has a tail as well, whatever the file", async () => {
  for (const content of [bytes, Buffer.alloc(0)]) expect(await hashTail(new ScriptedSource(content), 0)).toBe(NO_TAIL);
  const mark: FileMark = { key: "k.2", name: "n", head: 9, offset: 5, from: 2, tail: "t" };
  expect(atStart(mark)).toEqual({ key: "k.2", name: "n", head: 9, offset: 0, from: 0, tail: NO_TAIL, base: 0 });
});

test("a key holds its hash, with or without what tells it apart", () => {
  expect(["abc", "abc.2", "abc.17"].map(headHash)).toEqual(["abc", "abc", "abc"]);
});

test("an error of the source is the source's", async () => {
  const source = new ScriptedSource(bytes);
  source.failure = Object.assign(new Error("read"), { code: "EIO" });
  await expect(hashHead(source, 10)).rejects.toMatchObject({ code: "EIO" });
});

test("text of any kind has a hash of one kind", () => {
  const hashes = ["", ".", "a/b", "日本\n", "x".repeat(1e5)].map(hashText);
  expect(new Set(hashes).size).toBe(5);
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{32}$/);
});
