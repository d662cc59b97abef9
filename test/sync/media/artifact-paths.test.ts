/** Paths of tags: safe, short, one each, and on every kind of disk. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArtifactPaths } from "../../../src/backends/artifacts/artifact-paths.ts";
import { askPython } from "../python.ts";
import "./support.ts";

const PIECES = [
  ..."aAbBzZ019 ._-~+@%#\\:?*\"<>|'&=()[]\t\n\0",
  ..."äÄßẞéÉſıİςΣ日本Å\u212b\u00e9e\u0301\u0130\u1e9e\u200d\u202e\ufe0f\u00a0\u2028\ufeffﬁ🙂",
  ...[
    "con",
    "NUL",
    "com1",
    "Lpt9",
    "aux.txt",
    "..",
    ".",
    "5.md",
    ".html",
    "@5",
    "@5-0",
    "-0123abcd",
    "-0123ABCD",
    "/",
    "/",
    "//",
  ],
];
const tags = fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((pieces) => pieces.join(""));

/** What some disk would take for the same file: NTFS, APFS, HFS+. */
function onDisk(path: string): string {
  return path.normalize("NFD").toUpperCase().toLowerCase().normalize("NFC");
}

function pathOf(tag: string): string {
  return new ArtifactPaths().directory("text", tag).slice("text/".length);
}

/** Paths that MLflow or Windows takes for no path, or for another one. */
function refusedByMlflow(paths: readonly string[]): unknown {
  return askPython(
    `
from mlflow.utils.uri import validate_path_is_safe
from mlflow.store.artifact.artifact_repo import verify_artifact_path
from pathlib import PureWindowsPath
answer = []
for path in data:
    try:
        verify_artifact_path(path)
        same = validate_path_is_safe(path) == path
        windows = PureWindowsPath(path)
        if not same or windows.is_reserved() or "/".join(windows.parts) != path: answer.append(path)
    except Exception as error:
        answer.append(f"{path}: {error}")
`,
    paths,
  );
}

describe("paths", () => {
  test("a safe tag stays as it is", () => {
    for (const tag of [
      "loss",
      "loss/train",
      "epoch 1/fc1.weight",
      "äöü/日本",
      "a-b_c+d=e",
      "run~1",
      "layer.0.bias",
      "x@y",
    ]) {
      expect(pathOf(tag)).toBe(tag);
    }
  });

  test("any other is readable and ends in its digest", () => {
    expect(pathOf("Loss")).toMatch(/^Loss-[0-9a-f]{8}$/);
    expect(pathOf("acc: 50%")).toMatch(/^acc_ 50_-[0-9a-f]{8}$/);
    expect(pathOf("../../etc/passwd")).toMatch(/^_\/_\/etc\/passwd-[0-9a-f]{8}$/);
    expect(pathOf("con/x")).toMatch(/^_con\/x-[0-9a-f]{8}$/);
    expect(pathOf("")).toMatch(/^_-[0-9a-f]{8}$/);
    expect(pathOf("/")).toMatch(/^_-[0-9a-f]{8}$/);
    expect(pathOf("a/5.md")).toMatch(/^a\/5_md-[0-9a-f]{8}$/);
    expect(pathOf("a@5/b")).toMatch(/^a_5\/b-[0-9a-f]{8}$/);
    expect(pathOf("loss-0123abcd")).toMatch(/^loss-0123abcd-[0-9a-f]{8}$/);
  });

  test("100,000 tags share no path, on no disk, and all are safe and short", () => {
    const all = new Set<string>();
    for (const tag of fc.sample(tags, { numRuns: 130_000, seed: 7 })) all.add(tag);
    for (let i = 0; i < 60_000; i++) all.add(`tag ${i}`).add(`Tag ${i}`);
    expect(all.size).toBeGreaterThan(100_000);
    const owners = new Map<string, string>();
    const folders = new Set<string>();
    const paths: string[] = [];
    for (const tag of all) {
      const path = pathOf(tag);
      const key = onDisk(path);
      const owner = owners.get(key);
      if (owner !== undefined) throw new Error(`${JSON.stringify([owner, tag])} share ${path}`);
      owners.set(key, tag);
      paths.push(path);
      const parts = path.split("/");
      for (let i = 1; i <= parts.length; i++) folders.add(onDisk(parts.slice(0, i).join("/")));
      for (const part of parts) {
        if (/^[. ]|[. ]$|^$|[%#\\:?*"<>|\p{C}]/u.test(part)) throw new Error(`${JSON.stringify(tag)}: ${path}`);
        if (/^(con|prn|aux|nul|com\d|lpt\d) *(\.|$)/i.test(part)) throw new Error(`${JSON.stringify(tag)}: ${path}`);
        if (Buffer.byteLength(part) > 80) throw new Error(`${JSON.stringify(tag)}: ${path}`);
      }
    }
    // No file of a tag is the folder of another.
    for (const key of owners.keys()) {
      for (const file of [`${key}/5.md`, `${key}.pb`, `${key}@5.pb`, `${key}/5-0.png`]) {
        if (folders.has(file)) throw new Error(`${file} is a file and a folder`);
      }
    }
    expect(refusedByMlflow(paths)).toEqual([]);
  });

  test("no tag is too long", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 80, maxLength: 2000 }), fc.nat(9), (text, every) => {
        const tag = every === 0 ? text : [...text].map((c, i) => (i % (every * 20) === 19 ? "/" : c)).join("");
        const path = new ArtifactPaths().directory("custom_scalars", tag);
        const file = `${path}@${-(2n ** 63n)}-10.run_metadata.pb`;
        expect(Buffer.byteLength(file)).toBeLessThanOrEqual(400);
        for (const part of file.split("/")) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(120);
      }),
    );
  });

  test("files of the source keep their names where they can, and event files are ones to TensorBoard", () => {
    const paths = new ArtifactPaths();
    const stay = ["events.out.tfevents.1700000000.host.1.0", "a/b c/x.tfevents.v2", "Train/hparams.yaml"];
    stay.push("run-0123abcd/projector_config.pbtxt");
    for (const file of stay) expect(paths.sourceFile(file)).toBe(`tensorboard/${file}`);
    expect(paths.sourceFile("Train/events.out.tfevents.1.HOST")).toMatch(
      /^tensorboard\/Train\/events\.out\.tfevents\.1\.HOST-[0-9a-f]{8}$/,
    );
    expect(paths.sourceFile("lr:0.1/hparams.yaml")).toMatch(/^tensorboard\/lr_0\.1-[0-9a-f]{8}\/hparams\.yaml$/);
    expect(paths.sourceFile(`${"x".repeat(230)}.tfevents`)).toMatch(/^tensorboard\/x{200}\.tfevents-[0-9a-f]{8}$/);
    // The index tells of those only whose paths do not.
    expect(paths.entries().map(({ tag }) => tag)).toEqual([
      "Train/events.out.tfevents.1.HOST",
      "lr:0.1/hparams.yaml",
      `${"x".repeat(230)}.tfevents`,
    ]);

    const owners = new Map<string, string>();
    const taken: string[] = [];
    for (const tag of new Set(fc.sample(tags, { numRuns: 20_000, seed: 9 }))) {
      const parts = tag.split("/").filter((part) => !["", ".", ".."].includes(part));
      const file = [...parts.slice(0, -1), `${parts.at(-1) ?? ""}tfevents${tag.length}`].join("/");
      const path = paths.sourceFile(file);
      const owner = owners.get(onDisk(path)) ?? file;
      if (owner !== file) throw new Error(`${JSON.stringify([owner, file])} share ${path}`);
      owners.set(onDisk(path), file);
      taken.push(path);
      const names = path.split("/");
      expect(names.at(-1)).toContain("tfevents");
      expect(names.length).toBe(file.split("/").length + 1);
      for (const name of names) expect(Buffer.byteLength(name)).toBeLessThan(256);
    }
    expect(refusedByMlflow(taken)).toEqual([]);
  });

  test("keys of images are MLflow's, and one each", () => {
    const paths = new ArtifactPaths();
    expect(paths.imageKey("Input/Image", 0, 1)).toBe("Input/Image");
    expect(paths.imageKey("Input/Image", 2, 3)).toBe("Input/Image/2");
    expect(paths.imageKey("fig: ä", 0, 1)).toMatch(/^fig_ a-[0-9a-f]{8}$/);
    expect(paths.imageKey("__proto__", 0, 1)).toMatch(/^__proto__-[0-9a-f]{8}$/);
    const owners = new Map<string, string>();
    for (const tag of new Set(fc.sample(tags, { numRuns: 30_000, seed: 8 }))) {
      const key = paths.imageKey(tag, 0, 1);
      expect(key).toMatch(/^[a-zA-Z0-9_\-./ ]+$/);
      expect(key.length).toBeLessThan(120);
      if (owners.has(key)) throw new Error(`${JSON.stringify([owners.get(key), tag])} share ${key}`);
      owners.set(key, tag);
    }
  });

  test("every mapping is kept for the index", () => {
    const paths = new ArtifactPaths();
    paths.directory("text", "notes");
    paths.file("graph", "Model", "pb");
    paths.imageKey("a/b", 1, 2);
    paths.directory("text", "notes");
    expect(paths.entries()).toEqual([
      { kind: "text", tag: "notes", path: "text/notes" },
      { kind: "graph", tag: "Model", path: expect.stringMatching(/^graph\/Model-[0-9a-f]{8}$/) },
      { kind: "images", tag: "a/b", path: "images/a~b" },
    ]);
  });
});
