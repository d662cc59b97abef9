/** Hyperparameters as Lightning writes them into `hparams.yaml`, held against what Python prints of them. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { discover, type EventFileEntry } from "../../src/reader/discover.ts";
import { readHparamsFile } from "../../src/reader/hparams-file.ts";
import { pythonText } from "../../src/reader/python-text.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

interface Expected {
  readonly params: Readonly<Record<string, string>>;
  readonly unreadable: readonly string[];
}

test.each([
  ["lightning-logger-objects", "lightning_logs/version_1"],
  ["lightning-hparams-tensor", "lightning_logs/version_0"],
])("%s", async (name, run) => {
  const text = readFileSync(path.join(FIXTURES, name, "expected-params.json"), "utf8");
  const expected = (JSON.parse(text) as Record<string, Expected>)[run] as Expected;
  const found = discover(path.join(FIXTURES, name, "runs")).runs.find((each) => each.name === run);
  const { hparams, unreadable } = await readHparamsFile(found?.hparamsFile as EventFileEntry);
  const texts = Object.fromEntries(Array.from(hparams, ([key, value]) => [key, pythonText(value)]).sort());
  expect(texts).toEqual(expected.params);
  expect([...unreadable.keys()].sort()).toEqual(expected.unreadable);
});
