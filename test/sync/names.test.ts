import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asciiRecorded, isValidKey, KeyNames, nameRecorded, recordedName } from "../../src/backends/mlflow/names.ts";
import { askPython } from "./python.ts";

/** Tags as people and their enemies write them. */
const character = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(..."abLoss_/.- :0") },
  { weight: 2, arbitrary: fc.constantFrom(..."?%()[]#@,=\\\"'\n\t\0|~é日\u0301\u202e\u200b") },
  { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }) },
);
const tag = fc.oneof(
  fc.string({ unit: character, maxLength: 30 }),
  fc.array(fc.constantFrom("..", ".", "", "a", "loss", "a?", " "), { maxLength: 6 }).map((parts) => parts.join("/")),
  fc
    .tuple(fc.string({ unit: character, minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 400 }))
    .map(([text, n]) => text.repeat(n)),
);

/** MLflow's rule for keys, and whether its Python knows all of the letters. Source: mlflow/utils/validation.py. */
const MLFLOW = `
import posixpath, re, unicodedata
def valid(key):
    if not re.match(r"^[/\\w.\\- :]*$", key) or len(key) > 250: return False
    norm = posixpath.normpath(key)
    return norm == key and norm != "." and not norm.startswith("..") and not norm.startswith("/")
answer = [[valid(key), all(unicodedata.category(c) != "Cn" for c in key)] for key in data]
`;

test("a tag that MLflow allows is kept as it is", () => {
  for (const name of ["loss", "train/loss", "a b", "a:b", "ä", "日本/語", "a..b", " a", "-", ".a", "é".repeat(250)]) {
    expect(isValidKey(name)).toBe(true);
    expect(new KeyNames([]).keyOf(name)).toBe(name);
  }
});

test("any other is made valid, without a digest where nothing else has its key", () => {
  for (const [name, key] of [
    ["metrics/mAP50(B)", "metrics/mAP50_B_"],
    ["loss (train)", "loss _train_"],
    ["/a//b/", "a/b"],
    ["a/../b", "a/_/b"],
    [".", "_"],
    ["..loss", "_.loss"],
    ["", "_"],
    ["100%", "100_"],
    ["tab\there", "tab_here"],
    ["loss\n", "loss_"],
    ["🙂", "_"],
    ["x".repeat(251), "x".repeat(200)],
    [`${"x".repeat(199)}/y?`, "x".repeat(199)],
  ] as const) {
    expect(isValidKey(name)).toBe(false);
    expect(new KeyNames([]).keyOf(name)).toBe(key);
    // And with a digest where something has.
    expect(new KeyNames([[key, "another"]]).keyOf(name)).toMatch(/-[0-9a-f]{8}$/);
    expect(new KeyNames([[key, "another"]]).keyOf(name).slice(0, -9)).toBe(key);
  }
});

test("a key that an earlier version gave, always with a digest, stays", () => {
  const keys = new KeyNames([["metrics/mAP50_B_-5d2b1a9c", "metrics/mAP50(B)"]]);
  expect(keys.keyOf("metrics/mAP50(B)")).toBe("metrics/mAP50_B_-5d2b1a9c");
  expect(keys.keyOf("metrics/mAP50[B]")).toBe("metrics/mAP50_B_");
});

test("a name that a cut leaves with a lone dot at its end is valid all the same", () => {
  const name = `${"x".repeat(198)}/..y?`;
  expect(isValidKey(new KeyNames([]).keyOf(name))).toBe(true);
});

test("of 100,000 tags no two share a key, and every key is valid for MLflow", () => {
  const names = [...new Set(fc.sample(tag, 100_000))];
  const keys = new KeyNames([]);
  const chosen = names.map((name) => keys.keyOf(name));
  expect(new Set(chosen).size).toBe(names.length);
  expect(chosen.filter((key) => !isValidKey(key))).toEqual([]);
  // A changed name's tag has its key in its own.
  const renamed = chosen.filter((key, i) => key !== names[i]);
  expect(renamed.filter((key) => [..."tracelet.param.", ...key].length > 250)).toEqual([]);
  expect(names.map((name) => keys.keyOf(name))).toEqual(chosen);
  const answers = askPython(MLFLOW, chosen) as [boolean, boolean][];
  // A server whose Python is older than some letter does not take that letter.
  expect(chosen.filter((_, i) => answers[i]?.[1] && !answers[i]?.[0])).toEqual([]);
});

test("what MLflow allows is what it allows, but for a line break at the end", () => {
  const names = [
    ...new Set(fc.sample(tag, 20_000)),
    ...Array.from({ length: 0x3000 }, (_, i) => `a${String.fromCharCode(i)}b`),
  ];
  const answers = askPython(MLFLOW, names) as [boolean, boolean][];
  const wrong = names.filter((name, i) => answers[i]?.[1] && answers[i]?.[0] !== isValidKey(name));
  expect(wrong.filter((name) => !name.endsWith("\n"))).toEqual([]);
});

describe("somebody wants two tags to share a key", () => {
  test("a literal tag equal to the key of another, in both orders, and after the run was opened again", () => {
    const other = "loss (train)";
    const literal = new KeyNames([]).keyOf(other);
    for (const order of [
      [other, literal],
      [literal, other],
    ] as const) {
      const keys = new KeyNames([]);
      const bound = order.map((name) => [keys.keyOf(name), name] as const);
      expect(new Set(bound.map(([key]) => key)).size).toBe(2);
      for (const again of [bound, [...bound].reverse()]) {
        const reopened = new KeyNames(again);
        for (const [key, name] of [...bound].reverse()) expect(reopened.keyOf(name)).toBe(key);
      }
    }
  });

  test("every key that could be chosen is taken already", () => {
    const taken: [string, string][] = [];
    for (let i = 0; i < 100; i++) {
      const key = new KeyNames(taken).keyOf("a?");
      expect(taken.map(([each]) => each)).not.toContain(key);
      taken.push([key, key]);
    }
  });

  test("long tags that differ at their end only", () => {
    const keys = new KeyNames([]);
    const names = Array.from({ length: 50 }, (_, i) => recordedName(`${"x".repeat(6000)}${i}`));
    expect(new Set(names.map((name) => keys.keyOf(name))).size).toBe(50);
  });
});

describe("names that a collation takes for one", () => {
  const ALIKE = [
    ["Loss", "loss", "LOSS"],
    ["acc", "acc "],
    ["café", "cafe", "CAFÉ"],
    ["straße", "strasse", "STRASSE"],
    ["smørrebrød", "smorrebrod"],
    ["loss (train)", "Loss [TRAIN]"],
    ["損失", "精度"],
  ];

  test.each(ALIKE)("%j and %j may clash, and have keys that differ by more where they do", (...names) => {
    const keys = new KeyNames([]);
    expect(keys.mayClash(names)).toBe(true);
    expect(keys.mayClash(names.slice(0, 1))).toBe(false);
    keys.folds = true;
    const chosen = names.map((name) => keys.keyOf(name));
    const plain = chosen.map((key) =>
      key
        .normalize("NFKD")
        .replace(/[^\0-\x7f]/g, "")
        .toLowerCase()
        .trimEnd(),
    );
    expect(new Set(plain).size).toBe(names.length);
    expect(names.map((name) => keys.keyOf(name))).toEqual(chosen);
    expect(chosen.every(isValidKey)).toBe(true);
    // Another machine, which knows what the run's tags tell, and meets them in another order.
    const other = new KeyNames(chosen.map((key, i) => [key, names[i] as string] as const));
    other.folds = true;
    expect(other.mayClash(names)).toBe(false);
    for (const name of [...names].reverse()) expect(other.keyOf(name)).toBe(chosen[names.indexOf(name)]);
  });

  test("stay as they are where nothing folds them, and where they had their keys before", () => {
    for (const names of ALIKE.slice(0, 5)) {
      const keys = new KeyNames([]);
      keys.expect(names);
      expect(names.map((name) => keys.keyOf(name))).toEqual(names);
      const before = new KeyNames(names.map((name) => [name, name] as const));
      before.folds = true;
      expect(names.map((name) => before.keyOf(name))).toEqual(names);
    }
  });
});

test("a name is found again that a database without its letters has in ASCII", () => {
  const names = ["happy 🙂", "sad 🙁", "🙂".repeat(3000), "nul\0 🙂"].map(recordedName);
  const keys = new KeyNames([]);
  const chosen = names.map((name) => keys.keyOf(name));
  const recorded = names.map(asciiRecorded);
  for (const each of recorded) expect(each).toMatch(/^[ -~]{1,5000}$/);
  const reopened = new KeyNames(chosen.map((key, i) => [key, nameRecorded(recorded[i] as string)] as const));
  expect(names.map((name) => reopened.keyOf(name))).toEqual(chosen);
});

describe("what a name is called in a run tag", () => {
  test("is the name itself where a tag can hold it", () => {
    for (const name of ["", "loss (train)", "🙂", "日本\u00a0語", "x".repeat(5000)])
      expect(recordedName(name)).toBe(name);
  });

  test("is never too long, always text, and never what another name is called", () => {
    const long = "🙂".repeat(3000);
    const called = recordedName(long);
    const names = [
      long,
      called,
      recordedName(called),
      `${long}.`,
      `x${long}`,
      "x".repeat(5001),
      `${"x".repeat(5001)}y`,
    ];
    const all = names.map(recordedName);
    for (const each of all) {
      expect(each.length).toBeLessThanOrEqual(5000);
      expect(Buffer.from(each).toString()).toBe(each);
    }
    expect(new Set(all).size).toBe(names.length);
    expect(recordedName("half \ud83d pair")).toBe("half \ufffd pair");
  });

  test("holds no control character, and tells names apart that differ in those only", () => {
    const names = [
      "loss",
      "loss\0",
      "loss\x1b",
      "loss\n",
      "loss\x7f",
      "loss\x85",
      "loss\\x00",
      `${"x".repeat(6000)}\0`,
    ];
    const all = names.map(recordedName);
    expect(all.filter((name) => /\p{Cc}/u.test(name))).toEqual([]);
    expect(new Set(all).size).toBe(names.length);
    expect(all[1]).toMatch(/^loss\\x00… sha256:[0-9a-f]{64}$/);
    expect(new KeyNames([]).keyOf(all[1] as string)).toBe("loss_x00");
  });

  test("is known again where an older version wrote it as it came", () => {
    const long = `\0${"x".repeat(6000)}`;
    const digest = /… sha256:.*/.exec(recordedName(long))?.[0] ?? "";
    for (const [name, found] of [
      ["loss\0", "loss\0"],
      ["tab\there", "tab\there"],
      [long, long.slice(0, 4900) + digest],
    ] as const) {
      expect(nameRecorded(found)).toBe(recordedName(name));
      expect(nameRecorded(recordedName(name))).toBe(recordedName(name));
    }
  });
});
