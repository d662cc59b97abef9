/** Which of a run's marks is a file's: found by name and by content, at a cost that does not grow with the run. */
import { expect, test } from "vitest";
import { type FileMark, hashHead, NO_TAIL } from "../../src/sync/source/fingerprint.ts";
import { MarkIndex } from "../../src/sync/source/mark-index.ts";

class CountedBytes {
  reads = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(into: Uint8Array, at: number, length: number, position: number): Promise<number> {
    this.reads++;
    const part = this.#bytes.subarray(position, position + length);
    into.set(part, at);
    return Promise.resolve(part.length);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const fileOf = (i: number) => new CountedBytes(Buffer.from(`file ${i} `.repeat(200)));

async function markOf(i: number, name: string, head: number, suffix = ""): Promise<FileMark> {
  return { key: `${await hashHead(fileOf(i), head)}${suffix}`, name, head, offset: head, from: 0, tail: NO_TAIL };
}

test.each([10, 1000])("of %i marks, a file reads its head twice at most", async (count) => {
  const marks = await Promise.all(Array.from({ length: count }, (_, i) => markOf(i, `events.${i}`, 1024)));
  const index = new MarkIndex(marks);
  for (const i of [0, count - 1]) {
    const kept = fileOf(i);
    expect(await index.of(kept, `events.${i}`)).toBe(marks[i]);
    expect(kept.reads).toBe(1);
    const renamed = fileOf(i);
    expect(await index.of(renamed, "another name")).toBe(marks[i]);
    expect(renamed.reads).toBe(1);
  }
  const stranger = fileOf(count);
  expect(await index.of(stranger, "events.0")).toBeUndefined();
  expect(stranger.reads).toBe(2);
});

test("of files that begin alike the name tells, and else the order, whatever length names them", async () => {
  const long = await markOf(1, "a", 1000);
  const short = await markOf(1, "b", 10);
  const alike = await markOf(1, "c", 10, ".2");
  const index = new MarkIndex([long, short, alike]);
  expect(await index.of(fileOf(1), "b")).toBe(short);
  expect(await index.of(fileOf(1), "c")).toBe(alike);
  expect(await index.of(fileOf(1), "d")).toBe(long);
  expect(await new MarkIndex([short, long]).of(fileOf(1), "d")).toBe(short);
  expect(index.withKey(alike.key)).toBe(alike);
});

test("a mark with a head that names no file finds none", async () => {
  const odd = { ...(await markOf(1, "a", 1024)), head: 2 ** 40 };
  expect(await new MarkIndex([odd]).of(fileOf(1), "a")).toBeUndefined();
});
