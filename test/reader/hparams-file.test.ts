import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { HparamValue } from "../../src/reader/datum.ts";
import { discover, type EventFileEntry } from "../../src/reader/discover.ts";
import { readHparamsFile } from "../../src/reader/hparams-file.ts";
import { pythonText } from "../../src/reader/python-text.ts";
import { cpuTime } from "../support/cpu-time.ts";
import { localFile } from "../support/local-file.ts";

const directory = mkdtempSync(path.join(tmpdir(), "tracelet-hparams-"));
const file = path.join(directory, "hparams.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

function entryOf(text: string | Uint8Array): EventFileEntry {
  writeFileSync(file, text);
  return { ...localFile(file), name: "hparams.yaml", size: text.length, mtime: 0n, token: 0n };
}

async function read(text: string | Uint8Array): Promise<[string, HparamValue][]> {
  return [...(await readHparamsFile(entryOf(text))).hparams] as [string, HparamValue][];
}

test("a file of Lightning's, as discovery finds it", async () => {
  const logdir = path.resolve(import.meta.dirname, "../../fixtures/lightning/runs/lightning_logs/version_0");
  const entry = discover(logdir).runs[0]?.hparamsFile as EventFileEntry;
  expect([...(await readHparamsFile(entry)).hparams]).toEqual([
    ["classes", ["cat", "dog"]],
    ["layers", 2n],
    ["lr", 0.1],
    ["note", "läuft"],
    ["optimizer/betas", [0.9, 0.999]],
    ["optimizer/name", "sgd"],
    ["optimizer/nested/nesterov", false],
    ["scheduler", null],
  ]);
});

describe("types", () => {
  test.each<[string, HparamValue]>([
    ["3", 3n],
    ["-7", -7n],
    ["0", 0n],
    ["123456789012345678901234567890", 123456789012345678901234567890n],
    ["3.0", 3],
    ["0.1", 0.1],
    ["1.0e-05", 0.00001],
    [".inf", Infinity],
    ["-.inf", -Infinity],
    [".nan", Number.NaN],
    ["true", true],
    ["False", false],
    ["null", null],
    ["~", null],
    ["", null],
    ["None", "None"],
    ["'3'", "3"],
    ['"true"', "true"],
    ["yes", "yes"],
    ["adam", "adam"],
    ["2020-01-01", "2020-01-01"],
    ['"l\\xE4uft"', "läuft"],
    ["|\n  two\n  lines", "two\nlines\n"],
    ["[]", []],
    ["[1, 2.5, a, null, [x]]", [1n, 2.5, "a", null, ["x"]]],
    ["[{a: 1, b: {c: [d]}}]", [{ a: 1n, b: { c: ["d"] } }]],
  ])("%s", async (text, value) => {
    expect(await read(`key: ${text}\n`)).toEqual([["key", value]]);
  });
});

describe("mappings", () => {
  test("are flattened with /, in order", async () => {
    const text = "z: 1\nmodel:\n  layers: 2\n  opt: {lr: 0.5, name: sgd}\n  none: {}\na: 3\n";
    expect(await read(text)).toEqual([
      ["z", 1n],
      ["model/layers", 2n],
      ["model/opt/lr", 0.5],
      ["model/opt/name", "sgd"],
      ["a", 3n],
    ]);
  });

  test("may have keys that are no strings, and any name", async () => {
    expect(await read("1: a\ntrue: b\n2.5: c\na/b: d\n'': e\n")).toEqual([
      ["1", "a"],
      ["true", "b"],
      ["2.5", "c"],
      ["a/b", "d"],
      ["", "e"],
    ]);
  });

  test("may have a key twice: the last, as in Python", async () => {
    expect(await read("a: 1\nb: 2\na: 3\n")).toEqual([
      ["a", 3n],
      ["b", 2n],
    ]);
  });

  test("touch no prototype", async () => {
    const all = await read("__proto__: 1\nx: {__proto__: {polluted: 1}}\nl: [{__proto__: {polluted: 1}}]\n");
    expect(all.map(([key]) => key)).toEqual(["__proto__", "x/__proto__/polluted", "l"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test.each(["", "\n", "# nothing but a comment\n", "---\n", "{}\n", "null\n"])("empty: %j", async (text) => {
    expect(await read(text)).toEqual([]);
  });
});

describe("an object of Python's is one value, as Python prints it, and never made", () => {
  test.each<[string, string, [string, string][]]>([
    ["a tuple", "a: !!python/tuple\n- 1\n- 2\n", [["a", "(1, 2)"]]],
    ["a class", "a: !!python/name:torch.nn.ReLU ''\n", [["a", "<class 'torch.nn.ReLU'>"]]],
    ["a function", "a: !!python/name:torch.nn.functional.relu ''\n", [["a", "torch.nn.functional.relu"]]],
    ["a path", "a: !!python/object/apply:pathlib.PosixPath\n- /\n- tmp\n", [["a", "/tmp"]]],
    ["a path of Python 3.13", "a: !!python/object/apply:pathlib._local.PosixPath [/, tmp]\n", [["a", "/tmp"]]],
    ["bytes", "a: !!binary |\n  AAAAAAAA8D8=\n", [["a", "b'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?'"]]],
    ["a time", "a: !!timestamp 2020-01-02 03:04:05\n", [["a", "2020-01-02 03:04:05"]]],
    ["a set", "a: !!set\n  x: null\n  y: null\n", [["a", "{'x', 'y'}"]]],
    ["a number of Python 2", "a: !!python/long 3\n", [["a", "3"]]],
    ["a text of Python 2", "a: !!python/unicode x\n", [["a", "x"]]],
    [
      "an object that two have",
      "a: &id001 !!python/tuple [1]\nb: [*id001]\n",
      [
        ["a", "(1,)"],
        ["b", "[(1,)]"],
      ],
    ],
    [
      "an ordered mapping of YAML",
      "a: !!omap\n- x: 1\n- y: 2\n",
      [
        ["a/x", "1"],
        ["a/y", "2"],
      ],
    ],
    [
      "the same list twice",
      "a: &id001\n- 1\nb: *id001\n",
      [
        ["a", "[1]"],
        ["b", "[1]"],
      ],
    ],
    [
      "the same mapping twice",
      "a: &id001 {x: 1}\nb: *id001\n",
      [
        ["a/x", "1"],
        ["b/x", "1"],
      ],
    ],
  ])("%s", async (_, text, expected) => {
    expect((await read(text)).map(([name, value]) => [name, pythonText(value)])).toEqual(expected);
  });

  test.each([
    ["a: !!python/object:my.Config\n  lr: 0.1\n  name: x\n", "my.Config"],
    ["a: !!python/object/apply:os.system ['echo 1 > /tmp/owned']\n", "os.system"],
    ["a: [1, {b: !!python/object/new:my.Point [1, 2]}]\n", "my.Point"],
    ["a: !!python/module:numpy ''\n", "numpy"],
    ["a: !!python/object/apply:numpy.dtype [O8, false, true]\n", "numpy.dtype"],
    ["a: !!python/object/apply:numpy._core.multiarray.scalar [1, 2]\n", "numpy scalar"],
    ["a: !!python/object/apply:torch._utils._rebuild_tensor_v2 [x]\n", "torch.Tensor"],
    ["a: !!python/object/apply:uuid.UUID {int: x}\n", "uuid.UUID"],
    ["a: !!python/nonsense x\n", "nonsense"],
  ])("what only Python can read is left out whole, and named: %j", async (text, what) => {
    const { hparams, unreadable } = await readHparamsFile(entryOf(`${text}lr: 0.1\n`));
    expect([...hparams]).toEqual([["lr", 0.1]]);
    expect([...unreadable]).toEqual([["a", what]]);
  });
});

describe("refused, with the file's path in the message", () => {
  const tens = (name: string) => `[${Array.from({ length: 10 }, () => `*${name}`).join(", ")}]`;
  const bomb = `a: &a [x, x, x]\nb: &b ${tens("a")}\nc: &c ${tens("b")}\nd: &d ${tens("c")}\ne: ${tens("d")}\n`;

  test.each<[string, string, string]>([
    ["a list", "- 1\n- 2\n", "holds no mapping"],
    ["a text", "hello\n", "holds no mapping"],
    ["a number", "1\n", "holds no mapping"],
    ["something broken", "a: [1\nb: }\n", "is not YAML"],
    ["tabs for indentation", "a:\n\tb: 1\n", "is not YAML"],
    ["two documents", "a: 1\n---\nb: 2\n", "is not YAML"],
    ["an alias of nothing", "a: *nothing\n", "is not YAML"],
    ["a list that holds itself", "a: &a [*a]\n", "nested more than 100 deep"],
    ["a mapping that holds itself", "a: &a\n  b: *a\n", "nested more than 100 deep"],
    ["a mapping in a list that holds itself", "a: &a [{b: *a}]\n", "nested more than 100 deep"],
    ["a few lines that stand for 30,000 values", bomb, "is not YAML"],
  ])("%s", async (_, text, message) => {
    const refused = expect(readHparamsFile(entryOf(text))).rejects;
    await refused.toThrow(file);
    await refused.toThrow(message);
  });

  // Parsing these runs out of stack, and where V8 runs out of it within a regular expression it aborts the process.
  test.each<[string, string]>([
    ["lists", `a: ${"[".repeat(20_000)}${"]".repeat(20_000)}\n`],
    ["lists that do not end", `a: ${"[".repeat(20_000)}`],
    ["lists by dashes", `a:\n  ${"- ".repeat(20_000)}1\n`],
    ["mappings", `${"{a: ".repeat(20_000)}1${"}".repeat(20_000)}\n`],
    ["mappings by indentation", Array.from({ length: 2000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
    ["keys of keys", `${"? ".repeat(20_000)}1\n`],
  ])("%s nested thousands deep", async (_, text) => {
    await expect(readHparamsFile(entryOf(text))).rejects.toThrow(`${file} is nested more than 100 deep`);
  });

  test("nested 90 deep is fine", async () => {
    expect((await read(`a: ${"[".repeat(90)}${"]".repeat(90)}\n`)).length).toBe(1);
    const deep = Array.from({ length: 90 }, (_, i) => `${" ".repeat(i)}a:`).join("\n");
    expect(await read(`${deep} 1\n`)).toEqual([[Array.from({ length: 90 }, () => "a").join("/"), 1n]]);
  });

  test("more than 2 MiB, which is not even read", async () => {
    const entry = { ...entryOf("a: 1\n"), size: 2 * 2 ** 20 + 1 };
    await expect(readHparamsFile(entry)).rejects.toThrow(`${file} is larger than`);
    expect((await readHparamsFile({ ...entry, size: 2 * 2 ** 20 })).hparams.size).toBe(1);
  });

  test("a file that is gone", async () => {
    const gone = { ...entryOf(""), path: path.join(directory, "gone.yaml") };
    await expect(readHparamsFile(gone)).rejects.toMatchObject({
      code: "ENOENT",
      message: expect.stringContaining(gone.path),
    });
  });
});

// Comparing every key with every other takes some 25 s for as many.
test("many keys take time in proportion", async () => {
  const took = cpuTime();
  const all = await read(Array.from({ length: 40_000 }, (_, i) => `key ${i}: ${i}`).join("\n"));
  expect(took()).toBeLessThan(10_000);
  expect(all.length).toBe(40_000);
  expect(all.at(-1)).toEqual(["key 39999", 39_999n]);
});
