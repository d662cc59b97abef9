import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { LocalStore } from "../../../src/backends/mlflow/artifact-stores/local.ts";
import { localFile } from "../../support/local-file.ts";
import { temporaryDirectory } from "../../support/logdirs.ts";

const folder = temporaryDirectory();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
let root: string;
let store: LocalStore;
beforeEach(() => {
  root = path.join(folder, String(++count), "artifacts");
  store = new LocalStore(root);
});

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (found: Uint8Array | undefined) => found && new TextDecoder().decode(found);
const filesIn = (directory: string) => readdirSync(directory, { recursive: true }).sort();

describe("names", () => {
  test.each([
    "plain.txt",
    "a/b/c.txt",
    "日本/ä 🙂.png",
    "50%.txt",
    "a%20b/%25.txt",
    "a#b?c&d=e.txt",
    " leading and trailing ",
    "...",
    "-rf",
    "é".repeat(127),
  ])("%s", async (name) => {
    await store.put({ path: name, bytes: bytes(name) });
    expect(text(await store.get(name))).toBe(name);
    expect(await store.list("")).toEqual([{ path: name, size: Buffer.byteLength(name) }]);
    expect(readFileSync(path.join(root, name), "utf8")).toBe(name);
  });

  test.each([
    "",
    "/etc/x",
    "..",
    "../x",
    "a/../../x",
    "a/./b",
    "a//b",
    "a/",
    "a\0b",
    "a\\..\\b",
    "a/.artifact.uploading.x",
  ])("%j is refused", async (name) => {
    await expect(store.put({ path: name, bytes: bytes("x") })).rejects.toMatchObject({
      name: "TraceletError",
      code: "rejected",
    });
    expect(existsSync(path.join(folder, String(count), "x"))).toBe(false);
  });

  test("a link that leads out is refused, a link inside is not", async () => {
    const outside = path.join(folder, `outside${count}`);
    mkdirSync(outside);
    mkdirSync(path.join(root, "inside"), { recursive: true });
    writeFileSync(path.join(outside, "secret.txt"), "secret");
    symlinkSync(outside, path.join(root, "out"));
    symlinkSync(path.join(root, "inside"), path.join(root, "in"));
    const refused = { code: "rejected" };
    await expect(store.put({ path: "out/x.txt", bytes: bytes("x") })).rejects.toMatchObject(refused);
    await expect(store.put({ path: "out/new/x.txt", bytes: bytes("x") })).rejects.toMatchObject(refused);
    await expect(store.get("out/secret.txt")).rejects.toMatchObject(refused);
    await expect(store.digest("out/secret.txt")).rejects.toMatchObject(refused);
    await expect(store.list("out")).rejects.toMatchObject(refused);
    expect(readdirSync(outside)).toEqual(["secret.txt"]);
    await store.put({ path: "in/x.txt", bytes: bytes("x") });
    expect(readFileSync(path.join(root, "inside/x.txt"), "utf8")).toBe("x");
  });
});

describe("a file", () => {
  test("is replaced by one of its name", async () => {
    for (const each of ["longer than the next", "short", ""]) {
      await store.put({ path: "a/b.txt", bytes: bytes(each) });
      expect(text(await store.get("a/b.txt"))).toBe(each);
    }
    expect(filesIn(root)).toEqual(["a", "a/b.txt"]);
  });

  test("that is not there, or is none", async () => {
    expect(await store.get("a.txt")).toBeUndefined();
    expect(await store.list("")).toEqual([]);
    await store.put({ path: "a/b.txt", bytes: bytes("x") });
    for (const name of ["a", "b", "a/c", "a/b.txt/c"]) {
      expect([name, await store.get(name)]).toEqual([name, undefined]);
      expect([name, await store.digest(name)]).toEqual([name, undefined]);
    }
    expect(await store.list("b")).toEqual([]);
    expect(await store.list("a/b.txt")).toEqual([]);
  });

  test("cannot be where a directory is, and the other way round", async () => {
    await store.put({ path: "a/b", bytes: bytes("x") });
    await expect(store.put({ path: "a", bytes: bytes("x") })).rejects.toMatchObject({ code: "rejected" });
    await expect(store.put({ path: "a/b/c", bytes: bytes("x") })).rejects.toMatchObject({ code: "rejected" });
    expect(filesIn(root)).toEqual(["a", "a/b"]);
  });

  test("is never seen half", async () => {
    const versions = [randomBytes(3_000_000), randomBytes(2_000_000)];
    const digests = versions.map((each) => createHash("sha256").update(each).digest("hex"));
    await store.put({ path: "a.bin", bytes: versions[0] as Buffer });
    let writing = true;
    const writer = (async () => {
      for (let i = 0; i < 20; i++) await store.put({ path: "a.bin", bytes: versions[i % 2] as Buffer });
      writing = false;
    })();
    while (writing) {
      const seen = (await store.get("a.bin")) as Uint8Array;
      expect(digests).toContain(createHash("sha256").update(seen).digest("hex"));
      const listed = await store.list("");
      expect(listed.map((each) => each.path)).toEqual(["a.bin"]);
    }
    await writer;
  });

  test("of this machine is streamed, its first bytes only", async () => {
    const source = path.join(folder, `source${count}`);
    const content = randomBytes(1_000_000);
    writeFileSync(source, content);
    for (const size of [0, 1, 262_144, 999_999, 1_000_000]) {
      await store.putFile("copy.bin", localFile(size % 2 ? Buffer.from(source) : source), size);
      expect(content.subarray(0, size).equals((await store.get("copy.bin")) as Uint8Array)).toBe(true);
    }
    await expect(store.putFile("new.bin", localFile(source), 1_000_001)).rejects.toMatchObject({ code: "logdir" });
    await expect(store.putFile("new.bin", localFile(`${source}.gone`), 1)).rejects.toMatchObject({ code: "logdir" });
    expect(filesIn(root)).toEqual(["copy.bin"]);
  });

  test("written by many at once", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `d${i % 5}/f${i}.txt`);
    await Promise.all(names.map((name) => store.put({ path: name, bytes: bytes(name) })));
    expect((await store.list("")).map((each) => each.path)).toEqual([...names].sort());
    expect((await store.list("d3")).length).toBe(10);
  });
});

test("what a killed process left is removed when it is old", async () => {
  mkdirSync(root, { recursive: true });
  const [old, young] = ["old", "young"].map((name) => path.join(root, `.artifact.uploading.tracelet.${name}`)) as [
    string,
    string,
  ];
  for (const each of [old, young]) writeFileSync(each, "half");
  utimesSync(old, new Date(0), new Date(0));
  await store.put({ path: "a.txt", bytes: bytes("x") });
  expect([existsSync(old), existsSync(young)]).toEqual([false, true]);
  expect(await store.list("")).toEqual([{ path: "a.txt", size: 1 }]);
  expect(statSync(path.join(root, "a.txt")).mode & 0o777).toBe(0o666 & ~process.umask());
});
