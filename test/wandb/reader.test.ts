import { expect, test } from "vitest";
import { WandbReader } from "../../src/backends/wandb/reader.ts";
import { AnswerTooLarge } from "../../src/net/transfer.ts";

const RUN = { entity: "ada", project: "p", name: "r" };

/** A service whose answers have so many characters at most. */
function serviceOf(rows: readonly string[], most: number) {
  const asked: number[] = [];
  const graphql = async (_: string, _document: string, variables: object) => {
    const { minStep, maxStep } = variables as { readonly minStep: number; readonly maxStep: number };
    asked.push(maxStep - minStep);
    const history = rows.slice(minStep, maxStep);
    if (history.join("").length > most) throw new AnswerTooLarge("rejected", "answers with more than that");
    return { project: { run: { history } } };
  };
  return { asked, reader: new WandbReader({ base: "http://localhost", graphql }) };
}

async function allOf(pages: AsyncIterable<readonly string[]>): Promise<string[]> {
  const all: string[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}

test("pages of rows have fewer rows where they are long, and more again where they are short", async () => {
  const long = Array.from({ length: 3000 }, (_, i) => `${i}`.padEnd(44_000, "x"));
  const short = Array.from({ length: 4000 }, (_, i) => `short ${i}`);
  const rows = [...long, ...short];
  const { asked, reader } = serviceOf(rows, 32 * 1024 * 1024);
  expect(await allOf(reader.rows(RUN, rows.length - 1))).toEqual(rows);
  expect(asked.slice(0, 4)).toEqual([1000, 500, 190, 190]);
  expect([asked.length < 40, Math.max(...asked.slice(-4, -1))]).toEqual([true, 1000]);
});

test("one row that is too large is an error", async () => {
  const { reader } = serviceOf(["a", "long", "b"], 3);
  await expect(allOf(reader.rows(RUN, 2))).rejects.toThrow(AnswerTooLarge);
});

test("a service that gives the same page of files again and again is asked no more", async () => {
  let asked = 0;
  const edges = [{ node: { name: "a.txt", sizeBytes: 1 } }];
  const pageInfo = { hasNextPage: true, endCursor: "x" };
  const graphql = async () => {
    // Without an end, the test would have none.
    if (++asked > 10) throw new Error("asked for ever");
    return { project: { run: { files: { edges, pageInfo } } } };
  };
  const reader = new WandbReader({ base: "http://localhost", graphql });
  await expect(reader.files(RUN)).rejects.toMatchObject({
    code: "rejected",
    message: expect.stringContaining("another page of files"),
  });
  expect(asked).toBe(2);
});
