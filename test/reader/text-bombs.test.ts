/** Texts beside the event files that are made to take long or much memory. A hang here is a failure: vitest's time limit. */
import { rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type HparamsFile, readHparamsFile } from "../../src/reader/hparams-file.ts";
import { parseProjectorConfig } from "../../src/reader/plugins/projector.ts";
import { localFile } from "../support/local-file.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

async function yaml(text: string): Promise<HparamsFile["hparams"]> {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, "hparams.yaml");
  writeFileSync(file, text);
  const stats = statSync(file, { bigint: true });
  const { hparams } = await readHparamsFile({
    ...localFile(file),
    name: "hparams.yaml",
    size: Number(stats.size),
    mtime: stats.mtimeNs,
    token: stats.ino,
  });
  return hparams;
}

test.each([
  [
    "a list that an alias repeats",
    `a: &a [${"1,".repeat(10_000)}]\nb: [${"*a,".repeat(5000)}]`,
    /more than 1000000 values/,
  ],
  [
    "merges",
    `a: &a\n${Array.from({ length: 3000 }, (_, i) => `  k${i}: 1`).join("\n")}\n${"b:\n  <<: *a\n".repeat(3000)}`,
    /merges too many/,
  ],
  ["errors", "&a ".repeat(100_000), /at most one anchor at line 1, column 4/],
  ["bytes", " ".repeat(2 ** 21 + 1), /larger than 2097152 bytes/],
])("hparams.yaml with too many %s", async (_, text, message) => {
  await expect(yaml(text)).rejects.toThrow(message);
});

test("hparams.yaml with as much as an honest one may have", async () => {
  const text = `a: &a\n${Array.from({ length: 500 }, (_, i) => `  k${i}: 1`).join("\n")}\n${Array.from({ length: 50 }, (_, i) => `b${i}:\n  <<: *a`).join("\n")}`;
  expect((await yaml(text)).size).toBe(500 * 51);
  expect((await yaml(`a: "${"x".repeat(1_000_000)}"\nb: [${"1, ".repeat(100_000)}]`)).size).toBe(2);
});

test("names that objects have of themselves are names like any other", async () => {
  const read = await yaml("__proto__: {polluted: 1}\nconstructor: 2\nlist: [{__proto__: {polluted: 3}}]");
  expect([...read.keys()]).toEqual(["__proto__/polluted", "constructor", "list"]);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

const MANY = 3_000_000;
test.each([
  ["spaces", " ".repeat(MANY)],
  ["comments", "#\n".repeat(MANY)],
  ["a long string", `model_checkpoint_path: "${"x".repeat(MANY)}"`],
  ["escapes", `model_checkpoint_path: "${"\\x".repeat(MANY / 10)}"`],
  ["strings side by side", `model_checkpoint_path: ${'"a" '.repeat(MANY / 10)}`],
  ["fields", "a:1 ".repeat(MANY / 10)],
])("projector_config.pbtxt of %s", (_, text) => {
  expect(parseProjectorConfig(text).embeddings).toEqual([]);
});

test.each([
  ["brackets", "[".repeat(MANY)],
  ["messages in each other", "a{".repeat(MANY)],
  ["a string without its end", `a: "${"x\\\n".repeat(MANY)}`],
  ["a number without digits", `a: -${" ".repeat(MANY)}`],
])("projector_config.pbtxt that is none: %s", (_, text) => {
  expect(() => parseProjectorConfig(text)).toThrow(/^line \d+: found/);
});
